//! Sessions and operations as a program uses them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod config;
mod misuse;
mod monitoring;
mod operations;
mod plugins;
mod sessions;
mod tracing_spans;

use profiler::bottleneck::BottleneckType;
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::profiler::BottleneckProfiler;
use profiler::session::{OperationStats, ProfilingSession};

const CPU: BottleneckType = BottleneckType::CpuComputation;

fn at_level(level: ProfilingLevel) -> BottleneckProfiler {
    let config = ProfilerConfig::at_level(level).with_gpu_tracking(false);
    BottleneckProfiler::new(config.with_sampling_interval(0.002)).unwrap()
}

fn detailed() -> BottleneckProfiler {
    at_level(ProfilingLevel::Detailed)
}

fn operation<'a>(session: &'a ProfilingSession, path: &[&str]) -> &'a OperationStats {
    let operations = &session.performance_metrics.operations;
    operations.iter().find(|operation| operation.path == path).unwrap()
}
