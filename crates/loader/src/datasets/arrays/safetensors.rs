//! safetensors files: a header in JSON, then the numbers.

use std::path::Path;
use std::sync::Arc;

use safetensors::SafeTensors;

use super::{Array, Arrays, Bytes};
use crate::Dtype;
use crate::datasets::error::{DatasetError, FileError};
use crate::datasets::mmap::Mapped;

impl Arrays {
    /// The tensors with these `names` in the safetensors file at `path`, or all, by name, if
    /// `names` is empty; memory-mapped: the file must not be changed while it is in use.
    ///
    /// # Errors
    /// If it cannot be read or is no such file, has no such tensors, or they have other lengths or
    /// a type that a field cannot have.
    ///
    /// # Example
    /// ```no_run
    /// let data = loader::Arrays::safetensors("train.safetensors", &["images", "labels"])?;
    /// # Ok::<(), loader::error::DatasetError>(())
    /// ```
    pub fn safetensors(path: impl AsRef<Path>, names: &[&str]) -> Result<Self, DatasetError> {
        let path = path.as_ref();
        let mapped = Arc::new(Mapped::open(path)?);
        let wrong = |error| DatasetError::file(path, "a safetensors file")(error);
        let (header, metadata) =
            SafeTensors::read_metadata(&mapped).map_err(|error| wrong(error.into()))?;
        let tensors = metadata.tensors();
        let mut known: Vec<&str> = tensors.keys().map(String::as_str).collect();
        known.sort_unstable();
        let mut arrays = Vec::new();
        for name in if names.is_empty() { &known } else { names } {
            let Some(tensor) = tensors.get(*name) else {
                let (path, name, known) = (path.to_owned(), (*name).to_owned(), known.join(", "));
                return Err(DatasetError::NoTensor { path, name, known });
            };
            let dtype = dtype(tensor.dtype).map_err(wrong)?;
            // Behind the header and the eight bytes that tell its length.
            let start = 8 + header + tensor.data_offsets.0;
            let bytes = Bytes::Mapped(mapped.clone(), path.to_owned());
            let array = Array::new(bytes, start, tensor.shape.clone(), dtype).map_err(wrong)?;
            arrays.push((*name, array));
        }
        Self::new(arrays)
    }
}

fn dtype(dtype: safetensors::Dtype) -> Result<Dtype, FileError> {
    use safetensors::Dtype as Other;
    match dtype {
        Other::BOOL => Ok(Dtype::Bool),
        Other::U8 => Ok(Dtype::Uint8),
        Other::I8 => Ok(Dtype::Int8),
        Other::I16 => Ok(Dtype::Int16),
        Other::I32 => Ok(Dtype::Int32),
        Other::I64 => Ok(Dtype::Int64),
        Other::F16 => Ok(Dtype::Float16),
        Other::BF16 => Ok(Dtype::BFloat16),
        Other::F32 => Ok(Dtype::Float32),
        Other::F64 => Ok(Dtype::Float64),
        other => Err(FileError::OtherDtype(format!("{other:?}"))),
    }
}
