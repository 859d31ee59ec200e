//! What to measure, and from where on something is worth a word.

use serde::{Deserialize, Serialize};

/// How much is recorded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ProfilingLevel {
    /// Time of operations, and memory.
    Basic,
    /// Every tracker, CPU time of operations, bottlenecks.
    #[default]
    Detailed,
    /// Queues, the timeline and hints too.
    Comprehensive,
    /// Left on for days: a sample a second, operations timed one in n, memory bounded.
    Production,
}

/// What to measure, and from where on something is worth a word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilerConfig {
    /// How much is recorded [default: `detailed`].
    pub profiling_level: ProfilingLevel,
    /// A finding that would gain less of the total time is left out, 0 to 1 [default: 0.05].
    pub bottleneck_threshold: f64,
    /// The share of the memory limit that applies, above which use is high, 0 to 1 [default: 0.8].
    pub memory_threshold: f64,
    /// The share of a GPU's memory above which use is high, 0 to 1 [default: 0.9].
    pub gpu_threshold: f64,
    /// Seconds from one sample of the trackers to the next [default: 0.1; at level production 1].
    pub sampling_interval: f64,
    /// Whether the monitor's thread runs [default: true].
    pub enable_real_time_monitoring: bool,
    /// Whether memory is tracked [default: true].
    pub enable_memory_tracking: bool,
    /// Whether GPUs are tracked [default: true].
    pub enable_gpu_tracking: bool,
    /// Whether CPU use is tracked [default: true].
    pub enable_cpu_tracking: bool,
    /// Whether I/O is tracked [default: true].
    pub enable_io_tracking: bool,
}

impl Default for ProfilerConfig {
    fn default() -> Self {
        Self {
            profiling_level: ProfilingLevel::default(),
            bottleneck_threshold: 0.05,
            memory_threshold: 0.8,
            gpu_threshold: 0.9,
            sampling_interval: 0.1,
            enable_real_time_monitoring: true,
            enable_memory_tracking: true,
            enable_gpu_tracking: true,
            enable_cpu_tracking: true,
            enable_io_tracking: true,
        }
    }
}
