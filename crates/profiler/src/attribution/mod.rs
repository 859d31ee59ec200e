//! What limits a pipeline, and what time would be saved if a stage of it were free.
//!
//! [`attribute`] takes a pipeline's snapshots. Over the whole stretch of time they give each
//! stage's demand D (busy thread-seconds for an item), each station's utilization `X D / m`, and
//! the share of time `phi = G / W` that the consumer waited. A model of the pipeline
//! (`model.rs`) then says how long an item would take if a stage were free; how sure that is
//! says a bootstrap over the stretches between snapshots (`bootstrap.rs`).
//!
//! The textbook has `T_without = max(consumer, stations, cores)` and
//! `potential = min(phi, 1 - T_without / T)`. Of pipelines drawn at random (the example
//! `simulated_pipelines`) that is off by over 3 points in a quarter, so three things differ:
//!
//! - What stations lose by waiting for each other, with little room between them and items that
//!   take unequal time, is replayed in virtual time (`replay.rs`) with the variation that was
//!   measured (`scatter.rs`), once as it is and once without the stage.
//! - Time in which a thread was ready and had no core is taken off its stage's demand, as far as
//!   it is the pipeline's own doing: less work in one stage leaves cores to the others, the
//!   consumer among them. So the potential is at most phi and the share of time that the consumer
//!   was kept from a core.
//! - The limiting stage is the one whose removal saves most time. That is the largest one of the
//!   station with the highest utilization, unless cores are short: then it may be another.

mod analysis;
mod bootstrap;
mod load;
mod model;
pub mod replay;
mod scatter;
mod window;
mod words;

use serde::{Deserialize, Serialize};

pub(crate) use self::analysis::Analysis;
use self::bootstrap::Bootstrap;
use self::load::{cpu_share, items_of};
pub(crate) use self::model::{Change, Effort, Limit, StageId};
pub(crate) use self::words::{per_second, plural};
use crate::bottleneck::BottleneckType;
use crate::detect::evidence::Storage;
use crate::machine::Machine;
use crate::notes::printable;
use crate::pipeline::PipelineSnapshot;
use crate::session::ProfilingSession;

/// From this share of waiting on a consumer is input-bound.
const MODERATE: f64 = 0.05;
/// And above this one highly.
const HIGH: f64 = 0.2;
/// A consumer can wait only while nothing is ready. By this share of the window the two may
/// differ: it takes time to wake up.
const AGREEMENT: f64 = 0.05;

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
    /// It waited while something was ready: its waiting and the state of the queue do not agree.
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
    /// Share of the window that the consumer waited for items or was busy making them itself, G/W.
    pub wait_share: f64,
    /// Share of the window in which something was ready, 1 - empty/W.
    pub queue_readiness: Option<f64>,
    /// The station of the limiting stage, by its place in `stations`.
    pub limiting_station: usize,
    /// The stage whose removal would save most time, by its place in its station; where none saves
    /// any, the largest one of the busiest station.
    pub limiting_stage: usize,
    /// In the order of the data's way.
    pub stations: Vec<StationAttribution>,
}

impl Attribution {
    /// The limiting stage and its station.
    pub fn limiting(&self) -> (&StationAttribution, &StageAttribution) {
        let station = &self.stations[self.limiting_station];
        (station, &station.stages[self.limiting_stage])
    }
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
    /// Share of its threads' time that is busy, X D / m, waiting for a core included.
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
    /// Share of the program's time that would be saved if this stage were free: 0.5 is half the time,
    /// twice the rate.
    pub optimization_potential: f64,
    /// 95% bootstrap interval of that, lower and upper end; `None` with too few samples.
    pub interval: Option<[f64; 2]>,
    /// What would limit then: a stage, `cpu cores` or `consumer`.
    pub next_limiter: String,
}

/// What surrounds a pipeline, as far as it bears on what limits it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surroundings {
    /// Cores that the process may use, see [`usable_cores`](crate::machine::usable_cores).
    pub usable_cores: f64,
    /// What the process read from storage meanwhile, where that is known.
    pub storage: Option<Storage>,
    /// Cores that other programs kept busy meanwhile, on the average, where that is known.
    pub other_cores: Option<f64>,
    /// Pipelines of the session, this one included: the more, the less time is taken for each.
    pub pipelines: usize,
}

impl Surroundings {
    /// Those of a session.
    pub fn of(session: &ProfilingSession) -> Self {
        let Machine { cores, usable_cores, .. } = session.machine;
        let others = session.resources.iter().filter_map(|sample| {
            let (all, own) = (sample.cpu?.system_percent?, sample.cpu?.process_percent?);
            Some((all * cores as f64 - own * usable_cores).max(0.0) / 100.0)
        });
        let (sum, count) = others.fold((0.0, 0), |(sum, count), one| (sum + one, count + 1));
        Self {
            usable_cores,
            storage: Storage::between(&session.resources),
            other_cores: (count > 0).then(|| sum / f64::from(count)),
            pipelines: session.performance_metrics.pipelines.len(),
        }
    }
}

/// What limits the pipeline of these snapshots, in order of time; `None` where too little was
/// recorded: fewer than two snapshots, no stage, or no item.
///
/// The sum of the stretches between snapshots gives the figures; intervals need at least 8 of them.
/// The pipeline is replayed without each stage in turn. The steps of each replay are bounded, so that
/// all of them take some tens of milliseconds, however many threads there are and however large a
/// batch is: ask for it once, not at each tick.
///
/// # Example
///
/// ```
/// use profiler::attribution::{Surroundings, Verdict, attribute};
/// use profiler::bottleneck::BottleneckType;
/// use profiler::pipeline::{PipelineSnapshot, StageSnapshot, StationSnapshot, Visits};
///
/// let decode = |busy_s| StageSnapshot {
///     name: "decode".to_owned(),
///     kind: BottleneckType::Preprocessing,
///     busy_s,
///     visits: Visits::default(),
///     timed_cpu_s: 0.0,
///     timed_wall_s: 0.0,
/// };
/// let snapshots: Vec<_> = (0..=20)
///     .map(|second| PipelineSnapshot {
///         at_s: second as f64,
///         items: 100 * second,
///         consumer_wait_s: 0.6 * second as f64,
///         consumer_busy_s: 0.4 * second as f64,
///         stations: vec![StationSnapshot {
///             name: "workers".to_owned(),
///             threads: 2,
///             stages: vec![decode(2.0 * second as f64)],
///             ..StationSnapshot::default()
///         }],
///         ..PipelineSnapshot::default()
///     })
///     .collect();
/// let surroundings = Surroundings { usable_cores: 8.0, storage: None, other_cores: None, pipelines: 1 };
/// let attribution = attribute(&snapshots, &surroundings).unwrap();
/// assert_eq!(attribution.verdict, Verdict::HighlyInputBound);
/// let stage = &attribution.stations[0].stages[0];
/// assert!((stage.optimization_potential - 0.6).abs() < 0.001);
/// assert_eq!(stage.next_limiter, "consumer");
/// ```
pub fn attribute(
    snapshots: &[PipelineSnapshot],
    surroundings: &Surroundings,
) -> Option<Attribution> {
    let analysis = Analysis::of(snapshots, surroundings, Effort::FULL)?;
    let Analysis { total, model, .. } = &analysis;
    let bootstrap = Bootstrap::of(&analysis.stretches, surroundings.usable_cores);
    let stage = |i: usize, j: usize| {
        let stage = &total.stations[i].stages[j];
        let potential = analysis.potential((i, j));
        let free = model.bound_if(Change::Demand((i, j), 0.0));
        StageAttribution {
            name: stage.name.clone(),
            kind: analysis.evidence(i, j).judge().0,
            demand_s: stage.busy_s / items_of(&total.stations[i], total.items as f64),
            cpu_share: cpu_share(stage),
            optimization_potential: potential,
            interval: bootstrap.interval((i, j), potential),
            next_limiter: analysis.name_of(free.0, Some((i, j))),
        }
    };
    let stations: Vec<_> = total
        .stations
        .iter()
        .enumerate()
        .map(|(i, station)| {
            let stages: Vec<_> = (0..station.stages.len()).map(|j| stage(i, j)).collect();
            let demand_s = stages.iter().map(|stage| stage.demand_s).sum::<f64>();
            let threads = station.threads.max(1);
            StationAttribution {
                name: station.name.clone(),
                threads,
                demand_s,
                utilization: demand_s / model.interval_s / threads as f64,
                stages,
            }
        })
        .collect();
    let (limiting_station, limiting_stage) = limiting(&stations)?;
    let wait_share = analysis.wait_share();
    let queue_readiness =
        total.queue_empty_s.map(|empty_s| (1.0 - empty_s / total.at_s).clamp(0.0, 1.0));
    let mut attribution = Attribution {
        verdict: verdict(wait_share, total.consumer_wait_s / total.at_s, queue_readiness),
        sentence: String::new(),
        window_s: total.at_s,
        items_per_s: 1.0 / model.interval_s,
        wait_share,
        queue_readiness,
        limiting_station,
        limiting_stage,
        stations,
    };
    attribution.sentence = printable(&attribution.say());
    Some(attribution)
}

/// The stage with the highest potential; of equals the one of the busiest station, and in it the
/// largest.
fn limiting(stations: &[StationAttribution]) -> Option<(usize, usize)> {
    let stages = stations.iter().enumerate().flat_map(|(i, station)| {
        let stages = station.stages.iter().enumerate();
        stages.map(move |(j, stage)| ((i, j), station.utilization, stage))
    });
    let most = stages.max_by(|(_, a_busy, a), (_, b_busy, b)| {
        a.optimization_potential
            .total_cmp(&b.optimization_potential)
            .then(a_busy.total_cmp(b_busy))
            .then(a.demand_s.total_cmp(&b.demand_s))
    });
    most.map(|(id, ..)| id)
}

/// `waiting`: the part of `wait_share` that is waiting for the queue.
fn verdict(wait_share: f64, waiting: f64, readiness: Option<f64>) -> Verdict {
    match wait_share {
        _ if readiness.is_some_and(|ready| waiting > 1.0 - ready + AGREEMENT) => Verdict::Ambiguous,
        share if share > HIGH => Verdict::HighlyInputBound,
        share if share >= MODERATE => Verdict::ModeratelyInputBound,
        _ => Verdict::NotInputBound,
    }
}
