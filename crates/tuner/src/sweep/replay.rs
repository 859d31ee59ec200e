//! Sweeps in virtual time: a strategy decides, and each run is drawn instead of being measured, from
//! recorded runs or from a formula.

use super::cell;
use super::grid::{self, Cell, Planned};
use super::journal::{Phase, TrialRecord};
use super::objective::choose;
use super::strategy::{Strategy, Task};

/// How a sweep in virtual time ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// The setting it chose; `None` where there was time for none.
    pub pick: Option<Cell>,
    /// Seconds that its runs took.
    pub spent_s: f64,
    /// Its runs.
    pub runs: usize,
}

/// Runs a sweep in the order that `seed` gives until enough is known or the next run would end after
/// `budget_s`; `draw` makes a run of the setting at a place, which takes its `duration_s`.
pub fn replay(
    strategy: Strategy,
    task: &Task<'_>,
    seed: u64,
    budget_s: f64,
    mut draw: impl FnMut(usize) -> TrialRecord,
) -> Ended {
    let mut records: Vec<TrialRecord> = Vec::new();
    let mut spent_s = 0.0;
    'blocks: for number in 0.. {
        let places = strategy.block(task, &records, number);
        if places.is_empty() {
            break;
        }
        for planned in grid::block(Phase::Sweep, &places, number, seed) {
            let Planned { phase, repeat, cell } = planned;
            let drawn = TrialRecord { phase, repeat, cell, ..draw(cell) };
            let duration_s = drawn.duration_s.unwrap_or(0.0);
            if spent_s + duration_s > budget_s {
                break 'blocks;
            }
            spent_s += duration_s;
            records.push(drawn);
        }
    }
    let found = cell::cells(&records, task.cells.grid, task.weights, None);
    let pick = choose(task.objective, &found).map(|choice| choice.winner);
    Ended { pick, spent_s, runs: records.len() }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::super::cell::tests::figures;
    use super::super::grid::Cells;
    use super::super::model::Prior;
    use super::super::objective::Objective;
    use super::*;

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
    /// How much runs of a setting differ.
    const SCATTER: f64 = 0.03;

    fn cells() -> Cells {
        let mut cells = Vec::new();
        for num_workers in [1, 2, 3, 4, 6, 8, 12, 16] {
            for prefetch_depth in [1, 2, 3, 4, 6, 8] {
                cells.push(Cell { batch_size: 32, num_workers, prefetch_depth });
            }
        }
        Cells { cells, grid: 48, sentinel: 7 }
    }

    /// What the pick gives by the best, and the share of five runs of each setting that it took.
    fn outcome(strategy: Strategy, share: f64, workload: &Workload, seed: u64) -> (f64, f64) {
        let cells = cells();
        let truth =
            |cell: Cell| (workload.rate)(cell.num_workers as f64, cell.prefetch_depth as f64);
        let task = Task {
            cells: &cells,
            objective: Objective::SamplesPerSecond,
            weights: None,
            repeats: if strategy == Strategy::Grid { 5 } else { 1 },
            max_repeats: 5,
            prior: Prior {
                worker_samples_per_s: Some(workload.worker),
                ceiling: Some(workload.ceiling),
                work: Some(workload.ceiling),
                ..Prior::default()
            },
        };
        let mut noise = preproc::SampleRng::of_order(seed, 1);
        // The sum of twelve even numbers is nearly normal, of variance 1.
        let mut normal = || (0..12).map(|_| noise.random::<f64>()).sum::<f64>() - 6.0;
        let all = 5.0 * cells.grid as f64;
        let ended = replay(strategy, &task, seed, share * all, |place| {
            let rate = truth(cells.cells[place]) * (1.0 + SCATTER * normal());
            let planned = Planned { phase: Phase::Sweep, repeat: 0, cell: place };
            let run = TrialRecord::new(planned, cells.cells[place], Ok(&figures(rate, 32)));
            TrialRecord { duration_s: Some(1.0), ..run }
        });
        let best = cells.cells.iter().map(|cell| truth(*cell)).fold(0.0, f64::max);
        (truth(ended.pick.unwrap()) / best, ended.spent_s / all)
    }

    /// Nine of ten sweeps end within 3% of the best, of all workloads together; of each nearly so.
    #[track_caller]
    fn ends_near_the_best(strategy: Strategy, share: f64) {
        const SWEEPS: u64 = 20;
        let mut all = 0;
        for workload in &WORKLOADS {
            let outcomes: Vec<(f64, f64)> =
                (0..SWEEPS).map(|seed| outcome(strategy, share, workload, seed)).collect();
            let near = outcomes.iter().filter(|(ratio, _)| *ratio >= 0.97).count();
            assert!(near >= 16, "{}: {near} of {SWEEPS}, {outcomes:.3?}", workload.name);
            assert!(outcomes.iter().all(|(_, cost)| *cost <= share + 1e-9));
            all += near;
        }
        assert!(all >= 9 * WORKLOADS.len() * SWEEPS as usize / 10, "{all}");
    }

    #[test]
    fn a_race_ends_near_the_best_in_a_quarter_of_the_time() {
        ends_near_the_best(Strategy::Race, 0.25);
    }

    #[test]
    fn the_model_ends_near_the_best_in_a_tenth_of_the_time() {
        ends_near_the_best(Strategy::Model, 0.1);
    }
}
