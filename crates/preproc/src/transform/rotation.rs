//! Turning by a random angle.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Fill, Parameters, Spread, Step, check, uniform};
use crate::functional::{self, Interpolation};
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Turns the image about its middle by a random angle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomRotation {
    /// Degrees, counter-clockwise: to both sides, or lowest and highest.
    pub degrees: Spread,
    /// How pixels are made. Default: the nearest.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Whether the result is as large as the turned image. Default: it keeps its size.
    #[serde(default)]
    pub expand: bool,
    /// What comes from outside. Default: black.
    #[serde(default)]
    pub fill: Fill,
}

impl RandomRotation {
    /// Draws an angle in degrees.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        uniform(rng, self.degrees.about(0.0))
    }
}

impl Parameters for RandomRotation {
    fn name(&self) -> &str {
        "random_rotation"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let [low, high] = self.degrees.about(0.0);
        let ok = low <= high && low.is_finite() && high.is_finite();
        let expected = "degrees from 0, or two ascending ones";
        check("random_rotation", ok, "degrees", self.degrees, expected)
    }
}

impl Step for RandomRotation {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        let angle = self.draw(rng);
        let Self { interpolation, expand, fill, .. } = self;
        if *expand {
            // The diagonal of the image, at most.
            let diagonal = u64::from(image.width()) + u64::from(image.height());
            image.check_size(diagonal, diagonal)?;
        }
        image.change(|pixels, scratch| {
            functional::rotate(pixels, angle, *interpolation, *expand, fill.rgb(), scratch);
            Ok(())
        })
    }

    fn shape(&self, shape: Option<[u32; 2]>) -> Option<[u32; 2]> {
        if self.expand { None } else { shape }
    }
}
