//! Which settings the model would have run.

use std::collections::BTreeSet;

use super::cell;
use super::grid::Cell;
use super::journal::{Status, TrialRecord};
use super::model;
use super::objective::choose;
use super::strategy::{NARROW, Task};

/// Settings that show how samples a second depend on workers and depth: the corners of the grid, and
/// where workers begin to be more than can be used. Of several batch sizes each has some of them.
pub(super) fn probes(task: &Task<'_>) -> Vec<usize> {
    let grid = &task.cells.cells[..task.cells.grid];
    let sizes: Vec<usize> = distinct(grid.iter().map(|cell| cell.batch_size));
    let workers = distinct(grid.iter().map(|cell| cell.num_workers).filter(|it| *it > 0));
    let depths = distinct(grid.iter().map(|cell| cell.prefetch_depth));
    let enough = match (task.prior.ceiling, task.prior.worker_samples_per_s) {
        (Some(ceiling), Some(worker)) => ceiling / worker,
        _ => f64::INFINITY,
    };
    let knee = workers.iter().copied().find(|it| *it as f64 >= enough);
    let (Some(fewest), Some(most)) = (workers.first().copied(), workers.last().copied()) else {
        return (0..grid.len()).collect();
    };
    let knee = knee.unwrap_or(most);
    let (Some(shallow), Some(deep)) = (depths.first().copied(), depths.last().copied()) else {
        return Vec::new();
    };
    let middle = depths[depths.len() / 2];
    let shapes = [
        (knee, deep),
        (fewest, middle),
        (knee, shallow),
        (most, deep),
        (most, shallow),
        (0, shallow),
    ];
    let mut probes = Vec::new();
    for (number, batch_size) in sizes.iter().copied().enumerate() {
        for (shape, (num_workers, prefetch_depth)) in shapes.into_iter().enumerate() {
            let its_turn = shape == 0 || (shape + number).is_multiple_of(sizes.len());
            let cell = Cell { batch_size, num_workers, prefetch_depth };
            probes.extend(task.cells.place(cell).filter(|_| its_turn));
        }
    }
    probes
}

/// How much better than predicted a setting may be, in standard deviations, to be worth a run.
const HOPE: f64 = 1.5;

/// The settings that could be the best by the model, of all and of each batch size; none when that
/// cannot be better than the best by more than counts.
pub(super) fn hopeful(task: &Task<'_>, records: &[TrialRecord], most: usize) -> Vec<usize> {
    let predictions = model::predict(task, records);
    let hopes = model::hopes(task, &predictions, HOPE, task.objective);
    let expected = model::hopes(task, &predictions, 0.0, task.objective);
    let runs = |place: usize| records.iter().filter(move |record| record.cell == place);
    let mut order: Vec<usize> = (0..task.cells.grid)
        .filter(|&place| runs(place).all(|run| run.status == Status::Ok))
        .collect();
    order.sort_by(|&a, &b| hopes[b].total_cmp(&hopes[a]));
    let size = |place: usize| task.cells.cells[place].batch_size;
    let sizes = distinct(order.iter().map(|&place| size(place)));
    let undecided = |places: &[usize], most: usize| -> Vec<usize> {
        let best = places.iter().copied().max_by(|&a, &b| expected[a].total_cmp(&expected[b]));
        let Some(best) = best else { return Vec::new() };
        let enough = expected[best] + NARROW * expected[best].abs();
        let known = |place: usize| hopes[place] <= enough && runs(place).count() > 1;
        let unknown = places.iter().copied().filter(|&place| match place == best {
            true => !known(place),
            false => hopes[place] > enough,
        });
        let unknown = unknown.filter(|&place| runs(place).count() < task.max_repeats);
        unknown.take(most).collect()
    };
    let mut chosen: BTreeSet<usize> = undecided(&order, most).into_iter().collect();
    // What leads by its runs, maybe by luck, is seen twice.
    let cells = cell::cells(records, task.cells.grid, task.weights, None);
    let leader = choose(task.objective, &cells).and_then(|choice| task.cells.place(choice.leader));
    let leader = leader.filter(|&place| runs(place).count() < 2.min(task.max_repeats));
    chosen.extend(leader);
    for batch_size in sizes {
        let of_size: Vec<usize> =
            order.iter().copied().filter(|&place| size(place) == batch_size).collect();
        chosen.extend(undecided(&of_size, 1));
    }
    let mut chosen: Vec<usize> = chosen.into_iter().collect();
    chosen.sort_by(|&a, &b| hopes[b].total_cmp(&hopes[a]));
    chosen.sort_by_key(|&place| Some(place) != leader);
    chosen.truncate(most);
    chosen
}

fn distinct(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let numbers: BTreeSet<usize> = numbers.collect();
    numbers.into_iter().collect()
}
