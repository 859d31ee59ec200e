//! From the bytes of an image file to a sample.
//!
//! The data's way: [`decode`] turns bytes into [`Pixels`], the steps in [`transform`] draw from a
//! [`SampleRng`] what [`resample`] then cuts and resizes, [`write`](mod@write) lays it out as a
//! batch wants it. A [`Compose`] plans a list of [`ImageTransform`]s once and then runs it on every
//! sample, decoding and resampling only what of an image is kept. [`Transform`] is the trait of
//! them all, and of those on tensors. [`benchmark`] measures them, and [`cache`] keeps what depends on
//! shapes alone.

pub mod benchmark;
pub mod cache;
pub mod compose;
pub mod decode;
mod error;
pub mod functional;
mod jpeg;
mod pixels;
pub mod resample;
mod rng;
pub mod transform;
mod view;
pub mod write;

pub use compose::{Compose, Worker};
pub use decode::DecodeOptions;
pub use error::{ComposeError, ImageError, ResampleError, TransformError};
pub use pixels::{Pixels, Region};
pub use rng::SampleRng;
pub use transform::{ImageTransform, Transform};
