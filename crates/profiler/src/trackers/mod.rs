//! Trackers: what this process, its control groups, the machine and its GPUs use, tick by tick.
//!
//! [`Trackers::open`] opens what the configuration asks for; [`Trackers::tick`] reads it. The
//! promise is that reading at 0.1 s takes under 0.5% of a core and at 1 s under 0.05%: 500
//! microseconds a tick. So files are kept open and read in place. Figures of the whole machine are
//! read twice a second, threads once, and what is dear (many threads, a GPU that answers slowly,
//! `/proc/stat` on a machine of many cores) less often, the dearer the rarer: in between a gauge
//! repeats what was read last, and a counter is absent.
//!
//! A tracker that fails is marked unavailable with its reason and the others go on. One that fails
//! on the way is asked again at the next tick; a custom source is not.

mod cpu;
mod gpu;
mod io;
mod memory;
mod source;
mod threads;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use self::cpu::Cpu;
use self::gpu::GpuTracker;
use self::io::Io;
pub(crate) use self::io::parse_io;
use self::memory::Memory;
pub(crate) use self::memory::ResidentMemory;
use self::source::Tick;
use self::threads::{Threads, Waits};
use crate::config::{ProfilerConfig, ProfilingLevel};
use crate::extend::MetricSource;
use crate::gpu::Gpus;
use crate::machine::usable_cores;
use crate::notes::{Notes, words_of};
use crate::resources::{ResourceSample, ThreadUsage, TrackerStatus};

/// All that is sampled. Without any tracker until [`open`](Self::open)ed.
#[derive(Debug, Default)]
pub struct Trackers {
    interval_s: f64,
    memory: Tracker<Memory>,
    cpu: Tracker<Cpu>,
    gpu: Tracker<GpuTracker>,
    io: Tracker<Io>,
    threads: Option<Threads>,
    sources: Vec<Source>,
    notes: Notes,
}

impl Trackers {
    /// Opens what `config` asks for, and asks each of `sources` too. At level basic: memory, and
    /// memory and use of GPUs.
    ///
    /// Opens NVML on the calling thread, see [`Gpus::open`]. What cannot be opened is
    /// unavailable, see [`statuses`](Self::statuses).
    pub fn open(config: &ProfilerConfig, sources: Vec<Arc<dyn MetricSource>>) -> Self {
        Self::open_below(Path::new("/"), config, sources)
    }

    fn open_below(
        root: &Path,
        config: &ProfilerConfig,
        sources: Vec<Arc<dyn MetricSource>>,
    ) -> Self {
        const DEFAULT_INTERVAL_S: f64 = 0.1;
        let interval_s = config.sampling_interval;
        let all = config.profiling_level > ProfilingLevel::Basic;
        let (cpu, io) = (config.enable_cpu_tracking, config.enable_io_tracking);
        let open_gpu = || {
            let gpus = Gpus::open().map_err(|error| first_line(&error))?;
            Ok(GpuTracker::new(Arc::new(gpus), all))
        };
        Self {
            interval_s: if interval_s > 0.0 { interval_s } else { DEFAULT_INTERVAL_S },
            memory: Tracker::open("memory", config.enable_memory_tracking, true, || {
                Memory::open(root).map_err(|error| error.to_string())
            }),
            cpu: Tracker::open("cpu", cpu, all, || Ok(Cpu::open(root, usable_cores()))),
            gpu: Tracker::open("gpu", config.enable_gpu_tracking, true, open_gpu),
            io: Tracker::open("io", io, all, || Io::open(root).map_err(|error| error.to_string())),
            threads: (all && (cpu || io)).then(|| Threads::open(root)),
            sources: sources.into_iter().map(Source::new).collect(),
            notes: Notes::default(),
        }
    }

    /// Asks `source` too.
    pub fn metric_source(mut self, source: Arc<dyn MetricSource>) -> Self {
        self.sources.push(Source::new(source));
        self
    }

    /// Reads what is worth reading now, `at_s` seconds after the session began.
    pub fn tick(&mut self, at_s: f64) -> ResourceSample {
        self.read(Tick { at_s, interval_s: self.interval_s, all: false })
    }

    /// Reads everything, however dear: where a session begins or ends.
    pub fn tick_all(&mut self, at_s: f64) -> ResourceSample {
        self.read(Tick { at_s, interval_s: self.interval_s, all: true })
    }

    fn read(&mut self, tick: Tick) -> ResourceSample {
        let waits = self.threads.as_mut().and_then(|threads| threads.read(tick));
        let Waits { run_delay_s, blocked_s } = waits.unwrap_or_default();
        let notes = &mut self.notes;
        let mut metrics = BTreeMap::new();
        for source in &mut self.sources {
            source.ask(tick, notes, &mut metrics);
        }
        ResourceSample {
            at_s: tick.at_s,
            memory: self.memory.ask(tick, notes, |memory| memory.read(tick)),
            cpu: self.cpu.ask(tick, notes, |cpu| Ok(cpu.read(tick, run_delay_s))),
            gpus: self.gpu.ask(tick, notes, |gpu| gpu.read(tick)),
            io: self.io.ask(tick, notes, |io| io.read(tick, blocked_s)),
            metrics,
        }
    }

    /// Each tracker and metric source, and why it has nothing if it has nothing.
    pub fn statuses(&self) -> Vec<TrackerStatus> {
        let ours = [self.memory.status(), self.cpu.status(), self.gpu.status(), self.io.status()];
        ours.into_iter().flatten().chain(self.sources.iter().map(Source::status)).collect()
    }

    /// What each thread used since the first tick, most CPU time first; empty where neither CPU
    /// nor I/O is tracked.
    pub fn threads(&self) -> Vec<ThreadUsage> {
        self.threads.as_ref().map(Threads::usage).unwrap_or_default()
    }

    /// What a reader should know: figures that went missing, sources that are slow.
    pub fn notes(&self) -> Vec<String> {
        let memory = self.memory.open.iter().flat_map(Memory::lost);
        let cpu = self.cpu.open.iter().flat_map(Cpu::lost);
        let io = self.io.open.iter().flat_map(Io::lost);
        let threads = self.threads.iter().filter_map(Threads::lost);
        let lost = [("memory", memory.collect::<Vec<_>>()), ("cpu", cpu.collect())]
            .into_iter()
            .chain([("io", io.collect()), ("threads", threads.collect())])
            .flat_map(|(name, lost)| lost.into_iter().map(move |why| (name, why)));
        let lost = lost.map(|(name, why)| format!("tracker `{name}`: figures are missing {why}"));
        self.notes.lines().into_iter().chain(lost).collect()
    }

    /// What windows read at their ends.
    pub(crate) fn probe(&self) -> Probe {
        Probe {
            memory: self.memory.open.as_ref().map(|memory| memory.resident.clone()),
            gpus: self.gpu.open.as_ref().map(|gpu| gpu.gpus().clone()),
        }
    }
}

/// Readers that any thread may use beside the trackers.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) memory: Option<Arc<ResidentMemory>>,
    pub(crate) gpus: Option<Arc<Gpus>>,
}

/// A tracker, open or not.
#[derive(Debug)]
struct Tracker<T> {
    name: &'static str,
    open: Option<T>,
    unavailable: Option<Lost>,
}

#[derive(Debug)]
struct Lost {
    since_s: Option<f64>,
    why: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.since_s {
            Some(since_s) => write!(f, "since {since_s:.1} s: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl<T> Default for Tracker<T> {
    fn default() -> Self {
        Self { name: "", open: None, unavailable: None }
    }
}

impl<T> Tracker<T> {
    /// `enabled` by its own switch, and there at the `level`.
    fn open(
        name: &'static str,
        enabled: bool,
        level: bool,
        open: impl FnOnce() -> Result<T, String>,
    ) -> Self {
        let opened = match (enabled, level) {
            (true, true) => open(),
            (false, _) => Err(format!("off: `enable_{name}_tracking = false`")),
            (true, false) => Err("off at level `basic`".to_owned()),
        };
        match opened {
            Ok(open) => Self { name, open: Some(open), unavailable: None },
            Err(why) => Self { name, open: None, unavailable: Some(Lost { since_s: None, why }) },
        }
    }

    fn ask<S>(
        &mut self,
        tick: Tick,
        notes: &mut Notes,
        read: impl FnOnce(&mut T) -> std::io::Result<S>,
    ) -> Option<S> {
        match read(self.open.as_mut()?) {
            Ok(sample) => {
                if let Some(lost) = self.unavailable.take() {
                    notes.add(format!(
                        "tracker `{}` had no figures {lost} (until {:.1} s)",
                        self.name, tick.at_s
                    ));
                }
                Some(sample)
            }
            Err(error) => {
                let since_s = Some(tick.at_s);
                self.unavailable.get_or_insert_with(|| Lost { since_s, why: error.to_string() });
                None
            }
        }
    }

    /// `None` if it was never asked for.
    fn status(&self) -> Option<TrackerStatus> {
        (!self.name.is_empty()).then(|| TrackerStatus {
            name: self.name.to_owned(),
            unavailable: self.unavailable.as_ref().map(Lost::to_string),
        })
    }
}

/// A metric source of the program's own. It may fail, panic or be slow.
struct Source {
    name: String,
    source: Arc<dyn MetricSource>,
    unavailable: Option<Lost>,
    slow: bool,
}

impl Source {
    fn new(source: Arc<dyn MetricSource>) -> Self {
        let name = catch_unwind(AssertUnwindSafe(|| source.name().to_owned()));
        let (name, unavailable) = match name {
            Ok(name) => (name, None),
            Err(panic) => {
                ("unnamed".to_owned(), Some(Lost { since_s: None, why: words_of(&*panic) }))
            }
        };
        Self { name, source, unavailable, slow: false }
    }

    fn ask(&mut self, tick: Tick, notes: &mut Notes, metrics: &mut BTreeMap<String, f64>) {
        if self.unavailable.is_some() {
            return;
        }
        let asked = Instant::now();
        let why = match catch_unwind(AssertUnwindSafe(|| self.source.sample())) {
            // JSON has no other numbers.
            Ok(Ok(values)) => {
                metrics.extend(values.into_iter().filter(|(_, value)| value.is_finite()));
                None
            }
            Ok(Err(error)) => Some(first_line(&*error)),
            Err(panic) => Some(words_of(&*panic)),
        };
        self.unavailable = why.map(|why| Lost { since_s: Some(tick.at_s), why });
        let took = asked.elapsed().as_secs_f64();
        if !self.slow && took > tick.interval_s {
            self.slow = true;
            notes.add(format!(
                "metric source `{}` took {:.3} s at {:.1} s, longer than the {} s from sample to \
                 sample: samples come late",
                self.name, took, tick.at_s, tick.interval_s
            ));
        }
    }

    fn status(&self) -> TrackerStatus {
        TrackerStatus {
            name: self.name.clone(),
            unavailable: self.unavailable.as_ref().map(Lost::to_string),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An error's message without its hint.
fn first_line(error: &(dyn Error + 'static)) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
