//! Time of a call, without what reading the clock takes.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use profiler::monitor::thread_cpu;
use profiler::statistics::median;

/// A clock that knows what reading it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    now: fn() -> Duration,
    cost_s: f64,
}

impl Clock {
    /// Of the time that passes.
    pub(super) fn wall() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        LazyLock::force(&START);
        Self::of(|| START.elapsed())
    }

    /// Of the calling thread's CPU time: what other threads take of the cores does not count.
    pub(super) fn thread_cpu() -> Self {
        Self::of(thread_cpu)
    }

    /// Measures what two readings in a row are apart.
    fn of(now: fn() -> Duration) -> Self {
        const READINGS: usize = 1001;
        let apart = |_| {
            let start = black_box(now());
            now().saturating_sub(start).as_secs_f64()
        };
        let apart: Vec<f64> = (0..READINGS).map(apart).collect();
        Self { now, cost_s: median(&apart).unwrap_or(0.0) }
    }

    /// Runs `work` and says how long it took, in seconds.
    pub(super) fn time<R>(self, work: impl FnOnce() -> R) -> (R, f64) {
        let start = (self.now)();
        let result = work();
        let took = (self.now)().saturating_sub(start).as_secs_f64();
        (result, (took - self.cost_s).max(0.0))
    }
}
