//! What a sweep found: `summary.json`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use loader::settings::MachineTable;
use profiler::bootstrap::{Runs, Scatter};
use profiler::statistics::median;
use serde::{Deserialize, Serialize};

use super::cache::CacheState;
use super::ceiling::Ceiling;
use super::cell::{CellSummary, latest};
use super::fingerprint::DataTable;
use super::grid::Cell;
use super::journal::{Phase, TrialRecord};
use super::objective::{Choice, Objective, Weights};
use super::strategy::{NARROW, Strategy};
use crate::TunerError;
use crate::consumer::Consumer;

/// The value of [`Summary::schema`].
pub const SCHEMA: &str = "tuner-sweep-3";

/// What a sweep found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// When the sweep was begun, in UTC.
    pub started: String,
    /// When this was written, in UTC.
    pub finished: String,
    /// The command line.
    pub command: String,
    /// Where it was measured.
    pub machine: MachineTable,
    /// What was loaded.
    pub data: DataTable,
    /// How it was measured.
    pub method: Method,
    /// What the parts of the way give on their own; empty where they were not measured.
    pub ceilings: Vec<Ceiling>,
    /// Settings with figures, by rank under the objective: the best first, but below all others
    /// those of which a run failed.
    pub cells: Vec<CellSummary>,
    /// Runs without figures.
    pub failed: Vec<TrialRecord>,
    /// The recommended setting: the winner under the objective.
    pub recommended: Cell,
    /// What the loader takes without settings, with the recommended batch size.
    pub default: Cell,
    /// The setting with the most samples a second.
    pub fastest: Cell,
    /// The winner under each objective that applies.
    pub objectives: Vec<Choice>,
    /// The winner of each batch size under the objective, in the order of batch sizes.
    pub by_batch_size: Vec<Choice>,
    /// Settings that no other beats in both samples a second and memory, by rising memory.
    pub pareto: Vec<Cell>,
    /// The recommended setting against the default, on fresh runs; absent where none succeeded.
    pub headline: Option<Headline>,
    /// How the machine changed meanwhile, seen by the runs of one setting; absent with one run.
    pub drift: Option<Drift>,
    /// Settings of which runs failed that could have won, for all that is known.
    pub could_have_won: Vec<Cell>,
}

/// How a sweep was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Which settings were run how often.
    pub strategy: Strategy,
    /// What the recommended setting is chosen for.
    pub objective: Objective,
    /// The weights of the objective `custom`.
    pub weights: Option<Weights>,
    /// What stood in for the training loop.
    pub consumer: Consumer,
    /// The state of the page cache.
    pub cache: CacheState,
    /// Runs of each setting, at least, as far as the strategy does not drop it.
    pub repeats: usize,
    /// Runs of a setting, at most.
    pub max_repeats: usize,
    /// Length of each measurement, at least.
    pub measure_s: f64,
    /// What the sweep was to take at most.
    pub time_budget_s: Option<f64>,
    /// What a run may take of memory, in bytes.
    pub memory_limit_bytes: u64,
    /// Blocks of one run of each setting that was still of interest.
    pub blocks: usize,
    /// Processes that were run, those to confirm among them.
    pub trials: usize,
    /// Seconds that they took.
    pub trials_s: f64,
    /// Runs that were measured although the rate still rose or fell after the longest warm-up.
    pub unsteady: usize,
    /// Why no more was run.
    pub ended: Ended,
}

/// Why a sweep ran no more settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It is known, within 2%, which setting is the best, of all and of each batch size.
    #[default]
    Known,
    /// That is not known, but there are no more runs than these by the strategy or `max_repeats`.
    RunsUsedUp,
    /// That is not known, but the time budget was used up.
    OutOfTime,
}

impl Ended {
    /// Why the recommendation may not be the best, if that was not known at the end of a sweep by
    /// `strategy`.
    pub fn warning(self, strategy: Strategy) -> Option<&'static str> {
        match self {
            Self::Known => None,
            Self::RunsUsedUp if strategy == Strategy::Grid => Some(
                "the runs were used up before it was known which setting is the best: a greater \
                 `--max-repeats` or `--measure-s` tells more",
            ),
            Self::RunsUsedUp => Some(
                "the runs were used up before it was known which setting is the best: a greater \
                 `--max-repeats` or `--measure-s`, or `--strategy grid`, tells more",
            ),
            Self::OutOfTime => Some(
                "the time was up before it was known which setting is the best: `--resume` with a \
                 longer `--time-budget` goes on",
            ),
        }
    }
}

/// The recommended setting against the default, on fresh runs, in pairs one right after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headline {
    /// What the loader takes without settings, with the recommended batch size.
    pub default: Cell,
    /// The recommended setting.
    pub winner: Cell,
    /// Samples a second of the winner by the default's: the median of the pairs.
    pub ratio: f64,
    /// 95% bootstrap interval of it, of how much these pairs and the sweep's runs differ; absent
    /// where too few were repeated.
    pub interval: Option<[f64; 2]>,
    /// Of each pair.
    pub winner_samples_per_s: Vec<f64>,
    /// Of each pair.
    pub default_samples_per_s: Vec<f64>,
}

/// What the runs of one setting, one in each block, say of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The default setting.
    pub cell: Cell,
    /// Of each block.
    pub samples_per_s: Vec<f64>,
    /// The highest less the lowest, by the median.
    pub spread: f64,
    /// The median of the later half of the blocks by that of the earlier half, less 1; of an odd
    /// number the middle one counts for neither.
    pub change: f64,
    /// 95% bootstrap interval of the change; absent where too few runs were repeated.
    pub interval: Option<[f64; 2]>,
}

impl Summary {
    /// Reads the `summary.json` at `path`.
    ///
    /// # Errors
    /// If it cannot be read, is cut short or damaged, or of another schema.
    pub fn read(path: &Path) -> Result<Self, TunerError> {
        /// What every schema has.
        #[derive(Deserialize)]
        struct Kind {
            schema: String,
        }
        let bytes = std::fs::read(path).map_err(TunerError::file("read", path))?;
        let error = |source| TunerError::Summary { path: path.to_owned(), source };
        let Kind { schema } = serde_json::from_slice(&bytes).map_err(error)?;
        if schema != SCHEMA {
            return Err(TunerError::SummarySchema { path: path.to_owned(), got: schema });
        }
        serde_json::from_slice(&bytes).map_err(error)
    }

    /// The recommended setting's figures.
    ///
    /// # Errors
    /// If they are missing: a bug, or a file changed by hand.
    pub fn winner(&self) -> Result<&CellSummary, TunerError> {
        self.find(self.recommended)
    }

    /// The figures of `cell`.
    ///
    /// # Errors
    /// If they are missing.
    pub fn find(&self, cell: Cell) -> Result<&CellSummary, TunerError> {
        let found = self.cells.iter().find(|summary| summary.cell == cell);
        found.ok_or_else(|| TunerError::Bug(format!("no figures for {cell:?}")))
    }

    /// The winner under `objective`, if it applies.
    pub fn choice(&self, objective: Objective) -> Option<&Choice> {
        self.objectives.iter().find(|choice| choice.objective == objective)
    }
}

/// Puts cells in the order of [`Summary::cells`].
pub fn rank(cells: &mut [CellSummary], objective: Objective) {
    let goodness =
        |cell: &CellSummary| objective.goodness(cell).map_or(f64::NEG_INFINITY, |it| it.median);
    cells.sort_by(|a, b| {
        let failed = (a.failed > 0).cmp(&(b.failed > 0));
        let outside = b.in_grid.cmp(&a.in_grid);
        match failed.then(outside) {
            Ordering::Equal => goodness(b).total_cmp(&goodness(a)),
            order => order,
        }
    });
}

impl Headline {
    /// That the winner is slower than the default, if the fresh runs say so for sure.
    pub fn warning(&self) -> Option<String> {
        let [low, high] = self.interval?;
        (high < 1.0).then(|| {
            format!(
                "fresh runs say that the recommended setting is slower than the default: {low:.2} to \
                 {high:.2} times its samples/s; for speed use {}, or sweep again with a greater `--measure-s`",
                self.default
            )
        })
    }

    /// From the pairs of runs that confirm `winner`; `None` where no pair is whole.
    pub fn of(winner: Cell, default: Cell, records: &[TrialRecord]) -> Option<Self> {
        let confirming: Vec<&TrialRecord> =
            latest(records).into_iter().filter(|record| record.phase == Phase::Confirm).collect();
        let rate = |cell: Cell, repeat: usize| {
            let run = |it: &&&TrialRecord| it.setting() == cell && it.repeat == repeat;
            confirming.iter().find(run)?.samples_per_s
        };
        let repeats = confirming.iter().map(|record| record.repeat + 1).max().unwrap_or(0);
        let pairs: Vec<(f64, f64)> = (0..repeats)
            .filter_map(|repeat| Some((rate(winner, repeat)?, rate(default, repeat)?)))
            .collect();
        let ratios: Vec<f64> = pairs.iter().map(|(winner, default)| winner / default).collect();
        let ratio = Runs::relative(&ratios);
        let sweep = rates_by_setting(records);
        // Few pairs do not know how much they differ. A ratio of two runs differs by the root of two
        // times what a run does.
        let of_two = sweep.values().map(|rates| {
            let Runs { values, size } = Runs::relative(rates);
            Runs { values, size: size / std::f64::consts::SQRT_2 }
        });
        Some(Self {
            default,
            winner,
            ratio: median(&ratios)?,
            interval: Scatter::of(of_two.chain([ratio])).interval(ratio),
            winner_samples_per_s: pairs.iter().map(|pair| pair.0).collect(),
            default_samples_per_s: pairs.iter().map(|pair| pair.1).collect(),
        })
    }
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

impl Drift {
    /// From the runs of the setting `cell`, at that `place` in the list; `None` of fewer than two.
    pub fn of(cell: Cell, place: usize, records: &[TrialRecord]) -> Option<Self> {
        let sweep = rates_by_setting(records);
        let samples_per_s = sweep.get(&place)?.clone();
        let half = samples_per_s.len() / 2;
        let earlier = Runs::relative(&samples_per_s[..half]);
        let later = Runs::relative(&samples_per_s[samples_per_s.len() - half..]);
        let ratio = median(later.values)? / median(earlier.values)?;
        let most = samples_per_s.iter().copied().reduce(f64::max)?;
        let least = samples_per_s.iter().copied().reduce(f64::min)?;
        let spread = (most - least) / median(&samples_per_s)?;
        let scatter = Scatter::of(sweep.values().map(|rates| Runs::relative(rates)));
        let half_width = |runs: Runs<'_>| {
            scatter.interval(runs).map(|[low, high]| (high - low) / 2.0 / runs.size)
        };
        let interval = half_width(earlier).zip(half_width(later)).map(|(a, b)| {
            let width = ratio * a.hypot(b);
            [ratio - 1.0 - width, ratio - 1.0 + width]
        });
        Some(Self { cell, spread, change: ratio - 1.0, interval, samples_per_s })
    }

    /// That the machine became faster or slower, if it did for sure, and by more than what counts.
    pub fn warning(&self) -> Option<String> {
        let [low, high] = self.interval?;
        (low > 0.0 || high < 0.0).then_some(())?;
        (self.change.abs() > NARROW).then(|| {
            format!(
                "the machine changed during the sweep: {} gave {:+.0}% samples/s in the later half \
                 of the blocks than in the earlier, so runs of early and late blocks are not quite \
                 comparable: sweep again when nothing else uses the machine",
                self.cell,
                100.0 * self.change
            )
        })
    }
}

/// Samples a second of the sweep's own runs, by the place of the setting, in the order of the blocks.
fn rates_by_setting(records: &[TrialRecord]) -> BTreeMap<usize, Vec<f64>> {
    let mut rates: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for record in latest(records).into_iter().filter(|record| record.phase == Phase::Sweep) {
        if let Some(rate) = record.samples_per_s {
            rates.entry(record.cell).or_default().push(rate);
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use preproc::SampleRng;
    use rand::RngExt;

    use super::super::cell::tests::figures;
    use super::super::grid::Planned;
    use super::*;

    const WINNER: Cell = Cell { batch_size: 8, num_workers: 2, prefetch_depth: 4 };
    const DEFAULT: Cell = Cell { batch_size: 8, num_workers: 2, prefetch_depth: 2 };

    fn run(phase: Phase, setting: Cell, repeat: usize, rate: f64) -> TrialRecord {
        let cell = usize::from(setting == DEFAULT);
        let planned = Planned { phase, cell, repeat };
        TrialRecord::new(planned, setting, Ok(&figures(rate, 8)))
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
        let headline = Headline::of(WINNER, DEFAULT, &records).unwrap();
        assert_eq!(headline.winner_samples_per_s, [120.0, 61.0, 41.0]);
        assert!((headline.ratio - 41.0 / 34.0).abs() < 1e-9, "{headline:?}");
        let [low, high] = headline.interval.unwrap();
        assert!(low > 1.15 && low < high && high < 1.27, "{low} {high}");
        assert_eq!(Headline::of(WINNER, DEFAULT, &records[..2]), None);
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
                let headline = Headline::of(WINNER, DEFAULT, &records);
                if !confirming(headline.as_ref(), pair, most_pairs) {
                    let [low, high] = headline.unwrap().interval.unwrap();
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
            let headline = Headline::of(WINNER, DEFAULT, &records(pairs, wobble));
            confirming(headline.as_ref(), pairs, most)
        };
        assert!(more(4, 0.1, 9) && !more(5, 0.1, 9));
        assert!(more(5, 20.0, 9) && more(8, 20.0, 9) && !more(9, 20.0, 9));
        assert!(!more(2, 20.0, 2) && !more(0, 0.0, 0));
    }

    #[test]
    fn a_headline_that_refutes_the_winner_is_a_warning() {
        let pairs = |ratio: f64| -> Headline {
            let noise = [1.0, 1.01, 0.99, 1.0, 1.005];
            let runs = noise.into_iter().enumerate().flat_map(|(repeat, noise)| {
                let winner = run(Phase::Confirm, WINNER, repeat, 100.0 * ratio * noise);
                [winner, run(Phase::Confirm, DEFAULT, repeat, 100.0)]
            });
            Headline::of(WINNER, DEFAULT, &runs.collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(pairs(1.2).warning(), None);
        assert_eq!(pairs(0.999).warning(), None);
        let warning = pairs(0.9).warning().unwrap();
        assert!(warning.contains("slower than the default"), "{warning}");
    }

    #[test]
    fn drift_is_seen_by_the_runs_of_one_setting() {
        let sweep = |rates: &[f64]| -> Vec<TrialRecord> {
            let run = |(repeat, rate): (usize, &f64)| run(Phase::Sweep, DEFAULT, repeat, *rate);
            rates.iter().enumerate().map(run).collect()
        };
        let drift = |rates: &[f64]| Drift::of(DEFAULT, 1, &sweep(rates));
        let slower = drift(&[100.0, 101.0, 60.0, 81.0, 80.0]).unwrap();
        assert_eq!(slower.samples_per_s, [100.0, 101.0, 60.0, 81.0, 80.0]);
        assert!((slower.change - (80.5 / 100.5 - 1.0)).abs() < 1e-9, "{slower:?}");
        assert!((slower.spread - 41.0 / 81.0).abs() < 1e-9, "{slower:?}");
        // Of so few and so different runs nothing is sure.
        assert_eq!(slower.warning(), None);
        let mut records = sweep(&[100.0, 101.0, 80.0, 81.0]);
        for cell in 2..6 {
            for (repeat, rate) in [50.0, 50.5, 49.5, 50.2].into_iter().enumerate() {
                records.push(TrialRecord { cell, ..run(Phase::Sweep, WINNER, repeat, rate) });
            }
        }
        let sure = Drift::of(DEFAULT, 1, &records).unwrap();
        let warning = sure.warning().unwrap();
        assert!(warning.contains("-20% samples/s"), "{warning}");
        assert_eq!(drift(&[100.0]), None);
    }
}
