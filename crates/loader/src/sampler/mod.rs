//! In which order the samples of an epoch come, and how they are grouped into batches.
//!
//! A [`Sampler`] gives an order, which is cut into batches of `batch_size`; a [`BatchSampler`]
//! gives the batches. Without either, [`Sequential`] is used, or [`Shuffled`] where `shuffle` is
//! set. All draw from a generator keyed by (seed, epoch), so that epochs differ and runs do not.
//!
//! Any of them works on several machines: see [`distributed`](crate::distributed).

mod length_buckets;
mod shuffle_buffer;

use preproc::SampleRng;
use rand::RngExt;
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::{SliceRandom, index};
use thiserror::Error;

pub use length_buckets::LengthBuckets;
pub use shuffle_buffer::ShuffleBuffer;

/// An order for each epoch.
pub trait Sampler: Send + Sync + 'static {
    /// Samples in an epoch, always as many.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices of `epoch`, [`len`](Self::len) of them. It may depend on `epoch` and on what is
    /// drawn from `rng`, and on nothing else.
    fn order(&self, epoch: u64, rng: &mut SampleRng) -> Vec<usize>;

    /// Whether an index may come more than once in an epoch. If so, each time its transforms draw
    /// anew.
    fn repeats(&self) -> bool {
        false
    }
}

/// The batches of each epoch.
pub trait BatchSampler: Send + Sync + 'static {
    /// The batches of `epoch`, each the indices of its samples. They may depend on `epoch` and on
    /// what is drawn from `rng`, and on nothing else.
    fn batches(&self, epoch: u64, rng: &mut SampleRng) -> Vec<Vec<usize>>;

    /// Samples in the largest batch that may come. Asked once, when a loader is built.
    fn max_batch_size(&self) -> usize;

    /// See [`Sampler::repeats`].
    fn repeats(&self) -> bool {
        false
    }
}

/// The first so many samples, in order.
#[derive(Clone, Copy, Debug)]
pub struct Sequential(pub usize);

impl Sampler for Sequential {
    fn len(&self) -> usize {
        self.0
    }

    fn order(&self, _: u64, _: &mut SampleRng) -> Vec<usize> {
        (0..self.0).collect()
    }
}

/// The first so many samples, in random order.
#[derive(Clone, Copy, Debug)]
pub struct Shuffled(pub usize);

impl Sampler for Shuffled {
    fn len(&self) -> usize {
        self.0
    }

    fn order(&self, _: u64, rng: &mut SampleRng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0).collect();
        order.shuffle(rng);
        order
    }
}

/// The samples of a list alone.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Their indices.
    pub indices: Vec<usize>,
    /// Whether they come in random order.
    pub shuffle: bool,
}

impl Sampler for Listed {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn order(&self, _: u64, rng: &mut SampleRng) -> Vec<usize> {
        let mut order = self.indices.clone();
        if self.shuffle {
            order.shuffle(rng);
        }
        order
    }

    fn repeats(&self) -> bool {
        true
    }
}

/// Each draw is any of the samples, whether it came before or not.
#[derive(Clone, Copy, Debug)]
pub struct WithReplacement {
    /// Samples in the data set, at least one.
    pub samples: usize,
    /// Draws in an epoch.
    pub draws: usize,
}

impl Sampler for WithReplacement {
    fn len(&self) -> usize {
        if self.samples == 0 { 0 } else { self.draws }
    }

    fn order(&self, _: u64, rng: &mut SampleRng) -> Vec<usize> {
        (0..self.len()).map(|_| rng.random_range(0..self.samples)).collect()
    }

    fn repeats(&self) -> bool {
        true
    }
}

/// Draws sample `i` as often as its weight is large: rare classes more often, for example.
#[derive(Clone, Debug)]
pub struct Weighted {
    weights: Vec<f64>,
    /// For draws with replacement.
    index: Option<WeightedIndex<f64>>,
    draws: usize,
}

impl Weighted {
    /// `draws` samples an epoch, any of them several times.
    ///
    /// # Errors
    /// If a weight is negative or not a number, or none is positive.
    pub fn with_replacement(weights: Vec<f64>, draws: usize) -> Result<Self, SamplerError> {
        check_weights(&weights)?;
        let index = WeightedIndex::new(&weights).map_err(|_| SamplerError::NoWeight)?;
        Ok(Self { weights, index: Some(index), draws })
    }

    /// `draws` different samples an epoch, in random order.
    ///
    /// # Errors
    /// If a weight is negative or not a number, or fewer than `draws` are positive.
    pub fn without_replacement(weights: Vec<f64>, draws: usize) -> Result<Self, SamplerError> {
        check_weights(&weights)?;
        let positive = weights.iter().filter(|weight| **weight > 0.0).count();
        if draws > positive {
            return Err(SamplerError::TooManyDraws { draws, positive });
        }
        Ok(Self { weights, index: None, draws })
    }
}

impl Sampler for Weighted {
    fn len(&self) -> usize {
        self.draws
    }

    fn order(&self, _: u64, rng: &mut SampleRng) -> Vec<usize> {
        if let Some(index) = &self.index {
            return index.sample_iter(rng).take(self.draws).collect();
        }
        let weight = |index: usize| self.weights[index];
        // Weights and number of draws were checked, so that there is nothing to fail.
        let drawn = index::sample_weighted(rng, self.weights.len(), weight, self.draws);
        let mut order = drawn.map(index::IndexVec::into_vec).unwrap_or_default();
        // They come out in an order that says something of their weights.
        order.shuffle(rng);
        order
    }

    fn repeats(&self) -> bool {
        self.index.is_some()
    }
}

fn check_weights(weights: &[f64]) -> Result<(), SamplerError> {
    let bad = |weight: &f64| !(weight.is_finite() && *weight >= 0.0);
    match weights.iter().position(bad) {
        Some(index) => Err(SamplerError::Weight { index, weight: weights[index] }),
        None => Ok(()),
    }
}

/// Why a sampler cannot be made or used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SamplerError {
    /// A weight that is no weight.
    #[error("the weight of sample {index} is {weight}, but must be 0 or more")]
    Weight {
        /// Whose.
        index: usize,
        /// Its value.
        weight: f64,
    },
    /// No sample can be drawn.
    #[error("no sample has a positive weight that a number can hold the sum of")]
    NoWeight,
    /// More draws without replacement than samples.
    #[error(
        "{draws} different samples are to be drawn, but only {positive} have a positive weight"
    )]
    TooManyDraws {
        /// Asked for.
        draws: usize,
        /// There are.
        positive: usize,
    },
    /// One sample alone goes over the limit of a batch.
    #[error("sample {index} has length {length}, over the limit of {limit} for a whole batch")]
    TooLong {
        /// Which.
        index: usize,
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// A sampler's index is none of the data set's.
    #[error("the sampler gave index {index}, but the data set has {samples} samples")]
    Index {
        /// The index.
        index: usize,
        /// Samples in the data set.
        samples: usize,
    },
    /// An order of another length than said.
    #[error("the sampler gave {got} indices, but says that an epoch has {expected}")]
    Length {
        /// The order's length.
        got: usize,
        /// [`Sampler::len`].
        expected: usize,
    },
    /// A sampler that says another length than when the loader was built.
    #[error(
        "the sampler says that an epoch has {is} indices, but said {was} when the loader was built\nhint: build another loader for it"
    )]
    LengthChanged {
        /// [`Sampler::len`] then.
        was: usize,
        /// [`Sampler::len`] now.
        is: usize,
    },
    /// A batch of another size than said, or an empty one.
    #[error("the batch sampler gave a batch of {got} samples, but must give 1 to {most}")]
    BatchSize {
        /// The batch's.
        got: usize,
        /// [`BatchSampler::max_batch_size`] when the loader was built.
        most: usize,
    },
}
