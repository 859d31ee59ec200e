//! Adding borders.

use serde::{Deserialize, Serialize};

use super::resize::SIDES;
use super::{Fill, Padding, Parameters, Step, check};
use crate::functional::PaddingMode;
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Adds a border.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Its widths, in pixels.
    pub padding: Padding,
    /// Its colour, where it has one. Default: black.
    #[serde(default)]
    pub fill: Fill,
    /// What it is made of. Default: the colour.
    #[serde(default)]
    pub padding_mode: PaddingMode,
}

impl Parameters for Pad {
    fn name(&self) -> &str {
        "pad"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let ok = self.padding.sides().iter().all(|side| side <= SIDES.end());
        check("pad", ok, "padding", self.padding.sides(), "at most 16384 pixels on each side")
    }
}

impl Step for Pad {
    fn run(&self, image: &mut View<'_>, _: &mut SampleRng) -> Result<(), TransformError> {
        image.pad(self.padding.sides(), self.fill.rgb(), self.padding_mode)
    }

    fn shape(&self, shape: Option<[u32; 2]>) -> Option<[u32; 2]> {
        let [left, top, right, bottom] = self.padding.sides();
        shape.map(|[height, width]| [height + top + bottom, width + left + right])
    }
}
