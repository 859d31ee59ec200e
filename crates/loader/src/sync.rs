//! What threads meet at. `tests/schedules.rs` and `tests/memory_order.rs` run
//! [`queue`](crate::queue) and [`tickets`](crate::tickets) with other things of these names, to try
//! every interleaving.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crossbeam::utils::Backoff;

/// Looks until `done`, or for some microseconds: less than going to sleep and being woken takes.
pub(crate) fn spin_until(done: impl Fn() -> bool) {
    let backoff = Backoff::new();
    while !done() && !backoff.is_completed() {
        backoff.snooze();
    }
}
