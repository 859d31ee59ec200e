//! From trials to a ranking: `summary.json`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use loader::settings::MachineTable;
use profiler::rules::DataLoadingBottleneck;
use profiler::stage::StageTimes;
use serde::{Deserialize, Serialize};

use super::grid::Cell;
use super::journal::{Status, TrialRecord};
use super::score::ScoreTerms;
use crate::TunerError;

/// What a sweep found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// When the sweep was begun, in UTC.
    pub started: String,
    /// When this was written, in UTC.
    pub finished: String,
    /// The command line.
    pub command: String,
    /// Where it was measured.
    pub machine: MachineTable,
    /// What was loaded.
    pub data: DataTable,
    /// Processes for each setting, as planned.
    pub repeats: usize,
    /// Length of each measurement, at least.
    pub measure_s: f64,
    /// Settings with figures, by rank: the best first.
    pub cells: Vec<CellSummary>,
    /// Trials without figures.
    pub failed: Vec<TrialRecord>,
    /// The recommended setting.
    pub recommended: Cell,
    /// The setting with the most samples a second.
    pub fastest: Cell,
}

impl Summary {
    /// The recommended setting's figures.
    ///
    /// # Errors
    /// If they are missing: a bug, or a file changed by hand.
    pub fn winner(&self) -> Result<&CellSummary, TunerError> {
        self.find(self.recommended)
    }

    /// The figures of `cell`.
    ///
    /// # Errors
    /// If they are missing.
    pub fn find(&self, cell: Cell) -> Result<&CellSummary, TunerError> {
        let found = self.cells.iter().find(|summary| summary.cell == cell);
        found.ok_or_else(|| TunerError::Bug(format!("no figures for {cell:?}")))
    }
}

/// The value of [`Summary::schema`].
pub const SCHEMA: &str = "tuner-sweep-1";

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataTable {
    /// The folder.
    pub root: String,
    /// Samples in it.
    pub samples: usize,
    /// Classes.
    pub classes: usize,
    /// SHA-256 over names, labels and transforms: other data has another.
    pub fingerprint: String,
    /// Whether it was made to stand in for real data.
    pub stand_in: bool,
}

/// One setting's trials taken together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellSummary {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// Whether memory was pinned in effect.
    pub pin_memory: bool,
    /// Trials with figures.
    pub trials: usize,
    /// Samples a second.
    pub samples_per_s: Spread,
    /// Batches a second.
    pub batches_per_s: Spread,
    /// The documented score; its median is the setting's score.
    pub score: Spread,
    /// Seconds to the first batch.
    pub first_batch_s: Spread,
    /// Mean resident memory in bytes.
    pub rss_mean_bytes: Spread,
    /// Peak resident memory in bytes.
    pub rss_peak_bytes: Spread,
    /// GPU memory in bytes; absent without a GPU.
    pub gpu_mean_bytes: Option<Spread>,
    /// CPU use in percent of the usable cores.
    pub cpu_percent: Spread,
    /// Documented bottlenecks found in any trial.
    pub bottlenecks: Vec<DataLoadingBottleneck>,
    /// Terms of the score, each the median of the trials'.
    pub score_terms: ScoreTerms,
    /// Thread-seconds by stage, summed over the trials.
    pub stages: StageTimes,
    /// Length of the measurements, summed over the trials.
    pub wall_s: f64,
}

/// Median and range of the trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = values.len() / 2;
        let median = (values[(values.len() - 1) / 2] + values[upper]) / 2.0;
        Some(Self { median, min, max })
    }
}

/// Takes the trials of each cell together; the latest record of a trial counts. Ranked by score.
pub fn cells(records: &[TrialRecord]) -> Vec<CellSummary> {
    let latest = latest(records);
    let count = latest.iter().map(|record| record.cell + 1).max().unwrap_or(0);
    let mut cells: Vec<CellSummary> = (0..count)
        .filter_map(|cell| {
            let trials: Vec<&TrialRecord> = latest
                .iter()
                .copied()
                .filter(|record| record.cell == cell && record.status == Status::Ok)
                .collect();
            summarize(&trials)
        })
        .collect();
    cells.sort_by(|a, b| b.score.median.total_cmp(&a.score.median));
    cells
}

/// Of each trial the record that counts: the last one written.
pub fn latest(records: &[TrialRecord]) -> Vec<&TrialRecord> {
    let latest: BTreeMap<_, _> = records.iter().map(|record| (record.planned(), record)).collect();
    latest.into_values().collect()
}

fn summarize(trials: &[&TrialRecord]) -> Option<CellSummary> {
    let first = trials.first()?;
    let spread = |value: &dyn Fn(&TrialRecord) -> Option<f64>| {
        Spread::of(trials.iter().filter_map(|trial| value(trial)).collect())
    };
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
    let term = |term: &dyn Fn(&ScoreTerms) -> Option<f64>| {
        spread(&|trial| trial.score_terms.as_ref().and_then(term)).map(|spread| spread.median)
    };
    let mut bottlenecks: Vec<_> =
        trials.iter().flat_map(|trial| trial.bottlenecks.iter().copied()).collect();
    bottlenecks.sort_unstable();
    bottlenecks.dedup();
    let mut stages = StageTimes::default();
    trials.iter().filter_map(|trial| trial.stages).for_each(|times| stages += times);
    Some(CellSummary {
        cell: Cell {
            batch_size: first.batch_size,
            num_workers: first.num_workers,
            prefetch_depth: first.prefetch_depth,
        },
        pin_memory: first.pin_memory.unwrap_or(false),
        trials: trials.len(),
        samples_per_s: spread(&|t| t.samples_per_s)?,
        batches_per_s: spread(&|t| t.batches_per_s)?,
        score: spread(&|t| t.score)?,
        first_batch_s: spread(&|t| t.first_batch_s)?,
        rss_mean_bytes: spread(&|t| bytes(t.rss_mean_bytes))?,
        rss_peak_bytes: spread(&|t| bytes(t.rss_peak_bytes))?,
        gpu_mean_bytes: spread(&|t| bytes(t.gpu_mean_bytes)),
        cpu_percent: spread(&|t| t.cpu_percent)?,
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
        wall_s: trials.iter().filter_map(|trial| trial.wall_s).sum(),
    })
}

/// The cell with the most samples a second.
pub fn fastest(cells: &[CellSummary]) -> Option<&CellSummary> {
    cells.iter().max_by(|a, b| a.samples_per_s.median.total_cmp(&b.samples_per_s.median))
}

/// How far below the leader's score another may lie and still be its equal, however wide the
/// leader's range: one slow trial must not make equals of all.
const TIE_SHARE: f64 = 0.05;

/// The cell with the best score. Those whose score lies within the range of the leader's trials,
/// and at most 5% below it, are its equals: of these the one with fewer workers, then less
/// memory, then smaller depth.
pub fn best<'a>(cells: impl IntoIterator<Item = &'a CellSummary>) -> Option<&'a CellSummary> {
    let cells: Vec<&CellSummary> = cells.into_iter().collect();
    let leader =
        cells.iter().map(|cell| cell.score).max_by(|a, b| a.median.total_cmp(&b.median))?;
    let least = leader.min.max(leader.median - TIE_SHARE * leader.median.abs());
    let ties = cells.into_iter().filter(|cell| cell.score.median >= least);
    ties.min_by_key(|summary| {
        let Cell { num_workers, prefetch_depth, .. } = summary.cell;
        // Less than 16 MiB are no difference.
        let memory = (summary.rss_mean_bytes.median / f64::from(1 << 24)) as u64;
        (num_workers, memory, prefetch_depth, Reverse(summary.cell.batch_size))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(num_workers: usize, prefetch_depth: usize, median: f64) -> CellSummary {
        let spread = |median: f64| Spread { median, min: median - 5.0, max: median + 5.0 };
        CellSummary {
            cell: Cell { batch_size: 32, num_workers, prefetch_depth },
            pin_memory: false,
            trials: 3,
            samples_per_s: spread(median),
            batches_per_s: spread(median / 32.0),
            score: spread(median),
            first_batch_s: spread(0.1),
            rss_mean_bytes: spread(1e8 + 1e8 * prefetch_depth as f64),
            rss_peak_bytes: spread(1e8),
            gpu_mean_bytes: None,
            cpu_percent: spread(100.0),
            bottlenecks: Vec::new(),
            score_terms: ScoreTerms {
                batches: median,
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

    #[test]
    fn a_median_is_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(spread(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn ties_go_to_fewer_workers_then_less_memory() {
        let cells = [cell(4, 2, 103.0), cell(2, 4, 100.0), cell(2, 1, 99.0), cell(1, 1, 60.0)];
        let best = best(&cells);
        assert_eq!(best.map(|b| (b.cell.num_workers, b.cell.prefetch_depth)), Some((2, 1)));
    }

    #[test]
    fn one_slow_trial_of_the_leader_makes_no_ties() {
        let mut leader = cell(4, 2, 120.0);
        leader.score.min = 10.0;
        let cells = [leader, cell(2, 4, 100.0)];
        assert_eq!(best(&cells).map(|b| b.cell.num_workers), Some(4));
        assert_eq!(fastest(&cells).map(|b| b.cell.num_workers), Some(4));
    }

    #[test]
    fn no_tie_goes_to_the_leader() {
        let cells = [cell(4, 2, 120.0), cell(2, 4, 100.0)];
        assert_eq!(best(&cells).map(|b| b.cell.num_workers), Some(4));
    }
}
