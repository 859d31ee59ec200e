//! How a sweep was measured, in words: for its reports.

use profiler::report::human::{duration, moment};

use super::summary::Summary;

/// How it was measured: what, and in words.
pub(super) fn lines(summary: &Summary) -> Vec<(&'static str, String)> {
    let method = &summary.method;
    let mut lines = vec![
        ("Time", format!("{} to {}", moment(&summary.started), moment(&summary.finished))),
        ("Strategy", method.strategy.name().to_owned()),
        ("Objective", method.objective.to_string()),
        ("Consumer", method.consumer.to_string()),
        ("Page cache", method.cache.state.to_string()),
        (
            "Processes",
            format!(
                "{}, one for each run, in {} blocks in random order; {} of it in all",
                method.trials,
                method.blocks,
                duration(method.trials_s)
            ),
        ),
        (
            "Runs",
            format!(
                "{} of each setting, those that could still be the best up to {}; at least {} s \
                 each, after warming up until the rate is steady",
                method.repeats, method.max_repeats, method.measure_s
            ),
        ),
        (
            "Intervals",
            "95%, from a bootstrap of the runs; settings whose figure lies within the interval of \
             the leader's, and at most 0.5% below it, are its equals: of these fewer workers win, then \
             less memory, then smaller depth; settings of which a run failed rank below all others"
                .to_owned(),
        ),
    ];
    if let Some(budget_s) = method.time_budget_s {
        let ended = if method.out_of_time { "ended by it" } else { "not used up" };
        lines.push(("Time budget", format!("{}, {ended}", duration(budget_s))));
    }
    if let Some(drift) = &summary.drift {
        lines.push((
            "Drift",
            format!(
                "{}, run in every block: samples/s of the last block {:+.1}% of the first's, highest \
                 to lowest {:.1}% of the median",
                drift.cell,
                100.0 * drift.change,
                100.0 * drift.spread
            ),
        ));
    }
    lines
}
