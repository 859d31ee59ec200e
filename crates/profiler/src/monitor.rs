//! What this process uses while it runs: memory, GPU memory and CPU, over windows of time.
//!
//! [`Monitor::start`] starts one thread, `profiler-monitor`, which takes a sample at each
//! interval while a [`Window`] is open. A window is opened and finished on any thread, takes a
//! sample of its own at both ends, and keeps running sums: memory does not grow with time. CPU
//! time is not sampled: it is the difference between the window's ends, exact to the nanosecond.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, RecvTimeoutError, Sender};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::gpu::{GpuError, Gpus};
use crate::machine::usable_cores;
use crate::process::{ResidentMemory, STATM};
pub use crate::process::{peak_rss_bytes, process_cpu};
use crate::sums::{Sample, Sums};

/// Why a monitor could not start.
#[derive(Debug, Error)]
pub enum MonitorError {
    /// The process cannot read its own memory size.
    #[error("cannot read this process's memory from `{path}`\nhint: `/proc` must be mounted")]
    Memory {
        /// The file that tells it.
        path: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// The system gave no thread.
    #[error("cannot start the thread `{THREAD_NAME}`")]
    Thread {
        /// What went wrong.
        source: io::Error,
    },
}

/// What a process used over a window of time.
///
/// Means are weighted by time: between two samples the value is taken to change evenly from one
/// to the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessUsage {
    /// Length of the window in seconds.
    pub wall_s: f64,
    /// Mean resident memory in bytes.
    pub rss_mean_bytes: u64,
    /// Highest sample of resident memory in the window, in bytes.
    pub rss_peak_bytes: u64,
    /// Mean memory that the process held on all GPUs, in bytes, over the time for which the
    /// driver told it; `None` if it never did.
    pub gpu_mean_bytes: Option<u64>,
    /// CPU time, user and system, of all threads, in seconds.
    pub cpu_s: f64,
    /// CPU time in percent of what the usable cores could give in `wall_s`, 0 to 100.
    pub cpu_percent: f64,
}

const THREAD_NAME: &str = "profiler-monitor";
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// Samples this process until it is dropped.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// let monitor = profiler::monitor::Monitor::start(Duration::from_millis(100))?;
/// let window = monitor.window();
/// let sum: u64 = (0..1_000_000).sum();
/// let usage = window.finish();
/// assert!(usage.rss_peak_bytes >= usage.rss_mean_bytes && usage.cpu_percent <= 100.0);
/// # Ok::<(), profiler::monitor::MonitorError>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    sampler: Arc<Sampler>,
    usable_cores: f64,
    /// Dropping it tells the thread to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts the thread, which samples at `interval` (at least 1 ms).
    ///
    /// Opens NVML on the calling thread, see [`Gpus::open`]; where that fails, GPU figures are
    /// absent and [`Monitor::gpus`] tells why.
    ///
    /// # Errors
    ///
    /// A [`MonitorError`] where `/proc` is missing or the system gives no thread.
    pub fn start(interval: Duration) -> Result<Self, MonitorError> {
        let memory = ResidentMemory::open()
            .map_err(|source| MonitorError::Memory { path: STATM, source })?;
        let sampler = Arc::new(Sampler {
            memory,
            gpus: Gpus::open(),
            next_id: AtomicU64::new(0),
            windows: Mutex::default(),
        });
        let (stop, stopped) = channel::bounded::<()>(0);
        let interval = interval.max(MIN_INTERVAL);
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn({
                let sampler = sampler.clone();
                move || {
                    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                        sampler.tick();
                    }
                }
            })
            .map_err(|source| MonitorError::Thread { source })?;
        Ok(Self { sampler, usable_cores: usable_cores(), stop: Some(stop), thread: Some(thread) })
    }

    /// Opens a window now. Several may be open at once or one after another.
    pub fn window(&self) -> Window<'_> {
        let id = self.sampler.next_id.fetch_add(1, Relaxed);
        let first = self.sampler.sample();
        self.sampler.windows().insert(id, Sums::new(first));
        Window { monitor: self, id, started: Instant::now(), cpu_before: process_cpu() }
    }

    /// The GPUs that are watched.
    ///
    /// # Errors
    ///
    /// Why none are.
    pub fn gpus(&self) -> Result<&Gpus, &GpuError> {
        self.sampler.gpus.as_ref()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // The thread has no result, and a panic in it has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// A stretch of time over which a [`Monitor`] sums up. Dropping it forgets it.
#[derive(Debug)]
#[must_use = "a window that is not finished measures nothing"]
pub struct Window<'a> {
    monitor: &'a Monitor,
    id: u64,
    started: Instant,
    cpu_before: Duration,
}

impl Window<'_> {
    /// Closes the window now.
    pub fn finish(self) -> ProcessUsage {
        let wall_s = self.started.elapsed().as_secs_f64();
        let cpu_s = process_cpu().saturating_sub(self.cpu_before).as_secs_f64();
        let sampler = &self.monitor.sampler;
        let last = sampler.sample();
        let mut sums = sampler.windows().remove(&self.id).unwrap_or_else(|| Sums::new(last));
        sums.add(last);
        let cpu_room_s = (wall_s * self.monitor.usable_cores).max(1e-9);
        ProcessUsage {
            wall_s,
            rss_mean_bytes: sums.memory_mean_bytes().unwrap_or(last.memory_bytes),
            rss_peak_bytes: sums.memory_peak_bytes(),
            gpu_mean_bytes: sums.gpu_mean_bytes(),
            cpu_s,
            cpu_percent: (100.0 * cpu_s / cpu_room_s).min(100.0),
        }
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        self.monitor.sampler.windows().remove(&self.id);
    }
}

/// What the thread and the windows share.
#[derive(Debug)]
struct Sampler {
    memory: ResidentMemory,
    gpus: Result<Gpus, GpuError>,
    /// Of windows; never used twice.
    next_id: AtomicU64,
    /// The open ones.
    windows: Mutex<BTreeMap<u64, Sums>>,
}

impl Sampler {
    fn tick(&self) {
        if self.windows().is_empty() {
            return;
        }
        // Taken without the lock: a driver that is slow to answer holds up no one.
        let sample = self.sample();
        self.windows().values_mut().for_each(|sums| sums.add(sample));
    }

    fn sample(&self) -> Sample {
        let gpu_bytes =
            self.gpus.as_ref().ok().and_then(|gpus| gpus.process_bytes(std::process::id()));
        Sample { gpu_bytes, memory_bytes: self.memory.bytes(), at: Instant::now() }
    }

    fn windows(&self) -> MutexGuard<'_, BTreeMap<u64, Sums>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "monitor_tests.rs"]
mod tests;
