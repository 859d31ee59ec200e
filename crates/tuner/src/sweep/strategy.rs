//! Which settings are run in the next block: a pure decision over what is on record, so that a sweep
//! that is resumed goes on as it would have, and that it can be tried in virtual time.

use std::collections::BTreeSet;

use clap::ValueEnum;
use profiler::statistics::median;
use serde::{Deserialize, Serialize};

use super::cell::{self, CellSummary, Expected};
use super::grid::{Cell, Cells};
use super::headline::LEAST_PAIRS;
use super::journal::{Phase, Status, TrialRecord};
use super::level::leveled;
use super::model::{Outlook, Prior};
use super::objective::{FED, Objective, Weights, cheaper, choose};
use super::search::{self, Allowed};
use crate::config::SweepConfig;

/// Which settings are run how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All settings, the same number of times; then those that could still be the best.
    #[default]
    Grid,
    /// Every other setting once, then in each block the few that could still be the best by the most.
    /// What a setting gives, and how sure that is, is said by a [model](super::model) of all runs; one
    /// is dropped when its figure, at 1.5 standard deviations better than expected, is not 2% better
    /// than the best expected one. Takes a quarter of the time of the grid with five repeats.
    Race,
    /// Likewise, but only a few settings at first, which the model needs, and a tenth of the time.
    Model,
}

impl Strategy {
    /// The name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Race => "race",
            Self::Model => "model",
        }
    }
}

/// What is to be decided for.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The settings.
    pub cells: &'a Cells,
    /// What is best.
    pub objective: Objective,
    /// The weights of the objective `custom`.
    pub weights: Option<&'a Weights>,
    /// Runs of each setting, at least.
    pub repeats: usize,
    /// Runs of a setting, at most.
    pub max_repeats: usize,
    /// Pairs of runs that hold the winner against the default at the end.
    pub confirm: usize,
    /// What is known before the trials; used by the strategy `model`.
    pub prior: Prior,
}

impl<'a> Task<'a> {
    /// Runs that confirm the winner, at least.
    pub(super) fn confirming(&self) -> usize {
        2 * LEAST_PAIRS.min(self.confirm)
    }

    /// What `sweep` asks for.
    pub fn new(cells: &'a Cells, sweep: &'a SweepConfig, prior: Prior) -> Self {
        Self {
            cells,
            objective: sweep.objective(),
            weights: sweep.score_weights(),
            repeats: sweep.repeats,
            max_repeats: sweep.max_repeats,
            confirm: sweep.confirm,
            prior,
        }
    }
}

/// The part of the grid that is in a block after the first, for all and for each batch size.
const AT_ONCE: usize = 16;
const LEAST_AT_ONCE: usize = 3;
/// What strategies are held against: so many runs of each setting.
const GRID_REPEATS: usize = 5;
/// As many runs take about as long as the ceilings.
const CEILINGS: usize = 3;
/// Runs that are allowed however small the grid is.
const LEAST_RUNS: usize = 12;

/// An interval of this half-width, by the size of the figure, is narrow enough.
pub(super) const NARROW: f64 = 0.02;

impl Strategy {
    /// Runs, at least and at most, those to confirm left out.
    pub fn runs(self, task: &Task<'_>) -> [usize; 2] {
        let block = self.block(task, &[], 0).len();
        let certain = if self == Self::Grid { task.repeats } else { 1 };
        [certain * block, self.most_runs(task).max(block)]
    }

    /// The settings of block `number`, by their places, from records as they were measured; none when
    /// enough is known, or no more runs are allowed. Records of that block and later ones do not count.
    pub fn block(self, task: &Task<'_>, measured: &[TrialRecord], number: usize) -> Vec<usize> {
        let earlier = earlier(measured, number);
        let chosen = match self {
            Self::Grid if number < task.repeats => (0..task.cells.grid).collect(),
            Self::Grid if number < task.max_repeats => undecided(task, &earlier),
            Self::Grid => Vec::new(),
            Self::Race if number == 0 => search::every_other(task),
            Self::Model if number == 0 => search::probes(task),
            Self::Race | Self::Model => {
                // Those of an earlier sweep took no time of this one, nor did those that were skipped.
                let own =
                    |run: &&TrialRecord| run.reused_from.is_none() && run.status != Status::Skipped;
                let own = earlier.iter().filter(own).count();
                // Beside them the default.
                let left = self.most_runs(task).saturating_sub(own).saturating_sub(1);
                let usual = (task.cells.grid / AT_ONCE).max(LEAST_AT_ONCE);
                // No block is left over that is hardly worth its run of the default.
                let at_once = if left < 2 * usual { left } else { usual };
                let allowed = Allowed { at_once, repeats: task.max_repeats };
                search::hopeful(task, &earlier, allowed)
            }
        };
        if chosen.is_empty() { Vec::new() } else { with_sentinel(task, chosen) }
    }

    /// The settings with figures, by `records`, and how good the strategy expects them to be, by the same
    /// runs as they were measured.
    pub(super) fn cells(
        self,
        task: &Task<'_>,
        measured: &[TrialRecord],
        records: &[TrialRecord],
    ) -> Vec<CellSummary> {
        let mut cells = cell::cells(records, task.cells.grid, task.weights);
        // Whether a setting feeds the consumer its own runs say best.
        if self == Self::Grid || task.objective == Objective::CheapestThatFeeds {
            return cells;
        }
        let outlook = Outlook::new(task, &earlier(measured, usize::MAX));
        for cell in &mut cells {
            let place = task.cells.place(cell.cell);
            cell.expected = place.map(|place| Expected {
                objective: task.objective,
                goodness: outlook.goodness(place, 0.0),
            });
        }
        cells
    }

    /// Whether it is known which setting is the best when there is no block `number`.
    pub fn known(self, task: &Task<'_>, measured: &[TrialRecord], number: usize) -> bool {
        let earlier = earlier(measured, number);
        match self {
            Self::Grid => undecided(task, &earlier).is_empty(),
            Self::Race | Self::Model => {
                let allowed = Allowed { at_once: 1, repeats: usize::MAX };
                search::hopeful(task, &earlier, allowed).is_empty()
            }
        }
    }

    /// What it takes of the time of a grid with five runs of each setting, ceilings and runs to confirm
    /// counted on both sides, as far as [`LEAST_RUNS`] allow.
    pub fn share(self) -> f64 {
        match self {
            Self::Grid => 1.0,
            Self::Race => 0.25,
            Self::Model => 0.1,
        }
    }

    /// Runs at most, those to confirm left out.
    fn most_runs(self, task: &Task<'_>) -> usize {
        if self == Self::Grid {
            return task.max_repeats * with_sentinel(task, 0..task.cells.grid).len();
        }
        let beside = (task.confirming() + CEILINGS) as f64;
        let grid = (GRID_REPEATS * task.cells.grid) as f64 + beside;
        ((self.share() * grid - beside).max(0.0) as usize).max(LEAST_RUNS)
    }
}

/// Whether another run ends before `budget_s`, and `reserved` more after it, when `spent_s` are over and
/// it takes as long as the middle one of the runs so far did: one that was held up must not end the sweep.
/// The first always does.
pub(super) fn in_time(budget_s: f64, spent_s: f64, runs_s: &[f64], reserved: usize) -> bool {
    let each_s = median(runs_s).unwrap_or(0.0);
    runs_s.is_empty() || spent_s + each_s * (1 + reserved) as f64 <= budget_s
}

/// The sweep's own runs of the blocks before `number`, [leveled] by no others.
fn earlier(measured: &[TrialRecord], number: usize) -> Vec<TrialRecord> {
    let sweep = |record: &&TrialRecord| record.phase == Phase::Sweep && record.repeat < number;
    let earlier = measured.iter().filter(sweep).cloned();
    leveled(&earlier.collect::<Vec<_>>())
}

/// The default setting is run in every block: its runs show how the machine changes.
fn with_sentinel(task: &Task<'_>, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut places: BTreeSet<usize> = places.into_iter().collect();
    places.insert(task.cells.sentinel);
    places.into_iter().collect()
}

/// The settings that must be run again to know which is the best, of all and of each batch size.
fn undecided(task: &Task<'_>, records: &[TrialRecord]) -> Vec<usize> {
    let cells = cell::cells(records, task.cells.grid, task.weights);
    let sizes: BTreeSet<usize> = cells.iter().map(|cell| cell.cell.batch_size).collect();
    let of_size = |size| cells.iter().filter(|cell| cell.cell.batch_size == size).collect();
    let mut all: BTreeSet<Cell> = sizes
        .into_iter()
        .map(of_size)
        .flat_map(|of_size| rivals(task.objective, of_size))
        .collect();
    all.extend(rivals(task.objective, cells.iter().collect()));
    all.into_iter().filter_map(|cell| task.cells.place(cell)).collect()
}

/// The leader and those that may be as good, as far as their intervals are not narrow; none when there
/// is one alone.
fn rivals(objective: Objective, cells: Vec<&CellSummary>) -> Vec<Cell> {
    let Some(choice) = choose(objective, cells.iter().copied()) else { return Vec::new() };
    let sound = || cells.iter().filter(|cell| cell.in_grid && cell.failed == 0);
    let winner = cells.iter().find(|cell| cell.cell == choice.winner);
    if objective == Objective::CheapestThatFeeds
        && let Some(winner) = winner
        && winner.wait_share.is_some_and(|wait| wait.median < FED)
    {
        // What matters is on which side of the line they are: the winner, and those that cost less.
        let astride = |cell: &&&CellSummary| {
            (cell.cell == winner.cell || cheaper(cell, winner))
                && cell.wait_share.is_some_and(|wait| (wait.low()..wait.high()).contains(&FED))
        };
        return sound().filter(astride).map(|cell| cell.cell).collect();
    }
    let goodness = |cell: &CellSummary| objective.goodness(cell);
    let leads = cells.iter().find(|cell| cell.cell == choice.leader).and_then(|it| goodness(it));
    let Some(low) = leads.map(|it| it.low()) else { return Vec::new() };
    let reaches = |cell: &&&CellSummary| goodness(cell).is_some_and(|it| it.high() >= low);
    let rivals: Vec<&CellSummary> = sound().filter(reaches).copied().collect();
    if rivals.len() < 2 {
        return Vec::new();
    }
    let wide = |cell: &&CellSummary| {
        let width = goodness(cell).and_then(|it| it.half_width());
        width.is_none_or(|width| width > NARROW)
    };
    rivals.into_iter().filter(wide).map(|cell| cell.cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::figures;
    use super::super::grid::Planned;
    use super::*;

    fn cells() -> Cells {
        let cell = |num_workers| Cell { batch_size: 8, num_workers, prefetch_depth: 1 };
        Cells { cells: (0..5).map(cell).collect(), grid: 5, sentinel: 1 }
    }

    fn run(cells: &Cells, cell: usize, repeat: usize, rate: f64) -> TrialRecord {
        let planned = Planned { phase: Phase::Sweep, repeat, cell };
        TrialRecord::new(planned, cells.cells[cell], Ok(&figures(rate, 8)))
    }

    #[test]
    fn the_grid_repeats_what_could_still_be_the_best_and_the_default() {
        let cells = cells();
        let task = Task {
            cells: &cells,
            objective: Objective::SamplesPerSecond,
            weights: None,
            repeats: 2,
            max_repeats: 4,
            confirm: 0,
            prior: Prior::default(),
        };
        let block = |records: &[TrialRecord], number| Strategy::Grid.block(&task, records, number);
        assert_eq!(block(&[], 0), [0, 1, 2, 3, 4]);
        let rates = [[10.0, 10.5], [50.0, 52.0], [96.0, 101.0], [103.0, 99.0], [30.0, 31.0]];
        let mut records = Vec::new();
        for (cell, rates) in rates.iter().enumerate() {
            for (repeat, rate) in rates.iter().enumerate() {
                records.push(run(&cells, cell, repeat, *rate));
            }
        }
        assert_eq!(block(&records, 1), [0, 1, 2, 3, 4]);
        assert_eq!(block(&records, 2), [1, 2, 3]);
        // Records of the block itself do not count, so that it is the same when resumed.
        records.push(run(&cells, 3, 2, 300.0));
        assert_eq!(block(&records, 2), [1, 2, 3]);
        assert!(!Strategy::Grid.known(&task, &records, 2));
        // There are no more runs, although it is not known.
        records.extend([run(&cells, 2, 2, 100.0), run(&cells, 1, 2, 51.0)]);
        records.extend([run(&cells, 3, 2, 101.0)]);
        assert_eq!(block(&records, 4), [] as [usize; 0]);
        assert!(!Strategy::Grid.known(&task, &records, 4));
    }

    #[test]
    fn one_run_that_was_held_up_does_not_end_it() {
        assert!(in_time(70.0, 5.0, &[], 10));
        assert!(in_time(70.0, 47.0, &[40.0, 1.0, 1.0], 10));
        assert!(!in_time(70.0, 47.0, &[40.0, 1.0, 1.0], 30));
        assert!(!in_time(20.0, 47.0, &[40.0, 1.0, 1.0], 0));
    }

    #[test]
    fn narrow_intervals_end_it_although_they_overlap() {
        let cells = cells();
        let task = Task {
            cells: &cells,
            objective: Objective::SamplesPerSecond,
            weights: None,
            repeats: 2,
            max_repeats: 9,
            confirm: 0,
            prior: Prior::default(),
        };
        let mut records = Vec::new();
        for cell in 0..5 {
            for (repeat, rate) in [100.0, 100.2].into_iter().enumerate() {
                records.push(run(&cells, cell, repeat, rate));
            }
        }
        assert_eq!(Strategy::Grid.block(&task, &records, 2), [] as [usize; 0]);
        assert!(Strategy::Grid.known(&task, &records, 2));
    }

    #[test]
    fn runs_of_an_earlier_sweep_do_not_count_as_runs_of_this_one() {
        let cells = cells();
        let task = Task {
            cells: &cells,
            objective: Objective::SamplesPerSecond,
            weights: None,
            repeats: 1,
            max_repeats: 9,
            confirm: 0,
            prior: Prior::default(),
        };
        let mut records = Vec::new();
        for cell in 0..5 {
            for (repeat, rate) in [100.0, 106.0, 94.0].into_iter().enumerate() {
                records.push(run(&cells, cell, repeat, rate));
            }
        }
        assert_eq!(Strategy::Race.block(&task, &records, 3), [] as [usize; 0]);
        records.iter_mut().for_each(|record| record.reused_from = Some("earlier".to_owned()));
        assert_ne!(Strategy::Race.block(&task, &records, 3), [] as [usize; 0]);
    }
}
