//! Whether a sweep's settings still stand: the recommended setting against the default once more, or the
//! default against its rival, on fresh runs, in pairs one right after the other.

use std::path::{Path, PathBuf};

use crossbeam::channel::Receiver;
use loader::error::Report;
use serde::Serialize;

use crate::explain::{Match, Origin};
use crate::sweep::cache::{CacheKeeper, CacheState};
use crate::sweep::ceiling::Ceilings;
use crate::sweep::grid::{self, Cell};
use crate::sweep::headline::Headline;
use crate::sweep::journal::{Journal, Phase, TrialRecord};
use crate::sweep::level::leveled;
use crate::sweep::memory::{self, sample_bytes};
use crate::sweep::output::{CEILINGS, TRIALS};
use crate::sweep::summary::Summary;
use crate::sweep::trial::{self, Job, Measured, TrialFailure, TrialSpec};
use crate::{TunerError, dataset};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval of the ratio now and that of the sweep overlap.
    Holds,
    /// They do not: the gain is another now.
    Drifted,
    /// Nor do they, and the recommended setting is slower than the other for sure, by more than 3%.
    Wrong,
}

/// A recommended setting that gives a smaller share of the other's samples/s is wrong.
const SLOWER: f64 = 0.97;
/// Fewer pairs have no interval of their own.
pub const LEAST_PAIRS: usize = 3;

impl Verdict {
    /// From the sweep's pairs and the new ones.
    pub fn of(then: &Ratio, now: &Ratio) -> Self {
        let range = |it: &Ratio| it.interval.unwrap_or([it.ratio; 2]);
        let ([low_then, high_then], [low, high]) = (range(then), range(now));
        if high < SLOWER && high < low_then {
            Self::Wrong
        } else if low > high_then || high < low_then {
            Self::Drifted
        } else {
            Self::Holds
        }
    }

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Drifted => "drifted",
            Self::Wrong => "wrong",
        }
    }
}

/// Samples a second of the recommended setting by the other's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The median of the pairs.
    pub ratio: f64,
    /// 95% bootstrap interval of it.
    pub interval: Option<[f64; 2]>,
    /// Pairs of runs.
    pub pairs: usize,
}

impl Ratio {
    fn of(headline: &Headline) -> Self {
        let Headline { ratio, interval, .. } = *headline;
        Self { ratio, interval, pairs: headline.winner_samples_per_s.len() }
    }

    /// Of the same pairs, the other way round.
    fn inverse(&self) -> Self {
        let interval = self.interval.map(|[low, high]| [1.0 / high, 1.0 / low]);
        Self { ratio: 1.0 / self.ratio, interval, pairs: self.pairs }
    }
}

/// What a recommended setting is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rival {
    /// What the loader takes without settings.
    Default,
    /// The default is recommended, since fresh runs refuted this setting, which won by the sweep's own.
    Refuted,
    /// The default is recommended, and this is the next of its batch size by rank.
    RunnerUp,
}

impl Rival {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Default => "the default",
            Self::Refuted => "the setting that fresh runs refuted",
            Self::RunnerUp => "the next best of its batch size",
        }
    }
}

/// What was measured again.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// The settings file.
    pub path: PathBuf,
    /// What came of it.
    pub verdict: Verdict,
    /// The recommended setting.
    pub setting: Cell,
    /// The setting that it is held against.
    pub against: Cell,
    /// What that is.
    pub rival: Rival,
    /// When the sweep was begun, in UTC.
    pub swept: String,
    /// What the sweep found.
    pub then: Ratio,
    /// What was found now.
    pub now: Ratio,
    /// Samples a second of each pair, of the recommended setting.
    pub setting_samples_per_s: Vec<f64>,
    /// And of the other.
    pub against_samples_per_s: Vec<f64>,
    /// Runs that gave no figures, and why.
    pub failed: Vec<String>,
    /// The state of the page cache.
    pub cache: CacheState,
    /// Whether machine, data and libtorch are those of the sweep.
    pub matches: Vec<Match>,
}

/// What is measured, and how often.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct Pairs<'a> {
    /// At least [`LEAST_PAIRS`].
    pub number: usize,
    /// Receives when the user wants it to stop.
    pub interrupt: &'a Receiver<()>,
    /// Told before each run how many were done, and of how many.
    pub progress: &'a dyn Fn(usize, usize),
}

/// Holds the setting of the file `path`, which a sweep wrote, against the default again, or the default
/// against its rival, on the same machine and data and as the sweep did. Nothing is written.
///
/// # Errors
/// If it cannot be told: the sweep's files are not there, machine or data are others, the file's setting
/// is not the sweep's, or the sweep held it against nothing; no pair of runs gave figures; the user stops it.
pub fn settings(path: &Path, pairs: Pairs<'_>) -> Result<Verification, TunerError> {
    let origin = Origin::read(path)?;
    let recommended = origin.summary.recommended;
    let refused = |reason: String, hint: &'static str| TunerError::CannotVerify {
        path: path.to_owned(),
        reason,
        hint,
    };
    if origin.setting() != recommended {
        let reason =
            format!("it says {}, and the sweep recommends {recommended}", origin.setting());
        return Err(refused(reason, "give the file as the sweep wrote it"));
    }
    let folder = crate::files::folder_of(path);
    // How much runs differ is known from the sweep's, too.
    let mut records = Journal::read(&folder.join(TRIALS))?;
    records.retain(|record| record.phase == Phase::Sweep);
    let (rival, against, then) = held(&origin.summary, &records)
        .map_err(|(reason, hint)| refused(reason.to_owned(), hint))?;
    // What hinders that says more than that it cannot be told.
    let sample_bytes = sample_bytes(&dataset::open(&origin.plan.config)?.fields);
    let matches = origin.matches();
    let differs = |it: &&Match| ["machine", "data"].contains(&it.what) && it.matches == Some(false);
    if let Some(it) = matches.iter().find(differs) {
        let reason = format!("the {} is not that of the sweep: {}", it.what, it.words);
        return Err(refused(reason, "verify it where it was measured, or sweep again here"));
    }

    let memory = Ceilings::read(&folder.join(CEILINGS)).unwrap_or_default().memory;
    let limit_bytes = memory::limit_bytes(origin.plan.config.sweep.memory_limit_bytes);
    // As in the sweep; both of a pair or none.
    let reference = origin.plan.cells.default_cell();
    let fit = |cell| memory.fit([cell, reference], sample_bytes, limit_bytes);
    let spec = |cell| {
        let spec = TrialSpec::new(&origin.plan.config, Job::Setting(cell), limit_bytes);
        if fit(recommended) && fit(against) { spec.in_turn_with(reference) } else { spec }
    };
    let cells = [recommended, against];
    let mut runs = Runs { origin: &origin, cells, pairs, records: Vec::new(), failed: Vec::new() };
    let cache = runs.run(&spec)?;
    let Runs { records: fresh, failed, .. } = runs;
    records.extend(fresh);
    let Some(now) = Headline::of(Phase::Confirm, cells, &leveled(&records)) else {
        let reason = failed.last().cloned().unwrap_or_else(|| "no pair was run".to_owned());
        return Err(refused(reason, "try the setting alone with `tuner bench`"));
    };
    let ratio = Ratio::of(&now);
    Ok(Verification {
        path: path.to_owned(),
        verdict: Verdict::of(&then, &ratio),
        setting: recommended,
        against,
        rival,
        swept: origin.summary.started.clone(),
        then,
        now: ratio,
        setting_samples_per_s: now.winner_samples_per_s,
        against_samples_per_s: now.default_samples_per_s,
        failed,
        cache,
        matches,
    })
}

/// What a sweep of these runs held its recommended setting against, and what came of it; or why that is not
/// known, and what to do.
fn held(
    summary: &Summary,
    records: &[TrialRecord],
) -> Result<(Rival, Cell, Ratio), (&'static str, &'static str)> {
    let Summary { recommended, default, .. } = *summary;
    let (rival, against, then) = if recommended != default {
        let then = summary.against_default().ok_or((
            "the sweep did not hold it against the default on fresh runs",
            "sweep again, with `--confirm 5`",
        ))?;
        (Rival::Default, default, Ratio::of(then))
    } else if let Some(refuted) = summary.refuted() {
        (Rival::Refuted, refuted.winner, Ratio::of(refuted).inverse())
    } else {
        let rivals = summary.cells.iter().filter(|it| it.in_grid && it.failed == 0);
        let mut rivals = rivals.map(|it| it.cell).filter(|it| it.batch_size == default.batch_size);
        let next = rivals.find(|it| *it != default).ok_or((
            "it recommends the default, and the sweep ran nothing beside it",
            "sweep again, with other workers or depths",
        ))?;
        let then = Headline::of(Phase::Sweep, [default, next], &leveled(records)).ok_or((
            "it recommends the default, which the sweep ran in no block with the next best setting",
            "sweep again, with `--strategy grid`",
        ))?;
        (Rival::RunnerUp, next, Ratio::of(&then))
    };
    match then.interval {
        Some(_) => Ok((rival, against, then)),
        None => Err(("how sure the sweep was is not known", "sweep again, with more `--repeats`")),
    }
}

/// The runs under way.
struct Runs<'a> {
    origin: &'a Origin,
    cells: [Cell; 2],
    pairs: Pairs<'a>,
    records: Vec<TrialRecord>,
    failed: Vec<String>,
}

impl Runs<'_> {
    /// Runs all pairs; the state of the page cache that they found.
    fn run(&mut self, spec: &dyn Fn(Cell) -> TrialSpec) -> Result<CacheState, TunerError> {
        let plan = &self.origin.plan;
        let sweep = &plan.config.sweep;
        let place = |cell: Cell| {
            let place = plan.cells.place(cell);
            place.ok_or_else(|| TunerError::Bug(format!("{cell} is not in the plan")))
        };
        let places = [place(self.cells[0])?, place(self.cells[1])?];
        let mut cache = CacheKeeper::new(sweep.cache, &plan.config.dataset)?;
        let mut shares = Vec::new();
        let Pairs { number, interrupt, progress } = self.pairs;
        for pair in 0..number {
            for planned in grid::block(Phase::Confirm, &places, pair, sweep.seed + 1) {
                progress(self.records.len(), 2 * number);
                let cell = plan.cells.cells[planned.cell];
                let run = trial::prepared(&spec(cell), &mut cache, interrupt, &|_| ())?;
                shares.push(run.resident_share);
                let outcome = match run.outcome {
                    Ok(Measured { figures, .. }) => Ok(figures),
                    Err(TrialFailure::Interrupted) => return Err(TunerError::Stopped),
                    Err(failure) => Err(failure),
                };
                if let Err(failure) = &outcome {
                    self.failed.push(format!("{cell}: {}", Report(failure)));
                }
                self.records.push(TrialRecord::new(planned, cell, outcome.as_ref()));
            }
        }
        Ok(cache.state(&shares))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(ratio: f64, interval: Option<[f64; 2]>) -> Ratio {
        Ratio { ratio, interval, pairs: 5 }
    }

    #[test]
    fn it_holds_while_the_intervals_overlap() {
        let then = ratio(1.2, Some([1.1, 1.3]));
        let verdict =
            |low: f64, high: f64| Verdict::of(&then, &ratio((low + high) / 2.0, Some([low, high])));
        assert_eq!(verdict(1.0, 1.15), Verdict::Holds);
        assert_eq!(verdict(1.25, 1.4), Verdict::Holds);
        assert_eq!(verdict(0.9, 1.11), Verdict::Holds);
        assert_eq!(verdict(1.35, 1.4), Verdict::Drifted);
        assert_eq!(verdict(1.0, 1.05), Verdict::Drifted);
        // Slower, but not for sure by more than 3%.
        assert_eq!(verdict(0.9, 0.98), Verdict::Drifted);
        assert_eq!(verdict(0.8, 0.9), Verdict::Wrong);
    }

    #[test]
    fn what_was_slower_by_choice_is_not_wrong() {
        // By another objective than speed.
        let then = ratio(0.8, Some([0.75, 0.85]));
        assert_eq!(Verdict::of(&then, &ratio(0.82, Some([0.8, 0.84]))), Verdict::Holds);
        assert_eq!(Verdict::of(&then, &ratio(0.6, Some([0.55, 0.65]))), Verdict::Wrong);
        // Without an interval the median stands for it.
        assert_eq!(Verdict::of(&ratio(0.8, None), &ratio(0.8, None)), Verdict::Holds);
    }
}
