//! Learned and random policies of augmentation.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::augment::{Augment, Magnitudes, Op};
use super::{Fill, Parameters, Step, check, happens};
use crate::functional::Interpolation;
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Some operations of one strength, drawn at random: Cubuk et al., 2019.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// How many operations. Default: 2.
    pub num_ops: u32,
    /// How strong they are: a bin's number. Default: 9.
    pub magnitude: u32,
    /// Bins of strength. Default: 31.
    pub num_magnitude_bins: u32,
    /// How pixels are made where they move. Default: the nearest.
    pub interpolation: Interpolation,
    /// What comes from outside. Default: black.
    pub fill: Fill,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self {
            num_ops: 2,
            magnitude: 9,
            num_magnitude_bins: 31,
            interpolation: Interpolation::default(),
            fill: Fill::default(),
        }
    }
}

impl RandAugment {
    /// Draws one of the operations for an image of `width` x `height`.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> Augment {
        let magnitudes = Magnitudes::rand_augment(width, height, self.num_magnitude_bins);
        let op = Op::WITHOUT_INVERT[rng.random_range(0..Op::WITHOUT_INVERT.len())];
        magnitudes.of(op, self.magnitude, op.is_signed() && rng.random())
    }
}

impl Parameters for RandAugment {
    fn name(&self) -> &str {
        "rand_augment"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let name = "rand_augment";
        check(name, self.num_ops <= 100, "num_ops", self.num_ops, "at most 100")?;
        check_bins(name, self.num_magnitude_bins)?;
        let ok = self.magnitude < self.num_magnitude_bins;
        check(name, ok, "magnitude", self.magnitude, "below `num_magnitude_bins`")
    }
}

impl Step for RandAugment {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        for _ in 0..self.num_ops {
            let augment = self.draw(image.width(), image.height(), rng);
            run(augment, image, self.interpolation, self.fill)?;
        }
        Ok(())
    }
}

/// One operation of random strength: Müller and Hutter, 2021.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrivialAugmentWide {
    /// Bins of strength. Default: 31.
    pub num_magnitude_bins: u32,
    /// How pixels are made where they move. Default: the nearest.
    pub interpolation: Interpolation,
    /// What comes from outside. Default: black.
    pub fill: Fill,
}

impl Default for TrivialAugmentWide {
    fn default() -> Self {
        let (interpolation, fill) = Default::default();
        Self { num_magnitude_bins: 31, interpolation, fill }
    }
}

impl TrivialAugmentWide {
    /// Draws the operation.
    pub fn draw(&self, rng: &mut impl Rng) -> Augment {
        let magnitudes = Magnitudes::trivial_augment_wide(self.num_magnitude_bins);
        let op = Op::WITHOUT_INVERT[rng.random_range(0..Op::WITHOUT_INVERT.len())];
        let bin = rng.random_range(0..self.num_magnitude_bins);
        magnitudes.of(op, bin, op.is_signed() && rng.random())
    }
}

impl Parameters for TrivialAugmentWide {
    fn name(&self) -> &str {
        "trivial_augment_wide"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_bins("trivial_augment_wide", self.num_magnitude_bins)
    }
}

impl Step for TrivialAugmentWide {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        run(self.draw(rng), image, self.interpolation, self.fill)
    }
}

/// The policy that was learned on ImageNet: Cubuk et al., 2018.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AutoAugment {
    /// How pixels are made where they move. Default: the nearest.
    pub interpolation: Interpolation,
    /// What comes from outside. Default: black.
    pub fill: Fill,
}

impl AutoAugment {
    /// Draws a pair of operations for an image of `width` x `height`; `None` for one that is left
    /// out.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> [Option<Augment>; 2] {
        let magnitudes = Magnitudes::auto_augment(width, height);
        let pair = IMAGENET[rng.random_range(0..IMAGENET.len())];
        pair.map(|(op, p, bin)| {
            let (done, negative) = (happens(p, rng), rng.random());
            done.then(|| magnitudes.of(op, bin, op.is_signed() && negative))
        })
    }
}

impl Parameters for AutoAugment {
    fn name(&self) -> &str {
        "auto_augment"
    }
}

impl Step for AutoAugment {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        let pair = self.draw(image.width(), image.height(), rng);
        for augment in pair.into_iter().flatten() {
            run(augment, image, self.interpolation, self.fill)?;
        }
        Ok(())
    }
}

fn run(
    augment: Augment,
    image: &mut View<'_>,
    interpolation: Interpolation,
    fill: Fill,
) -> Result<(), TransformError> {
    if augment == Augment::Identity {
        return Ok(());
    }
    image.change(|pixels, scratch| {
        augment.apply(pixels, interpolation, fill.rgb(), scratch);
        Ok(())
    })
}

fn check_bins(name: &str, bins: u32) -> Result<(), ComposeError> {
    check(name, (2..=1_000).contains(&bins), "num_magnitude_bins", bins, "2 to 1000")
}

/// Table 9 of the paper: pairs of an operation, its probability, and its magnitude of ten.
const IMAGENET: [[(Op, f64, u32); 2]; 25] = [
    [(Op::Posterize, 0.4, 8), (Op::Rotate, 0.6, 9)],
    [(Op::Solarize, 0.6, 5), (Op::AutoContrast, 0.6, 0)],
    [(Op::Equalize, 0.8, 0), (Op::Equalize, 0.6, 0)],
    [(Op::Posterize, 0.6, 7), (Op::Posterize, 0.6, 6)],
    [(Op::Equalize, 0.4, 0), (Op::Solarize, 0.2, 4)],
    [(Op::Equalize, 0.4, 0), (Op::Rotate, 0.8, 8)],
    [(Op::Solarize, 0.6, 3), (Op::Equalize, 0.6, 0)],
    [(Op::Posterize, 0.8, 5), (Op::Equalize, 1.0, 0)],
    [(Op::Rotate, 0.2, 3), (Op::Solarize, 0.6, 8)],
    [(Op::Equalize, 0.6, 0), (Op::Posterize, 0.4, 6)],
    [(Op::Rotate, 0.8, 8), (Op::Color, 0.4, 0)],
    [(Op::Rotate, 0.4, 9), (Op::Equalize, 0.6, 0)],
    [(Op::Equalize, 0.0, 0), (Op::Equalize, 0.8, 0)],
    [(Op::Invert, 0.6, 0), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.6, 4), (Op::Contrast, 1.0, 8)],
    [(Op::Rotate, 0.8, 8), (Op::Color, 1.0, 2)],
    [(Op::Color, 0.8, 8), (Op::Solarize, 0.8, 7)],
    [(Op::Sharpness, 0.4, 7), (Op::Invert, 0.6, 0)],
    [(Op::ShearX, 0.6, 5), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.4, 0), (Op::Equalize, 0.6, 0)],
    [(Op::Equalize, 0.4, 0), (Op::Solarize, 0.2, 4)],
    [(Op::Solarize, 0.6, 5), (Op::AutoContrast, 0.6, 0)],
    [(Op::Invert, 0.6, 0), (Op::Equalize, 1.0, 0)],
    [(Op::Color, 0.6, 4), (Op::Contrast, 1.0, 8)],
    [(Op::Equalize, 0.8, 0), (Op::Equalize, 0.6, 0)],
];
