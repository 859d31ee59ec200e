//! Blurring.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{KernelSize, Parameters, Step, check, check_probability, happens, uniform};
use crate::functional;
use crate::view::View;
use crate::{ComposeError, SampleRng, TransformError};

/// Blurs with a Gaussian of random width.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Pixels that count, across and down: odd numbers.
    pub kernel_size: KernelSize,
    /// Bounds of the standard deviation, in pixels. Default: 0.1 to 2.
    #[serde(default = "default_sigma")]
    pub sigma: [f64; 2],
    /// Probability. Default: 1.
    #[serde(default = "always")]
    pub p: f64,
}

fn default_sigma() -> [f64; 2] {
    [0.1, 2.0]
}

fn always() -> f64 {
    1.0
}

impl GaussianBlur {
    /// Of `kernel_size` x `kernel_size` pixels, the rest as by default.
    pub fn new(kernel_size: u32) -> Self {
        let kernel_size = KernelSize::Square(kernel_size);
        Self { kernel_size, sigma: default_sigma(), p: always() }
    }

    /// Draws the standard deviation in pixels; `None` if the image stays as it is.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<f64> {
        (self.p >= 1.0 || happens(self.p, rng)).then(|| uniform(rng, self.sigma))
    }
}

impl Parameters for GaussianBlur {
    fn name(&self) -> &str {
        "gaussian_blur"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let name = "gaussian_blur";
        let sizes = self.kernel_size.sides();
        let ok = sizes.iter().all(|size| size % 2 == 1 && *size < 1_000);
        check(name, ok, "kernel_size", self.kernel_size, "odd numbers below 1000")?;
        let [low, high] = self.sigma;
        let ok = 0.0 < low && low <= high && high.is_finite();
        check(name, ok, "sigma", self.sigma, "two ascending numbers of pixels, above 0")?;
        check_probability(name, self.p)
    }
}

impl Step for GaussianBlur {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        let Some(sigma) = self.draw(rng) else { return Ok(()) };
        image.change(|pixels, scratch| {
            functional::gaussian_blur(pixels, self.kernel_size.sides(), [sigma; 2], scratch);
            Ok(())
        })
    }
}
