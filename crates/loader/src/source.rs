//! What the engine sees of a data set: samples by index, whatever their type.

use std::any::Any;
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tch::Tensor;

use crate::collate::{Collate, ItemDataset};
use crate::worker::panicked;
use crate::{Dataset, SampleError, Slot};

/// A sample of a data set whose samples do not have one shape.
pub(crate) type Item = Box<dyn Any + Send>;

/// Tensors with their names.
pub(crate) type Named = Vec<(String, Tensor)>;

/// A data set without its type, so that the engine need not know it.
pub(crate) trait Source: Send + Sync {
    /// A function that loads samples on one thread, with that thread's worker state.
    fn worker(self: Arc<Self>) -> Box<Load>;
    /// See [`Dataset::origin`](crate::Dataset::origin).
    fn origin(&self, index: usize) -> Option<String>;
    /// See [`Dataset::readahead`](crate::Dataset::readahead).
    fn readahead(&self, index: usize);
    /// See [`Dataset::fingerprint`](crate::Dataset::fingerprint).
    fn fingerprint(&self, hasher: &mut dyn Hasher);
    /// Tensors of the items of one batch.
    fn collate(&self, items: Vec<Item>) -> Result<Named, SampleError>;
}

/// Loads sample `index` into a slot; or as an item, where samples do not have one shape.
pub(crate) type Load = dyn FnMut(usize, &mut Slot<'_>) -> Result<Option<Item>, SampleError> + Send;

/// An [`ItemDataset`] and its [`Collate`], for the engine.
pub(crate) struct Collated<D, C> {
    pub(crate) dataset: D,
    pub(crate) collate: C,
}

impl<D: ItemDataset, C: Collate<D::Item>> Source for Collated<D, C> {
    fn worker(self: Arc<Self>) -> Box<Load> {
        let mut worker = D::Worker::default();
        Box::new(move |index, slot| {
            Ok(Some(Box::new(self.dataset.get(index, &mut worker, &mut slot.rng)?)))
        })
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.dataset.origin(index)
    }

    fn readahead(&self, index: usize) {
        self.dataset.readahead(index);
    }

    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        self.dataset.fingerprint(hasher);
    }

    fn collate(&self, items: Vec<Item>) -> Result<Named, SampleError> {
        let items = items.into_iter().filter_map(|item| item.downcast().ok().map(|item| *item));
        let collated = catch_unwind(AssertUnwindSafe(|| self.collate.collate(items.collect())));
        collated.unwrap_or_else(|panic| Err(panicked("the collate function", &*panic)))
    }
}

/// A [`Dataset`], for the engine.
pub(crate) struct Fixed<D>(pub(crate) D);

impl<D: Dataset> Source for Fixed<D> {
    fn worker(self: Arc<Self>) -> Box<Load> {
        let mut worker = D::Worker::default();
        Box::new(move |index, slot| self.0.load(index, &mut worker, slot).map(|()| None))
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.0.origin(index)
    }

    fn readahead(&self, index: usize) {
        self.0.readahead(index);
    }

    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        self.0.fingerprint(hasher);
    }

    fn collate(&self, _: Vec<Item>) -> Result<Named, SampleError> {
        Ok(Vec::new())
    }
}
