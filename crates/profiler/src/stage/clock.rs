//! One thread's stage clock, and how it keeps cheap.
//!
//! A reading of the monotonic clock costs 20 to 50 ns, and one of the thread's CPU time some 200
//! ns: little beside a photograph, much beside a sample of a few bytes. Two things keep the cost in
//! bounds, both decided where an item begins ([`StageClock::item`]) and for all of it:
//!
//! - Items shorter than [`SHORT`] are measured now and then only. Over the others the clock is
//!   not read at all; their time as a whole is known from the readings before and after, and is
//!   shared among the stages as in the items that were measured. Waits are always read.
//! - CPU time is read for at most one item in each [`CPU_EVERY`], and for how long the consumer had
//!   no core while it was at its own work, at most once in each [`DELAY_EVERY`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{Stage, StageCounters};
use crate::thread::{OwnDelay, current_tid};

/// Items that take longer are all measured: reading the clock adds under 2%.
const SHORT: Duration = Duration::from_micros(10);
/// Items in a row that are not measured, at most.
const MOST_SKIPPED: u128 = 63;
/// From one item whose CPU time is read to the next.
const CPU_EVERY: Duration = Duration::from_millis(1);
/// From one visit to [`Stage::Consume`] whose time without a core is read to the next.
const DELAY_EVERY: Duration = Duration::from_millis(5);
/// What the stages took is forgotten by halves, so that the shares follow the data.
const REMEMBERED: Duration = Duration::from_millis(10);

/// One thread's clock: the time since the last [`enter`](Self::enter) goes to the stage left.
#[derive(Debug)]
pub struct StageClock {
    counters: Arc<StageCounters>,
    stage: Stage,
    /// The last reading.
    since: Instant,
    /// When the item began, if it is being measured.
    item_began: Option<Instant>,
    /// Items that are not measured, this one included, until one is again; 0 if this one is.
    skip: u32,
    /// The thread's CPU time at the last reading, if it is read for this item.
    cpu: Option<Duration>,
    cpu_read_at: Option<Instant>,
    own_delay: OwnDelay,
    /// The thread's time without a core when it began its own work, if it is read for this visit.
    delay: Option<Duration>,
    delay_read_at: Option<Instant>,
    /// Time of its own work since then.
    untold: Duration,
    /// Of the items that were measured, by stage of work.
    measured: [Duration; Stage::WORK.len()],
}

impl StageClock {
    /// A clock that starts now, in `stage`, and adds to `counters`.
    pub fn new(counters: Arc<StageCounters>, stage: Stage) -> Self {
        counters.set_thread(current_tid());
        Self {
            counters,
            stage,
            since: Instant::now(),
            item_began: None,
            skip: 0,
            cpu: None,
            cpu_read_at: None,
            own_delay: OwnDelay::default(),
            delay: None,
            delay_read_at: None,
            untold: Duration::ZERO,
            measured: Default::default(),
        }
    }

    /// The next item begins. Without this every boundary is measured and CPU time never.
    pub fn item(&mut self) {
        self.counters.add_item();
        if self.skip > 1 {
            self.skip -= 1;
            return;
        }
        if self.skip == 1 {
            self.read();
        } else if let Some(began) = self.item_began.take() {
            self.cpu = None;
            let time = self.since - began;
            self.counters.add_item_visit(time);
            self.skip = skipped_after(time);
            if self.skip > 0 {
                return;
            }
        }
        if self.cpu_read_at.is_none_or(|at| self.since - at >= CPU_EVERY) {
            self.read();
            self.cpu = Some(clock_gettime_cpu());
            self.cpu_read_at = Some(self.since);
            // The clock may have come to another thread.
            self.counters.set_thread(current_tid());
        }
        self.item_began = Some(self.since);
    }

    /// Leaves the current stage for `stage`, and returns the one left.
    pub fn enter(&mut self, stage: Stage) -> Stage {
        let in_items = self.stage.is_work() && stage.is_work();
        if self.skip == 0 || !in_items {
            self.read();
        }
        if !in_items {
            // Whatever item was being measured is not one piece.
            (self.item_began, self.cpu) = (None, None);
        }
        self.watch_delay(stage);
        std::mem::replace(&mut self.stage, stage)
    }

    /// Reads the time without a core where the consumer's own work begins, if that is due. What comes
    /// after a wait is left out: it is waiting.
    fn watch_delay(&mut self, stage: Stage) {
        let due = || self.delay_read_at.is_none_or(|at| self.since - at >= DELAY_EVERY);
        self.delay = None;
        if stage == Stage::Consume && due() {
            self.delay = self.own_delay.read();
            self.delay_read_at = Some(self.since);
        }
    }

    /// Begins anew in `stage`: the time since the last reading goes nowhere.
    pub fn restart(&mut self, stage: Stage) {
        self.since = Instant::now();
        (self.item_began, self.cpu, self.skip) = (None, None, 0);
        self.watch_delay(stage);
        self.stage = stage;
    }

    /// Reads the clock: the time since the last reading goes to the stage, or to the stages of the
    /// items that were not measured, which ends their row.
    fn read(&mut self) {
        // The CPU time first: if the thread has used up its turn it loses its core at this reading,
        // and that is the doing of the stage that ends.
        let cpu = self.cpu.map(|before| (before, clock_gettime_cpu()));
        let delay = self.delay.take().and_then(|before| Some((before, self.own_delay.read()?)));
        let now = Instant::now();
        let time = now - self.since;
        self.since = now;
        if std::mem::take(&mut self.skip) > 0 {
            self.share_out(time);
            return;
        }
        self.counters.add_visit(self.stage, time);
        if self.stage == Stage::Consume {
            self.untold += time;
        }
        if let Some((before, now)) = delay {
            // This visit stands for those before it, of which it was not read.
            let share = now.saturating_sub(before).as_secs_f64() / time.as_secs_f64().max(1e-9);
            let untold = std::mem::take(&mut self.untold);
            self.counters.add_consumer_delay(untold.mul_f64(share.min(1.0)));
        }
        if self.item_began.is_some() && self.stage.is_work() {
            self.measured[self.stage as usize] += time;
        }
        if let Some((before, cpu)) = cpu {
            self.counters.add_timed(self.stage, time, cpu.saturating_sub(before));
            self.cpu = Some(cpu);
        }
    }

    /// Gives each stage of work its share of `time`.
    fn share_out(&mut self, time: Duration) {
        let all: Duration = self.measured.iter().sum();
        if all.is_zero() {
            self.counters.add(self.stage, time);
            return;
        }
        for (stage, measured) in Stage::WORK.into_iter().zip(&mut self.measured) {
            let share = measured.as_secs_f64() / all.as_secs_f64();
            self.counters.add(stage, time.mul_f64(share));
            if all > REMEMBERED {
                *measured /= 2;
            }
        }
    }
}

/// Items to leave out after one that took `time`.
fn skipped_after(time: Duration) -> u32 {
    if time >= SHORT {
        return 0;
    }
    (SHORT.as_nanos() / time.as_nanos().max(1)).min(MOST_SKIPPED) as u32
}

fn clock_gettime_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
