//! What a sweep found: `summary.json`.

use std::cmp::Ordering;
use std::path::Path;

use loader::settings::MachineTable;
use profiler::bootstrap::{Scatter, median};
use serde::{Deserialize, Serialize};

use super::cache::CacheState;
use super::ceiling::Ceiling;
use super::cell::{CellSummary, latest};
use super::fingerprint::DataTable;
use super::grid::Cell;
use super::journal::{Phase, TrialRecord};
use super::objective::{Choice, Objective, Weights};
use super::strategy::Strategy;
use crate::TunerError;
use crate::consumer::Consumer;

/// The value of [`Summary::schema`].
pub const SCHEMA: &str = "tuner-sweep-3";

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
    /// How it was measured.
    pub method: Method,
    /// What the parts of the way give on their own; empty where they were not measured.
    pub ceilings: Vec<Ceiling>,
    /// Settings with figures, by rank under the objective: the best first, but below all others
    /// those of which a run failed.
    pub cells: Vec<CellSummary>,
    /// Runs without figures.
    pub failed: Vec<TrialRecord>,
    /// The recommended setting: the winner under the objective.
    pub recommended: Cell,
    /// What the loader takes without settings, with the recommended batch size.
    pub default: Cell,
    /// The setting with the most samples a second.
    pub fastest: Cell,
    /// The winner under each objective that applies.
    pub objectives: Vec<Choice>,
    /// The winner of each batch size under the objective, in the order of batch sizes.
    pub by_batch_size: Vec<Choice>,
    /// Settings that no other beats in both samples a second and memory, by rising memory.
    pub pareto: Vec<Cell>,
    /// The recommended setting against the default, on fresh runs; absent where none succeeded.
    pub headline: Option<Headline>,
    /// How the machine changed meanwhile, seen by the runs of one setting; absent with one run.
    pub drift: Option<Drift>,
    /// Settings of which runs failed that could have won, for all that is known.
    pub could_have_won: Vec<Cell>,
}

/// How a sweep was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Which settings were run how often.
    pub strategy: Strategy,
    /// What the recommended setting is chosen for.
    pub objective: Objective,
    /// The weights of the objective `custom`.
    pub weights: Option<Weights>,
    /// What stood in for the training loop.
    pub consumer: Consumer,
    /// The state of the page cache.
    pub cache: CacheState,
    /// Runs of each setting, at least, as far as the strategy does not drop it.
    pub repeats: usize,
    /// Runs of a setting, at most.
    pub max_repeats: usize,
    /// Length of each measurement, at least.
    pub measure_s: f64,
    /// What the sweep was to take at most.
    pub time_budget_s: Option<f64>,
    /// What a run may take of memory, in bytes.
    pub memory_limit_bytes: u64,
    /// Blocks of one run of each setting that was still of interest.
    pub blocks: usize,
    /// Processes that were run, those to confirm among them.
    pub trials: usize,
    /// Seconds that they took.
    pub trials_s: f64,
    /// Whether it ended because its time was up and not because enough was known.
    pub out_of_time: bool,
}

/// The recommended setting against the default, on fresh runs, in pairs one right after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// What the loader takes without settings, with the recommended batch size.
    pub default: Cell,
    /// The recommended setting.
    pub winner: Cell,
    /// Samples a second of the winner by the default's: the median of the pairs.
    pub ratio: f64,
    /// 95% bootstrap interval of it; absent with fewer than three pairs.
    pub interval: Option<[f64; 2]>,
    /// Of each pair.
    pub winner_samples_per_s: Vec<f64>,
    /// Of each pair.
    pub default_samples_per_s: Vec<f64>,
}

/// What the runs of one setting, one in each block, say of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The default setting.
    pub cell: Cell,
    /// Of each block.
    pub samples_per_s: Vec<f64>,
    /// The highest less the lowest, by the median.
    pub spread: f64,
    /// The last block by the first, less 1.
    pub change: f64,
}

impl Summary {
    /// Reads the `summary.json` at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is cut short or damaged, or of another schema.
    pub fn read(path: &Path) -> Result<Self, TunerError> {
        /// What every schema has.
        #[derive(Deserialize)]
        struct Kind {
            schema: String,
        }
        let bytes = std::fs::read(path).map_err(TunerError::file("read", path))?;
        let error = |source| TunerError::Summary { path: path.to_owned(), source };
        let Kind { schema } = serde_json::from_slice(&bytes).map_err(error)?;
        if schema != SCHEMA {
            return Err(TunerError::SummarySchema { path: path.to_owned(), got: schema });
        }
        serde_json::from_slice(&bytes).map_err(error)
    }

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

    /// The winner under `objective`, if it applies.
    pub fn choice(&self, objective: Objective) -> Option<&Choice> {
        self.objectives.iter().find(|choice| choice.objective == objective)
    }
}

/// Puts cells in the order of [`Summary::cells`].
pub fn rank(cells: &mut [CellSummary], objective: Objective) {
    let goodness =
        |cell: &CellSummary| objective.goodness(cell).map_or(f64::NEG_INFINITY, |it| it.median);
    cells.sort_by(|a, b| {
        let failed = (a.failed > 0).cmp(&(b.failed > 0));
        let outside = b.in_grid.cmp(&a.in_grid);
        match failed.then(outside) {
            Ordering::Equal => goodness(b).total_cmp(&goodness(a)),
            order => order,
        }
    });
}

impl Headline {
    /// From the pairs of runs that confirm `winner`; `None` where no pair is whole.
    pub fn of(winner: Cell, default: Cell, records: &[TrialRecord]) -> Option<Self> {
        let confirming: Vec<&TrialRecord> =
            latest(records).into_iter().filter(|record| record.phase == Phase::Confirm).collect();
        let rate = |cell: Cell, repeat: usize| {
            let run = |it: &&&TrialRecord| it.setting() == cell && it.repeat == repeat;
            confirming.iter().find(run)?.samples_per_s
        };
        let repeats = confirming.iter().map(|record| record.repeat + 1).max().unwrap_or(0);
        let pairs: Vec<(f64, f64)> = (0..repeats)
            .filter_map(|repeat| Some((rate(winner, repeat)?, rate(default, repeat)?)))
            .collect();
        let ratios: Vec<f64> = pairs.iter().map(|(winner, default)| winner / default).collect();
        Some(Self {
            default,
            winner,
            ratio: median(&ratios)?,
            interval: Scatter::of([&ratios[..]]).interval(&ratios),
            winner_samples_per_s: pairs.iter().map(|pair| pair.0).collect(),
            default_samples_per_s: pairs.iter().map(|pair| pair.1).collect(),
        })
    }
}

impl Drift {
    /// From the runs of the setting `cell`, at that `place` in the list; `None` of fewer than two.
    pub fn of(cell: Cell, place: usize, records: &[TrialRecord]) -> Option<Self> {
        let runs = latest(records);
        let rates = runs.iter().filter(|it| it.phase == Phase::Sweep && it.cell == place);
        let samples_per_s: Vec<f64> = rates.filter_map(|record| record.samples_per_s).collect();
        let (first, last) = (samples_per_s.first()?, samples_per_s.get(1..)?.last()?);
        let change = last / first - 1.0;
        let most = samples_per_s.iter().copied().reduce(f64::max)?;
        let least = samples_per_s.iter().copied().reduce(f64::min)?;
        let spread = (most - least) / median(&samples_per_s)?;
        Some(Self { cell, spread, change, samples_per_s })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::figures;
    use super::super::grid::Planned;
    use super::*;

    const WINNER: Cell = Cell { batch_size: 8, num_workers: 2, prefetch_depth: 4 };
    const DEFAULT: Cell = Cell { batch_size: 8, num_workers: 2, prefetch_depth: 2 };

    fn run(phase: Phase, setting: Cell, repeat: usize, rate: f64) -> TrialRecord {
        let cell = usize::from(setting == DEFAULT);
        let planned = Planned { phase, cell, repeat };
        TrialRecord::new(planned, setting, Ok(&figures(rate, 8)))
    }

    #[test]
    fn the_headline_is_of_pairs_so_that_drift_does_not_count() {
        // The machine becomes three times slower; each pair has the same ratio, about.
        let rates = [(120.0, 100.0), (61.0, 50.0), (41.0, 34.0)];
        let mut records = vec![run(Phase::Sweep, WINNER, 0, 999.0)];
        for (repeat, (winner, default)) in rates.into_iter().enumerate() {
            records.push(run(Phase::Confirm, DEFAULT, repeat, default));
            records.push(run(Phase::Confirm, WINNER, repeat, winner));
        }
        // A pair that was not finished.
        records.push(run(Phase::Confirm, WINNER, 3, 500.0));
        let headline = Headline::of(WINNER, DEFAULT, &records).unwrap();
        assert_eq!(headline.winner_samples_per_s, [120.0, 61.0, 41.0]);
        assert!((headline.ratio - 41.0 / 34.0).abs() < 1e-9, "{headline:?}");
        let [low, high] = headline.interval.unwrap();
        assert!(low > 1.15 && low < high && high < 1.27, "{low} {high}");
        assert_eq!(Headline::of(WINNER, DEFAULT, &records[..2]), None);
    }

    #[test]
    fn drift_is_seen_by_the_runs_of_one_setting() {
        let records: Vec<TrialRecord> = [100.0, 90.0, 80.0]
            .into_iter()
            .enumerate()
            .map(|(repeat, rate)| run(Phase::Sweep, DEFAULT, repeat, rate))
            .collect();
        let drift = Drift::of(DEFAULT, 1, &records).unwrap();
        assert_eq!(drift.samples_per_s, [100.0, 90.0, 80.0]);
        assert!((drift.change + 0.2).abs() < 1e-9 && (drift.spread - 20.0 / 90.0).abs() < 1e-9);
        assert_eq!(Drift::of(DEFAULT, 1, &records[..1]), None);
    }
}
