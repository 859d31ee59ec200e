//! What an operation costs the program: enter and exit, one after the other, on one thread.

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

#[divan::bench]
fn off(bencher: Bencher) {
    let profiler = profiler(ProfilingLevel::Basic);
    bencher.bench_local(|| profiler.operation(black_box("decode"), BottleneckType::Preprocessing));
}

/// `basic` is wall time only, `detailed` with CPU time, `comprehensive` with the timeline too,
/// `production` times one call in 16.
#[divan::bench(args = LEVELS)]
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

/// Inside three others, among names that are looked up before it.
#[divan::bench(args = [1, 10, 100])]
fn among(bencher: Bencher, names: usize) {
    let profiler = profiler(ProfilingLevel::Basic);
    profiler.start_session("bench").unwrap();
    let _around = ["epoch", "batch", "sample"]
        .map(|name| profiler.operation(name, BottleneckType::CpuComputation));
    for name in 0..names - 1 {
        drop(profiler.operation(&format!("dec{name:03}"), BottleneckType::Preprocessing));
    }
    bencher.bench_local(|| {
        drop(profiler.operation(black_box("decode"), BottleneckType::Preprocessing));
    });
}

/// Two readings of the clock: what of the cost above is not ours.
#[divan::bench]
fn two_clocks(bencher: Bencher) {
    bencher.bench_local(|| std::time::Instant::now().elapsed());
}
