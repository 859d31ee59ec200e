//! What comes out.

use std::ops::Index;
use std::sync::Arc;

use tch::{Device, Tensor};

use crate::engine::Filled;
use crate::ffi::is_pinned;
use crate::state::LoaderState;
use crate::{LoaderError, cuda};

/// Samples as tensors, one for each [`Field`](crate::Field) of the data set or each name that its
/// [`Collate`](crate::Collate) gives, `[N, ...]`.
///
/// The memory behind the tensors goes back to the loader when the last tensor on it is dropped:
/// drop a batch before asking for the next, and no new memory is needed.
#[derive(Debug)]
pub struct Batch {
    names: Arc<[String]>,
    tensors: Vec<Tensor>,
    indices: Vec<usize>,
    state: LoaderState,
}

impl Batch {
    pub(crate) fn new(filled: Filled, state: LoaderState) -> Self {
        let Filled { names, tensors, indices } = filled;
        Self { names, tensors, indices, state }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are no samples; a loader gives no such batch.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Which samples these are, by their index in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Where the run stands after this batch: save it with a checkpoint, and go on with
    /// [`Loader::resume`](crate::Loader::resume).
    pub fn state(&self) -> LoaderState {
        self.state
    }

    /// The tensor of the field `name`, `[N, ...]`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let field = self.names.iter().position(|known| known == name)?;
        self.tensors.get(field)
    }

    /// Names and tensors, in the order of the data set's fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// The same batch on `device`. From pinned memory to a GPU the copy is asynchronous: it is
    /// ordered before what runs there next.
    ///
    /// # Panics
    /// If there is no such device, or no memory left on it: see
    /// [`try_to_device`](Self::try_to_device).
    pub fn to_device(&self, device: Device) -> Self {
        match self.try_to_device(device) {
            Ok(batch) => batch,
            Err(error) => panic!("a batch cannot be copied to {device:?}: {error}"),
        }
    }

    /// As [`to_device`](Self::to_device).
    ///
    /// # Errors
    /// If there is no such device, or no memory left on it.
    pub fn try_to_device(&self, device: Device) -> Result<Self, LoaderError> {
        let tensors = self.tensors.iter().map(|tensor| {
            let non_blocking = device.is_cuda() && cuda::load().is_ok() && is_pinned(tensor);
            Ok(tensor.f_to_device_(device, tensor.kind(), non_blocking, false)?)
        });
        Ok(Self {
            names: self.names.clone(),
            tensors: tensors.collect::<Result<_, LoaderError>>()?,
            indices: self.indices.clone(),
            state: self.state,
        })
    }
}

impl Index<&str> for Batch {
    type Output = Tensor;

    /// The tensor of the field `name`.
    ///
    /// # Panics
    /// If the data set has no such field.
    fn index(&self, name: &str) -> &Tensor {
        match self.get(name) {
            Some(tensor) => tensor,
            None => panic!("a batch of this data set has no field `{name}`"),
        }
    }
}
