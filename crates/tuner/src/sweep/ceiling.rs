//! What the parts of the data's way give on their own: no setting can be faster than the slowest.

use serde::{Deserialize, Serialize};

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Files from the page cache or storage, by many threads, and nothing done with them.
    Read,
    /// Compressed bytes to pixels, on all cores.
    Decode,
    /// Pixels to pixels, on all cores.
    Transform,
    /// All work of a sample, on all cores.
    Work,
    /// Batches of the same shape that cost nothing but writing them.
    Memory,
    /// Batches to the GPU.
    HostToDevice,
}

/// What one part gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The part.
    pub part: Part,
    /// Samples a second; absent where there is no such part.
    pub samples_per_s: Option<f64>,
    /// How it was measured, or why it was not.
    pub how: String,
}

/// The lowest of them.
pub fn lowest(ceilings: &[Ceiling]) -> Option<f64> {
    ceilings.iter().filter_map(|ceiling| ceiling.samples_per_s).reduce(f64::min)
}
