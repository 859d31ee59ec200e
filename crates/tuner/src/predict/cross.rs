//! How wrong predictions are: each setting is left out in turn, with all of its runs, and predicted from
//! the others, levels of sweeps and all.
//!
//! Intervals are as wide as these errors were: what a setting is off by, in the standard deviations that
//! were expected, of the model and of as many runs as it had, is put in order, and the error that 90% stay
//! under is allowed for each prediction, in its own standard deviations. That is the jackknife of locally
//! weighted residuals (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-Free Predictive Inference
//! for Regression, 2018), with the rank that conformal prediction takes, `ceil(0.9 x (n + 1))` of `n`
//! settings; with fewer than nine of them the largest error is taken, and holds in `n / (n + 1)`. Nor is any
//! interval narrower than that rank of the errors as they are: between settings that were measured a rate may
//! bend where the model does not see it.

use profiler::statistics::{median, quantile, sorted};

use super::fitted::{Fitted, Run};
use super::{Errors, Predicted};
use crate::sweep::gaussian_process::FAR;
use crate::sweep::grid::Cell;
use crate::sweep::model::Prior;

/// What intervals are to hold.
const HELD: f64 = 0.9;
/// Far from all that was measured the errors of settings between others say little: there an interval is
/// at least so many standard deviations wide, which hold 90% of what is normally distributed.
const LEAST_FAR: f64 = 1.645;

/// A setting that was left out.
#[derive(Clone, Copy, Debug)]
struct Fold {
    /// Logarithm of what was measured by what was predicted.
    off: f64,
    /// That, in standard deviations that were expected, those of its own runs among them.
    deviations: f64,
    /// Whether the stage that limits it was the one predicted; absent where it is not known.
    limit_right: Option<bool>,
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct LeftOneOut {
    folds: Vec<Fold>,
    /// The half-width of intervals, in standard deviations.
    width: f64,
    /// And at least, as a logarithm.
    least: f64,
    /// What they hold.
    share: f64,
    /// The standard deviation of what is measured of a setting, by as many runs as the middle one had.
    noise: f64,
}

impl LeftOneOut {
    /// Of the `runs` that `all` was fitted to.
    pub(super) fn new(prior: &Prior, runs: &[Run], all: &Fitted) -> Self {
        let fold = |cell: &Cell| {
            let others = runs.iter().filter(|run| run.cell != *cell);
            let fitted = Fitted::new(prior, others, all.levels.len());
            let its = runs.iter().filter(|run| run.cell == *cell);
            let rates: Vec<f64> = its.map(|run| fitted.without_level(run)).collect();
            let expected = fitted.at(*cell);
            let off = (median(&rates)? / expected.value).ln();
            let noise = fitted.fit.noise() / (rates.len() as f64).sqrt();
            let limit = all.settings.get(cell).and_then(|setting| setting.limit());
            let limit_right = limit.zip(fitted.limit(*cell)).map(|(is, said)| is == said.stage);
            let deviations = off.abs() / expected.uncertainty.hypot(noise);
            Some(Fold { off, deviations, limit_right })
        };
        let folds: Vec<Fold> = all.settings.keys().filter_map(fold).collect();
        // The one of those in order that is to hold 90%, as far as there are so many.
        let of = folds.len() + 1;
        let rank = ((HELD * of as f64).ceil() as usize).min(folds.len());
        let held = |error: fn(&Fold) -> f64| {
            let errors = sorted(&folds.iter().map(error).collect::<Vec<f64>>());
            rank.checked_sub(1)
                .and_then(|place| errors.get(place).copied())
                .unwrap_or(f64::INFINITY)
        };
        let runs: Vec<f64> = all.settings.values().map(|it| it.rates.len() as f64).collect();
        Self {
            width: held(|fold| fold.deviations),
            least: held(|fold| fold.off.abs()),
            share: rank as f64 / of as f64,
            noise: all.fit.noise() / median(&runs).unwrap_or(1.0).sqrt(),
            folds,
        }
    }

    /// What they come to.
    pub(super) fn errors(&self) -> Errors {
        let errors: Vec<f64> =
            self.folds.iter().map(|fold| ((-fold.off).exp() - 1.0).abs()).collect();
        let errors = sorted(&errors);
        let at = |share| quantile(&errors, share).unwrap_or(f64::NAN);
        let limits = || self.folds.iter().filter_map(|fold| fold.limit_right);
        Errors {
            median: at(0.5),
            ninetieth: at(0.9),
            interval_share: self.share,
            limits: limits().count(),
            limits_right: limits().filter(|right| *right).count(),
        }
    }

    /// What `fitted`, which all runs are in, says of `cell`.
    pub(super) fn predict(&self, fitted: &Fitted, cell: Cell) -> Predicted {
        let expected = fitted.at(cell);
        let measured = fitted.measured(cell);
        let far = measured.is_none() && expected.uncertainty > FAR;
        let width = if far { self.width.max(LEAST_FAR) } else { self.width };
        let deviation = expected.uncertainty.hypot(self.noise);
        let factor = (width * deviation).max(self.least).exp();
        Predicted {
            cell,
            samples_per_s: expected.value,
            interval: [expected.value / factor, expected.value * factor],
            far,
            limit: fitted.limit(cell),
            measured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::replay::tests::normals;

    /// Samples a second: two cores, waits for room of a small depth, and what a batch costs.
    fn law(cell: Cell) -> f64 {
        let (workers, depth) = (cell.num_workers as f64, cell.prefetch_depth as f64);
        let loaded = 800.0 * workers.clamp(0.9, 2.0) * (1.0 - 0.2 / depth) * 0.98_f64.powf(workers);
        loaded * (1.0 - 2.0 / cell.batch_size as f64)
    }

    /// What limits: the file's reading where many workers wait for it.
    fn limiting(cell: Cell) -> &'static str {
        if cell.num_workers > 4 { "read" } else { "decode" }
    }

    fn cells(sizes: &[usize], workers: &[usize], depths: &[usize]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for &batch_size in sizes {
            for &num_workers in workers {
                for &prefetch_depth in depths {
                    cells.push(Cell { batch_size, num_workers, prefetch_depth });
                }
            }
        }
        cells
    }

    const PRIOR: Prior = Prior {
        worker_samples_per_s: Some(900.0),
        ceiling: Some(1800.0),
        work: None,
        memory: crate::sweep::memory::MemoryModel {
            base_bytes: 0,
            fixed_bytes: 0,
            thread_bytes: 0,
            consumer_sample_bytes: 0,
        },
        sample_bytes: 0,
        step_s: None,
    };
    const SCATTER: f64 = 0.03;

    /// Two runs of each setting in three sweeps, on a machine that is not as fast in each.
    fn runs(seed: u64) -> Vec<Run> {
        let mut normal = normals(seed);
        let mut runs = Vec::new();
        for (sweep, level) in [0.85, 1.0, 1.1].into_iter().enumerate() {
            for cell in cells(&[32, 64, 256], &[1, 2, 4, 8], &[1, 2, 4]) {
                // No sweep has all of them.
                if (cell.num_workers + cell.prefetch_depth + sweep).is_multiple_of(3) {
                    continue;
                }
                for _ in 0..2 {
                    let samples_per_s = level * law(cell) * (1.0 + SCATTER * normal());
                    let limit = Some(limiting(cell).to_owned());
                    runs.push(Run { sweep, cell, samples_per_s, limit });
                }
            }
        }
        runs
    }

    fn fitted(runs: &[Run]) -> (Fitted, LeftOneOut) {
        let fitted = Fitted::new(&PRIOR, runs, 3);
        let left_one_out = LeftOneOut::new(&PRIOR, runs, &fitted);
        (fitted, left_one_out)
    }

    #[test]
    fn stated_errors_are_those_had_and_intervals_hold_what_they_say() {
        let new = cells(&[48, 128], &[1, 3, 6], &[1, 3]);
        let (mut stated, mut had, mut held) = (Vec::new(), Vec::new(), 0);
        let mut share = 0.0;
        const SWEEPS: u64 = 20;
        for seed in 0..SWEEPS {
            let runs = runs(seed);
            let mut normal = normals(1000 + seed);
            let (fitted, left_one_out) = fitted(&runs);
            let errors = left_one_out.errors();
            stated.push(errors.median);
            share += errors.interval_share / SWEEPS as f64;
            for &cell in &new {
                let predicted = left_one_out.predict(&fitted, cell);
                assert!(!predicted.far && predicted.measured.is_none(), "{predicted:?}");
                // As many runs as the others had.
                let runs = [(); 4].map(|()| law(cell) * (1.0 + SCATTER * normal()));
                let measured = median(&runs).unwrap();
                had.push((predicted.samples_per_s / measured - 1.0).abs());
                let [low, high] = predicted.interval;
                held += usize::from((low..=high).contains(&measured));
            }
        }
        let (stated, had_middle) = (median(&stated).unwrap(), median(&had).unwrap());
        assert!((0.6..=1.6).contains(&(had_middle / stated)), "stated {stated}, had {had_middle}");
        let held = held as f64 / had.len() as f64;
        assert!(share >= HELD && (share - 0.06..=1.0).contains(&held), "{held} of {share}");
    }

    #[test]
    fn the_stage_that_limits_is_predicted_from_settings_like_it() {
        let runs = runs(1);
        let (fitted, left_one_out) = fitted(&runs);
        let said = |num_workers| {
            let cell = Cell { batch_size: 128, num_workers, prefetch_depth: 2 };
            left_one_out.predict(&fitted, cell).limit.unwrap()
        };
        assert_eq!(said(1).stage, "decode");
        assert_eq!(said(16).stage, "read");
        let errors = left_one_out.errors();
        assert_eq!(errors.limits, 36);
        assert!(errors.limits_right >= 27, "{errors:?}");
        // Of settings whose runs name no stage nothing is said.
        let silent: Vec<Run> = runs.iter().map(|run| Run { limit: None, ..run.clone() }).collect();
        let (fitted, left_one_out) = self::fitted(&silent);
        assert_eq!((left_one_out.errors().limits, fitted.limit(silent[0].cell)), (0, None));
    }

    #[test]
    fn far_from_what_was_measured_the_interval_is_wide_and_that_is_said() {
        let (fitted, left_one_out) = fitted(&runs(2));
        let width = |cell| {
            let predicted = left_one_out.predict(&fitted, cell);
            (predicted.far, predicted.interval[1] / predicted.interval[0])
        };
        let cell = Cell { batch_size: 64, num_workers: 3, prefetch_depth: 2 };
        let (near, narrow) = width(cell);
        let (far, wide) = width(Cell { num_workers: 64, prefetch_depth: 64, ..cell });
        assert!(!near && far && narrow < 1.2 && wide > 1.4, "{narrow} {wide}");
    }

    #[test]
    fn what_was_measured_is_told_beside_what_is_predicted() {
        let runs = runs(3);
        let (fitted, left_one_out) = fitted(&runs);
        let cell = runs[0].cell;
        let predicted = left_one_out.predict(&fitted, cell);
        let measured = predicted.measured.unwrap();
        assert_eq!(measured.runs, runs.iter().filter(|run| run.cell == cell).count());
        assert_eq!(measured.limit.as_deref(), Some(limiting(cell)));
        assert!((measured.samples_per_s / law(cell) - 1.0).abs() < 0.05, "{measured:?}");
        assert!((predicted.samples_per_s / law(cell) - 1.0).abs() < 0.05);
    }

    #[test]
    fn of_few_settings_the_interval_holds_less_and_says_so() {
        let few = cells(&[32], &[1, 2, 4, 8], &[2]);
        let runs: Vec<Run> = runs(4).into_iter().filter(|run| few.contains(&run.cell)).collect();
        let (_, left_one_out) = fitted(&runs);
        assert_eq!(left_one_out.errors().interval_share, 0.8);
    }
}
