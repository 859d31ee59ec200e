//! From the bytes of an image file to a sample.
//!
//! The data's way: [`decode`] turns bytes into [`Pixels`], the steps in [`transform`] draw from a
//! [`SampleRng`] and reshape them, [`write`](mod@write) lays them out as `[3, H, W]` float32.
//! A [`Compose`] plans a list of [`Transform`]s once and then runs it on every sample, decoding
//! only the part of an image that a random crop keeps.

pub mod compose;
pub mod decode;
mod error;
mod jpeg;
mod pixels;
pub mod resample;
mod rng;
pub mod transform;
pub mod write;

pub use compose::{Compose, Worker};
pub use decode::DecodeOptions;
pub use error::{ComposeError, ImageError, ResampleError};
pub use pixels::{Pixels, Region};
pub use rng::SampleRng;
pub use transform::Transform;
