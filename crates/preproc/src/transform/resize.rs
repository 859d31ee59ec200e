//! Resizing, and how sizes are written.

use serde::{Deserialize, Serialize};

use super::{Parameters, Step, check};
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Sides an output may have, in pixels.
pub(super) const SIDES: std::ops::RangeInclusive<u32> = 1..=16_384;
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
    pub(super) fn numbers(&self) -> &[u32] {
        match self {
            Size::Square(side) => std::slice::from_ref(side),
            Size::Sides(sides) => sides,
        }
    }
}

/// Antialiased bilinear resampling of the whole image.
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
    pub(super) fn numbers(&self) -> &[u32] {
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

impl Parameters for Resize {
    fn name(&self) -> &str {
        "resize"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_sides("resize", "size", self.size.numbers())
    }
}

impl Step for Resize {
    fn run(&self, image: &mut View<'_>, _: &mut SampleRng) -> Result<(), TransformError> {
        let (width, height) = self.output_size(image.width(), image.height());
        image.resize(width, height)
    }

    fn shape(&self, _: Option<[u32; 2]>) -> Option<[u32; 2]> {
        match self.size {
            ResizeSize::Exact(sides) => Some(sides),
            ResizeSize::Short(_) => None,
        }
    }
}

pub(super) fn check_sides(
    name: &str,
    parameter: &'static str,
    sides: &[u32],
) -> Result<(), ComposeError> {
    let ok = sides.iter().all(|side| SIDES.contains(side));
    match sides {
        [side] => check(name, ok, parameter, side, SIDES_TEXT),
        _ => check(name, ok, parameter, sides, SIDES_TEXT),
    }
}
