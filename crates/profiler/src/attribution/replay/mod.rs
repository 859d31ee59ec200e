//! A pipeline in virtual time: how long it takes, and what its counters tell meanwhile.
//!
//! Threads of each station take an item from the queue before theirs (the first station never
//! runs out), run their stages one after the other, and hand it on. A stage waits for something
//! outside (a disk) or computes; who computes shares the cores evenly with all others who do.
//! Every draw is a hash of (seed, stage, item): the same pipeline with a stage removed draws the
//! same times for all else, so that two runs differ by what was removed and by nothing else.

mod law;
mod run;

pub use self::law::Law;
use self::run::Run;
use crate::pipeline::{PipelineSnapshot, Room};

/// A stage of a [`Station`], or the consumer's work.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Such as `decode`.
    pub name: String,
    /// Mean service time; 0 for a stage that was removed.
    pub mean_s: f64,
    /// How service times scatter.
    pub law: Law,
    /// Items in a row that draw the same; 1 for each its own.
    pub row: u64,
    /// Share of it that wants a core; the rest waits for something outside. Over 1 it wants
    /// several at once.
    pub cpu_share: f64,
}

/// A pool of threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Such as `workers`.
    pub name: String,
    /// How many.
    pub threads: usize,
    /// What each does with each item, one after the other.
    pub stages: Vec<Stage>,
    /// What all stages of an item are longer or shorter by: its size.
    pub sizes: Law,
    /// What follows.
    pub room: Room,
}

/// A pipeline and its consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// In the order of the data's way.
    pub stations: Vec<Station>,
    /// Stages that the consumer runs itself for each item; often none.
    pub own_stages: Vec<Stage>,
    /// Items that the consumer takes at once.
    pub batch: usize,
    /// The consumer's work on one batch: its mean is for one item.
    pub consumer: Stage,
    /// Shared by all who compute.
    pub cores: f64,
}

impl Pipeline {
    /// Every stage, by station (one past the last: the consumer's own) and place.
    pub fn stages(&self) -> impl Iterator<Item = (usize, usize)> {
        let stations = self.stations.iter().map(|station| station.stages.len());
        let counts: Vec<usize> = stations.chain([self.own_stages.len()]).collect();
        counts.into_iter().enumerate().flat_map(|(i, count)| (0..count).map(move |j| (i, j)))
    }

    /// The stage at such a place.
    pub fn stage_mut(&mut self, (station, stage): (usize, usize)) -> &mut Stage {
        match self.stations.get_mut(station) {
            Some(station) => &mut station.stages[stage],
            None => &mut self.own_stages[stage],
        }
    }

    /// The same without that stage.
    pub fn without(&self, stage: (usize, usize)) -> Self {
        let mut other = self.clone();
        other.stage_mut(stage).mean_s = 0.0;
        other
    }

    /// About the same pipeline with so many items in a batch, each of which stands for several.
    pub(in crate::attribution) fn in_lumps(mut self, batch: usize) -> Self {
        let batch = batch.clamp(1, self.batch);
        let lump = self.batch as f64 / batch as f64;
        let stage = |stage: &mut Stage| {
            stage.mean_s *= lump;
            // Those that draw the same stay together, as far as they lie in one lump.
            let rows = (lump / stage.row as f64).max(1.0);
            stage.law = stage.law.of_mean(rows);
            stage.row = (stage.row as f64 / lump).round().max(1.0) as u64;
        };
        for station in &mut self.stations {
            station.stages.iter_mut().for_each(stage);
            station.sizes = station.sizes.of_mean(lump);
            if let Room::Items(items) = &mut station.room {
                *items = (*items as f64 / lump).round().max(1.0) as usize;
            }
        }
        // The consumer could never have its batch from less.
        if let Some(Room::Items(items)) = self.stations.last_mut().map(|last| &mut last.room) {
            *items = (*items).max(batch);
        }
        self.own_stages.iter_mut().for_each(stage);
        // One draw for a batch.
        self.consumer.mean_s *= lump;
        self.batch = batch;
        self
    }

    /// Runs until the consumer has used `items` items. Its counters, about `snapshots` times at
    /// equal distances; the last ones are those of the end.
    pub fn run(&self, items: usize, snapshots: usize, seed: u64) -> Vec<PipelineSnapshot> {
        Run::new(self, seed).run(items / self.batch, snapshots)
    }
}

/// Seconds for each item over a whole run.
pub fn seconds_per_item(snapshots: &[PipelineSnapshot]) -> f64 {
    snapshots.last().map_or(f64::NAN, |last| last.at_s / last.items as f64)
}
