//! Which settings the model would have run.

use std::collections::BTreeSet;

use super::grid::Cell;
use super::journal::{Status, TrialRecord};
use super::model::Outlook;
use super::objective::Objective;
use super::strategy::{NARROW, Task};

/// Every other setting of the grid, as the black squares of a chessboard.
pub(super) fn every_other(task: &Task<'_>) -> Vec<usize> {
    let grid = &task.cells.cells[..task.cells.grid];
    let sizes = distinct(grid.iter().map(|cell| cell.batch_size));
    let workers = distinct(grid.iter().map(|cell| cell.num_workers));
    let depths = distinct(grid.iter().map(|cell| cell.prefetch_depth));
    let place = |values: &[usize], value| values.partition_point(|it| *it < value);
    let black = |cell: &Cell| {
        let sum = place(&sizes, cell.batch_size)
            + place(&workers, cell.num_workers)
            + place(&depths, cell.prefetch_depth);
        sum.is_multiple_of(2)
    };
    (0..grid.len()).filter(|&place| black(&grid[place])).collect()
}

/// Settings that show how samples a second depend on workers and depth: the corners of the grid, and
/// where workers begin to keep all cores busy. Of several batch sizes each has some of them.
pub(super) fn probes(task: &Task<'_>) -> Vec<usize> {
    let grid = &task.cells.cells[..task.cells.grid];
    let sizes: Vec<usize> = distinct(grid.iter().map(|cell| cell.batch_size));
    let workers = distinct(grid.iter().map(|cell| cell.num_workers).filter(|it| *it > 0));
    let depths = distinct(grid.iter().map(|cell| cell.prefetch_depth));
    let enough = task.prior.enough_workers().unwrap_or(f64::INFINITY);
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

/// How much better than expected a setting may be, in standard deviations, to be worth a run: 1 in 15
/// is better than that.
const HOPE: f64 = 1.5;

/// What may be run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Settings at once.
    pub(super) at_once: usize,
    /// Runs of each setting.
    pub(super) repeats: usize,
}

/// The settings that could be better, by the model, than the one that is expected to be the best by
/// more than [`NARROW`], of all and of each batch size, and that one itself until it is known; none when
/// there are none.
pub(super) fn hopeful(task: &Task<'_>, records: &[TrialRecord], allowed: Allowed) -> Vec<usize> {
    let outlook = Outlook::new(task, records);
    let runs = |place: usize| records.iter().filter(move |record| record.cell == place);
    let count = |place: usize| runs(place).count();
    let grid = (0..task.cells.grid).collect::<Vec<usize>>();
    let hope = |place: usize| outlook.goodness(place, HOPE);
    let mut order: Vec<usize> =
        grid.into_iter().filter(|&place| runs(place).all(|run| run.status == Status::Ok)).collect();
    order.sort_by(|&a, &b| hope(b).total_cmp(&hope(a)));
    let undecided = |places: &[usize], most: usize| -> Vec<usize> {
        let allowed = |place: &usize| count(*place) < allowed.repeats;
        if task.objective == Objective::CheapestThatFeeds
            && let Some(undecided) = cheaper(task, &outlook, places, &count)
        {
            return undecided.into_iter().filter(allowed).take(most).collect();
        }
        let expected = |place: usize| outlook.goodness(place, 0.0);
        let best = places.iter().copied().max_by(|&a, &b| expected(a).total_cmp(&expected(b)));
        let Some(best) = best else { return Vec::new() };
        let enough = outlook.better(best, NARROW);
        let known = |place: usize| hope(place) <= enough && count(place) > 1;
        let rivals = places.iter().copied().filter(|&place| place != best && hope(place) > enough);
        let unknown = Some(best).filter(|&best| !known(best)).into_iter().chain(rivals);
        unknown.filter(allowed).take(most).collect()
    };
    let mut chosen = undecided(&order, allowed.at_once);
    let size = |place: usize| task.cells.cells[place].batch_size;
    for batch_size in distinct(order.iter().map(|&place| size(place))) {
        let of_size: Vec<usize> =
            order.iter().copied().filter(|&place| size(place) == batch_size).collect();
        for place in undecided(&of_size, 1) {
            if !chosen.contains(&place) {
                // Not the last of all.
                chosen.insert(chosen.len().min(1), place);
            }
        }
    }
    chosen.truncate(allowed.at_once);
    chosen
}

/// For the cheapest setting that keeps the consumer fed: the cheapest that is expected to, until that
/// is known, then cheaper ones that could, the cheapest first; `None` where none is expected to.
fn cheaper(
    task: &Task<'_>,
    outlook: &Outlook<'_>,
    places: &[usize],
    runs: &impl Fn(usize) -> usize,
) -> Option<Vec<usize>> {
    let feeds = |place: usize, deviations: f64| outlook.goodness(place, deviations) >= 0.0;
    let cost = |place: usize| {
        let cell = task.cells.cells[place];
        (cell.num_workers, task.prior.memory_bytes(cell), cell.prefetch_depth)
    };
    let expected = places.iter().copied().filter(|&place| feeds(place, 0.0));
    let pick = expected.min_by_key(|&place| cost(place))?;
    let known = feeds(pick, -HOPE) && runs(pick) > 1;
    let could = |place: &usize| cost(*place) < cost(pick) && feeds(*place, HOPE);
    let mut could: Vec<usize> = places.iter().copied().filter(could).collect();
    could.sort_by_key(|&place| cost(place));
    Some(Some(pick).filter(|_| !known).into_iter().chain(could).collect())
}

fn distinct(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let numbers: BTreeSet<usize> = numbers.collect();
    numbers.into_iter().collect()
}
