//! The documented data-loading bottlenecks: four fixed thresholds on what a loader's run showed.
//!
//! They are kept as they are documented, since the score of a trial counts them. Where the time
//! really goes is told by measured attribution, not by these.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes in a MB, as the thresholds and the score mean it.
pub const MB: u64 = 1 << 20;

/// A batch that takes longer than this on the average, in seconds, is slow.
pub const SLOW_BATCH_S: f64 = 0.1;
/// Without workers, fewer batches per second than this are too few.
pub const FEW_BATCHES_PER_S: f64 = 10.0;
/// More resident bytes than this are memory pressure.
pub const MEMORY_PRESSURE_BYTES: u64 = 1000 * MB;
/// More bytes on the GPU than this are transfer overhead.
pub const GPU_TRANSFER_BYTES: u64 = 500 * MB;

/// What one run of a loader showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadingFigures {
    /// Mean time from one batch to the next, in seconds.
    pub mean_batch_s: f64,
    /// Batches per second.
    pub batches_per_s: f64,
    /// Workers of the loader; 0 is the caller's own thread.
    pub num_workers: usize,
    /// Mean resident memory of the process, in bytes.
    pub resident_bytes: u64,
    /// Mean memory on the GPU, in bytes; `None` where there is no GPU.
    pub gpu_bytes: Option<u64>,
}

/// A documented data-loading bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataLoadingBottleneck {
    /// A batch takes over [`SLOW_BATCH_S`] on the average.
    SlowDiskIo,
    /// No workers and under [`FEW_BATCHES_PER_S`].
    InsufficientWorkers,
    /// The process holds over [`MEMORY_PRESSURE_BYTES`].
    MemoryPressure,
    /// There is a GPU and over [`GPU_TRANSFER_BYTES`] on it.
    GpuTransferOverhead,
}

impl DataLoadingBottleneck {
    /// Every bottleneck, in the order in which they are reported.
    pub const ALL: [Self; 4] = [
        Self::SlowDiskIo,
        Self::InsufficientWorkers,
        Self::MemoryPressure,
        Self::GpuTransferOverhead,
    ];

    /// The name in files and reports: `slow_disk_io` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::SlowDiskIo => "slow_disk_io",
            Self::InsufficientWorkers => "insufficient_workers",
            Self::MemoryPressure => "memory_pressure",
            Self::GpuTransferOverhead => "gpu_transfer_overhead",
        }
    }

    /// What it says, in a few words.
    pub fn meaning(self) -> String {
        match self {
            Self::SlowDiskIo => format!("a batch takes over {SLOW_BATCH_S} s"),
            Self::InsufficientWorkers => {
                format!("no workers, and under {FEW_BATCHES_PER_S} batches/s")
            }
            Self::MemoryPressure => {
                format!("the process holds over {} MB", MEMORY_PRESSURE_BYTES / MB)
            }
            Self::GpuTransferOverhead => {
                format!("over {} MB are on the GPU", GPU_TRANSFER_BYTES / MB)
            }
        }
    }

    /// What to do about it, as one sentence.
    pub fn suggestion(self) -> &'static str {
        match self {
            Self::SlowDiskIo => {
                "use more workers or faster storage, keep the data in memory, or make batches \
                 smaller"
            }
            Self::InsufficientWorkers => {
                "set num_workers to 1 or more, so that batches are made while the program computes"
            }
            Self::MemoryPressure => {
                "make batches smaller or lower prefetch_depth: the loader holds prefetch_depth + 1 \
                 batches"
            }
            Self::GpuTransferOverhead => {
                "set pin_memory, make batches smaller, or send uint8 and convert on the GPU"
            }
        }
    }

    fn found(self, figures: &LoadingFigures) -> bool {
        match self {
            Self::SlowDiskIo => figures.mean_batch_s > SLOW_BATCH_S,
            Self::InsufficientWorkers => {
                figures.num_workers == 0 && figures.batches_per_s < FEW_BATCHES_PER_S
            }
            Self::MemoryPressure => figures.resident_bytes > MEMORY_PRESSURE_BYTES,
            Self::GpuTransferOverhead => {
                figures.gpu_bytes.is_some_and(|bytes| bytes > GPU_TRANSFER_BYTES)
            }
        }
    }
}

impl fmt::Display for DataLoadingBottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The documented bottlenecks that `figures` show, in the order of [`DataLoadingBottleneck::ALL`].
///
/// # Example
///
/// ```
/// use profiler::rules::{DataLoadingBottleneck, LoadingFigures, data_loading_bottlenecks};
///
/// let figures = LoadingFigures {
///     mean_batch_s: 0.125,
///     batches_per_s: 8.0,
///     num_workers: 2,
///     resident_bytes: 300 << 20,
///     gpu_bytes: None,
/// };
/// assert_eq!(data_loading_bottlenecks(&figures), [DataLoadingBottleneck::SlowDiskIo]);
/// ```
pub fn data_loading_bottlenecks(figures: &LoadingFigures) -> Vec<DataLoadingBottleneck> {
    DataLoadingBottleneck::ALL.into_iter().filter(|rule| rule.found(figures)).collect()
}

#[cfg(test)]
mod tests {
    use super::DataLoadingBottleneck::*;
    use super::*;

    const FINE: LoadingFigures = LoadingFigures {
        mean_batch_s: 0.1,
        batches_per_s: 10.0,
        num_workers: 0,
        resident_bytes: 1000 << 20,
        gpu_bytes: Some(500 << 20),
    };

    fn found(figures: LoadingFigures) -> Vec<DataLoadingBottleneck> {
        data_loading_bottlenecks(&figures)
    }

    #[test]
    fn at_the_thresholds_nothing_is_found() {
        assert_eq!(found(FINE), []);
    }

    #[test]
    fn just_beyond_a_threshold_exactly_that_one_is_found() {
        assert_eq!(found(LoadingFigures { mean_batch_s: 0.100_001, ..FINE }), [SlowDiskIo]);
        assert_eq!(found(LoadingFigures { batches_per_s: 9.999, ..FINE }), [InsufficientWorkers]);
        assert_eq!(
            found(LoadingFigures { resident_bytes: (1000 << 20) + 1, ..FINE }),
            [MemoryPressure]
        );
        assert_eq!(
            found(LoadingFigures { gpu_bytes: Some((500 << 20) + 1), ..FINE }),
            [GpuTransferOverhead]
        );
    }

    #[test]
    fn with_a_worker_there_are_workers_enough() {
        assert_eq!(found(LoadingFigures { batches_per_s: 1.0, num_workers: 1, ..FINE }), []);
    }

    #[test]
    fn without_a_gpu_nothing_is_said_of_it() {
        assert_eq!(found(LoadingFigures { gpu_bytes: None, ..FINE }), []);
    }

    #[test]
    fn all_at_once_come_in_order() {
        let worst = LoadingFigures {
            mean_batch_s: 1.0,
            batches_per_s: 1.0,
            num_workers: 0,
            resident_bytes: 4 << 30,
            gpu_bytes: Some(4 << 30),
        };
        assert_eq!(found(worst), DataLoadingBottleneck::ALL);
    }

    #[test]
    fn one_name_everywhere_and_a_suggestion_for_each() {
        for rule in DataLoadingBottleneck::ALL {
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("\"{rule}\""));
            assert_eq!(serde_json::from_str::<DataLoadingBottleneck>(&json).unwrap(), rule);
            assert!(rule.suggestion().len() > 20);
        }
    }
}
