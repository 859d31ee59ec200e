//! How sure a potential is: resampling of the stretches between snapshots.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::network::{Network, StageId};
use super::window;
use crate::pipeline::PipelineSnapshot;

/// Fewer stretches say nothing about how much they scatter.
const LEAST: usize = 8;
const REPLICATES: usize = 1000;
/// What is left out at each end of the interval.
const TAIL: f64 = 0.025;
/// Fixed: the same snapshots give the same interval.
const SEED: u64 = 0;

/// The 95% percentile interval (Efron and Tibshirani 1993, chapter 13) of each stage's potential;
/// `None` of too few stretches.
pub(super) fn intervals(
    stretches: &[PipelineSnapshot],
    cores: f64,
) -> Option<BTreeMap<StageId, [f64; 2]>> {
    if stretches.len() < LEAST {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut potentials: BTreeMap<StageId, Vec<f64>> = BTreeMap::new();
    for _ in 0..REPLICATES {
        let drawn: Vec<_> =
            stretches.iter().map(|_| &stretches[rng.random_range(0..stretches.len())]).collect();
        let Some(sum) = window::sum(&drawn) else { continue };
        let Some(network) = Network::of(&sum, cores) else { continue };
        for (i, station) in sum.stations.iter().enumerate() {
            for j in 0..station.stages.len() {
                potentials.entry((i, j)).or_default().push(network.potential((i, j)));
            }
        }
    }
    Some(potentials.into_iter().map(|(id, values)| (id, percentiles(values))).collect())
}

fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
    [at(TAIL), at(1.0 - TAIL)]
}
