//! A multi-worker, prefetching batch loader over libtorch tensors.
//!
//! The data's way: a [`Dataset`] says how a sample is loaded, the order of an epoch says which one
//! comes next, workers write samples into the slots of a batch, and a [`Loader`] gives the
//! batches in order, as tensors. The data sets that are there already are in [`datasets`]:
//! images in folders, tar shards and Parquet, arrays in memory and in files, tokens, and ways to
//! combine them.
//!
//! ```no_run
//! use loader::{ImageFolder, Loader};
//! use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
//! use preproc::{Compose, DecodeOptions, ImageTransform};
//!
//! // First of all: libtorch asks once whether there is a GPU.
//! let device = loader::cuda::device();
//! let transforms = vec![
//!     ImageTransform::Decode,
//!     ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224)),
//!     ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
//!     ImageTransform::ToTensor(ToTensor::default()),
//!     ImageTransform::Normalize(Normalize::IMAGENET),
//! ];
//! let dataset = ImageFolder::open("train", Compose::new(transforms, DecodeOptions::default())?)?;
//! let mut loader = Loader::from_settings("recommended.toml", dataset)?.build()?;
//! for epoch in 0..90 {
//!     for batch in loader.epoch(epoch) {
//!         let batch = batch?.to_device(device);
//!         let (images, labels) = (&batch["images"], &batch["labels"]);
//!         # let _ = (images, labels);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod autotune;
mod bad_samples;
mod batch;
mod batch_transform;
mod builder;
pub mod collate;
mod counters;
pub mod cuda;
mod dataset;
pub mod datasets;
pub mod distributed;
mod dtype;
mod engine;
pub mod error;
mod ffi;
mod fields;
mod huge_pages;
mod loader;
mod open_batch;
mod order;
mod queue;
pub mod sampler;
pub mod settings;
mod slab;
mod slots;
mod source;
pub mod state;
mod stats;
mod sync;
mod threads;
mod tickets;
mod transfer;
mod worker;

pub use bad_samples::{BadSample, OnError};
pub use batch::Batch;
pub use builder::LoaderBuilder;
pub use collate::{Collate, ItemDataset};
pub use dataset::{Dataset, Field, SampleError, Slot};
pub use datasets::{
    Arrays, Cached, Concat, ImageFolder, Map, ParquetImages, Subset, Synthetic, TarShards, Tokens,
};
pub use distributed::Rank;
pub use dtype::Dtype;
pub use error::LoaderError;
pub use ffi::libtorch_version;
pub use fields::{Bool8, Element, Fields, SampleBuffer};
pub use loader::{Epoch, Loader};
pub use sampler::{BatchSampler, Sampler};
pub use settings::Settings;
pub use state::LoaderState;
pub use stats::Stats;
