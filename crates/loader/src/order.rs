//! The order of one epoch, and where one batch ends and the next begins.

use std::hash::Hasher;
use std::ops::Range;

use preproc::SampleRng;
use siphasher::sip::SipHasher13;

use crate::LoaderError;
use crate::distributed::{Rank, RankError, Uneven};
use crate::sampler::{BatchSampler, Sampler, SamplerError};

/// What makes the order of every epoch.
pub(crate) struct EpochOrders {
    pub(crate) batching: Batching,
    /// Samples in the data set.
    pub(crate) samples: usize,
    pub(crate) seed: u64,
    pub(crate) rank: Rank,
    pub(crate) uneven: Uneven,
    /// Of the data set.
    pub(crate) fingerprint: u64,
}

/// How an epoch is cut into batches. A sampler is asked once how much it gives, as memory is made
/// for that: one that says something else later cannot make a larger batch.
pub(crate) enum Batching {
    /// `len` is the sampler's.
    Every { sampler: Box<dyn Sampler>, len: usize, batch_size: usize, drop_last: bool },
    /// `most` is the sampler's largest batch.
    By { sampler: Box<dyn BatchSampler>, most: usize },
}

impl Batching {
    /// Samples in the largest batch of one rank.
    pub(crate) fn max_batch_size(&self) -> usize {
        match self {
            Batching::Every { len, batch_size, .. } => (*batch_size).min(*len),
            Batching::By { most, .. } => *most,
        }
    }
}

/// The order of one epoch. No batch is larger than [`Batching::max_batch_size`].
#[derive(Debug)]
pub(crate) struct Order {
    indices: Vec<usize>,
    /// Where the batches of all ranks end, rank 0's of the first step first. As many for each
    /// rank.
    ends: Vec<usize>,
    /// Where a last step that is not full may end, with one number of ranks or another.
    tail: Range<usize>,
    /// So many samples at the front are the same whatever the number of ranks, of batches as large for all
    /// of them together.
    common: usize,
    rank: Rank,
    repeats: bool,
    /// Of data set and order.
    fingerprint: u64,
}

impl EpochOrders {
    /// The order of `epoch`.
    ///
    /// # Errors
    /// If the sampler breaks its word, or its samples cannot be shared evenly and must be.
    pub(crate) fn of(&self, epoch: u64) -> Result<Order, LoaderError> {
        let mut rng = SampleRng::of_order(self.seed, epoch);
        let (mut order, repeats) = match &self.batching {
            Batching::Every { sampler, len, batch_size, .. } => {
                let indices = sampler.order(epoch, &mut rng);
                let (got, expected) = (indices.len(), sampler.len());
                if expected != *len {
                    return Err(SamplerError::LengthChanged { was: *len, is: expected }.into());
                }
                if got != expected {
                    return Err(SamplerError::Length { got, expected }.into());
                }
                (self.cut(indices, *batch_size)?, sampler.repeats())
            }
            Batching::By { sampler, most } => {
                let batches = sampler.batches(epoch, &mut rng);
                (self.share(batches, *most)?, sampler.repeats())
            }
        };
        order.repeats = repeats;
        if let Some(index) = order.indices.iter().find(|index| **index >= self.samples) {
            let (index, samples) = (*index, self.samples);
            return Err(SamplerError::Index { index, samples }.into());
        }
        Ok(order)
    }

    /// Batches in an epoch, without making its order where that is possible.
    ///
    /// # Errors
    /// See [`of`](Self::of).
    pub(crate) fn batches(&self) -> Result<usize, LoaderError> {
        match &self.batching {
            Batching::Every { len, batch_size, .. } => {
                let (full, tail_batch) = self.parts(*len, *batch_size)?;
                Ok(full / batch_size / self.rank.world_size() + usize::from(tail_batch > 0))
            }
            Batching::By { .. } => Ok(self.of(0)?.batches()),
        }
    }

    /// Samples that the largest batches of all ranks hold together.
    pub(crate) fn global_batch_size(&self) -> usize {
        let batch_size = match &self.batching {
            Batching::Every { batch_size, .. } => *batch_size,
            Batching::By { most, .. } => *most,
        };
        batch_size.saturating_mul(self.rank.world_size())
    }

    /// Of so many samples, those in batches that are full for all ranks, and how large one rank's
    /// batch of the others is.
    fn parts(&self, samples: usize, batch_size: usize) -> Result<(usize, usize), LoaderError> {
        let world_size = self.rank.world_size();
        let step = batch_size.saturating_mul(world_size);
        let full = samples / step * step;
        let drop_last = matches!(self.batching, Batching::Every { drop_last: true, .. });
        let tail = if drop_last { 0 } else { samples - full };
        let tail_batch = match self.uneven {
            Uneven::Pad => tail.div_ceil(world_size),
            Uneven::Error if !tail.is_multiple_of(world_size) => {
                return Err(RankError::Uneven { left: tail, what: "samples", world_size }.into());
            }
            Uneven::Drop | Uneven::Error => tail / world_size,
        };
        Ok((full, tail_batch))
    }

    /// Cuts an order into batches of `batch_size`, the same number of them for each rank.
    fn cut(&self, mut indices: Vec<usize>, batch_size: usize) -> Result<Order, LoaderError> {
        let fingerprint = self.fingerprint(indices.iter().copied());
        let world_size = self.rank.world_size();
        let (full, tail_batch) = self.parts(indices.len(), batch_size)?;
        let end = full + tail_batch * world_size;
        indices.truncate(end);
        // What is dropped of the last step depends on the number of ranks.
        let common = match self.uneven {
            Uneven::Drop if full > 0 => full,
            _ => indices.len(),
        };
        for position in 0..end - indices.len() {
            indices.push(indices[position]);
        }
        let mut ends: Vec<usize> = (1..=full / batch_size).map(|n| n * batch_size).collect();
        if tail_batch > 0 {
            ends.extend((1..=world_size).map(|n| full + n * tail_batch));
        }
        let step = batch_size.saturating_mul(world_size);
        let tail = full + 1..full.saturating_add(step).saturating_add(1);
        let rank = self.rank;
        Ok(Order { indices, ends, tail, common, rank, repeats: false, fingerprint })
    }

    /// Shares batches of at most `most` samples among the ranks, the same number for each.
    fn share(&self, mut batches: Vec<Vec<usize>>, most: usize) -> Result<Order, LoaderError> {
        if let Some(batch) = batches.iter().find(|batch| !(1..=most).contains(&batch.len())) {
            return Err(SamplerError::BatchSize { got: batch.len(), most }.into());
        }
        let fingerprint = self.fingerprint(batches.iter().map(|batch| batch[0]));
        let world_size = self.rank.world_size();
        let left = batches.len() % world_size;
        match self.uneven {
            _ if left == 0 => {}
            Uneven::Pad => {
                for number in 0..world_size - left {
                    batches.push(batches[number].clone());
                }
            }
            Uneven::Drop => batches.truncate(batches.len() - left),
            Uneven::Error => {
                return Err(RankError::Uneven { left, what: "batches", world_size }.into());
            }
        }
        let ends = batches.iter().scan(0, |end, batch| {
            *end += batch.len();
            Some(*end)
        });
        let (indices, ends, tail) = (batches.concat(), ends.collect(), 0..0);
        let (common, rank) = (indices.len(), self.rank);
        Ok(Order { indices, ends, tail, common, rank, repeats: false, fingerprint })
    }

    /// Of the data and some of an order, so that it costs nothing beside making the order; before
    /// it is padded, so that the number of ranks says nothing.
    fn fingerprint(&self, order: impl ExactSizeIterator<Item = usize>) -> u64 {
        const LOOKED_AT: usize = 64;
        let mut hasher = SipHasher13::new();
        hasher.write_u64(self.fingerprint);
        hasher.write_u64(order.len() as u64);
        let every = (order.len() / LOOKED_AT).max(1);
        for index in order.step_by(every).take(LOOKED_AT) {
            hasher.write_u64(index as u64);
        }
        // TOML has no integers of 64 bits without a sign.
        hasher.finish() >> 1
    }
}

impl Order {
    /// Batches of this rank.
    pub(crate) fn batches(&self) -> usize {
        self.ends.len() / self.rank.world_size()
    }

    /// Where batch number `batch` of this rank lies.
    pub(crate) fn range(&self, batch: usize) -> Range<usize> {
        let number = batch * self.rank.world_size() + self.rank.rank();
        self.start_of(number)..self.ends[number]
    }

    /// The samples at these positions.
    pub(crate) fn indices(&self, range: Range<usize>) -> &[usize] {
        &self.indices[range]
    }

    /// Samples of the epoch, of all ranks, which are the same for another number of ranks.
    pub(crate) fn common(&self) -> &[usize] {
        &self.indices[..self.common]
    }

    /// What the sample at `position` draws from.
    pub(crate) fn rng(&self, seed: u64, epoch: u64, position: usize) -> SampleRng {
        let index = self.indices[position] as u64;
        if self.repeats {
            SampleRng::of_repeat(seed, epoch, index, position as u64)
        } else {
            SampleRng::new(seed, epoch, index)
        }
    }

    /// Samples that all ranks together have had when each has had `batches`.
    pub(crate) fn samples_in(&self, batches: usize) -> usize {
        self.start_of(batches * self.rank.world_size())
    }

    /// The batch of this rank at which all ranks together have had `samples`, if there is one.
    /// How many the last step holds depends on the number of ranks, which may have been another.
    pub(crate) fn batch_after(&self, samples: usize) -> Option<usize> {
        if self.tail.contains(&samples) {
            return Some(self.batches());
        }
        let number = self.ends.partition_point(|end| *end <= samples);
        let batch = number / self.rank.world_size();
        (self.samples_in(batch) == samples).then_some(batch)
    }

    /// Tells this order of this data from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn start_of(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}
