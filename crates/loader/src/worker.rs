//! A worker: claims slots and loads samples into them, on a thread of its own or, without
//! workers, on the consumer's.
//!
//! A data set may panic wherever its code runs. A slot that is claimed must be finished all the
//! same, or the consumer waits for it forever: whatever is the data set's runs in
//! [`catch_unwind`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;
use preproc::SampleRng;
use profiler::stage::{Stage, StageClock, StageCounters};
use profiler::thread::panic_message;
use rand::RngExt;

use crate::bad_samples::OnError;
use crate::engine::Shared;
use crate::open_batch::{Bad, OpenBatch};
use crate::queue::{Idle, Ticketed};
use crate::slots::Claim;
use crate::source::Load;
use crate::{SampleError, Slot};

/// How many others are tried in place of a bad sample.
const REPLACEMENTS: usize = 16;

/// What one worker is at, for others to see.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Batch, slot and attempt of the sample being loaded; 0 for none. No sample has the number of another.
    ticket: CachePadded<AtomicU64>,
    /// The sample.
    index: AtomicUsize,
    /// Set when this worker is to end after its sample.
    pub(crate) leave: AtomicBool,
}

impl Watch {
    /// Slots of one batch: settings allow for no more.
    const SLOTS: u64 = 1 << 24;
    /// Samples that are tried for one slot.
    const ATTEMPTS: u64 = 1 + REPLACEMENTS as u64;

    fn set(&self, batch: &OpenBatch, slot: usize, attempt: usize, index: usize) {
        let slot = batch.serial * Self::SLOTS + slot as u64;
        self.index.store(index, Ordering::Relaxed);
        self.ticket.store(slot * Self::ATTEMPTS + attempt as u64 + 1, Ordering::Release);
    }

    fn clear(&self) {
        self.ticket.store(0, Ordering::Relaxed);
    }

    /// What it is at.
    pub(crate) fn get(&self) -> Option<At> {
        let ticket = self.ticket.load(Ordering::Acquire).checked_sub(1)?;
        let (slot, attempt) = (ticket / Self::ATTEMPTS, ticket % Self::ATTEMPTS);
        let (serial, slot) = (slot / Self::SLOTS, (slot % Self::SLOTS) as usize);
        Some(At { serial, slot, attempt, index: self.index.load(Ordering::Relaxed) })
    }
}

/// A sample that a worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    /// Serial number of the batch.
    pub(crate) serial: u64,
    pub(crate) slot: usize,
    /// The first, or which of those in the place of a bad one.
    attempt: u64,
    pub(crate) index: usize,
}

/// The life of a worker thread.
pub(crate) fn run(shared: &Shared, counters: Arc<StageCounters>, watch: Arc<Watch>) {
    let mut clock = StageClock::new(counters, Stage::Other);
    let mut worker = Worker { watch: watch.clone(), load: None };
    let (mut in_hand, mut paused) = (None, false);
    while let Some(batch) = shared.queue.next_unclaimed(in_hand.take(), &watch.leave, |idle| {
        let stage = if idle == Some(Idle::Room) { Stage::WaitRoom } else { Stage::Other };
        // The time of a pause goes nowhere.
        match std::mem::replace(&mut paused, idle == Some(Idle::Pause)) {
            true => clock.restart(stage),
            false => drop(clock.enter(stage)),
        }
    }) {
        worker.fill(shared, &batch, &mut clock);
        in_hand = Some(batch);
    }
}

/// The life of a thread that reads ahead of the workers.
pub(crate) fn read_ahead(shared: &Shared) {
    while let Some(batch) = shared.queue.next_unread() {
        while !shared.queue.is_paused()
            && let Some(slot) = batch.tickets().claim_ahead()
        {
            let index = batch.indices()[slot];
            // A hint: what goes wrong here goes wrong again, and is reported, when it is loaded.
            let _ = catch_unwind(AssertUnwindSafe(|| shared.source.readahead(index)));
        }
    }
}

/// What loads samples on one thread.
#[derive(Default)]
pub(crate) struct Worker {
    watch: Arc<Watch>,
    /// Made for the first sample, and again after a panic.
    load: Option<Box<Load>>,
}

impl Worker {
    /// Claims and fills slots of `batch` until none are left, or the worker is to leave or pause.
    pub(crate) fn fill(&mut self, shared: &Shared, batch: &OpenBatch, clock: &mut StageClock) {
        while !self.watch.leave.load(Ordering::Relaxed)
            && !shared.queue.is_paused()
            && let Some(mut claim) = batch.slots.claim()
        {
            let slot = claim.slot();
            let index = batch.indices()[slot];
            self.watch.set(batch, slot, 0, index);
            clock.item();
            let rng = batch.rng(shared.seed, slot);
            if let Err(error) = self.load(shared, batch, index, rng, &mut claim, clock) {
                let replaced_by = match shared.on_error {
                    OnError::Replace => self.replace(shared, batch, index, &mut claim, clock),
                    OnError::Raise | OnError::Skip { .. } => None,
                };
                batch.fail(Bad { slot, error, replaced_by });
            }
            if claim.finish() {
                // No sample takes this time.
                self.watch.clear();
                clock.enter(Stage::Write);
                // It catches panics itself.
                batch.collate(&*shared.source);
                clock.enter(Stage::Other);
                batch.complete();
                shared.queue.seal(batch);
            }
        }
        self.watch.clear();
    }

    /// Loads another sample of the epoch in place of `index`; which, or `None` if all that were
    /// tried are bad too.
    fn replace(
        &mut self,
        shared: &Shared,
        batch: &OpenBatch,
        index: usize,
        claim: &mut Claim<'_>,
        clock: &mut StageClock,
    ) -> Option<usize> {
        let mut draw = SampleRng::of_replacement(shared.seed, batch.epoch, index as u64);
        let order = batch.order();
        (1..=REPLACEMENTS).find_map(|attempt| {
            let position = draw.random_range(0..order.common().len());
            let other = order.common()[position];
            let rng = order.rng(shared.seed, batch.epoch, position);
            self.watch.set(batch, claim.slot(), attempt, other);
            self.load(shared, batch, other, rng, claim, clock).is_ok().then_some(other)
        })
    }

    fn load(
        &mut self,
        shared: &Shared,
        batch: &OpenBatch,
        index: usize,
        rng: SampleRng,
        claim: &mut Claim<'_>,
        clock: &mut StageClock,
    ) -> Result<(), SampleError> {
        let number = claim.slot();
        let mut slot = Slot { rng, clock, fields: claim.fields() };
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let load = self.load.get_or_insert_with(|| shared.source.clone().worker());
            load(index, &mut slot)
        }));
        clock.enter(Stage::Other);
        match loaded {
            Ok(Ok(Some(item))) => batch.keep(number, item),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error),
            Err(panic) => {
                // What the worker kept may be half-changed, and may panic again when dropped.
                let stale = self.load.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(stale)));
                return Err(panicked("the data set", &*panic));
            }
        }
        Ok(())
    }
}

/// A panic of `who` as an error, with what it said.
pub(crate) fn panicked(who: &str, panic: &(dyn Any + Send)) -> SampleError {
    let message = panic_message(panic);
    SampleError::from(format!("{who} panicked: {message}"))
}
