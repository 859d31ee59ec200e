//! What to do with samples that cannot be loaded.

use crate::SampleError;
use crate::error::Origin;

/// What to do with a sample that cannot be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Its batch is an error. The batches after it can still be had.
    #[default]
    Raise,
    /// It is left out: its batch is shorter, the others are as they would be.
    Skip {
        /// Samples left out in one epoch before it is an error after all.
        max: usize,
    },
    /// Another sample of the epoch takes its place, chosen by seed, epoch and index.
    Replace,
}

/// A sample that could not be loaded, and was skipped or replaced.
#[derive(Debug)]
pub struct BadSample {
    /// The epoch.
    pub epoch: u64,
    /// Its index in the data set.
    pub index: usize,
    /// Where it comes from, as the data set says.
    pub origin: Origin,
    /// What went wrong.
    pub error: SampleError,
    /// The sample that took its place.
    pub replaced_by: Option<usize>,
}
