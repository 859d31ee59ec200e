//! Windows over a file of tokens.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use profiler::stage::Stage;
use serde::{Deserialize, Serialize};

use super::error::{DatasetError, FileError};
use super::mmap::Mapped;
use crate::{Dataset, Dtype, Field, SampleError, Slot};

/// How a token lies in a file, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// Two bytes.
    #[default]
    U16,
    /// Four bytes.
    U32,
}

impl TokenWidth {
    /// Size of a token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// Windows of equal length over a file of nothing but tokens, as nanoGPT's `train.bin`: `inputs`,
/// int64 `[length]`, and `targets`, int64 `[length]`, the same moved on by one token.
///
/// Window `i` begins at token `i * stride`; the stride is the length unless said otherwise. What
/// does not fill a window at the end is left out. The file is memory-mapped and must not be
/// changed while it is in use.
///
/// ```
/// use loader::datasets::{TokenWidth, Tokens};
/// use loader::Loader;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("train.bin");
/// # let tokens: Vec<u8> = [5u16, 6, 7, 8, 9, 10].iter().flat_map(|t| t.to_le_bytes()).collect();
/// # std::fs::write(&path, tokens)?;
///
/// // The tokens 5, 6, 7, 8, 9, 10.
/// let data = Tokens::open(&path, TokenWidth::U16, 2)?;
/// let mut loader = Loader::builder(data).batch_size(2).num_workers(0).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// assert_eq!(Vec::<i64>::try_from(&batch["inputs"].flatten(0, -1))?, [5, 6, 7, 8]);
/// assert_eq!(Vec::<i64>::try_from(&batch["targets"].flatten(0, -1))?, [6, 7, 8, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Tokens {
    file: Mapped,
    path: PathBuf,
    width: TokenWidth,
    length: usize,
    stride: usize,
}

impl Tokens {
    /// Windows of `length` tokens over the file at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is empty, no whole number of tokens or shorter than a window,
    /// or `length` is 0.
    pub fn open(
        path: impl AsRef<Path>,
        width: TokenWidth,
        length: usize,
    ) -> Result<Self, DatasetError> {
        let path = path.as_ref().to_owned();
        if length == 0 {
            return Err(DatasetError::Zero { name: "length" });
        }
        let file = Mapped::open(&path)?;
        let tokens = file.len() / width.bytes();
        let problem = if file.is_empty() {
            Some(FileError::Empty)
        } else if !file.len().is_multiple_of(width.bytes()) {
            let (got, record) = (file.len() as u64, width.bytes() as u64);
            Some(FileError::Ragged { got, record, what: "a token" })
        } else if tokens <= length {
            Some(FileError::TooShort { got: tokens, needed: length.saturating_add(1) })
        } else {
            None
        };
        match problem {
            Some(problem) => Err(DatasetError::file(&path, "a file of tokens")(problem)),
            None => Ok(Self { file, path, width, length, stride: length }),
        }
    }

    /// Windows that begin `stride` tokens after each other.
    ///
    /// # Errors
    /// If it is 0.
    pub fn stride(mut self, stride: usize) -> Result<Self, DatasetError> {
        if stride == 0 {
            return Err(DatasetError::Zero { name: "stride" });
        }
        self.stride = stride;
        Ok(self)
    }

    /// Tokens in the file.
    pub fn tokens(&self) -> usize {
        self.file.len() / self.width.bytes()
    }
}

impl Dataset for Tokens {
    type Worker = ();

    fn len(&self) -> usize {
        // A window and its last target.
        (self.tokens() - self.length - 1) / self.stride + 1
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("inputs", [self.length], Dtype::Int64),
            Field::new("targets", [self.length], Dtype::Int64),
        ]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        slot.clock.enter(Stage::Read);
        for field in 0..2 {
            let start = (index * self.stride + field) * self.width.bytes();
            let bytes = &self.file[start..][..self.length * self.width.bytes()];
            let numbers = slot.fields.get_mut::<i64>(field);
            match self.width {
                TokenWidth::U16 => widen(bytes, numbers, |token| u16::from_le_bytes(token).into()),
                TokenWidth::U32 => widen(bytes, numbers, |token| u32::from_le_bytes(token).into()),
            }
        }
        Ok(())
    }

    /// By the file's name and where windows lie in it.
    fn fingerprint(&self, mut hasher: &mut dyn Hasher) {
        let Self { path, width, length, stride, .. } = self;
        (path.file_name(), width.bytes(), length, stride).hash(&mut hasher);
    }

    fn origin(&self, index: usize) -> Option<String> {
        let token = index.checked_mul(self.stride)?;
        Some(format!("{}, from token {token}", self.path.display()))
    }
}

fn widen<const N: usize>(from: &[u8], to: &mut [i64], token: impl Fn([u8; N]) -> i64) {
    for (to, from) in to.iter_mut().zip(from.as_chunks().0) {
        *to = token(*from);
    }
}
