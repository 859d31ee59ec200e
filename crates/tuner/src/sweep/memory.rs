//! What a run will take of memory, said before it is run.

use std::time::{Duration, Instant};

use loader::{Field, Settings};
use profiler::machine;
use profiler::monitor::{Monitor, MonitorOptions, begin_peak_rss, peak_rss_bytes};
use serde::{Deserialize, Serialize};

use super::ceiling::{FEW, drain};
use super::grid::Cell;
use super::trial::LEAST_CLASSES;
use crate::consumer::Consumer;
use crate::measure::{SAMPLING, Watch, rss_bytes};
use crate::{Config, TunerError, dataset};

/// From a setting to the memory of its process. A run holds, at its peak and beyond what the process
/// held before the loader was built,
///
/// ```text
/// batches x bytes of a batch  +  fixed  +  threads x bytes of a thread
///     +  samples of a batch x bytes that the consumer takes for a sample
/// ```
///
/// where the batches are those ready or being filled and the one that the consumer has (one without
/// workers), and the threads those that load. The other terms are measured before the trials: buffers
/// for a file and its pixels; of a model that is trained gradients and momentum, which are part of what
/// is fixed, and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryModel {
    /// What a process holds before the loader is built, the data set open.
    pub base_bytes: u64,
    /// What loading takes however many threads do it.
    pub fixed_bytes: u64,
    /// What a thread takes that loads.
    pub thread_bytes: u64,
    /// What the consumer takes for each sample of a batch.
    pub consumer_sample_bytes: u64,
}

impl Default for MemoryModel {
    /// Where nothing could be measured.
    fn default() -> Self {
        // Resident memory of a process with libtorch before it loads anything, at most.
        Self { base_bytes: 300 << 20, ..Self::nothing() }
    }
}

/// Batches that a model is trained with at least while its memory is measured: the second finds gradients
/// and momentum there, and with more of them what is free lies scattered.
const CONSUMED: usize = 2;
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
        let least = |numbers: &[usize]| numbers.iter().min().copied().unwrap_or(1);
        let batch_size = FEW.min(largest(&config.sweep.batch_size));
        let threads = largest(&config.sweep.num_workers).clamp(1, MOST_THREADS);
        let settings = |num_workers| Settings {
            batch_size,
            num_workers,
            prefetch_depth: 1,
            drop_last: false,
            ..config.loader.clone()
        };
        let data = dataset::open(config)?;
        // What a model holds before it sees a batch is held before the loader is built, as in a trial.
        let consumer = &config.sweep.consumer;
        let mut step = consumer.start(data.classes.len().max(LEAST_CLASSES))?;
        let batch = (batch_size * sample_bytes(&data.fields)) as u64;
        let monitor = Monitor::start(MonitorOptions::windows(SAMPLING))?;
        let base_bytes = rss_bytes()?;
        let watch = || Watch::new(monitor.window());
        let peak = |watch: Watch| watch.finish().rss_peak_bytes.ok_or(TunerError::NoMemoryFigure);

        // Kept as long as the other is measured, so that what it holds is held then too.
        let mut alone = data.builder().settings(settings(0)).build()?;
        let watched = watch();
        drain(&mut alone, time, drop)?;
        let one = peak(watched)?.saturating_sub(base_bytes + batch);
        let mut beside = data.builder().settings(settings(threads)).build()?;
        let watched = watch();
        drain(&mut beside, time, drop)?;
        let all = peak(watched)?.saturating_sub(base_bytes + 3 * batch);

        let thread_bytes = all.saturating_sub(one) / threads as u64;
        let fixed_bytes = one.saturating_sub(thread_bytes);
        let mut model = Self { base_bytes, fixed_bytes, thread_bytes, consumer_sample_bytes: 0 };
        if matches!(consumer, Consumer::Model(_)) {
            let few = batch_size.min(least(&config.sweep.batch_size));
            let many = largest(&config.sweep.batch_size).min(4 * few);
            begin_peak_rss();
            let before = rss_bytes()?;
            let mut taken = [0; 2];
            for (taken, batch_size) in taken.iter_mut().zip([few, many]) {
                let settings = Settings { batch_size, ..settings(0) };
                let mut loader = data.builder().settings(settings).build()?;
                let start = Instant::now();
                let mut batches = 0;
                'training: for epoch in 0.. {
                    for batch in loader.epoch(epoch) {
                        step.take(batch?)?;
                        batches += 1;
                        if batches >= CONSUMED && start.elapsed() >= time {
                            break 'training;
                        }
                    }
                }
                let held = peak_rss_bytes().ok_or(TunerError::NoMemoryFigure)?;
                *taken = held.saturating_sub(before);
            }
            model.train([(few, taken[0]), (many, taken[1])], batch as usize / batch_size);
        }
        Ok(model)
    }

    /// Adds what training took: of two sizes of batches, the samples and the bytes that the process held at
    /// its peak above what it held before it trained at all, one batch of samples of `sample_bytes` among
    /// them.
    fn train(&mut self, seen: [(usize, u64); 2], sample_bytes: usize) {
        let of =
            |(samples, bytes): (usize, u64)| bytes.saturating_sub((samples * sample_bytes) as u64);
        let ([few, many], [little, much]) = (seen.map(|(samples, _)| samples), seen.map(of));
        // Gradients and momentum are held with either size, and so is what the allocator keeps of the
        // first.
        self.consumer_sample_bytes = match many.saturating_sub(few) as u64 {
            0 => 0,
            more => much.saturating_sub(little) / more,
        };
        let activations = self.consumer_sample_bytes.saturating_mul(few as u64);
        self.fixed_bytes += little.saturating_sub(activations);
    }

    const fn nothing() -> Self {
        Self { base_bytes: 0, fixed_bytes: 0, thread_bytes: 0, consumer_sample_bytes: 0 }
    }

    /// What a run of `cell` will hold at its peak above the base.
    pub fn above_base_bytes(&self, cell: Cell, sample_bytes: usize) -> u64 {
        let Cell { batch_size, num_workers, prefetch_depth } = cell;
        let batches = if num_workers == 0 { 1 } else { prefetch_depth as u64 + 1 };
        let batch = (batch_size as u64).saturating_mul(sample_bytes as u64);
        let threads = self.thread_bytes.saturating_mul(num_workers.max(1) as u64);
        let consumer = self.consumer_sample_bytes.saturating_mul(batch_size as u64);
        let loading = batch.saturating_mul(batches).saturating_add(self.fixed_bytes);
        loading.saturating_add(threads).saturating_add(consumer)
    }

    /// Whether runs of both settings fit within `limit_bytes` at the same time, in one process.
    pub(crate) fn fit(&self, cells: [Cell; 2], sample_bytes: usize, limit_bytes: u64) -> bool {
        let [one, other] = cells.map(|cell| self.above_base_bytes(cell, sample_bytes));
        self.over(one.saturating_add(other), limit_bytes).is_none()
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

/// Of what is left, a run may take this share: the rest is for what else the machine does, and for what a
/// run takes between two looks at it.
const SPARED: f64 = 0.9;

/// What a run may take: the limit that was given, or nine tenths of what the machine or the control
/// group has left, if that is less.
pub fn limit_bytes(given: Option<u64>) -> u64 {
    within(given, machine::available_memory())
}

fn within(given: Option<u64>, available_bytes: u64) -> u64 {
    let given = given.unwrap_or(u64::MAX);
    match available_bytes {
        // The system does not tell.
        0 => given,
        bytes => given.min((bytes as f64 * SPARED) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_take_what_was_given_or_nine_tenths_of_what_is_left() {
        assert_eq!(within(None, 1000), 900);
        assert_eq!(within(Some(500), 1000), 500);
        assert_eq!(within(Some(5000), 1000), 900);
        assert_eq!(within(Some(500), 0), 500);
        assert_eq!(within(None, 0), u64::MAX);
    }

    #[test]
    fn what_training_takes_is_part_of_the_prediction() {
        let mut model = MemoryModel { thread_bytes: 10, ..MemoryModel::nothing() };
        // 100 bytes of activations for a sample of 5 bytes, 1000 of gradients and momentum.
        model.train([(8, 1000 + 8 * 105), (32, 1000 + 32 * 105)], 5);
        let cell = Cell { batch_size: 64, num_workers: 2, prefetch_depth: 1 };
        assert_eq!(model.above_base_bytes(cell, 5), 64 * 5 * 2 + 1000 + 2 * 10 + 64 * 100);
    }
}
