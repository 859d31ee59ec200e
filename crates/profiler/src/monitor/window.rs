//! Stretches of time over which a monitor sums up what the process uses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Shared;
use super::sums::{Sample, Sums};
use crate::process::process_cpu;
use crate::resources::ResourceSample;
use crate::trackers::Probe;

/// What a process used over a window of time.
///
/// Means are weighted by time: between two samples the value is taken to change evenly from one
/// to the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Length of the window in seconds.
    pub wall_s: f64,
    /// Mean resident memory in bytes; `None` where memory is not tracked.
    pub rss_mean_bytes: Option<u64>,
    /// Highest sample of resident memory in the window, in bytes; likewise.
    pub rss_peak_bytes: Option<u64>,
    /// Mean memory that the process held on all GPUs, in bytes, over the time for which the
    /// driver told it; `None` if it never did.
    pub gpu_mean_bytes: Option<u64>,
    /// CPU time, user and system, of all threads, in seconds.
    pub cpu_s: f64,
    /// CPU time in percent of what the usable cores could give in `wall_s`, 0 to 100.
    pub cpu_percent: f64,
}

/// A stretch of time over which a [`Monitor`](super::Monitor) sums up. Dropping it forgets it. It may
/// outlive its monitor: what comes after that is known from its end alone.
#[derive(Debug)]
#[must_use = "a window that is not finished measures nothing"]
pub struct Window {
    shared: Arc<Shared>,
    usable_cores: f64,
    id: u64,
    started: Instant,
    cpu_before: Duration,
}

impl Window {
    pub(super) fn open(shared: Arc<Shared>, usable_cores: f64) -> Self {
        let id = shared.windows.open();
        Self { shared, usable_cores, id, started: Instant::now(), cpu_before: process_cpu() }
    }

    /// Closes the window now.
    pub fn finish(self) -> ProcessUsage {
        let wall_s = self.started.elapsed().as_secs_f64();
        let cpu_s = process_cpu().saturating_sub(self.cpu_before).as_secs_f64();
        let windows = &self.shared.windows;
        let last = windows.sample();
        let mut sums = windows.sums().remove(&self.id).unwrap_or_else(|| Sums::new(last));
        sums.add(last);
        let cpu_room_s = (wall_s * self.usable_cores).max(1e-9);
        ProcessUsage {
            wall_s,
            rss_mean_bytes: sums.memory_mean_bytes(),
            rss_peak_bytes: sums.memory_peak_bytes(),
            gpu_mean_bytes: sums.gpu_mean_bytes(),
            cpu_s,
            cpu_percent: (100.0 * cpu_s / cpu_room_s).min(100.0),
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.windows.sums().remove(&self.id);
    }
}

/// The windows that are open.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) probe: Probe,
    /// Never used twice.
    next_id: AtomicU64,
    sums: Mutex<BTreeMap<u64, Sums>>,
}

impl Windows {
    pub(super) fn new(probe: Probe) -> Self {
        Self { probe, next_id: AtomicU64::new(0), sums: Mutex::default() }
    }

    fn open(&self) -> u64 {
        let id = self.next_id.fetch_add(1, Relaxed);
        let first = self.sample();
        self.sums().insert(id, Sums::new(first));
        id
    }

    /// Takes a sample of the trackers.
    pub(super) fn add(&self, sample: &ResourceSample) {
        let held = sample.gpus.iter().flatten().filter_map(|gpu| gpu.process_bytes);
        let sample = Sample {
            at: Instant::now(),
            memory_bytes: sample.memory.map(|memory| memory.resident_bytes),
            gpu_bytes: held.reduce(|sum, bytes| sum + bytes),
        };
        self.sums().values_mut().for_each(|sums| sums.add(sample));
    }

    /// Reads the same now, on the calling thread.
    fn sample(&self) -> Sample {
        let Probe { memory, gpus } = &self.probe;
        Sample {
            gpu_bytes: gpus.as_ref().and_then(|gpus| gpus.process_bytes(std::process::id())),
            memory_bytes: memory.as_ref().and_then(|memory| memory.read().ok()),
            at: Instant::now(),
        }
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<u64, Sums>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.sums().len()
    }
}
