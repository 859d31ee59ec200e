//! A session while it is open: what runs, and how a [`ProfilingSession`] is made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::attribution::{Surroundings, attribute};
use crate::config::{ProfilerConfig, ProfilingLevel};
use crate::machine::Machine;
use crate::monitor::{Monitor, MonitorOptions, Recording, Window, process_cpu};
use crate::notes::{Notes, printable};
use crate::operation::Recorder;
use crate::pipelines::Pipelines;
use crate::plugins::Plugins;
use crate::resources::ResourceSample;
use crate::rules::ResourceRules;
use crate::session::{OperationStats, PerformanceMetrics, ProfilingSession, SCHEMA};
use crate::trackers::Trackers;
use crate::usage::Usage;

/// Samples of the trackers that a session keeps.
const MAX_SAMPLES: usize = 4096;
/// Both clocks may differ by so much over a session, in seconds, before it is worth a word.
const CLOCK_JUMP_S: f64 = 1.0;

/// Names a session and its files: letters, digits, `-`, `_` and `.` only, such as
/// `train-20261122T210203Z-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// The name as far as it can be part of a file's name, the time, and a number within this
    /// process.
    fn new(name: &str, started: Timestamp) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        const MAX_NAME: usize = 64;
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.chars().map(safe).take(MAX_NAME).collect();
        // A file that begins with a dot is hidden, and with a dash is taken for an option.
        let name = name.trim_matches(['-', '.']);
        let name = if name.is_empty() { "session" } else { name };
        let time = started.strftime("%Y%m%dT%H%M%SZ");
        Self(format!("{name}-{time}-{}", NUMBER.fetch_add(1, Relaxed)))
    }

    /// As in [`ProfilingSession::session_id`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct OpenSession {
    pub(crate) id: SessionId,
    pub(crate) recorder: Arc<Recorder>,
    name: String,
    config: ProfilerConfig,
    machine: Machine,
    plugins: Plugins,
    started: Timestamp,
    began: Instant,
    cpu_before: Duration,
    pipelines: Arc<Pipelines>,
    usage: Arc<Mutex<Usage>>,
    monitor: Mutex<Option<Monitor>>,
    attributes: Mutex<BTreeMap<String, String>>,
    notes: Mutex<Notes>,
}

impl OpenSession {
    /// Begins a session: its clocks run, its monitor samples.
    pub(crate) fn begin(
        name: &str,
        config: &ProfilerConfig,
        machine: &Machine,
        plugins: Plugins,
    ) -> Self {
        let (started, began) = (Timestamp::now(), Instant::now());
        let session = Self {
            id: SessionId::new(name, started),
            recorder: Recorder::new(config.profiling_level, began),
            name: name.to_owned(),
            config: config.clone(),
            machine: machine.clone(),
            plugins,
            started,
            began,
            cpu_before: process_cpu(),
            pipelines: Arc::new(Pipelines::new(began)),
            usage: Arc::default(),
            monitor: Mutex::default(),
            attributes: Mutex::default(),
            notes: Mutex::default(),
        };
        if config.enable_real_time_monitoring {
            match Monitor::start(session.monitor_options()) {
                Ok(monitor) => *lock(&session.monitor) = Some(monitor),
                Err(error) => {
                    lock(&session.notes).add(format!("no resources were sampled: {error}"));
                }
            }
        }
        session
    }

    fn monitor_options(&self) -> MonitorOptions {
        let (usage, pipelines) = (self.usage.clone(), self.pipelines.clone());
        let recorder = self.recorder.clone();
        let with_pipelines = self.config.profiling_level > ProfilingLevel::Basic;
        MonitorOptions {
            interval: Duration::from_secs_f64(self.config.sampling_interval),
            trackers: Trackers::open(&self.config, self.plugins.sources.clone()),
            history: MAX_SAMPLES,
            rules: Some(ResourceRules::new(&self.config, self.machine.usable_cores)),
            began: self.began,
            on_tick: Some(Box::new(move |sample| {
                recorder.look();
                lock(&usage).add(sample);
                if with_pipelines {
                    pipelines.ask();
                }
            })),
        }
    }

    pub(crate) fn attribute(&self, key: &str, value: &str) {
        lock(&self.attributes).insert(printable(key), printable(value));
    }

    pub(crate) fn note(&self, line: String) {
        lock(&self.notes).add(line);
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// `None` where there is no monitor.
    pub(crate) fn window(&self) -> Option<Window> {
        lock(&self.monitor).as_ref().map(Monitor::window)
    }

    /// The session so far; it stays open.
    pub(crate) fn so_far(&self) -> ProfilingSession {
        let recording = lock(&self.monitor).as_ref().map(Monitor::recording).unwrap_or_default();
        self.session(recording, None)
    }

    /// Ends the session: its monitor has stopped when this returns.
    pub(crate) fn end(&self) -> ProfilingSession {
        let monitor = lock(&self.monitor).take();
        let recording = monitor.map(Monitor::finish).unwrap_or_default();
        self.session(recording, Some(Timestamp::now()))
    }

    fn session(&self, recording: Recording, finished: Option<Timestamp>) -> ProfilingSession {
        let duration_s = self.began.elapsed().as_secs_f64();
        let cpu_s = process_cpu().saturating_sub(self.cpu_before).as_secs_f64();
        let record = self.recorder.record();
        // The last stretch of a pipeline ends here, not at the latest tick.
        self.pipelines.ask();

        let mut notes = lock(&self.notes).clone();
        let now = finished.unwrap_or_else(Timestamp::now);
        let wall_s = now.duration_since(self.started).as_secs_f64();
        clock_note(wall_s, duration_s).into_iter().for_each(|note| notes.add(note));
        record.notes.into_iter().chain(recording.notes).for_each(|note| notes.add(note));
        self.pipelines.notes().into_iter().for_each(|note| notes.add(note));

        let operations = record.operations.into_iter().map(|(operation, last_end_s)| {
            with_resources(operation, sample_before(&recording.samples, last_end_s))
        });
        let usage = lock(&self.usage);
        let mut session = ProfilingSession {
            schema: SCHEMA.to_owned(),
            session_id: self.id.to_string(),
            name: self.name.clone(),
            started: rfc3339(self.started),
            finished: finished.map(rfc3339),
            duration_s,
            config: self.config.clone(),
            machine: self.machine.clone(),
            attributes: lock(&self.attributes).clone(),
            performance_metrics: PerformanceMetrics {
                operations: operations.collect(),
                pipelines: self.pipelines.profiles(),
                cpu_s,
                cpu_percent: cpu_percent(cpu_s, duration_s, self.machine.usable_cores),
            },
            bottlenecks: Vec::new(),
            memory_profile: usage.memory(),
            gpu_profile: usage.gpus(),
            threads: recording.threads,
            resources: recording.samples,
            resources_dropped: recording.dropped,
            trackers: recording.trackers,
            timeline: record.timeline,
            timeline_dropped: record.timeline_dropped,
            notes: Vec::new(),
        };
        drop(usage);
        let surroundings = Surroundings::of(&session);
        for pipeline in &mut session.performance_metrics.pipelines {
            pipeline.attribution = attribute(&pipeline.snapshots, &surroundings);
        }
        if self.config.profiling_level > ProfilingLevel::Basic {
            session.bottlenecks = self.plugins.find(&session, recording.bottlenecks, &mut notes);
        }
        session.notes = notes.lines();
        session
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn cpu_percent(cpu_s: f64, duration_s: f64, usable_cores: f64) -> f64 {
    (100.0 * cpu_s / (duration_s * usable_cores).max(1e-9)).min(100.0)
}

/// What a reader should know if the wall clock and the monotonic one did not run alike.
fn clock_note(wall_s: f64, duration_s: f64) -> Option<String> {
    let ahead_s = wall_s - duration_s;
    let way = if ahead_s > 0.0 { "forward" } else { "back" };
    (ahead_s.abs() > CLOCK_JUMP_S).then(|| {
        format!(
            "the wall clock jumped {way} by {:.1} s (it was set, or the machine slept): \
             `started` and `finished` are by it, all durations by the monotonic clock",
            ahead_s.abs()
        )
    })
}

/// The latest sample at `at_s`, of those in order of time.
fn sample_before(samples: &[ResourceSample], at_s: f64) -> Option<&ResourceSample> {
    let after = samples.partition_point(|sample| sample.at_s <= at_s);
    after.checked_sub(1).map(|at| &samples[at])
}

fn with_resources(operation: OperationStats, sample: Option<&ResourceSample>) -> OperationStats {
    let gpus = sample.and_then(|sample| sample.gpus.as_deref()).unwrap_or_default();
    OperationStats {
        resident_bytes: sample.and_then(|sample| Some(sample.memory?.resident_bytes)),
        gpu_bytes: gpus.iter().filter_map(|gpu| gpu.process_bytes).reduce(|sum, more| sum + more),
        cpu_percent: sample.and_then(|sample| sample.cpu?.process_percent),
        ..operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_safe_id() {
        let started: Timestamp = "2026-11-22T21:02:03Z".parse().unwrap();
        let id = |name: &str| {
            let id = SessionId::new(name, started).to_string();
            let (id, number) = id.rsplit_once('-').unwrap();
            assert!(number.parse::<u64>().unwrap() > 0);
            id.to_owned()
        };
        assert_eq!(id("train"), "train-20261122T210203Z");
        assert_eq!(id("../../etc/passwd"), "etc-passwd-20261122T210203Z");
        assert_eq!(id("a b\u{7}ü"), "a-b--20261122T210203Z".replace("--2", "-2"));
        assert_eq!(id("///"), "session-20261122T210203Z");
        assert!(id(&"x".repeat(1000)).len() < 100);
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_told() {
        assert_eq!(clock_note(10.0, 10.9), None);
        assert!(clock_note(3610.0, 10.0).unwrap().contains("forward by 3600.0 s"));
        assert!(clock_note(-50.0, 10.0).unwrap().contains("back by 60.0 s"));
    }

    #[test]
    fn resources_of_an_operation_are_of_the_sample_before_its_end() {
        let at = |at_s| ResourceSample { at_s, ..Default::default() };
        let samples = [at(0.0), at(1.0), at(2.0)];
        assert_eq!(sample_before(&samples, 1.5), Some(&samples[1]));
        assert_eq!(sample_before(&samples, 9.0), Some(&samples[2]));
        assert_eq!(sample_before(&samples, -1.0), None);
        assert_eq!(sample_before(&[], 1.0), None);
    }
}
