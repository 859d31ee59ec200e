//! The randomness of one sample.

use std::convert::Infallible;

use rand::{SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;

/// A counter-based generator keyed by (seed, epoch, index).
///
/// The key of the ChaCha block cipher *is* those three numbers, so a sample draws the same values
/// whichever thread prepares it, in whatever order, and two samples never share a stream.
/// Nothing is computed before the first draw.
#[derive(Clone, Debug)]
pub struct SampleRng {
    key: [u8; 32],
    chacha: Option<ChaCha8Rng>,
}

impl SampleRng {
    /// The generator of sample `index` in `epoch` of a run with `seed`.
    pub fn new(seed: u64, epoch: u64, index: u64) -> Self {
        Self::keyed(seed, epoch, index, 0)
    }

    /// The generator of the order of the samples in `epoch` of a run with `seed`.
    pub fn of_order(seed: u64, epoch: u64) -> Self {
        Self::keyed(seed, epoch, 0, 1)
    }

    /// The generator of sample `index` where an epoch may hold it more than once: it comes at
    /// `position` of the epoch, and differs from its others.
    pub fn of_repeat(seed: u64, epoch: u64, index: u64, position: u64) -> Self {
        Self::keyed(seed, epoch, index, 3 + position)
    }

    /// The generator of what takes the place of sample `index`, which could not be loaded.
    pub fn of_replacement(seed: u64, epoch: u64, index: u64) -> Self {
        Self::keyed(seed, epoch, index, 2)
    }

    /// The generator of what is done to batch number `batch` of `epoch` as a whole, by process `rank`
    /// of `world_size`.
    pub fn of_batch(seed: u64, epoch: u64, batch: u64, [rank, world_size]: [u64; 2]) -> Self {
        // From the other end: no epoch has so many samples.
        Self::keyed(seed, epoch, batch * world_size + rank, u64::MAX)
    }

    /// Whether anything was drawn from it, or from the one it was cloned from before.
    pub fn has_drawn(&self) -> bool {
        self.chacha.is_some()
    }

    fn keyed(seed: u64, epoch: u64, index: u64, purpose: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        key[24..].copy_from_slice(&purpose.to_le_bytes());
        Self { key, chacha: None }
    }

    fn chacha(&mut self) -> &mut ChaCha8Rng {
        self.chacha.get_or_insert_with(|| ChaCha8Rng::from_seed(self.key))
    }
}

impl TryRng for SampleRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.chacha().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.chacha().try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.chacha().try_fill_bytes(dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn the_key_decides_the_draws() {
        let draw = |seed, epoch, index| SampleRng::new(seed, epoch, index).random::<u64>();
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let others = [draw(1, 2, 3), draw(2, 2, 3), draw(1, 3, 3), draw(1, 2, 4), draw(3, 2, 1)];
        for (i, a) in others.iter().enumerate() {
            assert!(others[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn purposes_differ() {
        let draws = [
            SampleRng::new(1, 2, 0),
            SampleRng::of_order(1, 2),
            SampleRng::of_replacement(1, 2, 0),
            SampleRng::of_batch(1, 2, 0, [0, 2]),
            SampleRng::of_batch(1, 2, 0, [1, 2]),
            SampleRng::of_batch(1, 2, 1, [0, 2]),
            SampleRng::of_repeat(1, 2, 0, 0),
            SampleRng::of_repeat(1, 2, 0, 1),
        ]
        .map(|mut rng| rng.random::<u64>());
        for (i, a) in draws.iter().enumerate() {
            assert!(draws[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn it_knows_whether_it_was_drawn_from() {
        let mut rng = SampleRng::new(0, 0, 0);
        assert!(!rng.has_drawn());
        let _: bool = rng.random();
        assert!(rng.has_drawn() && rng.clone().has_drawn());
    }

    #[test]
    fn draws_are_stable_across_releases() {
        // Recorded once: a change here changes every user's training run.
        let mut rng = SampleRng::new(0, 0, 0);
        assert_eq!(rng.random::<u64>(), 15438444565445410878);
    }
}
