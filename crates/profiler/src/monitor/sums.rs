//! Running sums of a window: time-weighted means and peaks, in memory that does not grow.

use std::time::Instant;

use crate::time_mean::TimeMean;

/// The process at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// `None` where memory is not tracked, or the kernel does not tell.
    pub(super) memory_bytes: Option<u64>,
    /// `None` where the driver does not tell.
    pub(super) gpu_bytes: Option<u64>,
}

/// Running sums of one window.
#[derive(Debug)]
pub(super) struct Sums {
    began: Instant,
    last_at: Instant,
    memory: TimeMean,
    memory_peak_bytes: Option<u64>,
    gpu: TimeMean,
}

impl Sums {
    /// A window that begins with `first`.
    pub(super) fn new(first: Sample) -> Self {
        let mut sums = Self {
            began: first.at,
            last_at: first.at,
            memory: TimeMean::default(),
            memory_peak_bytes: None,
            gpu: TimeMean::default(),
        };
        sums.add(first);
        sums
    }

    /// Adds a sample, unless it is older than the one before.
    pub(super) fn add(&mut self, sample: Sample) {
        // The thread may have taken its sample before this window took its first.
        if sample.at < self.last_at {
            return;
        }
        self.last_at = sample.at;
        let at_s = (sample.at - self.began).as_secs_f64();
        self.memory.add(at_s, sample.memory_bytes.map(|bytes| bytes as f64));
        self.memory_peak_bytes = self.memory_peak_bytes.max(sample.memory_bytes);
        self.gpu.add(at_s, sample.gpu_bytes.map(|bytes| bytes as f64));
    }

    pub(super) fn memory_mean_bytes(&self) -> Option<u64> {
        self.memory.value().map(|mean| mean.round() as u64)
    }

    pub(super) fn memory_peak_bytes(&self) -> Option<u64> {
        self.memory_peak_bytes
    }

    /// The mean over the time for which it was known.
    pub(super) fn gpu_mean_bytes(&self) -> Option<u64> {
        self.gpu.value().map(|mean| mean.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sums of samples at milliseconds after the first: memory and GPU memory in bytes.
    fn sums(samples: &[(u64, u64, Option<u64>)]) -> Sums {
        let start = Instant::now();
        let mut samples = samples.iter().map(|&(ms, memory_bytes, gpu_bytes)| Sample {
            at: start + Duration::from_millis(ms),
            memory_bytes: Some(memory_bytes),
            gpu_bytes,
        });
        let mut sums = Sums::new(samples.next().unwrap());
        samples.for_each(|sample| sums.add(sample));
        sums
    }

    #[test]
    fn means_are_weighted_by_time() {
        let sums = sums(&[(0, 100, None), (10, 100, None), (20, 300, None), (100, 300, None)]);
        assert_eq!(sums.memory_mean_bytes(), Some((10 * 100 + 10 * 200 + 80 * 300) / 100));
        assert_eq!(sums.memory_peak_bytes(), Some(300));
        assert_eq!(sums.gpu_mean_bytes(), None);
    }

    #[test]
    fn gpu_memory_counts_over_the_time_it_was_told() {
        let told_late = sums(&[(0, 1, None), (50, 1, Some(40)), (60, 1, Some(60)), (70, 1, None)]);
        assert_eq!(told_late.gpu_mean_bytes(), Some(50));
        let told_once = sums(&[(0, 1, None), (10, 1, Some(7)), (20, 1, None)]);
        assert_eq!(told_once.gpu_mean_bytes(), Some(7));
    }

    #[test]
    fn one_sample_is_a_mean_and_an_older_one_is_left_out() {
        let mut sums = sums(&[(0, 5, Some(0))]);
        assert_eq!((sums.memory_mean_bytes(), sums.gpu_mean_bytes()), (Some(5), Some(0)));
        let before = sums.last_at.checked_sub(Duration::from_secs(1)).unwrap();
        sums.add(Sample { at: before, memory_bytes: Some(1000), gpu_bytes: None });
        assert_eq!((sums.memory_mean_bytes(), sums.memory_peak_bytes()), (Some(5), Some(5)));
    }
}
