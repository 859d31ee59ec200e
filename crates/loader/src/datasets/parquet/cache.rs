//! Decoded pages, shared by all workers: with neighbouring rows in turn, as one worker after the
//! other takes them, each page is decoded once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow_array::{Array, ArrayRef};

use super::error::ParquetError;

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
    /// By number.
    pages: HashMap<usize, Page>,
    /// Numbers of those that are decoded, by the time of their last use.
    used: BTreeMap<u64, usize>,
    time: u64,
    /// Of those that are decoded.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Page {
    held: Arc<Held>,
    /// Once it is decoded: its size, and when it was last used.
    decoded: Option<(usize, u64)>,
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
            self.settle(page, rows.as_ref().ok().map(bytes_of));
        }
        rows.as_ref().map(with).map_err(Arc::clone)
    }

    fn held(&self, page: usize) -> Arc<Held> {
        let mut state = self.lock();
        let State { pages, used, time, .. } = &mut *state;
        let found = pages.entry(page).or_default();
        if let Some((_, last)) = &mut found.decoded {
            *time += 1;
            used.remove(last);
            used.insert(*time, page);
            *last = *time;
        }
        found.held.clone()
    }

    /// Counts a page that was decoded, and lets go of what is too much; one that failed, without
    /// `bytes`, may be tried again.
    fn settle(&self, page: usize, bytes: Option<usize>) {
        let mut gone = Vec::new();
        let mut state = self.lock();
        let State { pages, used, time, bytes: all } = &mut *state;
        match (bytes, pages.get_mut(&page)) {
            (Some(bytes), Some(found)) => {
                *time += 1;
                used.insert(*time, page);
                found.decoded = Some((bytes, *time));
                *all += bytes;
            }
            _ => gone.extend(pages.remove(&page)),
        }
        // The newest stays, however large.
        while *all > self.limit && used.len() > 1 {
            let oldest = used.pop_first().and_then(|(_, oldest)| pages.remove(&oldest));
            *all -= oldest.as_ref().and_then(|page| page.decoded).map_or(0, |(bytes, _)| bytes);
            gone.extend(oldest);
        }
        // Freed after the lock.
        drop(state);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(rows: &Rows) -> usize {
    rows.iter().map(|rows| rows.get_array_memory_size()).sum()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use arrow_array::Int64Array;

    use super::*;

    /// Whether each of `pages` had to be decoded when they were asked for in turn.
    fn decoded(cache: &Cache, pages: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let ask = |page| {
            let mut decoded = false;
            let decode = || {
                decoded = true;
                Ok(rows(page))
            };
            let same = cache.with(page, decode, |held| *held == rows(page));
            assert!(same.unwrap());
            decoded
        };
        pages.into_iter().map(ask).collect()
    }

    /// All pages are of one size.
    fn rows(page: usize) -> Rows {
        vec![Arc::new(Int64Array::from(vec![page as i64; 10]))]
    }

    #[test]
    fn however_many_pages_are_kept_as_the_limit_allows() {
        let cache = Cache::new(usize::MAX);
        assert_eq!(decoded(&cache, 0..1000), [true; 1000]);
        assert_eq!(decoded(&cache, 0..1000), [false; 1000]);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = Cache::new(3 * bytes_of(&rows(0)));
        assert_eq!(decoded(&cache, [0, 1, 2, 0]), [true, true, true, false]);
        assert_eq!(decoded(&cache, [3, 0, 2, 3]), [true, false, false, false]);
        assert_eq!(decoded(&cache, [1, 2, 3, 0]), [true, false, false, true]);
        assert_eq!(cache.lock().bytes, cache.limit);
        assert_eq!(cache.lock().pages.len(), 3);

        let none = Cache::new(0);
        assert_eq!(decoded(&none, [5, 5, 6, 5]), [true, false, true, true]);
    }

    #[test]
    fn a_page_that_failed_is_tried_again() {
        let cache = Cache::new(usize::MAX);
        let fail = || Err(ParquetError::Panic { path: PathBuf::new(), message: "no".into() });
        assert!(cache.with(0, fail, |_| ()).is_err());
        assert!(cache.lock().pages.is_empty());
        assert_eq!(decoded(&cache, [0, 0]), [true, false]);
    }
}
