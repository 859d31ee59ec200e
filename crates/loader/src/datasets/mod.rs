//! Data sets for the ways data commonly lies on disk or in memory, and ways to combine them.
//!
//! | what | data set |
//! |---|---|
//! | images in class folders | [`ImageFolder`] |
//! | images in tar shards, as WebDataset's | [`TarShards`] |
//! | images in a column of Parquet files | [`ParquetImages`] |
//! | numeric columns of Parquet files | [`Arrays::parquet`] |
//! | tensors, `.npy`, safetensors, CIFAR, MNIST | [`Arrays`] |
//! | windows over a file of tokens | [`Tokens`] |
//! | made-up samples of a given cost | [`Synthetic`] |
//! | some samples of another set | [`Subset`] |
//! | one set after the other | [`Concat`] |
//! | another set's samples, changed | [`Map`] |
//! | another set's samples, kept in memory | [`Cached`] |

pub mod arrays;
mod braces;
mod cached;
mod concat;
pub mod error;
pub mod files;
mod handles;
pub mod image_folder;
mod labelled;
mod map;
mod mmap;
pub mod parquet;
mod readahead;
mod subset;
mod synthetic;
pub mod tar;
mod tokens;

pub use arrays::{Array, Arrays, Split, ToFloat32};
pub use cached::{Cached, CachedError};
pub use concat::{Concat, ConcatWorker};
pub use files::Files;
pub use image_folder::ImageFolder;
pub use labelled::ImageWorker;
pub use map::{Map, MapWorker};
pub use parquet::ParquetImages;
pub use subset::Subset;
pub use synthetic::{Synthetic, compute_for};
pub use tar::TarShards;
pub use tokens::{TokenWidth, Tokens};
