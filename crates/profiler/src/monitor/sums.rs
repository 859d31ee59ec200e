//! Running sums of a window: time-weighted means and peaks, in memory that does not grow.

use std::time::{Duration, Instant};

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
    last_at: Instant,
    memory: TimeMean,
    memory_peak_bytes: Option<u64>,
    gpu: TimeMean,
}

impl Sums {
    /// A window that begins with `first`.
    pub(super) fn new(first: Sample) -> Self {
        let mut sums = Self {
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
        let Some(time) = sample.at.checked_duration_since(self.last_at) else { return };
        self.last_at = sample.at;
        self.memory.add(time, sample.memory_bytes);
        self.memory_peak_bytes = self.memory_peak_bytes.max(sample.memory_bytes);
        self.gpu.add(time, sample.gpu_bytes);
    }

    pub(super) fn memory_mean_bytes(&self) -> Option<u64> {
        self.memory.mean()
    }

    pub(super) fn memory_peak_bytes(&self) -> Option<u64> {
        self.memory_peak_bytes
    }

    /// The mean over the time for which it was known.
    pub(super) fn gpu_mean_bytes(&self) -> Option<u64> {
        self.gpu.mean()
    }
}

/// The mean over time of a value that is known now and then (trapezoids between neighbours).
#[derive(Debug, Default)]
struct TimeMean {
    before: Option<f64>,
    latest: Option<f64>,
    area: f64,
    seconds: f64,
}

impl TimeMean {
    /// The value `time` after the one before; `None` where it is not known.
    fn add(&mut self, time: Duration, value: Option<u64>) {
        let value = value.map(|value| value as f64);
        if let (Some(before), Some(now)) = (self.before, value) {
            self.area += 0.5 * (before + now) * time.as_secs_f64();
            self.seconds += time.as_secs_f64();
        }
        self.before = value;
        self.latest = value.or(self.latest);
    }

    /// `None` if no value was ever known; the latest one if it never was for a stretch of time.
    fn mean(&self) -> Option<u64> {
        let mean = if self.seconds > 0.0 { Some(self.area / self.seconds) } else { self.latest };
        mean.map(|mean| mean.round() as u64)
    }
}

#[cfg(test)]
mod tests {
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
