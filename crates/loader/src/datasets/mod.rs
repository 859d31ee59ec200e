//! Data sets for the ways data commonly lies on disk or in memory, and ways to combine them.
//!
//! | what | data set |
//! |---|---|
//! | images in class folders | [`ImageFolder`] |
//! | tensors, `.npy`, safetensors, CIFAR, MNIST | [`Arrays`] |
//! | windows over a file of tokens | [`Tokens`] |
//! | made-up samples of a given cost | [`Synthetic`] |
//! | some samples of another set | [`Subset`] |
//! | one set after the other | [`Concat`] |
//! | another set's samples, changed | [`Map`] |
//! | another set's samples, kept in memory | [`Cached`] |

pub mod arrays;
mod cached;
mod concat;
pub mod error;
pub mod image_folder;
mod map;
mod mapped;
mod subset;
mod synthetic;
mod tokens;

pub use arrays::{Array, Arrays, Split, ToFloat32};
pub use cached::{Cached, CachedError};
pub use concat::Concat;
pub use image_folder::ImageFolder;
pub use map::{Map, MapWorker};
pub use subset::Subset;
pub use synthetic::Synthetic;
pub use tokens::{TokenWidth, Tokens};
