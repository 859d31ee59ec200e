//! Arrays in memory or in memory-mapped files, one sample a row.

mod cifar;
mod convert;
mod mnist;
mod npy;
mod safetensors;

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use profiler::stage::Stage;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use self::convert::Affine;
pub use self::convert::ToFloat32;
use super::error::{DatasetError, FileError, bytes_of};
use super::mmap::Mapped;
use crate::{Dataset, Dtype, Element, Field, SampleError, Slot, huge_pages};

#[cfg(target_endian = "big")]
compile_error!("arrays are copied as they lie in files, little-endian");

/// Which part of a data set that comes in two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What to train on.
    #[default]
    Train,
    /// What to test on.
    Test,
}

/// Numbers of one type, `[samples, ...]`, row after row: owned, or a part of a mapped file.
#[derive(Clone, Debug)]
pub struct Array {
    bytes: Bytes,
    /// Where in `bytes` it begins.
    start: usize,
    shape: Vec<usize>,
    dtype: Dtype,
}

#[derive(Clone, Debug)]
enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mapped>, PathBuf),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(mapped, _) => mapped,
        }
    }
}

impl Array {
    /// The `values` of an array of `shape`, in row-major order.
    ///
    /// # Errors
    /// If there are more or fewer, or the shape has no dimension.
    ///
    /// # Example
    /// ```
    /// let squares = loader::datasets::Array::from_values(&[0.0f32, 1.0, 4.0, 9.0], &[2, 2])?;
    /// # Ok::<(), loader::error::FileError>(())
    /// ```
    pub fn from_values<T: Element>(values: &[T], shape: &[usize]) -> Result<Self, FileError> {
        let expected = bytes_of(shape, T::DTYPE)? / T::DTYPE.bytes();
        if values.len() != expected {
            let (got, shape) = (values.len(), shape.to_vec());
            return Err(FileError::Shape { got, shape, expected });
        }
        Self::from_bytes(crate::fields::bytes_of(values).to_vec(), shape.to_vec(), T::DTYPE)
    }

    /// A copy of `tensor`, from whatever device: a data set holds no tensors, which threads may
    /// not share.
    ///
    /// # Errors
    /// If a field cannot have its type, or it has no dimension.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self, FileError> {
        let kind = tensor.kind();
        let dtype =
            Dtype::from_kind(kind).ok_or_else(|| FileError::OtherDtype(format!("{kind:?}")))?;
        let shape: Vec<usize> = tensor.size().into_iter().map(|side| side as usize).collect();
        let mut bytes = vec![0; bytes_of(&shape, dtype)?];
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Self::from_bytes(bytes, shape, dtype)
    }

    pub(super) fn from_bytes(
        bytes: Vec<u8>,
        shape: Vec<usize>,
        dtype: Dtype,
    ) -> Result<Self, FileError> {
        huge_pages::gather(&bytes);
        Self::new(Bytes::Owned(Arc::new(bytes)), 0, shape, dtype)
    }

    /// Checks that the array lies within `bytes`.
    fn new(bytes: Bytes, start: usize, shape: Vec<usize>, dtype: Dtype) -> Result<Self, FileError> {
        if shape.is_empty() {
            return Err(FileError::Scalar);
        }
        let expected = start as u64 + bytes_of(&shape, dtype)? as u64;
        let got = bytes.get().len() as u64;
        if got < expected {
            return Err(FileError::Truncated { got, expected });
        }
        Ok(Self { bytes, start, shape, dtype })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[samples, ...]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The values as int64, if they are integers, one for each sample.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        let [_] = self.shape[..] else { return None };
        let bytes = &self.bytes.get()[self.start..];
        let bytes = &bytes[..self.len() * self.dtype.bytes()];
        fn read<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> i64) -> Option<Vec<i64>> {
            Some(bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect())
        }
        match self.dtype {
            Dtype::Uint8 | Dtype::Bool => read(bytes, |[n]| i64::from(n)),
            Dtype::Int8 => read(bytes, |n| i64::from(i8::from_le_bytes(n))),
            Dtype::Int16 => read(bytes, |n| i64::from(i16::from_le_bytes(n))),
            Dtype::Int32 => read(bytes, |n| i64::from(i32::from_le_bytes(n))),
            Dtype::Int64 => read(bytes, i64::from_le_bytes),
            _ => None,
        }
    }

    fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(..))
    }
}

/// Named arrays of equal length: sample `i` is row `i` of each. The fields have the arrays' names
/// and types, and their shapes without the first dimension.
///
/// Arrays in files are memory-mapped: nothing is read at first, and what was read stays in the
/// system's cache. **The files must not be changed while they are in use**: to replace one, write
/// another and rename it over the old. A file that is cut off meanwhile ends the program.
///
/// ```
/// use loader::datasets::{Array, Arrays, ToFloat32};
/// use loader::Loader;
///
/// let images = Array::from_values(&[0u8, 255, 255, 0, 0, 0], &[3, 1, 1, 2])?;
/// let labels = Array::from_values(&[7i64, 8, 9], &[3])?;
/// let data = Arrays::new([("images", images), ("labels", labels)])?
///     .to_float32("images", &ToFloat32::default())?;
/// let mut loader = Loader::builder(data).batch_size(2).num_workers(1).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// // float32 [2, 1, 1, 2]: bytes become 0 to 1.
/// assert_eq!(Vec::<f32>::try_from(&batch["images"].flatten(0, -1))?, [0.0, 1.0, 1.0, 0.0]);
/// assert_eq!(Vec::<i64>::try_from(&batch["labels"])?, [7, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arrays {
    parts: Vec<Part>,
    len: usize,
    /// What a worker is at while it loads: a mapped file may have to be read first.
    stage: Stage,
}

/// One array and what becomes of it.
#[derive(Clone, Debug)]
struct Part {
    field: Field,
    array: Array,
    /// Bytes of a row of the array.
    row: usize,
    conversion: Option<Affine>,
}

impl Arrays {
    /// Samples of these arrays.
    ///
    /// # Errors
    /// If there are none, or they have other lengths, or two have the same name.
    pub fn new<N: Into<String>>(
        arrays: impl IntoIterator<Item = (N, Array)>,
    ) -> Result<Self, DatasetError> {
        let mut parts: Vec<Part> = Vec::new();
        for (name, array) in arrays {
            let name = name.into();
            if parts.iter().any(|part| part.field.name == name) {
                return Err(DatasetError::SameName { name });
            }
            if let Some(first) = parts.first().filter(|part| part.array.len() != array.len()) {
                return Err(DatasetError::Lengths {
                    first: first.field.name.clone(),
                    first_len: first.array.len(),
                    second: name,
                    second_len: array.len(),
                });
            }
            let field = Field::new(&name, &array.shape[1..], array.dtype);
            // Of no samples a row may be larger than memory.
            let row = if array.is_empty() { 0 } else { field.bytes() };
            parts.push(Part { row, field, array, conversion: None });
        }
        let len = parts.first().ok_or(DatasetError::NoArrays)?.array.len();
        let mapped = parts.iter().any(|part| part.array.is_mapped());
        let stage = if mapped { Stage::Read } else { Stage::Write };
        Ok(Self { parts, len, stage })
    }

    /// Gives the array `name` as float32: `(x * scale - mean) / std`, by channel.
    ///
    /// # Errors
    /// If there is no such array, or the conversion does not fit its samples.
    pub fn to_float32(mut self, name: &str, conversion: &ToFloat32) -> Result<Self, DatasetError> {
        let known: Vec<_> = self.parts.iter().map(|part| part.field.name.clone()).collect();
        let Some(part) = self.parts.iter_mut().find(|part| part.field.name == name) else {
            let (name, known) = (name.to_owned(), known.join(", "));
            return Err(DatasetError::NoArray { name, known });
        };
        let shape = &part.field.shape;
        part.conversion = Some(Affine::new(conversion, name, part.array.dtype, shape)?);
        part.field.dtype = Dtype::Float32;
        Ok(self)
    }
}

impl Dataset for Arrays {
    type Worker = ();

    fn len(&self) -> usize {
        self.len
    }

    fn fields(&self) -> Vec<Field> {
        self.parts.iter().map(|part| part.field.clone()).collect()
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        slot.clock.enter(self.stage);
        for (number, part) in self.parts.iter().enumerate() {
            let Part { array, row, .. } = part;
            let row = &array.bytes.get()[array.start + index * row..][..*row];
            match &part.conversion {
                Some(conversion) => conversion.apply(row, slot.fields.get_mut(number)),
                None if array.dtype == Dtype::Bool => {
                    convert::bools(row, slot.fields.get_mut(number))
                }
                None => slot.fields.bytes_mut(number).copy_from_slice(row),
            }
        }
        Ok(())
    }

    /// By names, shapes and types, and the names of mapped files. Not by the numbers: those that a program
    /// computes anew may differ in their last bits.
    fn fingerprint(&self, mut hasher: &mut dyn Hasher) {
        for Part { field, array, .. } in &self.parts {
            (&field.name, &array.shape, array.dtype).hash(&mut hasher);
            if let Bytes::Mapped(_, path) = &array.bytes {
                path.file_name().hash(&mut hasher);
            }
        }
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.parts.iter().find_map(|part| match &part.array.bytes {
            Bytes::Mapped(_, path) => Some(format!("{}, row {index}", path.display())),
            Bytes::Owned(_) => None,
        })
    }
}
