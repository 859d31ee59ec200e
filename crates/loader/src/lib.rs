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
//! use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop};
//! use preproc::{Compose, DecodeOptions, Transform};
//!
//! let transforms = vec![
//!     Transform::Decode,
//!     Transform::RandomResizedCrop(RandomResizedCrop::new(224)),
//!     Transform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
//!     Transform::ToTensor,
//!     Transform::Normalize(Normalize::IMAGENET),
//! ];
//! let dataset = ImageFolder::open("train", Compose::new(transforms, DecodeOptions::default())?)?;
//! let mut loader = Loader::from_settings("recommended.toml", dataset)?.build()?;
//! for epoch in 0..90 {
//!     for batch in loader.epoch(epoch) {
//!         let batch = batch?.to_device(loader::cuda::device());
//!         let (images, labels) = (&batch["images"], &batch["labels"]);
//!         # let _ = (images, labels);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
pub mod cuda;
mod dataset;
pub mod datasets;
mod engine;
pub mod error;
mod ffi;
mod fields;
mod loader;
mod order;
pub mod settings;
mod shuffle_buffer;
mod slab;
mod slots;
mod worker;

pub use batch::Batch;
pub use dataset::{Dataset, Field, SampleError, Slot};
pub use datasets::{
    Arrays, Cached, Concat, ImageFolder, Map, ParquetImages, Subset, Synthetic, TarShards, Tokens,
};
pub use error::LoaderError;
pub use ffi::{Dtype, libtorch_version};
pub use fields::{Bool8, Element, Fields, SampleBuffer};
pub use loader::{Epoch, Loader, LoaderBuilder};
pub use settings::Settings;
pub use shuffle_buffer::shuffle_buffer;
