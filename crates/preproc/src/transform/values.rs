//! How parameters are written where a number stands for several.

use serde::{Deserialize, Serialize};

/// A colour: one byte for all channels, or `[red, green, blue]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a byte or `[red, green, blue]`")]
pub enum Fill {
    /// The same byte in each channel.
    Grey(u8),
    /// `[red, green, blue]`.
    Rgb([u8; 3]),
}

impl Default for Fill {
    /// Black.
    fn default() -> Self {
        Self::Grey(0)
    }
}

impl Fill {
    /// `[red, green, blue]`.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Grey(byte) => [byte; 3],
            Self::Rgb(rgb) => rgb,
        }
    }
}

/// A range to draw from: a number on both sides of the middle, or `[lowest, highest]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or `[lowest, highest]`")]
pub enum Spread {
    /// So far to both sides.
    Around(f64),
    /// `[lowest, highest]`.
    Range([f64; 2]),
}

impl Spread {
    /// Lowest and highest about `middle`.
    pub fn about(self, middle: f64) -> [f64; 2] {
        match self {
            Self::Around(distance) => [middle - distance, middle + distance],
            Self::Range(range) => range,
        }
    }
}

/// One number for across and down, or `[across, down]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or `[across, down]`")]
pub enum KernelSize {
    /// Across and down.
    Square(u32),
    /// `[across, down]`.
    Sides([u32; 2]),
}

impl KernelSize {
    /// `[across, down]`.
    pub fn sides(self) -> [u32; 2] {
        match self {
            Self::Square(side) => [side; 2],
            Self::Sides(sides) => sides,
        }
    }
}

/// One width for all sides, `[left and right, top and bottom]`, or `[left, top, right, bottom]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a width, `[sides, top and bottom]` or `[left, top, right, bottom]`"
)]
pub enum Padding {
    /// All four sides.
    All(u32),
    /// `[left and right, top and bottom]`.
    Pairs([u32; 2]),
    /// `[left, top, right, bottom]`.
    Sides([u32; 4]),
}

impl Padding {
    /// `[left, top, right, bottom]`.
    pub fn sides(self) -> [u32; 4] {
        match self {
            Self::All(side) => [side; 4],
            Self::Pairs([x, y]) => [x, y, x, y],
            Self::Sides(sides) => sides,
        }
    }
}
