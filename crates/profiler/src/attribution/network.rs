//! A model of a pipeline: how long an item takes to follow the one before, and how long it would
//! if a stage were free.
//!
//! The time from item to item is at least the slowest of: each station's demand over its threads,
//! the consumer's own time, and all demand for CPU over the cores. It is that only if the
//! queues between are never empty nor full when they matter. With little room and service times
//! that vary, stations wait for each other even where none of them is busy all the time, and
//! a formula without that gives the whole of the wait to whichever stage it is asked about.
//!
//! So the pipeline is taken for a closed queueing network with as many jobs in it as explain the
//! time that was measured: with one job nothing overlaps and the times add up; with many the
//! slowest alone counts. Mean value analysis (Reiser and Lavenberg 1980) gives the time
//! between jobs for any number; a station of m threads is one queue with an m-th of the demand
//! and a delay with the rest (Seidmann 1987). The number of jobs is what the pipeline has of room
//! and evenness, and stays the same when a stage is removed.

use crate::pipeline::{PipelineSnapshot, StationSnapshot};

/// Jobs beyond which the slowest alone counts: what is left to gain is under 1 in so many.
const MOST_JOBS: usize = 1000;

/// What one stage asks for each item.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Thread-seconds, without those that were spent waiting for a core.
    pub(crate) demand_s: f64,
    /// Of those, CPU time; 0 where it is not known.
    pub(crate) cpu_s: f64,
}

#[derive(Clone, Debug)]
struct Station {
    threads: f64,
    on_consumer: bool,
    stages: Vec<Load>,
}

/// What may limit a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Station(usize),
    Consumer,
    Cores,
}

/// A pipeline as its counters over one stretch of time describe it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// Measured seconds from item to item, T.
    pub(crate) interval_s: f64,
    stations: Vec<Station>,
    /// Its time with an item that is neither waiting nor in a stage of its own.
    consumer: Load,
    cores: f64,
    jobs: f64,
    /// What even a single job does not explain.
    unexplained_s: f64,
}

/// A stage, by its station's place and its own.
pub(crate) type StageId = (usize, usize);

/// What might be changed about a pipeline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A stage takes this part of what it takes.
    Demand(StageId, f64),
    /// A station has so many threads, and they are its own.
    Threads(usize, usize),
}

impl Network {
    /// `None` where no item came or no time passed.
    pub(super) fn of(stretch: &PipelineSnapshot, cores: f64) -> Option<Self> {
        let items = stretch.items as f64;
        if items < 1.0 || stretch.at_s <= 0.0 {
            return None;
        }
        let interval_s = stretch.at_s / items;
        let stations: Vec<_> = stretch
            .stations
            .iter()
            .map(|station| Station {
                threads: station.threads.max(1) as f64,
                on_consumer: station.on_consumer,
                stages: loads(station, items_of(station, items)),
            })
            .collect();
        let own = || stretch.stations.iter().filter(|station| station.on_consumer);
        let own_busy_s: f64 = own().flat_map(|own| &own.stages).map(|stage| stage.busy_s).sum();
        let not_its_own_s =
            own_busy_s + stretch.consumer_wait_s + stretch.consumer_run_delay_s.unwrap_or(0.0);
        let consumer = Load {
            demand_s: (interval_s - not_its_own_s / items).max(0.0),
            cpu_s: stretch.consumer_cpu_s.unwrap_or(0.0) / items,
        };
        let network =
            Self { interval_s, stations, consumer, cores, jobs: 1.0, unexplained_s: 0.0 };
        Some(network.fitted())
    }

    /// With as many jobs as explain the measured time.
    fn fitted(mut self) -> Self {
        let (queues, delay_s) = self.queues();
        let mut before_s = f64::INFINITY;
        for (jobs, interval_s) in intervals(&queues, delay_s).enumerate().take(MOST_JOBS) {
            let jobs = jobs as f64 + 1.0;
            if interval_s <= self.interval_s {
                self.jobs = jobs;
                if before_s.is_finite() {
                    // Between the two numbers, evenly in the rate.
                    let rate = |interval_s: f64| 1.0 / interval_s;
                    let part = (rate(self.interval_s) - rate(before_s))
                        / (rate(interval_s) - rate(before_s));
                    self.jobs = jobs - 1.0 + part;
                } else {
                    self.unexplained_s = self.interval_s - interval_s;
                }
                return self;
            }
            before_s = interval_s;
        }
        self.jobs = MOST_JOBS as f64;
        self
    }

    /// Seconds from item to item after `change`.
    pub(crate) fn interval_if(&self, change: Change) -> f64 {
        let changed = self.changed(change);
        let (queues, delay_s) = changed.queues();
        changed.unexplained_s + interval(&queues, delay_s, changed.jobs)
    }

    /// Seconds from item to item if there were room for any number of items between all stations.
    pub(crate) fn interval_with_room(&self) -> f64 {
        self.unexplained_s + slowest(&self.queues().0).1
    }

    /// The share of the time that would be gained if stage `free` took none, 0 to 1.
    pub(super) fn potential(&self, free: StageId) -> f64 {
        (1.0 - self.interval_if(Change::Demand(free, 0.0)) / self.interval_s).clamp(0.0, 1.0)
    }

    /// What limits.
    pub(crate) fn limit(&self) -> Limit {
        slowest(&self.queues().0).0
    }

    /// What would limit after `change`.
    pub(super) fn limit_if(&self, change: Change) -> Limit {
        self.changed(change).limit()
    }

    /// What one stage asks for each item.
    pub(crate) fn load(&self, (station, stage): StageId) -> Load {
        self.stations[station].stages[stage]
    }

    /// CPU time for each item, consumer included.
    pub(crate) fn cpu_s(&self) -> f64 {
        let stages = self.stations.iter().flat_map(|station| &station.stages);
        self.consumer.cpu_s + stages.map(|load| load.cpu_s).sum::<f64>()
    }

    /// Seconds for an item that the consumer itself needs, in no stage.
    pub(crate) fn consumer_s(&self) -> f64 {
        self.consumer.demand_s
    }

    /// Seconds for an item that a station needs on so many threads, if nobody else wants a core.
    pub(crate) fn supply_s(&self, station: usize, threads: usize) -> f64 {
        let of = |of: fn(&Load) -> f64| self.stations[station].stages.iter().map(of).sum::<f64>();
        let cpu_s = of(|load| load.cpu_s) / self.cores;
        (of(|load| load.demand_s) / threads as f64).max(cpu_s)
    }

    fn changed(&self, change: Change) -> Self {
        let mut changed = self.clone();
        match change {
            Change::Demand((station, stage), part) => {
                let load = &mut changed.stations[station].stages[stage];
                load.demand_s *= part;
                load.cpu_s *= part;
            }
            Change::Threads(number, threads) => {
                let station = &mut changed.stations[number];
                if std::mem::take(&mut station.on_consumer) {
                    // Nothing is known of how the two would go together: the best is assumed.
                    changed.jobs = MOST_JOBS as f64;
                } else {
                    // Who has more threads has more items in hand.
                    changed.jobs += threads as f64 - station.threads;
                }
                station.threads = threads as f64;
            }
        }
        changed
    }

    /// Time at each queue with no one else there, and the delay elsewhere.
    fn queues(&self) -> (Vec<(Limit, f64)>, f64) {
        let (mut queues, mut delay_s) = (Vec::new(), 0.0);
        let (mut consumer_s, mut threads) = (self.consumer.demand_s, 1.0);
        for (number, station) in self.stations.iter().enumerate() {
            let demand_s = station.stages.iter().map(|load| load.demand_s).sum::<f64>();
            if station.on_consumer {
                consumer_s += demand_s;
            } else {
                queues.push((Limit::Station(number), demand_s / station.threads));
                delay_s += demand_s * (1.0 - 1.0 / station.threads);
                threads += station.threads;
            }
        }
        queues.push((Limit::Consumer, consumer_s));
        // With a core for each thread nobody waits for one.
        if threads > self.cores {
            queues.push((Limit::Cores, self.cpu_s() / self.cores));
        }
        (queues, delay_s)
    }
}

fn slowest(queues: &[(Limit, f64)]) -> (Limit, f64) {
    let none = (Limit::Consumer, 0.0);
    queues.iter().copied().fold(none, |most, queue| if queue.1 > most.1 { queue } else { most })
}

/// The items that went through `station`.
pub(super) fn items_of(station: &StationSnapshot, consumed: f64) -> f64 {
    station.items.map_or(consumed, |items| items as f64).max(1.0)
}

/// What each stage of a station asks for each of `items`: its busy time less its part of the
/// time for which the station's threads were ready and had no core.
fn loads(station: &StationSnapshot, items: f64) -> Vec<Load> {
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
pub(super) fn cpu_share(stage: &crate::pipeline::StageSnapshot) -> Option<f64> {
    (stage.timed_wall_s > 0.0).then(|| (stage.timed_cpu_s / stage.timed_wall_s).clamp(0.0, 1.0))
}

/// Seconds between jobs for 1, 2, ... of them.
fn intervals(queues: &[(Limit, f64)], delay_s: f64) -> impl Iterator<Item = f64> {
    let mut lengths = vec![0.0; queues.len()];
    (1..).map(move |jobs| {
        let times = queues.iter().zip(&lengths).map(|((_, time_s), length)| time_s * (1.0 + length));
        let times: Vec<f64> = times.collect();
        let interval_s = (delay_s + times.iter().sum::<f64>()) / f64::from(jobs);
        for (length, time_s) in lengths.iter_mut().zip(&times) {
            *length = time_s / interval_s.max(f64::MIN_POSITIVE);
        }
        interval_s
    })
}

/// Seconds between jobs for a number of them that need not be whole.
fn interval(queues: &[(Limit, f64)], delay_s: f64, jobs: f64) -> f64 {
    let below = jobs.max(1.0).floor();
    let mut both = intervals(queues, delay_s).skip(below as usize - 1);
    let (Some(less), Some(more)) = (both.next(), both.next()) else { return f64::NAN };
    let (less, more) = (less.max(f64::MIN_POSITIVE), more.max(f64::MIN_POSITIVE));
    let part = jobs - below;
    1.0 / ((1.0 - part) / less + part / more)
}
