//! Some samples of another data set.

use std::sync::Arc;

use super::error::DatasetError;
use crate::{Dataset, Field, SampleError, Slot};

/// Samples `indices` of another data set, in that order; one may come twice.
///
/// What a sample draws is keyed by its index here, not by that in the other data set.
///
/// ```
/// use loader::datasets::{Array, Arrays, Subset};
/// use loader::Loader;
///
/// let data = Arrays::new([("x", Array::from_values(&[0i64, 10, 20, 30], &[4])?)])?;
/// let data = Subset::new(data, [3, 1])?;
/// let mut loader = Loader::builder(data).batch_size(2).num_workers(0).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// assert_eq!(Vec::<i64>::try_from(&batch["x"])?, [30, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subset<D> {
    inner: D,
    indices: Arc<[usize]>,
}

impl<D: Dataset> Subset<D> {
    /// Samples `indices` of `inner`.
    ///
    /// # Errors
    /// If there is no such sample.
    pub fn new(inner: D, indices: impl IntoIterator<Item = usize>) -> Result<Self, DatasetError> {
        let indices: Arc<[usize]> = indices.into_iter().collect();
        let samples = inner.len();
        if let Some(index) = indices.iter().copied().find(|index| *index >= samples) {
            return Err(DatasetError::OutOfRange { index, samples });
        }
        Ok(Self { inner, indices })
    }

    /// The indices in the other data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Worker = D::Worker;

    fn len(&self) -> usize {
        self.indices.len()
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
        self.inner.load(self.indices[index], worker, slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.inner.origin(*self.indices.get(index)?)
    }
}
