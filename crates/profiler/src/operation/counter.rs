//! A number that one thread writes and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A load and a store cost a tenth of an addition that other threads could join in.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// By the thread that owns it only.
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Likewise. Wraps around, so that negative numbers may be added as their two's complement.
    pub(super) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}
