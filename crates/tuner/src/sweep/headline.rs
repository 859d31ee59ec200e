//! The winner against the default on fresh runs: how much faster it is, and whether these runs refute
//! that it is the better one. A winner is the luckiest of many settings, so its figures are too good by
//! the runs that it was chosen by.

use std::f64::consts::SQRT_2;

use profiler::bootstrap::{Runs, Scatter};
use profiler::statistics::{mean, median};
use serde::{Deserialize, Serialize};

use super::cell::{CellSummary, by_setting, score_of};
use super::grid::Cell;
use super::journal::{Phase, TrialRecord};
use super::objective::{Objective, Weights, choose};
use super::strategy::Task;
use super::words::{between, hundredths, tenths};

/// The setting that won against the default, on fresh runs, in pairs one right after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// What the loader takes without settings, with the winner's batch size.
    pub default: Cell,
    /// The setting that won by the sweep's own runs.
    pub winner: Cell,
    /// Samples a second of the winner by the default's: the median of the pairs.
    pub ratio: f64,
    /// 95% bootstrap interval of it, of how much these pairs and the sweep's runs differ; absent
    /// where too few were repeated.
    pub interval: Option<[f64; 2]>,
    /// By how much the winner's score exceeds the default's: the documented one, or that of the
    /// objective `custom`; absent where scores were left out.
    pub score_lead: Option<Lead>,
    /// Of each pair.
    pub winner_samples_per_s: Vec<f64>,
    /// Of each pair.
    pub default_samples_per_s: Vec<f64>,
}

/// A difference of two settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// The median of the pairs.
    pub median: f64,
    /// 95% bootstrap interval of it; absent where too few runs were repeated.
    pub interval: Option<[f64; 2]>,
}

impl Headline {
    /// From the pairs of runs of `phase` that hold a winner against the default; `None` where no pair is
    /// whole. Scores are left out.
    pub fn of(phase: Phase, [winner, default]: [Cell; 2], records: &[TrialRecord]) -> Option<Self> {
        let pairs = pairs(phase, [winner, default], records).into_iter();
        let rates = pairs.filter_map(|pair| {
            let [winner, default] = pair.map(|run| run.samples_per_s);
            winner.zip(default)
        });
        let (winners, defaults): (Vec<f64>, Vec<f64>) = rates.unzip();
        let ratios = winners.iter().zip(&defaults).map(|(winner, default)| winner / default);
        let ratios: Vec<f64> = ratios.collect();
        let rate = |run: &TrialRecord| run.samples_per_s.map(|rate| (rate, rate));
        Some(Self {
            default,
            winner,
            ratio: median(&ratios)?,
            interval: of_pairs(Runs::relative(&ratios), records, rate),
            score_lead: None,
            winner_samples_per_s: winners,
            default_samples_per_s: defaults,
        })
    }

    /// With the scores of the same pairs: the documented ones, or those with `weights`.
    pub fn scored(self, records: &[TrialRecord], weights: Option<&Weights>) -> Self {
        let score = |run: &TrialRecord| score_of(run, weights);
        let leads = pairs(Phase::Confirm, [self.winner, self.default], records).into_iter();
        let leads = leads.filter_map(|[winner, default]| {
            let ((winner, a), (default, b)) = (score(winner)?, score(default)?);
            Some((winner - default, (a + b) / 2.0))
        });
        let (leads, sizes): (Vec<f64>, Vec<f64>) = leads.unzip();
        let runs = Runs { values: &leads, size: mean(&sizes).unwrap_or(0.0) };
        let lead = |median| Lead { median, interval: of_pairs(runs, records, score) };
        Self { score_lead: median(&leads).map(lead), ..self }
    }

    /// Whether these runs say for sure that the default is better under `objective`: by samples/s, or by
    /// the score. Of the other objectives they say nothing.
    pub fn refutes(&self, objective: Objective) -> bool {
        match objective {
            Objective::SamplesPerSecond => self.interval.is_some_and(|[_, high]| high < 1.0),
            Objective::Documented | Objective::Custom => {
                let interval = self.score_lead.and_then(|lead| lead.interval);
                interval.is_some_and(|[_, high]| high < 0.0)
            }
            Objective::CheapestThatFeeds | Objective::FirstBatch | Objective::Memory => false,
        }
    }

    /// Samples a second of the winner on these runs, the median.
    pub fn fresh_samples_per_s(&self) -> Option<f64> {
        median(&self.winner_samples_per_s)
    }

    /// What the winner did on these runs beside the default, where they refute it, in words.
    pub fn refutation(&self, objective: Objective) -> String {
        let rate = format!(
            "{}{} times its samples/s",
            hundredths(self.ratio),
            between(self.interval, hundredths)
        );
        match self.score_lead {
            Some(lead) if objective != Objective::SamplesPerSecond => {
                let less = lead.interval.map(|[low, high]| [-high, -low]);
                format!("scored {}{} less, at {rate}", tenths(-lead.median), between(less, tenths))
            }
            _ => format!("gave {rate}"),
        }
    }
}

/// The runs that hold these settings against each other, of the pairs that are whole.
fn pairs(phase: Phase, cells: [Cell; 2], records: &[TrialRecord]) -> Vec<[&TrialRecord; 2]> {
    let runs = || records.iter().filter(|it| it.phase == phase && it.samples_per_s.is_some());
    let run =
        |cell: Cell, repeat: usize| runs().find(|it| it.setting() == cell && it.repeat == repeat);
    let repeats = runs().map(|record| record.repeat + 1).max().unwrap_or(0);
    let pair = |repeat| Some([run(cells[0], repeat)?, run(cells[1], repeat)?]);
    (0..repeats).filter_map(pair).collect()
}

/// The 95% interval of the median of differences, or ratios, of two runs. Few pairs do not know how much
/// they differ, so what the sweep's runs say of a `figure` counts too: a pair differs by the root of two
/// times what a run does.
fn of_pairs(
    pairs: Runs<'_>,
    records: &[TrialRecord],
    figure: impl Fn(&TrialRecord) -> Option<(f64, f64)>,
) -> Option<[f64; 2]> {
    let sweep = by_setting(records, figure);
    let runs = sweep.values().map(|(values, size)| Runs { values, size: size / SQRT_2 });
    Scatter::of(runs.chain([pairs])).interval(pairs)
}

/// What a sweep comes to.
pub(super) struct Decision {
    /// What won by the sweep's own runs.
    pub(super) chosen: Cell,
    /// What the loader takes without settings, with its batch size.
    pub(super) default: Cell,
    /// How it stood to that on fresh runs, where they were run.
    pub(super) headline: Option<Headline>,
    /// What is recommended.
    pub(super) recommended: Cell,
}

impl Decision {
    /// By these runs and the settings' figures of them; `None` where no setting may be chosen.
    pub(super) fn of(
        task: &Task<'_>,
        cells: &[CellSummary],
        records: &[TrialRecord],
    ) -> Option<Self> {
        let chosen = choose(task.objective, cells)?.winner;
        let default = Cell { batch_size: chosen.batch_size, ..task.cells.default_cell() };
        let headline = match chosen == default {
            true => None,
            false => Headline::of(Phase::Confirm, [chosen, default], records),
        };
        let headline = headline.map(|it| it.scored(records, task.weights));
        let recommended = upheld(chosen, headline.as_ref(), task.objective, cells);
        Some(Self { chosen, default, headline, recommended })
    }
}

/// What is recommended when `winner` was held against the default: the default where the fresh runs refute
/// the winner and it may be chosen: it is in the grid, was run in it, and no run of it failed.
fn upheld(
    winner: Cell,
    headline: Option<&Headline>,
    objective: Objective,
    cells: &[CellSummary],
) -> Cell {
    let refuted = headline.filter(|headline| headline.refutes(objective));
    let may_be_chosen = |cell: &&CellSummary| cell.in_grid && cell.failed == 0;
    let default = refuted.and_then(|it| cells.iter().find(|cell| cell.cell == it.default));
    default.filter(may_be_chosen).map_or(winner, |default| default.cell)
}

/// Confirmed to this half-width, or by all the pairs that are allowed.
const CONFIRMED: f64 = 0.02;
/// Pairs that are run at least: fewer that agree by chance would end it.
pub(super) const LEAST_PAIRS: usize = 5;

/// Whether, after so many pairs, another is to be run, of `most`.
pub(super) fn confirming(headline: Option<&Headline>, pairs: usize, most: usize) -> bool {
    let narrow = headline.is_some_and(|headline| {
        let width = headline.interval.map(|[low, high]| (high - low) / 2.0 / headline.ratio);
        width.is_some_and(|width| width <= CONFIRMED)
    });
    pairs < most && (pairs < LEAST_PAIRS || !narrow)
}

#[cfg(test)]
pub(in crate::sweep) mod tests {
    use preproc::SampleRng;
    use rand::RngExt;

    use super::super::cell::tests::{cell, figures};
    use super::super::grid::Planned;
    use super::*;

    pub(in crate::sweep) const WINNER: Cell =
        Cell { batch_size: 8, num_workers: 2, prefetch_depth: 4 };
    pub(in crate::sweep) const DEFAULT: Cell =
        Cell { batch_size: 8, num_workers: 2, prefetch_depth: 2 };

    pub(in crate::sweep) fn run(
        phase: Phase,
        setting: Cell,
        repeat: usize,
        rate: f64,
    ) -> TrialRecord {
        let cell = usize::from(setting == DEFAULT);
        let planned = Planned { phase, cell, repeat };
        TrialRecord::new(planned, setting, Ok(&figures(rate, 8)))
    }

    fn headline(records: &[TrialRecord]) -> Option<Headline> {
        Headline::of(Phase::Confirm, [WINNER, DEFAULT], records)
    }

    #[test]
    fn the_headline_is_of_pairs_so_that_drift_does_not_count() {
        // The machine becomes three times slower; each pair has the same ratio, about.
        let rates = [(120.0, 100.0), (61.0, 50.0), (41.0, 34.0)];
        let mut records = vec![run(Phase::Sweep, WINNER, 0, 999.0)];
        for (repeat, (winner, default)) in rates.into_iter().enumerate() {
            records.push(run(Phase::Confirm, DEFAULT, repeat, default));
            records.push(run(Phase::Confirm, WINNER, repeat, winner));
        }
        // A pair that was not finished.
        records.push(run(Phase::Confirm, WINNER, 3, 500.0));
        let found = headline(&records).unwrap();
        assert_eq!(found.winner_samples_per_s, [120.0, 61.0, 41.0]);
        assert_eq!(found.fresh_samples_per_s(), Some(61.0));
        assert!((found.ratio - 41.0 / 34.0).abs() < 1e-9, "{found:?}");
        let [low, high] = found.interval.unwrap();
        assert!(low > 1.15 && low < high && high < 1.27, "{low} {high}");
        assert_eq!(headline(&records[..2]), None);
    }

    /// Standard normal numbers, nearly: the sum of twelve even ones.
    fn normals(seed: u64) -> impl FnMut() -> f64 {
        let mut random = SampleRng::of_order(seed, 2);
        move || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
    }

    /// How often the headline's interval holds the truth, when pairs are run until it is narrow.
    fn coverage(scatter: f64, most_pairs: usize) -> f64 {
        const SWEEPS: u64 = 300;
        const TRUTH: f64 = 1.2;
        let held = (0..SWEEPS).filter(|&seed| {
            let mut normal = normals(seed);
            let mut rate = |middle: f64| middle * (1.0 + scatter * normal());
            let mut records = Vec::new();
            for repeat in 0..2 {
                for cell in 0..6 {
                    let setting = Cell { num_workers: cell, ..DEFAULT };
                    let planned = Planned { phase: Phase::Sweep, cell, repeat };
                    let run = figures(rate(50.0 + 10.0 * cell as f64), 8);
                    records.push(TrialRecord::new(planned, setting, Ok(&run)));
                }
            }
            for pair in 0.. {
                let found = headline(&records);
                if !confirming(found.as_ref(), pair, most_pairs) {
                    let [low, high] = found.unwrap().interval.unwrap();
                    return (low..=high).contains(&TRUTH);
                }
                records.push(run(Phase::Confirm, DEFAULT, pair, rate(100.0)));
                records.push(run(Phase::Confirm, WINNER, pair, rate(100.0 * TRUTH)));
            }
            unreachable!("there are so many pairs at most");
        });
        held.count() as f64 / SWEEPS as f64
    }

    #[test]
    fn the_headlines_interval_holds_the_truth_in_19_of_20_sweeps() {
        for (scatter, most_pairs) in [(0.02, 12), (0.05, 5), (0.15, 5)] {
            let share = coverage(scatter, most_pairs);
            assert!((0.92..=0.99).contains(&share), "{scatter} {most_pairs}: {share}");
        }
    }

    #[test]
    fn pairs_are_run_until_the_interval_is_narrow_and_never_more_than_allowed() {
        let records = |pairs: usize, wobble: f64| -> Vec<TrialRecord> {
            let pair = |repeat| {
                let winner = 120.0 + if repeat % 2 == 0 { wobble } else { -wobble };
                let winner = run(Phase::Confirm, WINNER, repeat, winner);
                [winner, run(Phase::Confirm, DEFAULT, repeat, 100.0)]
            };
            (0..pairs).flat_map(pair).collect()
        };
        let more = |pairs, wobble, most| {
            confirming(headline(&records(pairs, wobble)).as_ref(), pairs, most)
        };
        assert!(more(4, 0.1, 9) && !more(5, 0.1, 9));
        assert!(more(5, 20.0, 9) && more(8, 20.0, 9) && !more(9, 20.0, 9));
        assert!(!more(2, 20.0, 2) && !more(0, 0.0, 0));
    }

    /// Five pairs with this ratio, about.
    pub(in crate::sweep) fn five_pairs(ratio: f64, noise: f64) -> Headline {
        let noises = [0.0, 1.0, -1.0, 0.0, 0.5].map(|share| 1.0 + noise * share);
        let runs = noises.into_iter().enumerate().flat_map(|(repeat, noise)| {
            let winner = run(Phase::Confirm, WINNER, repeat, 100.0 * ratio * noise);
            [winner, run(Phase::Confirm, DEFAULT, repeat, 100.0)]
        });
        let runs: Vec<TrialRecord> = runs.collect();
        headline(&runs).unwrap().scored(&runs, None)
    }

    fn settings() -> Vec<CellSummary> {
        [WINNER, DEFAULT].map(|it| CellSummary { cell: it, ..cell(1, 1, 100.0) }).into()
    }

    #[test]
    fn the_default_is_recommended_where_fresh_runs_refute_the_winner_for_sure() {
        let speed = Objective::SamplesPerSecond;
        let of =
            |headline: &Headline, objective| upheld(WINNER, Some(headline), objective, &settings());
        assert_eq!(of(&five_pairs(1.2, 0.01), speed), WINNER);
        assert_eq!(of(&five_pairs(0.999, 0.01), speed), WINNER);
        let refuted = five_pairs(0.9, 0.01);
        assert_eq!(of(&refuted, speed), DEFAULT);
        // The score is made of batches/s here; memory and first batch are not held against each other.
        assert_eq!(of(&refuted, Objective::Documented), DEFAULT);
        assert_eq!(of(&refuted, Objective::Memory), WINNER);
        assert_eq!(upheld(WINNER, None, speed, &settings()), WINNER);
        let said = refuted.refutation(speed);
        assert!(
            said.starts_with("gave 0.90 (0.") && said.ends_with("times its samples/s"),
            "{said}"
        );
        let said = refuted.refutation(Objective::Documented);
        assert!(said.starts_with("scored 12.5 (") && said.contains(" less, at 0.90 ("), "{said}");
    }

    #[test]
    fn a_default_that_may_not_be_chosen_is_not() {
        let refuted = five_pairs(0.9, 0.01);
        let of = |cells: &[CellSummary]| {
            upheld(WINNER, Some(&refuted), Objective::SamplesPerSecond, cells)
        };
        let mut outside = settings();
        outside[1].in_grid = false;
        assert_eq!(of(&outside), WINNER);
        let mut failed = settings();
        failed[1].failed = 1;
        assert_eq!(of(&failed), WINNER);
        assert_eq!(of(&settings()[..1]), WINNER);
    }

    #[test]
    fn what_is_recommended_is_never_slower_for_sure() {
        for percent in (50..=150).step_by(2) {
            for noise in [0.0, 0.01, 0.05, 0.2] {
                let found = five_pairs(f64::from(percent) / 100.0, noise);
                let [low, high] = found.interval.unwrap();
                let rounding = 1e-9;
                assert!(low - rounding <= found.ratio && found.ratio <= high + rounding);
                let cell = upheld(WINNER, Some(&found), Objective::SamplesPerSecond, &settings());
                assert_eq!(cell == DEFAULT, high < 1.0, "{found:?}");
            }
        }
    }
}
