//! Another data set's samples, kept in memory once they were loaded.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use preproc::SampleRng;
use profiler::stage::Stage;
use thiserror::Error;

use crate::{Dataset, Field, SampleError, Slot};

/// Keeps the samples of another data set in memory, as they were written to the batch, up to a
/// limit. Every epoch visits all samples, so those that came first stay.
///
/// A sample that draws from `slot.rng` would be frozen as it was at first, so it is refused with
/// [`CachedError::Random`]: put a [`Map`](super::Map) that draws around the cached data set
/// instead.
///
/// ```
/// use loader::datasets::Cached;
/// use loader::{Dtype, Field, Loader, Synthetic};
/// use std::time::Duration;
///
/// let slow = Synthetic::new([Field::new("x", [8], Dtype::Float32)], 100)
///     .io_delay(Duration::from_millis(1));
/// let data = Cached::new(slow, 1 << 20);
/// let mut loader = Loader::builder(data).batch_size(10).num_workers(2).build()?;
/// for epoch in 0..3 {
///     // Slow once.
///     assert_eq!(loader.epoch(epoch).flatten().count(), 10);
/// }
/// # Ok::<(), loader::LoaderError>(())
/// ```
pub struct Cached<D> {
    inner: D,
    samples: Box<[OnceLock<Box<[u8]>>]>,
    fields: usize,
    sample_bytes: usize,
    limit: usize,
    held: AtomicUsize,
}

/// Why a sample is not cached.
#[derive(Debug, Error)]
pub enum CachedError {
    /// It is another in each epoch.
    #[error(
        "a sample that draws random numbers cannot be cached\nhint: cache what comes before the first random step, and put a `Map` with the random steps around it"
    )]
    Random,
}

impl<D: Dataset> Cached<D> {
    /// Keeps samples of `inner` as long as they fit in `limit` bytes.
    pub fn new(inner: D, limit: usize) -> Self {
        let fields = inner.fields();
        let sample_bytes =
            fields.iter().fold(0, |sum: usize, field| sum.saturating_add(field.bytes()));
        let samples = (0..inner.len()).map(|_| OnceLock::new()).collect();
        let held = AtomicUsize::new(0);
        Self { fields: fields.len(), inner, samples, sample_bytes, limit, held }
    }

    /// Bytes of the samples held now.
    pub fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Makes room for one more sample, if the limit allows.
    fn reserve(&self) -> bool {
        let more =
            |held: usize| held.checked_add(self.sample_bytes).filter(|held| *held <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn keep(&self, index: usize, slot: &mut Slot<'_>) {
        if !self.reserve() {
            return;
        }
        let mut bytes = Vec::with_capacity(self.sample_bytes);
        for field in 0..self.fields {
            bytes.extend_from_slice(slot.fields.raw_mut(field));
        }
        // Another worker may have loaded the same sample meanwhile.
        if self.samples[index].set(bytes.into()).is_err() {
            self.held.fetch_sub(self.sample_bytes, Ordering::Relaxed);
        }
    }
}

impl<D: fmt::Debug> fmt::Debug for Cached<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl<D: Dataset> Dataset for Cached<D> {
    type Worker = D::Worker;

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn fields(&self) -> Vec<Field> {
        self.inner.fields()
    }

    fn load(
        &self,
        index: usize,
        worker: &mut D::Worker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        if let Some(sample) = self.samples[index].get() {
            slot.clock.enter(Stage::Write);
            let mut rest = &sample[..];
            for field in 0..self.fields {
                let memory = slot.fields.raw_mut(field);
                let (bytes, after) = rest.split_at(memory.len());
                memory.copy_from_slice(bytes);
                rest = after;
            }
            return Ok(());
        }
        // Neither seed nor epoch reach the inner data set: even a draw that goes unseen, from a
        // copy of the generator, is the same whether the sample is held or not.
        let outer = std::mem::replace(&mut slot.rng, SampleRng::new(0, 0, index as u64));
        let loaded = self.inner.load(index, worker, slot);
        let inner = std::mem::replace(&mut slot.rng, outer);
        loaded?;
        if inner.has_drawn() {
            return Err(CachedError::Random.into());
        }
        slot.clock.enter(Stage::Other);
        self.keep(index, slot);
        Ok(())
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.inner.origin(index)
    }
}
