//! What a setting that was not run would give, from what was measured before the trials and from the
//! settings that were: for the strategy `model`.
//!
//! First the parts of the way say, with `r` samples/s of one thread, `C` the lowest ceiling, `w`
//! workers, batches of `b` samples and `S` seconds of the consumer for a batch,
//!
//! ```text
//! loaded = min(C, max(w, 1) x r)
//! prior  = b / max(b / loaded, S)      with workers: loading and consuming at once
//!          b / (b / loaded + S)        without: one after the other
//! ```
//!
//! Then the runs say by how much that is off: `ln(measured / prior)` is taken for a smooth function
//! of the setting, a Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine Learning,
//! algorithm 2.1) whose values at two settings have the covariance
//!
//! ```text
//! OFFSET^2 + WAYS^2 x exp(-1/2 x sum over axes of ((x - x') / length of the axis)^2)
//! ```
//!
//! with the axes `log2(w + 1/2)`, `log2(depth)` and `log2(b)`; runs of one setting differ by what they
//! are seen to differ by. So the waits for room of a small depth, and cores shared by many workers,
//! are learned from a few settings, and how sure that is comes with it.

use profiler::bootstrap::median;

use super::ceiling::{self, Ceilings};
use super::cell;
use super::grid::{Cell, Planned};
use super::journal::{Phase, TrialRecord};
use super::memory::MemoryModel;
use super::objective::Objective;
use super::strategy::Task;
use crate::consumer::Consumer;
use crate::measure::Figures;

/// What is known before the trials.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prior {
    /// Samples a second of one thread that loads.
    pub worker_samples_per_s: Option<f64>,
    /// Samples a second at most.
    pub ceiling: Option<f64>,
    /// Samples a second that keep all cores busy.
    pub work: Option<f64>,
    /// What settings take of memory.
    pub memory: MemoryModel,
    /// Bytes of a sample in a batch.
    pub sample_bytes: usize,
    /// Seconds that the consumer takes for a batch, where that is known.
    pub step_s: Option<f64>,
}

/// All of the settings may be off by such a factor together, as a logarithm.
const OFFSET: f64 = 0.5;
/// And each by this one beside its neighbours.
const WAYS: f64 = 0.2;
/// Lengths of the axes: of workers, depth and batch size, in doublings.
const LENGTHS: [f64; 3] = [1.0, 1.5, 2.0];
/// How much runs of a setting differ, as a logarithm: where none was repeated, and at least.
const NOISE: f64 = 0.05;
const LEAST_NOISE: f64 = 0.01;

/// What a setting gives, for all that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Samples a second.
    pub samples_per_s: f64,
    /// Standard deviation of that, by its size.
    pub uncertainty: f64,
}

impl Prior {
    /// From what was measured before the trials.
    pub fn new(ceilings: &Ceilings, consumer: &Consumer, sample_bytes: usize) -> Self {
        let work = ceilings.parts.iter().find(|it| it.part == ceiling::Part::Work);
        Self {
            worker_samples_per_s: ceilings.worker_samples_per_s,
            ceiling: ceiling::lowest(&ceilings.parts).and_then(|lowest| lowest.samples_per_s),
            work: work.and_then(|work| work.samples_per_s),
            memory: ceilings.memory,
            sample_bytes,
            step_s: consumer.step_s(),
        }
    }

    /// What the parts of the way alone say of a setting, in samples a second.
    pub fn samples_per_s(&self, cell: Cell) -> f64 {
        let ceiling = self.ceiling.unwrap_or(f64::INFINITY);
        let worker = self.worker_samples_per_s.unwrap_or(1.0);
        let loaded = ceiling.min(cell.num_workers.max(1) as f64 * worker);
        let (size, step_s) = (cell.batch_size as f64, self.step_s.unwrap_or(0.0));
        match cell.num_workers {
            0 => size / (size / loaded + step_s),
            _ => size / (size / loaded).max(step_s),
        }
    }

    /// The figures of a run of `cell` with this rate.
    fn figures(&self, cell: Cell, samples_per_s: f64) -> Figures {
        let batches_per_s = samples_per_s / cell.batch_size as f64;
        let memory = self.memory.base_bytes + self.memory.above_base_bytes(cell, self.sample_bytes);
        let busy = self.work.map_or(0.0, |work| (samples_per_s / work).min(1.0));
        let worker = self.worker_samples_per_s.unwrap_or(samples_per_s);
        Figures {
            samples_per_s,
            batches_per_s,
            first_batch_s: cell.batch_size as f64 / (worker * cell.num_workers.max(1) as f64),
            wait_share: self.step_s.map(|step_s| (1.0 - batches_per_s * step_s).clamp(0.0, 1.0)),
            rss_base_bytes: self.memory.base_bytes,
            rss_mean_bytes: memory,
            rss_peak_bytes: memory,
            cpu_percent: 100.0 * busy,
            wall_s: 1.0,
            ..Figures::default()
        }
    }
}

/// What the settings of `task` give, in the order of places: those that were run and those that were
/// not.
pub fn predict(task: &Task<'_>, records: &[TrialRecord]) -> Vec<Prediction> {
    let places = 0..task.cells.cells.len();
    let prior: Vec<f64> =
        places.clone().map(|place| task.prior.samples_per_s(task.cells.cells[place])).collect();
    // Of each setting that was run: its place, how far it is off, and its runs.
    let off: Vec<(usize, Vec<f64>)> = places
        .clone()
        .map(|place| {
            let runs = records.iter().filter(|record| record.cell == place);
            let rates = runs.filter_map(|record| record.samples_per_s);
            (place, rates.map(|rate| (rate / prior[place]).ln()).collect::<Vec<f64>>())
        })
        .filter(|(_, off)| !off.is_empty())
        .collect();
    let noise = noise(&off);
    let covariance = |a: usize, b: usize| covariance(task.cells.cells[a], task.cells.cells[b]);
    let mut matrix: Vec<Vec<f64>> =
        off.iter().map(|(a, _)| off.iter().map(|(b, _)| covariance(*a, *b)).collect()).collect();
    for (row, (_, runs)) in off.iter().enumerate() {
        matrix[row][row] += noise * noise / runs.len() as f64;
    }
    cholesky(&mut matrix);
    let middles: Vec<f64> = off.iter().filter_map(|(_, runs)| median(runs)).collect();
    let weights = forward(&matrix, &middles);
    places
        .map(|place| {
            let shared: Vec<f64> = off.iter().map(|(other, _)| covariance(place, *other)).collect();
            let known = forward(&matrix, &shared);
            let mean: f64 = known.iter().zip(&weights).map(|(a, b)| a * b).sum();
            let explained: f64 = known.iter().map(|it| it * it).sum();
            Prediction {
                samples_per_s: prior[place] * mean.exp(),
                uncertainty: (covariance(place, place) - explained).max(0.0).sqrt(),
            }
        })
        .collect()
}

/// How good the settings of the grid would be, were they as fast as can be hoped for: that many
/// standard deviations above the middle.
pub(super) fn hopes(
    task: &Task<'_>,
    predictions: &[Prediction],
    deviations: f64,
    objective: Objective,
) -> Vec<f64> {
    let records: Vec<TrialRecord> = (0..task.cells.grid)
        .map(|place| {
            let cell = task.cells.cells[place];
            let Prediction { samples_per_s, uncertainty } = predictions[place];
            let rate = samples_per_s * (deviations * uncertainty).exp();
            let planned = Planned { phase: Phase::Sweep, repeat: 0, cell: place };
            TrialRecord::new(planned, cell, Ok(&task.prior.figures(cell, rate)))
        })
        .collect();
    let cells = cell::cells(&records, task.cells.grid, task.weights, None);
    let goodness = |summary| objective.goodness(summary).map_or(f64::NEG_INFINITY, |it| it.median);
    cells.iter().map(goodness).collect()
}

/// How much runs of one setting differ: what is left when the settings' means are taken off.
fn noise(off: &[(usize, Vec<f64>)]) -> f64 {
    let (mut squares, mut freedom) = (0.0, 0);
    for (_, runs) in off {
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        squares += runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>();
        freedom += runs.len() - 1;
    }
    match freedom {
        0 | 1 => NOISE,
        _ => (squares / f64::from(freedom as u32)).sqrt().max(LEAST_NOISE),
    }
}

fn covariance(a: Cell, b: Cell) -> f64 {
    let axes = |cell: Cell| {
        [
            (cell.num_workers as f64 + 0.5).log2(),
            (cell.prefetch_depth as f64).log2(),
            (cell.batch_size as f64).log2(),
        ]
    };
    let distance: f64 = (axes(a).into_iter().zip(axes(b)).zip(LENGTHS))
        .map(|((a, b), length)| ((a - b) / length).powi(2))
        .sum();
    OFFSET * OFFSET + WAYS * WAYS * (-distance / 2.0).exp()
}

/// Replaces the lower half of a positive definite matrix by its Cholesky factor.
fn cholesky(matrix: &mut [Vec<f64>]) {
    for row in 0..matrix.len() {
        for column in 0..=row {
            let done: f64 = (0..column).map(|k| matrix[row][k] * matrix[column][k]).sum();
            let left = matrix[row][column] - done;
            matrix[row][column] =
                if row == column { left.max(1e-12).sqrt() } else { left / matrix[column][column] };
        }
    }
}

/// The solution `x` of `L x = b`, `L` a lower factor.
fn forward(factor: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::with_capacity(b.len());
    for (row, b) in factor.iter().zip(b) {
        let done: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
        x.push((b - done) / row[x.len()]);
    }
    x
}
