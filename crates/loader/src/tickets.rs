//! Who loads which sample of a batch: each is given to one worker, once.

use crossbeam::utils::CachePadded;

use crate::sync::{AtomicUsize, Ordering};

/// The samples of one batch, by slot: those given out, those read ahead and those finished.
#[derive(Debug)]
pub(crate) struct Tickets {
    len: usize,
    /// The next slot to give to a worker; from `len` on there are none left.
    next: CachePadded<AtomicUsize>,
    /// The next slot to read ahead of the workers.
    ahead: CachePadded<AtomicUsize>,
    /// Slots not finished yet, and one more as long as the batch is not sealed.
    unfinished: CachePadded<AtomicUsize>,
}

impl Tickets {
    pub(crate) fn new(len: usize) -> Self {
        let count = |n| CachePadded::new(AtomicUsize::new(n));
        Self { len, next: count(0), ahead: count(0), unfinished: count(len + 1) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The next slot, to be loaded by the caller alone; `None` if all are given.
    pub(crate) fn claim(&self) -> Option<usize> {
        // Relaxed: the batch itself reached this thread under the queue's lock.
        let slot = self.next.fetch_add(1, Ordering::Relaxed);
        (slot < self.len).then_some(slot)
    }

    /// Whether a slot could still be claimed, a moment ago.
    pub(crate) fn has_unclaimed(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.len
    }

    /// The next slot to read ahead of the workers, of which none has claimed it yet.
    pub(crate) fn claim_ahead(&self) -> Option<usize> {
        loop {
            let slot = self.ahead.fetch_add(1, Ordering::Relaxed);
            if slot >= self.len || slot >= self.next.load(Ordering::Relaxed) {
                return (slot < self.len).then_some(slot);
            }
        }
    }

    /// Whether a slot could still be read ahead, a moment ago.
    pub(crate) fn has_unread(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) < self.len
    }

    /// Gives out no more slots.
    pub(crate) fn close(&self) {
        self.next.store(self.len, Ordering::Relaxed);
        self.ahead.store(self.len, Ordering::Relaxed);
    }

    /// Says that a claimed slot is loaded; true if it was the last, whose holder must then
    /// [`seal`](Self::seal) the batch. What the others loaded is visible to it.
    pub(crate) fn finish(&self) -> bool {
        // Release what this thread wrote; acquire what the others did, for whoever is last.
        self.unfinished.fetch_sub(1, Ordering::AcqRel) == 2
    }

    /// Says that nothing is left to do for this batch.
    pub(crate) fn seal(&self) {
        self.unfinished.store(0, Ordering::Release);
    }

    /// Whether the batch is sealed. What was loaded is then visible to the caller.
    pub(crate) fn is_complete(&self) -> bool {
        self.unfinished.load(Ordering::Acquire) == 0
    }
}
