//! Mirroring and turning upside down.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Parameters, Step, check_probability, half, happens};
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Mirrors left and right with a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HorizontalFlip {
    /// Probability. Default: 0.5.
    #[serde(default = "half")]
    pub p: f64,
}

impl HorizontalFlip {
    /// Draws whether to mirror.
    pub fn draw(&self, rng: &mut impl Rng) -> bool {
        happens(self.p, rng)
    }
}

impl Parameters for HorizontalFlip {
    fn name(&self) -> &str {
        "horizontal_flip"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_probability("horizontal_flip", self.p)
    }
}

impl Step for HorizontalFlip {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        if self.draw(rng) {
            image.mirror();
        }
        Ok(())
    }
}

/// Turns upside down with a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerticalFlip {
    /// Probability. Default: 0.5.
    #[serde(default = "half")]
    pub p: f64,
}

impl Parameters for VerticalFlip {
    fn name(&self) -> &str {
        "vertical_flip"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_probability("vertical_flip", self.p)
    }
}

impl Step for VerticalFlip {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        if happens(self.p, rng) {
            image.flip();
        }
        Ok(())
    }
}
