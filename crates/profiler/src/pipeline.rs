//! What a pipeline tells of itself: counters that only grow, of stations, stages and a queue.
//!
//! Threads that run stages one after the other for each item are one *station* (the workers of a
//! loader: read, decode, transform, write). Separate pools are separate stations. Items leave
//! through a queue to one consumer.

use std::iter::Sum;

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
    /// Seconds since the latest of them came; `None` where that is not known.
    #[serde(default)]
    pub since_batch_s: Option<f64>,
    /// Seconds that the consumer waited for items; without what it does for them itself, see
    /// [`input_s`](Self::input_s).
    pub consumer_wait_s: f64,
    /// Seconds that the consumer was at its own work.
    pub consumer_busy_s: f64,
    /// CPU time of the consumer: of its thread, or of all that is not of the stations; `None`
    /// where it is not known.
    #[serde(default)]
    pub consumer_cpu_s: Option<f64>,
    /// Seconds that the consumer's thread was ready to run without a core while it was at its own
    /// work; `None` where that is not known.
    #[serde(default)]
    pub consumer_run_delay_s: Option<f64>,
    /// The consumer's work, one visit for each batch.
    #[serde(default)]
    pub consumer_visits: Visits,
    /// Seconds for which nothing was ready for the consumer; `None` where there is no queue.
    pub queue_empty_s: Option<f64>,
    /// In the order of the data's way.
    pub stations: Vec<StationSnapshot>,
}

impl PipelineSnapshot {
    /// When the latest of its batches came, as far as it tells: its counters are as they were then.
    pub fn batch_at_s(&self) -> f64 {
        self.at_s - self.since_batch_s.unwrap_or(0.0)
    }

    /// Seconds that the consumer waited for items, or made them itself where a station is its own
    /// thread: G.
    pub fn input_s(&self) -> f64 {
        let own = self.stations.iter().filter(|station| station.on_consumer);
        let own_s: f64 = own.flat_map(|own| &own.stages).map(|stage| stage.busy_s).sum();
        self.consumer_wait_s + own_s
    }
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
    /// What finished items find behind it; `None` where it is not known.
    #[serde(default)]
    pub room: Option<Room>,
    /// Items that were measured one by one, all stages of it together.
    #[serde(default)]
    pub item_visits: Visits,
    /// Thread-seconds without anything to do: no item came, or there was no room.
    pub wait_s: f64,
    /// CPU time of its threads; `None` where the kernel does not tell.
    pub cpu_s: Option<f64>,
    /// Thread-seconds ready to run without a core; `None` where the kernel does not tell.
    pub run_delay_s: Option<f64>,
    /// In the order in which they run.
    pub stages: Vec<StageSnapshot>,
}

/// What follows a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Room {
    /// A queue of so many items; a thread that finds it full waits, item in hand.
    Items(usize),
    /// Batches whose slots are claimed before the work begins and that come out in order: so many
    /// are open at once. Only before the consumer.
    Batches(usize),
}

/// Sums over visits, of which their mean and variance follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visits {
    /// How many.
    pub count: u64,
    /// Their lengths.
    pub sum_s: f64,
    /// The squares of their lengths, in square seconds.
    pub sum_of_squares_s2: f64,
    /// The cubes of their lengths, in cubic seconds.
    pub sum_of_cubes_s3: f64,
}

impl Sum for Visits {
    fn sum<I: Iterator<Item = Self>>(visits: I) -> Self {
        visits.fold(Self::default(), |a, b| Self {
            count: a.count + b.count,
            sum_s: a.sum_s + b.sum_s,
            sum_of_squares_s2: a.sum_of_squares_s2 + b.sum_of_squares_s2,
            sum_of_cubes_s3: a.sum_of_cubes_s3 + b.sum_of_cubes_s3,
        })
    }
}

impl Visits {
    /// Adds a visit.
    pub fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.sum_s += seconds;
        self.sum_of_squares_s2 += seconds.powi(2);
        self.sum_of_cubes_s3 += seconds.powi(3);
    }

    /// Mean and the second and third central moments, in powers of seconds; `None` of none.
    fn moments(&self) -> Option<[f64; 3]> {
        let count = (self.count > 0).then_some(self.count as f64)?;
        let mean = self.sum_s / count;
        let (square, cube) = (self.sum_of_squares_s2 / count, self.sum_of_cubes_s3 / count);
        let variance = (square - mean.powi(2)).max(0.0);
        Some([mean, variance, cube - 3.0 * mean * square + 2.0 * mean.powi(3)])
    }

    /// Standard deviation over mean; `None` of fewer than two visits, or of visits of no length.
    pub fn variation(&self) -> Option<f64> {
        let [mean, variance, _] = self.moments()?;
        (self.count > 1 && mean > 0.0).then(|| variance.sqrt() / mean)
    }

    /// Third central moment over the cube of the standard deviation; `None` of fewer than three
    /// visits, or of visits that do not differ.
    pub fn skewness(&self) -> Option<f64> {
        let [_, variance, third] = self.moments()?;
        (self.count > 2 && variance > 0.0).then(|| third / variance.powf(1.5))
    }
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
    /// Visits that were measured one by one: how much they differ.
    #[serde(default)]
    pub visits: Visits,
    /// Of the visits whose CPU time was read too (one in n): CPU time and wall time.
    pub timed_cpu_s: f64,
    /// See [`timed_cpu_s`](Self::timed_cpu_s).
    pub timed_wall_s: f64,
}
