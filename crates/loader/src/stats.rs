//! What a loader has done.

use profiler::stage::StageTimes;
use serde::Serialize;

/// What a loader has done since it was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Batches that came out.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Samples that were loaded, or are being: in these batches and in those to come. The rate at which
    /// they grow is known from a short time, in which only few batches come out. After a
    /// [pause](crate::Epoch::pause) none is in hand.
    pub loaded: u64,
    /// Thread-seconds by stage, over all threads.
    pub stages: StageTimes,
    /// Seconds that the training loop waited for batches, and had them moved to the device and made
    /// floats there; without workers, that it loaded them.
    pub waited_s: f64,
    /// Seconds that it was at its own work, between one batch and asking for the next. What it does
    /// between two epochs is not counted, unless it left the first before its end: then
    /// [`Epoch::pause`](crate::Epoch::pause) says so.
    pub consumer_s: f64,
}

impl Stats {
    /// What was done since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            batches: self.batches - earlier.batches,
            samples: self.samples - earlier.samples,
            loaded: self.loaded - earlier.loaded,
            stages: self.stages - earlier.stages,
            waited_s: self.waited_s - earlier.waited_s,
            consumer_s: self.consumer_s - earlier.consumer_s,
        }
    }

    /// The share of its time that the training loop waited for data, 0 to 1: what a faster loader
    /// could gain.
    pub fn wait_share(&self) -> f64 {
        let all = self.waited_s + self.consumer_s;
        if all > 0.0 { self.waited_s / all } else { 0.0 }
    }
}
