//! What it comes to, in four sentences: the end of `tuner sweep`, the head of its reports, and what
//! `tuner explain` and `tuner history` say.

use profiler::report::human::{number, percent};
use serde::Serialize;

use super::ceiling;
use super::charts::sure;
use super::explain;
use super::summary::{Headline, Summary};
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
            None if is_default(summary) => Self::Default,
            None => Self::Unknown,
            Some(headline) => Self::of_headline(headline),
        }
    }

    /// Of those pairs.
    pub fn of_headline(headline: &Headline) -> Self {
        match headline.interval {
            _ if headline.winner == headline.default => Self::Default,
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
        let limit = explain::limit(winner, summary.machine.usable_cores);
        let (mut cause, mut next) = (limit.cause, limit.help);
        let lowest = ceiling::lowest(&summary.ceilings);
        if let (Some(share), Some(lowest)) = (winner.ceiling_share, lowest) {
            cause += &format!(
                "; it reaches {} of the lowest ceiling, {} alone, {} samples/s",
                percent(share),
                lowest.part.name(),
                number(lowest.samples_per_s.unwrap_or_default(), 0)
            );
        }
        if let Some(stage) = winner.limit.as_ref().filter(|it| it.potential >= LITTLE) {
            let potential = percent(stage.potential);
            next += &format!(
                "; without `{}` {potential}{} of the time would be saved, and `{}` would limit",
                stage.stage,
                range(stage.interval, percent),
                stage.next_limiter
            );
        }
        Ok(Self {
            recommended: format!(
                "{}: {} samples/s, score {}",
                winner.cell,
                sure(&winner.samples_per_s, 0),
                number(winner.score.median, 1)
            ),
            gain: gain(summary),
            limit: cause,
            next,
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

/// A stage whose absence would save less is not spoken of.
const LITTLE: f64 = 0.02;

fn gain(summary: &Summary) -> String {
    let standing = Standing::of(summary);
    match (&summary.headline, standing) {
        (_, Standing::Default) => "none: this is the default".to_owned(),
        (None, _) => "not known: it was not held against the default on fresh runs".to_owned(),
        (Some(headline), _) => format!(
            "{:.2}{} times the samples/s of the default, {}: {}",
            headline.ratio,
            range(headline.interval, |end| number(end, 2)),
            headline.default,
            standing.words()
        ),
    }
}

/// Whether the recommended setting is what the loader takes without settings on that machine: it is
/// not held against itself.
fn is_default(summary: &Summary) -> bool {
    let default = loader::Settings::default().prefetch_depth;
    let cores = (summary.machine.usable_cores as usize).max(1);
    let cell = summary.recommended;
    cell.num_workers == cores && cell.prefetch_depth == default
}

fn range(interval: Option<[f64; 2]>, write: impl Fn(f64) -> String) -> String {
    let range = interval.map(|[low, high]| format!(" ({} to {})", write(low), write(high)));
    range.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::cell::LimitingStage;
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::*;

    fn with_headline(interval: Option<[f64; 2]>) -> Summary {
        let mut summary = summary(vec![cell(1, 1, 100.0)]);
        let default = cell(2, 2, 0.0).cell;
        summary.headline = Some(Headline {
            default,
            winner: summary.recommended,
            ratio: 1.2,
            interval,
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
             prefetch depth 2: faster than the default"
        );
        let mut summary = with_headline(None);
        summary.headline = None;
        assert!(Closing::of(&summary).unwrap().gain.starts_with("not known"));
        // What is recommended already is the default.
        summary.machine.usable_cores = 1.0;
        summary.recommended.prefetch_depth = loader::Settings::default().prefetch_depth;
        assert_eq!(Standing::of(&summary), Standing::Default);
    }

    #[test]
    fn what_would_help_names_the_next_limit_where_it_is_known() {
        let mut summary = with_headline(None);
        assert!(!Closing::of(&summary).unwrap().next.contains("saved"));
        summary.cells[0].limit = Some(LimitingStage {
            stage: "decode".to_owned(),
            potential: 0.5,
            interval: Some([0.45, 0.55]),
            next_limiter: "transform".to_owned(),
            sentence: String::new(),
        });
        let next = Closing::of(&summary).unwrap().next;
        assert!(
            next.ends_with(
                "without `decode` 50% (45% to 55%) of the time would be saved, and `transform` \
                 would limit"
            ),
            "{next}"
        );
    }
}
