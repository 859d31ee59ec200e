//! `.npy` files of NumPy: a header in Python's notation, then the numbers.

use std::path::Path;
use std::sync::Arc;

use super::{Array, Bytes};
use crate::Dtype;
use crate::datasets::error::{DatasetError, FileError};
use crate::datasets::mmap::Mapped;

impl Array {
    /// The array in the `.npy` file at `path`, memory-mapped: the file must not be changed while
    /// the array is in use.
    ///
    /// Little-endian numbers in C order, as NumPy writes them on common machines; bool, uint8,
    /// int8 to int64 and float16 to float64.
    ///
    /// # Errors
    /// If it cannot be read, is no such file, or holds something else.
    ///
    /// # Example
    /// ```no_run
    /// use loader::datasets::{Array, Arrays};
    ///
    /// let data = Arrays::new([
    ///     ("images", Array::npy("images.npy")?),
    ///     ("labels", Array::npy("labels.npy")?),
    /// ])?;
    /// # Ok::<(), loader::error::DatasetError>(())
    /// ```
    pub fn npy(path: impl AsRef<Path>) -> Result<Self, DatasetError> {
        let path = path.as_ref();
        let mapped = Mapped::open(path)?;
        let parsed = Header::parse(&mapped).and_then(|Header { dtype, shape, size }| {
            Self::new(Bytes::Mapped(Arc::new(mapped), path.to_owned()), size, shape, dtype)
        });
        parsed.map_err(DatasetError::file(path, "a `.npy` file"))
    }
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// What comes before the numbers.
struct Header {
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes it takes.
    size: usize,
}

impl Header {
    fn parse(file: &[u8]) -> Result<Self, FileError> {
        let Some(rest) = file.strip_prefix(MAGIC) else {
            let got = file.iter().take(MAGIC.len()).copied().collect();
            return Err(FileError::Magic { got, expected: MAGIC });
        };
        let truncated = |expected: usize| FileError::Truncated {
            got: file.len() as u64,
            expected: expected as u64,
        };
        // Version, its minor number, and the length of the text that follows.
        let (start, length) = match *rest {
            [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
            [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
            [] | [1, ..] | [2 | 3, ..] => return Err(truncated(12)),
            [version, ..] => return Err(FileError::Version(version)),
        };
        let size = start + length;
        let text = file.get(start..size).ok_or_else(|| truncated(size))?;
        let text = std::str::from_utf8(text).map_err(|_| FileError::Header("it is not text"))?;
        let (dtype, shape) = Dict::default().parse(text)?;
        Ok(Self { dtype, shape, size })
    }
}

/// The three keys of the header, as far as they have been read.
#[derive(Default)]
struct Dict<'a> {
    descr: Option<&'a str>,
    fortran_order: Option<bool>,
    shape: Option<Vec<usize>>,
}

impl<'a> Dict<'a> {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(mut self, text: &'a str) -> Result<(Dtype, Vec<usize>), FileError> {
        let mut rest = Text(text.trim());
        rest.expect('{', "no `{`")?;
        while !rest.eat('}') {
            let key = rest.string()?;
            rest.expect(':', "no `:` after a key")?;
            match key {
                // A list of fields and their types.
                "descr" if rest.0.starts_with('[') => {
                    return Err(FileError::OtherDtype("a structure".to_owned()));
                }
                "descr" => self.descr = Some(rest.string()?),
                "fortran_order" => self.fortran_order = Some(rest.bool()?),
                "shape" => self.shape = Some(rest.tuple()?),
                _ => return Err(FileError::Header("it has an unknown key")),
            }
            if !rest.eat(',') && !rest.0.starts_with('}') {
                return Err(FileError::Header("no `,` after a value"));
            }
        }
        let missing = FileError::Header("it lacks `descr`, `fortran_order` or `shape`");
        let (Some(descr), Some(fortran_order), Some(shape)) =
            (self.descr, self.fortran_order, self.shape)
        else {
            return Err(missing);
        };
        // Of an array that has at most one side longer than 1, both orders are the same.
        if fortran_order && shape.iter().filter(|side| **side > 1).count() > 1 {
            return Err(FileError::FortranOrder);
        }
        Ok((dtype(descr)?, shape))
    }
}

fn dtype(descr: &str) -> Result<Dtype, FileError> {
    let (order, name) = descr.split_at_checked(1).unwrap_or(("", descr));
    let dtype = match name {
        "b1" => Dtype::Bool,
        "u1" => Dtype::Uint8,
        "i1" => Dtype::Int8,
        "i2" => Dtype::Int16,
        "i4" => Dtype::Int32,
        "i8" => Dtype::Int64,
        "f2" => Dtype::Float16,
        "f4" => Dtype::Float32,
        "f8" => Dtype::Float64,
        _ => return Err(FileError::OtherDtype(descr.to_owned())),
    };
    match order {
        "<" | "|" | "=" => Ok(dtype),
        ">" if dtype.bytes() == 1 => Ok(dtype),
        ">" => Err(FileError::BigEndian(descr.to_owned())),
        _ => Err(FileError::OtherDtype(descr.to_owned())),
    }
}

/// What is left of the text to read.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Passes over `c`, and the blanks after it, if it is next.
    fn eat(&mut self, c: char) -> bool {
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, c: char, otherwise: &'static str) -> Result<(), FileError> {
        if self.eat(c) { Ok(()) } else { Err(FileError::Header(otherwise)) }
    }

    /// What comes before the first character for which `end` holds.
    fn until(&mut self, end: impl Fn(char) -> bool) -> &'a str {
        let (word, rest) = self.0.split_at(self.0.find(end).unwrap_or(self.0.len()));
        self.0 = rest.trim_start();
        word
    }

    fn string(&mut self) -> Result<&'a str, FileError> {
        let quote = if self.0.starts_with('"') { '"' } else { '\'' };
        let rest = self.0.strip_prefix(quote).ok_or(FileError::Header("no `'`"))?;
        let (string, rest) = rest.split_once(quote).ok_or(FileError::Header("no closing `'`"))?;
        self.0 = rest.trim_start();
        Ok(string)
    }

    fn bool(&mut self) -> Result<bool, FileError> {
        match self.until(|c| !c.is_ascii_alphabetic()) {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => Err(FileError::Header("`fortran_order` is neither `True` nor `False`")),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, FileError> {
        let mut sides = Vec::new();
        self.expect('(', "`shape` is no tuple")?;
        while !self.eat(')') {
            let digits = self.until(|c| !c.is_ascii_digit());
            // NumPy of Python 2 wrote long integers: `3L`.
            self.eat('L');
            sides.push(
                digits.parse().map_err(|_| FileError::Header("`shape` is no tuple of numbers"))?,
            );
            if !self.eat(',') && !self.0.starts_with(')') {
                return Err(FileError::Header("no `,` between the numbers of `shape`"));
            }
        }
        Ok(sides)
    }
}
