//! Which settings are tried, and in which order.

use std::collections::BTreeSet;
use std::fmt;

use loader::Settings;
use preproc::SampleRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::journal::Phase;
use crate::config::SweepConfig;

/// One setting to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cell {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Worker threads.
    pub num_workers: usize,
    /// Batches ready or being filled; without workers it has no meaning and is the least tried.
    pub prefetch_depth: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch size {}, {}", self.batch_size, self.shape())
    }
}

impl From<&Settings> for Cell {
    fn from(settings: &Settings) -> Self {
        let Settings { batch_size, num_workers, prefetch_depth, .. } = *settings;
        Self { batch_size, num_workers, prefetch_depth }
    }
}

impl Cell {
    /// `settings` with this one.
    pub(crate) fn over(self, settings: &Settings) -> Settings {
        let Self { batch_size, num_workers, prefetch_depth } = self;
        Settings { batch_size, num_workers, prefetch_depth, ..settings.clone() }
    }

    /// The same from every grid: without workers, where the depth has no meaning, it is 1.
    pub(crate) fn plain(self) -> Self {
        match self.num_workers {
            0 => Self { prefetch_depth: 1, ..self },
            _ => self,
        }
    }

    /// The depth, in a table.
    pub(crate) fn depth(self) -> String {
        match self.num_workers {
            0 => "-".to_owned(),
            _ => self.prefetch_depth.to_string(),
        }
    }

    /// All but the batch size, in words.
    pub fn shape(self) -> String {
        match self.num_workers {
            0 => "no workers".to_owned(),
            1 => format!("1 worker, prefetch depth {}", self.prefetch_depth),
            workers => format!("{workers} workers, prefetch depth {}", self.prefetch_depth),
        }
    }
}

/// All settings of the configuration, each once: ordered by batch size, workers, depth.
pub fn cells(config: &SweepConfig) -> Vec<Cell> {
    let mut cells = Vec::new();
    let least_depth = config.prefetch_depth.iter().min().copied().unwrap_or(1);
    for &batch_size in &config.batch_size {
        for &num_workers in &config.num_workers {
            for &prefetch_depth in &config.prefetch_depth {
                let prefetch_depth = if num_workers == 0 { least_depth } else { prefetch_depth };
                cells.push(Cell { batch_size, num_workers, prefetch_depth });
            }
        }
    }
    cells.sort_unstable();
    cells.dedup();
    cells
}

/// The settings that a sweep runs: the grid, then those that are run for comparison alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cells {
    /// The settings; trials name them by their place here.
    pub cells: Vec<Cell>,
    /// So many of them, the first, are the grid.
    pub grid: usize,
    /// The place of the default setting, with the batch size of the configuration if that is in
    /// the grid: it is run in every block.
    pub sentinel: usize,
}

impl Cells {
    /// Of the configuration; `default` is what the loader takes without settings, with the
    /// configuration's batch size.
    pub fn new(config: &SweepConfig, default: Cell) -> Self {
        let mut cells = cells(config);
        let grid = cells.len();
        let sizes: BTreeSet<usize> = cells.iter().map(|cell| cell.batch_size).collect();
        for &batch_size in &sizes {
            let default = Cell { batch_size, ..default };
            if !cells.contains(&default) {
                cells.push(default);
            }
        }
        let least = sizes.first().copied().unwrap_or(default.batch_size);
        let batch_size = sizes.get(&default.batch_size).copied().unwrap_or(least);
        let sentinel = Cell { batch_size, ..default };
        let sentinel = cells.iter().position(|cell| *cell == sentinel).unwrap_or(0);
        Self { cells, grid, sentinel }
    }

    /// The place of `cell`.
    pub fn place(&self, cell: Cell) -> Option<usize> {
        self.cells.iter().position(|it| *it == cell)
    }

    /// The default setting, which stands at [`sentinel`](Self::sentinel).
    pub fn default_cell(&self) -> Cell {
        self.cells[self.sentinel]
    }

    /// The place of the default setting with this batch size.
    pub fn default_of(&self, batch_size: usize) -> Option<usize> {
        self.place(Cell { batch_size, ..self.default_cell() })
    }
}

/// One process to run: a setting, by its place in [`Cells`], and which repeat of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Planned {
    /// What for.
    pub phase: Phase,
    /// The block, from 0.
    pub repeat: usize,
    /// Place of the setting in the list of cells.
    pub cell: usize,
}

/// The runs of a block, in an order of its own, so that whatever drifts hits all alike.
pub fn block(phase: Phase, cells: &[usize], repeat: usize, seed: u64) -> Vec<Planned> {
    let mut block: Vec<Planned> =
        cells.iter().map(|&cell| Planned { phase, repeat, cell }).collect();
    let number = repeat as u64 + if phase == Phase::Confirm { 1 << 32 } else { 0 };
    block.shuffle(&mut SampleRng::of_order(seed, number));
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SweepConfig {
        SweepConfig {
            batch_size: vec![64, 32],
            num_workers: vec![0, 1, 2],
            prefetch_depth: vec![2, 1, 4],
            ..SweepConfig::default()
        }
    }

    #[test]
    fn without_workers_there_is_one_cell_whatever_the_depth() {
        let cells = cells(&config());
        assert_eq!(cells.len(), 2 * (1 + 2 * 3));
        let idle: Vec<_> = cells.iter().filter(|cell| cell.num_workers == 0).collect();
        assert_eq!(idle.len(), 2);
        assert!(idle.iter().all(|cell| cell.prefetch_depth == 1));
    }

    #[test]
    fn every_block_has_an_order_of_its_own() {
        let all: Vec<usize> = (0..14).collect();
        let order = |repeat| -> Vec<usize> {
            block(Phase::Sweep, &all, repeat, 7).iter().map(|planned| planned.cell).collect()
        };
        let mut sorted = order(2);
        sorted.sort_unstable();
        assert_eq!(sorted, all);
        assert_ne!(order(0), order(1));
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn the_default_is_run_whether_it_is_in_the_grid_or_not() {
        let default = Cell { batch_size: 64, num_workers: 2, prefetch_depth: 2 };
        let inside = Cells::new(&config(), default);
        assert_eq!((inside.cells.len(), inside.grid), (14, 14));
        assert_eq!(inside.default_cell(), default);

        let other = Cell { batch_size: 100, num_workers: 8, prefetch_depth: 2 };
        let outside = Cells::new(&config(), other);
        assert_eq!((outside.cells.len(), outside.grid), (16, 14));
        assert_eq!(outside.default_cell(), Cell { batch_size: 32, ..other });
        let of_64 = outside.default_of(64).unwrap();
        assert_eq!(outside.cells[of_64], Cell { batch_size: 64, ..other });
    }
}
