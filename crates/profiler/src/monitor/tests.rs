//! A monitor on this process.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::extend::PluginError;

const MIB: u64 = 1 << 20;

fn start() -> Monitor {
    Monitor::start(MonitorOptions::windows(Duration::from_millis(2))).unwrap()
}

/// Memory, CPU and I/O of this process at an interval of `ms`.
fn options(ms: u64, sources: Vec<Arc<dyn MetricSource>>) -> MonitorOptions {
    let config = ProfilerConfig {
        sampling_interval: ms as f64 * 1e-3,
        enable_gpu_tracking: false,
        ..ProfilerConfig::default()
    };
    MonitorOptions {
        interval: Duration::from_millis(ms),
        trackers: Trackers::open(&config, sources),
        rules: Some(ResourceRules::new(&config, usable_cores())),
        ..MonitorOptions::default()
    }
}

/// Waits, at most for a minute.
fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn windows_follow_one_another() {
    let monitor = start();
    let idle = monitor.window();
    thread::sleep(Duration::from_millis(60));
    let idle = idle.finish();

    let busy = monitor.window();
    let block = std::hint::black_box(vec![1u8; 128 << 20]);
    let spin = process_cpu() + Duration::from_millis(60);
    while process_cpu() < spin {}
    drop(block);
    let busy = busy.finish();

    assert!(idle.wall_s >= 0.06);
    assert!(busy.cpu_s >= 0.06 && busy.cpu_percent > 0.0 && busy.cpu_percent <= 100.0);
    // The block was gone again at the window's end: the thread's samples saw it.
    assert!(busy.rss_peak_bytes.unwrap() >= 96 * MIB);
    assert!(busy.rss_mean_bytes <= busy.rss_peak_bytes);
    assert!(busy.rss_mean_bytes.unwrap() > MIB);
}

#[test]
fn windows_may_overlap_and_be_dropped() {
    let monitor = start();
    let outer = monitor.window();
    drop(monitor.window());
    let inner = monitor.window().finish();
    let outer = outer.finish();
    assert!(outer.wall_s >= inner.wall_s);
    assert!(inner.rss_mean_bytes > Some(0) && inner.rss_peak_bytes >= inner.rss_mean_bytes);
    assert_eq!(monitor.shared.windows.count(), 0);
}

#[test]
fn without_trackers_figures_are_absent() {
    let monitor = Monitor::start(MonitorOptions::default()).unwrap();
    let usage = monitor.window().finish();
    assert_eq!((usage.rss_mean_bytes, usage.rss_peak_bytes), (None, None));
    let recording = monitor.finish();
    assert!(recording.samples.iter().all(|sample| sample.memory.is_none()));
    assert_eq!((recording.trackers, recording.threads), (vec![], vec![]));
}

#[test]
fn stops_at_once_and_takes_its_thread_along() {
    for finish in [false, true] {
        let options = MonitorOptions::windows(Duration::from_secs(3600));
        let monitor = Monitor::start(options).unwrap();
        let thread = Arc::downgrade(&monitor.shared);
        let asked = Instant::now();
        if finish {
            monitor.finish();
        } else {
            drop(monitor);
        }
        assert!(asked.elapsed() < Duration::from_secs(60));
        assert_eq!(thread.strong_count(), 0);
    }
}

#[test]
fn usage_survives_a_file() {
    let usage = start().window().finish();
    let json = serde_json::to_string(&usage).unwrap();
    let back: ProcessUsage = serde_json::from_str(&json).unwrap();
    assert_eq!(back.rss_mean_bytes, usage.rss_mean_bytes);
    assert_eq!(back.gpu_mean_bytes, usage.gpu_mean_bytes);
}

#[test]
fn a_recording_has_its_ends_and_what_was_seen_between() {
    let monitor = Monitor::start(MonitorOptions { history: 8, ..options(1, vec![]) }).unwrap();
    until(|| monitor.recording().dropped > 20);
    let open = monitor.recording();
    let latest = monitor.latest().unwrap();
    let recording = monitor.finish();

    assert!(open.samples.len() <= 8 && recording.samples.len() <= 8);
    assert_eq!(recording.samples[0], open.samples[0]);
    assert!(recording.samples.is_sorted_by(|a, b| a.at_s < b.at_s));
    let last = recording.samples.last().unwrap();
    assert!(last.at_s > latest.at_s);
    let (memory, cpu, io) = (last.memory.unwrap(), last.cpu.unwrap(), last.io.unwrap());
    assert!(memory.peak_resident_bytes.unwrap() >= memory.resident_bytes);
    assert!(memory.system_total_bytes.unwrap() > memory.system_available_bytes.unwrap());
    assert!(cpu.process_cpu_s >= cpu.kernel_cpu_s.unwrap() && cpu.threads.unwrap() >= 2);
    assert!(cpu.process_percent.is_some_and(|percent| (0.0..=100.0).contains(&percent)));
    assert!(cpu.system_percent.is_some_and(|percent| (0.0..=100.0).contains(&percent)));
    assert!(io.read_calls > 0);
    let status = |name: &str| recording.trackers.iter().find(|t| t.name == name).unwrap();
    assert_eq!(status("memory").unavailable, None);
    assert!(status("gpu").unavailable.as_ref().unwrap().contains("enable_gpu_tracking"));
    let monitors = recording.threads.iter().find(|thread| thread.name == "profiler-monito");
    assert!(monitors.unwrap().cpu_s > 0.0, "{:?}", recording.threads);
}

/// A source that does as told.
struct Told(&'static str, fn(u64) -> Result<f64, PluginError>, AtomicU64);

impl MetricSource for Told {
    fn name(&self) -> &str {
        self.0
    }

    fn sample(&self) -> Result<Vec<(String, f64)>, PluginError> {
        let call = self.2.fetch_add(1, Relaxed);
        Ok(vec![(format!("{}_value", self.0), (self.1)(call)?)])
    }
}

fn told(name: &'static str, what: fn(u64) -> Result<f64, PluginError>) -> Arc<Told> {
    Arc::new(Told(name, what, AtomicU64::new(0)))
}

fn refusal() -> Box<dyn Error + Send + Sync> {
    "the device is gone\nhint: plug it in".into()
}

#[test]
fn a_source_that_fails_or_panics_is_asked_no_more_and_the_others_go_on() {
    let good = told("good", |call| Ok(call as f64));
    let odd = told("odd", |_| Ok(f64::NAN));
    let errs = told("errs", |call| if call < 2 { Ok(7.0) } else { Err(refusal()) });
    let panics = told("panics", |_| panic!("no such thing"));
    let sources: Vec<Arc<dyn MetricSource>> =
        vec![errs.clone(), panics.clone(), good.clone(), odd.clone()];
    let monitor = Monitor::start(options(1, sources)).unwrap();
    until(|| good.2.load(Relaxed) > 10);
    let recording = monitor.finish();

    assert_eq!((errs.2.load(Relaxed), panics.2.load(Relaxed)), (3, 1));
    let why = |name: &str| {
        let status = recording.trackers.iter().find(|status| status.name == name).unwrap();
        status.unavailable.clone()
    };
    assert_eq!((why("good"), why("odd")), (None, None));
    assert!(why("errs").unwrap().ends_with(" s: the device is gone"), "{:?}", why("errs"));
    assert!(why("panics").unwrap().ends_with("it panicked: no such thing"));
    assert_eq!(recording.samples[0].metrics["errs_value"], 7.0);
    let last = recording.samples.last().unwrap();
    assert!(last.metrics["good_value"] >= 10.0);
    assert_eq!(last.metrics.len(), 1, "NaN is no figure: {:?}", last.metrics);
}

#[test]
fn a_source_beside_windows_is_in_the_history() {
    let good = told("good", |call| Ok(call as f64));
    let windows = MonitorOptions::windows(Duration::from_millis(1)).metric_source(good.clone());
    let monitor = Monitor::start(MonitorOptions { history: 16, ..windows }).unwrap();
    until(|| good.2.load(Relaxed) > 40);
    let samples = monitor.finish().samples;
    assert!((8..=16).contains(&samples.len()), "{}", samples.len());
    let values: Vec<f64> = samples.iter().map(|sample| sample.metrics["good_value"]).collect();
    assert!(values[0] == 0.0 && values.is_sorted_by(|a, b| a < b), "{values:?}");
    assert!(samples.iter().all(|sample| sample.memory.is_some()));
}

#[test]
fn a_source_that_is_slow_is_noted_once() {
    let slow = told("slow", |_| {
        thread::sleep(Duration::from_millis(20));
        Ok(1.0)
    });
    let monitor = Monitor::start(options(2, vec![slow.clone()])).unwrap();
    until(|| slow.2.load(Relaxed) > 3);
    let notes = monitor.finish().notes;
    let of_it = notes.iter().filter(|note| note.contains("metric source `slow` took"));
    assert_eq!(of_it.count(), 1, "{notes:?}");
}

#[test]
fn a_listener_that_panics_is_told_no_more() {
    let calls = Arc::new(AtomicU64::new(0));
    let on_tick: OnTick = Box::new({
        let calls = calls.clone();
        move |sample| {
            assert!(sample.memory.is_some());
            assert!(calls.fetch_add(1, Relaxed) < 2, "enough");
        }
    });
    let on_tick = Some(on_tick);
    let monitor = Monitor::start(MonitorOptions { on_tick, ..options(1, vec![]) }).unwrap();
    until(|| monitor.recording().samples.len() > 10);
    let recording = monitor.finish();
    assert_eq!(calls.load(Relaxed), 3);
    assert!(recording.notes.iter().any(|note| note.ends_with("enough")), "{:?}", recording.notes);
}

#[test]
fn a_process_short_of_memory_is_noticed_while_it_runs() {
    let config = ProfilerConfig { memory_threshold: 1e-6, ..ProfilerConfig::default() };
    let rules = Some(ResourceRules::new(&config, 1.0));
    let monitor = Monitor::start(MonitorOptions { rules, ..options(1, vec![]) }).unwrap();
    until(|| !monitor.active().is_empty());
    assert_eq!(monitor.active()[0].name, "high_memory_usage");
    assert_eq!(monitor.recording().bottlenecks[0].name, "high_memory_usage");
    let found = monitor.finish().bottlenecks;
    assert_eq!((found[0].name.as_str(), found[0].frequency), ("high_memory_usage", 1));
}

#[test]
fn clocks_notice_sleep_and_stops_but_not_a_late_tick() {
    let mut clocks = Clocks::new(Duration::from_millis(100));
    assert_eq!(clocks.look(0.0, 5.0), None);
    assert_eq!(clocks.look(0.1, 5.0), None);
    assert_eq!(clocks.look(1.5, 5.0), None, "a busy machine");
    let stopped = clocks.look(31.5, 5.0).unwrap();
    assert!(stopped.starts_with("no sample from 1.5 s to 31.5 s"), "{stopped}");
    let asleep = clocks.look(31.6, 3605.0).unwrap();
    assert!(asleep.starts_with("the machine was suspended for 3600.0 s"), "{asleep}");
    assert_eq!(clocks.look(31.7, 3605.0), None);
}
