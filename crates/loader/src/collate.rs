//! Samples that do not have one shape, and how a batch is made of them.
//!
//! An [`ItemDataset`] returns each sample as a value, and a [`Collate`] makes tensors of those of
//! one batch: [`Stack`], [`Pad`], or a function of your own. It runs on the worker that finishes
//! the batch's last sample.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;

use preproc::SampleRng;
use tch::{Device, IndexOp, Kind, TchError, Tensor};
use thiserror::Error;

use crate::SampleError;
use crate::source::Named;

/// Samples of any type, found by index.
///
/// ```
/// use loader::collate::{ItemDataset, Pad};
/// use loader::{Loader, SampleError};
/// use preproc::SampleRng;
/// use tch::Tensor;
///
/// /// Sentences as token numbers.
/// struct Sentences(Vec<Vec<i64>>);
///
/// impl ItemDataset for Sentences {
///     type Item = Tensor;
///     type Worker = ();
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn get(&self, index: usize, _: &mut (), _: &mut SampleRng) -> Result<Tensor, SampleError> {
///         Ok(Tensor::from_slice(&self.0[index]))
///     }
/// }
///
/// let sentences = Sentences(vec![vec![1, 2, 3], vec![4]]);
/// let mut loader = Loader::collated(sentences, Pad { value: 0.0 }).batch_size(2).build()?;
/// for batch in loader.epoch(0) {
///     let batch = batch?;
///     assert_eq!(batch["0"], Tensor::from_slice2(&[[1i64, 2, 3], [4, 0, 0]]));
///     assert_eq!(batch["0_lengths"], Tensor::from_slice(&[3i64, 1]));
/// }
/// # Ok::<(), loader::LoaderError>(())
/// ```
pub trait ItemDataset: Send + Sync + 'static {
    /// A sample.
    type Item: Send + 'static;

    /// See [`Dataset::Worker`].
    type Worker: Default + Send;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `index`. It may depend on `index` and on what is drawn from `rng`, and on nothing
    /// else.
    ///
    /// # Errors
    /// Whatever goes wrong; it reaches the training loop in the batch where it belongs.
    fn get(
        &self,
        index: usize,
        worker: &mut Self::Worker,
        rng: &mut SampleRng,
    ) -> Result<Self::Item, SampleError>;

    /// See [`Dataset::origin`].
    fn origin(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// See [`Dataset::readahead`].
    fn readahead(&self, index: usize) {
        let _ = index;
    }

    /// See [`Dataset::fingerprint`].
    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        let _ = hasher;
    }
}

/// Makes one batch of samples.
pub trait Collate<T>: Send + Sync + 'static {
    /// The tensors of a batch and their names, from its samples in order. Samples that were
    /// skipped are not among them.
    ///
    /// # Errors
    /// If they make no batch.
    fn collate(&self, samples: Vec<T>) -> Result<Vec<(String, Tensor)>, SampleError>;
}

impl<T, F> Collate<T> for F
where
    F: Fn(Vec<T>) -> Result<Vec<(String, Tensor)>, SampleError> + Send + Sync + 'static,
{
    fn collate(&self, samples: Vec<T>) -> Result<Vec<(String, Tensor)>, SampleError> {
        self(samples)
    }
}

/// A sample made of tensors, each with a name. In a tuple they are named by their place, `0`, `1`
/// and so on; so is a single one.
pub trait Parts {
    /// Names and tensors.
    fn into_parts(self) -> Vec<(String, Tensor)>;
}

/// One value that becomes a tensor.
pub trait Part {
    /// The tensor; `[]` for a number.
    fn into_tensor(self) -> Tensor;
}

impl Part for Tensor {
    fn into_tensor(self) -> Tensor {
        self
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Part for $number {
            fn into_tensor(self) -> Tensor {
                Tensor::from(self)
            }
        }

        impl Part for Vec<$number> {
            fn into_tensor(self) -> Tensor {
                Tensor::from_slice(&self)
            }
        }
    )*};
}

numbers!(i32, i64, f32, f64, bool);

impl<P: Part> Parts for P {
    fn into_parts(self) -> Vec<(String, Tensor)> {
        vec![("0".to_owned(), self.into_tensor())]
    }
}

macro_rules! tuples {
    ($(($($part:ident $place:tt),*)),*) => {$(
        impl<$($part: Part),*> Parts for ($($part,)*) {
            fn into_parts(self) -> Vec<(String, Tensor)> {
                vec![$((stringify!($place).to_owned(), self.$place.into_tensor())),*]
            }
        }
    )*};
}

tuples!((A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3));

impl<P: Part> Parts for Vec<(String, P)> {
    fn into_parts(self) -> Vec<(String, Tensor)> {
        self.into_iter().map(|(name, part)| (name, part.into_tensor())).collect()
    }
}

impl<P: Part> Parts for BTreeMap<String, P> {
    fn into_parts(self) -> Vec<(String, Tensor)> {
        self.into_iter().map(|(name, part)| (name, part.into_tensor())).collect()
    }
}

impl<P: Part> Parts for HashMap<String, P> {
    fn into_parts(self) -> Vec<(String, Tensor)> {
        self.into_iter().collect::<BTreeMap<_, _>>().into_parts()
    }
}

/// Stacks parts of one shape: `[...]` becomes `[N, ...]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

impl<T: Parts + 'static> Collate<T> for Stack {
    fn collate(&self, samples: Vec<T>) -> Result<Named, SampleError> {
        let mut batch = Vec::new();
        for (name, tensors) in columns(samples)? {
            let first = tensors[0].size();
            if let Some(row) = tensors.iter().position(|tensor| tensor.size() != first) {
                let second = tensors[row].size();
                return Err(CollateError::Shapes { name, row, first, second }.into());
            }
            let stacked = Tensor::f_stack(&tensors, 0).map_err(CollateError::from)?;
            batch.push((name, stacked));
        }
        Ok(batch)
    }
}

/// Pads parts to the largest of the batch in each dimension and stacks them. A part `x` of one
/// dimension or more also gives `x_lengths`, int64 `[N]`: its length along the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pad {
    /// What to pad with.
    pub value: f64,
}

impl<T: Parts + 'static> Collate<T> for Pad {
    fn collate(&self, samples: Vec<T>) -> Result<Named, SampleError> {
        let mut batch = Vec::new();
        for (name, tensors) in columns(samples)? {
            let padded = pad(&tensors, self.value).map_err(CollateError::from)?;
            let padded = padded.ok_or_else(|| {
                let dimensions = tensors.iter().map(Tensor::dim).collect();
                CollateError::Dimensions { name: name.clone(), dimensions }
            })?;
            let lengths: Option<Vec<i64>> =
                tensors.iter().map(|tensor| tensor.size().first().copied()).collect();
            let lengths =
                lengths.map(|lengths| (format!("{name}_lengths"), Tensor::from_slice(&lengths)));
            batch.push((name, padded));
            batch.extend(lengths);
        }
        Ok(batch)
    }
}

/// `None` if the tensors differ in their number of dimensions.
fn pad(tensors: &[Tensor], value: f64) -> Result<Option<Tensor>, TchError> {
    let mut largest = tensors[0].size();
    for tensor in tensors {
        let size = tensor.size();
        if size.len() != largest.len() {
            return Ok(None);
        }
        largest.iter_mut().zip(size).for_each(|(largest, side)| *largest = side.max(*largest));
    }
    let shape: Vec<i64> = std::iter::once(tensors.len() as i64).chain(largest).collect();
    let padded = Tensor::f_full(&shape, value, (tensors[0].kind(), Device::Cpu))?;
    for (row, tensor) in tensors.iter().enumerate() {
        let mut corner = padded.f_i(row as i64)?;
        for (dimension, side) in tensor.size().into_iter().enumerate() {
            corner = corner.f_narrow(dimension as i64, 0, side)?;
        }
        corner.f_copy_(tensor)?;
    }
    Ok(Some(padded))
}

/// The tensors of each part, over all samples.
fn columns<T: Parts>(samples: Vec<T>) -> Result<Vec<(String, Vec<Tensor>)>, CollateError> {
    let count = samples.len();
    let mut columns: Vec<(String, Vec<Tensor>)> = Vec::new();
    for (row, sample) in samples.into_iter().enumerate() {
        let parts = sample.into_parts();
        if row == 0 {
            let column = |(name, _): &(String, Tensor)| (name.clone(), Vec::with_capacity(count));
            columns = parts.iter().map(column).collect();
        }
        let names = |parts: &[(String, Tensor)]| parts.iter().map(|part| part.0.clone()).collect();
        if parts.len() != columns.len() {
            return Err(CollateError::Names { row, names: names(&parts) });
        }
        for place in 0..parts.len() {
            let (name, tensor) = (&parts[place].0, parts[place].1.shallow_clone());
            let (expected, column) = &mut columns[place];
            if name != expected {
                return Err(CollateError::Names { row, names: names(&parts) });
            }
            let first: Option<Kind> = column.first().map(Tensor::kind);
            if let Some(first) = first.filter(|first| *first != tensor.kind()) {
                let (name, second) = (name.clone(), tensor.kind());
                return Err(CollateError::Kinds { name, row, first, second });
            }
            column.push(tensor);
        }
    }
    Ok(columns)
}

/// Why samples make no batch.
#[derive(Debug, Error)]
pub enum CollateError {
    /// Shapes differ where they must not.
    #[error(
        "`{name}` has shape {first:?} in one sample and {second:?} in another\nhint: make them alike, or use `Pad`"
    )]
    Shapes {
        /// The part.
        name: String,
        /// The other's place among the batch's good samples.
        row: usize,
        /// The first sample's.
        first: Vec<i64>,
        /// Another's.
        second: Vec<i64>,
    },
    /// Numbers of dimensions differ.
    #[error("`{name}` does not have the same number of dimensions in all samples: {dimensions:?}")]
    Dimensions {
        /// The part.
        name: String,
        /// Of each sample.
        dimensions: Vec<usize>,
    },
    /// Types differ.
    #[error("`{name}` is {first:?} in one sample and {second:?} in another")]
    Kinds {
        /// The part.
        name: String,
        /// The other's place among the batch's good samples.
        row: usize,
        /// The first sample's.
        first: Kind,
        /// Another's.
        second: Kind,
    },
    /// Samples have other parts.
    #[error("sample {row} of the batch has other parts than those before it: {names:?}")]
    Names {
        /// Its place among the batch's good samples.
        row: usize,
        /// Its parts.
        names: Vec<String>,
    },
    /// libtorch refused a call.
    #[error("libtorch")]
    Libtorch(#[from] TchError),
}

impl CollateError {
    /// The place, among the batch's good samples, of the one that does not go with the first.
    fn row(&self) -> Option<usize> {
        match self {
            Self::Shapes { row, .. } | Self::Kinds { row, .. } | Self::Names { row, .. } => {
                Some(*row)
            }
            Self::Dimensions { dimensions, .. } => {
                dimensions.iter().position(|of_sample| *of_sample != dimensions[0])
            }
            Self::Libtorch(_) => None,
        }
    }
}

/// Of the samples `indices`, the two that `error` says do not go together.
pub(crate) fn two_of(indices: &[usize], error: &SampleError) -> Option<[usize; 2]> {
    let row = error.downcast_ref::<CollateError>()?.row()?;
    Some([*indices.first()?, *indices.get(row)?])
}
