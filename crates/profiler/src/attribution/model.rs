//! A model of a pipeline, made from its counters: how much sooner an item would follow the one
//! before if something were changed.
//!
//! The time from item to item is at least the longest of: each station's demand over its threads,
//! the consumer's own time, and all demand for CPU over the cores (the *bounds*). It is only that if
//! stations never wait for each other. They do, where there is little room between them and items
//! take unequal time: removing a stage then saves less than the bounds say, or more. So the
//! pipeline is replayed in virtual time (`replay.rs`) with the demands, the variation, the threads,
//! the room and the cores that were measured, as it is and as it would be; the ratio of the two
//! is the time that is saved.

use std::cell::{OnceCell, RefCell};

use super::load::{Delay, Load, items_of, loads};
use super::replay::{Law, Pipeline, Stage, Station};
use super::scatter::{self, Scatter, Shape};
use crate::pipeline::{PipelineSnapshot, Room, StageSnapshot, StationSnapshot};

/// How much of a pipeline is replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Steps of a replay, about: a million takes some 30 ms.
    steps: usize,
    /// At most.
    most_steps: usize,
}

impl Effort {
    /// For potentials.
    pub(crate) const FULL: Self = Self { steps: 250_000, most_steps: 500_000 };
    /// For advice, which takes several replays for each finding.
    pub(crate) const ROUGH: Self = Self { steps: 60_000, most_steps: 60_000 };

    /// For one of so many pipelines, all of which get as much as one would.
    fn shared(self, pipelines: usize) -> Self {
        let of = |steps: usize| steps / pipelines.max(1);
        Self { steps: of(self.steps), most_steps: of(self.most_steps) }
    }
}

/// Batches of a replay, at least.
const BATCHES: usize = 60;
/// Of a replay that would take too many steps.
const FEW_BATCHES: usize = 20;
/// Such a replay takes several items for one, but leaves as many in a batch for each thread.
const LEAST_LUMPS: usize = 4;
/// So many rows of alike items, but for more items than so many.
const ROWS: usize = 200;
const MOST_ITEMS: usize = 60_000;
/// What is lost beyond the bounds is taken to be at most so many times what the replay lost, and
/// at least such a part of it.
const SCALED: f64 = 2.0;
const SMALL: f64 = 0.05;
/// A stage that takes so small a part of the time from item to item is nothing.
const NEGLIGIBLE: f64 = 1e-3;
/// The draws of every replay are the same.
const SEED: u64 = 0;

/// A stage, by its station's place and its own.
pub(crate) type StageId = (usize, usize);

/// What may limit a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Station(usize),
    Consumer,
    Cores,
}

/// What might be changed about a pipeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// A stage takes this part of what it takes.
    Demand(StageId, f64),
    /// A station has so many threads, and they are its own.
    Threads(usize, usize),
    /// There is room for so many batches, or items of as many, behind each station.
    Room(usize),
}

/// A pipeline as its counters over one stretch of time describe it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Measured seconds from item to item, T.
    pub(crate) interval_s: f64,
    stations: Vec<Pool>,
    /// Its time with an item that is neither waiting nor in a stage of its own.
    consumer: Work,
    batch: usize,
    cores: f64,
    effort: Effort,
    replayed: OnceCell<Replayed>,
    /// What was asked already: each is a replay.
    savings: RefCell<Vec<(Change, f64)>>,
}

/// What the replay of a pipeline as it is gave.
#[derive(Clone, Copy, Debug)]
struct Replayed {
    shape: Shape,
    /// Its time from item to item, over the bound that follows from what it drew: about 1 at least.
    excess: f64,
}

#[derive(Clone, Debug)]
struct Pool {
    threads: usize,
    on_consumer: bool,
    room: Option<Room>,
    stages: Vec<Work>,
    /// Variation of what all stages of an item are longer or shorter by together.
    sizes: f64,
}

/// A stage: what it asks for, and how that scatters.
#[derive(Clone, Copy, Debug)]
struct Work {
    load: Load,
    scatter: Scatter,
}

impl Pool {
    fn load(&self) -> Load {
        let sum = |of: fn(&Load) -> f64| self.stages.iter().map(|work| of(&work.load)).sum();
        Load { demand_s: sum(|load| load.demand_s), cpu_s: sum(|load| load.cpu_s) }
    }

    fn room(&self, batch: usize) -> Room {
        self.room.unwrap_or(Room::Items(AMPLE.max(2 * batch)))
    }

    /// Threads that can work at once.
    fn active(&self, batch: usize) -> usize {
        match self.room(batch) {
            Room::Items(_) => self.threads,
            Room::Batches(depth) => self.threads.min(depth.max(1) * batch),
        }
    }
}

/// Items behind a station that tells no room.
const AMPLE: usize = 64;

impl Model {
    /// `None` where no item came or no time passed.
    pub(super) fn of(stretch: &PipelineSnapshot, cores: f64) -> Option<Self> {
        let items = stretch.items as f64;
        if items < 1.0 || stretch.at_s <= 0.0 {
            return None;
        }
        let interval_s = stretch.at_s / items;
        let pool = |station: &StationSnapshot| {
            let sizes = scatter::sizes(station);
            let loads = loads(station, items_of(station, items)).into_iter();
            let work = |(load, stage): (Load, &StageSnapshot)| Work {
                load,
                scatter: Scatter::of(&stage.visits).beside(sizes),
            };
            Pool {
                threads: station.threads.max(1),
                on_consumer: station.on_consumer,
                room: station.room,
                stages: loads.zip(&station.stages).map(work).collect(),
                sizes,
            }
        };
        let not_its_own_s = stretch.input_s() + stretch.consumer_run_delay_s.unwrap_or(0.0);
        Some(Self {
            interval_s,
            stations: stretch.stations.iter().map(pool).collect(),
            consumer: Work {
                load: Load {
                    demand_s: (interval_s - not_its_own_s / items).max(0.0),
                    cpu_s: stretch.consumer_cpu_s.unwrap_or(0.0).max(0.0) / items,
                },
                scatter: Scatter::of(&stretch.consumer_visits),
            },
            batch: (stretch.items / stretch.batches.max(1)).max(1) as usize,
            cores: if cores > 0.0 { cores } else { f64::INFINITY },
            effort: Effort::FULL,
            replayed: OnceCell::new(),
            savings: RefCell::default(),
        })
    }

    /// Replayed with so much effort, shared among so many pipelines.
    pub(super) fn with_effort(mut self, effort: Effort, pipelines: usize) -> Self {
        self.effort = effort.shared(pipelines);
        self
    }

    /// Has visits come in the rows that these stretches show.
    pub(super) fn with_rows(mut self, stretches: &[PipelineSnapshot]) -> Self {
        let Some((stations, consumer)) = scatter::rows(stretches) else { return self };
        for (pool, rows) in self.stations.iter_mut().zip(stations) {
            for (work, row) in pool.stages.iter_mut().zip(rows) {
                work.scatter.in_rows(row);
            }
        }
        self.consumer.scatter.in_rows(consumer);
        self
    }

    /// The share of the time that `change` would save, at most 1; under 0 where it would
    /// take longer.
    ///
    /// The bounds after the change are known, and by how much the pipeline exceeds its bounds
    /// now is measured. Of the replay is taken by how much it would exceed them then: as much more
    /// or less than now as in the replay.
    pub(crate) fn saving(&self, change: Change) -> f64 {
        if let Change::Demand((station, stage), part) = change
            && self.stations[station].stages[stage].load.demand_s * (1.0 - part)
                <= NEGLIGIBLE * self.interval_s
        {
            // No item is sooner done by more than that: not worth a replay.
            return 0.0;
        }
        let known = self.savings.borrow().iter().find(|(asked, _)| *asked == change).map(|it| it.1);
        known.unwrap_or_else(|| {
            let saving = self.replayed_saving(change);
            self.savings.borrow_mut().push((change, saving));
            saving
        })
    }

    fn replayed_saving(&self, change: Change) -> f64 {
        let measured = self.interval_s / self.bound().1.max(f64::MIN_POSITIVE);
        let now = self.replayed.get_or_init(|| {
            let both = [Shape::TwoLengths, Shape::Lognormal]
                .map(|shape| Replayed { shape, excess: self.replay(shape) });
            let miss = |replayed: &Replayed| (replayed.excess - measured).abs();
            if miss(&both[1]) < miss(&both[0]) { both[1] } else { both[0] }
        });
        let changed = self.changed(change);
        let lost = |excess: f64| (excess - 1.0).max(0.0);
        // Of two small losses the ratio says nothing.
        let known = (lost(measured) + SMALL) / (lost(now.excess) + SMALL);
        let known = known.clamp(1.0 / SCALED, SCALED);
        // What the replay knows nothing of, such as the time to wake a thread, is lost where the
        // stations are as busy as the consumer: it stays as far as they stay busy.
        let unknown = measured / (1.0 + known * lost(now.excess)) - 1.0;
        let busy_s = self.stations_s();
        let stay = if busy_s > 0.0 { (changed.stations_s() / busy_s).min(1.0) } else { 1.0 };
        let rest = 1.0 + if unknown > 0.0 { unknown * stay } else { unknown };
        let excess = (1.0 + known * lost(changed.replay(now.shape))) * rest;
        1.0 - changed.bound().1 * excess / self.interval_s
    }

    /// Seconds from item to item after `change`.
    pub(crate) fn interval_if(&self, change: Change) -> f64 {
        self.interval_s * (1.0 - self.saving(change))
    }

    /// What limits, and the seconds from item to item that it allows.
    pub(crate) fn bound(&self) -> (Limit, f64) {
        let mut bounds = Vec::new();
        let mut consumer_s = self.consumer.load.demand_s;
        for (number, pool) in self.stations.iter().enumerate() {
            let demand_s = pool.load().demand_s;
            if pool.on_consumer {
                consumer_s += demand_s;
            } else {
                let threads = pool.active(self.batch) as f64;
                bounds.push((Limit::Station(number), demand_s / threads));
            }
        }
        bounds.push((Limit::Cores, self.cpu_s() / self.cores));
        let consumer = (Limit::Consumer, consumer_s);
        bounds.into_iter().fold(consumer, |most, bound| if bound.1 > most.1 { bound } else { most })
    }

    /// Seconds from item to item that the busiest station allows.
    fn stations_s(&self) -> f64 {
        let pools = self.stations.iter().filter(|pool| !pool.on_consumer);
        pools.map(|pool| pool.load().demand_s / pool.active(self.batch) as f64).fold(0.0, f64::max)
    }

    /// The same after `change`.
    pub(super) fn bound_if(&self, change: Change) -> (Limit, f64) {
        self.changed(change).bound()
    }

    /// What one stage asks for each item.
    pub(crate) fn load(&self, (station, stage): StageId) -> Load {
        self.stations[station].stages[stage].load
    }

    /// CPU time for each item, consumer included.
    pub(crate) fn cpu_s(&self) -> f64 {
        self.consumer.load.cpu_s + self.stations.iter().map(|pool| pool.load().cpu_s).sum::<f64>()
    }

    /// Seconds for an item that the consumer itself needs, in no stage.
    pub(crate) fn consumer_s(&self) -> f64 {
        self.consumer.load.demand_s
    }

    /// Seconds for an item that a station needs on so many threads, if nobody else wants a core.
    pub(crate) fn supply_s(&self, station: usize, threads: usize) -> f64 {
        let Load { demand_s, cpu_s } = self.stations[station].load();
        (demand_s / threads as f64).max(cpu_s / self.cores)
    }

    fn changed(&self, change: Change) -> Self {
        let (replayed, savings) = (OnceCell::new(), RefCell::default());
        let mut changed = Self { replayed, savings, ..self.clone() };
        match change {
            Change::Demand((station, stage), part) => {
                let load = &mut changed.stations[station].stages[stage].load;
                load.demand_s *= part;
                load.cpu_s *= part;
            }
            Change::Threads(number, threads) => {
                let station = &mut changed.stations[number];
                station.threads = threads;
                if std::mem::take(&mut station.on_consumer) {
                    // As a loader with workers has it by default.
                    station.room = Some(Room::Batches(2));
                }
            }
            Change::Room(batches) => {
                for station in &mut changed.stations {
                    station.room = Some(match station.room {
                        Some(Room::Batches(_)) => Room::Batches(batches),
                        _ => Room::Items(batches * self.batch),
                    });
                }
            }
        }
        changed
    }

    /// By how much a replay exceeds its bound.
    fn replay(&self, shape: Shape) -> f64 {
        let drawn = Self::of(&self.run(shape), self.cores);
        drawn.map_or(1.0, |drawn| drawn.interval_s / drawn.bound().1.max(f64::MIN_POSITIVE))
    }

    /// Thread-seconds for an item without a core that the pipeline's own threads account for.
    pub(super) fn own_delay(&self) -> Delay {
        let run = self.run(Shape::TwoLengths);
        Delay::of(&run, (run.batches.max(1) as usize * self.batch) as f64)
    }

    /// The counters at the end of a replay.
    fn run(&self, shape: Shape) -> PipelineSnapshot {
        let mut pipeline = self.pipeline(shape);
        let threads: usize = 1 + pipeline.stations.iter().map(|it| it.threads).sum::<usize>();
        let stages = pipeline.stages().count() + pipeline.stations.len() + 1;
        let works = self.stations.iter().flat_map(|pool| &pool.stages);
        let row = works.map(|work| work.scatter.row as usize).max().unwrap_or(1);
        let rows = ROWS * row.max(self.consumer.scatter.row as usize * self.batch);
        let Effort { steps, most_steps } = self.effort;
        let items = (steps / threads / stages).max(rows.min(MOST_ITEMS));
        let mut batches = (items / self.batch).max(BATCHES);
        let most = most_steps / threads / stages;
        if batches * self.batch > most {
            batches = (most / self.batch).max(FEW_BATCHES);
            let active = pipeline.stations.iter().map(|it| it.threads).max().unwrap_or(1);
            let lumps = (most / batches).max(LEAST_LUMPS * active);
            pipeline = pipeline.in_lumps(lumps);
        }
        let items = batches * pipeline.batch;
        pipeline.run(items, 1, SEED).pop().unwrap_or_default()
    }

    fn pipeline(&self, shape: Shape) -> Pipeline {
        let stages = |pool: &Pool| -> Vec<Stage> {
            pool.stages.iter().map(|work| work.stage(shape)).collect()
        };
        let (own, pools): (Vec<_>, Vec<_>) =
            self.stations.iter().partition(|pool| pool.on_consumer);
        let last = pools.len().saturating_sub(1);
        let pools = pools.iter().enumerate().map(|(i, pool)| Station {
            name: String::new(),
            threads: pool.threads,
            stages: stages(pool),
            sizes: if pool.sizes > 0.0 { Law::Lognormal(pool.sizes) } else { Law::Fixed },
            room: match pool.room(self.batch) {
                // The consumer could never have its batch from less.
                Room::Items(items) => {
                    Room::Items(items.max(if i == last { self.batch } else { 1 }))
                }
                Room::Batches(batches) if i == last => Room::Batches(batches.max(1)),
                Room::Batches(batches) => Room::Items((batches * self.batch).max(1)),
            },
        });
        Pipeline {
            stations: pools.collect(),
            own_stages: own.into_iter().flat_map(stages).collect(),
            batch: self.batch,
            consumer: self.consumer.stage(shape),
            cores: self.cores,
        }
    }
}

impl Work {
    fn stage(&self, shape: Shape) -> Stage {
        let Load { demand_s, cpu_s } = self.load;
        Stage {
            name: String::new(),
            mean_s: demand_s,
            law: self.scatter.law(shape),
            row: self.scatter.row,
            cpu_share: cpu_s / demand_s.max(f64::MIN_POSITIVE),
        }
    }
}
