//! Medians and how sure they are: percentile bootstrap intervals (Efron and Tibshirani 1993,
//! chapter 13), with a fixed seed, so that the same values give the same interval.
//!
//! The unit that is resampled is a run, or a stretch of time that is about as good as independent of
//! the others; never a single batch.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::statistics::{mean, median, quantile, sorted};

/// What is left out at each end of a 95% interval.
const TAIL: f64 = 0.025;
/// Fixed: the same values give the same interval.
const SEED: u64 = 0;
const REPLICATES: usize = 4000;
/// Fewer values say nothing about how much they scatter.
const LEAST: usize = 3;

/// The 2.5th and the 97.5th percentile of bootstrap replicates; `None` of none.
pub fn interval(replicates: &[f64]) -> Option<[f64; 2]> {
    let replicates = sorted(replicates);
    Some([quantile(&replicates, TAIL)?, quantile(&replicates, 1.0 - TAIL)?])
}

/// The interval of `median(b) / median(a)`, two sets of runs; `None` with fewer than three on a
/// side, or where the first median may be 0.
pub fn ratio_of_medians(a: &[f64], b: &[f64]) -> Option<[f64; 2]> {
    let (a, b) = (sorted(a), sorted(b));
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
        .map(|_| Some(draw(&b)? / draw(&a)?).filter(|ratio| ratio.is_finite()))
        .collect();
    interval(&ratios?)
}

/// What the runs of one setting gave, and the size of the figure that they are held against: how
/// much they differ is a share of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Runs<'a> {
    /// Of each run.
    pub values: &'a [f64],
    /// Their mean, for what is always positive, as rates and times are. For what passes through zero
    /// something that does not: the sizes of the terms of a sum, or a constant.
    pub size: f64,
}

impl<'a> Runs<'a> {
    /// That differ in proportion to their mean.
    pub fn relative(values: &'a [f64]) -> Self {
        Self { values, size: mean(values).unwrap_or(0.0).abs() }
    }

    /// Of each run how far it is from the mean, in shares of the size, and stretched for the degree of
    /// freedom that the mean took.
    fn residuals(&self) -> Vec<f64> {
        let count = self.values.len() as f64;
        let Some(mean) = mean(self.values).filter(|mean| mean.is_finite()) else {
            return Vec::new();
        };
        if self.values.len() < 2 || !(self.size > 0.0 && self.size.is_finite()) {
            return Vec::new();
        }
        let stretch = (count / (count - 1.0)).sqrt() / self.size;
        self.values.iter().map(|run| (run - mean) * stretch).collect()
    }
}

/// How much runs of one setting differ, learnt from the runs of all settings: with two or three
/// runs a setting does not know its own scatter. A bootstrap of residuals (Efron and Tibshirani
/// 1993, chapter 9), in shares of each setting's [size](Runs::size).
#[derive(Clone, Debug, Default)]
pub struct Scatter {
    residuals: Vec<f64>,
    /// Their mean square.
    variance: f64,
    /// Degrees of freedom behind that.
    freedom: f64,
    /// By number of runs, the interval of the median of as many residuals.
    intervals: BTreeMap<usize, [f64; 2]>,
}

/// So many degrees of freedom the common scatter counts beside a setting's own.
const PRIOR: f64 = 4.0;

impl Scatter {
    /// From the runs of each setting.
    pub fn of<'a>(settings: impl IntoIterator<Item = Runs<'a>>) -> Self {
        let (mut residuals, mut counts, mut freedom) = (Vec::new(), BTreeSet::new(), 0.0);
        for runs in settings {
            let of_setting = runs.residuals();
            freedom += of_setting.len().saturating_sub(1) as f64;
            residuals.extend(of_setting);
            counts.insert(runs.values.len());
        }
        if residuals.len() < LEAST {
            return Self::default();
        }
        let of = |count| Some((count, median_interval(&residuals, count)?));
        let intervals = counts.into_iter().filter_map(of).collect();
        Self { variance: mean_square(&residuals), freedom, residuals, intervals }
    }

    /// The 95% interval of the median of a setting's `runs`; `None` where too few settings have two
    /// runs or more, and where their size is not known.
    pub fn interval(&self, runs: Runs<'_>) -> Option<[f64; 2]> {
        let (middle, count) = (median(runs.values)?, runs.values.len());
        if self.residuals.len() < LEAST || !runs.size.is_finite() {
            return None;
        }
        let known = self.intervals.get(&count).copied();
        let ends = known.or_else(|| median_interval(&self.residuals, count))?;
        // A setting of its own, noisier or quieter than others, is believed the more runs it has.
        // (Stretched residuals: their mean square is the variance.)
        let freedom = count.saturating_sub(1) as f64;
        let own = mean_square(&runs.residuals());
        let variance = (PRIOR * self.variance + freedom * own) / (PRIOR + freedom);
        let scale = if self.variance > 0.0 { (variance / self.variance).sqrt() } else { 0.0 };
        let common = PRIOR * PRIOR / self.freedom.max(1.0);
        let scale = scale * unsure((PRIOR + freedom).powi(2) / (common + freedom));
        Some(ends.map(|end| middle + end * scale * runs.size))
    }
}

/// By how much an interval is wider whose variance is itself known by so many degrees of freedom only
/// (those of a weighted sum by Welch and Satterthwaite): the 97.5th percentile of Student's t by the normal
/// one's, to the first order (Abramowitz and Stegun 1964, 26.7.5).
fn unsure(freedom: f64) -> f64 {
    const NORMAL: f64 = 1.96;
    1.0 + (NORMAL * NORMAL + 1.0) / 4.0 / freedom
}

fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|value| value.powi(2)).sum::<f64>() / values.len().max(1) as f64
}

/// The interval of the median of `count` values drawn from `residuals`, about their own median: those of
/// skewed runs, as where some were held up, are about a mean that no run comes to.
fn median_interval(residuals: &[f64], count: usize) -> Option<[f64; 2]> {
    let middle = median(residuals)?;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![0.0; count];
    let medians = (0..REPLICATES).filter_map(|_| {
        drawn.fill_with(|| residuals[random.random_range(0..residuals.len())]);
        median(&drawn)
    });
    Some(interval(&medians.collect::<Vec<_>>())?.map(|end| end - middle))
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
            let scatter = Scatter::of(runs.iter().map(|runs| Runs::relative(runs)));
            for (truth, runs) in truths.iter().zip(&runs) {
                let [low, high] = scatter.interval(Runs::relative(runs)).unwrap();
                all += 1;
                covered += usize::from((low..=high).contains(truth));
            }
        }
        let share = covered as f64 / f64::from(all);
        assert!((0.90..=0.99).contains(&share), "{share}");
    }

    #[test]
    fn the_interval_of_runs_of_which_few_were_held_up_holds_their_median() {
        let runs = [100.0, 100.2, 99.9, 70.0, 100.1];
        let settings = (0..5).map(|_| Runs::relative(&runs));
        let [low, high] = Scatter::of(settings).interval(Runs::relative(&runs)).unwrap();
        assert!((50.0..=100.0).contains(&low) && (100.0..101.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn one_run_has_an_interval_where_others_were_repeated() {
        let repeated = [[100.0, 104.0], [50.0, 49.0], [10.0, 10.4]];
        let alone = Runs::relative(&[70.0]);
        let all = repeated.iter().map(|runs| Runs::relative(runs)).chain([alone]);
        let [low, high] = Scatter::of(all).interval(alone).unwrap();
        assert!(low < 70.0 && high > 70.0 && high - low < 14.0, "{low} {high}");
        assert_eq!(Scatter::of([alone]).interval(alone), None);
    }

    #[test]
    fn what_passes_through_zero_does_not_spoil_the_intervals_of_others() {
        // A score that is the sum of terms of about 20, once nearly 0, once negative.
        let scores = [[0.1, 0.5], [-3.0, -2.6], [40.0, 40.8], [15.0, 14.7]];
        let sized = |values| Runs { values, size: 20.0 };
        let scatter = Scatter::of(scores.iter().map(|values| sized(values)));
        for values in &scores {
            let [low, high] = scatter.interval(sized(values)).unwrap();
            assert!(high - low > 0.2 && high - low < 2.0, "{values:?}: {low} {high}");
        }
    }

    #[test]
    fn figures_that_are_all_zero_have_an_interval_without_width() {
        let zeros = [[0.0, 0.0], [0.0, 0.0]];
        let scatter = Scatter::of([Runs::relative(&zeros[0]), Runs::relative(&[1.0, 1.1, 1.2])]);
        assert_eq!(scatter.interval(Runs::relative(&zeros[1])), Some([0.0, 0.0]));
    }
}
