//! What stages ask for each item, taken from their counters: time on a thread, and time on a core.

use crate::pipeline::{PipelineSnapshot, StageSnapshot, StationSnapshot};

/// What one stage asks for each item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Thread-seconds, without those that were spent waiting for a core.
    pub(crate) demand_s: f64,
    /// Of those, CPU time; 0 where it is not known.
    pub(crate) cpu_s: f64,
}

/// Thread-seconds of an item for which a thread was ready and had no core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay {
    /// Of the stations' threads.
    pub(super) stations_s: f64,
    /// Of the consumer's.
    pub(super) consumer_s: f64,
}

impl Delay {
    pub(super) fn of(stretch: &PipelineSnapshot, items: f64) -> Self {
        let stations_s: f64 = stretch.stations.iter().filter_map(|it| it.run_delay_s).sum();
        let consumer_s = stretch.consumer_run_delay_s.unwrap_or(0.0);
        Self { stations_s: stations_s / items, consumer_s: consumer_s / items }
    }
}

/// The items that went through `station`.
pub(super) fn items_of(station: &StationSnapshot, consumed: f64) -> f64 {
    station.items.map_or(consumed, |items| items as f64).max(1.0)
}

/// What each stage of a station asks for each of `items`: its busy time less its part of the
/// time for which the station's threads were ready and had no core.
pub(super) fn loads(station: &StationSnapshot, items: f64) -> Vec<Load> {
    let timed = |share: Option<f64>, busy_s: f64| share.map(|share| share * busy_s);
    let shares = station.stages.iter().map(|stage| (cpu_share(stage), stage.busy_s));
    let timed_cpu_s: f64 = shares.clone().filter_map(|(share, busy_s)| timed(share, busy_s)).sum();
    let untimed_s: f64 =
        shares.clone().filter(|(share, _)| share.is_none()).map(|(_, busy_s)| busy_s).sum();
    // What the station computed beyond the stages that were timed goes to the others.
    let other_cpu_s = (station.cpu_s.unwrap_or(0.0) - timed_cpu_s).clamp(0.0, untimed_s);
    let cpu: Vec<f64> = shares
        .map(|(share, busy_s)| {
            timed(share, busy_s).unwrap_or(other_cpu_s * busy_s / untimed_s.max(f64::MIN_POSITIVE))
        })
        .collect();
    let all_cpu_s: f64 = cpu.iter().sum();
    // Who wants a core waits for one: the delay falls on the stages as their CPU time does.
    let delay = station.run_delay_s.unwrap_or(0.0).max(0.0) / all_cpu_s.max(f64::MIN_POSITIVE);
    let stages = station.stages.iter().zip(cpu);
    stages
        .map(|(stage, cpu_s)| {
            let delay_s = (delay * cpu_s).clamp(0.0, (stage.busy_s - cpu_s).max(0.0));
            Load { demand_s: (stage.busy_s - delay_s).max(0.0) / items, cpu_s: cpu_s / items }
        })
        .collect()
}

/// The share of a stage's time in which its thread computed; `None` where it was not timed.
pub(super) fn cpu_share(stage: &StageSnapshot) -> Option<f64> {
    (stage.timed_wall_s > 0.0).then(|| (stage.timed_cpu_s / stage.timed_wall_s).clamp(0.0, 1.0))
}
