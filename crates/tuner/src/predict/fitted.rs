//! The model of the sweep, fitted to the runs of several.

use std::collections::BTreeMap;

use profiler::statistics::median;

use super::{MeasuredSetting, PredictedLimit};
use crate::sweep::grid::Cell;
use crate::sweep::limit::most_named;
use crate::sweep::model::{Fit, Prediction, Prior};

/// A run that gave figures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    /// The place of its sweep.
    pub(super) sweep: usize,
    pub(super) cell: Cell,
    pub(super) samples_per_s: f64,
    /// The stage that limited it, where that is known.
    pub(super) limit: Option<String>,
}

/// The runs of a setting, of all sweeps.
#[derive(Clone, Debug, Default)]
pub(super) struct Setting {
    /// Samples a second of each, the level of its sweep taken off.
    pub(super) rates: Vec<f64>,
    /// The stages that they name.
    limits: Vec<String>,
}

/// The model, and the settings that it was fitted to.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) settings: BTreeMap<Cell, Setting>,
    /// How fast the machine was in each sweep, as a logarithm beside the middle one; `None` where it
    /// shares no setting with another.
    pub(super) levels: Vec<Option<f64>>,
    pub(super) fit: Fit,
}

impl Setting {
    /// The stage that most runs name.
    pub(super) fn limit(&self) -> Option<&str> {
        most_named(self.limits.iter().map(String::as_str)).map(|(stage, _)| stage)
    }

    /// The share of its runs that name `stage`.
    fn share(&self, stage: &str) -> Option<f64> {
        let named = self.limits.iter().filter(|limit| *limit == stage).count();
        (!self.limits.is_empty()).then(|| named as f64 / self.limits.len() as f64)
    }
}

impl Fitted {
    /// Of these runs, of so many sweeps.
    pub(super) fn new<'a>(
        prior: &Prior,
        runs: impl IntoIterator<Item = &'a Run> + Clone,
        sweeps: usize,
    ) -> Self {
        let levels = levels(runs.clone(), sweeps);
        let mut settings: BTreeMap<Cell, Setting> = BTreeMap::new();
        for run in runs {
            let setting = settings.entry(run.cell).or_default();
            setting.rates.push(without_level(run, &levels));
            setting.limits.extend(run.limit.clone());
        }
        let rates: Vec<(Cell, Vec<f64>)> =
            settings.iter().map(|(cell, setting)| (*cell, setting.rates.clone())).collect();
        Self { fit: Fit::of_rates(prior, &rates), settings, levels }
    }

    /// Samples a second of a run, the level of its sweep taken off.
    pub(super) fn without_level(&self, run: &Run) -> f64 {
        without_level(run, &self.levels)
    }

    /// The levels of the slowest sweep and of the fastest, as a factor of the middle one's.
    pub(super) fn level_range(&self) -> Option<[f64; 2]> {
        let levels = || self.levels.iter().flatten().copied();
        levels().reduce(f64::min).zip(levels().reduce(f64::max)).map(|(a, b)| [a.exp(), b.exp()])
    }

    /// Samples a second that are expected of `cell`.
    pub(super) fn at(&self, cell: Cell) -> Prediction {
        self.fit.at(cell.plain())
    }

    /// What is expected to limit `cell`: the stage that most runs of the settings name, each weighed as its
    /// rate is for the rate of `cell`. A setting whose runs name none counts as the others do.
    pub(super) fn limit(&self, cell: Cell) -> Option<PredictedLimit> {
        let mut stages: Vec<&str> =
            self.settings.values().flat_map(|it| &it.limits).map(String::as_str).collect();
        stages.sort_unstable();
        stages.dedup();
        let share = |stage: &str| {
            let known: Vec<f64> = self.settings.values().filter_map(|it| it.share(stage)).collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let shares = self.settings.values().map(|it| it.share(stage).unwrap_or(mean));
            self.fit.weighed(&shares.collect::<Vec<f64>>(), cell.plain()).clamp(0.0, 1.0)
        };
        let stages = stages.into_iter().map(|stage| (stage, share(stage)));
        let (stage, share) = stages.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(PredictedLimit { stage: stage.to_owned(), share })
    }

    /// What was measured of `cell`.
    pub(super) fn measured(&self, cell: Cell) -> Option<MeasuredSetting> {
        let setting = self.settings.get(&cell.plain())?;
        Some(MeasuredSetting {
            samples_per_s: median(&setting.rates)?,
            runs: setting.rates.len(),
            limit: setting.limit().map(str::to_owned),
        })
    }
}

/// The level of a sweep; of one whose level is not known, the middle one's.
fn level(levels: &[Option<f64>], sweep: usize) -> f64 {
    levels.get(sweep).copied().flatten().unwrap_or(0.0)
}

fn without_level(run: &Run, levels: &[Option<f64>]) -> f64 {
    run.samples_per_s / level(levels, run.sweep).exp()
}

/// Sweeps that share few settings come to rest after so many rounds.
const ROUNDS: usize = 50;

/// How fast the machine was in each sweep, as a logarithm beside the middle one, by the settings that were
/// in more than one: a median polish (Tukey, Exploratory Data Analysis, 1977, chapter 11) of settings and
/// sweeps.
fn levels<'a>(runs: impl IntoIterator<Item = &'a Run>, sweeps: usize) -> Vec<Option<f64>> {
    let mut rates: BTreeMap<Cell, BTreeMap<usize, Vec<f64>>> = BTreeMap::new();
    for run in runs {
        let of_cell = rates.entry(run.cell).or_default();
        of_cell.entry(run.sweep).or_default().push(run.samples_per_s.ln());
    }
    let middles = |of_cell: BTreeMap<usize, Vec<f64>>| -> Vec<(usize, f64)> {
        of_cell.into_iter().filter_map(|(sweep, rates)| Some((sweep, median(&rates)?))).collect()
    };
    let shared: Vec<Vec<(usize, f64)>> =
        rates.into_values().filter(|of_cell| of_cell.len() > 1).map(middles).collect();
    let mut levels: Vec<Option<f64>> = vec![None; sweeps];
    for _ in 0..ROUNDS {
        let mut off: Vec<Vec<f64>> = vec![Vec::new(); sweeps];
        for of_cell in &shared {
            let levelled = of_cell.iter().map(|(sweep, rate)| rate - level(&levels, *sweep));
            let middle = median(&levelled.collect::<Vec<f64>>()).unwrap_or(0.0);
            of_cell.iter().for_each(|(sweep, rate)| off[*sweep].push(rate - middle));
        }
        levels = off.iter().map(|off| median(off)).collect();
    }
    let known: Vec<f64> = levels.iter().flatten().copied().collect();
    let middle = median(&known).unwrap_or(0.0);
    levels.into_iter().map(|level| Some(level? - middle)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(sweep: usize, num_workers: usize, samples_per_s: f64) -> Run {
        let cell = Cell { batch_size: 32, num_workers, prefetch_depth: 2 };
        Run { sweep, cell, samples_per_s, limit: None }
    }

    #[test]
    fn levels_are_by_what_sweeps_share_and_not_by_which_settings_they_have() {
        // The second is faster by a fifth, and has a setting more, which is fast; the third shares none.
        let runs = [
            run(0, 1, 100.0),
            run(0, 2, 200.0),
            run(1, 1, 120.0),
            run(1, 2, 240.0),
            run(1, 4, 480.0),
            run(2, 8, 1000.0),
        ];
        let fitted = Fitted::new(&Prior::default(), &runs, 3);
        let [low, high] = fitted.level_range().unwrap();
        assert!((high / low - 1.2).abs() < 1e-9 && (high * low - 1.0).abs() < 1e-9, "{low} {high}");
        assert_eq!(fitted.levels[2], None);
        let rate = |workers: usize| {
            let cell = Cell { batch_size: 32, num_workers: workers, prefetch_depth: 2 };
            fitted.measured(cell).unwrap().samples_per_s
        };
        assert!((rate(1) - 100.0 * 1.2_f64.sqrt()).abs() < 1e-6, "{}", rate(1));
        assert!((rate(4) - 480.0 / 1.2_f64.sqrt()).abs() < 1e-6, "{}", rate(4));
        assert_eq!(rate(8), 1000.0);
    }

    #[test]
    fn a_chain_of_sweeps_that_share_a_setting_each_is_levelled() {
        let runs: Vec<Run> = (0..4)
            .flat_map(|sweep| {
                let faster = 1.1_f64.powi(sweep as i32);
                [sweep + 1, sweep + 2].map(|workers| run(sweep, workers, 100.0 * faster))
            })
            .collect();
        let levels = Fitted::new(&Prior::default(), &runs, 4).levels;
        for pair in levels.windows(2) {
            let step = pair[1].unwrap() - pair[0].unwrap();
            assert!((step - 1.1_f64.ln()).abs() < 0.01, "{levels:?}");
        }
    }
}
