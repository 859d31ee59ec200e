//! How a sweep was measured, in words: for its reports.

use profiler::report::human::{duration, moment};

use super::strategy::Strategy;
use super::summary::{Ended, Method, Summary};

/// How it was measured: what, and in words.
pub(super) fn lines(summary: &Summary) -> Vec<(&'static str, String)> {
    let method = &summary.method;
    let mut lines = vec![
        ("Time", time(summary)),
        ("Strategy", method.strategy.name().to_owned()),
        ("Objective", method.objective.to_string()),
        ("Consumer", method.consumer.to_string()),
        ("Page cache", method.cache.words()),
        (
            "Processes",
            format!(
                "{}, one for each run, in {} blocks in random order; {} of it in all{}",
                method.trials,
                method.blocks,
                duration(method.trials_s),
                method.reused.as_ref().map(|it| format!("; {}", it.words())).unwrap_or_default()
            ),
        ),
        (
            "Runs",
            format!(
                "{}; at least {} s each{}, after warming up until the rate is steady, which it was not yet \
                 in {} of them",
                runs(method),
                method.measure_s,
                turns(method),
                method.unsteady
            ),
        ),
        (
            "Intervals",
            "95%, from a bootstrap of how much the runs of all settings differ; settings whose figure \
             lies within the interval of the leader's, and at most 0.5% below it, are its equals: of \
             these fewer workers win, then less memory, then smaller depth; settings of which a run \
             failed rank below all others"
                .to_owned(),
        ),
    ];
    if let Some(budget_s) = method.time_budget_s {
        let ended = match method.ended {
            Ended::OutOfTime => "ended by it",
            Ended::Known | Ended::RunsUsedUp => "not used up",
        };
        lines.push(("Time budget", format!("{}, {ended}", duration(budget_s))));
    }
    if let Some(drift) = &summary.drift {
        lines.push((
            "Drift",
            format!(
                "{}, run in every block: samples/s {:+.1}%{} in the later half of the blocks, highest \
                 to lowest {:.1}% of the median",
                drift.cell,
                100.0 * drift.change,
                drift
                    .interval
                    .map(|ends| ends.map(|end| format!("{:+.1}", 100.0 * end)).join(" to "))
                    .map(|ends| format!(" ({ends})"))
                    .unwrap_or_default(),
                100.0 * drift.spread
            ),
        ));
    }
    lines
}

/// From when to when, by the wall clock, which nothing is measured by.
fn time(summary: &Summary) -> String {
    let time = format!("{} to {}", moment(&summary.started), moment(&summary.finished));
    // Both of the same form: they compare as text.
    match summary.finished < summary.started {
        true => time + "; the clock was set back meanwhile, which changes no figure",
        false => time,
    }
}

/// How the default was run beside them.
fn turns(method: &Method) -> String {
    let Method { turn_s, in_turn, trials, .. } = method;
    match *in_turn {
        0 => String::new(),
        some => {
            let which = if some >= *trials { String::new() } else { format!("{some} of them ") };
            format!(
                ", {which}in turns of {turn_s} s with the default, and their rates are those at the machine's \
                 usual speed, at which the default gives its median"
            )
        }
    }
}

/// Which settings were run how often.
fn runs(method: &Method) -> String {
    let Method { repeats, max_repeats, .. } = method;
    match method.strategy {
        Strategy::Grid => {
            format!(
                "{repeats} of each setting, of those that could still be the best up to {max_repeats}"
            )
        }
        Strategy::Race => format!(
            "one of every other setting, then of those up to {max_repeats} that could be the best by a \
             model of all runs"
        ),
        Strategy::Model => format!(
            "one of a few settings, then of those up to {max_repeats} that could be the best by a \
             model of all runs"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_told_and_nothing_else_changes() {
        let mut summary = summary(vec![cell(1, 1, 100.0)]);
        (summary.started, summary.finished) =
            ("2026-03-01T10:00:00Z".to_owned(), "2026-03-01T11:30:00Z".to_owned());
        let before = lines(&summary);
        assert!(!before[0].1.contains("set back"), "{before:?}");
        summary.finished = "2026-03-01T09:00:00Z".to_owned();
        let after = lines(&summary);
        assert!(after[0].1.contains("set back"), "{after:?}");
        assert_eq!(before[1..], after[1..]);
    }
}
