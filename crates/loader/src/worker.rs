//! A worker: claims slots and loads samples into them, on a thread of its own or, without
//! workers, on the consumer's.
//!
//! A data set may panic wherever its code runs. A slot that is claimed must be finished all the
//! same, or the consumer waits for it forever: whatever is the data set's runs in
//! [`catch_unwind`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use preproc::SampleRng;
use profiler::stage::{Stage, StageClock, StageCounters};

use crate::engine::{OpenBatch, Shared};
use crate::slots::Claim;
use crate::{Dataset, SampleError, Slot};

/// A data set without its type, so that the engine need not know it.
pub(crate) trait Source: Send + Sync {
    /// A function that loads samples on one thread, with that thread's worker state.
    fn worker(self: Arc<Self>) -> Box<Load>;
    /// See [`Dataset::origin`].
    fn origin(&self, index: usize) -> Option<String>;
}

/// Loads sample `index` into a slot.
type Load = dyn FnMut(usize, &mut Slot<'_>) -> Result<(), SampleError> + Send;

impl<D: Dataset> Source for D {
    fn worker(self: Arc<Self>) -> Box<Load> {
        let mut worker = D::Worker::default();
        Box::new(move |index, slot| self.load(index, &mut worker, slot))
    }

    fn origin(&self, index: usize) -> Option<String> {
        Dataset::origin(self, index)
    }
}

/// The life of a worker thread.
pub(crate) fn run(shared: &Shared, counters: Arc<StageCounters>) {
    let mut clock = StageClock::new(counters, Stage::Other);
    let mut worker = Worker::default();
    while let Some(batch) = shared.next_unclaimed(&mut clock) {
        worker.fill(shared, &batch, &mut clock);
    }
}

/// What loads samples on one thread.
#[derive(Default)]
pub(crate) struct Worker {
    /// Made for the first sample, and again after a panic.
    load: Option<Box<Load>>,
}

impl Worker {
    /// Claims and fills slots of `batch` until none are left.
    pub(crate) fn fill(&mut self, shared: &Shared, batch: &OpenBatch, clock: &mut StageClock) {
        while let Some(mut claim) = batch.slots.claim() {
            let slot = claim.slot();
            let index = batch.indices()[slot];
            if let Err(error) = self.load(shared, batch.epoch, index, &mut claim, clock) {
                batch.fail(slot, error);
            }
            if claim.finish() {
                shared.batch_is_complete();
            }
        }
    }

    fn load(
        &mut self,
        shared: &Shared,
        epoch: u64,
        index: usize,
        claim: &mut Claim<'_>,
        clock: &mut StageClock,
    ) -> Result<(), SampleError> {
        let rng = SampleRng::new(shared.seed, epoch, index as u64);
        let mut slot = Slot { rng, clock, fields: claim.fields() };
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let load = self.load.get_or_insert_with(|| shared.source.clone().worker());
            load(index, &mut slot)
        }));
        clock.enter(Stage::Other);
        loaded.unwrap_or_else(|panic| {
            // What the worker kept may be half-changed, and may panic again when dropped.
            let stale = self.load.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(stale)));
            Err(SampleError::from(format!("the data set panicked: {}", message(&*panic))))
        })
    }
}

/// What was said in a panic.
fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "(no message)"
    }
}
