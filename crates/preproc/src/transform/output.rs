//! From pixels to what a batch holds.

use half::bf16;
use serde::{Deserialize, Serialize};

use super::{Parameters, check};
use crate::ComposeError;

/// `[H, W, 3]` bytes to the type and order of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToTensor {
    /// Type of the values. Default: float32.
    pub dtype: Dtype,
    /// Order of the values in memory. Default: channels first.
    pub layout: Layout,
}

/// Type of a sample's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 0 to 255, not scaled and not normalised.
    Uint8,
    /// 0 to 1 before normalising.
    #[default]
    Float32,
    /// As float32, rounded to the nearest.
    BFloat16,
}

/// Order of a sample's values in memory. The shape of a batch is `[N, 3, H, W]` in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[3, H, W]`: all of red, then green, then blue.
    #[default]
    Nchw,
    /// `[H, W, 3]`: libtorch's memory format `channels_last`.
    ChannelsLast,
}

/// A Rust type that a sample's values may have.
pub trait Element: Copy + Send + sealed::Sealed + 'static {
    /// Its name in a configuration.
    const DTYPE: Dtype;
}

mod sealed {
    pub trait Sealed {
        /// From the byte as it is, and as it is scaled and normalised.
        fn of(byte: u8, value: f32) -> Self;

        /// From a value in units of the sample.
        fn of_float(value: f32) -> Self;
    }
}
use sealed::Sealed;

impl Element for u8 {
    const DTYPE: Dtype = Dtype::Uint8;
}

impl Sealed for u8 {
    #[inline(always)]
    fn of(byte: u8, _: f32) -> Self {
        byte
    }

    fn of_float(value: f32) -> Self {
        value as u8
    }
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::Float32;
}

impl Sealed for f32 {
    #[inline(always)]
    fn of(_: u8, value: f32) -> Self {
        value
    }

    fn of_float(value: f32) -> Self {
        value
    }
}

impl Element for bf16 {
    const DTYPE: Dtype = Dtype::BFloat16;
}

impl Sealed for bf16 {
    /// To the nearest, ties to even; values are finite.
    #[inline(always)]
    fn of(_: u8, value: f32) -> Self {
        let bits = value.to_bits();
        bf16::from_bits(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16)
    }

    fn of_float(value: f32) -> Self {
        bf16::from_f32(value)
    }
}

impl Parameters for ToTensor {
    fn name(&self) -> &str {
        "to_tensor"
    }
}

/// `(value - mean) / std`, by channel (R, G, B), for values from 0 to 1.
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

impl Parameters for Normalize {
    fn name(&self) -> &str {
        "normalize"
    }

    fn validate(&self) -> Result<(), ComposeError> {
        let finite = self.mean.iter().all(|mean| mean.is_finite());
        check("normalize", finite, "mean", self.mean, "finite")?;
        let above = self.std.iter().all(|std| std.is_finite() && *std > 0.0);
        check("normalize", above, "std", self.std, "above 0")
    }
}
