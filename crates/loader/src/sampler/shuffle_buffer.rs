//! Shards in random order, their samples through a buffer.
//!
//! This order reads a few shards at a time, each from its beginning to its end. Where a sample can be had
//! at any place, an exact shuffle mixes better and costs the same; where it cannot (rows of
//! compressed columns, disks that seek) this order keeps what is read close together.

use std::ops::Range;

use preproc::SampleRng;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::Sampler;

/// The order of WebDataset's shuffle: shards in random order, and their samples in turn into a
/// buffer of `buffer` samples from which, when it is full, a random one is drawn.
///
/// A sample comes out at most `buffer - 1` places earlier than it went in, and on average `buffer`
/// later. A buffer of one sample, or none, leaves the samples of a shard in order.
///
/// ```no_run
/// use loader::datasets::TarShards;
/// use loader::sampler::ShuffleBuffer;
/// # fn f(shards: TarShards) -> Result<(), loader::LoaderError> {
/// let sampler = ShuffleBuffer { shards: shards.shards().to_vec(), buffer: 10_000 };
/// let loader = loader::Loader::builder(shards).sampler(sampler).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ShuffleBuffer {
    /// Where each shard's samples lie, or each row group's.
    pub shards: Vec<Range<usize>>,
    /// Samples in the buffer.
    pub buffer: usize,
}

impl Sampler for ShuffleBuffer {
    fn len(&self) -> usize {
        self.shards.iter().map(Range::len).sum()
    }

    fn order(&self, _: u64, rng: &mut SampleRng) -> Vec<usize> {
        shuffle_buffer(&self.shards, self.buffer, rng)
    }
}

fn shuffle_buffer(shards: &[Range<usize>], buffer: usize, rng: &mut SampleRng) -> Vec<usize> {
    let mut shards = shards.to_vec();
    shards.shuffle(rng);
    let samples = shards.iter().map(Range::len).sum();
    let mut order = Vec::with_capacity(samples);
    let mut waiting = Vec::with_capacity(buffer.clamp(1, samples.max(1)));
    for index in shards.into_iter().flatten() {
        waiting.push(index);
        if waiting.len() >= buffer.max(1) {
            order.push(waiting.swap_remove(rng.random_range(0..waiting.len())));
        }
    }
    waiting.shuffle(rng);
    order.append(&mut waiting);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(sizes: &[usize]) -> Vec<Range<usize>> {
        let mut start = 0;
        let next = |size: &usize| {
            start += size;
            start - size..start
        };
        sizes.iter().map(next).collect()
    }

    proptest! {
        #[test]
        fn each_index_comes_once_and_not_long_before_its_turn(
            sizes in prop::collection::vec(0_usize..60, 0..12),
            buffer in 0_usize..200,
            seed: u64,
            epoch: u64,
        ) {
            let shards = ranges(&sizes);
            let order = shuffle_buffer(&shards, buffer, &mut SampleRng::of_order(seed, epoch));
            prop_assert_eq!(&order, &shuffle_buffer(&shards, buffer, &mut SampleRng::of_order(seed, epoch)));

            // Without a buffer the shards' order is seen; their order is drawn first, so it is
            // the same with one.
            let in_turn = shuffle_buffer(&shards, 1, &mut SampleRng::of_order(seed, epoch));
            let mut place = vec![usize::MAX; order.len()];
            for (turn, index) in in_turn.iter().enumerate() {
                place[*index] = turn;
            }
            for (out, index) in order.iter().enumerate() {
                prop_assert!(place[*index] < out + buffer.max(1), "{} came {} early", index, place[*index] - out);
            }
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..sizes.iter().sum()).collect::<Vec<_>>());
        }

        #[test]
        fn without_a_buffer_shards_stay_whole(
            sizes in prop::collection::vec(1_usize..60, 1..12),
            buffer in 0_usize..2,
            seed: u64,
        ) {
            let shards = ranges(&sizes);
            let order = shuffle_buffer(&shards, buffer, &mut SampleRng::of_order(seed, 0));
            let mut rest = &order[..];
            let mut seen = 0;
            while let Some(first) = rest.first() {
                let shard = shards.iter().find(|shard| shard.start == *first);
                let shard = shard.expect("a shard begins at its first sample");
                let (whole, after) = rest.split_at(shard.len());
                prop_assert_eq!(whole, shard.clone().collect::<Vec<_>>());
                (rest, seen) = (after, seen + 1);
            }
            prop_assert_eq!(seen, shards.len());
        }
    }

    #[test]
    fn a_buffer_mixes_neighbouring_shards() {
        let shards = ranges(&[1000; 10]);
        let order = shuffle_buffer(&shards, 2000, &mut SampleRng::of_order(0, 0));
        // The first 1,000 drawn come from the first 3,000 that went in, and not from one shard.
        let mut from = [0; 10];
        order[..1000].iter().for_each(|index| from[index / 1000] += 1);
        let shards_seen = from.iter().filter(|count| **count > 100).count();
        assert_eq!(shards_seen, 3, "{from:?}");
        assert_ne!(order, shuffle_buffer(&shards, 2000, &mut SampleRng::of_order(0, 1)));
        assert_ne!(order, shuffle_buffer(&shards, 2000, &mut SampleRng::of_order(1, 0)));
    }
}
