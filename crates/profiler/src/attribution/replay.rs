//! A pipeline in virtual time: how long it takes, and what its counters tell meanwhile.
//!
//! Threads of each station take an item from the queue before theirs (the first station never
//! runs out), run their stages one after the other, and hand it on. A stage waits for something
//! outside (a disk) or computes; who computes shares the cores evenly with all others who do.
//! Every draw is a hash of (seed, stage, item): the same pipeline with a stage removed draws the
//! same times for all else, so that two runs differ by what was removed and by nothing else.

use std::collections::VecDeque;

use crate::bottleneck::BottleneckType;
use crate::pipeline::{PipelineSnapshot, Room, StageSnapshot, StationSnapshot, Visits};

/// How service times scatter about their mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Not at all.
    Fixed,
    /// As the times between random arrivals.
    Exponential,
    /// As the logarithm of a normal law, with this ratio of standard deviation to mean.
    Lognormal(f64),
    /// This share of the items takes so many times as long as the others.
    Either(f64, f64),
}

impl Law {
    /// The draw for an item, of mean 1. Every `stream` draws for itself.
    fn draw(self, stream: u64, item: u64) -> f64 {
        let bits = mix(stream ^ mix(item));
        let uniform = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
        let either = |bits: u64, share: f64, times: f64| {
            let drawn = if uniform(bits) < share { times } else { 1.0 };
            drawn / (1.0 + (times - 1.0) * share)
        };
        match self {
            Law::Fixed => 1.0,
            Law::Exponential => -(1.0 - uniform(bits)).ln(),
            Law::Lognormal(variation) => {
                let variance = (1.0 + variation * variation).ln();
                // Box and Muller.
                let radius = (-2.0 * (1.0 - uniform(bits)).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * uniform(mix(bits))).cos();
                (variance.sqrt() * normal - 0.5 * variance).exp()
            }
            Law::Either(share, times) => either(bits, share, times),
        }
    }
}

impl Law {
    /// That of the mean of so many draws, about.
    fn of_mean(self, draws: f64) -> Self {
        if draws <= 1.0 {
            return self;
        }
        let variation = match self {
            Law::Fixed => return Law::Fixed,
            Law::Exponential => 1.0,
            Law::Lognormal(variation) => variation,
            Law::Either(share, times) => {
                (times - 1.0) * (share * (1.0 - share)).sqrt() / (1.0 + (times - 1.0) * share)
            }
        };
        Law::Lognormal(variation / draws.sqrt())
    }
}

/// The finalizer of SplitMix64: every bit of the key tells on every bit of the hash.
fn mix(key: u64) -> u64 {
    let mut z = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

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
    pub(super) fn in_lumps(mut self, batch: usize) -> Self {
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    /// Nothing to do, or no room.
    Waiting,
    /// Item in hand, but no room behind.
    Blocked,
    /// Seconds left that want so many cores, then seconds left that want none.
    Stage { stage: usize, cores: f64, cpu_s: f64, wait_s: f64 },
}

#[derive(Clone, Debug)]
struct Thread {
    doing: Doing,
    item: u64,
    /// Of what it is doing, so far: counters get it at the end, as in a real program.
    since_s: f64,
    cpu_s: f64,
    /// Of its item, in stages that ended.
    item_s: f64,
}

/// A run in progress. Thread lists: one for each station, then the consumer alone.
struct Run<'a> {
    pipeline: &'a Pipeline,
    seed: u64,
    now: PipelineSnapshot,
    threads: Vec<Vec<Thread>>,
    /// Finished items behind each station.
    queues: Vec<VecDeque<u64>>,
    /// Finished items of each open batch, where the last station's room is batches.
    finished: VecDeque<usize>,
    /// Items begun by the last station, which numbers them anew.
    begun: u64,
    batches_taken: u64,
    /// Items of the batch in the consumer's hands that its own stages have yet to run on.
    own_left: u64,
}

impl<'a> Run<'a> {
    fn new(pipeline: &'a Pipeline, seed: u64) -> Self {
        let idle = Thread { doing: Doing::Waiting, item: 0, since_s: 0.0, cpu_s: 0.0, item_s: 0.0 };
        let stages = |stages: &[Stage]| {
            stages
                .iter()
                .map(|stage| StageSnapshot {
                    name: stage.name.clone(),
                    kind: BottleneckType::Preprocessing,
                    busy_s: 0.0,
                    visits: Visits::default(),
                    timed_cpu_s: 0.0,
                    timed_wall_s: 0.0,
                })
                .collect()
        };
        let mut stations: Vec<_> = pipeline
            .stations
            .iter()
            .map(|station| StationSnapshot {
                name: station.name.clone(),
                threads: station.threads,
                items: Some(0),
                cpu_s: Some(0.0),
                run_delay_s: Some(0.0),
                room: Some(station.room),
                stages: stages(&station.stages),
                ..StationSnapshot::default()
            })
            .collect();
        if !pipeline.own_stages.is_empty() {
            stations.push(StationSnapshot {
                name: "own".to_owned(),
                threads: 1,
                on_consumer: true,
                items: Some(0),
                cpu_s: Some(0.0),
                run_delay_s: Some(0.0),
                stages: stages(&pipeline.own_stages),
                ..StationSnapshot::default()
            });
        }
        let threads = pipeline.stations.iter().map(|station| vec![idle.clone(); station.threads]);
        Self {
            pipeline,
            seed,
            now: PipelineSnapshot {
                queue_empty_s: (!pipeline.stations.is_empty()).then_some(0.0),
                consumer_cpu_s: Some(0.0),
                consumer_run_delay_s: Some(0.0),
                stations,
                ..PipelineSnapshot::default()
            },
            threads: threads.chain([vec![idle.clone()]]).collect(),
            queues: vec![VecDeque::new(); pipeline.stations.len()],
            finished: VecDeque::new(),
            begun: 0,
            batches_taken: 0,
            own_left: 0,
        }
    }

    fn run(mut self, batches: usize, snapshots: usize) -> Vec<PipelineSnapshot> {
        let interval_s =
            self.fastest_s() * (batches * self.pipeline.batch) as f64 / snapshots as f64;
        let mut taken = vec![self.now.clone()];
        while self.now.batches < batches as u64 {
            self.dispatch();
            let next_snapshot_s = interval_s * taken.len() as f64;
            self.advance(next_snapshot_s - self.now.at_s);
            if self.now.at_s >= next_snapshot_s - 1e-12 {
                taken.push(self.now.clone());
            }
        }
        taken.push(self.now);
        taken
    }

    /// A lower bound of the seconds for each item.
    fn fastest_s(&self) -> f64 {
        let sum = |stages: &[Stage]| stages.iter().map(|stage| stage.mean_s).sum::<f64>();
        let stations = &self.pipeline.stations;
        stations
            .iter()
            .map(|station| sum(&station.stages) / station.threads as f64)
            .fold(self.pipeline.consumer.mean_s + sum(&self.pipeline.own_stages), f64::max)
    }

    /// Gives everyone something to do who can do something, from the consumer back.
    fn dispatch(&mut self) {
        let last = self.pipeline.stations.len();
        loop {
            let mut changed = false;
            if self.threads[last][0].doing == Doing::Waiting && self.take_batch() {
                changed = true;
            }
            for station in (0..last).rev() {
                for thread in 0..self.threads[station].len() {
                    changed |= match self.threads[station][thread].doing {
                        Doing::Blocked => self.hand_on(station, thread),
                        Doing::Waiting => self.begin(station, thread),
                        Doing::Stage { .. } => false,
                    };
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn batch_is_ready(&self) -> bool {
        let batch = self.pipeline.batch;
        match self.pipeline.stations.last().map(|station| station.room) {
            None => true,
            Some(Room::Items(_)) => self.queues.last().is_some_and(|queue| queue.len() >= batch),
            Some(Room::Batches(_)) => self.finished.front() == Some(&batch),
        }
    }

    fn take_batch(&mut self) -> bool {
        if !self.batch_is_ready() {
            return false;
        }
        let batch = self.pipeline.batch;
        match self.pipeline.stations.last().map(|station| station.room) {
            None => {}
            Some(Room::Items(_)) => {
                if let Some(queue) = self.queues.last_mut() {
                    queue.drain(..batch);
                }
            }
            Some(Room::Batches(_)) => drop(self.finished.pop_front()),
        }
        self.batches_taken += 1;
        self.own_left = batch as u64;
        let last = self.pipeline.stations.len();
        self.leave(last, 0);
        self.next_of_consumer();
        true
    }

    /// The consumer begins its own stages on the next item, or its work on the batch.
    fn next_of_consumer(&mut self) {
        let last = self.pipeline.stations.len();
        let own = &self.pipeline.own_stages;
        if !own.is_empty() && self.own_left > 0 {
            self.own_left -= 1;
            let batch = self.pipeline.batch as u64;
            self.threads[last][0].item = self.batches_taken * batch - self.own_left;
            self.enter(last, 0, 0);
        } else {
            self.threads[last][0].item = self.batches_taken;
            self.enter(last, 0, own.len());
        }
    }

    /// A thread of `station` begins an item, if there is one and room for it.
    fn begin(&mut self, station: usize, thread: usize) -> bool {
        let stage = &self.pipeline.stations[station];
        if let Room::Batches(depth) = stage.room {
            let open = (self.batches_taken + depth as u64) * self.pipeline.batch as u64;
            if self.begun >= open {
                return false;
            }
        }
        let item = match station.checked_sub(1) {
            None => Some(self.now.stations[0].items.unwrap_or(0) + self.in_hand(0)),
            Some(before) => self.queues[before].pop_front(),
        };
        let Some(mut item) = item else { return false };
        if let Room::Batches(_) = stage.room {
            item = self.begun;
            self.begun += 1;
        }
        self.leave(station, thread);
        self.threads[station][thread].item = item;
        self.threads[station][thread].item_s = 0.0;
        self.enter(station, thread, 0);
        true
    }

    /// Items that threads of `station` are at, so that every item of the first has its number.
    fn in_hand(&self, station: usize) -> u64 {
        let at_work = |thread: &&Thread| thread.doing != Doing::Waiting;
        self.threads[station].iter().filter(at_work).count() as u64
    }

    /// A thread of `station` that has finished its item hands it on, if there is room.
    fn hand_on(&mut self, station: usize, thread: usize) -> bool {
        let item = self.threads[station][thread].item;
        match self.pipeline.stations[station].room {
            Room::Items(room) if self.queues[station].len() >= room => return false,
            Room::Items(_) => self.queues[station].push_back(item),
            Room::Batches(_) => {
                let batch = (item / self.pipeline.batch as u64 - self.batches_taken) as usize;
                self.finished.resize(self.finished.len().max(batch + 1), 0);
                self.finished[batch] += 1;
            }
        }
        let item_s = self.threads[station][thread].item_s;
        self.now.stations[station].item_visits.add(item_s);
        self.leave(station, thread);
        self.threads[station][thread].doing = Doing::Waiting;
        if let Some(items) = &mut self.now.stations[station].items {
            *items += 1;
        }
        true
    }

    /// The stage of that number; one past the consumer's own is its work on the batch.
    fn stage(&self, station: usize, stage: usize) -> &'a Stage {
        match self.pipeline.stations.get(station) {
            Some(station) => &station.stages[stage],
            None => self.pipeline.own_stages.get(stage).unwrap_or(&self.pipeline.consumer),
        }
    }

    fn enter(&mut self, station: usize, thread: usize, stage: usize) {
        let Stage { mean_s, law, row, cpu_share, .. } = self.stage(station, stage);
        let item = self.threads[station][thread].item;
        let stream = |stage: u64| mix(self.seed ^ mix(((station as u64) << 32) | stage));
        let own = self.pipeline.own_stages.len();
        let of_batch = self.pipeline.stations.len() == station && stage == own;
        let times = if of_batch { self.pipeline.batch as f64 } else { 1.0 };
        let size = match self.pipeline.stations.get(station) {
            Some(station) => station.sizes.draw(stream(u64::from(u32::MAX)), item),
            None => 1.0,
        };
        let total_s = mean_s * times * size * law.draw(stream(stage as u64), item / row);
        let cpu_s = total_s * cpu_share.min(1.0);
        let cores = cpu_share.max(1.0);
        self.threads[station][thread].doing =
            Doing::Stage { stage, cores, cpu_s, wait_s: total_s - cpu_s };
    }

    /// Puts down what the thread did since it began it.
    fn leave(&mut self, station: usize, thread: usize) {
        let Thread { doing, since_s, cpu_s, item_s, .. } = &mut self.threads[station][thread];
        let (since_s, cpu_s) = (std::mem::take(since_s), std::mem::take(cpu_s));
        *item_s += since_s;
        let consumer = station == self.pipeline.stations.len();
        match *doing {
            Doing::Stage { stage, .. } if consumer && stage == self.pipeline.own_stages.len() => {
                self.now.consumer_busy_s += since_s;
                self.now.consumer_visits.add(since_s);
            }
            Doing::Stage { stage, .. } => {
                let stage = &mut self.now.stations[station].stages[stage];
                stage.busy_s += since_s;
                stage.visits.add(since_s);
                stage.timed_wall_s += since_s;
                stage.timed_cpu_s += cpu_s;
            }
            Doing::Waiting | Doing::Blocked if consumer => self.now.consumer_wait_s += since_s,
            Doing::Waiting | Doing::Blocked => self.now.stations[station].wait_s += since_s,
        }
    }

    /// Lets time pass until the next stage ends, at most `most_s`.
    fn advance(&mut self, most_s: f64) {
        let all = || self.threads.iter().flatten();
        let wanted = |thread: &Thread| match thread.doing {
            Doing::Stage { cores, cpu_s, .. } if cpu_s > 0.0 => cores,
            _ => 0.0,
        };
        let rate = (self.pipeline.cores / all().map(wanted).sum::<f64>()).min(1.0);
        let step_s = all()
            .filter_map(|thread| match thread.doing {
                Doing::Stage { cpu_s, .. } if cpu_s > 0.0 => Some(cpu_s / rate),
                Doing::Stage { wait_s, .. } => Some(wait_s),
                Doing::Waiting | Doing::Blocked => None,
            })
            .fold(most_s.max(0.0), f64::min);
        // Looked at after all who could take something took it.
        let ready = self.batch_is_ready();
        if let Some(empty_s) = self.now.queue_empty_s.as_mut().filter(|_| !ready) {
            *empty_s += step_s;
        }
        self.now.at_s += step_s;
        let mut ended = Vec::new();
        for (station, threads) in self.threads.iter_mut().enumerate() {
            for (number, thread) in threads.iter_mut().enumerate() {
                thread.since_s += step_s;
                let Doing::Stage { stage, cores, cpu_s, wait_s } = &mut thread.doing else {
                    continue;
                };
                let of_station = self.now.stations.get_mut(station);
                let of_station = of_station.filter(|station| *stage < station.stages.len());
                if *cpu_s > 0.0 {
                    let done_s = step_s * rate;
                    // What is left by rounding is nothing.
                    *cpu_s = if *cpu_s - done_s > 1e-12 { *cpu_s - done_s } else { 0.0 };
                    thread.cpu_s += done_s * *cores;
                    let (cpu, delay) = match of_station {
                        Some(station) => (&mut station.cpu_s, &mut station.run_delay_s),
                        None => (&mut self.now.consumer_cpu_s, &mut self.now.consumer_run_delay_s),
                    };
                    *cpu = cpu.map(|cpu| cpu + done_s * *cores);
                    *delay = delay.map(|delay| delay + step_s - done_s);
                } else {
                    *wait_s = if *wait_s - step_s > 1e-12 { *wait_s - step_s } else { 0.0 };
                }
                if matches!(thread.doing, Doing::Stage { cpu_s: 0.0, wait_s: 0.0, .. }) {
                    ended.push((station, number));
                }
            }
        }
        for (station, thread) in ended {
            self.end_stage(station, thread);
        }
    }

    fn end_stage(&mut self, station: usize, thread: usize) {
        let Doing::Stage { stage, .. } = self.threads[station][thread].doing else { return };
        self.leave(station, thread);
        let consumer = station == self.pipeline.stations.len();
        let own = self.pipeline.own_stages.len();
        if consumer && stage == own {
            self.threads[station][thread].doing = Doing::Waiting;
            self.now.batches += 1;
            self.now.items += self.pipeline.batch as u64;
        } else if consumer && stage + 1 == own {
            if let Some(items) = &mut self.now.stations[station].items {
                *items += 1;
            }
            self.next_of_consumer();
        } else if consumer || stage + 1 < self.pipeline.stations[station].stages.len() {
            self.enter(station, thread, stage + 1);
        } else {
            self.threads[station][thread].doing = Doing::Blocked;
        }
    }
}
