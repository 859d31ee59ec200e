//! From trials to a ranking: `summary.json`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use loader::settings::MachineTable;
use profiler::rules::DataLoadingBottleneck;
use profiler::stage::StageTimes;
use serde::{Deserialize, Serialize};

use super::fingerprint::DataTable;
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
    /// Settings with figures, by rank: the best score first, but below all others those of which a
    /// trial failed.
    pub cells: Vec<CellSummary>,
    /// Trials without figures.
    pub failed: Vec<TrialRecord>,
    /// The recommended setting.
    pub recommended: Cell,
    /// The setting with the most samples a second.
    pub fastest: Cell,
    /// Settings of which trials failed that could have won, for all that is known.
    pub could_have_won: Vec<Cell>,
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
    /// Trials without.
    pub failed: usize,
    /// Samples a second.
    pub samples_per_s: Spread,
    /// Samples a second of each trial, in the order of the trials.
    pub trial_rates: Vec<f64>,
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
    /// Documented bottlenecks, each with the number of trials in which it was found.
    pub bottlenecks: BTreeMap<DataLoadingBottleneck, usize>,
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

/// Takes the trials of each cell together; the latest record of a trial counts. In the order of
/// [`Summary::cells`].
pub fn cells(records: &[TrialRecord]) -> Vec<CellSummary> {
    let mut by_cell: BTreeMap<usize, Vec<&TrialRecord>> = BTreeMap::new();
    for record in latest(records) {
        by_cell.entry(record.cell).or_default().push(record);
    }
    let mut cells: Vec<CellSummary> =
        by_cell.into_values().filter_map(|records| summarize(&records)).collect();
    cells.sort_by(|a, b| {
        let score = b.score.median.total_cmp(&a.score.median);
        (a.failed > 0).cmp(&(b.failed > 0)).then(score)
    });
    cells
}

/// Of each trial the record that counts: the last one written.
pub fn latest(records: &[TrialRecord]) -> Vec<&TrialRecord> {
    let latest: BTreeMap<_, _> = records.iter().map(|record| (record.planned(), record)).collect();
    latest.into_values().collect()
}

fn summarize(records: &[&TrialRecord]) -> Option<CellSummary> {
    let trials: Vec<&TrialRecord> =
        records.iter().copied().filter(|record| record.status == Status::Ok).collect();
    let first = trials.first()?;
    let spread = |value: &dyn Fn(&TrialRecord) -> Option<f64>| {
        Spread::of(trials.iter().filter_map(|trial| value(trial)).collect())
    };
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
    let term = |term: &dyn Fn(&ScoreTerms) -> Option<f64>| {
        spread(&|trial| trial.score_terms.as_ref().and_then(term)).map(|spread| spread.median)
    };
    let mut bottlenecks = BTreeMap::new();
    for bottleneck in trials.iter().flat_map(|trial| &trial.bottlenecks) {
        *bottlenecks.entry(*bottleneck).or_default() += 1;
    }
    let mut stages = StageTimes::default();
    trials.iter().filter_map(|trial| trial.stages).for_each(|times| stages += times);
    Some(CellSummary {
        cell: first.setting(),
        pin_memory: first.pin_memory.unwrap_or(false),
        trials: trials.len(),
        failed: records.len() - trials.len(),
        samples_per_s: spread(&|t| t.samples_per_s)?,
        trial_rates: trials.iter().filter_map(|trial| trial.samples_per_s).collect(),
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

/// Those that all trials of which gave figures; if there are none, all. A setting of which a trial
/// failed is not to be recommended while there are others.
fn sound<'a>(cells: impl IntoIterator<Item = &'a CellSummary>) -> Vec<&'a CellSummary> {
    let (sound, shaky): (Vec<_>, Vec<_>) = cells.into_iter().partition(|cell| cell.failed == 0);
    if sound.is_empty() { shaky } else { sound }
}

/// The cell with the most samples a second.
pub fn fastest(cells: &[CellSummary]) -> Option<&CellSummary> {
    sound(cells)
        .into_iter()
        .max_by(|a, b| a.samples_per_s.median.total_cmp(&b.samples_per_s.median))
}

/// How far below the leader's score another may lie and still be its equal, however wide the
/// leader's range: one slow trial must not make equals of all.
const TIE_SHARE: f64 = 0.05;

/// Whether `cell` is the equal of the cell with the best score: its own lies within the range of
/// the leader's trials, and at most 5% below it.
pub fn equals(cell: &CellSummary, leader: &CellSummary) -> bool {
    let leader = leader.score;
    cell.score.median >= leader.min.max(leader.median - TIE_SHARE * leader.median.abs())
}

/// The cell with the best score. Of its [`equals()`] the one with fewer workers, then less memory,
/// then smaller depth, then larger batches.
pub fn best<'a>(cells: impl IntoIterator<Item = &'a CellSummary>) -> Option<&'a CellSummary> {
    let cells = sound(cells);
    let leader = cells.iter().copied().max_by(|a, b| a.score.median.total_cmp(&b.score.median))?;
    cells.into_iter().filter(|cell| equals(cell, leader)).min_by_key(|cell| preference(cell))
}

/// The least is preferred among equals.
fn preference(summary: &CellSummary) -> (usize, u64, usize, Reverse<usize>) {
    let Cell { num_workers, prefetch_depth, batch_size } = summary.cell;
    // Less than 16 MiB are no difference.
    let memory = (summary.rss_mean_bytes.median / f64::from(1 << 24)) as u64;
    (num_workers, memory, prefetch_depth, Reverse(batch_size))
}

/// What `cell` has that makes it preferred to `other`, its equal.
pub fn preferred_for(cell: &CellSummary, other: &CellSummary) -> &'static str {
    let (a, b) = (preference(cell), preference(other));
    if a.0 != b.0 {
        "fewer workers"
    } else if a.1 != b.1 {
        "less memory"
    } else if a.2 != b.2 {
        "a smaller prefetch depth"
    } else {
        "larger batches"
    }
}

/// The settings of which trials failed that could have won against `winner`: nothing is known of
/// them, or one of their trials is as good. What does not fit in memory could not.
pub fn could_have_won(
    winner: &CellSummary,
    cells: &[CellSummary],
    failed: &[TrialRecord],
) -> Vec<Cell> {
    let failed = failed.iter().filter(|trial| trial.status == Status::Failed);
    let settings: BTreeSet<Cell> = failed.map(TrialRecord::setting).collect();
    let rivals = settings.into_iter().filter(|cell| *cell != winner.cell).filter(|cell| {
        let known = cells.iter().find(|summary| summary.cell == *cell);
        known.is_none_or(|known| known.score.max >= winner.score.median)
    });
    rivals.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::grid::Planned;
    use super::*;
    use crate::measure::Figures;

    /// With batch size 32, and trials whose figures differ by 5 either way.
    pub(in crate::sweep) fn cell(
        num_workers: usize,
        prefetch_depth: usize,
        median: f64,
    ) -> CellSummary {
        let spread = |median: f64| Spread { median, min: median - 5.0, max: median + 5.0 };
        CellSummary {
            cell: Cell { batch_size: 32, num_workers, prefetch_depth },
            pin_memory: false,
            trials: 3,
            failed: 0,
            samples_per_s: spread(median),
            trial_rates: vec![median - 5.0, median, median + 5.0],
            batches_per_s: spread(median / 32.0),
            score: spread(median),
            first_batch_s: spread(0.1),
            rss_mean_bytes: spread(1e8 + 1e8 * prefetch_depth as f64),
            rss_peak_bytes: spread(1e8),
            gpu_mean_bytes: None,
            cpu_percent: spread(100.0),
            bottlenecks: BTreeMap::new(),
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
    fn record(cell: usize, repeat: usize, score: Option<f64>) -> TrialRecord {
        let setting = Cell { batch_size: 8, num_workers: cell, prefetch_depth: 1 };
        let planned = Planned { cell, repeat };
        let Some(score) = score else {
            let error = "killed".to_owned();
            return TrialRecord::without_figures(planned, setting, Status::Failed, error);
        };
        let figures = Figures {
            pin_memory: false,
            samples_per_s: score,
            batches_per_s: score / 8.0,
            first_batch_s: 0.1,
            rss_mean_bytes: 1 << 20,
            rss_peak_bytes: 1 << 20,
            gpu_mean_bytes: None,
            cpu_percent: 50.0,
            wall_s: 1.0,
            batches: 10,
            stages: StageTimes::default(),
        };
        TrialRecord::new(planned, setting, Ok(&figures))
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
        let cells = cells(&records);
        let order: Vec<usize> = cells.iter().map(|cell| cell.cell.num_workers).collect();
        assert_eq!(order, [0, 1, 2]);
        let failed: Vec<usize> = cells.iter().map(|cell| cell.failed).collect();
        assert_eq!(failed, [0, 1, 1]);
        let winner = best(&cells).unwrap_or(&cells[2]);
        let failures = records.iter().filter(|record| record.status == Status::Failed);
        let failures: Vec<TrialRecord> = failures.cloned().collect();
        assert_eq!(winner.cell.num_workers, 0);
        assert_eq!(fastest(&cells), Some(winner));
        let rivals = could_have_won(winner, &cells, &failures);
        let rivals: Vec<usize> = rivals.iter().map(|cell| cell.num_workers).collect();
        assert_eq!(rivals, [1, 3]);
    }

    #[test]
    fn where_all_settings_failed_once_the_best_of_them_is_taken() {
        let records = [record(0, 0, Some(100.0)), record(0, 1, None), record(1, 0, Some(300.0))];
        let cells = cells(&[&records[..], &[record(1, 1, None)]].concat());
        assert_eq!(best(&cells).map(|cell| cell.cell.num_workers), Some(1));
    }

    #[test]
    fn bottlenecks_are_counted_over_the_trials() {
        let slow = record(0, 0, Some(40.0));
        let cells = cells(&[slow, record(0, 1, Some(800.0)), record(0, 2, Some(800.0))]);
        let expected = [
            (DataLoadingBottleneck::SlowDiskIo, 1),
            (DataLoadingBottleneck::InsufficientWorkers, 1),
        ];
        assert_eq!(cells[0].bottlenecks, BTreeMap::from(expected));
        assert_eq!(cells[0].score_terms.bottlenecks, 0.0);
    }
}
