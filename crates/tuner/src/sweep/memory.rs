//! What a run will take of memory, said before it is run.

use std::time::Duration;

use loader::{Field, Settings};
use profiler::machine;
use profiler::monitor::{Monitor, MonitorOptions};
use serde::{Deserialize, Serialize};

use super::ceiling::{FEW, drain};
use super::grid::Cell;
use crate::measure::{SAMPLING, rss_bytes};
use crate::{Config, TunerError, dataset};

/// From a setting to the memory of its process. A run holds, at its peak and beyond what the process
/// held before the loader was built,
///
/// ```text
/// batches x bytes of a batch  +  fixed  +  threads x bytes of a thread
/// ```
///
/// where the batches are those ready or being filled and the one that the consumer has (one without
/// workers), and the threads those that load. The last two terms, such as buffers for a file and its
/// pixels, are measured before the trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryModel {
    /// What a process holds before the loader is built, the data set open.
    pub base_bytes: u64,
    /// What loading takes however many threads do it.
    pub fixed_bytes: u64,
    /// What a thread takes that loads.
    pub thread_bytes: u64,
}

impl Default for MemoryModel {
    /// Where nothing could be measured.
    fn default() -> Self {
        // Resident memory of a process with libtorch before it loads anything, at most.
        Self { base_bytes: 300 << 20, fixed_bytes: 0, thread_bytes: 0 }
    }
}

/// Threads that load beside the first while memory is measured, at most.
const MOST_THREADS: usize = 4;

impl MemoryModel {
    /// Measures it, for `time` alone and for as long with more threads: buffers grow until each thread
    /// has met the largest sample. To be called first in a process of its own.
    ///
    /// # Errors
    /// If the data cannot be opened or a sample not be loaded.
    pub(super) fn measure(config: &Config, time: Duration) -> Result<Self, TunerError> {
        let largest = |numbers: &[usize]| numbers.iter().max().copied().unwrap_or(1);
        let batch_size = FEW.min(largest(&config.sweep.batch_size));
        let threads = largest(&config.sweep.num_workers).clamp(1, MOST_THREADS);
        let settings = |num_workers| Settings {
            batch_size,
            num_workers,
            prefetch_depth: 1,
            drop_last: false,
            ..config.loader.clone()
        };
        let alone = dataset::open(config)?;
        let batch = (batch_size * sample_bytes(&alone.fields)) as u64;
        let monitor = Monitor::start(MonitorOptions::windows(SAMPLING))?;
        let base_bytes = rss_bytes()?;
        let beside = dataset::open(config)?;
        let before = rss_bytes()?;
        let peak = |window: profiler::monitor::Window| {
            window.finish().rss_peak_bytes.ok_or(TunerError::NoMemoryFigure)
        };

        // Kept as long as the other is measured, so that what it holds is held then too.
        let mut alone = alone.builder.settings(settings(0)).build()?;
        let window = monitor.window();
        drain(&mut alone, time, drop)?;
        let one = peak(window)?.saturating_sub(before + batch);
        let mut beside = beside.builder.settings(settings(threads)).build()?;
        let window = monitor.window();
        drain(&mut beside, time, drop)?;
        let all = peak(window)?.saturating_sub(before + 3 * batch);

        let thread_bytes = all.saturating_sub(one) / threads as u64;
        Ok(Self { base_bytes, fixed_bytes: one.saturating_sub(thread_bytes), thread_bytes })
    }

    /// What a run of `cell` will hold at its peak above the base.
    pub fn above_base_bytes(&self, cell: Cell, sample_bytes: usize) -> u64 {
        let Cell { batch_size, num_workers, prefetch_depth } = cell;
        let batches = if num_workers == 0 { 1 } else { prefetch_depth as u64 + 1 };
        let batch = (batch_size as u64).saturating_mul(sample_bytes as u64);
        let threads = self.thread_bytes.saturating_mul(num_workers.max(1) as u64);
        batch.saturating_mul(batches).saturating_add(self.fixed_bytes).saturating_add(threads)
    }

    /// Why a run that is predicted to take `above_base_bytes` cannot be tried within `limit_bytes`.
    pub fn over(&self, above_base_bytes: u64, limit_bytes: u64) -> Option<String> {
        let needed = above_base_bytes.saturating_add(self.base_bytes);
        (needed > limit_bytes).then(|| {
            format!(
                "needs about {} MiB of memory, of which it may take {} MiB",
                needed >> 20,
                limit_bytes >> 20
            )
        })
    }
}

/// Bytes of a sample in a batch.
pub fn sample_bytes(fields: &[Field]) -> usize {
    fields.iter().map(Field::bytes).fold(0, usize::saturating_add)
}

/// What a run may take: the limit that was given, or what the machine or the control group has left,
/// if that is less.
pub fn limit_bytes(given: Option<u64>) -> u64 {
    machine::available_memory().min(given.unwrap_or(u64::MAX))
}
