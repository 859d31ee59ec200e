//! Erasing a part.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::{Dtype, Element, Layout, Parameters, check, check_probability, uniform};
use crate::{ComposeError, Region, SampleRng};

/// Overwrites a random rectangle of the finished sample, with a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// Probability. Default: 0.5.
    pub p: f64,
    /// Bounds of the rectangle's share of the area. Default: 0.02 to 0.33.
    pub scale: [f64; 2],
    /// Bounds of the rectangle's height / width. Default: 0.3 to 3.3.
    pub ratio: [f64; 2],
    /// What is written, in units of the sample: after `normalize`, 0 is the mean. Default: 0.
    pub value: EraseValue,
}

/// What an erased part holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, `[red, green, blue]` or \"random\"")]
pub enum EraseValue {
    /// The same in all channels.
    Number(f32),
    /// `[red, green, blue]`.
    Rgb([f32; 3]),
    /// Values of the standard normal distribution.
    Noise(Noise),
}

/// `"random"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// The only kind.
    Random,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { p: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], value: EraseValue::Number(0.0) }
    }
}

impl RandomErasing {
    /// Draws what to erase of a sample of `width` x `height`, as torchvision does: an area uniform
    /// in `scale`, a ratio log-uniform in `ratio`; nothing after ten that do not fit.
    pub fn draw(&self, width: u32, height: u32, rng: &mut impl Rng) -> Option<Region> {
        if rng.random::<f64>() >= self.p {
            return None;
        }
        let area = f64::from(width) * f64::from(height);
        let log_ratio = self.ratio.map(f64::ln);
        for _ in 0..10 {
            let target = area * uniform(rng, self.scale);
            let ratio = uniform(rng, log_ratio).exp();
            let h = (target * ratio).sqrt().round_ties_even() as u32;
            let w = (target / ratio).sqrt().round_ties_even() as u32;
            if h < height && w < width {
                let top = rng.random_range(0..=height - h);
                let left = rng.random_range(0..=width - w);
                return Some(Region { left, top, width: w, height: h });
            }
        }
        None
    }

    /// Draws, and overwrites what was drawn of `sample`, `[3, height, width]` in `layout`.
    pub fn run<T: Element>(
        &self,
        sample: &mut [T],
        [width, height]: [u32; 2],
        layout: Layout,
        rng: &mut SampleRng,
    ) {
        if let Some(region) = self.draw(width, height, rng) {
            self.erase(sample, [width, height], layout, region, rng);
        }
    }

    /// Overwrites `region` of `sample`, `[3, height, width]` in `layout`.
    ///
    /// # Panics
    /// If `region` does not lie in the sample.
    pub fn erase<T: Element>(
        &self,
        sample: &mut [T],
        [width, height]: [u32; 2],
        layout: Layout,
        region: Region,
        rng: &mut SampleRng,
    ) {
        assert!(region.lies_in(width, height), "{region:?} of {width}x{height}");
        let Region { left, top, width: w, height: h } = region;
        let (width, height) = (width as usize, height as usize);
        let (left, w) = (left as usize, w as usize);
        let rows = top as usize..(top + h) as usize;
        match layout {
            Layout::Nchw => {
                for channel in 0..3 {
                    for y in rows.clone() {
                        let start = (channel * height + y) * width + left;
                        let row = &mut sample[start..start + w];
                        match self.value {
                            EraseValue::Noise(_) => row.fill_with(|| T::of_float(normal(rng))),
                            _ => row.fill(T::of_float(self.rgb()[channel])),
                        }
                    }
                }
            }
            Layout::ChannelsLast => {
                for y in rows {
                    let start = 3 * (y * width + left);
                    let row = &mut sample[start..start + 3 * w];
                    match self.value {
                        EraseValue::Noise(_) => row.fill_with(|| T::of_float(normal(rng))),
                        _ => row.as_chunks_mut().0.fill(self.rgb().map(T::of_float)),
                    }
                }
            }
        }
    }

    fn rgb(&self) -> [f32; 3] {
        match self.value {
            EraseValue::Number(value) => [value; 3],
            EraseValue::Rgb(rgb) => rgb,
            EraseValue::Noise(_) => [0.0; 3],
        }
    }

    /// # Errors
    /// If the value is none of `dtype`.
    pub(crate) fn check_dtype(&self, dtype: Dtype) -> Result<(), ComposeError> {
        let is_byte = |value: &f32| (0.0..=255.0).contains(value) && value.fract() == 0.0;
        let ok = match self.value {
            EraseValue::Noise(_) => dtype != Dtype::Uint8,
            _ => dtype != Dtype::Uint8 || self.rgb().iter().all(is_byte),
        };
        check("random_erasing", ok, "value", self.value, "bytes where the sample is of bytes")
    }
}

fn normal(rng: &mut SampleRng) -> f32 {
    rng.sample(StandardNormal)
}

impl Parameters for RandomErasing {
    fn name(&self) -> &str {
        "random_erasing"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let name = "random_erasing";
        check_probability(name, self.p)?;
        let ascending = |range: [f64; 2]| 0.0 < range[0] && range[0] <= range[1];
        let ok = ascending(self.scale) && self.scale[1] <= 1.0;
        let expected = "two ascending shares of the area, above 0 and at most 1";
        check(name, ok, "scale", self.scale, expected)?;
        let ok = ascending(self.ratio) && self.ratio[1].is_finite();
        let expected = "two ascending ratios of height to width, above 0";
        check(name, ok, "ratio", self.ratio, expected)?;
        let ok = self.rgb().iter().all(|value| value.is_finite());
        check(name, ok, "value", self.value, "finite")
    }
}
