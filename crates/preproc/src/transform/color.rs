//! Colours.

use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Parameters, Spread, Step, check, check_probability, happens, uniform};
use crate::functional;
use crate::view::View;
use crate::{ComposeError, Pixels, SampleRng, TransformError};

/// Changes brightness, contrast, saturation and hue at random, in random order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorJitter {
    /// Factor of brightness: up to so far from 1, or lowest and highest. Default: left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brightness: Option<Spread>,
    /// Factor of contrast, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrast: Option<Spread>,
    /// Factor of saturation, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation: Option<Spread>,
    /// Share of a full circle by which the hue turns, from -0.5 to 0.5: up to so far from 0, or
    /// lowest and highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hue: Option<Spread>,
}

/// One change of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColorChange {
    /// [`functional::adjust_brightness`].
    Brightness(f64),
    /// [`functional::adjust_contrast`].
    Contrast(f64),
    /// [`functional::adjust_saturation`].
    Saturation(f64),
    /// [`functional::adjust_hue`].
    Hue(f64),
}

impl ColorChange {
    /// Changes `pixels`.
    pub fn apply(self, pixels: &mut Pixels) {
        match self {
            Self::Brightness(factor) => functional::adjust_brightness(pixels, factor),
            Self::Contrast(factor) => functional::adjust_contrast(pixels, factor),
            Self::Saturation(factor) => functional::adjust_saturation(pixels, factor),
            Self::Hue(factor) => functional::adjust_hue(pixels, factor),
        }
    }
}

impl ColorJitter {
    /// The usual one: each strength up to so far from where nothing changes.
    pub fn new(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> Self {
        let [brightness, contrast, saturation, hue] =
            [brightness, contrast, saturation, hue].map(|s| (s > 0.0).then_some(Spread::Around(s)));
        Self { brightness, contrast, saturation, hue }
    }

    /// The ranges of brightness, contrast, saturation and hue.
    fn ranges(&self) -> [Option<[f64; 2]>; 4] {
        let factor = |spread: Option<Spread>| {
            spread.map(|spread| spread.about(1.0).map(|factor| factor.max(0.0)))
        };
        let hue = self.hue.map(|spread| spread.about(0.0));
        [factor(self.brightness), factor(self.contrast), factor(self.saturation), hue]
    }

    /// Draws the changes, in order; `None` for what is left alone.
    pub fn draw(&self, rng: &mut impl Rng) -> [Option<ColorChange>; 4] {
        let kinds: [fn(f64) -> ColorChange; 4] = [
            ColorChange::Brightness,
            ColorChange::Contrast,
            ColorChange::Saturation,
            ColorChange::Hue,
        ];
        let ranges = self.ranges();
        let mut changes =
            std::array::from_fn(|i| ranges[i].map(|range| kinds[i](uniform(rng, range))));
        changes.shuffle(rng);
        changes
    }
}

impl Parameters for ColorJitter {
    fn name(&self) -> &str {
        "color_jitter"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let named = [
            ("brightness", self.brightness),
            ("contrast", self.contrast),
            ("saturation", self.saturation),
        ];
        for (parameter, spread) in named {
            let Some(spread) = spread else { continue };
            let ok = match spread {
                Spread::Around(strength) => strength.is_finite() && strength >= 0.0,
                Spread::Range([low, high]) => 0.0 <= low && low <= high && high.is_finite(),
            };
            let expected = "a strength from 0, or two ascending factors from 0";
            check("color_jitter", ok, parameter, spread, expected)?;
        }
        let Some(hue) = self.hue else { return Ok(()) };
        let [low, high] = hue.about(0.0);
        let ok = -0.5 <= low && low <= high && high <= 0.5;
        check("color_jitter", ok, "hue", hue, "0 to 0.5, or two ascending numbers from -0.5 to 0.5")
    }
}

impl Step for ColorJitter {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        let changes = self.draw(rng);
        image.change_values(|pixels| {
            changes.iter().flatten().for_each(|change| change.apply(pixels));
        })
    }
}

/// Makes all three channels the luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grayscale {}

impl Parameters for Grayscale {
    fn name(&self) -> &str {
        "grayscale"
    }
}

impl Step for Grayscale {
    fn run(&self, image: &mut View<'_>, _: &mut SampleRng) -> Result<(), TransformError> {
        image.change_values(functional::rgb_to_grayscale)
    }
}

/// Makes all three channels the luma, with a probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomGrayscale {
    /// Probability. Default: 0.1.
    pub p: f64,
}

impl Default for RandomGrayscale {
    fn default() -> Self {
        Self { p: 0.1 }
    }
}

impl Parameters for RandomGrayscale {
    fn name(&self) -> &str {
        "random_grayscale"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        check_probability("random_grayscale", self.p)
    }
}

impl Step for RandomGrayscale {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        if happens(self.p, rng) {
            image.change_values(functional::rgb_to_grayscale)?;
        }
        Ok(())
    }
}
