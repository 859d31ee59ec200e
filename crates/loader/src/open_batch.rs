//! A batch while it is being filled.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use preproc::SampleRng;

use crate::collate::two_of;
use crate::order::Order;
use crate::queue::Ticketed;
use crate::slots::Slots;
use crate::source::{Item, Named, Source};
use crate::tickets::Tickets;
use crate::{Field, LoaderError, SampleError};

/// A batch that is being filled or waits to be taken.
pub(crate) struct OpenBatch {
    pub(crate) epoch: u64,
    /// Its number in the epoch.
    pub(crate) number: usize,
    /// Its number among all that were opened.
    pub(crate) serial: u64,
    order: Arc<Order>,
    range: Range<usize>,
    /// Memory of the fields, and who loads what.
    pub(crate) slots: Slots,
    /// In no order.
    bad: Mutex<Vec<Bad>>,
    /// By slot, in no order; none where samples have one shape.
    items: Mutex<Vec<(usize, Item)>>,
    collated: Mutex<Option<Result<Named, SampleError>>>,
    completed: OnceLock<Instant>,
}

/// A slot whose sample could not be loaded.
pub(crate) struct Bad {
    pub(crate) slot: usize,
    pub(crate) error: SampleError,
    /// What is in the slot instead.
    pub(crate) replaced_by: Option<usize>,
}

impl Ticketed for OpenBatch {
    fn tickets(&self) -> &Tickets {
        self.slots.tickets()
    }
}

impl OpenBatch {
    /// Batch `number` of `epoch`, which lies at `range` of its order.
    pub(crate) fn new(
        (epoch, number, serial): (u64, usize, u64),
        (order, range): (Arc<Order>, Range<usize>),
        slots: Slots,
    ) -> Self {
        Self {
            epoch,
            number,
            serial,
            order,
            range,
            slots,
            bad: Mutex::default(),
            items: Mutex::default(),
            collated: Mutex::default(),
            completed: OnceLock::new(),
        }
    }

    /// The samples, by slot.
    pub(crate) fn indices(&self) -> &[usize] {
        self.order.indices(self.range.clone())
    }

    /// What the sample in `slot` draws from.
    pub(crate) fn rng(&self, seed: u64, slot: usize) -> SampleRng {
        self.order.rng(seed, self.epoch, self.range.start + slot)
    }

    /// All samples of the epoch, of which one may replace a bad one.
    pub(crate) fn order(&self) -> &Arc<Order> {
        &self.order
    }

    pub(crate) fn keep(&self, slot: usize, item: Item) {
        lock(&self.items).push((slot, item));
    }

    pub(crate) fn fail(&self, bad: Bad) {
        lock(&self.bad).push(bad);
    }

    /// What went wrong, by slot. For the consumer, when the batch is complete.
    pub(crate) fn take_bad(&self) -> Vec<Bad> {
        let mut bad = std::mem::take(&mut *lock(&self.bad));
        bad.sort_by_key(|bad| bad.slot);
        bad
    }

    /// Makes tensors of the items, when all are loaded.
    pub(crate) fn collate(&self, source: &dyn Source) {
        let mut items = std::mem::take(&mut *lock(&self.items));
        if !items.is_empty() {
            items.sort_by_key(|(slot, _)| *slot);
            let collated = source.collate(items.into_iter().map(|(_, item)| item).collect());
            *lock(&self.collated) = Some(collated);
        }
    }

    /// Notes that nothing is left to do for it.
    pub(crate) fn complete(&self) {
        let _ = self.completed.set(Instant::now());
    }

    /// For how much of the time since `start` it was not complete.
    pub(crate) fn unready_since(&self, start: Instant) -> Duration {
        let until = self.completed.get().copied().unwrap_or_else(Instant::now);
        until.saturating_duration_since(start)
    }

    /// The batch as tensors, once, without the slots in `bad`, when it is complete. `indices` are
    /// the samples that are then in it.
    pub(crate) fn take(
        &self,
        fields: &[Field],
        bad: &[usize],
        indices: &[usize],
    ) -> Result<Named, LoaderError> {
        match lock(&self.collated).take() {
            Some(collated) => collated.map_err(|source| LoaderError::Collate {
                batch: self.number,
                epoch: self.epoch,
                samples: two_of(indices, &source),
                source,
            }),
            None => {
                let tensors = self.slots.take(fields, bad).ok_or(LoaderError::NoBatch)??;
                Ok(fields.iter().map(|field| field.name.clone()).zip(tensors).collect())
            }
        }
    }
}

/// Nothing under these locks panics half-way through a change, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
