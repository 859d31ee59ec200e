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

/// A factor in 16384ths, for [`blend`].
fn fixed(factor: f64) -> i32 {
    (factor.clamp(-500.0, 500.0) * f64::from(1 << 14)).round() as i32
}

/// A [`fixed`] factor of the way from `degenerate` to `value`, beyond it above 1; cut to whole
/// numbers, as PIL's `Image.blend`. In whole numbers, since processors do several of them at once.
#[inline(always)]
fn blend(degenerate: u8, value: u8, factor: i32) -> u8 {
    let [degenerate, value] = [degenerate, value].map(i32::from);
    (degenerate + ((factor * (value - degenerate)) >> 14)).clamp(0, 255) as u8
}
