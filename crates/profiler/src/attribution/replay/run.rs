//! A run of a pipeline in virtual time, from event to event.

use std::collections::VecDeque;

use super::law::mix;
use super::{Pipeline, Stage};
use crate::bottleneck::BottleneckType;
use crate::pipeline::{PipelineSnapshot, Room, StageSnapshot, StationSnapshot, Visits};

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
pub(super) struct Run<'a> {
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
    pub(super) fn new(pipeline: &'a Pipeline, seed: u64) -> Self {
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

    /// Until so many batches were used: the counters about `snapshots` times on the way.
    pub(super) fn run(mut self, batches: usize, snapshots: usize) -> Vec<PipelineSnapshot> {
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
