//! What limits a pipeline, and what would be gained if a stage of it were free.

use serde::{Deserialize, Serialize};

use crate::bottleneck::BottleneckType;

/// How much the consumer waits for its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Under 5% of its time.
    NotInputBound,
    /// 5 to 20%.
    ModeratelyInputBound,
    /// Over 20%.
    HighlyInputBound,
    /// Its waiting and the state of the queue do not agree.
    Ambiguous,
}

/// What limits a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// Whether the consumer waits.
    pub verdict: Verdict,
    /// One sentence: what limits, by how much, and what would be next.
    pub sentence: String,
    /// Length of the window W.
    pub window_s: f64,
    /// Items a second, X.
    pub items_per_s: f64,
    /// Share of the window that the consumer waited, G/W.
    pub wait_share: f64,
    /// Share of the window in which something was ready, 1 - empty/W.
    pub queue_readiness: Option<f64>,
    /// The station with the highest utilization, by its place in `stations`.
    pub limiting_station: usize,
    /// In it the stage with the largest demand, by its place.
    pub limiting_stage: usize,
    /// In the order of the data's way.
    pub stations: Vec<StationAttribution>,
}

/// A station of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StationAttribution {
    /// Such as `workers`.
    pub name: String,
    /// Threads, m.
    pub threads: usize,
    /// Busy thread-seconds for each item, D: the sum of its stages'.
    pub demand_s: f64,
    /// Share of its threads' time that is busy, X D / m.
    pub utilization: f64,
    /// In the order in which they run.
    pub stages: Vec<StageAttribution>,
}

/// A stage of a station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageAttribution {
    /// Such as `decode`.
    pub name: String,
    /// Its kind, by the evidence.
    pub kind: BottleneckType,
    /// Busy thread-seconds for each item.
    pub demand_s: f64,
    /// Share of that in which its thread computed, 0 to 1; `None` where it was not timed.
    pub cpu_share: Option<f64>,
    /// Share of the program's time that would be gained if this stage were free.
    pub optimization_potential: f64,
    /// 95% bootstrap interval of that, lower and upper end; `None` with too few samples.
    pub interval: Option<[f64; 2]>,
    /// What would limit then: a stage, `cpu cores` or `consumer`.
    pub next_limiter: String,
}
