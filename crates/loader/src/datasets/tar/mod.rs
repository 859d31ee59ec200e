//! Images in tar shards, in WebDataset's convention.
//!
//! [`TarShards::open`] indexes the shards: it reads the headers of each archive, several at a time,
//! and jumps over what lies between. A sample is then a place in a file, and is read with one
//! `pread` in any order: an exact shuffle, resuming and ranks cost nothing more than for a folder.
//!
//! Labels are read at opening, too. They stand in small members next to a header that is read
//! anyway, samplers may want them all, and one that makes no sense is found before the training
//! and not hours into it.

mod archive;
mod error;
mod index;
mod label;

use std::hash::Hasher;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use preproc::Compose;
use profiler::stage::Stage;
use rayon::prelude::*;
use thiserror::Error;

pub use error::{LabelError, TarError};
pub use label::Label;

use super::handles::Handles;
use super::{Files, ImageWorker, labelled, readahead};
use crate::{Dataset, Field, SampleError, Slot};

/// Bytes of an image in a shard, at most: 1 GiB.
pub const MAX_IMAGE: usize = 1 << 30;

/// Bytes of a label's member, `.cls` or `.json`, at most: 1 MiB.
pub const MAX_LABEL: usize = 1 << 20;

/// Images in tar shards, each with a label: `images`, `[3, H, W]`, uint8, float32 or bfloat16 as the
/// transforms leave them, and `labels`, int64.
///
/// Members whose names are the same up to the first dot of the base name are one sample, and stand
/// together: `n01/0001.jpg`, `n01/0001.cls`. Samples are numbered as they stand, shard after shard;
/// `Loader::builder(..).shuffle(true)` mixes them all, whichever shard they are in.
///
/// The index takes about 50 bytes and a key of memory for each sample. What headers say is compared
/// with the file before it is believed; of one member at most [`MAX_IMAGE`] or [`MAX_LABEL`] bytes
/// are read, and 1 MiB of a long name. What a shard holds may not change while it is open.
///
/// ```
/// use loader::{Loader, TarShards};
/// use preproc::transform::{Resize, ResizeSize, ToTensor};
/// use preproc::{Compose, DecodeOptions, ImageTransform};
///
/// # let shards = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/shards/");
/// # let pattern = format!("{shards}train-{{000000..000001}}.tar");
/// # let pattern = pattern.as_str();
/// # /*
/// let pattern = "train-{000000..000001}.tar";
/// # */
/// let resize = ImageTransform::Resize(Resize { size: ResizeSize::Exact([64, 64]) });
/// let transforms = vec![ImageTransform::Decode, resize, ImageTransform::ToTensor(ToTensor::default())];
/// let dataset = TarShards::open(pattern, Compose::new(transforms, DecodeOptions::default())?)?;
/// assert_eq!(dataset.shards().len(), 2);
///
/// let mut loader = Loader::builder(dataset).batch_size(4).shuffle(true).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// assert_eq!(batch["images"].size(), [4, 3, 64, 64]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TarShards {
    handles: Handles,
    samples: Vec<Sample>,
    shards: Vec<Range<usize>>,
    compose: Compose,
}

/// Where the parts of a sample stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TarOptions {
    /// The label.
    pub label: Label,
    /// The extension of the image, all after the first dot: `left.png`. By default the one member
    /// with an extension of [`EXTENSIONS`](super::image_folder::EXTENSIONS).
    pub image: Option<String>,
}

/// A sample: its image's place, and its label.
#[derive(Debug)]
struct Sample {
    key: Box<str>,
    offset: u64,
    label: i64,
    size: u32,
    shard: u32,
}

impl TarShards {
    /// Indexes `shards`; labels stand in `.cls`.
    ///
    /// # Errors
    /// If a shard is missing, damaged or empty, or a sample in it is not whole.
    pub fn open(shards: impl Into<Files>, compose: Compose) -> Result<Self, TarError> {
        Self::open_with(shards, &TarOptions::default(), compose)
    }

    /// Indexes `shards`, whose samples are as `options` says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        shards: impl Into<Files>,
        options: &TarOptions,
        compose: Compose,
    ) -> Result<Self, TarError> {
        let handles = Handles::new(shards.into().paths("tar")?);
        let paths = handles.paths().par_iter().enumerate();
        let indexed: Vec<_> = paths
            .map(|(shard, path)| {
                let read = |source| TarError::Read { shard: path.clone(), source };
                let file = handles.get(shard).map_err(read)?;
                index::index(path, &file, shard as u32, options)
            })
            .collect::<Result<_, TarError>>()?;
        let mut shards = Vec::with_capacity(indexed.len());
        let mut samples = Vec::with_capacity(indexed.iter().map(Vec::len).sum());
        for mut shard in indexed {
            shards.push(samples.len()..samples.len() + shard.len());
            samples.append(&mut shard);
        }
        Ok(Self { handles, samples, shards, compose })
    }

    /// The range of the samples of each shard.
    pub fn shards(&self) -> &[Range<usize>] {
        &self.shards
    }

    /// The shards' files.
    pub fn paths(&self) -> &[PathBuf] {
        self.handles.paths()
    }

    /// The key of sample `index`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn key(&self, index: usize) -> &str {
        &self.samples[index].key
    }

    /// The label of each sample.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = i64> {
        self.samples.iter().map(|sample| sample.label)
    }

    /// The transforms.
    pub fn compose(&self) -> &Compose {
        &self.compose
    }

    /// The bytes of the file of image `index`, as it is stored.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn file(&self, index: usize) -> Result<Vec<u8>, SampleError> {
        let mut bytes = Vec::new();
        self.read(&self.samples[index], &mut bytes)?;
        Ok(bytes)
    }

    fn read<'b>(&self, sample: &Sample, bytes: &'b mut Vec<u8>) -> Result<&'b [u8], ReadError> {
        let size = sample.size as usize;
        // Only ever made longer: what is read next need not be cleared.
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        let bytes = &mut bytes[..size];
        let file = self.handles.get(sample.shard as usize).map_err(ReadError::Io)?;
        file.read_exact_at(bytes, sample.offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Shorter,
            _ => ReadError::Io(error),
        })?;
        Ok(bytes)
    }
}

/// Why an indexed image cannot be read.
#[derive(Debug, Error)]
enum ReadError {
    #[error("cannot read the shard")]
    Io(#[from] io::Error),
    #[error("the shard has become shorter since it was indexed")]
    Shorter,
}

impl Dataset for TarShards {
    type Worker = ImageWorker;

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn fields(&self) -> Vec<Field> {
        labelled::fields(&self.compose)
    }

    fn load(
        &self,
        index: usize,
        worker: &mut ImageWorker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        let sample = &self.samples[index];
        slot.clock.enter(Stage::Read);
        let ImageWorker { bytes, transforms } = worker;
        let bytes = self.read(sample, bytes)?;
        labelled::write(&self.compose, bytes, sample.label, transforms, slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        let sample = self.samples.get(index)?;
        let shard = self.handles.path(sample.shard as usize).display();
        Some(format!("{shard}: {}", sample.key))
    }

    fn readahead(&self, index: usize) {
        let sample = &self.samples[index];
        if let Ok(file) = self.handles.get(sample.shard as usize) {
            readahead::wait_for(&file, sample.offset, u64::from(sample.size));
        }
    }

    /// By the shards' names and where images lie in them.
    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        for shard in self.handles.paths() {
            hasher.write(shard.file_name().unwrap_or_default().as_encoded_bytes());
        }
        for sample in &self.samples {
            hasher.write_u64(sample.offset);
            hasher.write_i64(sample.label);
        }
    }
}
