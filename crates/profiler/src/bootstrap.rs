//! Medians and how sure they are: percentile bootstrap intervals (Efron and Tibshirani 1993,
//! chapter 13), with a fixed seed, so that the same values give the same interval.
//!
//! The unit that is resampled is a run, or a stretch of time that is about as good as independent of
//! the others; never a single batch.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::statistics::{self, quantile, sorted};

/// What is left out at each end of a 95% interval.
const TAIL: f64 = 0.025;
/// Fixed: the same values give the same interval.
const SEED: u64 = 0;
const REPLICATES: usize = 4000;
/// Fewer values say nothing about how much they scatter.
const LEAST: usize = 3;

/// The middle of values in any order; `None` of no values.
pub fn median(values: &[f64]) -> Option<f64> {
    statistics::median(&sorted(values))
}

/// The 2.5th and the 97.5th percentile of bootstrap replicates; `None` of none.
pub fn interval(replicates: &[f64]) -> Option<[f64; 2]> {
    let replicates = sorted(replicates);
    Some([quantile(&replicates, TAIL)?, quantile(&replicates, 1.0 - TAIL)?])
}

/// The interval of `median(b) / median(a)`, two sets of runs; `None` with fewer than three on a
/// side, or where the first median may be 0.
pub fn ratio_of_medians(a: &[f64], b: &[f64]) -> Option<[f64; 2]> {
    if a.len() < LEAST || b.len() < LEAST {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut draw = |values: &[f64]| {
        let drawn: Vec<f64> =
            values.iter().map(|_| values[random.random_range(0..values.len())]).collect();
        median(&drawn)
    };
    let ratios: Option<Vec<f64>> = (0..REPLICATES)
        .map(|_| Some(draw(b)? / draw(a)?).filter(|ratio| ratio.is_finite()))
        .collect();
    interval(&ratios?)
}

/// How much runs of one setting differ, learnt from the runs of all settings: with two or three
/// runs a setting does not know its own scatter. A bootstrap of residuals (Efron and Tibshirani
/// 1993, chapter 9): relative to the mean of their setting, and stretched for the degree of freedom
/// that the mean took.
#[derive(Clone, Debug, Default)]
pub struct Scatter {
    residuals: Vec<f64>,
    /// By number of runs, the interval of the median of as many residuals.
    intervals: BTreeMap<usize, [f64; 2]>,
}

/// So many degrees of freedom the common scatter counts beside a setting's own.
const PRIOR: f64 = 4.0;

impl Scatter {
    /// From the runs of each setting.
    pub fn of<'a>(settings: impl IntoIterator<Item = &'a [f64]> + Clone) -> Self {
        let residuals: Vec<f64> = settings.clone().into_iter().flat_map(residuals).collect();
        let counts: BTreeSet<usize> =
            settings.into_iter().map(<[f64]>::len).filter(|count| *count > 0).collect();
        let intervals = if residuals.len() < LEAST {
            BTreeMap::new()
        } else {
            let of = |count| Some((count, median_interval(&residuals, count)?));
            counts.into_iter().filter_map(of).collect()
        };
        Self { residuals, intervals }
    }

    /// The 95% interval of the median of a setting's `runs`, one of those that it was made from;
    /// `None` where too few settings have two runs or more.
    pub fn interval(&self, runs: &[f64]) -> Option<[f64; 2]> {
        let middle = median(runs)?;
        let [low, high] = self.intervals.get(&runs.len())?;
        let own: f64 = residuals(runs).iter().map(|residual| residual.powi(2)).sum();
        let all: f64 = self.residuals.iter().map(|residual| residual.powi(2)).sum();
        let common = all / self.residuals.len() as f64;
        // A setting of its own, noisier or quieter than others, is believed the more runs it has.
        // (Stretched residuals: their mean square is the variance.)
        let freedom = runs.len().saturating_sub(1) as f64;
        let own_variance = own / runs.len() as f64;
        let variance = (PRIOR * common + freedom * own_variance) / (PRIOR + freedom);
        let scale = if common > 0.0 { (variance / common).sqrt() } else { 0.0 };
        Some([low, high].map(|end| middle + end * scale * middle.abs()))
    }
}

/// Of each run from the mean of all, in shares of it.
fn residuals(runs: &[f64]) -> Vec<f64> {
    let count = runs.len() as f64;
    let mean = runs.iter().sum::<f64>() / count;
    if runs.len() < 2 || !mean.is_finite() || mean == 0.0 {
        return Vec::new();
    }
    let stretch = (count / (count - 1.0)).sqrt() / mean.abs();
    runs.iter().map(|run| (run - mean) * stretch).collect()
}

/// The interval of the median of `count` values drawn from `residuals`.
fn median_interval(residuals: &[f64], count: usize) -> Option<[f64; 2]> {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![0.0; count];
    let medians = (0..REPLICATES).filter_map(|_| {
        drawn.fill_with(|| residuals[random.random_range(0..residuals.len())]);
        median(&drawn)
    });
    interval(&medians.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standard normal number, by Box and Muller.
    fn normal(random: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (random.random(), random.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    #[test]
    fn scatter_learnt_from_all_settings_covers_the_truth_with_three_runs() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let (mut covered, mut all) = (0, 0);
        for _ in 0..40 {
            let truths: Vec<f64> = (1..=20).map(|setting| 100.0 * f64::from(setting)).collect();
            let runs: Vec<Vec<f64>> = truths
                .iter()
                .map(|truth| (0..3).map(|_| truth * (1.0 + 0.05 * normal(&mut random))).collect())
                .collect();
            let scatter = Scatter::of(runs.iter().map(Vec::as_slice));
            for (truth, runs) in truths.iter().zip(&runs) {
                let [low, high] = scatter.interval(runs).unwrap();
                all += 1;
                covered += usize::from((low..=high).contains(truth));
            }
        }
        let share = covered as f64 / f64::from(all);
        assert!((0.90..=0.99).contains(&share), "{share}");
    }

    #[test]
    fn one_run_has_an_interval_where_others_were_repeated() {
        let repeated = [[100.0, 104.0], [50.0, 49.0], [10.0, 10.4]];
        let all = repeated.iter().map(<[f64; 2]>::as_slice).chain([&[70.0][..]]);
        let [low, high] = Scatter::of(all).interval(&[70.0]).unwrap();
        assert!(low < 70.0 && high > 70.0 && high - low < 14.0, "{low} {high}");
        let alone = [&[70.0][..]];
        assert_eq!(Scatter::of(alone).interval(&[70.0]), None);
    }
}
