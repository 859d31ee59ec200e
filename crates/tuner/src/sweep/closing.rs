//! What it comes to, in four sentences: the end of `tuner sweep`, the head of its reports, and what
//! `tuner explain` and `tuner history` say.

use serde::Serialize;

use super::headline::Headline;
use super::limit;
use super::summary::Summary;
use super::words::{between, hundredths, sure, tenths, whole};
use crate::TunerError;

/// How the recommended setting stands to the default, by samples/s on fresh runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Faster: the whole interval of the ratio is above 1.
    Faster,
    /// Slower, as a setting with less memory or a better score may be.
    Slower,
    /// The interval holds 1, or there is none.
    Unsure,
    /// It is the default.
    Default,
    /// It was not held against the default.
    Unknown,
}

impl Standing {
    /// Of that recommendation.
    pub fn of(summary: &Summary) -> Self {
        match &summary.headline {
            // It is not held against itself.
            _ if summary.recommended == summary.default => Self::Default,
            None => Self::Unknown,
            Some(headline) => Self::of_headline(headline),
        }
    }

    /// Of those pairs.
    pub fn of_headline(headline: &Headline) -> Self {
        match headline.interval {
            Some([low, _]) if low > 1.0 => Self::Faster,
            Some([_, high]) if high < 1.0 => Self::Slower,
            _ => Self::Unsure,
        }
    }

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster than the default",
            Self::Slower => "slower than the default",
            Self::Unsure => "no sure difference from the default",
            Self::Default => "the default is the best",
            Self::Unknown => "not held against the default",
        }
    }
}

/// The sentences, without a full stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Closing {
    /// What to use.
    pub recommended: String,
    /// How much better than the default it is.
    pub gain: String,
    /// What limits it now.
    pub limit: String,
    /// What would help next.
    pub next: String,
}

impl Closing {
    /// Of what was found.
    ///
    /// # Errors
    /// If the summary does not hold the recommended setting.
    pub fn of(summary: &Summary) -> Result<Self, TunerError> {
        let winner = summary.winner()?;
        Ok(Self {
            recommended: format!(
                "{}: {} samples/s, score {}",
                winner.cell,
                sure(&winner.samples_per_s, whole),
                tenths(winner.score.median)
            ),
            gain: gain(summary),
            limit: limit::cause(winner, summary),
            next: limit::help(winner, summary),
        })
    }

    /// The lines under each other, with their names.
    pub fn lines(&self) -> String {
        let lines = [
            ("Use", &self.recommended),
            ("Gain", &self.gain),
            ("Limit", &self.limit),
            ("Next", &self.next),
        ];
        let lines = lines.map(|(name, text)| format!("{:<7}{text}", format!("{name}:")));
        lines.join("\n")
    }
}

fn gain(summary: &Summary) -> String {
    let standing = Standing::of(summary);
    match (&summary.headline, standing) {
        (Some(refuted), Standing::Default) => format!(
            "none: this is the default; {} was the best by the sweep's own runs, but {} on fresh ones",
            refuted.winner,
            refuted.refutation(summary.method.objective)
        ),
        (None, Standing::Default) => "none: this is the default".to_owned(),
        (None, _) => "not known: it was not held against the default on fresh runs".to_owned(),
        (Some(headline), _) => format!(
            "{}{} times the samples/s of the default, {}: {}{}",
            hundredths(headline.ratio),
            between(headline.interval, hundredths),
            headline.default,
            standing.words(),
            fresh(headline, summary).unwrap_or_default()
        ),
    }
}

/// What the setting gave on fresh runs beside what it was chosen by, which is too good: of many settings
/// the luckiest wins.
fn fresh(headline: &Headline, summary: &Summary) -> Option<String> {
    let (fresh, chosen) = (headline.fresh_samples_per_s()?, summary.find(headline.winner).ok()?);
    Some(format!(
        "; on these fresh runs it gave {} samples/s, on those it was chosen by {}",
        whole(fresh),
        whole(chosen.samples_per_s.median)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::super::objective::Objective;
    use super::*;

    fn with_headline(interval: Option<[f64; 2]>) -> Summary {
        let mut summary = summary(vec![cell(1, 1, 100.0)]);
        let default = cell(2, 2, 0.0).cell;
        summary.headline = Some(Headline {
            default,
            winner: summary.recommended,
            ratio: 1.2,
            interval,
            score_lead: None,
            winner_samples_per_s: vec![120.0],
            default_samples_per_s: vec![100.0],
        });
        summary
    }

    #[test]
    fn the_gain_is_sure_only_where_its_interval_is() {
        let standing = |interval| Standing::of(&with_headline(interval));
        assert_eq!(standing(Some([1.1, 1.3])), Standing::Faster);
        assert_eq!(standing(Some([0.9, 1.3])), Standing::Unsure);
        assert_eq!(standing(Some([0.7, 0.9])), Standing::Slower);
        assert_eq!(standing(None), Standing::Unsure);
        let gain = Closing::of(&with_headline(Some([1.1, 1.3]))).unwrap().gain;
        assert_eq!(
            gain,
            "1.20 (1.10 to 1.30) times the samples/s of the default, batch size 32, 2 workers, \
             prefetch depth 2: faster than the default; on these fresh runs it gave 120 samples/s, on \
             those it was chosen by 100"
        );
        let mut summary = with_headline(None);
        summary.headline = None;
        assert!(Closing::of(&summary).unwrap().gain.starts_with("not known"));
        // What is recommended already is the default.
        summary.recommended = summary.default;
        assert_eq!(Standing::of(&summary), Standing::Default);
        assert_eq!(super::gain(&summary), "none: this is the default");
    }

    #[test]
    fn that_fresh_runs_refuted_the_winner_is_said_with_its_figures() {
        let mut summary = with_headline(Some([0.85, 0.95]));
        summary.headline.as_mut().unwrap().ratio = 0.9;
        summary.recommended = summary.default;
        summary.method.objective = Objective::SamplesPerSecond;
        assert_eq!(Standing::of(&summary), Standing::Default);
        assert_eq!(
            super::gain(&summary),
            "none: this is the default; batch size 32, 1 worker, prefetch depth 1 was the best by the \
             sweep's own runs, but gave 0.90 (0.85 to 0.95) times its samples/s on fresh ones"
        );
    }
}
