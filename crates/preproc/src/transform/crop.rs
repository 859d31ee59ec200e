//! Cutting rectangles out.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::resize::check_sides;
use super::{Parameters, Size, Step, check, uniform};
use crate::view::View;
use crate::{ComposeError, Region, SampleRng, TransformError};

impl Parameters for Region {
    fn name(&self) -> &str {
        "crop"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_sides("crop", "width", &[self.width])?;
        check_sides("crop", "height", &[self.height])
    }
}

/// As a transform, a region is what is cut out.
impl Step for Region {
    fn run(&self, image: &mut View<'_>, _: &mut SampleRng) -> Result<(), TransformError> {
        image.crop_inside(*self)
    }

    fn shape(&self, _: Option<[u32; 2]>) -> Option<[u32; 2]> {
        Some([self.height, self.width])
    }
}

/// Cuts a random rectangle and resamples it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// What the rectangle is resampled to, in pixels.
    pub size: Size,
    /// Bounds of the rectangle's share of the image's area. Default: 0.08 to 1.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// Bounds of the rectangle's width / height, before resampling. Default: 3/4 to 4/3.
    #[serde(default = "default_ratio")]
    pub ratio: [f64; 2],
}

fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

impl RandomResizedCrop {
    /// The usual crop to `size` x `size`.
    pub fn new(size: u32) -> Self {
        Self { size: Size::Square(size), scale: default_scale(), ratio: default_ratio() }
    }

    /// Draws a rectangle in an image of `width` x `height`, as torchvision documents: an area
    /// uniform in `scale`, a ratio log-uniform in `ratio`; after ten that do not fit, the largest
    /// rectangle in the middle whose ratio is allowed.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> Region {
        let area = f64::from(width) * f64::from(height);
        let log_ratio = self.ratio.map(f64::ln);
        for _ in 0..10 {
            let target = area * uniform(rng, self.scale);
            let ratio = uniform(rng, log_ratio).exp();
            let crop_width = (target * ratio).sqrt().round_ties_even() as u32;
            let crop_height = (target / ratio).sqrt().round_ties_even() as u32;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                return Region {
                    top: rng.random_range(0..=height - crop_height),
                    left: rng.random_range(0..=width - crop_width),
                    width: crop_width,
                    height: crop_height,
                };
            }
        }
        self.central(width, height)
    }

    fn central(&self, width: u32, height: u32) -> Region {
        let ratio = f64::from(width) / f64::from(height);
        let rounded = |side: f64| (side.round_ties_even() as u32).max(1);
        let (crop_width, crop_height) = if ratio < self.ratio[0] {
            (width, rounded(f64::from(width) / self.ratio[0]))
        } else if ratio > self.ratio[1] {
            (rounded(f64::from(height) * self.ratio[1]), height)
        } else {
            (width, height)
        };
        Region {
            left: (width - crop_width) / 2,
            top: (height - crop_height) / 2,
            width: crop_width,
            height: crop_height,
        }
    }
}

impl Parameters for RandomResizedCrop {
    fn name(&self) -> &str {
        "random_resized_crop"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let name = "random_resized_crop";
        check_sides(name, "size", self.size.numbers())?;
        let ascending =
            |range: [f64; 2]| 0.0 < range[0] && range[0] <= range[1] && range[1].is_finite();
        let expected = "two ascending shares of the area, above 0 and at most 1";
        let ok = ascending(self.scale) && self.scale[1] <= 1.0;
        check(name, ok, "scale", self.scale, expected)?;
        let expected = "two ascending ratios of width to height, above 0";
        check(name, ascending(self.ratio), "ratio", self.ratio, expected)
    }
}

impl Step for RandomResizedCrop {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        let drawn = self.draw(image.width(), image.height(), rng);
        image.crop(drawn);
        let [height, width] = self.size.sides();
        image.resize(width.into(), height.into())
    }

    fn shape(&self, _: Option<[u32; 2]>) -> Option<[u32; 2]> {
        Some(self.size.sides())
    }
}

/// Cuts the middle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// What is cut, in pixels; a smaller image is padded with black.
    pub size: Size,
}

impl Parameters for CenterCrop {
    fn name(&self) -> &str {
        "center_crop"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_sides("center_crop", "size", self.size.numbers())
    }
}

impl Step for CenterCrop {
    fn run(&self, image: &mut View<'_>, _: &mut SampleRng) -> Result<(), TransformError> {
        image.center_crop(self.size)
    }

    fn shape(&self, _: Option<[u32; 2]>) -> Option<[u32; 2]> {
        Some(self.size.sides())
    }
}
