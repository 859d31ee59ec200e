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
//! and in the same way the time to the first batch, the memory, and the share of the time that the
//! consumer is busy, `S x samples per second / b`. Then the runs say by how much that is off:
//! `ln(measured / prior)`, less its middle over the settings that were run, is taken for a smooth
//! function of the setting, a Gaussian process (Rasmussen and Williams, Gaussian Processes for Machine
//! Learning, algorithm 2.1) whose values at two settings have the covariance
//!
//! ```text
//! OFFSET^2 + LOCAL^2 x exp(-1/2 x sum over axes of ((x - x') / length of the axis)^2)
//! ```
//!
//! with the axes `log2(w + 1/2)`, `log2(depth)` and `log2(b)`; runs of one setting differ by what they
//! are seen to differ by. So the waits for room of a small depth, and cores shared by many workers,
//! are learned from a few settings, and how sure that is comes with it.

use profiler::statistics::median;

use super::ceiling::{self, Ceilings};
use super::grid::Cell;
use super::journal::TrialRecord;
use super::memory::MemoryModel;
use super::objective::{FED, Objective};
use super::score::{self, ScoreTerms};
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
const LOCAL: f64 = 0.2;
/// So many degrees of freedom count for what is usual.
const BELIEVED: f64 = 2.0;

/// What is predicted of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    /// Samples a second.
    Rate,
    /// The share of its time that the consumer does not wait.
    Busy,
    /// Seconds to the first batch.
    FirstBatch,
    /// Resident bytes.
    Memory,
}

impl Figure {
    /// What decides an objective.
    fn of(objective: Objective) -> Self {
        match objective {
            Objective::Documented | Objective::SamplesPerSecond | Objective::Custom => Self::Rate,
            Objective::CheapestThatFeeds => Self::Busy,
            Objective::FirstBatch => Self::FirstBatch,
            Objective::Memory => Self::Memory,
        }
    }

    fn measured(self, run: &TrialRecord) -> Option<f64> {
        match self {
            Self::Rate => run.samples_per_s,
            // One that only waits has a logarithm too.
            Self::Busy => run.wait_share.map(|wait| (1.0 - wait).max(0.001)),
            Self::FirstBatch => run.first_batch_s,
            Self::Memory => run.rss_mean_bytes.map(|bytes| bytes as f64),
        }
    }

    fn prior(self, prior: &Prior, cell: Cell) -> f64 {
        let figures = prior.figures(cell, prior.samples_per_s(cell));
        match self {
            Self::Rate => figures.samples_per_s,
            Self::Busy => 1.0 - figures.wait_share.unwrap_or(0.0).min(0.999),
            Self::FirstBatch => figures.first_batch_s,
            Self::Memory => (figures.rss_mean_bytes as f64).max(1.0),
        }
    }

    /// How much runs of a setting differ, as a logarithm: usually, and at least.
    fn noise(self) -> [f64; 2] {
        match self {
            Self::Rate => [0.08, 0.01],
            Self::Busy => [0.02, 0.002],
            Self::FirstBatch => [0.1, 0.02],
            Self::Memory => [0.02, 0.002],
        }
    }

    /// Lengths of the axes: of workers, depth and batch size, in doublings. Shorter for what has edges,
    /// as the share that a fed consumer is busy, which is all of it.
    fn lengths(self) -> [f64; 3] {
        match self {
            Self::Rate => [2.0, 3.0, 3.0],
            Self::Busy | Self::FirstBatch | Self::Memory => [1.0, 1.5, 2.0],
        }
    }

    /// Which way is better.
    fn sign(self) -> f64 {
        match self {
            Self::Rate | Self::Busy => 1.0,
            Self::FirstBatch | Self::Memory => -1.0,
        }
    }
}

/// What a setting gives, for all that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Prediction {
    value: f64,
    /// Standard deviation of that, by its size.
    uncertainty: f64,
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

    /// Bytes that a run of `cell` holds.
    pub(super) fn memory_bytes(&self, cell: Cell) -> u64 {
        self.memory.base_bytes + self.memory.above_base_bytes(cell, self.sample_bytes)
    }

    /// The figures of a run of `cell` with this rate.
    fn figures(&self, cell: Cell, samples_per_s: f64) -> Figures {
        let batches_per_s = samples_per_s / cell.batch_size as f64;
        let memory = self.memory_bytes(cell);
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

/// What the settings of a task give for its objective, by all runs: those that were run and those that
/// were not.
pub(super) struct Outlook<'a> {
    task: &'a Task<'a>,
    figure: Figure,
    /// In the order of places.
    predictions: Vec<Prediction>,
}

impl<'a> Outlook<'a> {
    /// By these runs.
    pub(super) fn new(task: &'a Task<'a>, records: &[TrialRecord]) -> Self {
        let figure = Figure::of(task.objective);
        Self { task, figure, predictions: predict(task, figure, records) }
    }

    /// How good the setting at a place is, more being better, if it is so many standard deviations
    /// better than the middle of what is expected. That it feeds the consumer is as good as it gets.
    pub(super) fn goodness(&self, place: usize, deviations: f64) -> f64 {
        let Prediction { value, uncertainty } = self.predictions[place];
        self.goodness_of(place, value * (self.figure.sign() * deviations * uncertainty).exp())
    }

    /// How good it would be with a figure that is better than the expected one by such a share.
    pub(super) fn better(&self, place: usize, share: f64) -> f64 {
        let value = self.predictions[place].value;
        self.goodness_of(place, value * (1.0 + self.figure.sign() * share))
    }

    fn goodness_of(&self, place: usize, value: f64) -> f64 {
        let Task { objective, weights, prior, .. } = self.task;
        let cell = self.task.cells.cells[place];
        let terms = || {
            let figures = prior.figures(cell, value);
            ScoreTerms::new(cell, &figures, score::bottlenecks(cell, &figures).len())
        };
        match objective {
            Objective::Documented => terms().total(),
            Objective::Custom => weights.copied().unwrap_or_default().of(&terms(), value),
            Objective::SamplesPerSecond => value,
            Objective::CheapestThatFeeds if value > 1.0 - FED => 0.0,
            Objective::CheapestThatFeeds => value - 1.0,
            Objective::FirstBatch | Objective::Memory => -value,
        }
    }
}

fn predict(task: &Task<'_>, figure: Figure, records: &[TrialRecord]) -> Vec<Prediction> {
    let places = 0..task.cells.cells.len();
    let prior: Vec<f64> =
        task.cells.cells.iter().map(|cell| figure.prior(&task.prior, *cell)).collect();
    // Of each setting that was run: its place, and how far its runs are off.
    let off: Vec<(usize, Vec<f64>)> = places
        .clone()
        .map(|place| {
            let runs = records.iter().filter(|record| record.cell == place);
            let figures = runs.filter_map(|run| figure.measured(run));
            (place, figures.map(|value| (value / prior[place]).ln()).collect::<Vec<f64>>())
        })
        .filter(|(_, off)| !off.is_empty())
        .collect();
    let noise = noise(figure, &off);
    let covariance =
        |a: usize, b: usize| covariance(figure, task.cells.cells[a], task.cells.cells[b]);
    let mut matrix: Vec<Vec<f64>> =
        off.iter().map(|(a, _)| off.iter().map(|(b, _)| covariance(*a, *b)).collect()).collect();
    for (row, (_, runs)) in off.iter().enumerate() {
        matrix[row][row] += noise * noise / runs.len() as f64;
    }
    cholesky(&mut matrix);
    let middles: Vec<f64> = off.iter().filter_map(|(_, runs)| median(runs)).collect();
    let middle = median(&middles).unwrap_or(0.0);
    let middles: Vec<f64> = middles.into_iter().map(|it| it - middle).collect();
    let weights = forward(&matrix, &middles);
    places
        .map(|place| {
            let shared: Vec<f64> = off.iter().map(|(other, _)| covariance(place, *other)).collect();
            let known = forward(&matrix, &shared);
            let mean: f64 = known.iter().zip(&weights).map(|(a, b)| a * b).sum();
            let explained: f64 = known.iter().map(|it| it * it).sum();
            Prediction {
                value: prior[place] * (middle + mean).exp(),
                uncertainty: (covariance(place, place) - explained).max(0.0).sqrt(),
            }
        })
        .collect()
}

/// How much runs of one setting differ: what is left when the settings' means are taken off, and what
/// is usual, for as long as few were repeated.
fn noise(figure: Figure, off: &[(usize, Vec<f64>)]) -> f64 {
    let [usual, least] = figure.noise();
    let (mut squares, mut freedom) = (0.0, 0);
    for (_, runs) in off {
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        squares += runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>();
        freedom += runs.len() - 1;
    }
    let (squares, freedom) = (squares + BELIEVED * usual * usual, BELIEVED + freedom as f64);
    (squares / freedom).sqrt().max(least)
}

fn covariance(figure: Figure, a: Cell, b: Cell) -> f64 {
    let axes = |cell: Cell| {
        [
            (cell.num_workers as f64 + 0.5).log2(),
            (cell.prefetch_depth as f64).log2(),
            (cell.batch_size as f64).log2(),
        ]
    };
    let distance: f64 = (axes(a).into_iter().zip(axes(b)).zip(figure.lengths()))
        .map(|((a, b), length)| ((a - b) / length).powi(2))
        .sum();
    OFFSET * OFFSET + LOCAL * LOCAL * (-distance / 2.0).exp()
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
