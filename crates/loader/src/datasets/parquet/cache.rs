//! Decoded pages, shared by all workers: with neighbouring rows in turn, as one worker after the
//! other takes them, each page is decoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::{Array, ArrayRef};

use super::error::ParquetError;

/// Pages kept at most, however small.
const MOST: usize = 256;

/// The rows of a page, in batches of [`BATCH`].
pub(super) type Rows = Vec<ArrayRef>;

/// Rows decoded at a time, so that no memory is taken for rows that a damaged page only claims.
pub(super) const BATCH: usize = 4096;

/// A page, decoded by whoever comes first while others wait.
#[derive(Debug, Default)]
struct Held {
    rows: OnceLock<Result<Rows, Arc<ParquetError>>>,
}

/// Pages up to a limit of bytes; those used longest ago go first.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By number; with the time of the last use.
    pages: HashMap<usize, (Arc<Held>, u64)>,
    time: u64,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// What `with` makes of the rows of page `page`, decoded first if they are not there.
    ///
    /// # Errors
    /// If they cannot be decoded.
    pub(super) fn with<T>(
        &self,
        page: usize,
        decode: impl FnOnce() -> Result<Rows, ParquetError>,
        with: impl FnOnce(&Rows) -> T,
    ) -> Result<T, Arc<ParquetError>> {
        let held = self.held(page);
        let mut decoded = false;
        let rows = held.rows.get_or_init(|| {
            decoded = true;
            decode().map_err(Arc::new)
        });
        if decoded {
            self.evict(page, rows.is_err());
        }
        rows.as_ref().map(with).map_err(Arc::clone)
    }

    fn held(&self, page: usize) -> Arc<Held> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.time += 1;
        let time = state.time;
        let (held, used) = state.pages.entry(page).or_default();
        *used = time;
        held.clone()
    }

    /// Lets go of what is too much. `page` is the newest; a failed one may be tried again.
    fn evict(&self, page: usize, failed: bool) {
        let mut gone = Vec::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            gone.extend(state.pages.remove(&page));
        }
        let mut bytes: usize = state.pages.values().map(|(held, _)| held.bytes()).sum();
        while state.pages.len() > 1 && (bytes > self.limit || state.pages.len() > MOST) {
            let others = state.pages.iter().filter(|(number, _)| **number != page);
            let Some((oldest, _)) = others.min_by_key(|(_, (_, used))| *used) else { break };
            let oldest = *oldest;
            if let Some((held, used)) = state.pages.remove(&oldest) {
                bytes -= held.bytes();
                gone.push((held, used));
            }
        }
        // Freed after the lock.
        drop(state);
    }
}

impl Held {
    fn bytes(&self) -> usize {
        let rows = self.rows.get().and_then(|rows| rows.as_ref().ok());
        rows.map_or(0, |rows| rows.iter().map(|rows| rows.get_array_memory_size()).sum())
    }
}
