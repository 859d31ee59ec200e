//! Time of a call, without what reading the clock takes.

use std::hint::black_box;
use std::time::Instant;

use profiler::statistics::{median, sorted};

/// A clock that knows what reading it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    cost_s: f64,
}

impl Clock {
    /// Measures what two readings in a row are apart.
    pub(super) fn new() -> Self {
        const READINGS: usize = 1001;
        let apart: Vec<f64> =
            (0..READINGS).map(|_| black_box(Instant::now()).elapsed().as_secs_f64()).collect();
        Self { cost_s: median(&sorted(&apart)).unwrap_or(0.0) }
    }

    /// Runs `work` and says how long it took, in seconds.
    pub(super) fn time<R>(self, work: impl FnOnce() -> R) -> (R, f64) {
        let start = Instant::now();
        let result = work();
        let took = start.elapsed().as_secs_f64();
        (result, (took - self.cost_s).max(0.0))
    }
}
