//! What a setting that was not run would give, from what was measured before the trials and from the
//! settings that were: for the strategies `race` and `model`, and for [`predict`](crate::predict).
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
//! function of the setting, a Gaussian process (`process.rs`), with an edge where all cores begin to be
//! busy; runs of one setting differ by what they are seen to differ by. So the waits for room of a small
//! depth, and cores shared by many workers, are learned from a few settings, and how sure that is comes
//! with it.

use profiler::statistics::median;

use super::ceiling::{self, Ceilings};
use super::gaussian_process::{Axes, GaussianProcess};
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

    /// How settings lie to each other, with lengths of workers, depth and batch size in doublings: shorter
    /// for what has edges wherever the consumer begins to be fed. The rate has one where all cores begin to
    /// be busy.
    fn axes(self, prior: &Prior) -> Axes {
        match self {
            Self::Rate => Axes {
                lengths: [2.0, 3.0, 3.0],
                enough_workers: prior.enough_workers().unwrap_or(0.0),
            },
            Self::Busy | Self::FirstBatch | Self::Memory => {
                Axes { lengths: [1.0, 1.5, 2.0], enough_workers: 0.0 }
            }
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
pub(crate) struct Prediction {
    pub(crate) value: f64,
    /// Standard deviation of that, by its size.
    pub(crate) uncertainty: f64,
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

    /// Workers that keep all cores busy; `None` where that is not known.
    pub(super) fn enough_workers(&self) -> Option<f64> {
        Some((self.work? / self.worker_samples_per_s?).round())
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
    let cells = &task.cells.cells;
    let runs: Vec<(Cell, Vec<f64>)> = cells
        .iter()
        .enumerate()
        .map(|(place, cell)| {
            let runs = records.iter().filter(|record| record.cell == place);
            (*cell, runs.filter_map(|run| figure.measured(run)).collect::<Vec<f64>>())
        })
        .filter(|(_, runs)| !runs.is_empty())
        .collect();
    let fit = Fit::new(figure, &task.prior, &runs);
    cells.iter().map(|cell| fit.at(*cell)).collect()
}

/// A figure of all settings, learnt from the runs of some.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    figure: Figure,
    prior: Prior,
    process: GaussianProcess,
    /// By how much the settings are off of the prior, their middle, as a logarithm.
    middle: f64,
    learnt: Vec<f64>,
    noise: f64,
}

impl Fit {
    /// Of samples a second; `runs` are those of each setting that was run.
    pub(crate) fn of_rates(prior: &Prior, runs: &[(Cell, Vec<f64>)]) -> Self {
        Self::new(Figure::Rate, prior, runs)
    }

    fn new(figure: Figure, prior: &Prior, runs: &[(Cell, Vec<f64>)]) -> Self {
        let off = |(cell, runs): &(Cell, Vec<f64>)| -> Vec<f64> {
            let prior = figure.prior(prior, *cell);
            runs.iter().map(|value| (value / prior).ln()).collect()
        };
        let off: Vec<Vec<f64>> = runs.iter().map(off).collect();
        let noise = noise(figure, &off);
        let settings: Vec<(Cell, f64)> =
            runs.iter().map(|(cell, runs)| (*cell, noise * noise / runs.len() as f64)).collect();
        let process = GaussianProcess::new(&settings, figure.axes(prior));
        let middles: Vec<f64> = off.iter().filter_map(|runs| median(runs)).collect();
        let middle = median(&middles).unwrap_or(0.0);
        let middles: Vec<f64> = middles.into_iter().map(|it| it - middle).collect();
        let learnt = process.learn(&middles);
        Self { figure, prior: *prior, process, middle, learnt, noise }
    }

    /// How much runs of a setting differ, as a logarithm.
    pub(crate) fn noise(&self) -> f64 {
        self.noise
    }

    /// What is expected of `cell`.
    pub(crate) fn at(&self, cell: Cell) -> Prediction {
        let sight = self.process.at(cell);
        let off = self.middle + sight.mean(&self.learnt);
        let value = self.figure.prior(&self.prior, cell) * off.exp();
        Prediction { value, uncertainty: sight.uncertainty }
    }

    /// What is expected of `cell` of something else, whose `values` at the settings that were run are
    /// these, in their order, weighed as the figure's are.
    pub(crate) fn weighed(&self, values: &[f64], cell: Cell) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let off: Vec<f64> = values.iter().map(|value| value - mean).collect();
        mean + self.process.at(cell).mean(&self.process.learn(&off))
    }
}

/// How much runs of one setting differ: what is left when the settings' means are taken off, and what
/// is usual, for as long as few were repeated.
fn noise(figure: Figure, off: &[Vec<f64>]) -> f64 {
    let [usual, least] = figure.noise();
    let (mut squares, mut freedom) = (0.0, 0);
    for runs in off {
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        squares += runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>();
        freedom += runs.len() - 1;
    }
    let (squares, freedom) = (squares + BELIEVED * usual * usual, BELIEVED + freedom as f64);
    (squares / freedom).sqrt().max(least)
}
