//! Memory of batches, used again and again.
//!
//! A fresh batch of 38 MB costs thousands of page faults. So each field of a batch lives in a
//! [`Slab`] that comes from a [`SlabPool`], and goes back there when the last tensor on it is
//! dropped, on whatever thread. The pool keeps no more than the pipeline can use at once.
//!
//! A batch that is opened only [reserves](SlabPool::reserve) a slab, and takes one when its first
//! sample is written: the one that came back last, which may still be in the processor's caches.
//! So where the workers are what is waited for, they go round two or three slabs, and not round as
//! many as the prefetch depth allows. Each is used once before any is used again: what a loader
//! takes of memory depends on its settings, not on who waits for whom.
//!
//! Page-locked memory is libtorch's to keep: a copy from it to a GPU may still be under way when
//! its last tensor is dropped, and libtorch alone knows when that is done. It rounds each block up to
//! a power of two, and gives none back to the system.

#![expect(unsafe_code, reason = "memory that outlives the borrow checker's view: libtorch's")]

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use tch::{TchError, Tensor};

use crate::LoaderError;
use crate::{Dtype, ffi};

/// A block of memory.
struct Slab {
    data: NonNull<u8>,
    owner: Owner,
}

enum Owner {
    /// Mapped from the system, so many bytes: page-aligned, and zero without being touched, so
    /// that the workers, not the consumer, pay for its pages.
    Mapped(usize),
    /// Page-locked memory, uint8 `[bytes]`.
    Pinned(Tensor),
}

// SAFETY: a slab owns its memory alone, and both kinds may be freed on any thread.
unsafe impl Send for Slab {}
// SAFETY: a shared slab only tells its address.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(bytes: usize, pinned: bool, dtype: Dtype) -> Result<Self, LoaderError> {
        if pinned {
            let tensor = ffi::pinned(bytes)?;
            let data = NonNull::new(tensor.data_ptr().cast()).unwrap_or(NOTHING);
            // What libtorch used it for before may be no bool; of all other types it is one.
            if dtype == Dtype::Bool {
                // SAFETY: the tensor has so many bytes, and nobody else knows of it.
                unsafe { ptr::write_bytes(data.as_ptr(), 0, bytes) };
            }
            return Ok(Self { data, owner: Owner::Pinned(tensor) });
        }
        let out_of_memory = LoaderError::OutOfMemory { bytes };
        let (read_write, private) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a fresh mapping at an address of the system's choice touches no other memory.
        let mapped = unsafe { mmap_anonymous(ptr::null_mut(), bytes.max(1), read_write, private) };
        let data = mapped.ok().and_then(NonNull::new).ok_or(out_of_memory)?;
        // SAFETY: the mapping is ours. Where the system has no huge pages, small ones serve.
        let _ = unsafe { madvise(data.as_ptr(), bytes, Advice::LinuxHugepage) };
        Ok(Self { data: data.cast(), owner: Owner::Mapped(bytes.max(1)) })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if let Owner::Mapped(bytes) = self.owner {
            // SAFETY: mapped in `new` with this length, unmapped once; nobody uses it any more.
            // It cannot fail for a mapping that is ours.
            let _ = unsafe { munmap(self.data.as_ptr().cast::<c_void>(), bytes) };
        }
    }
}

/// Slabs of one size, for elements of one type, and those of them that are free.
pub(crate) struct SlabPool {
    bytes: usize,
    dtype: Dtype,
    pinned: bool,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    /// Never used.
    fresh: Vec<Slab>,
    /// The one that came back last is the last.
    used: Vec<Slab>,
    /// So many of both are promised.
    reserved: usize,
    /// How many may lie here, beyond which only those that are reserved do.
    keep: usize,
}

impl Free {
    fn count(&self) -> usize {
        self.fresh.len() + self.used.len()
    }

    /// How many may lie here now.
    fn most(&self) -> usize {
        self.keep.max(self.reserved)
    }
}

impl SlabPool {
    /// A pool of slabs of `bytes`, of which it keeps at most `keep` that nobody uses.
    pub(crate) fn new(bytes: usize, dtype: Dtype, pinned: bool, keep: usize) -> Arc<Self> {
        let free = Mutex::new(Free { keep, ..Free::default() });
        Arc::new(Self { bytes, dtype, pinned, free })
    }

    /// Keeps at most `keep` slabs that nobody uses or reserved from now on.
    pub(crate) fn keep(&self, keep: usize) {
        let mut free = self.free();
        free.keep = keep;
        let surplus = free.count().saturating_sub(free.most());
        let left = free.used.len().saturating_sub(surplus);
        free.used.truncate(left);
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slab that will be there when it is wanted.
    ///
    /// # Errors
    /// If there is no memory of the kind asked for.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Lease, LoaderError> {
        let mut free = self.free();
        if free.count() == free.reserved {
            free.fresh.push(Slab::new(self.bytes, self.pinned, self.dtype)?);
        }
        free.reserved += 1;
        drop(free);
        Ok(Lease { slab: None, pool: self.clone() })
    }
}

/// Where no bytes lie, aligned for elements of every type.
const NOTHING: NonNull<u8> = NonNull::<u64>::dangling().cast();

/// A slab on loan: dropping it gives it back.
pub(crate) struct Lease {
    /// `None` as long as it is only reserved.
    slab: Option<Slab>,
    pool: Arc<SlabPool>,
}

impl Lease {
    /// Takes the slab that was reserved, its content unspecified but initialised.
    pub(crate) fn take(&mut self) {
        if self.slab.is_none() {
            let mut free = self.pool.free();
            free.reserved -= 1;
            self.slab = free.fresh.pop().or_else(|| free.used.pop());
        }
    }

    /// Where the slab that was taken begins.
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.slab.as_ref().map_or(NOTHING, |slab| slab.data)
    }

    /// The slab as a tensor of `shape`, row-major; the lease ends with the last tensor on it.
    ///
    /// # Errors
    /// If libtorch refuses.
    ///
    /// # Safety
    /// The slab must have room for `shape`, and nobody else may use it as long as the lease lasts.
    pub(crate) unsafe fn into_tensor(
        self,
        shape: &[i64],
        dtype: Dtype,
    ) -> Result<Tensor, LoaderError> {
        match &self.slab {
            Some(Slab { owner: Owner::Pinned(memory), .. }) => Ok(view_as(memory, shape, dtype)?),
            // SAFETY: the caller's promise; the memory is aligned for all types and lives as long
            // as the lease, which goes with the tensor.
            _ => unsafe { ffi::tensor_over(self.data().as_ptr(), shape, dtype, self) },
        }
    }
}

/// The beginning of `memory`, uint8 `[bytes]`, as elements of another type. As a view of
/// libtorch's own storage it is known to libtorch as page-locked, wherever in it a copy begins.
fn view_as(memory: &Tensor, shape: &[i64], dtype: Dtype) -> Result<Tensor, TchError> {
    let bytes = shape.iter().product::<i64>() * dtype.bytes() as i64;
    memory.f_narrow(0, 0, bytes)?.f_view_dtype(dtype.kind())?.f_view(shape)
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut free = self.pool.free();
        match self.slab.take() {
            None => free.reserved -= 1,
            Some(slab @ Slab { owner: Owner::Mapped(_), .. }) if free.count() < free.most() => {
                free.used.push(slab);
            }
            Some(surplus) => {
                // Giving memory back to the system takes a while.
                drop(free);
                drop(surplus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pool: &Arc<SlabPool>) -> Lease {
        let mut lease = pool.reserve().unwrap();
        lease.take();
        lease
    }

    #[test]
    fn slabs_come_back_and_no_more_than_wanted_are_kept() {
        let pool = SlabPool::new(1 << 20, Dtype::Uint8, false, 2);
        let leases = [(); 3].map(|()| taken(&pool));
        let addresses = leases.each_ref().map(Lease::data);
        drop(leases);
        assert_eq!(pool.free().count(), 2);
        assert!(addresses.contains(&taken(&pool).data()));
        pool.keep(1);
        assert_eq!(pool.free().count(), 1);
    }

    #[test]
    fn fresh_slabs_are_used_first_and_then_the_one_that_came_back_last() {
        let pool = SlabPool::new(1 << 20, Dtype::Uint8, false, 4);
        let mut next = pool.reserve().unwrap();
        let [a, b] = [(); 2].map(|()| taken(&pool));
        let used = [&a, &b].map(Lease::data);
        drop(a);
        drop(b);
        next.take();
        assert!(!used.contains(&next.data()));
        assert_eq!(taken(&pool).data(), used[1]);
    }

    #[test]
    fn what_is_reserved_stays_there() {
        let pool = SlabPool::new(1 << 20, Dtype::Uint8, false, 3);
        let both = [(); 2].map(|()| taken(&pool));
        drop(both);
        let mut reserved = [(); 2].map(|()| pool.reserve().unwrap());
        pool.keep(0);
        assert_eq!(pool.free().count(), 2);
        reserved.iter_mut().for_each(Lease::take);
        let [a, b] = reserved.each_ref().map(Lease::data);
        assert_ne!(a, b);
        drop(reserved);
        assert_eq!(pool.free().count(), 0);
        drop(pool.reserve().unwrap());
        assert_eq!(pool.free().reserved, 0);
    }

    #[test]
    fn page_locked_memory_is_seen_through_views_of_its_own_storage() {
        // Any uint8 tensor will do: there is no page-locked memory without a GPU.
        let memory = Tensor::arange(64, (tch::Kind::Uint8, tch::Device::Cpu));
        let floats = view_as(&memory, &[2, 3], Dtype::Float32).unwrap();
        assert_eq!(floats.size(), [2, 3]);
        assert_eq!(floats.data_ptr(), memory.data_ptr());
        let numbers = view_as(&memory, &[8], Dtype::Int64).unwrap();
        assert_eq!(numbers.int64_value(&[0]), 0x0706_0504_0302_0100);
        assert_eq!(view_as(&memory, &[], Dtype::Uint8).unwrap().dim(), 0);
        assert_eq!(view_as(&memory, &[0, 3], Dtype::Float32).unwrap().size(), [0, 3]);
    }

    #[test]
    fn a_size_beyond_the_address_space_is_refused() {
        let pool = SlabPool::new(usize::MAX, Dtype::Uint8, false, 1);
        assert!(matches!(pool.reserve(), Err(LoaderError::OutOfMemory { .. })));
    }
}
