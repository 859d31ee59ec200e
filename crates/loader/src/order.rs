//! In which order the samples come, and where one batch ends and the next begins.

use std::ops::Range;
use std::sync::Arc;

use preproc::SampleRng;
use rand::seq::SliceRandom;

/// The order of every epoch.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    pub(crate) samples: usize,
    pub(crate) batch_size: usize,
    pub(crate) drop_last: bool,
    /// The seed to shuffle by; `None` for the data set's order.
    pub(crate) shuffle: Option<u64>,
}

impl Sampler {
    /// Batches in an epoch.
    pub(crate) fn batches(&self) -> usize {
        if self.drop_last {
            self.samples / self.batch_size
        } else {
            self.samples.div_ceil(self.batch_size)
        }
    }

    /// The indices of `epoch`, in order.
    pub(crate) fn epoch(&self, epoch: u64) -> Arc<[usize]> {
        let mut order: Vec<usize> = (0..self.samples).collect();
        if let Some(seed) = self.shuffle {
            order.shuffle(&mut SampleRng::of_order(seed, epoch));
        }
        order.into()
    }

    /// Where batch number `batch` lies in the order.
    pub(crate) fn range(&self, batch: usize) -> Range<usize> {
        let start = batch * self.batch_size;
        start..(start + self.batch_size).min(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_epoch_holds_every_sample_once(
            samples in 1usize..500, batch_size in 1usize..70, drop_last: bool, seed: u64, epoch: u64,
        ) {
            let sampler = Sampler { samples, batch_size, drop_last, shuffle: Some(seed) };
            let order = sampler.epoch(epoch);
            let mut seen: Vec<usize> =
                (0..sampler.batches()).flat_map(|batch| order[sampler.range(batch)].to_vec()).collect();
            seen.sort_unstable();
            seen.dedup();
            let expected = if drop_last { samples / batch_size * batch_size } else { samples };
            prop_assert_eq!(seen.len(), expected);
            prop_assert_eq!(order, sampler.epoch(epoch));
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = |seed, epoch| {
            Sampler { samples: 100, batch_size: 8, drop_last: false, shuffle: Some(seed) }
                .epoch(epoch)
        };
        assert_ne!(order(0, 0), order(0, 1));
        assert_ne!(order(0, 0), order(1, 0));
    }
}
