//! From the runs of a setting to its figures.

use std::collections::{BTreeMap, BTreeSet};

use profiler::bootstrap::{Runs, Scatter};
use profiler::rules::DataLoadingBottleneck;
use profiler::stage::StageTimes;
use profiler::statistics::{mean, median};
use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::grid::Cell;
use super::journal::{Phase, Status, TrialRecord};
use super::limit::{Limit, limiting_stage};
use super::objective::{FED, Objective, Weights, chosen_by};
use super::score::ScoreTerms;

/// One setting's runs taken together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellSummary {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// Whether it is a setting to choose from; else it was run for comparison, as the default.
    pub in_grid: bool,
    /// Whether memory was pinned in effect.
    pub pin_memory: bool,
    /// Runs with figures.
    pub trials: usize,
    /// Runs that failed, those to confirm it among them.
    pub failed: usize,
    /// Samples a second.
    pub samples_per_s: Estimate,
    /// Samples a second of each run, in the order of the blocks.
    pub trial_rates: Vec<f64>,
    /// Batches a second.
    pub batches_per_s: Estimate,
    /// The documented score.
    pub score: Estimate,
    /// The score with the weights of `[sweep.weights]`, where the objective is `custom`.
    pub custom_score: Option<Estimate>,
    /// How good it is expected to be by the runs of all settings, with the strategies that run most
    /// settings once or never; they choose by this and not by the luck of a run.
    pub expected: Option<Expected>,
    /// Seconds to the first batch.
    pub first_batch_s: Estimate,
    /// Share of the consumer's time that it waited for data, 0 to 1; absent without a consumer.
    pub wait_share: Option<Estimate>,
    /// Mean resident memory in bytes.
    pub rss_mean_bytes: Estimate,
    /// Peak resident memory in bytes.
    pub rss_peak_bytes: Estimate,
    /// Peak memory above what the process held before the loader was built, in bytes.
    pub above_base_bytes: Estimate,
    /// What that was predicted to be.
    pub predicted_above_base_bytes: Option<u64>,
    /// GPU memory in bytes; absent without a GPU.
    pub gpu_mean_bytes: Option<Estimate>,
    /// CPU use in percent of the usable cores.
    pub cpu_percent: Estimate,
    /// Samples a second by its ceiling, see [`super::ceiling::of`]; absent without ceilings.
    pub ceiling_share: Option<f64>,
    /// What limits it, by attribution of its runs; absent where none of them could tell.
    pub limit: Option<Limit>,
    /// Documented bottlenecks, each with the number of runs in which it was found.
    pub bottlenecks: BTreeMap<DataLoadingBottleneck, usize>,
    /// Terms of the documented score, each the median of the runs'.
    pub score_terms: ScoreTerms,
    /// Thread-seconds by stage, summed over the runs.
    pub stages: StageTimes,
    /// Length of the measurements, summed over the runs.
    pub wall_s: f64,
}

/// How good a setting is expected to be by a [model](super::model) of all runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Under this objective.
    pub objective: Objective,
    /// In its unit, with the sign that makes more better: see [`Objective::goodness`].
    pub goodness: f64,
}

/// The runs of the sweep itself, those to confirm it left out.
fn of_sweep(records: &[TrialRecord]) -> impl Iterator<Item = &TrialRecord> {
    records.iter().filter(|record| record.phase == Phase::Sweep)
}

/// A run's documented score, or its score with `weights`; and its [size](ScoreTerms::size).
pub(super) fn score_of(run: &TrialRecord, weights: Option<&Weights>) -> Option<(f64, f64)> {
    let terms = run.score_terms.as_ref()?;
    match weights {
        None => Some((run.score?, terms.size())),
        Some(weights) => {
            let rate = run.samples_per_s?;
            Some((weights.of(terms, rate), weights.size(terms, rate)))
        }
    }
}

/// A figure of the sweep's own runs, with its size: by the place of the setting, its values in the order of
/// the blocks, and the mean of their sizes.
pub(super) fn by_setting(
    records: &[TrialRecord],
    figure: impl Fn(&TrialRecord) -> Option<(f64, f64)>,
) -> BTreeMap<usize, (Vec<f64>, f64)> {
    let mut runs: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for record in of_sweep(records) {
        if let Some(figure) = figure(record) {
            runs.entry(record.cell).or_default().push(figure);
        }
    }
    let of_setting = |runs: Vec<(f64, f64)>| {
        let (values, sizes): (Vec<f64>, Vec<f64>) = runs.into_iter().unzip();
        (values, mean(&sizes).unwrap_or(0.0))
    };
    runs.into_iter().map(|(place, runs)| (place, of_setting(runs))).collect()
}

/// Takes the runs of each setting together, in the order of settings; the first `grid` ones are
/// those to choose from. What share of its ceiling each reaches is left open.
pub fn cells(records: &[TrialRecord], grid: usize, weights: Option<&Weights>) -> Vec<CellSummary> {
    let mut by_cell: BTreeMap<usize, Vec<&TrialRecord>> = BTreeMap::new();
    for record in of_sweep(records) {
        by_cell.entry(record.cell).or_default().push(record);
    }
    let by_cell: Vec<(usize, Vec<&TrialRecord>)> = by_cell.into_iter().collect();
    let failed = |cell: usize| {
        records.iter().filter(|run| run.cell == cell && run.status == Status::Failed).count()
    };
    // Each figure with its size; how much it differs from run to run is taken from all settings.
    let estimates = |least: f64, most: f64, figure: &dyn Fn(&TrialRecord) -> Option<(f64, f64)>| {
        let runs = |(_, records): &(usize, Vec<&TrialRecord>)| -> (Vec<f64>, Vec<f64>) {
            records.iter().filter_map(|record| figure(record)).unzip()
        };
        let runs: Vec<(Vec<f64>, f64)> = by_cell
            .iter()
            .map(runs)
            .map(|(values, sizes)| (values, mean(&sizes).unwrap_or(0.0)))
            .collect();
        let runs = runs.iter().map(|(values, size)| Runs { values, size: *size });
        let scatter = Scatter::of(runs.clone());
        let estimate = |runs| Some(Estimate::of(runs, &scatter)?.within(least, most));
        runs.map(estimate).collect::<Vec<Option<Estimate>>>()
    };
    // In proportion to itself.
    let positive = |figure: &dyn Fn(&TrialRecord) -> Option<f64>| {
        estimates(0.0, f64::INFINITY, &|run| figure(run).map(|it| (it, it)))
    };
    let score = |figure: &dyn Fn(&TrialRecord) -> Option<(f64, f64)>| {
        estimates(f64::NEG_INFINITY, f64::INFINITY, figure)
    };
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
    let samples_per_s = positive(&|run| run.samples_per_s);
    let batches_per_s = positive(&|run| run.batches_per_s);
    let custom = score(&|run| score_of(run, Some(weights?)));
    let score = score(&|run| score_of(run, None));
    let first_batch_s = positive(&|run| run.first_batch_s);
    // What hardly waits at all differs by more than its own size.
    let wait_share = estimates(0.0, 1.0, &|run| run.wait_share.map(|it| (it, it.max(FED))));
    let rss_mean_bytes = positive(&|run| bytes(run.rss_mean_bytes));
    let rss_peak_bytes = positive(&|run| bytes(run.rss_peak_bytes));
    let above_base_bytes =
        positive(&|run| Some(run.rss_peak_bytes?.saturating_sub(run.rss_base_bytes?) as f64));
    let gpu_mean_bytes = positive(&|run| bytes(run.gpu_mean_bytes));
    let cpu_percent = positive(&|run| run.cpu_percent);
    // Of each setting, that of the stage which most of its runs name.
    let named: BTreeMap<usize, &str> = by_cell
        .iter()
        .filter_map(|(cell, records)| Some((*cell, limiting_stage(records)?)))
        .collect();
    let potential = estimates(0.0, 1.0, &|run| {
        let limit = run.limit.as_ref()?;
        let named = named.get(&run.cell) == Some(&limit.stage.as_str());
        // What saves hardly anything differs by more than its own size.
        named.then_some((limit.potential, limit.potential.max(FED)))
    });
    let summary = |(place, (cell, records)): (usize, &(usize, Vec<&TrialRecord>))| {
        let runs: Vec<&TrialRecord> =
            records.iter().copied().filter(|record| record.status == Status::Ok).collect();
        let first = runs.first()?;
        let term = |term: &dyn Fn(&ScoreTerms) -> Option<f64>| {
            let terms = runs.iter().filter_map(|run| run.score_terms.as_ref());
            median(&terms.filter_map(term).collect::<Vec<_>>())
        };
        let mut bottlenecks = BTreeMap::new();
        for bottleneck in runs.iter().flat_map(|run| &run.bottlenecks) {
            *bottlenecks.entry(*bottleneck).or_default() += 1;
        }
        let mut stages = StageTimes::default();
        runs.iter().filter_map(|run| run.stages).for_each(|times| stages += times);
        let rate = samples_per_s[place]?;
        Some(CellSummary {
            cell: first.setting(),
            in_grid: *cell < grid,
            pin_memory: first.pin_memory.unwrap_or(false),
            trials: runs.len(),
            failed: failed(*cell),
            samples_per_s: rate,
            trial_rates: runs.iter().filter_map(|run| run.samples_per_s).collect(),
            batches_per_s: batches_per_s[place]?,
            score: score[place]?,
            custom_score: custom[place],
            expected: None,
            first_batch_s: first_batch_s[place]?,
            wait_share: wait_share[place],
            rss_mean_bytes: rss_mean_bytes[place]?,
            rss_peak_bytes: rss_peak_bytes[place]?,
            above_base_bytes: above_base_bytes[place]?,
            predicted_above_base_bytes: first.predicted_above_base_bytes,
            gpu_mean_bytes: gpu_mean_bytes[place],
            cpu_percent: cpu_percent[place]?,
            ceiling_share: None,
            limit: Limit::of(&runs, potential[place]),
            score_terms: ScoreTerms {
                batches: term(&|terms| Some(terms.batches))?,
                memory: term(&|terms| Some(terms.memory))?,
                gpu_memory: term(&|terms| terms.gpu_memory),
                cpu: term(&|terms| Some(terms.cpu))?,
                bottlenecks: term(&|terms| Some(terms.bottlenecks))?,
                workers: term(&|terms| Some(terms.workers))?,
                pin_memory: term(&|terms| Some(terms.pin_memory))?,
            },
            bottlenecks,
            stages,
            wall_s: runs.iter().filter_map(|run| run.wall_s).sum(),
        })
    };
    by_cell.iter().enumerate().filter_map(summary).collect()
}

/// The settings of which runs failed that could have won against `winner`: nothing is known of them, one
/// of their runs is as good or they are expected to be, or they had won until a fresh run failed. What does
/// not fit in memory could not. `default` is what winners are held against, of any batch size.
pub fn could_have_won(
    objective: Objective,
    winner: &CellSummary,
    default: Cell,
    cells: &[CellSummary],
    failed: &[TrialRecord],
) -> Vec<Cell> {
    let failed = || failed.iter().filter(|trial| trial.status == Status::Failed);
    let settings: BTreeSet<Cell> = failed().map(TrialRecord::setting).collect();
    let had_won: BTreeSet<Cell> = failed()
        .filter(|run| run.phase == Phase::Confirm)
        .map(TrialRecord::setting)
        .filter(|cell| *cell != Cell { batch_size: cell.batch_size, ..default })
        .collect();
    let best = |cell: &CellSummary| chosen_by(objective, cell).map_or(f64::INFINITY, |it| it.max);
    let to_beat = chosen_by(objective, winner).map_or(f64::NEG_INFINITY, |it| it.median);
    let rivals = settings.into_iter().filter(|cell| *cell != winner.cell).filter(|cell| {
        let known = cells.iter().find(|summary| summary.cell == *cell);
        had_won.contains(cell) || known.is_none_or(|known| best(known) >= to_beat)
    });
    rivals.collect()
}

#[cfg(test)]
pub(in crate::sweep) mod tests {
    use super::super::grid::Planned;
    use super::super::objective::choose;
    use super::super::summary::rank;
    use super::*;
    use crate::measure::Figures;

    /// With batch size 32, and intervals of 5 either way.
    pub(in crate::sweep) fn cell(
        num_workers: usize,
        prefetch_depth: usize,
        middle: f64,
    ) -> CellSummary {
        let estimate = |median: f64| Estimate {
            median,
            min: median - 5.0,
            max: median + 5.0,
            interval: Some([median - 5.0, median + 5.0]),
            size: median,
        };
        CellSummary {
            cell: Cell { batch_size: 32, num_workers, prefetch_depth },
            in_grid: true,
            pin_memory: false,
            trials: 3,
            failed: 0,
            samples_per_s: estimate(middle),
            trial_rates: vec![middle - 5.0, middle, middle + 5.0],
            batches_per_s: estimate(middle / 32.0),
            score: estimate(middle),
            custom_score: None,
            expected: None,
            first_batch_s: estimate(0.1),
            wait_share: None,
            rss_mean_bytes: estimate(1e8 + 1e8 * prefetch_depth as f64),
            rss_peak_bytes: estimate(1e8),
            above_base_bytes: estimate(1e8),
            predicted_above_base_bytes: None,
            gpu_mean_bytes: None,
            cpu_percent: estimate(100.0),
            ceiling_share: None,
            limit: None,
            bottlenecks: BTreeMap::new(),
            score_terms: ScoreTerms {
                batches: middle,
                memory: 0.0,
                gpu_memory: None,
                cpu: 0.0,
                bottlenecks: 0.0,
                workers: 0.0,
                pin_memory: 0.0,
            },
            stages: StageTimes::default(),
            wall_s: 1.0,
        }
    }

    pub(in crate::sweep) fn figures(samples_per_s: f64, batch_size: usize) -> Figures {
        Figures {
            pin_memory: false,
            samples_per_s,
            reference_samples_per_s: None,
            batches_per_s: samples_per_s / batch_size as f64,
            first_batch_s: 0.1,
            wait_share: None,
            warmup_s: 0.5,
            warmup_batches: 5,
            steady: true,
            rss_base_bytes: 1 << 19,
            rss_mean_bytes: 1 << 20,
            rss_peak_bytes: 1 << 20,
            gpu_mean_bytes: None,
            cpu_percent: 50.0,
            wall_s: 1.0,
            batches: 10,
            stages: StageTimes::default(),
            limit: None,
            timeline: None,
        }
    }

    fn record(cell: usize, repeat: usize, rate: Option<f64>) -> TrialRecord {
        let setting = Cell { batch_size: 8, num_workers: cell, prefetch_depth: 1 };
        let planned = Planned { phase: Phase::Sweep, repeat, cell };
        match rate {
            None => {
                let error = "killed".to_owned();
                TrialRecord::without_figures(planned, setting, Status::Failed, error)
            }
            Some(rate) => TrialRecord::new(planned, setting, Ok(&figures(rate, 8))),
        }
    }

    #[test]
    fn a_setting_of_which_a_trial_failed_ranks_last_and_is_named_if_it_could_have_won() {
        let records = [
            record(0, 0, Some(100.0)),
            record(0, 1, Some(101.0)),
            // The fastest, but it crashed once.
            record(1, 0, Some(500.0)),
            record(1, 1, None),
            // It crashed too, and would have been slow.
            record(2, 0, Some(50.0)),
            record(2, 1, None),
            // Nothing is known of it.
            record(3, 0, None),
            record(3, 1, None),
        ];
        let mut cells = cells(&records, 4, None);
        rank(&mut cells, Objective::Documented);
        let order: Vec<usize> = cells.iter().map(|cell| cell.cell.num_workers).collect();
        assert_eq!(order, [0, 1, 2]);
        let failed: Vec<usize> = cells.iter().map(|cell| cell.failed).collect();
        assert_eq!(failed, [0, 1, 1]);
        let winner = choose(Objective::Documented, &cells).unwrap().winner;
        assert_eq!(winner.num_workers, 0);
        let failures = records.iter().filter(|record| record.status == Status::Failed);
        let failures: Vec<TrialRecord> = failures.cloned().collect();
        let default = cells[0].cell;
        let rivals = |failures: &[TrialRecord]| -> Vec<usize> {
            let objective = Objective::Documented;
            let rivals = could_have_won(objective, &cells[0], default, &cells, failures);
            rivals.iter().map(|cell| cell.num_workers).collect()
        };
        assert_eq!(rivals(&failures), [1, 3]);
        // The slow one had won, as the equal with fewer workers: it failed when it was confirmed.
        let in_confirm = TrialRecord { phase: Phase::Confirm, ..record(2, 0, None) };
        assert_eq!(rivals(&[in_confirm]), [2]);
    }

    /// The figures of settings with two runs each, whose waits and scores these are.
    fn with_waits_and_scores(runs: &[([f64; 2], [f64; 2])]) -> Vec<CellSummary> {
        let mut records = Vec::new();
        for (cell, (waits, scores)) in runs.iter().enumerate() {
            for repeat in 0..2 {
                let mut run = record(cell, repeat, Some(100.0));
                run.wait_share = Some(waits[repeat]);
                // 25 for batches, and what is taken off.
                run.score = Some(scores[repeat]);
                let mut terms = run.score_terms.unwrap();
                (terms.batches, terms.memory) = (25.0, scores[repeat] - 25.0);
                run.score_terms = Some(terms);
                records.push(run);
            }
        }
        cells(&records, runs.len(), None)
    }

    #[test]
    fn a_score_or_a_wait_near_zero_does_not_widen_the_intervals_of_others() {
        let cells = with_waits_and_scores(&[
            ([0.001, 0.002], [0.1, 0.5]),
            ([0.0, 0.0], [-3.0, -2.6]),
            ([0.080, 0.084], [12.0, 12.5]),
            ([0.002, 0.004], [15.0, 14.7]),
        ]);
        for cell in &cells {
            let [low, high] = cell.score.interval.unwrap();
            assert!(high - low > 0.2 && high - low < 3.0, "{:?}", cell.score);
            let [low, high] = cell.wait_share.unwrap().interval.unwrap();
            assert!(low >= 0.0 && low < high && high <= 1.0, "{:?}", cell.wait_share);
        }
        let [low, high] = cells[2].wait_share.unwrap().interval.unwrap();
        assert!(low > FED && high < 0.11, "{low} {high}");
        // None of the others is held to wait for 5%.
        let highest = |cell: &CellSummary| cell.wait_share.unwrap().high();
        assert!([0, 1, 3].iter().all(|place| highest(&cells[*place]) < FED));
    }

    #[test]
    fn runs_to_confirm_do_not_count() {
        let mut confirming = record(0, 0, Some(900.0));
        confirming.phase = Phase::Confirm;
        let cells = cells(&[record(0, 0, Some(100.0)), confirming], 1, None);
        assert_eq!(cells[0].trial_rates, [100.0]);
        assert_eq!(cells[0].failed, 0);
    }
}
