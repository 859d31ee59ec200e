//! Stage clocks: how many thread-seconds each stage of a pipeline took.
//!
//! A worker owns a [`StageClock`] and calls [`StageClock::enter`] where one stage ends and the
//! next begins: one reading of the monotonic clock and one addition each. The sums live in
//! [`StageCounters`], which any thread may read while the workers run.

use std::ops::{AddAssign, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use serde::{Deserialize, Serialize};

/// A stage of the data's way, or a wait between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes from storage.
    Read,
    /// Compressed bytes to pixels.
    Decode,
    /// Pixels to pixels: crop, resize, flip.
    Transform,
    /// Pixels to the batch's memory: normalise, layout, type.
    Write,
    /// Anything a data set does outside the named stages.
    Other,
    /// A worker waiting for room in the batches being filled.
    WaitRoom,
    /// The consumer waiting for its next batch.
    WaitBatch,
    /// The consumer at its own work, between one batch and asking for the next.
    Consume,
}

impl Stage {
    /// Every stage, in the order of the data's way.
    pub const ALL: [Stage; 8] = [
        Stage::Read,
        Stage::Decode,
        Stage::Transform,
        Stage::Write,
        Stage::Other,
        Stage::WaitRoom,
        Stage::WaitBatch,
        Stage::Consume,
    ];
}

/// Sums of stage times in nanoseconds, written by one thread and readable by all.
#[derive(Debug, Default)]
pub struct StageCounters {
    nanos: CachePadded<[AtomicU64; Stage::ALL.len()]>,
}

impl StageCounters {
    /// Adds `time` to `stage`.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.nanos[stage as usize].fetch_add(time.as_nanos() as u64, Relaxed);
    }

    /// What has been counted so far.
    pub fn times(&self) -> StageTimes {
        let seconds = |stage: Stage| self.nanos[stage as usize].load(Relaxed) as f64 * 1e-9;
        StageTimes {
            read_s: seconds(Stage::Read),
            decode_s: seconds(Stage::Decode),
            transform_s: seconds(Stage::Transform),
            write_s: seconds(Stage::Write),
            other_s: seconds(Stage::Other),
            wait_room_s: seconds(Stage::WaitRoom),
            wait_batch_s: seconds(Stage::WaitBatch),
            consume_s: seconds(Stage::Consume),
        }
    }
}

/// Thread-seconds by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// See [`Stage::Read`].
    pub read_s: f64,
    /// See [`Stage::Decode`].
    pub decode_s: f64,
    /// See [`Stage::Transform`].
    pub transform_s: f64,
    /// See [`Stage::Write`].
    pub write_s: f64,
    /// See [`Stage::Other`].
    pub other_s: f64,
    /// See [`Stage::WaitRoom`].
    pub wait_room_s: f64,
    /// See [`Stage::WaitBatch`].
    pub wait_batch_s: f64,
    /// See [`Stage::Consume`].
    pub consume_s: f64,
}

impl StageTimes {
    /// Thread-seconds of work on samples: no waits, nothing of the consumer's.
    pub fn busy_s(&self) -> f64 {
        self.read_s + self.decode_s + self.transform_s + self.write_s + self.other_s
    }

    fn fields_mut(&mut self) -> [&mut f64; Stage::ALL.len()] {
        [
            &mut self.read_s,
            &mut self.decode_s,
            &mut self.transform_s,
            &mut self.write_s,
            &mut self.other_s,
            &mut self.wait_room_s,
            &mut self.wait_batch_s,
            &mut self.consume_s,
        ]
    }
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, term) in self.fields_mut().into_iter().zip(other.fields_mut()) {
            *sum += *term;
        }
    }
}

impl Sub for StageTimes {
    type Output = Self;

    fn sub(mut self, mut earlier: Self) -> Self {
        for (now, before) in self.fields_mut().into_iter().zip(earlier.fields_mut()) {
            *now -= *before;
        }
        self
    }
}

/// One thread's clock: the time since the last [`enter`](Self::enter) goes to the stage left.
#[derive(Debug)]
pub struct StageClock {
    counters: Arc<StageCounters>,
    stage: Stage,
    since: Instant,
}

impl StageClock {
    /// A clock that starts now, in `stage`, and adds to `counters`.
    pub fn new(counters: Arc<StageCounters>, stage: Stage) -> Self {
        Self { counters, stage, since: Instant::now() }
    }

    /// Leaves the current stage for `stage`, and returns the one left.
    pub fn enter(&mut self, stage: Stage) -> Stage {
        let now = Instant::now();
        self.counters.add(self.stage, now - self.since);
        self.since = now;
        std::mem::replace(&mut self.stage, stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_stage_that_is_left() {
        let counters = Arc::new(StageCounters::default());
        let mut clock = StageClock::new(counters.clone(), Stage::Other);
        clock.enter(Stage::Decode);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.enter(Stage::Write), Stage::Decode);
        let times = counters.times();
        assert!(times.decode_s >= 0.005);
        assert_eq!(times.write_s, 0.0);
    }

    #[test]
    fn differences_and_sums_cover_every_stage() {
        let counters = StageCounters::default();
        for (i, stage) in Stage::ALL.into_iter().enumerate() {
            counters.add(stage, Duration::from_secs(i as u64 + 1));
        }
        let mut sum = counters.times();
        sum += counters.times();
        assert_eq!(sum - counters.times(), counters.times());
        assert_eq!(counters.times().busy_s(), 15.0);
    }
}
