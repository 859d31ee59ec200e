//! Whoever sees that a batch is complete sees what was written into it, in whatever order threads
//! may see each other's memory: loom tries them all.
//!
//! The crate's own file is compiled here once more, with loom's atomics.

#[cfg(test)]
#[path = "../src/tickets.rs"]
#[expect(dead_code, reason = "not all of it is modelled here")]
mod tickets;

/// What it takes from the crate.
#[cfg(test)]
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
}

#[cfg(test)]
#[expect(unsafe_code, reason = "slots are written without a lock, as in the loader")]
mod tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use crate::tickets::Tickets;

    struct Batch {
        tickets: Tickets,
        slots: Vec<UnsafeCell<usize>>,
        sum: UnsafeCell<usize>,
    }

    // SAFETY: a slot is written by its claim's holder alone, `sum` by who finishes last; both are
    // read when the batch is complete. Loom panics if that is not so.
    unsafe impl Sync for Batch {}

    impl Batch {
        fn new(len: usize) -> Arc<Self> {
            let slots = (0..len).map(|_| UnsafeCell::new(0)).collect();
            Arc::new(Self { tickets: Tickets::new(len), slots, sum: UnsafeCell::new(0) })
        }

        fn fill(&self) {
            while let Some(slot) = self.tickets.claim() {
                // SAFETY: each slot is claimed once.
                self.slots[slot].with_mut(|slot_of| unsafe { *slot_of += slot + 1 });
                if self.tickets.finish() {
                    // As a worker collates: what the others wrote is visible.
                    // SAFETY: all slots are finished, and nobody claims one again.
                    let read = |slot: &UnsafeCell<usize>| slot.with(|slot| unsafe { *slot });
                    let sum = self.slots.iter().map(read).sum();
                    // SAFETY: there is one last to finish.
                    self.sum.with_mut(|all| unsafe { *all = sum });
                    self.tickets.seal();
                }
            }
        }
    }

    #[test]
    fn a_complete_batch_is_visible_whole() {
        loom::model(|| {
            let batch = Batch::new(3);
            let worker = |batch: &Arc<Batch>| {
                let batch = batch.clone();
                thread::spawn(move || batch.fill())
            };
            let workers = [worker(&batch), worker(&batch)];
            if batch.tickets.is_complete() {
                // SAFETY: sealed after it was written.
                batch.sum.with(|sum| assert_eq!(unsafe { *sum }, 6));
                for (slot, value) in batch.slots.iter().enumerate() {
                    // SAFETY: complete.
                    value.with(|value| assert_eq!(unsafe { *value }, slot + 1));
                }
            }
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            assert!(batch.tickets.is_complete());
        });
    }

    #[test]
    fn readers_and_workers_get_each_slot_once() {
        loom::model(|| {
            let tickets = Arc::new(Tickets::new(2));
            let ahead = {
                let tickets = tickets.clone();
                thread::spawn(move || std::iter::from_fn(|| tickets.claim_ahead()).collect())
            };
            let claimed: Vec<_> = std::iter::from_fn(|| tickets.claim()).collect();
            assert_eq!(claimed, [0, 1]);
            let read: Vec<usize> = ahead.join().unwrap();
            assert!(read.is_sorted() && read.len() <= 2, "{read:?}");
        });
    }

    #[test]
    fn closing_ends_claims_but_not_what_is_under_way() {
        loom::model(|| {
            let batch = Batch::new(2);
            let worker = {
                let batch = batch.clone();
                thread::spawn(move || batch.fill())
            };
            batch.tickets.close();
            worker.join().unwrap();
            assert!(batch.tickets.claim().is_none());
            assert!(batch.tickets.claim_ahead().is_none());
        });
    }
}
