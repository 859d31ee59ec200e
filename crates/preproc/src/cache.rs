//! Values kept by the shape of what they were made for, the least recently used thrown out first.
//!
//! Two things can be kept so. *What depends on the shape alone*, such as the constants that a tensor
//! is normalised with, in its type and on its device: [`Scratch`](crate::transform::Scratch) keeps
//! them from call to call, which is always right. *Results* depend on the data too: a result kept
//! by shape alone is wrong for other data of that shape, and finding it is not the transform's
//! speed. So results are kept by the [benchmark](crate::benchmark) alone, where it is asked for,
//! and there the times of hits and misses are told apart; they never reach training.
//!
//! Images need no such cache. A [`Compose`](crate::Compose) is planned once, whatever the shapes.
//! Buffers belong to the worker ([`Worker`](crate::Worker)), fit any shape and are used again. The
//! coefficients of a resize are computed for each image: a random crop hardly ever comes in the
//! same size again, and the resampler takes none from outside.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::Transform;
use crate::benchmark::Sample;

/// What a value was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShapeKey {
    /// Name of the transform.
    pub transform: String,
    /// All its parameters, however written: the same text is the same transform.
    pub parameters: String,
    /// Type of the input's elements.
    pub dtype: Kind,
    /// Where the input lies.
    pub device: Device,
    /// Shape of the input.
    pub shape: Vec<i64>,
}

impl ShapeKey {
    /// Of what `transform` makes of `value` or of what looks like it.
    pub fn of<S: Sample>(transform: &dyn Transform<S>, value: &S) -> Self {
        Self {
            transform: transform.name().to_owned(),
            parameters: transform.parameters(),
            dtype: value.dtype(),
            device: value.device(),
            shape: value.shape(),
        }
    }
}

/// A map from [`ShapeKey`] to values, bounded in entries and in bytes; any number of threads may
/// use it at once.
///
/// # Example
///
/// ```
/// use preproc::cache::{ShapeCache, ShapeKey};
/// use tch::{Device, Kind, Tensor};
///
/// let key = |kind| ShapeKey {
///     transform: "normalize".to_owned(),
///     parameters: "mean = 0.5".to_owned(),
///     dtype: kind,
///     device: Device::Cpu,
///     shape: vec![3, 224, 224],
/// };
/// let cache = ShapeCache::default();
/// assert!(cache.get(&key(Kind::Float), Tensor::shallow_clone).is_none());
/// cache.insert(key(Kind::Float), Tensor::full([3, 1, 1], 0.5, (Kind::Float, Device::Cpu)), 12);
/// assert!(cache.get(&key(Kind::Float), Tensor::shallow_clone).is_some());
/// assert!(cache.get(&key(Kind::Half), Tensor::shallow_clone).is_none());
/// assert_eq!((cache.stats().hits, cache.stats().misses), (1, 2));
/// ```
#[derive(Debug)]
pub struct ShapeCache<V> {
    cache_size: usize,
    max_bytes: u64,
    kept: Mutex<Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    /// Values with the bytes that they count for.
    values: LruCache<ShapeKey, (V, u64)>,
    stats: CacheStats,
}

/// What a cache holds and how often it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Values that are kept.
    pub entries: usize,
    /// Bytes that they count for.
    pub bytes: u64,
    /// Times that a value was found.
    pub hits: u64,
    /// Times that none was.
    pub misses: u64,
    /// Values that were thrown out, or not taken, for want of room.
    pub evictions: u64,
}

/// Entries of a cache of which nothing is said.
pub const CACHE_SIZE: usize = 100;
/// Bytes of a cache of which nothing is said: 256 MiB.
pub const CACHE_BYTES: u64 = 256 << 20;

impl<V> Default for ShapeCache<V> {
    /// A cache of [`CACHE_SIZE`] entries and [`CACHE_BYTES`].
    fn default() -> Self {
        Self::new(CACHE_SIZE, CACHE_BYTES)
    }
}

impl<V> ShapeCache<V> {
    /// A cache of up to `cache_size` values that count for up to `max_bytes` together. With room
    /// for nothing it keeps nothing, and every look-up is a miss.
    pub fn new(cache_size: usize, max_bytes: u64) -> Self {
        let size = NonZeroUsize::new(cache_size).unwrap_or(NonZeroUsize::MIN);
        let kept = Kept { values: LruCache::new(size), stats: CacheStats::default() };
        Self { cache_size, max_bytes, kept: Mutex::new(kept) }
    }

    /// What `read` makes of the value for `key`, which is now the most recently used; `None` if it
    /// is not kept. Others wait while `read` runs: let it copy a handle.
    pub fn get<R>(&self, key: &ShapeKey, read: impl FnOnce(&V) -> R) -> Option<R> {
        let Kept { values, stats } = &mut *self.lock();
        let found = values.get(key);
        match found {
            Some(_) => stats.hits += 1,
            None => stats.misses += 1,
        }
        found.map(|(value, _)| read(value))
    }

    /// Keeps `value` for `key`, in place of what is there, and throws out the least recently used
    /// until all fits. A value of more bytes than the whole cache may hold is not kept.
    pub fn insert(&self, key: ShapeKey, value: V, bytes: u64) {
        // Declared before the lock, so dropped after it is released: freeing may take long.
        let mut thrown_out = Vec::new();
        let Kept { values, stats } = &mut *self.lock();
        if bytes > self.max_bytes || self.cache_size == 0 {
            stats.evictions += 1;
            return;
        }
        if let Some(old) = values.pop(&key) {
            stats.bytes -= old.1;
            thrown_out.push(old);
        }
        while stats.bytes + bytes > self.max_bytes || values.len() == self.cache_size {
            let Some((_, oldest)) = values.pop_lru() else { break };
            stats.bytes -= oldest.1;
            stats.evictions += 1;
            thrown_out.push(oldest);
        }
        stats.bytes += bytes;
        values.put(key, (value, bytes));
        stats.entries = values.len();
    }

    /// What it holds now and how often it was asked so far.
    pub fn stats(&self) -> CacheStats {
        self.lock().stats
    }

    fn lock(&self) -> MutexGuard<'_, Kept<V>> {
        // A panic in `read` leaves the map as it was.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
