//! Data to train on when none is there: a stand-in for ImageNet, cut from a few photographs, and
//! one for CIFAR-10 ([`Cifar10Like`]), of random pixels.
//!
//! The way of the first: [`ImagenetLike`] says what to make; `photos` decodes the photographs once;
//! for each image, `spec` draws what it shall be and `render` makes its JPEG file; `partial` keeps
//! the growing folder out of sight and shows it when it is whole.

mod cifar10_like;
mod error;
mod imagenet_like;
mod partial;
mod photos;
mod render;
mod spec;

pub use cifar10_like::{Cifar10Like, Cifar10Made};
pub use error::DataError;
pub use imagenet_like::{ImagenetLike, Made};
