//! What a tick costs, by tracker, and what the monitor takes of a core.
//!
//! `cargo bench -p profiler --bench trackers`. The promise is under 0.5% of a core at 0.1 s and
//! under 0.05% at 1 s: 500 microseconds a tick.

#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use profiler::config::ProfilerConfig;
use profiler::machine::usable_cores;
use profiler::monitor::{Monitor, MonitorOptions};
use profiler::rules::ResourceRules;
use profiler::trackers::Trackers;

const INTERVAL_S: f64 = 0.1;

fn main() {
    // `cargo test --benches` runs each benchmark once, which is no measurement.
    if std::env::args().any(|argument| argument == "--bench") {
        for (interval, promise) in
            [(Duration::from_millis(100), 0.5), (Duration::from_secs(1), 0.05)]
        {
            for threads in [2, 32] {
                let percent = monitors_share(interval, threads);
                println!(
                    "monitor at {interval:?}, {threads} threads: {percent:.4}% of a core, promised {promise}%"
                );
            }
        }
    }
    divan::main();
}

fn config(tracker: &str) -> ProfilerConfig {
    let on = |name| tracker == name || tracker == "all";
    ProfilerConfig {
        sampling_interval: INTERVAL_S,
        enable_memory_tracking: on("memory"),
        enable_gpu_tracking: on("gpu"),
        enable_cpu_tracking: on("cpu"),
        enable_io_tracking: on("io"),
        ..ProfilerConfig::default()
    }
}

/// Threads that wait until they are dropped.
struct Idle(Vec<mpsc::Sender<()>>);

impl Idle {
    fn new(threads: usize) -> Self {
        let start = |_| {
            let (sender, receiver) = mpsc::channel();
            thread::spawn(move || receiver.recv().is_ok());
            sender
        };
        Self((0..threads).map(start).collect())
    }
}

/// CPU time of the monitor's thread over some seconds, in percent.
fn monitors_share(interval: Duration, threads: usize) -> f64 {
    const LONG: Duration = Duration::from_secs(20);
    let idle = Idle::new(threads);
    let config =
        ProfilerConfig { sampling_interval: interval.as_secs_f64(), ..ProfilerConfig::default() };
    let monitor = Monitor::start(MonitorOptions {
        interval,
        trackers: Trackers::open(&config, Vec::new()),
        rules: Some(ResourceRules::new(&config, usable_cores())),
        ..MonitorOptions::default()
    })
    .unwrap();
    // What it takes to begin is not what it takes to go on.
    thread::sleep(interval * 3 / 2);
    let cpu_s = || {
        let of_process = monitor.recording();
        of_process
            .threads
            .iter()
            .find(|thread| thread.name.starts_with("profiler-moni"))
            .unwrap()
            .tid
    };
    let tid = cpu_s();
    let nanos = || {
        let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let (begun, before) = (Instant::now(), nanos());
    thread::sleep(LONG);
    let share = (nanos() - before) * 1e-9 / begun.elapsed().as_secs_f64();
    drop(idle.0);
    100.0 * share
}

/// A tick among others, as the monitor takes them.
#[divan::bench(args = ["memory", "cpu", "io", "gpu", "all"])]
fn tick(bencher: Bencher, tracker: &str) {
    let mut trackers = Trackers::open(&config(tracker), Vec::new());
    let mut at_s = 0.0;
    bencher.bench_local(|| {
        at_s += INTERVAL_S;
        trackers.tick(at_s)
    });
}

/// A tick that reads everything, as at a session's ends.
#[divan::bench(args = ["memory", "cpu", "io", "gpu", "all"])]
fn tick_of_everything(bencher: Bencher, tracker: &str) {
    let mut trackers = Trackers::open(&config(tracker), Vec::new());
    let mut at_s = 0.0;
    bencher.bench_local(|| {
        at_s += INTERVAL_S;
        trackers.tick_all(at_s)
    });
}

#[divan::bench(args = [2, 8, 64, 512])]
fn tick_with_threads(bencher: Bencher, threads: usize) {
    let idle = Idle::new(threads);
    let mut trackers = Trackers::open(&config("all"), Vec::new());
    let mut at_s = 0.0;
    bencher.bench_local(|| {
        at_s += INTERVAL_S;
        trackers.tick(at_s)
    });
    drop(idle.0);
}

#[divan::bench]
fn rules(bencher: Bencher) {
    let mut rules = ResourceRules::new(&config("all"), usable_cores());
    let mut sample = Trackers::open(&config("all"), Vec::new()).tick_all(0.0);
    bencher.bench_local(|| {
        sample.at_s += INTERVAL_S;
        rules.tick(&sample);
    });
}

/// What the rule `allocation_churn` takes a page fault to cost.
#[divan::bench]
fn page_fault(bencher: Bencher) {
    const PAGES: usize = 4096;
    const PAGE: usize = 4096;
    bencher.counter(ItemsCount::new(PAGES)).bench_local(|| {
        // Taken from the kernel and given back, being larger than what the allocator keeps.
        let mut block = Vec::<u8>::with_capacity(PAGES * PAGE * 4);
        let room = block.spare_capacity_mut();
        room.iter_mut().step_by(PAGE).take(PAGES).for_each(|byte| {
            byte.write(1);
        });
        black_box(&mut block);
    });
}
