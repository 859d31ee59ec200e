//! Where a run stands, to go on from there.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where a run stands in its data: a few numbers, to be saved with a checkpoint. The data need not
/// be read again up to there.
///
/// Workers, depth and pinning may differ when the run goes on, and so may the number of ranks, as
/// long as the batches of all of them together are as large. With a batch sampler, whose batches stay as they
/// are, the number of ranks must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch under way.
    pub epoch: u64,
    /// Samples that all ranks together have had of it, bad ones and padding counted: a multiple of
    /// `global_batch_size`, or all of them, which are as many as the number of ranks makes them.
    /// With a batch sampler, where one of its batches ends.
    pub samples: u64,
    /// Samples in a batch times ranks; the largest batch of a batch sampler counts.
    pub global_batch_size: u64,
    /// Tells data set and order from others.
    pub fingerprint: u64,
}

/// Why a run cannot go on from a [`LoaderState`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// Another seed.
    #[error("the state is of a run with seed {expected}, but the loader has seed {got}")]
    Seed {
        /// The state's.
        expected: u64,
        /// The loader's.
        got: u64,
    },
    /// Batches of another size.
    #[error(
        "the state is of a run with batches of {expected} samples over all ranks, but here they have {got}\nhint: keep `batch_size` x `world_size` the same; with a batch sampler, the number of ranks"
    )]
    GlobalBatchSize {
        /// The state's.
        expected: u64,
        /// The loader's.
        got: u64,
    },
    /// Another data set or sampler.
    #[error(
        "the state is of another data set or order of samples\nhint: samples were added, removed or renamed, or the sampler or `shuffle` differs"
    )]
    Fingerprint,
    /// No batch ends there.
    #[error("no batch of epoch {epoch} ends after {samples} samples")]
    Position {
        /// The state's.
        epoch: u64,
        /// The state's.
        samples: u64,
    },
}
