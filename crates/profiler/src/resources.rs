//! What the trackers see at one moment. Absent is `None`, never 0. Bytes, seconds, percent.
//!
//! Counters ("so far") are of the tick or absent. Gauges that are dear to read repeat what was
//! read last, see [`trackers`](crate::trackers).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::gpu::GpuReading;

/// All trackers at one tick of the monitor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceSample {
    /// Seconds since the session began, by the monotonic clock.
    pub at_s: f64,
    /// `None` where the tracker is off or unavailable; so for the others.
    pub memory: Option<MemorySample>,
    /// See [`CpuSample`].
    pub cpu: Option<CpuSample>,
    /// One for each device.
    pub gpus: Option<Vec<GpuReading>>,
    /// See [`IoSample`].
    pub io: Option<IoSample>,
    /// Of custom metric sources, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemorySample {
    /// Resident memory of this process.
    pub resident_bytes: u64,
    /// The most that was ever resident since the program began.
    pub peak_resident_bytes: Option<u64>,
    /// Memory of the machine that cannot be given up, in percent of all.
    pub system_used_percent: Option<f64>,
    /// Memory of the machine that programs may still take.
    pub system_available_bytes: Option<u64>,
    /// Memory of the machine.
    pub system_total_bytes: Option<u64>,
    /// The smallest limit of this process's control groups, where there is one.
    pub limit_bytes: Option<u64>,
    /// Held against the limit by all that share it, page cache that can be given up left out.
    pub limit_used_bytes: Option<u64>,
}

/// CPU use between the tick before and this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSample {
    /// CPU time of this process so far, user and system, all threads.
    pub process_cpu_s: f64,
    /// Of that, time in the kernel; `None` where the kernel does not tell.
    #[serde(default)]
    pub kernel_cpu_s: Option<f64>,
    /// CPU time of this process in percent of the cores that it may use, 0 to 100.
    pub process_percent: Option<f64>,
    /// Busy time of all cores of the machine in percent, 0 to 100.
    pub system_percent: Option<f64>,
    /// Time that threads of this process were ready to run and got no core, so far, in
    /// thread-seconds; `None` where the kernel does not tell, and at ticks between two readings
    /// of the threads.
    pub run_delay_s: Option<f64>,
    /// Page faults of this process so far that needed no storage: memory used for the first time.
    #[serde(default)]
    pub minor_faults: Option<u64>,
    /// Threads of this process.
    pub threads: Option<usize>,
    /// Mean frequency of the cores.
    pub mhz: Option<f64>,
}

/// I/O of this process so far, and stalls of the machine so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IoSample {
    /// Bytes that system calls read, from cache or storage.
    pub read_call_bytes: u64,
    /// Bytes that system calls wrote.
    pub write_call_bytes: u64,
    /// System calls that read.
    pub read_calls: u64,
    /// System calls that wrote.
    pub write_calls: u64,
    /// Bytes fetched from storage.
    pub storage_read_bytes: u64,
    /// Bytes sent to storage.
    pub storage_write_bytes: u64,
    /// Thread-seconds that this process was blocked on storage; `None` where the kernel does not
    /// account for delays (`kernel.task_delayacct` is 0), and at ticks between two readings of
    /// the threads.
    pub blocked_s: Option<f64>,
    /// Seconds in which some task of the machine (or control group) was stalled on I/O, from PSI;
    /// `None` where the kernel has it not, and at ticks between two readings.
    pub pressure_s: Option<f64>,
}

/// What one thread used during a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadUsage {
    /// The kernel's number; 0 for all those together that ended and found no room of their own.
    pub tid: i32,
    /// The kernel's name, at most 15 bytes, as it was last seen.
    pub name: String,
    /// CPU time.
    pub cpu_s: f64,
    /// Time ready to run without a core; `None` where the kernel does not tell.
    pub run_delay_s: Option<f64>,
}

/// A tracker, and why it has no figures if it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    /// `memory`, `cpu`, `gpu`, `io` or the name of a metric source.
    pub name: String,
    /// `None` where it works.
    pub unavailable: Option<String>,
}
