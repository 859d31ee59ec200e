//! What limits a setting and what would help: by the profiler's attribution of its runs, by how long
//! the training loop waited for data, and by the settings beside it that were measured too.

use profiler::report::human::percent;
use serde::{Deserialize, Serialize};

use super::ceiling;
use super::cell::CellSummary;
use super::estimate::Estimate;
use super::grid::Cell;
use super::journal::TrialRecord;
use super::objective::{FED, feeds};
use super::summary::Summary;
use super::words::{between, sure, whole};
use crate::consumer::Consumer;

/// The stage that limits a setting, by attribution of its runs: the one that most of them name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Such as `decode`.
    pub stage: String,
    /// Share of the time that would be saved if it took none, 0 to 1, over the runs that name it.
    pub potential: Estimate,
    /// What would limit then, by most of these runs: a stage, `cpu cores` or `consumer`.
    pub next_limiter: String,
    /// So many runs name it.
    pub runs: usize,
}

/// The name that comes most often; of equals the first by alphabet.
pub(crate) fn most_named<'a>(names: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts.into_iter().rev().max_by_key(|(_, count)| *count)
}

/// The stage that most of these runs of a setting name.
pub(super) fn limiting_stage<'a>(runs: &[&'a TrialRecord]) -> Option<&'a str> {
    let stages = runs.iter().filter_map(|run| Some(run.limit.as_ref()?.stage.as_str()));
    most_named(stages).map(|(stage, _)| stage)
}

impl Limit {
    /// Of a setting's runs; `potential` is that of the [`limiting_stage`] over those that name it.
    pub(super) fn of(runs: &[&TrialRecord], potential: Option<Estimate>) -> Option<Self> {
        let stage = limiting_stage(runs)?;
        let limits = runs.iter().filter_map(|run| run.limit.as_ref());
        let naming: Vec<_> = limits.filter(|limit| limit.stage == stage).collect();
        let (next, _) = most_named(naming.iter().map(|limit| limit.next_limiter.as_str()))?;
        Some(Self {
            stage: stage.to_owned(),
            potential: potential?,
            next_limiter: next.to_owned(),
            runs: naming.len(),
        })
    }
}

/// A stage whose absence would save less does not limit.
const LITTLE: f64 = 0.02;

/// What limits the setting of `cell`, in words.
pub(super) fn cause(cell: &CellSummary, summary: &Summary) -> String {
    let waits = cell.wait_share.map(|wait| sure(&wait, percent));
    if let (Some(waits), true) = (&waits, feeds(cell)) {
        return format!(
            "the training loop, which waits for data {waits} of its time: a faster loader would save \
             no more than that"
        );
    }
    let mut cause = match &cell.limit {
        None => "not known: too little happened to tell".to_owned(),
        Some(limit) if limit.potential.median < LITTLE => {
            format!("no stage for itself, `{}` most", limit.stage)
        }
        Some(limit) => format!("`{}`, by attribution", limit.stage),
    };
    if let Some(waits) = waits {
        cause = format!("{cause}; the training loop waits for data {waits} of its time");
    }
    let busy = percent(cell.cpu_percent.median / 100.0);
    cause += &format!("; the cores are {busy} busy");
    let ceiling = ceiling::of(cell.cell, &summary.ceilings, &summary.method.consumer);
    if let (Some(share), Some((part, rate))) = (cell.ceiling_share, ceiling) {
        cause += &format!(
            "; it reaches {} of the lowest ceiling, {} alone, {} samples/s",
            percent(share),
            part.name(),
            whole(rate)
        );
    }
    cause
}

/// What would help the setting of `cell`, or would not.
pub(super) fn help(cell: &CellSummary, summary: &Summary) -> String {
    if feeds(cell) {
        return "a faster training loop: the loader keeps up with this one".to_owned();
    }
    let mut help = Vec::new();
    if let Some(limit) = cell.limit.as_ref().filter(|limit| limit.potential.median >= LITTLE) {
        help.push(format!(
            "without `{}` {} of the time would be saved, and then {} would limit",
            limit.stage,
            sure(&limit.potential, percent),
            match limit.next_limiter.as_str() {
                "consumer" if summary.method.consumer.is_some() => "the training loop".to_owned(),
                // What takes the batches does nothing with them.
                "consumer" => "only the handing over of batches".to_owned(),
                next => format!("`{next}`"),
            }
        ));
    }
    let here = cell.cell;
    help.push(beside(cell, summary, "more workers", |it| it.num_workers > here.num_workers));
    if here.num_workers > 0 {
        help.push(beside(cell, summary, "greater depths", |it| {
            it.num_workers == here.num_workers && it.prefetch_depth > here.prefetch_depth
        }));
    }
    help.join("; ")
}

/// What the settings that have more of something gave, at this batch size.
fn beside(
    cell: &CellSummary,
    summary: &Summary,
    what: &str,
    has_more: impl Fn(Cell) -> bool,
) -> String {
    let of_size = summary.cells.iter().filter(|it| it.cell.batch_size == cell.cell.batch_size);
    let more = of_size.filter(|it| has_more(it.cell));
    let best = more.max_by(|a, b| a.samples_per_s.median.total_cmp(&b.samples_per_s.median));
    let Some(best) = best else { return format!("{what} were not tried") };
    let (then, now) = (&best.samples_per_s, &cell.samples_per_s);
    let low = then.interval.map_or(then.median, |[low, _]| low);
    let high = now.interval.map_or(now.median, |[_, high]| high);
    let answer = if low > high { "gave more" } else { "gave no more for sure" };
    format!("{what} {answer} ({}: {} samples/s)", best.cell.shape(), whole(then.median))
}

/// CPU use in percent from which the cores count as all busy.
const BUSY_PERCENT: f64 = 90.0;
/// Of the time that threads compute, the share they must get a core for; below, others take it.
const CONTENDED_SHARE: f64 = 0.75;

/// That other programs took the cores while the setting of `cell` was measured, where they did.
pub(super) fn others(cell: &CellSummary, summary: &Summary) -> Option<String> {
    // What the consumer computes cannot be told from what the loader does.
    if matches!(summary.method.consumer, Consumer::StepCpuMs(_) | Consumer::Model(_)) {
        return None;
    }
    // Reading may wait for a disk; the other stages compute.
    let computing = cell.stages.busy_s() - cell.stages.read_s;
    let cpu_percent = cell.cpu_percent.median;
    let got = cpu_percent / 100.0 * summary.machine.usable_cores * cell.wall_s;
    let taken = cpu_percent < BUSY_PERCENT && got < CONTENDED_SHARE * computing;
    taken.then(|| {
        format!(
            "other programs used the cores: the loader's threads got {} of the time in which they would \
             have computed; measure again on an idle machine",
            percent(got / computing)
        )
    })
}

/// That the training loop is not kept fed, or may not be, where that is so.
pub(super) fn hungry(cell: &CellSummary, summary: &Summary) -> Option<String> {
    let wait = cell.wait_share?;
    let waits = sure(&wait, percent);
    let fed = percent(FED);
    if !feeds(cell) {
        let feeding = summary.cells.iter().filter(|it| it.in_grid && it.failed == 0 && feeds(it));
        return Some(match feeding.count() {
            0 => format!(
                "no setting keeps the training loop fed: with the recommended one it waits for data \
                 {waits} of its time"
            ),
            count => format!(
                "the recommended setting does not keep the training loop fed, which waits {waits} of \
                 its time; {count} would (`--objective cheapest-that-feeds`)"
            ),
        });
    }
    let [low, high] = wait.interval?;
    (low < FED && high > FED).then(|| {
        format!(
            "it is not sure that the training loop is kept fed: it waits for data{} of its time, and \
             {fed} is the line",
            between(wait.interval, percent)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::ceiling::{Ceiling, Part};
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::*;

    fn estimate(median: f64, interval: [f64; 2]) -> Estimate {
        let [low, high] = interval;
        Estimate { median, min: low, max: high, interval: Some(interval), size: median }
    }

    fn decode() -> Limit {
        Limit {
            stage: "decode".to_owned(),
            potential: estimate(0.5, [0.45, 0.55]),
            next_limiter: "transform".to_owned(),
            runs: 3,
        }
    }

    fn waiting(workers: usize, wait: f64) -> CellSummary {
        let mut cell = cell(workers, 1, 640.0);
        cell.wait_share = Some(estimate(wait, [wait - 0.002, wait + 0.002]));
        cell.limit = Some(decode());
        cell
    }

    #[test]
    fn a_setting_that_feeds_its_training_loop_is_limited_by_that() {
        let mut summary = summary(vec![waiting(2, 0.01), waiting(1, 0.3)]);
        summary.ceilings =
            vec![Ceiling { part: Part::Work, samples_per_s: Some(3200.0), how: String::new() }];
        let fed = &summary.cells[0];
        let said = cause(fed, &summary);
        assert!(
            said.starts_with("the training loop, which waits for data 1% (0.8% to 1.2%)"),
            "{said}"
        );
        let help = help(fed, &summary);
        for wrong in ["decode", "depth", "workers", "ceiling"] {
            assert!(!said.contains(wrong) && !help.contains(wrong), "{wrong}: {said}; {help}");
        }
        assert_eq!(hungry(fed, &summary), None);
        let hungry = hungry(&summary.cells[1], &summary).unwrap();
        assert!(hungry.contains("waits 30% (30% to 30%)"), "{hungry}");
        assert!(hungry.contains("1 would"), "{hungry}");
    }

    #[test]
    fn that_no_setting_feeds_or_that_it_is_not_sure_is_said() {
        let both = summary(vec![waiting(2, 0.2), waiting(1, 0.3)]);
        let said = hungry(&both.cells[0], &both).unwrap();
        assert!(said.starts_with("no setting keeps the training loop fed"), "{said}");
        let said = cause(&both.cells[0], &both);
        assert!(said.contains("`decode`") && said.contains("waits for data 20%"), "{said}");
        let mut astride = waiting(2, 0.049);
        astride.wait_share = Some(estimate(0.049, [0.04, 0.06]));
        let astride = summary(vec![astride]);
        let said = hungry(&astride.cells[0], &astride).unwrap();
        assert!(said.contains("(4% to 6%)") && said.contains("not sure"), "{said}");
    }

    #[test]
    fn what_would_help_is_by_attribution_and_by_what_was_measured_beside_it() {
        let mut one = cell(1, 1, 100.0);
        one.limit = Some(decode());
        let all = summary(vec![one, cell(2, 1, 150.0), cell(1, 4, 101.0)]);
        let said = help(&all.cells[0], &all);
        assert_eq!(
            said,
            "without `decode` 50% (45% to 55%) of the time would be saved, and then `transform` would \
             limit; more workers gave more (2 workers, prefetch depth 1: 150 samples/s); greater depths \
             gave no more for sure (1 worker, prefetch depth 4: 101 samples/s)"
        );
        let said = help(&all.cells[1], &all);
        assert_eq!(said, "more workers were not tried; greater depths were not tried");
        assert!(cause(&all.cells[1], &all).starts_with("not known"));
    }

    #[test]
    fn a_training_loop_is_spoken_of_only_where_there_is_one() {
        for workers in [0, 1] {
            let mut alone = cell(workers, 1, 100.0);
            alone.limit = Some(Limit { next_limiter: "consumer".to_owned(), ..decode() });
            let mut summary = summary(vec![alone]);
            let said = |summary: &Summary| {
                let cell = &summary.cells[0];
                format!("{}; {}", cause(cell, summary), help(cell, summary))
            };
            let without = said(&summary);
            assert!(without.contains("then only the handing over of batches would"), "{without}");
            for wrong in ["consumer", "training loop"] {
                assert!(!without.contains(wrong), "{wrong}: {without}");
            }
            summary.method.consumer = Consumer::StepMs(40.0);
            let with = said(&summary);
            assert!(with.contains("then the training loop would limit"), "{with}");
        }
    }

    #[test]
    fn that_others_took_the_cores_is_told_where_it_can_be() {
        let mut slow = cell(2, 1, 100.0);
        slow.cpu_percent = estimate(40.0, [35.0, 45.0]);
        slow.stages.decode_s = 1.8;
        let mut summary = summary(vec![slow]);
        assert!(others(&summary.cells[0], &summary).unwrap().contains("got 44%"));
        summary.method.consumer = Consumer::StepCpuMs(5.0);
        assert_eq!(others(&summary.cells[0], &summary), None);
    }

    #[test]
    fn of_several_runs_the_stage_that_most_name_limits() {
        let names = ["decode", "transform", "decode", "read"];
        assert_eq!(most_named(names.into_iter()), Some(("decode", 2)));
        assert_eq!(most_named(["b", "a"].into_iter()), Some(("a", 1)));
        assert_eq!(most_named(std::iter::empty()), None);
    }
}
