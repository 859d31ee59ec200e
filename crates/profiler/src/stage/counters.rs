//! What a stage clock counts, for all to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crossbeam::utils::CachePadded;

use super::{Stage, StageTimes};
use crate::pipeline::{Room, StageSnapshot, StationSnapshot, Visits};
use crate::thread::{ThreadTimes, thread_times};

type Nanos = [AtomicU64; Stage::ALL.len()];

/// Sums of stage times in nanoseconds, written by one thread and readable by all.
#[derive(Debug, Default)]
pub struct StageCounters {
    counts: CachePadded<Counts>,
    /// What the kernel told last of the thread, which may have ended since: CPU time and run-queue
    /// delay in nanoseconds, plus 1; 0 for nothing. Written by readers.
    told: CachePadded<[AtomicU64; 2]>,
}

#[derive(Debug, Default)]
struct Counts {
    nanos: Nanos,
    /// Of the visits whose CPU time was read too: that, and their length.
    timed_cpu: Nanos,
    timed_wall: Nanos,
    /// In [`Stage::Consume`] without a core, plus 1; 0 for not known.
    consumer_delay: AtomicU64,
    /// Visits that were measured one by one.
    visits: [Moments; Stage::ALL.len()],
    /// Items that were, from begin to end.
    item_visits: Moments,
    items: AtomicU64,
    /// The kernel's number of the thread that writes; 0 for none yet.
    tid: AtomicI32,
}

/// [`Visits`] that one thread adds to.
#[derive(Debug, Default)]
struct Moments {
    count: AtomicU64,
    nanos: AtomicU64,
    /// In powers of seconds, as the bits of a float.
    squares: AtomicU64,
    cubes: AtomicU64,
}

impl Moments {
    fn add(&self, time: Duration) {
        add(&self.count, 1);
        add(&self.nanos, time.as_nanos() as u64);
        for (sum, power) in [(&self.squares, 2), (&self.cubes, 3)] {
            let added = f64::from_bits(sum.load(Relaxed)) + time.as_secs_f64().powi(power);
            sum.store(added.to_bits(), Relaxed);
        }
    }

    fn visits(&self) -> Visits {
        Visits {
            count: self.count.load(Relaxed),
            sum_s: seconds(&self.nanos),
            sum_of_squares_s2: f64::from_bits(self.squares.load(Relaxed)),
            sum_of_cubes_s3: f64::from_bits(self.cubes.load(Relaxed)),
        }
    }
}

/// Adds as the only writer: no locked instruction.
fn add(sum: &AtomicU64, term: u64) {
    sum.store(sum.load(Relaxed).wrapping_add(term), Relaxed);
}

fn seconds(sum: &AtomicU64) -> f64 {
    sum.load(Relaxed) as f64 * 1e-9
}

impl StageCounters {
    /// Adds `time` to `stage`. Only one thread may at a time.
    pub fn add(&self, stage: Stage, time: Duration) {
        add(&self.counts.nanos[stage as usize], time.as_nanos() as u64);
    }

    /// Notes a visit to `stage` of that length and CPU time.
    pub(super) fn add_timed(&self, stage: Stage, wall: Duration, cpu: Duration) {
        // The two clocks are not read at the same moment.
        let cpu = cpu.min(wall);
        add(&self.counts.timed_wall[stage as usize], wall.as_nanos() as u64);
        add(&self.counts.timed_cpu[stage as usize], cpu.as_nanos() as u64);
    }

    /// Notes that for so much of its time in [`Stage::Consume`] the thread had no core.
    pub(super) fn add_consumer_delay(&self, delay: Duration) {
        let first = u64::from(self.counts.consumer_delay.load(Relaxed) == 0);
        add(&self.counts.consumer_delay, delay.as_nanos() as u64 + first);
    }

    /// Seconds for which the thread was ready to run without a core while it was in
    /// [`Stage::Consume`]: read at some of the visits, which stand for the others. `None` before the
    /// first, and where the kernel does not tell.
    pub fn consumer_run_delay_s(&self) -> Option<f64> {
        let nanos = self.counts.consumer_delay.load(Relaxed).checked_sub(1)?;
        Some(nanos as f64 * 1e-9)
    }

    /// Adds a visit to `stage` that was measured by itself.
    pub(super) fn add_visit(&self, stage: Stage, time: Duration) {
        self.add(stage, time);
        self.counts.visits[stage as usize].add(time);
    }

    /// Adds an item that was measured by itself.
    pub(super) fn add_item_visit(&self, time: Duration) {
        self.counts.item_visits.add(time);
    }

    /// The visits to `stage` that were measured one by one.
    pub fn visits(&self, stage: Stage) -> Visits {
        self.counts.visits[stage as usize].visits()
    }

    pub(super) fn add_item(&self) {
        add(&self.counts.items, 1);
    }

    pub(super) fn set_thread(&self, tid: i32) {
        self.counts.tid.store(tid, Relaxed);
    }

    /// Items that were begun so far.
    pub fn items(&self) -> u64 {
        self.counts.items.load(Relaxed)
    }

    /// What has been counted so far.
    pub fn times(&self) -> StageTimes {
        let seconds = |stage: Stage| seconds(&self.counts.nanos[stage as usize]);
        StageTimes {
            read_s: seconds(Stage::Read),
            decode_s: seconds(Stage::Decode),
            transform_s: seconds(Stage::Transform),
            write_s: seconds(Stage::Write),
            other_s: seconds(Stage::Other),
            transfer_s: seconds(Stage::Transfer),
            normalize_s: seconds(Stage::Normalize),
            batch_transform_s: seconds(Stage::BatchTransform),
            wait_room_s: seconds(Stage::WaitRoom),
            wait_batch_s: seconds(Stage::WaitBatch),
            consume_s: seconds(Stage::Consume),
        }
    }

    /// CPU time and run-queue delay so far of the thread that counts, after its end what was seen
    /// last; `None` where the kernel does not tell. Reads a file: some microseconds.
    pub fn thread_times(&self) -> Option<ThreadTimes> {
        let tid = self.counts.tid.load(Relaxed);
        if let Some(times) = (tid != 0).then(|| thread_times(tid)).flatten() {
            let told = [Some(times.cpu_s), times.run_delay_s];
            for (last, now) in self.told.iter().zip(told) {
                last.fetch_max(now.map_or(0, |now| (now * 1e9) as u64 + 1), Relaxed);
            }
        }
        let [cpu_s, run_delay_s] = [0, 1].map(|i| {
            let nanos = self.told[i].load(Relaxed).checked_sub(1)?;
            Some(nanos as f64 * 1e-9)
        });
        Some(ThreadTimes { cpu_s: cpu_s?, run_delay_s })
    }
}

/// The station of the threads that count in `counters`, by those stages of work that any of them
/// was in. Threads that ended and were replaced are counted but are not among `threads`.
pub fn workers_station(
    name: &str,
    threads: usize,
    room: Option<Room>,
    counters: &[Arc<StageCounters>],
) -> StationSnapshot {
    let times: Option<Vec<_>> = counters.iter().map(|counters| counters.thread_times()).collect();
    let times = times.filter(|times| !times.is_empty());
    StationSnapshot {
        name: name.to_owned(),
        threads,
        on_consumer: false,
        room,
        items: Some(counters.iter().map(|counters| counters.items()).sum()),
        item_visits: counters.iter().map(|it| it.counts.item_visits.visits()).sum(),
        wait_s: sum(counters, |counts| &counts.nanos, Stage::WaitRoom),
        cpu_s: times.as_ref().map(|times| times.iter().map(|times| times.cpu_s).sum()),
        run_delay_s: times.and_then(|times| times.iter().map(|times| times.run_delay_s).sum()),
        stages: Stage::WORK.map(|stage| stage_snapshot(counters, stage)).into(),
    }
}

/// The station of a consumer that moves and converts its batches itself, where those that count in
/// `workers_station` fill them.
pub fn delivery_station(name: &str, consumer: &Arc<StageCounters>) -> StationSnapshot {
    let stage = |stage| stage_snapshot(std::slice::from_ref(consumer), stage);
    StationSnapshot {
        name: name.to_owned(),
        threads: 1,
        on_consumer: true,
        stages: Stage::DELIVERY.map(stage).into(),
        ..StationSnapshot::default()
    }
}

fn stage_snapshot(counters: &[Arc<StageCounters>], stage: Stage) -> StageSnapshot {
    StageSnapshot {
        name: stage.name().to_owned(),
        kind: stage.kind(),
        busy_s: sum(counters, |counts| &counts.nanos, stage),
        visits: counters.iter().map(|counters| counters.visits(stage)).sum(),
        timed_cpu_s: sum(counters, |counts| &counts.timed_cpu, stage),
        timed_wall_s: sum(counters, |counts| &counts.timed_wall, stage),
    }
}

fn sum(counters: &[Arc<StageCounters>], of: fn(&Counts) -> &Nanos, stage: Stage) -> f64 {
    counters.iter().map(|counters| seconds(&of(&counters.counts)[stage as usize])).sum()
}
