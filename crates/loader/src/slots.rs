//! The memory of one batch and who may write where in it.
//!
//! A [`Slots`] has one slot for each sample. Workers take slots in order with
//! [`claim`](Slots::claim), one atomic addition; each is given once, so that its holder alone
//! writes there without a lock. Whoever [`finish`](Claim::finish)es the last slot learns it, and
//! only then may the batch be taken out as tensors. [`close`](Slots::close) stops claims early.

#![expect(unsafe_code, reason = "several threads write to one allocation, each to its own part")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::utils::CachePadded;
use tch::Tensor;

use crate::fields::{FieldMemory, Fields};
use crate::slab::{Lease, SlabPool};
use crate::{Field, LoaderError};

/// The memory of one batch.
pub(crate) struct Slots {
    len: usize,
    fields: Box<[FieldMemory]>,
    /// Until the batch is taken out.
    leases: Mutex<Vec<Lease>>,
    /// The next slot to give out; beyond `len` there are none left.
    next: CachePadded<AtomicUsize>,
    /// Slots not finished yet.
    unfinished: CachePadded<AtomicUsize>,
}

impl Slots {
    /// Memory for `len` samples of `fields`, taken from `pools`, one for each field.
    pub(crate) fn new(
        len: usize,
        fields: &[Field],
        pools: &[Arc<SlabPool>],
    ) -> Result<Self, LoaderError> {
        let leases = pools.iter().map(SlabPool::lease).collect::<Result<Vec<_>, _>>()?;
        let memory = fields.iter().zip(&leases).map(|(field, lease)| FieldMemory {
            base: lease.data(),
            elements: field.elements(),
            dtype: field.dtype,
        });
        Ok(Self {
            len,
            fields: memory.collect(),
            leases: Mutex::new(leases),
            next: CachePadded::new(AtomicUsize::new(0)),
            unfinished: CachePadded::new(AtomicUsize::new(len)),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Takes the next slot; `None` if all are given.
    pub(crate) fn claim(&self) -> Option<Claim<'_>> {
        // Relaxed: the batch itself reached this thread under the engine's lock.
        let slot = self.next.fetch_add(1, Ordering::Relaxed);
        (slot < self.len).then_some(Claim { slots: self, slot })
    }

    /// Whether a slot could still be claimed, a moment ago.
    pub(crate) fn has_unclaimed(&self) -> bool {
        self.next.load(Ordering::Relaxed) < self.len
    }

    /// Gives out no more slots.
    pub(crate) fn close(&self) {
        self.next.store(self.len, Ordering::Relaxed);
    }

    /// Whether every slot is finished. What was written there is then visible to the caller.
    pub(crate) fn is_complete(&self) -> bool {
        self.unfinished.load(Ordering::Acquire) == 0
    }

    /// The batch as tensors, `[len, ...]` each, once; `None` as long as a slot is unfinished.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub(crate) fn take(&self, fields: &[Field]) -> Option<Result<Vec<Tensor>, LoaderError>> {
        if !self.is_complete() {
            return None;
        }
        let leases =
            std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner));
        let tensors = fields.iter().zip(leases).map(|(field, lease)| {
            let shape: Vec<i64> = std::iter::once(self.len)
                .chain(field.shape.iter().copied())
                .map(|n| n as i64)
                .collect();
            // SAFETY: the slab has room for a full batch of this field; every slot is finished
            // and none can be claimed again, so nobody else uses it.
            unsafe { lease.into_tensor(&shape, field.dtype) }
        });
        Some(tensors.collect())
    }
}

/// The right to write one slot.
pub(crate) struct Claim<'a> {
    slots: &'a Slots,
    slot: usize,
}

impl Claim<'_> {
    /// Which slot.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// The slot's memory.
    pub(crate) fn fields(&mut self) -> Fields<'_> {
        // SAFETY: the slabs have room for `len` slots of each field, and slot < len; they are
        // initialised and page-aligned; this slot was claimed once, its claim is borrowed, and
        // tensors are made only after the claim is gone.
        unsafe { Fields::new(&self.slots.fields, self.slot) }
    }

    /// Gives the slot back, written; true if it was the last of its batch.
    pub(crate) fn finish(self) -> bool {
        // Release what this thread wrote; acquire what the others did, for whoever is last.
        self.slots.unfinished.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dtype;

    fn slots(len: usize) -> (Vec<Field>, Slots) {
        let fields = vec![Field::new("x", [2], Dtype::Float32), Field::new("y", [], Dtype::Int64)];
        let pools: Vec<_> =
            fields.iter().map(|f| SlabPool::new(len * f.bytes(), false, 1)).collect();
        let slots = Slots::new(len, &fields, &pools).unwrap();
        (fields, slots)
    }

    #[test]
    fn a_batch_comes_out_when_its_last_slot_is_finished() {
        let (fields, slots) = slots(2);
        let mut first = slots.claim().unwrap();
        let mut second = slots.claim().unwrap();
        assert!(slots.claim().is_none());
        second.fields().get_mut::<f32>(0).copy_from_slice(&[3.0, 4.0]);
        second.fields().get_mut::<i64>(1)[0] = 1;
        assert!(!second.finish());
        assert!(slots.take(&fields).is_none());
        first.fields().get_mut::<f32>(0).copy_from_slice(&[1.0, 2.0]);
        first.fields().get_mut::<i64>(1)[0] = 0;
        assert!(first.finish());
        let tensors = slots.take(&fields).unwrap().unwrap();
        assert_eq!(tensors[0], Tensor::from_slice2(&[[1f32, 2.0], [3.0, 4.0]]));
        assert_eq!(tensors[1], Tensor::from_slice(&[0i64, 1]));
    }

    #[test]
    fn every_slot_is_given_once_to_many_threads() {
        let (fields, slots) = slots(10_000);
        let last = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(mut claim) = slots.claim() {
                        let slot = claim.slot();
                        claim.fields().get_mut::<f32>(0).fill(slot as f32);
                        claim.fields().get_mut::<i64>(1)[0] = slot as i64;
                        if claim.finish() {
                            last.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(last.into_inner(), 1);
        let tensors = slots.take(&fields).unwrap().unwrap();
        assert_eq!(tensors[1], Tensor::arange(10_000, (tch::Kind::Int64, tch::Device::Cpu)));
    }

    #[test]
    fn closing_stops_claims() {
        let (_, slots) = slots(3);
        slots.close();
        assert!(slots.claim().is_none());
        assert!(!slots.has_unclaimed());
    }

    #[test]
    #[should_panic(expected = "field 0 holds Float32, not Uint8")]
    fn a_wrong_element_type_panics() {
        let (_, slots) = slots(1);
        slots.claim().unwrap().fields().get_mut::<u8>(0);
    }
}
