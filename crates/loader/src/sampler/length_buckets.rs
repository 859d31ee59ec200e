//! Batches of samples of similar length, so that padding wastes little.

use preproc::SampleRng;
use rand::seq::SliceRandom;

use super::{BatchSampler, SamplerError};

/// Batches of samples of similar length, in random order: for sequences that are padded to the
/// longest of their batch.
///
/// The samples are shuffled, every [`pool`](Self::pool) of them sorted by length and cut into
/// batches, and the batches shuffled.
#[derive(Clone, Debug)]
pub struct LengthBuckets {
    lengths: Vec<usize>,
    limit: Limit,
    pool: usize,
    drop_last: bool,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Samples(usize),
    PaddedLength(usize),
}

impl LengthBuckets {
    /// Batches of `batch_size` samples; `lengths` has the length of each sample of the data set.
    pub fn new(lengths: Vec<usize>, batch_size: usize) -> Self {
        let batch_size = batch_size.max(1);
        let pool = batch_size.saturating_mul(100);
        Self { lengths, limit: Limit::Samples(batch_size), pool, drop_last: false }
    }

    /// Batches of as many samples as stay within `limit` elements when all are padded to the
    /// longest: so many tokens a batch. Samples without any are counted as of one, so that there is
    /// an end to a batch of them.
    ///
    /// # Errors
    /// If one sample alone is longer.
    pub fn by_padded_length(lengths: Vec<usize>, limit: usize) -> Result<Self, SamplerError> {
        if let Some(index) = lengths.iter().position(|length| *length > limit) {
            return Err(SamplerError::TooLong { index, length: lengths[index], limit });
        }
        let mean = lengths.iter().sum::<usize>() / lengths.len().max(1);
        let pool = limit.div_ceil(mean.max(1)).saturating_mul(100).max(1);
        Ok(Self { lengths, limit: Limit::PaddedLength(limit), pool, drop_last: false })
    }

    /// Samples that are sorted together: more waste less padding, fewer mix better. Default: about
    /// 100 batches.
    #[must_use]
    pub fn pool(mut self, samples: usize) -> Self {
        self.pool = samples.max(1);
        self
    }

    /// Leave out the batch of each pool that is not full. Default: false.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// Whether `samples`, of which the longest is `longest`, are as many as a batch may hold.
    fn is_full(&self, samples: usize, longest: usize) -> bool {
        match self.limit {
            Limit::Samples(most) => samples >= most,
            Limit::PaddedLength(most) => (samples + 1).saturating_mul(longest.max(1)) > most,
        }
    }
}

impl BatchSampler for LengthBuckets {
    fn batches(&self, _: u64, rng: &mut SampleRng) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.lengths.len()).collect();
        order.shuffle(rng);
        let mut batches = Vec::new();
        for pool in order.chunks_mut(self.pool) {
            // Stable, so that those of one length stay shuffled. The longest first: a sample that
            // comes later never makes a batch longer.
            pool.sort_by_key(|index| std::cmp::Reverse(self.lengths[*index]));
            let mut batch: Vec<usize> = Vec::new();
            for index in pool {
                batch.push(*index);
                if self.is_full(batch.len(), self.lengths[batch[0]]) {
                    batches.push(std::mem::take(&mut batch));
                }
            }
            if !batch.is_empty() && !self.drop_last {
                batches.push(batch);
            }
        }
        batches.shuffle(rng);
        batches
    }

    fn max_batch_size(&self) -> usize {
        let most = match self.limit {
            Limit::Samples(most) => most,
            Limit::PaddedLength(most) => {
                most / self.lengths.iter().min().copied().unwrap_or(1).max(1)
            }
        };
        most.min(self.pool).min(self.lengths.len()).max(1)
    }
}
