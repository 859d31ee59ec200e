//! What the runs of a sweep found of the page cache, in figures and in words.

use profiler::report::human::{mb, percent};
use serde::{Deserialize, Serialize};

use super::Cache;

/// What was asked for and what the runs found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheState {
    /// What was asked for.
    pub asked: Cache,
    /// What the runs found: what was asked for if all of them did, else `as-is`; `None` where that is
    /// not known, since it was not looked at before each of them.
    pub state: Option<Cache>,
    /// Size of the data's files; absent where it has none.
    pub bytes: Option<u64>,
    /// Share of their pages in memory before the runs: the mean, the least and the most; absent where it
    /// was not looked at.
    pub resident_share: Option<Share>,
    /// Why the state is not what was asked for, or is not known.
    pub why: Option<String>,
}

/// A share over several runs, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The arithmetic mean.
    pub mean: f64,
    /// Of the run with the least.
    pub least: f64,
    /// Of the run with the most.
    pub most: f64,
}

impl CacheState {
    /// Of runs before which these shares were in memory, `None` where it was not looked at; `hindrance`
    /// says why nothing could be done, if so.
    pub fn of(
        asked: Cache,
        bytes: Option<u64>,
        hindrance: Option<&str>,
        runs: &[Option<f64>],
    ) -> Self {
        let shares: Vec<f64> = runs.iter().copied().flatten().collect();
        let fold = |pick: fn(f64, f64) -> f64| shares.iter().copied().reduce(pick);
        let resident_share = fold(f64::min).zip(fold(f64::max)).map(|(least, most)| Share {
            mean: shares.iter().sum::<f64>() / shares.len() as f64,
            least,
            most,
        });
        let missed = shares.iter().filter(|share| !asked.holds(**share)).count();
        let unseen = runs.len() - shares.len();
        let (state, why) = match (hindrance, resident_share) {
            (Some(why), _) => (Some(Cache::AsIs), Some(why.to_owned())),
            (None, Some(share)) if missed > 0 => {
                let why = format!(
                    "before {missed} of {} runs {} to {} of the pages were in memory",
                    shares.len(),
                    percent(share.least),
                    percent(share.most)
                );
                (Some(Cache::AsIs), Some(why))
            }
            _ if asked == Cache::AsIs => (Some(asked), None),
            (None, None) => {
                let why = "no run could look at the pages in memory, which the system allows only for files \
                           that are one's own or may be written";
                (None, Some(why.to_owned()))
            }
            (None, Some(_)) if unseen > 0 => {
                let why =
                    format!("{unseen} of {} runs did not look at the pages in memory", runs.len());
                (None, Some(why))
            }
            (None, Some(_)) => (Some(asked), None),
        };
        Self { asked, state, bytes, resident_share, why }
    }

    /// What the runs found, by its name.
    pub fn name(&self) -> String {
        self.state.map_or_else(|| "not looked at".to_owned(), |state| state.to_string())
    }

    /// In words: what was found, and why if that is not what was asked for.
    pub fn words(&self) -> String {
        let size = self.bytes.map(|bytes| format!(", {}", mb(bytes as f64))).unwrap_or_default();
        let share = self.resident_share.map_or(String::new(), |share| {
            format!(", {} of the pages in memory before the runs", percent(share.mean))
        });
        let asked = match &self.why {
            Some(why) => format!("; `{}` was asked for, but {why}", self.asked),
            None => String::new(),
        };
        format!("{}{size}{share}{asked}", self.name())
    }

    /// That it was not what was asked for, or may not have been.
    pub fn warning(&self) -> Option<String> {
        let Self { asked, state, why, .. } = self;
        let was = match state {
            Some(_) => format!("the page cache was not `{asked}`, as asked for"),
            None => format!("it is not known whether the page cache was `{asked}`, as asked for"),
        };
        why.as_ref().map(|why| format!("{was}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cold(runs: &[Option<f64>]) -> CacheState {
        CacheState::of(Cache::Cold, Some(1 << 20), None, runs)
    }

    #[test]
    fn one_run_that_found_other_pages_than_asked_for_is_told() {
        let good = cold(&[Some(0.0), Some(0.002)]);
        assert_eq!((good.state, good.why.clone()), (Some(Cache::Cold), None));
        assert_eq!(good.words(), "cold, 1.0 MB, 0.1% of the pages in memory before the runs");
        assert_eq!(good.warning(), None);
        let mixed = cold(&[Some(0.0), Some(0.5), Some(0.0), Some(0.0)]);
        assert_eq!((mixed.asked, mixed.state), (Cache::Cold, Some(Cache::AsIs)));
        assert_eq!(mixed.resident_share, Some(Share { mean: 0.125, least: 0.0, most: 0.5 }));
        let why = mixed.why.clone().unwrap();
        assert_eq!(why, "before 1 of 4 runs 0% to 50% of the pages were in memory");
        assert!(mixed.words().contains("`cold` was asked for, but before 1 of 4 runs"));
        assert!(mixed.warning().unwrap().starts_with("the page cache was not `cold`"));
    }

    #[test]
    fn what_no_run_looked_at_is_not_said_to_be_as_asked_for() {
        for runs in [&[][..], &[None, None]] {
            let unseen = cold(runs);
            assert_eq!((unseen.state, unseen.resident_share), (None, None));
            assert!(unseen.words().starts_with("not looked at, 1.0 MB; `cold` was asked for"));
            assert!(unseen.warning().unwrap().starts_with("it is not known whether"));
        }
        let some = cold(&[None, Some(0.0), Some(0.0)]);
        assert_eq!(some.state, None);
        let why = some.why.clone().unwrap();
        assert_eq!(why, "1 of 3 runs did not look at the pages in memory");
        // One that was seen to be otherwise is enough to know that it was not.
        assert_eq!(cold(&[None, Some(0.7)]).state, Some(Cache::AsIs));
        let left = CacheState::of(Cache::AsIs, None, None, &[None]);
        assert_eq!((left.state, left.warning()), (Some(Cache::AsIs), None));
    }
}
