//! The one sentence that a report begins with.

use crate::attribution::Verdict as Bound;
use crate::bottleneck::Bottleneck;
use crate::report::human;
use crate::session::ProfilingSession;

/// How a verdict is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Fair,
    Bad,
    Unknown,
}

impl Tone {
    /// The class of the page's elements.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }
}

/// What a reader should know if they read no more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) tone: Tone,
    /// Two or three words.
    pub(crate) label: &'static str,
    /// One sentence with figures; what is in backticks is a name or a value.
    pub(crate) sentence: String,
    /// What the label means, for whoever never saw one.
    pub(crate) meaning: String,
    /// What to try first, where there is advice.
    pub(crate) first_step: Option<String>,
}

impl Verdict {
    /// Of a session: of the pipeline whose consumer waits most if there is one, else of the worst
    /// bottleneck, else of where the time went.
    pub(crate) fn of(session: &ProfilingSession) -> Self {
        let attributions =
            session.performance_metrics.pipelines.iter().filter_map(|p| p.attribution.as_ref());
        let waits_most = attributions.max_by(|a, b| a.wait_share.total_cmp(&b.wait_share));
        let worst = session.bottlenecks.first();
        match (waits_most, worst) {
            (Some(pipeline), Some(worst)) if pipeline.verdict == Bound::NotInputBound => {
                let mut verdict = Self::of_bottleneck(worst);
                verdict.meaning = format!(
                    "The program is not input-bound: it waits for its data in {} of its time. {}",
                    human::percent(pipeline.wait_share),
                    verdict.meaning
                );
                verdict
            }
            (Some(pipeline), _) => {
                let (tone, label) = match pipeline.verdict {
                    Bound::NotInputBound => (Tone::Good, "Not input-bound"),
                    Bound::ModeratelyInputBound => (Tone::Fair, "Moderately input-bound"),
                    Bound::HighlyInputBound => (Tone::Bad, "Highly input-bound"),
                    Bound::Ambiguous => (Tone::Fair, "Ambiguous"),
                };
                let meaning = match pipeline.verdict {
                    Bound::Ambiguous => "The time that the consumer waited and the state of its \
                                         queue do not agree: measure again, for longer."
                        .to_owned(),
                    _ => format!(
                        "Input-bound means that the program waits for its data. It waited {} of \
                         its time: under 5% is not input-bound, over 20% highly.",
                        human::percent(pipeline.wait_share)
                    ),
                };
                // On what the sentence names, if that is among the findings.
                let limiting = pipeline.stations.get(pipeline.limiting_station);
                let limiting = limiting.and_then(|it| it.stages.get(pipeline.limiting_stage));
                let named = limiting
                    .and_then(|it| session.bottlenecks.iter().find(|found| found.name == it.name));
                let of_any = session.bottlenecks.iter();
                let first_step = named.into_iter().chain(of_any).find_map(first_step);
                Self { tone, label, sentence: pipeline.sentence.clone(), meaning, first_step }
            }
            (None, Some(worst)) => Self::of_bottleneck(worst),
            (None, None) => Self::of_operations(session),
        }
    }

    fn of_bottleneck(worst: &Bottleneck) -> Self {
        let (tone, label) = match worst.severity {
            bad if bad >= 0.2 => (Tone::Bad, "Bottleneck found"),
            _ => (Tone::Fair, "Small bottleneck found"),
        };
        let saved = worst.optimization_potential.map(|share| {
            format!("Without it, up to {} of the time would be saved.", human::percent(share))
        });
        Self {
            tone,
            label,
            sentence: format!("`{}`: {}", worst.name, worst.cause),
            meaning: saved.unwrap_or_else(|| "It is a resource that runs short.".to_owned()),
            first_step: first_step(worst),
        }
    }

    fn of_operations(session: &ProfilingSession) -> Self {
        let operations = &session.performance_metrics.operations;
        let recorded: f64 = operations.iter().map(|operation| operation.self_s).sum();
        let most = operations.iter().max_by(|a, b| a.self_s.total_cmp(&b.self_s));
        let Some(most) = most.filter(|_| recorded > 0.0) else {
            return Self {
                tone: Tone::Unknown,
                label: "Too little recorded",
                sentence: "Too little was recorded to say what took the time.".to_owned(),
                meaning: "No operation ended and no pipeline reported while the session was open."
                    .to_owned(),
                first_step: None,
            };
        };
        Self {
            tone: Tone::Good,
            label: "No bottleneck found",
            sentence: format!(
                "Nothing was found that holds the program up; most of the time, {}, went to `{}`.",
                human::percent(most.self_s / recorded),
                most.name()
            ),
            meaning: format!(
                "Findings that would save less than {} of the time are left out.",
                human::percent(session.config.bottleneck_threshold)
            ),
            first_step: None,
        }
    }
}

fn first_step(found: &Bottleneck) -> Option<String> {
    found.suggestions.first().cloned()
}
