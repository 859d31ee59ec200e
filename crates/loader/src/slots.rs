//! The memory of one batch and who may write where in it.
//!
//! A [`Slots`] has one slot for each sample. Workers take slots in order with
//! [`claim`](Slots::claim); each is given once, so that its holder alone writes there without a
//! lock. Only when all are finished and the batch is sealed may it be taken out as tensors.

#![expect(unsafe_code, reason = "several threads write to one allocation, each to its own part")]

use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tch::Tensor;

use crate::fields::{FieldMemory, Fields};
use crate::slab::{Lease, SlabPool};
use crate::tickets::Tickets;
use crate::{Dtype, Field, LoaderError};

/// The memory of one batch.
pub(crate) struct Slots {
    tickets: Tickets,
    /// Of each field the elements of a sample, and their type.
    fields: Box<[(usize, Dtype)]>,
    /// Reserved until the first slot is claimed, here until the batch is taken out.
    leases: Mutex<Vec<Lease>>,
    memory: OnceLock<Box<[FieldMemory]>>,
}

impl Slots {
    /// Memory for `len` samples of `fields`, reserved in `pools`, one for each field.
    pub(crate) fn new(
        len: usize,
        fields: &[Field],
        pools: &[Arc<SlabPool>],
    ) -> Result<Self, LoaderError> {
        let leases = pools.iter().map(SlabPool::reserve).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            tickets: Tickets::new(len),
            fields: fields.iter().map(|field| (field.elements(), field.dtype)).collect(),
            leases: Mutex::new(leases),
            memory: OnceLock::new(),
        })
    }

    /// Where the fields are, from the first call on.
    fn memory(&self) -> &[FieldMemory] {
        self.memory.get_or_init(|| {
            let mut leases = self.leases();
            let memory = leases.iter_mut().zip(&self.fields).map(|(lease, field)| {
                lease.take();
                FieldMemory { base: lease.data(), elements: field.0, dtype: field.1 }
            });
            memory.collect()
        })
    }

    /// Nothing under this lock panics half-way through a change, so a poisoned one is whole.
    fn leases(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Takes the next slot; `None` if all are given.
    pub(crate) fn claim(&self) -> Option<Claim<'_>> {
        let slot = self.tickets.claim()?;
        Some(Claim { slots: self, memory: self.memory(), slot })
    }

    /// The batch as tensors, `[N, ...]` each, once; `None` as long as it is not sealed. The slots
    /// in `bad`, in rising order, are left out.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub(crate) fn take(
        &self,
        fields: &[Field],
        bad: &[usize],
    ) -> Option<Result<Vec<Tensor>, LoaderError>> {
        if !self.tickets.is_complete() {
            return None;
        }
        let memory = self.memory.get()?;
        let leases = std::mem::take(&mut *self.leases());
        let tensors = fields.iter().zip(memory).zip(leases).map(|((field, memory), lease)| {
            // SAFETY: every slot is finished and the leases, which are given out once, are here:
            // nobody else uses the memory.
            unsafe { memory.close_gaps(self.tickets.len(), bad) };
            let (sample, channels_last) = field.in_memory();
            let shape: Vec<i64> = std::iter::once(self.tickets.len() - bad.len())
                .chain(sample)
                .map(|n| n as i64)
                .collect();
            // SAFETY: the slab has room for a full batch of this field; every slot is finished
            // and none can be claimed again, so nobody else uses it.
            let tensor = unsafe { lease.into_tensor(&shape, field.dtype) }?;
            Ok(if channels_last { tensor.f_permute([0, 3, 1, 2])? } else { tensor })
        });
        Some(tensors.collect())
    }
}

impl FieldMemory {
    /// Moves the samples of `len` slots together so that those in `bad`, in rising order, are
    /// overwritten.
    ///
    /// # Safety
    /// The memory must be alive, have room for `len` slots, and be used by nobody else.
    unsafe fn close_gaps(&self, len: usize, bad: &[usize]) {
        let bytes = self.elements * self.dtype.bytes();
        for (gaps, slot) in bad.iter().enumerate() {
            let end = bad.get(gaps + 1).copied().unwrap_or(len);
            let samples = end - slot - 1;
            // SAFETY: slots `slot + 1..end` lie in the memory, and those `gaps + 1` before them
            // too; the ranges may overlap.
            unsafe {
                let from = self.base.add((slot + 1) * bytes).as_ptr();
                let to = self.base.add((slot - gaps) * bytes).as_ptr();
                ptr::copy(from, to, samples * bytes);
            }
        }
    }
}

/// The right to write one slot.
pub(crate) struct Claim<'a> {
    slots: &'a Slots,
    memory: &'a [FieldMemory],
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
        unsafe { Fields::new(self.memory, self.slot) }
    }

    /// Gives the slot back, written; true if it was the last of its batch, to be sealed now.
    pub(crate) fn finish(self) -> bool {
        self.slots.tickets.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn slots(len: usize) -> (Vec<Field>, Slots) {
        let fields = vec![Field::new("x", [2], Dtype::Float32), Field::new("y", [], Dtype::Int64)];
        let pools: Vec<_> =
            fields.iter().map(|f| SlabPool::new(len * f.bytes(), f.dtype, false, 1)).collect();
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
        assert!(slots.take(&fields, &[]).is_none());
        first.fields().get_mut::<f32>(0).copy_from_slice(&[1.0, 2.0]);
        first.fields().get_mut::<i64>(1)[0] = 0;
        assert!(first.finish());
        assert!(slots.take(&fields, &[]).is_none());
        slots.tickets().seal();
        let tensors = slots.take(&fields, &[]).unwrap().unwrap();
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
                            slots.tickets().seal();
                        }
                    }
                });
            }
        });
        assert_eq!(last.into_inner(), 1);
        let tensors = slots.take(&fields, &[]).unwrap().unwrap();
        assert_eq!(tensors[1], Tensor::arange(10_000, (tch::Kind::Int64, tch::Device::Cpu)));
    }

    #[test]
    fn bad_slots_are_left_out() {
        for bad in [&[0][..], &[4], &[1, 2], &[0, 2, 4], &[0, 1, 2, 3, 4], &[]] {
            let (fields, slots) = slots(5);
            while let Some(mut claim) = slots.claim() {
                let slot = claim.slot() as i64;
                claim.fields().get_mut::<f32>(0).fill(slot as f32);
                claim.fields().get_mut::<i64>(1)[0] = slot;
                claim.finish();
            }
            slots.tickets().seal();
            let tensors = slots.take(&fields, bad).unwrap().unwrap();
            let good: Vec<i64> = (0..5).filter(|slot| !bad.contains(&(*slot as usize))).collect();
            assert_eq!(tensors[1], Tensor::from_slice(&good));
            assert_eq!(tensors[0].select(1, 1).to_kind(tch::Kind::Int64), tensors[1]);
        }
    }

    #[test]
    fn closing_stops_claims() {
        let (_, slots) = slots(3);
        slots.tickets().close();
        assert!(slots.claim().is_none());
        assert!(!slots.tickets().has_unclaimed());
    }

    #[test]
    #[should_panic(expected = "field 0 holds Float32, not Uint8")]
    fn a_wrong_element_type_panics() {
        let (_, slots) = slots(1);
        slots.claim().unwrap().fields().get_mut::<u8>(0);
    }
}
