//! Which settings are tried, and in which order.

use std::fmt;

use preproc::SampleRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

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
        let Self { batch_size, num_workers, prefetch_depth } = self;
        match num_workers {
            0 => write!(f, "batch size {batch_size}, no workers"),
            1 => write!(f, "batch size {batch_size}, 1 worker, prefetch depth {prefetch_depth}"),
            _ => write!(
                f,
                "batch size {batch_size}, {num_workers} workers, prefetch depth {prefetch_depth}"
            ),
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

/// One process to run: a setting, by its place in [`cells`], and which repeat of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Planned {
    /// Place of the setting in the list of cells.
    pub cell: usize,
    /// From 0.
    pub repeat: usize,
}

/// The order of the trials: blocks of one repeat of every cell, each in an order of its own.
pub fn order(cells: usize, repeats: usize, seed: u64) -> Vec<Planned> {
    let mut order = Vec::with_capacity(cells * repeats);
    for repeat in 0..repeats {
        let mut block: Vec<Planned> = (0..cells).map(|cell| Planned { cell, repeat }).collect();
        block.shuffle(&mut SampleRng::of_order(seed, repeat as u64));
        order.extend(block);
    }
    order
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
    fn every_block_holds_every_cell_in_an_order_of_its_own() {
        let order = order(14, 3, 7);
        let blocks: Vec<_> = order.chunks(14).collect();
        for (repeat, block) in blocks.iter().enumerate() {
            let mut sorted = block.to_vec();
            sorted.sort_unstable();
            let expected: Vec<_> = (0..14).map(|cell| Planned { cell, repeat }).collect();
            assert_eq!(sorted, expected);
        }
        let cells = |block: &[Planned]| block.iter().map(|p| p.cell).collect::<Vec<_>>();
        assert_ne!(cells(blocks[0]), cells(blocks[1]));
        assert_eq!(order, super::order(14, 3, 7));
    }
}
