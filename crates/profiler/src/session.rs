//! All that a session recorded and found: what `session.json` holds and what reports are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attribution::Attribution;
use crate::bottleneck::{Bottleneck, BottleneckType};
use crate::config::ProfilerConfig;
use crate::machine::Machine;
use crate::pipeline::PipelineSnapshot;
use crate::resources::{ResourceSample, ThreadUsage, TrackerStatus};

/// The value of [`ProfilingSession::schema`] that this version writes and reads.
pub const SCHEMA: &str = "profiler-session/1";

/// A session: begun, perhaps ended, with what was measured and found.
///
/// Times named `_s` are seconds, since the session began where they are moments; sizes are bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProfilingSession {
    /// [`SCHEMA`].
    pub schema: String,
    /// Names the session's files: letters, digits, `-`, `_` and `.` only.
    pub session_id: String,
    /// As the program called it.
    pub name: String,
    /// Wall-clock time of the beginning, RFC 3339, UTC.
    pub started: String,
    /// Wall-clock time of the end; `None` while the session is open.
    pub finished: Option<String>,
    /// By the monotonic clock.
    pub duration_s: f64,
    /// What was asked for.
    pub config: ProfilerConfig,
    /// What it ran on.
    pub machine: Machine,
    /// What the program says of its run: settings, data, versions. Two sessions whose `data`
    /// differs are not compared.
    pub attributes: BTreeMap<String, String>,
    /// What took the time.
    pub performance_metrics: PerformanceMetrics,
    /// What holds the program up, worst first.
    pub bottlenecks: Vec<Bottleneck>,
    /// `None` where memory was not tracked; so for the others.
    pub memory_profile: Option<MemoryProfile>,
    /// See [`GpuProfile`].
    pub gpu_profile: Option<GpuProfile>,
    /// What each thread used; empty where CPU was not tracked.
    pub threads: Vec<ThreadUsage>,
    /// The trackers' samples in order of time, thinned out if the session was long.
    pub resources: Vec<ResourceSample>,
    /// Samples that were left out for that.
    pub resources_dropped: u64,
    /// Each tracker, and why it has nothing if it has nothing.
    pub trackers: Vec<TrackerStatus>,
    /// What happened when, at level comprehensive; in order of their ends.
    pub timeline: Vec<Span>,
    /// Spans that found no room.
    pub timeline_dropped: u64,
    /// What a reader should know: a clock that jumped, a guard that was misused.
    pub notes: Vec<String>,
}

/// What took the time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PerformanceMetrics {
    /// By path, parents before children.
    pub operations: Vec<OperationStats>,
    /// Each pipeline.
    pub pipelines: Vec<PipelineProfile>,
    /// CPU time of the process during the session.
    pub cpu_s: f64,
    /// CPU time in percent of the cores that the process may use, 0 to 100.
    pub cpu_percent: f64,
}

/// All calls of one operation in one place of the nesting, over all threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationStats {
    /// Names from the outermost to this one, such as `["epoch", "forward"]`.
    pub path: Vec<String>,
    /// Its kind, as it was declared.
    pub kind: BottleneckType,
    /// Calls that ended.
    pub calls: u64,
    /// Thread-seconds from begin to end.
    pub total_s: f64,
    /// Those, less those of operations inside on the same thread.
    pub self_s: f64,
    /// The shortest call.
    pub min_s: f64,
    /// The longest call.
    pub max_s: f64,
    /// CPU time of the calling threads in `self_s`, from level detailed on.
    pub self_cpu_s: Option<f64>,
    /// What else was seen of the calling threads, from level detailed on.
    #[serde(default)]
    pub evidence: Option<OperationEvidence>,
    /// Threads that called it.
    pub threads: usize,
    /// Resident memory at the monitor's latest sample before the last call's end.
    pub resident_bytes: Option<u64>,
    /// GPU memory of the process, likewise.
    pub gpu_bytes: Option<u64>,
    /// CPU use in percent of the usable cores, likewise.
    pub cpu_percent: Option<f64>,
}

impl OperationStats {
    /// The innermost name.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }
}

/// What the kernel told of an operation's own threads while they were in it, and not in an operation
/// inside. The figures are of some of its time, evenly chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationEvidence {
    /// Thread-seconds that the other figures are of. None at level production, which reads the looks
    /// alone.
    pub wall_s: f64,
    /// CPU time.
    pub cpu_s: f64,
    /// Of that, time in the kernel, counted in the kernel's ticks.
    pub kernel_cpu_s: f64,
    /// Time ready to run without a core; `None` where the kernel does not tell.
    pub run_delay_s: Option<f64>,
    /// Page faults that needed no storage: memory used for the first time.
    pub minor_faults: u64,
    /// What the threads were doing when the monitor looked.
    pub looks: Looks,
}

/// How often a look at a thread, one at each tick of the monitor, found it doing what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// It computed, or was ready to.
    pub running: u64,
    /// It waited for a file or a page of one.
    pub storage: u64,
    /// It waited for a socket, or polled.
    pub network: u64,
    /// It waited for a lock, a pipe, another thread or process.
    pub threads: u64,
    /// It waited for time to pass.
    pub sleep: u64,
    /// It waited for the driver of a GPU.
    pub gpu: u64,
    /// It waited for something else.
    pub other: u64,
}

/// One call of an operation, or one stretch of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The operation.
    pub name: String,
    /// Its kind.
    pub kind: BottleneckType,
    /// The thread, by the kernel's number.
    pub tid: i32,
    /// When it began.
    pub start_s: f64,
    /// How long it took.
    pub duration_s: f64,
}

/// A pipeline's counters and what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineProfile {
    /// Such as `loader`.
    pub name: String,
    /// Its counters in order of time, the first at its registration.
    pub snapshots: Vec<PipelineSnapshot>,
    /// What limits it; `None` where too little was recorded.
    pub attribution: Option<Attribution>,
}

/// Memory over the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryProfile {
    /// At the beginning.
    pub start_bytes: u64,
    /// At the end.
    pub end_bytes: u64,
    /// Mean over time.
    pub mean_bytes: u64,
    /// Highest sample.
    pub peak_bytes: u64,
    /// What applies: the control groups' limit, or the machine's memory.
    pub limit_bytes: Option<u64>,
}

/// GPUs over the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuProfile {
    /// One for each device.
    pub devices: Vec<GpuDeviceProfile>,
}

/// One GPU over the session; a figure that the driver does not give is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuDeviceProfile {
    /// The driver's number.
    pub index: u32,
    /// The product's name.
    pub name: String,
    /// Highest sample of memory in use by all processes.
    pub memory_peak_bytes: Option<u64>,
    /// Memory of the device.
    pub memory_total_bytes: Option<u64>,
    /// Highest sample of memory that this process held.
    pub process_peak_bytes: Option<u64>,
    /// Mean share of time in which a kernel ran, 0 to 100.
    pub utilization_mean_percent: Option<f64>,
    /// Mean PCIe traffic to the device, bytes a second.
    pub pcie_rx_mean_bytes_per_s: Option<f64>,
    /// Mean PCIe traffic from the device, bytes a second.
    pub pcie_tx_mean_bytes_per_s: Option<f64>,
}
