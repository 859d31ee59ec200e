//! What a sweep found: `summary.json`.

use std::cmp::Ordering;
use std::path::Path;

use loader::settings::MachineTable;
use serde::{Deserialize, Serialize};

use super::cache::CacheState;
use super::ceiling::Ceiling;
use super::cell::CellSummary;
use super::drift::Drift;
use super::fingerprint::DataTable;
use super::grid::Cell;
use super::headline::Headline;
use super::journal::TrialRecord;
use super::objective::{Choice, Objective, Weights, chosen_by};
use super::strategy::Strategy;
use super::timelines::CellTimeline;
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
    /// The recommended setting: the winner under the objective, or the default where fresh runs refute
    /// that.
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
    /// The winner against the default, on fresh runs; absent where none succeeded.
    pub headline: Option<Headline>,
    /// What a run of the recommended setting used over time, and one of the setting that it is held
    /// against.
    #[serde(default)]
    pub timelines: Vec<CellTimeline>,
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
    /// Seconds of a turn.
    pub turn_s: f64,
    /// Runs that were measured in turn with the default, and whose rates are those at the machine's usual
    /// speed.
    pub in_turn: usize,
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
    /// Runs taken over from an earlier sweep; absent where that was not asked for.
    pub reused: Option<Reused>,
    /// Runs that were measured although the rate still rose or fell after the longest warm-up.
    pub unsteady: usize,
    /// Why no more was run.
    pub ended: Ended,
}

/// What was taken over from an earlier sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reused {
    /// Its folder.
    pub from: String,
    /// So many runs were.
    pub runs: usize,
    /// Why none were, if so.
    pub refused: Option<String>,
}

impl Reused {
    /// That nothing was taken over although it was asked for, if so.
    pub fn warning(&self) -> Option<String> {
        let why = self.refused.as_ref()?;
        Some(format!("nothing was reused from `{}`: {why}", self.from))
    }

    /// How many runs and from where.
    pub(super) fn words(&self) -> String {
        format!("runs reused from `{}`: {}", self.from, self.runs)
    }
}

/// Why a sweep ran no more settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It is known, within 2%, which setting is the best, of all and of each batch size.
    #[default]
    Known,
    /// That is not known, but there are no more runs than these by the strategy or `max_repeats`.
    RunsUsedUp,
    /// That is not known, but the time budget was used up.
    OutOfTime,
}

impl Ended {
    /// Why the recommendation may not be the best, if that was not known at the end of a sweep by
    /// `strategy`.
    pub fn warning(self, strategy: Strategy) -> Option<&'static str> {
        match self {
            Self::Known => None,
            Self::RunsUsedUp if strategy == Strategy::Grid => Some(
                "the runs were used up before it was known which setting is the best: a greater \
                 `--max-repeats` or `--measure-s` tells more",
            ),
            Self::RunsUsedUp => Some(
                "the runs were used up before it was known which setting is the best: a greater \
                 `--max-repeats` or `--measure-s`, or `--strategy grid`, tells more",
            ),
            Self::OutOfTime => Some(
                "the time was up before it was known which setting is the best: `--resume` with a \
                 longer `--time-budget` goes on",
            ),
        }
    }
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

    /// The recommended setting against the default, on fresh runs.
    pub fn against_default(&self) -> Option<&Headline> {
        self.headline.as_ref().filter(|headline| headline.winner == self.recommended)
    }

    /// The fresh runs that refute the setting which won by the sweep's own, so that the default is
    /// recommended in its place, if they do.
    pub fn refuted(&self) -> Option<&Headline> {
        self.headline.as_ref().filter(|headline| headline.winner != self.recommended)
    }

    /// The winner under `objective`, if it applies.
    pub fn choice(&self, objective: Objective) -> Option<&Choice> {
        self.objectives.iter().find(|choice| choice.objective == objective)
    }
}

/// Puts cells in the order of [`Summary::cells`].
pub fn rank(cells: &mut [CellSummary], objective: Objective) {
    let goodness =
        |cell: &CellSummary| chosen_by(objective, cell).map_or(f64::NEG_INFINITY, |it| it.median);
    cells.sort_by(|a, b| {
        let failed = (a.failed > 0).cmp(&(b.failed > 0));
        let outside = b.in_grid.cmp(&a.in_grid);
        match failed.then(outside) {
            Ordering::Equal => goodness(b).total_cmp(&goodness(a)),
            order => order,
        }
    });
}
