//! The documented score of a trial.

use profiler::rules::{DataLoadingBottleneck, LoadingFigures, MB, data_loading_bottlenecks};
use serde::{Deserialize, Serialize};

use super::grid::Cell;
use crate::measure::Figures;

/// The terms of the score; it is their sum.
///
/// ```text
/// + 10  x batches per second
/// -       resident memory in MB / 100        (mean over the measurement, MB = 2^20 bytes)
/// -       GPU memory in MB / 100             (nothing where there is no GPU)
/// -       CPU use in percent / 10            (of the cores that the process may use)
/// -  5  x number of bottlenecks found        (the documented rules)
/// +  2    if there are workers
/// +  1    if memory is pinned
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreTerms {
    /// For batches per second.
    pub batches: f64,
    /// For resident memory.
    pub memory: f64,
    /// For GPU memory; absent without a GPU.
    pub gpu_memory: Option<f64>,
    /// For CPU use.
    pub cpu: f64,
    /// For bottlenecks.
    pub bottlenecks: f64,
    /// For having workers.
    pub workers: f64,
    /// For pinned memory.
    pub pin_memory: f64,
}

impl ScoreTerms {
    /// The terms for what a trial measured.
    pub fn new(cell: Cell, figures: &Figures, bottlenecks: usize) -> Self {
        let megabytes = |bytes: u64| bytes as f64 / MB as f64;
        Self {
            batches: 10.0 * figures.batches_per_s,
            memory: -megabytes(figures.rss_mean_bytes) / 100.0,
            gpu_memory: figures.gpu_mean_bytes.map(|bytes| -megabytes(bytes) / 100.0),
            cpu: -figures.cpu_percent / 10.0,
            // Not `-5.0 * n`, which is -0 for none.
            bottlenecks: 0.0 - 5.0 * bottlenecks as f64,
            workers: if cell.num_workers > 0 { 2.0 } else { 0.0 },
            pin_memory: if figures.pin_memory { 1.0 } else { 0.0 },
        }
    }

    /// Each 1: for looking at weights.
    pub(crate) fn ones() -> Self {
        Self {
            batches: 1.0,
            memory: 1.0,
            gpu_memory: Some(1.0),
            cpu: 1.0,
            bottlenecks: 1.0,
            workers: 1.0,
            pin_memory: 1.0,
        }
    }

    /// How much there is to add and to take off: the sizes of all terms. A score may be about 0, and
    /// differ from run to run by a share of this.
    pub fn size(&self) -> f64 {
        [
            self.batches,
            self.memory,
            self.gpu_memory.unwrap_or(0.0),
            self.cpu,
            self.bottlenecks,
            self.workers,
            self.pin_memory,
        ]
        .map(f64::abs)
        .iter()
        .sum()
    }

    /// The score.
    pub fn total(&self) -> f64 {
        self.batches
            + self.memory
            + self.gpu_memory.unwrap_or(0.0)
            + self.cpu
            + self.bottlenecks
            + self.workers
            + self.pin_memory
    }
}

/// The documented bottlenecks of a trial.
pub fn bottlenecks(cell: Cell, figures: &Figures) -> Vec<DataLoadingBottleneck> {
    data_loading_bottlenecks(&LoadingFigures {
        mean_batch_s: 1.0 / figures.batches_per_s,
        batches_per_s: figures.batches_per_s,
        num_workers: cell.num_workers,
        resident_bytes: figures.rss_mean_bytes,
        gpu_bytes: figures.gpu_mean_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            pin_memory: true,
            rss_mean_bytes: 500 * MB,
            gpu_mean_bytes: Some(200 * MB),
            cpu_percent: 80.0,
            ..super::super::cell::tests::figures(640.0, 32)
        }
    }

    #[test]
    fn the_score_is_the_documented_sum() {
        let cell = Cell { batch_size: 32, num_workers: 2, prefetch_depth: 2 };
        let terms = ScoreTerms::new(cell, &figures(), 1);
        assert_eq!(terms.total(), 200.0 - 5.0 - 2.0 - 8.0 - 5.0 + 2.0 + 1.0);
        let idle = Cell { num_workers: 0, ..cell };
        let bare = Figures { gpu_mean_bytes: None, pin_memory: false, ..figures() };
        let terms = ScoreTerms::new(idle, &bare, 0);
        assert_eq!(terms.gpu_memory, None);
        assert_eq!(terms.total(), 200.0 - 5.0 - 8.0);
    }

    #[test]
    fn bottlenecks_come_from_the_figures() {
        let cell = Cell { batch_size: 32, num_workers: 0, prefetch_depth: 1 };
        assert!(bottlenecks(cell, &figures()).is_empty());
        let slow = Figures { batches_per_s: 5.0, ..figures() };
        assert_eq!(
            bottlenecks(cell, &slow),
            [DataLoadingBottleneck::SlowDiskIo, DataLoadingBottleneck::InsufficientWorkers]
        );
    }
}
