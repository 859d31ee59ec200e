//! Which settings are run in the next block: a pure decision over what is on record, so that a sweep
//! that is resumed goes on as it would have, and that it can be tried in virtual time.

use std::collections::BTreeSet;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::cell::{self, CellSummary};
use super::estimate::Estimate;
use super::grid::{Cell, Cells};
use super::journal::{Phase, TrialRecord};
use super::model::Prior;
use super::objective::{FED, Objective, Weights, choose};
use super::search;
use crate::config::SweepConfig;

/// Which settings are run how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// All settings, the same number of times; then those that could still be the best.
    #[default]
    Grid,
    /// All settings once, then in each block the few that could still be the best by the most: a
    /// setting is dropped when what a [model] of all runs says of it excludes the leader's.
    Race,
    /// Likewise, but only a few settings at first, which the model needs.
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
    /// What is known before the trials; used by the strategy `model`.
    pub prior: Prior,
}

impl<'a> Task<'a> {
    /// What `sweep` asks for.
    pub fn new(cells: &'a Cells, sweep: &'a SweepConfig, prior: Prior) -> Self {
        Self {
            cells,
            objective: sweep.objective(),
            weights: sweep.score_weights(),
            repeats: sweep.repeats,
            max_repeats: sweep.max_repeats,
            prior,
        }
    }
}

/// The part of the grid that is in a block after the first, for all and for each batch size.
const AT_ONCE: usize = 16;
const LEAST_AT_ONCE: usize = 3;
/// Runs after the first block that are allowed however small the grid is.
const LEAST_AFTER: usize = 12;

/// An interval of this half-width, by the median, is narrow enough.
pub(super) const NARROW: f64 = 0.02;

impl Strategy {
    /// Runs, at least and at most, those to confirm left out.
    pub fn runs(self, task: &Task<'_>) -> [usize; 2] {
        let block = self.block(task, &[], 0).len();
        let certain = if self == Self::Grid { task.repeats } else { 1 };
        [certain * block, self.most_runs(task).max(block)]
    }

    /// The settings of block `number`, by their places; none when enough is known. Records of that
    /// block and later ones do not count.
    pub fn block(self, task: &Task<'_>, records: &[TrialRecord], number: usize) -> Vec<usize> {
        let earlier: Vec<TrialRecord> = records
            .iter()
            .filter(|record| record.phase == Phase::Sweep && record.repeat < number)
            .cloned()
            .collect();
        match self {
            Self::Grid if number < task.repeats => with_sentinel(task, 0..task.cells.grid),
            Self::Grid if number < task.max_repeats => {
                let cells = cell::cells(&earlier, task.cells.grid, task.weights, None);
                let undecided = undecided(task, &cells, usize::MAX);
                if undecided.is_empty() { Vec::new() } else { with_sentinel(task, undecided) }
            }
            Self::Grid => Vec::new(),
            Self::Race if number == 0 => with_sentinel(task, 0..task.cells.grid),
            Self::Model if number == 0 => with_sentinel(task, search::probes(task)),
            Self::Race | Self::Model => {
                let left = self.most_runs(task).saturating_sub(earlier.len());
                // Beside them the default.
                let most =
                    (task.cells.grid / AT_ONCE).max(LEAST_AT_ONCE).min(left.saturating_sub(1));
                let chosen = match task.objective {
                    Objective::Documented | Objective::SamplesPerSecond | Objective::Custom => {
                        search::hopeful(task, &earlier, most)
                    }
                    // Not what the model is of.
                    _ => {
                        let cells = cell::cells(&earlier, task.cells.grid, task.weights, None);
                        let runs = |place| earlier.iter().filter(|it| it.cell == place).count();
                        let mut undecided = undecided(task, &cells, most);
                        undecided.retain(|place| runs(*place) < task.max_repeats);
                        undecided
                    }
                };
                if chosen.is_empty() { Vec::new() } else { with_sentinel(task, chosen) }
            }
        }
    }

    /// Runs at most. Of a grid of 48 settings a race makes a quarter of the runs that five of each are,
    /// and the model a tenth.
    fn most_runs(self, task: &Task<'_>) -> usize {
        let grid = task.cells.grid;
        match self {
            Self::Grid => task.max_repeats * with_sentinel(task, 0..grid).len(),
            Self::Race => grid + (grid / 4).max(LEAST_AFTER),
            Self::Model => (grid / 2).max(LEAST_AFTER),
        }
    }
}

/// The default setting is run in every block: its runs show how the machine changes.
fn with_sentinel(task: &Task<'_>, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut places: BTreeSet<usize> = places.into_iter().collect();
    places.insert(task.cells.sentinel);
    places.into_iter().collect()
}

/// The settings that must be run again to know which is the best, of all and of each batch size: of
/// each at most so many, those that could be the best by the most.
fn undecided(task: &Task<'_>, cells: &[CellSummary], most: usize) -> Vec<usize> {
    let sizes: BTreeSet<usize> = cells.iter().map(|cell| cell.cell.batch_size).collect();
    let all: BTreeSet<Cell> = sizes
        .into_iter()
        .flat_map(|size| {
            let of_size: Vec<&CellSummary> =
                cells.iter().filter(|cell| cell.cell.batch_size == size).collect();
            undecided_among(task.objective, &of_size, most)
        })
        .chain(undecided_among(task.objective, &cells.iter().collect::<Vec<_>>(), most))
        .collect();
    all.into_iter().filter_map(|cell| task.cells.place(cell)).collect()
}

fn undecided_among(objective: Objective, cells: &[&CellSummary], most: usize) -> Vec<Cell> {
    let Some(choice) = choose(objective, cells.iter().copied()) else { return Vec::new() };
    let sound = cells.iter().filter(|cell| cell.in_grid && cell.failed == 0);
    if objective == Objective::CheapestThatFeeds {
        // What matters is on which side of the line they are.
        let astride = sound.filter(|cell| {
            let interval = cell.wait_share.and_then(|wait| wait.interval);
            interval.is_none_or(|[low, high]| (low..high).contains(&FED))
        });
        // In the order of the grid: the cheapest first.
        return astride.map(|cell| cell.cell).take(most).collect();
    }
    let goodness = |cell: &CellSummary| objective.goodness(cell);
    let Some(leads) = cells.iter().find(|cell| cell.cell == choice.leader) else {
        return Vec::new();
    };
    let Some(low) = goodness(leads).map(|it| it.interval.map_or(it.min, |[low, _]| low)) else {
        return Vec::new();
    };
    let reaches = |it: Estimate| it.interval.is_none_or(|[_, high]| high >= low);
    let rivals: Vec<&CellSummary> =
        sound.copied().filter(|cell| goodness(cell).is_some_and(reaches)).collect();
    if rivals.len() < 2 {
        return Vec::new();
    }
    let wide = |cell: &&CellSummary| {
        let width = goodness(cell).and_then(|it| it.half_width());
        width.is_none_or(|width| width > NARROW)
    };
    let could_reach = |cell: &CellSummary| {
        goodness(cell).map_or(f64::NEG_INFINITY, |it| it.interval.map_or(it.max, |[_, high]| high))
    };
    let mut rivals: Vec<&CellSummary> = rivals.into_iter().filter(wide).collect();
    rivals.sort_by(|a, b| could_reach(b).total_cmp(&could_reach(a)));
    rivals.into_iter().take(most).map(|cell| cell.cell).collect()
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
        // Now it is known.
        records.extend([run(&cells, 2, 2, 100.0), run(&cells, 1, 2, 51.0)]);
        records.extend([run(&cells, 3, 2, 101.0)]);
        assert_eq!(block(&records, 4), [] as [usize; 0]);
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
            prior: Prior::default(),
        };
        let mut records = Vec::new();
        for cell in 0..5 {
            for (repeat, rate) in [100.0, 100.2].into_iter().enumerate() {
                records.push(run(&cells, cell, repeat, rate));
            }
        }
        assert_eq!(Strategy::Grid.block(&task, &records, 2), [] as [usize; 0]);
    }
}
