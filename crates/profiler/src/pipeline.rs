//! What a pipeline tells of itself: counters that only grow, of stations, stages and a queue.
//!
//! Threads that run stages one after the other for each item are one *station* (the workers of a
//! loader: read, decode, transform, write). Separate pools are separate stations. Items leave
//! through a queue to one consumer.

use serde::{Deserialize, Serialize};

use crate::bottleneck::BottleneckType;

/// A pipeline that can be asked how far it is, from any thread, at any time.
pub trait PipelineSource: Send + Sync {
    /// The counters now. Called by the monitor at each tick: it must neither block nor compute.
    fn snapshot(&self) -> PipelineSnapshot;
}

/// A pipeline's counters at one moment, since it began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PipelineSnapshot {
    /// Seconds since the session began; the profiler fills it in.
    pub at_s: f64,
    /// Items (samples) that the consumer got.
    pub items: u64,
    /// Batches in which it got them.
    pub batches: u64,
    /// Seconds that the consumer waited for items, G.
    pub consumer_wait_s: f64,
    /// Seconds that the consumer was at its own work.
    pub consumer_busy_s: f64,
    /// CPU time of the consumer: of its thread, or of all that is not of the stations; `None`
    /// where it is not known.
    #[serde(default)]
    pub consumer_cpu_s: Option<f64>,
    /// Seconds that the consumer's thread was ready to run without a core; `None` where the kernel
    /// does not tell.
    #[serde(default)]
    pub consumer_run_delay_s: Option<f64>,
    /// Seconds for which nothing was ready for the consumer; `None` where there is no queue.
    pub queue_empty_s: Option<f64>,
    /// In the order of the data's way.
    pub stations: Vec<StationSnapshot>,
}

/// A pool of threads that runs its stages one after the other for each item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StationSnapshot {
    /// Such as `workers`.
    pub name: String,
    /// Threads, m.
    pub threads: usize,
    /// Whether it is the consumer's own thread: then nothing overlaps.
    pub on_consumer: bool,
    /// Items that it finished; `None` where it does not count: then the consumer's count is taken.
    #[serde(default)]
    pub items: Option<u64>,
    /// Thread-seconds without anything to do: no item came, or there was no room.
    pub wait_s: f64,
    /// CPU time of its threads; `None` where the kernel does not tell.
    pub cpu_s: Option<f64>,
    /// Thread-seconds ready to run without a core; `None` where the kernel does not tell.
    pub run_delay_s: Option<f64>,
    /// In the order in which they run.
    pub stages: Vec<StageSnapshot>,
}

/// One stage's counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageSnapshot {
    /// Such as `decode`.
    pub name: String,
    /// What it is by its nature; evidence may say otherwise.
    pub kind: BottleneckType,
    /// Thread-seconds in it, waits for items and room left out, B.
    pub busy_s: f64,
    /// Of the visits whose CPU time was read too (one in n): CPU time and wall time.
    pub timed_cpu_s: f64,
    /// See [`timed_cpu_s`](Self::timed_cpu_s).
    pub timed_wall_s: f64,
}
