//! Why data cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use thiserror::Error;

use crate::{Dtype, Field};

/// Why a data set cannot be made.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{path}` cannot be used as {format}")]
    File {
        /// The file.
        path: PathBuf,
        /// What it was taken for: `a .npy file`.
        format: &'static str,
        /// What is wrong.
        source: FileError,
    },
    /// A folder lacks a file.
    #[error("there is no `{file}` in `{folder}`\nhint: {hint}")]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: String,
        /// Where to get it.
        hint: &'static str,
    },
    /// There is nothing to make a sample of.
    #[error("a data set needs at least one array")]
    NoArrays,
    /// There is nothing to put one after the other.
    #[error("`Concat` needs at least one data set")]
    NoParts,
    /// Two arrays have the same name.
    #[error("there are two arrays with the name `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// Arrays of one data set have other lengths.
    #[error(
        "`{first}` has {first_len} samples, but `{second}` has {second_len}\nhint: the first dimension counts the samples, and must be the same for all arrays"
    )]
    Lengths {
        /// An array.
        first: String,
        /// Its length.
        first_len: usize,
        /// Another.
        second: String,
        /// Its length.
        second_len: usize,
    },
    /// There is no such array.
    #[error("there is no array `{name}`; there are: {known}")]
    NoArray {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// There is no such tensor in a file.
    #[error("`{path}` has no tensor `{name}`; it has: {known}")]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A tensor or vector cannot be an array.
    #[error(transparent)]
    Array(#[from] FileError),
    /// A conversion does not fit the array.
    #[error(
        "`{key}` of the conversion of `{array}` has {got} values, but samples of it have {channels} channels\nhint: give one value for all channels or one for each"
    )]
    Channels {
        /// The array.
        array: String,
        /// `mean` or `std`.
        key: &'static str,
        /// Values given.
        got: usize,
        /// The first dimension of a sample.
        channels: usize,
    },
    /// A number of a conversion is not finite, or a standard deviation is 0.
    #[error("`{key}` of the conversion of `{array}` is {got}, but must be {expected}")]
    Conversion {
        /// The array.
        array: String,
        /// `scale`, `mean` or `std`.
        key: &'static str,
        /// Its value.
        got: f32,
        /// What it may be.
        expected: &'static str,
    },
    /// A window of no tokens, or windows that do not move on.
    #[error("`{name}` is 0, but must be at least 1")]
    Zero {
        /// `length` or `stride`.
        name: &'static str,
    },
    /// A subset asks for a sample that is not there.
    #[error("a subset asks for sample {index} of a data set of {samples} samples")]
    OutOfRange {
        /// The index.
        index: usize,
        /// Samples there are.
        samples: usize,
    },
    /// Data sets to be put one after the other have other fields.
    #[error("data set {number} has {got}, but data set 0 has {expected}")]
    OtherFields {
        /// Which data set.
        number: usize,
        /// Its fields.
        got: FieldList,
        /// Those of the first.
        expected: FieldList,
    },
}

impl DatasetError {
    /// For `map_err`: what cannot be read.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// For `map_err`: what is not as it should be, and what it was taken for.
    pub(crate) fn file(path: &Path, format: &'static str) -> impl FnOnce(FileError) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, format, source }
    }
}

/// What is wrong with a file of numbers.
#[derive(Debug, Error)]
pub enum FileError {
    /// It does not begin as such a file does.
    #[error("it begins with {got:?}, not with {expected:?}")]
    Magic {
        /// Its first bytes.
        got: Vec<u8>,
        /// What they should be.
        expected: &'static [u8],
    },
    /// It is of a version that is not known.
    #[error("it has version {0}, but versions 1, 2 and 3 are known")]
    Version(u8),
    /// Its header makes no sense.
    #[error("its header makes no sense: {0}")]
    Header(&'static str),
    /// It ends too early.
    #[error("it is truncated: {got} bytes, but there should be {expected}")]
    Truncated {
        /// Its size.
        got: u64,
        /// What its header promises.
        expected: u64,
    },
    /// It has bytes beyond its end.
    #[error("it has {got} bytes, but there should be {expected}")]
    TooLong {
        /// Its size.
        got: u64,
        /// What there should be.
        expected: u64,
    },
    /// Its size is no multiple of its records'.
    #[error("its size, {got} bytes, is no multiple of {record}, the size of {what}")]
    Ragged {
        /// Its size.
        got: u64,
        /// Size of a record.
        record: u64,
        /// What a record is.
        what: &'static str,
    },
    /// It holds nothing.
    #[error("it is empty")]
    Empty,
    /// Its tokens do not fill a window.
    #[error(
        "it holds {got} tokens, but a window needs {needed}\nhint: a window of `length` tokens needs one more, the last target"
    )]
    TooShort {
        /// Tokens there are.
        got: usize,
        /// Tokens needed.
        needed: usize,
    },
    /// It has columns first.
    #[error(
        "it is in Fortran order, columns first\nhint: write it with `np.save(path, np.ascontiguousarray(array))`"
    )]
    FortranOrder,
    /// Its numbers are big-endian.
    #[error(
        "its type is `{0}`, big-endian\nhint: write it with `np.save(path, array.astype(array.dtype.newbyteorder('<')))`"
    )]
    BigEndian(String),
    /// Its type is none of [`Dtype::ALL`].
    #[error(
        "its type is `{0}`\nhint: known are bool, uint8, int8 to int64 and float16 to float64; convert it with `array.astype(...)`"
    )]
    OtherDtype(String),
    /// It is a single number.
    #[error("it has no dimension to count samples by\nhint: its first dimension is the sample")]
    Scalar,
    /// It has more elements than memory has addresses.
    #[error("its shape {0:?} has too many elements")]
    TooLarge(Vec<usize>),
    /// The values do not fill the shape.
    #[error("there are {got} values, but the shape {shape:?} has {expected}")]
    Shape {
        /// Values there are.
        got: usize,
        /// The shape.
        shape: Vec<usize>,
        /// Values it has.
        expected: usize,
    },
    /// A label is out of range.
    #[error("record {record} has the label {got}, but there are {classes} classes")]
    Label {
        /// Which record.
        record: usize,
        /// Its label.
        got: u8,
        /// How many there are.
        classes: u8,
    },
    /// A file of the idx format holds something else.
    #[error("it holds {got}, but should hold {expected}")]
    Idx {
        /// What it holds.
        got: String,
        /// What it should.
        expected: &'static str,
    },
    /// The safetensors header is refused.
    #[error("its header makes no sense")]
    Safetensors(#[from] SafeTensorError),
    /// The values cannot be taken from libtorch.
    #[error("libtorch refuses to give the values")]
    Libtorch(#[from] tch::TchError),
    /// It was compressed, and that is damaged.
    #[error("it cannot be decompressed")]
    Gzip(#[source] io::Error),
}

/// Fields, for an error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldList(pub Vec<Field>);

impl std::fmt::Display for FieldList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, Field { name, shape, dtype, .. }) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}` {dtype} {shape:?}")?;
        }
        Ok(())
    }
}

/// Bytes of `shape`, if memory has so many addresses.
pub(crate) fn bytes_of(shape: &[usize], dtype: Dtype) -> Result<usize, FileError> {
    let bytes = shape.iter().try_fold(dtype.bytes(), |bytes, side| bytes.checked_mul(*side));
    bytes
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        .ok_or_else(|| FileError::TooLarge(shape.to_vec()))
}
