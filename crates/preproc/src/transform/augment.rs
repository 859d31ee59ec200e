//! The operations of the policies, and how strong they are.

use crate::Pixels;
use crate::functional::{self, Affine, Interpolation};

use super::Scratch;

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are those of `Augment`")]
pub enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

impl Op {
    /// Those of RandAugment and TrivialAugment, in torchvision's order.
    pub const WITHOUT_INVERT: [Self; 14] = [
        Self::Identity,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
        Self::Rotate,
        Self::Brightness,
        Self::Color,
        Self::Contrast,
        Self::Sharpness,
        Self::Posterize,
        Self::Solarize,
        Self::AutoContrast,
        Self::Equalize,
    ];

    /// Whether its magnitude may be negative.
    pub fn is_signed(self) -> bool {
        matches!(
            self,
            Self::ShearX
                | Self::ShearY
                | Self::TranslateX
                | Self::TranslateY
                | Self::Rotate
                | Self::Brightness
                | Self::Color
                | Self::Contrast
                | Self::Sharpness
        )
    }
}

/// An operation with its magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Augment {
    /// Nothing.
    Identity,
    /// [`Affine::shear_x`].
    ShearX(f64),
    /// [`Affine::shear_y`].
    ShearY(f64),
    /// [`Affine::translation`] in pixels; a part of one is cut off.
    TranslateX(f64),
    /// [`Affine::translation`] in pixels; a part of one is cut off.
    TranslateY(f64),
    /// [`functional::rotate`] in degrees.
    Rotate(f64),
    /// [`functional::adjust_brightness`] by a factor of 1 more.
    Brightness(f64),
    /// [`functional::adjust_saturation`] by a factor of 1 more.
    Color(f64),
    /// [`functional::adjust_contrast`] by a factor of 1 more.
    Contrast(f64),
    /// [`functional::adjust_sharpness`] by a factor of 1 more.
    Sharpness(f64),
    /// [`functional::posterize`] to so many bits.
    Posterize(u32),
    /// [`functional::solarize`] from this byte on.
    Solarize(f64),
    /// [`functional::autocontrast`].
    AutoContrast,
    /// [`functional::equalize`].
    Equalize,
    /// [`functional::invert`].
    Invert,
}

impl Augment {
    /// Changes `pixels`.
    pub fn apply(
        self,
        pixels: &mut Pixels,
        interpolation: Interpolation,
        fill: [u8; 3],
        scratch: &mut Scratch,
    ) {
        let mut move_by = |pixels: &mut Pixels, map| {
            let size = [pixels.width(), pixels.height()];
            functional::affine(pixels, &map, size, interpolation, fill, scratch);
        };
        match self {
            Self::Identity => {}
            Self::ShearX(x) => move_by(pixels, Affine::shear_x(x)),
            Self::ShearY(y) => move_by(pixels, Affine::shear_y(y)),
            Self::TranslateX(x) => move_by(pixels, Affine::translation(x as i32, 0)),
            Self::TranslateY(y) => move_by(pixels, Affine::translation(0, y as i32)),
            Self::Rotate(angle) => {
                functional::rotate(pixels, angle, interpolation, false, fill, scratch);
            }
            Self::Brightness(more) => functional::adjust_brightness(pixels, 1.0 + more),
            Self::Color(more) => functional::adjust_saturation(pixels, 1.0 + more),
            Self::Contrast(more) => functional::adjust_contrast(pixels, 1.0 + more),
            Self::Sharpness(more) => functional::adjust_sharpness(pixels, 1.0 + more, scratch),
            Self::Posterize(bits) => functional::posterize(pixels, bits),
            Self::Solarize(threshold) => functional::solarize(pixels, threshold),
            Self::AutoContrast => functional::autocontrast(pixels),
            Self::Equalize => functional::equalize(pixels),
            Self::Invert => functional::invert(pixels),
        }
    }
}

/// The greatest magnitude of each kind, and in how many bins it is reached.
#[derive(Clone, Copy, Debug)]
pub struct Magnitudes {
    bins: u32,
    shear: f32,
    translate: [f32; 2],
    degrees: f32,
    factor: f32,
    /// Bits that are lost at most.
    bits: f32,
}

impl Magnitudes {
    /// RandAugment's, for an image of `width` x `height`.
    pub fn rand_augment(width: u32, height: u32, bins: u32) -> Self {
        let translate = [width, height].map(|side| (150.0 / 331.0 * f64::from(side)) as f32);
        Self { bins, shear: 0.3, translate, degrees: 30.0, factor: 0.9, bits: 4.0 }
    }

    /// AutoAugment's, for an image of `width` x `height`.
    pub fn auto_augment(width: u32, height: u32) -> Self {
        Self::rand_augment(width, height, 10)
    }

    /// TrivialAugment's.
    pub fn trivial_augment_wide(bins: u32) -> Self {
        let translate = [32.0; 2];
        Self { bins, shear: 0.99, translate, degrees: 135.0, factor: 0.99, bits: 6.0 }
    }

    /// `op` with the magnitude of bin number `bin`, turned about if `negative`.
    pub fn of(&self, op: Op, bin: u32, negative: bool) -> Augment {
        let sign = if negative { -1.0 } else { 1.0 };
        let signed = |most: f32| sign * f64::from(linspace(0.0, most, self.bins, bin));
        match op {
            Op::Identity => Augment::Identity,
            Op::ShearX => Augment::ShearX(signed(self.shear)),
            Op::ShearY => Augment::ShearY(signed(self.shear)),
            Op::TranslateX => Augment::TranslateX(signed(self.translate[0])),
            Op::TranslateY => Augment::TranslateY(signed(self.translate[1])),
            Op::Rotate => Augment::Rotate(signed(self.degrees)),
            Op::Brightness => Augment::Brightness(signed(self.factor)),
            Op::Color => Augment::Color(signed(self.factor)),
            Op::Contrast => Augment::Contrast(signed(self.factor)),
            Op::Sharpness => Augment::Sharpness(signed(self.factor)),
            Op::Posterize => {
                let lost = bin as f32 / ((self.bins - 1) as f32 / self.bits);
                Augment::Posterize(8 - lost.round_ties_even() as u32)
            }
            Op::Solarize => Augment::Solarize(f64::from(linspace(255.0, 0.0, self.bins, bin))),
            Op::AutoContrast => Augment::AutoContrast,
            Op::Equalize => Augment::Equalize,
            Op::Invert => Augment::Invert,
        }
    }
}

/// Number `bin` of `bins` values from `start` to `end`, in float32 from the nearer end and rounded
/// once, as libtorch: a part of a pixel that is cut off depends on it.
fn linspace(start: f32, end: f32, bins: u32, bin: u32) -> f32 {
    let step = (end - start) / (bins - 1) as f32;
    if bin < bins / 2 {
        step.mul_add(bin as f32, start)
    } else {
        (-step).mul_add((bins - 1 - bin) as f32, end)
    }
}
