//! The transforms, named and parametrised as torchvision's.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{ComposeError, Region};

/// One step from the bytes of a file to a sample.
///
/// In TOML a list of them reads
/// `["decode", { random_resized_crop = { size = 224 } }, { horizontal_flip = {} }, "to_tensor"]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Bytes to RGB pixels.
    Decode,
    /// Antialiased bilinear resampling of the whole image.
    Resize(Resize),
    /// Cuts a fixed rectangle.
    Crop(Region),
    /// Cuts a random rectangle and resamples it: [`RandomResizedCrop`].
    RandomResizedCrop(RandomResizedCrop),
    /// Cuts the middle: [`CenterCrop`].
    CenterCrop(CenterCrop),
    /// Mirrors left and right with a probability: [`HorizontalFlip`].
    HorizontalFlip(HorizontalFlip),
    /// `[H, W, 3]` bytes to `[3, H, W]` float32 from 0 to 1.
    ToTensor,
    /// `(value - mean) / std`, by channel: [`Normalize`].
    Normalize(Normalize),
}

impl Transform {
    /// The name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Decode => "decode",
            Transform::Resize(_) => "resize",
            Transform::Crop(_) => "crop",
            Transform::RandomResizedCrop(_) => "random_resized_crop",
            Transform::CenterCrop(_) => "center_crop",
            Transform::HorizontalFlip(_) => "horizontal_flip",
            Transform::ToTensor => "to_tensor",
            Transform::Normalize(_) => "normalize",
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ComposeError> {
        let name = self.name();
        let check = |ok: bool, parameter, got: String, expected| {
            if ok { Ok(()) } else { Err(ComposeError::Value { name, parameter, got, expected }) }
        };
        let check_sides = |parameter, sides: &[u32]| {
            let got = if let [side] = sides { side.to_string() } else { format!("{sides:?}") };
            check(sides.iter().all(|side| SIDES.contains(side)), parameter, got, SIDES_TEXT)
        };
        let ascending =
            |range: [f64; 2]| 0.0 < range[0] && range[0] <= range[1] && range[1].is_finite();
        match self {
            Transform::Decode | Transform::ToTensor => Ok(()),
            Transform::Resize(resize) => check_sides("size", resize.size.numbers()),
            Transform::Crop(Region { width, height, .. }) => {
                check_sides("width", &[*width])?;
                check_sides("height", &[*height])
            }
            Transform::RandomResizedCrop(crop) => {
                check_sides("size", crop.size.numbers())?;
                let ok = ascending(crop.scale) && crop.scale[1] <= 1.0;
                check(
                    ok,
                    "scale",
                    format!("{:?}", crop.scale),
                    "two ascending shares of the area, above 0 and at most 1",
                )?;
                let ok = ascending(crop.ratio);
                check(
                    ok,
                    "ratio",
                    format!("{:?}", crop.ratio),
                    "two ascending ratios of width to height, above 0",
                )
            }
            Transform::CenterCrop(crop) => check_sides("size", crop.size.numbers()),
            Transform::HorizontalFlip(flip) => check(
                (0.0..=1.0).contains(&flip.p),
                "p",
                flip.p.to_string(),
                "a probability, 0 to 1",
            ),
            Transform::Normalize(normalize) => {
                let ok = normalize.mean.iter().all(|m| m.is_finite());
                check(ok, "mean", format!("{:?}", normalize.mean), "finite")?;
                let ok = normalize.std.iter().all(|s| s.is_finite() && *s > 0.0);
                check(ok, "std", format!("{:?}", normalize.std), "above 0")
            }
        }
    }
}

/// Sides an output may have, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 1..=16_384;
const SIDES_TEXT: &str = "1 to 16384 pixels";

/// Height and width of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a side in pixels or `[height, width]`")]
pub enum Size {
    /// A square of this side.
    Square(u32),
    /// `[height, width]`.
    Sides([u32; 2]),
}

impl Size {
    /// `[height, width]`.
    pub fn sides(self) -> [u32; 2] {
        match self {
            Size::Square(side) => [side, side],
            Size::Sides(sides) => sides,
        }
    }

    /// As written in a configuration.
    fn numbers(&self) -> &[u32] {
        match self {
            Size::Square(side) => std::slice::from_ref(side),
            Size::Sides(sides) => sides,
        }
    }
}

/// Parameters of [`Transform::Resize`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The size to reach.
    pub size: ResizeSize,
}

/// A size to resize to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a side in pixels or `[height, width]`")]
pub enum ResizeSize {
    /// The shorter side; the longer one keeps the aspect ratio.
    Short(u32),
    /// `[height, width]`, whatever the aspect ratio.
    Exact([u32; 2]),
}

impl ResizeSize {
    /// As written in a configuration.
    fn numbers(&self) -> &[u32] {
        match self {
            ResizeSize::Short(side) => std::slice::from_ref(side),
            ResizeSize::Exact(sides) => sides,
        }
    }
}

impl Resize {
    /// Width and height of the result for an image of `width` x `height`; the longer side is cut
    /// to whole pixels, as torchvision does.
    pub fn output_size(&self, width: u32, height: u32) -> (u64, u64) {
        match self.size {
            ResizeSize::Exact([height, width]) => (width.into(), height.into()),
            ResizeSize::Short(side) => {
                let (short, long) = (width.min(height).max(1), width.max(height));
                let long = u64::from(side) * u64::from(long) / u64::from(short);
                if width <= height { (side.into(), long) } else { (long, side.into()) }
            }
        }
    }
}

/// Parameters of [`Transform::RandomResizedCrop`].
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

fn uniform(rng: &mut impl Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Parameters of [`Transform::CenterCrop`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// What is cut, in pixels; a smaller image is padded with black.
    pub size: Size,
}

/// Parameters of [`Transform::HorizontalFlip`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HorizontalFlip {
    /// Probability. Default: 0.5.
    #[serde(default = "half")]
    pub p: f64,
}

fn half() -> f64 {
    0.5
}

impl HorizontalFlip {
    /// Draws whether to mirror.
    pub fn draw(&self, rng: &mut impl Rng) -> bool {
        rng.random::<f64>() < self.p
    }
}

/// Parameters of [`Transform::Normalize`], by channel (R, G, B), for values from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Subtracted.
    pub mean: [f32; 3],
    /// Divided by.
    pub std: [f32; 3],
}

impl Normalize {
    /// Leaves values as they are.
    pub const IDENTITY: Self = Self { mean: [0.0; 3], std: [1.0; 3] };
    /// Mean and standard deviation of ImageNet's training images.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
}
