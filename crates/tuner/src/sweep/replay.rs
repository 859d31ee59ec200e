//! Sweeps in virtual time: a strategy decides, and each run is drawn instead of being measured, from
//! recorded runs or from a formula.

use std::convert::Infallible;

use super::driver::{Driver, Runner};
use super::grid::{Cell, Planned};
use super::headline::Decision;
use super::journal::{self, TrialRecord};
use super::strategy::{Strategy, Task};
use super::summary::Ended;

/// How a sweep in virtual time ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// The setting it chose; `None` where there was time for none.
    pub pick: Option<Cell>,
    /// Seconds that it took: what was measured before, and all its runs.
    pub spent_s: f64,
    /// Its runs, those to confirm among them.
    pub runs: usize,
    /// Why there were no more.
    pub ended: Ended,
}

/// Runs a sweep, as [`run`](super::run) does, in the order that `seed` gives, until enough is known or
/// `budget_s` are over, of which what was measured before took `before_s`; `draw` makes a run of the
/// setting at a place, which takes its `duration_s`.
pub fn replay(
    strategy: Strategy,
    task: &Task<'_>,
    seed: u64,
    (before_s, budget_s): (f64, f64),
    mut draw: impl FnMut(usize) -> TrialRecord,
) -> Replayed {
    let draw = |Planned { phase, repeat, cell }| TrialRecord { phase, repeat, cell, ..draw(cell) };
    let mut drawn = Drawn { records: Vec::new(), spent_s: before_s, draw };
    let driver = Driver { strategy, task: *task, seed, budget_s: Some(budget_s), first: None };
    let Ok(ended) = driver.run(&mut drawn);
    let Drawn { records, spent_s, .. } = drawn;
    let cells = strategy.cells(task, &records, &records);
    let pick = Decision::of(task, &cells, &records).map(|decision| decision.recommended);
    Replayed { pick, spent_s, runs: records.len(), ended }
}

/// Runs that are drawn.
pub(super) struct Drawn<D> {
    pub(super) records: Vec<TrialRecord>,
    pub(super) spent_s: f64,
    pub(super) draw: D,
}

impl<D: FnMut(Planned) -> TrialRecord> Runner for Drawn<D> {
    type Error = Infallible;

    fn measured(&self) -> &[TrialRecord] {
        &self.records
    }

    /// All at one speed.
    fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    fn spent_s(&self) -> f64 {
        self.spent_s
    }

    fn is_done(&self, _: Planned) -> bool {
        false
    }

    fn run(&mut self, planned: Planned) -> Result<(), Infallible> {
        let record = (self.draw)(planned);
        self.spent_s += record.duration_s.unwrap_or(0.0);
        journal::put(&mut self.records, record);
        Ok(())
    }

    fn expect(&mut self, _: usize) {}
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::RngExt;

    use super::super::cell::tests::figures;
    use super::super::grid::Cells;
    use super::super::journal::Phase;
    use super::super::memory::MemoryModel;
    use super::super::model::Prior;
    use super::super::objective::Objective;
    use super::*;
    use crate::measure::Figures;

    /// Samples a second of one worker, the ceiling, and what a setting gives.
    struct Workload {
        name: &'static str,
        worker: f64,
        ceiling: f64,
        rate: fn(workers: f64, depth: f64) -> f64,
    }

    /// The shapes that loaders are seen to have on two cores: where workers help, where they are in each
    /// other's way, and what room for batches is worth.
    const WORKLOADS: [Workload; 6] = [
        Workload {
            name: "decode-bound",
            worker: 800.0,
            ceiling: 1600.0,
            rate: |workers, depth| {
                800.0 * workers.min(2.0) * (1.0 - 0.15 / depth) * 0.995_f64.powf(workers)
            },
        },
        Workload {
            name: "I/O-delay-bound",
            worker: 200.0,
            ceiling: 20_000.0,
            rate: |workers, depth| 200.0 * workers.min(8.0 * depth),
        },
        Workload {
            name: "memory-bound",
            worker: 3000.0,
            ceiling: 4000.0,
            rate: |workers, depth| {
                3500.0 * (1.0 - 0.3 / workers) * (1.0 - 0.03 * workers) * (1.0 - 0.02 * depth)
            },
        },
        Workload {
            name: "tiny samples in memory",
            worker: 900_000.0,
            ceiling: 1_500_000.0,
            rate: |workers, depth| {
                900_000.0 * workers.min(2.0) / (1.0 + 0.15 * workers) * (1.0 - 0.3 / depth)
            },
        },
        Workload {
            name: "consumer-bound",
            worker: 800.0,
            ceiling: 1600.0,
            rate: |workers, depth| (800.0 * workers.min(2.0) * (1.0 - 0.2 / depth)).min(1000.0),
        },
        Workload {
            name: "uneven costs",
            worker: 500.0,
            ceiling: 1000.0,
            rate: |workers, depth| {
                500.0 * workers.min(2.0) * (1.0 - 0.4 / depth) * 0.99_f64.powf(workers)
            },
        },
    ];
    fn cells() -> Cells {
        let mut cells = Vec::new();
        for num_workers in [1, 2, 3, 4, 6, 8, 12, 16] {
            for prefetch_depth in [1, 2, 3, 4, 6, 8] {
                cells.push(Cell { batch_size: 32, num_workers, prefetch_depth });
            }
        }
        Cells { cells, grid: 48, sentinel: 7 }
    }

    /// Standard normal numbers, nearly: the sum of twelve even ones.
    pub(crate) fn normals(seed: u64) -> impl FnMut() -> f64 {
        let mut random = preproc::SampleRng::of_order(seed, 1);
        move || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
    }

    fn task<'a>(cells: &'a Cells, objective: Objective, prior: Prior) -> Task<'a> {
        Task { cells, objective, weights: None, repeats: 1, max_repeats: 5, confirm: 5, prior }
    }

    /// A run that takes a second, of the setting at a place, with these figures.
    fn second(cells: &Cells, place: usize, figures: &Figures) -> TrialRecord {
        let planned = Planned { phase: Phase::Sweep, repeat: 0, cell: place };
        let run = TrialRecord::new(planned, cells.cells[place], Ok(figures));
        TrialRecord { duration_s: Some(1.0), ..run }
    }

    /// Seconds of the grid with five runs of each setting, ceilings and ten runs to confirm.
    const GRID_S: f64 = 5.0 * 48.0 + 10.0 + CEILINGS_S;
    const CEILINGS_S: f64 = 3.0;

    /// What the pick gives by the best, and the share of the grid's time that it took. What the parts
    /// of the way were measured to give is off, as the ceilings of real sweeps are: one thread alone
    /// is faster than beside others, and no setting reaches the ceiling.
    fn outcome(strategy: Strategy, scatter: f64, workload: &Workload, seed: u64) -> (f64, f64) {
        let cells = cells();
        let truth =
            |cell: Cell| (workload.rate)(cell.num_workers as f64, cell.prefetch_depth as f64);
        let prior = Prior {
            worker_samples_per_s: Some(1.3 * workload.worker),
            ceiling: Some(1.2 * workload.ceiling),
            work: Some(1.2 * workload.ceiling),
            ..Prior::default()
        };
        let task = task(&cells, Objective::SamplesPerSecond, prior);
        let mut normal = normals(seed);
        let budget_s = strategy.share() * GRID_S;
        let ended = replay(strategy, &task, seed, (CEILINGS_S, budget_s), |place| {
            let rate = truth(cells.cells[place]) * (1.0 + scatter * normal());
            second(&cells, place, &figures(rate, 32))
        });
        let best = cells.cells.iter().map(|cell| truth(*cell)).fold(0.0, f64::max);
        (truth(ended.pick.unwrap()) / best, ended.spent_s / GRID_S)
    }

    /// Of sweeps of all workloads, the share that ends near enough to the best.
    fn near(strategy: Strategy, scatter: f64, enough: f64) -> f64 {
        const SWEEPS: u64 = 20;
        let mut all = 0;
        for workload in &WORKLOADS {
            let outcomes: Vec<(f64, f64)> =
                (0..SWEEPS).map(|seed| outcome(strategy, scatter, workload, seed)).collect();
            let near = outcomes.iter().filter(|(ratio, _)| *ratio >= enough).count();
            let cost = outcomes.iter().map(|it| it.1).fold(0.0, f64::max);
            assert!(cost <= strategy.share(), "{}: {cost}", workload.name);
            assert!(near >= 16, "{}: {near} of {SWEEPS}, {outcomes:.3?}", workload.name);
            all += near;
        }
        all as f64 / (WORKLOADS.len() as u64 * SWEEPS) as f64
    }

    #[test]
    fn nine_of_ten_races_end_near_the_best_in_a_quarter_of_the_time() {
        assert!(near(Strategy::Race, 0.05, 0.97) >= 0.9);
        // With three times the scatter: not so near.
        assert!(near(Strategy::Race, 0.15, 0.93) >= 0.9);
    }

    #[test]
    fn nine_of_ten_sweeps_by_the_model_end_near_the_best_in_a_tenth_of_the_time() {
        assert!(near(Strategy::Model, 0.05, 0.97) >= 0.9);
        assert!(near(Strategy::Model, 0.15, 0.9) >= 0.9);
    }

    /// Of a training loop of 40 ms a batch: what a setting really gives.
    fn fed(cell: Cell, normal: &mut impl FnMut() -> f64) -> Figures {
        const STEP_S: f64 = 0.04;
        let (workers, depth) = (cell.num_workers as f64, cell.prefetch_depth as f64);
        // A worker makes a batch in 0.1 s; a depth of 1 keeps a third of them waiting.
        let loaded = 10.0 * workers * (1.0 - 0.33 / depth.powi(2)) * (1.0 + 0.05 * normal());
        let batches_per_s = loaded.min(1.0 / STEP_S);
        Figures {
            wait_share: Some((1.0 - batches_per_s * STEP_S + 0.002 * normal().abs()).min(1.0)),
            first_batch_s: (0.02 + 0.1 / workers) * (1.0 + 0.1 * normal()),
            rss_mean_bytes: (1e8 * (1.0 + 0.1 * workers + 0.2 * depth) * (1.0 + 0.01 * normal()))
                as u64,
            ..figures(32.0 * batches_per_s, 32)
        }
    }

    /// The picks of sweeps by the model.
    fn picks(objective: Objective) -> Vec<Cell> {
        let cells = cells();
        let prior = Prior {
            worker_samples_per_s: Some(450.0),
            ceiling: Some(5000.0),
            work: Some(5000.0),
            step_s: Some(0.04),
            memory: MemoryModel {
                base_bytes: 80 << 20,
                fixed_bytes: 1 << 20,
                thread_bytes: 8 << 20,
                ..MemoryModel::default()
            },
            sample_bytes: 600_000,
        };
        let pick = |seed| {
            let mut normal = normals(seed);
            let task = task(&cells, objective, prior);
            let within = (CEILINGS_S, Strategy::Model.share() * GRID_S);
            let ended = replay(Strategy::Model, &task, seed, within, |place| {
                second(&cells, place, &fed(cells.cells[place], &mut normal))
            });
            ended.pick.unwrap()
        };
        (0..20).map(pick).collect()
    }

    #[test]
    fn the_model_finds_the_cheapest_setting_that_feeds() {
        // 3 workers give 0.9 to 1.2 of what is taken; 2 never do, 4 always.
        let picks = picks(Objective::CheapestThatFeeds);
        let right = |cell: &&Cell| cell.num_workers == 3 && (2..=6).contains(&cell.prefetch_depth);
        assert!(picks.iter().filter(right).count() >= 18, "{picks:?}");
    }

    #[test]
    fn the_model_finds_the_shortest_time_to_the_first_batch() {
        let picks = picks(Objective::FirstBatch);
        let right = |cell: &&Cell| cell.num_workers >= 12;
        assert!(picks.iter().filter(right).count() >= 18, "{picks:?}");
    }

    #[test]
    fn the_model_finds_the_least_memory() {
        let picks = picks(Objective::Memory);
        let right = |cell: &&Cell| (cell.num_workers, cell.prefetch_depth) == (1, 1);
        assert!(picks.iter().filter(right).count() >= 18, "{picks:?}");
    }
}
