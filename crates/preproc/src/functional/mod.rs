//! The work of the transforms on images, with all parameters given: what torchvision has in its
//! module of this name.
//!
//! Every function agrees with torchvision's on PIL images to the byte, or differs by rounding where
//! its documentation says so. All work in place; those that cannot take [`Scratch`].
//!
//! [`Scratch`]: crate::transform::Scratch

mod affine;
mod blur;
mod color;
mod pad;
mod tone;

pub use self::affine::{Affine, Interpolation, affine, rotate};
pub use self::blur::{adjust_sharpness, gaussian_blur};
pub use self::color::{adjust_contrast, adjust_hue, adjust_saturation, rgb_to_grayscale};
pub use self::pad::{PaddingMode, pad};
pub use self::tone::{adjust_brightness, autocontrast, equalize, invert, posterize, solarize};

/// `factor` of the way from `degenerate` to `value`, beyond it above 1; cut to whole numbers, as
/// PIL's `Image.blend`.
#[inline(always)]
fn blend(degenerate: f32, value: f32, factor: f32) -> u8 {
    (degenerate + factor * (value - degenerate)) as u8
}
