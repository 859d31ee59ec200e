//! The monitor: one thread that samples the trackers while the program runs.
//!
//! [`Monitor::start`] starts the thread `profiler-monitor`. At each interval it reads the
//! [`trackers`](crate::trackers), keeps the sample in a bounded history, runs the
//! [`rules`](crate::rules) over it and hands it to whoever listens. [`Monitor::finish`] takes a last
//! sample and gives the [`Recording`]. It never makes the program fail: what goes wrong is a note.
//!
//! A [`Window`] sums up what the process uses over a stretch of time. It is opened and finished on
//! any thread, takes a sample of its own at both ends, and keeps running sums: memory does not grow
//! with time. CPU time is not sampled: it is the difference between the window's ends, exact to the
//! nanosecond.

mod clocks;
mod sums;
mod window;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use self::clocks::Clocks;
pub use self::clocks::asleep_s;
use self::window::Windows;
pub use self::window::{ProcessUsage, Window};
use crate::bottleneck::Bottleneck;
use crate::config::{ProfilerConfig, ProfilingLevel};
use crate::extend::MetricSource;
use crate::gpu::Gpus;
use crate::machine::usable_cores;
use crate::notes::{Notes, words_of};
pub use crate::process::{
    begin_peak_rss, peak_rss_bytes, process_cpu, rss_bytes, storage_read_bytes, thread_cpu,
};
use crate::resources::{ResourceSample, ThreadUsage, TrackerStatus};
use crate::rules::{ActiveEpisode, ResourceRules};
use crate::thinned::Thinned;
use crate::trackers::Trackers;

/// Why a monitor could not start.
#[derive(Debug, Error)]
pub enum MonitorError {
    /// The system gave no thread.
    #[error("cannot start the thread `{THREAD_NAME}`")]
    Thread {
        /// What went wrong.
        source: io::Error,
    },
}

const THREAD_NAME: &str = "profiler-monitor";
const MIN_INTERVAL: Duration = Duration::from_millis(1);

/// Told of each sample, on the monitor's thread.
pub type OnTick = Box<dyn FnMut(&ResourceSample) + Send>;

/// What a monitor is to do.
pub struct MonitorOptions {
    /// From one sample to the next, at least 1 ms [default: 100 ms].
    pub interval: Duration,
    /// What is sampled [default: nothing].
    pub trackers: Trackers,
    /// Samples that are kept at most; under 2, none are [default: 4096].
    pub history: usize,
    /// Looks for resources that are short [default: none].
    pub rules: Option<ResourceRules>,
    /// When the session began: what `at_s` counts from [default: now].
    pub began: Instant,
    /// Told of each sample. It must not wait for the monitor. If it panics it is told no more.
    pub on_tick: Option<OnTick>,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(100),
            trackers: Trackers::default(),
            history: 4096,
            rules: None,
            began: Instant::now(),
            on_tick: None,
        }
    }
}

impl MonitorOptions {
    /// Memory and GPU memory at `interval`, nothing kept: what windows need.
    pub fn windows(interval: Duration) -> Self {
        let config = ProfilerConfig {
            profiling_level: ProfilingLevel::Basic,
            sampling_interval: interval.as_secs_f64(),
            ..ProfilerConfig::default()
        };
        let trackers = Trackers::open(&config, Vec::new());
        Self { interval, trackers, history: 0, ..Self::default() }
    }

    /// Asks `source` at each sample too.
    pub fn metric_source(self, source: Arc<dyn MetricSource>) -> Self {
        Self { trackers: self.trackers.metric_source(source), ..self }
    }
}

impl fmt::Debug for MonitorOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorOptions")
            .field("interval", &self.interval)
            .field("trackers", &self.trackers)
            .field("history", &self.history)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What a monitor recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// In order of time, the first and the latest among them.
    pub samples: Vec<ResourceSample>,
    /// Samples that found no room.
    pub dropped: u64,
    /// Each tracker, and why it has nothing if it has nothing.
    pub trackers: Vec<TrackerStatus>,
    /// What each thread used, most CPU time first.
    pub threads: Vec<ThreadUsage>,
    /// Resources that were short, worst first.
    pub bottlenecks: Vec<Bottleneck>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Samples this process until it is finished or dropped.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use profiler::monitor::{Monitor, MonitorOptions};
///
/// let monitor = Monitor::start(MonitorOptions::windows(Duration::from_millis(100)))?;
/// let window = monitor.window();
/// let sum: u64 = (0..1_000_000).sum();
/// let usage = window.finish();
/// assert!(usage.rss_peak_bytes >= usage.rss_mean_bytes && usage.cpu_percent <= 100.0);
/// # Ok::<(), profiler::monitor::MonitorError>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    shared: Arc<Shared>,
    usable_cores: f64,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Starts the thread, which takes its first sample at once.
    ///
    /// # Errors
    ///
    /// [`MonitorError::Thread`] if the system gives no thread.
    pub fn start(options: MonitorOptions) -> Result<Self, MonitorError> {
        let MonitorOptions { interval, trackers, history, rules, began, on_tick } = options;
        let interval = interval.max(MIN_INTERVAL);
        let shared = Arc::new(Shared {
            asker: Asker::default(),
            windows: Windows::new(trackers.probe()),
            seen: Mutex::default(),
            recorder: Mutex::new(Recorder {
                trackers,
                history: Thinned::new(history),
                rules,
                clocks: Clocks::new(interval),
                notes: Notes::default(),
            }),
        });
        let thread = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn({
                let shared = shared.clone();
                move || sample_until_asked(&shared, interval, began, on_tick)
            })
            .map_err(|source| MonitorError::Thread { source })?;
        Ok(Self { shared, usable_cores: usable_cores(), thread: Some(thread) })
    }

    /// The latest sample; `None` before the first.
    pub fn latest(&self) -> Option<Arc<ResourceSample>> {
        self.shared.seen().latest.clone()
    }

    /// The conditions that are true now; see [`ResourceRules`].
    pub fn active(&self) -> Vec<ActiveEpisode> {
        self.shared.seen().active.clone()
    }

    /// What was recorded so far. Waits for a sample that is being taken.
    pub fn recording(&self) -> Recording {
        self.shared.recorder().recording(|rules| rules.found())
    }

    /// Takes a last sample, of everything, ends the thread, and gives what it recorded.
    pub fn finish(mut self) -> Recording {
        self.end(Asked::Finish);
        let mut recorder = self.shared.recorder();
        let rules = recorder.rules.take();
        let mut recording = recorder.recording(|_| Vec::new());
        recording.bottlenecks = rules.map(ResourceRules::finish).unwrap_or_default();
        recording
    }

    /// Opens a window now. Several may be open at once or one after another.
    pub fn window(&self) -> Window {
        Window::open(self.shared.clone(), self.usable_cores)
    }

    /// The GPUs that are watched, if any are.
    pub fn gpus(&self) -> Option<&Gpus> {
        self.shared.windows.probe.gpus.as_deref()
    }

    fn end(&mut self, asked: Asked) {
        if let Some(thread) = self.thread.take() {
            self.shared.asker.ask(asked);
            // The thread has no result, and a panic in it has been reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.end(Asked::Stop);
    }
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Take a last sample, then stop.
    Finish,
    /// Stop at once.
    Stop,
}

/// Where the thread sleeps. A channel would spin for a while at each wait.
#[derive(Debug, Default)]
struct Asker {
    asked: Mutex<Option<Asked>>,
    changed: Condvar,
}

impl Asker {
    fn ask(&self, what: Asked) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        self.changed.notify_one();
    }

    /// What was asked for, once something is, but not after `until`.
    fn wait(&self, until: Instant) -> Option<Asked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(asked, left, |asked| asked.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the thread and its asker share.
#[derive(Debug)]
struct Shared {
    asker: Asker,
    windows: Windows,
    seen: Mutex<Seen>,
    /// Locked while a sample is taken.
    recorder: Mutex<Recorder>,
}

/// Never locked for longer than it takes to copy it.
#[derive(Debug, Default)]
struct Seen {
    latest: Option<Arc<ResourceSample>>,
    active: Vec<ActiveEpisode>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's life.
fn sample_until_asked(
    shared: &Shared,
    interval: Duration,
    began: Instant,
    mut on_tick: Option<OnTick>,
) {
    let mut take = |all| {
        let at_s = began.elapsed().as_secs_f64();
        let (sample, active) = shared.recorder().tick(at_s, all);
        shared.windows.add(&sample);
        *shared.seen() = Seen { latest: Some(sample.clone()), active };
        if let Some(told) = &mut on_tick
            && let Err(panic) = catch_unwind(AssertUnwindSafe(|| told(&sample)))
        {
            let note = format!("what listens to samples failed at {at_s:.1} s: ");
            shared.recorder().notes.add(note + &words_of(&*panic));
            on_tick = None;
        }
    };
    take(true);
    let mut next = Instant::now() + interval;
    loop {
        match shared.asker.wait(next) {
            None => take(false),
            Some(Asked::Finish) => return take(true),
            Some(Asked::Stop) => return,
        }
        // A tick that took long is not made up for by ticks without a pause.
        let now = Instant::now();
        next = if next + interval > now { next + interval } else { now + interval };
    }
}

#[derive(Debug)]
struct Recorder {
    trackers: Trackers,
    history: Thinned<Arc<ResourceSample>>,
    rules: Option<ResourceRules>,
    clocks: Clocks,
    notes: Notes,
}

impl Recorder {
    /// Takes a sample, and tells what is short.
    fn tick(&mut self, at_s: f64, all: bool) -> (Arc<ResourceSample>, Vec<ActiveEpisode>) {
        let note = self.clocks.look(at_s, asleep_s());
        note.into_iter().for_each(|note| self.notes.add(note));
        let sample = if all { self.trackers.tick_all(at_s) } else { self.trackers.tick(at_s) };
        let sample = Arc::new(sample);
        self.history.push(sample.clone());
        let Some(rules) = &mut self.rules else { return (sample, Vec::new()) };
        rules.tick(&sample);
        (sample, rules.active())
    }

    fn recording(&self, found: impl FnOnce(&ResourceRules) -> Vec<Bottleneck>) -> Recording {
        Recording {
            samples: self.history.iter().map(|sample| (**sample).clone()).collect(),
            dropped: self.history.dropped(),
            trackers: self.trackers.statuses(),
            threads: self.trackers.threads(),
            bottlenecks: self.rules.as_ref().map(found).unwrap_or_default(),
            notes: self.notes.lines().into_iter().chain(self.trackers.notes()).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
