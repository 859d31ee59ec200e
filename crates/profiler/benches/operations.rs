//! What an operation costs the program: enter and exit, one after the other, on one thread.
#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::hint::black_box;

use divan::Bencher;
use profiler::bottleneck::BottleneckType;
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::profiler::BottleneckProfiler;

fn main() {
    divan::main();
}

/// A profiler without a monitor: what it costs is measured apart.
fn profiler(level: ProfilingLevel) -> BottleneckProfiler {
    let config = ProfilerConfig::at_level(level).with_real_time_monitoring(false);
    BottleneckProfiler::new(config).unwrap()
}

#[divan::bench(sample_size = 10000)]
fn off(bencher: Bencher) {
    let profiler = profiler(ProfilingLevel::Basic);
    bencher.bench_local(|| profiler.operation(black_box("decode"), BottleneckType::Preprocessing));
}

/// `basic` is wall time only, `detailed` with CPU time, `comprehensive` with the timeline too,
/// `production` times one call in 16.
#[divan::bench(sample_size = 10000, args = LEVELS)]
fn on(bencher: Bencher, level: ProfilingLevel) {
    let profiler = profiler(level);
    profiler.start_session("bench").unwrap();
    bencher.bench_local(|| {
        drop(profiler.operation(black_box("decode"), BottleneckType::Preprocessing));
    });
}

const LEVELS: [ProfilingLevel; 4] = [
    ProfilingLevel::Basic,
    ProfilingLevel::Detailed,
    ProfilingLevel::Comprehensive,
    ProfilingLevel::Production,
];

/// Inside three others, one of so many names in turn.
#[divan::bench(sample_size = 10000, args = [1, 10, 100])]
fn among(bencher: Bencher, names: usize) {
    let profiler = profiler(ProfilingLevel::Basic);
    profiler.start_session("bench").unwrap();
    let _around = ["epoch", "batch", "sample"]
        .map(|name| profiler.operation(name, BottleneckType::CpuComputation));
    let names: Vec<String> = (0..names).map(|name| format!("decode {name}")).collect();
    let mut turn = names.iter().cycle();
    bencher.bench_local(|| {
        let name = turn.next().map_or("", String::as_str);
        drop(profiler.operation(black_box(name), BottleneckType::Preprocessing));
    });
}

/// Two readings of the clock: what of the cost above is not ours.
/// Two readings of the clock: what of the cost above is not ours.
#[divan::bench(sample_size = 10000)]
fn two_clocks(bencher: Bencher) {
    bencher.bench_local(|| std::time::Instant::now().elapsed());
}
