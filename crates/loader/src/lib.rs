//! A multi-worker, prefetching batch loader over libtorch tensors.
//!
//! The data's way: a [`Dataset`] says how a sample is loaded, the order of an epoch says which one
//! comes next, workers write samples into the slots of a batch, and a [`Loader`] gives the
//! batches in order, as tensors. Data sets for images in class folders
//! and other ways that data lies on disk are in [`datasets`].
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
mod loader;
mod order;
pub mod settings;
mod shuffle_buffer;
mod slab;
mod slots;
mod worker;

pub use batch::Batch;
pub use dataset::{Dataset, Field, SampleError, Slot};
pub use datasets::{ImageFolder, TarShards};
pub use error::LoaderError;
pub use ffi::{Dtype, libtorch_version};
pub use loader::{Epoch, Loader, LoaderBuilder};
pub use settings::Settings;
pub use shuffle_buffer::shuffle_buffer;
pub use slots::{Element, Fields};
