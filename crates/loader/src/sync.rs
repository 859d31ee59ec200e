//! What threads meet at. `tests/model.rs` runs [`queue`](crate::queue) and
//! [`tickets`](crate::tickets) with other types of these names, to try every interleaving.

pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
