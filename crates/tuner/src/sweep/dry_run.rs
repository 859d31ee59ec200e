//! What a sweep would do and take: `tuner sweep --dry-run`.

use std::fmt::Write;
use std::time::Instant;

use comfy_table::Table;
use crossbeam::channel::Receiver;
use loader::Settings;
use loader::error::Report;
use profiler::report::human::mb;
use serde::Serialize;

use super::ceiling::{Ceiling, Ceilings};
use super::grid::{Cell, Cells};
use super::memory::{limit_bytes, sample_bytes};
use super::model::Prior;
use super::objective::Objective;
use super::run::{check_batch_sizes, default_cell};
use super::strategy::{Strategy, Task};
use super::trial::{self, Job, TrialFailure, TrialSpec};
use crate::measure::{LEAST_BATCHES, least_warmup_s, warmup_batches};
use crate::{Config, TunerError, dataset, table};

/// The plan of a sweep. Predictions are from what is measured before the trials of a sweep, which a dry
/// run measures too, in seconds; it writes nothing.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// Which settings would be run how often.
    pub strategy: Strategy,
    /// What the best would be chosen for.
    pub objective: Objective,
    /// Number of samples in the data set.
    pub samples: usize,
    /// What the parts of the way give; empty where they could not be measured.
    pub ceilings: Vec<Ceiling>,
    /// What a process may take of memory, in bytes.
    pub memory_limit_bytes: u64,
    /// The settings, the grid first.
    pub settings: Vec<PlannedSetting>,
    /// Processes, at least and at most: how many depends on what is found.
    pub processes: [usize; 2],
    /// Seconds that they take, about.
    pub predicted_s: [f64; 2],
    /// What the sweep may take, in seconds.
    pub time_budget_s: Option<f64>,
}

/// A setting that would be run.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedSetting {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// Whether it is a setting to choose from; else it would be run for comparison.
    pub in_grid: bool,
    /// Samples a second; absent where the ceilings could not be measured.
    pub predicted_samples_per_s: Option<f64>,
    /// Seconds of one process; absent likewise.
    pub predicted_s: Option<f64>,
    /// Peak memory above what a process holds before the loader is built, in bytes.
    pub predicted_above_base_bytes: u64,
    /// All of its memory, in bytes.
    pub predicted_bytes: u64,
    /// Why it would be skipped, if it would.
    pub skipped: Option<String>,
}

impl DryRun {
    /// Plans the sweep of a configuration whose data is there.
    ///
    /// # Errors
    /// If the configuration makes no sense, the data is missing or unusable, or the user stops it.
    pub fn new(config: &Config, interrupt: &Receiver<()>) -> Result<Self, TunerError> {
        config.validate()?;
        let sweep = &config.sweep;
        let data = dataset::open(config)?;
        let cells = Cells::new(sweep, default_cell(config));
        check_batch_sizes(config, &cells.cells, data.samples)?;
        let memory_limit_bytes = limit_bytes(sweep.memory_limit_bytes);
        let (ceilings, setup_s) = measure(config, memory_limit_bytes, interrupt)?;
        let prior = Prior::new(&ceilings, &sweep.consumer, sample_bytes(&data.fields));
        let task = Task::new(&cells, sweep, prior);

        let setting = |(place, &cell): (usize, &Cell)| {
            let above = prior.memory.above_base_bytes(cell, prior.sample_bytes);
            let rate = prior.worker_samples_per_s.map(|_| prior.samples_per_s(cell));
            PlannedSetting {
                cell,
                in_grid: place < cells.grid,
                predicted_samples_per_s: rate,
                predicted_s: rate.map(|rate| setup_s + process_s(config, cell, rate)),
                predicted_above_base_bytes: above,
                predicted_bytes: prior.memory.base_bytes.saturating_add(above),
                skipped: prior.memory.over(above, memory_limit_bytes),
            }
        };
        let settings: Vec<PlannedSetting> = cells.cells.iter().enumerate().map(setting).collect();
        let fits = settings.iter().filter(|it| it.skipped.is_none()).count();
        let share = fits as f64 / settings.len().max(1) as f64;
        let times: Vec<f64> = settings
            .iter()
            .filter(|it| it.skipped.is_none())
            .filter_map(|it| it.predicted_s)
            .collect();
        let each_s = times.iter().sum::<f64>() / times.len().max(1) as f64;
        let runs = |most: usize| (most as f64 * share).round() as usize;
        let [least, most] = sweep.strategy.runs(&task);
        // The best may turn out to be the default, and then there is nothing to confirm.
        let processes = [runs(least), runs(most) + 2 * sweep.confirm];
        Ok(Self {
            strategy: sweep.strategy,
            objective: sweep.objective(),
            samples: data.samples,
            memory_limit_bytes,
            settings,
            processes,
            predicted_s: processes.map(|runs| ceilings.duration_s + setup_s + runs as f64 * each_s),
            ceilings: ceilings.parts,
            time_budget_s: sweep.time_budget_s,
        })
    }
}

/// Measures the ceilings, and what it takes to set a process up, in seconds. What hinders that is a
/// warning.
fn measure(
    config: &Config,
    memory_limit_bytes: u64,
    interrupt: &Receiver<()>,
) -> Result<(Ceilings, f64), TunerError> {
    let spec = TrialSpec::new(config, Job::Ceilings, memory_limit_bytes);
    let started = Instant::now();
    match trial::run::<Ceilings>(&spec, interrupt) {
        Ok(measured) => {
            let setup_s = started.elapsed().as_secs_f64() - measured.figures.duration_s;
            Ok((measured.figures, setup_s))
        }
        Err(TrialFailure::Interrupted) => Err(TunerError::Stopped),
        Err(failure) => {
            tracing::warn!("the ceilings could not be measured: {}", Report(&failure));
            Ok((Ceilings::default(), 0.0))
        }
    }
}

/// Seconds that a process measures `cell`, warming up included, at this rate.
fn process_s(config: &Config, cell: Cell, samples_per_s: f64) -> f64 {
    let sweep = &config.sweep;
    let settings = cell.over(&Settings::default());
    let batch_s = cell.batch_size as f64 / samples_per_s;
    let warmup_s = sweep.warmup_s.max(least_warmup_s(sweep.measure_s));
    let measured_s = sweep.measure_s.max(LEAST_BATCHES as f64 * batch_s);
    // The default's turns take as long again.
    let turns = if sweep.in_turns() { 2.0 } else { 1.0 };
    warmup_s.max(warmup_batches(&settings) as f64 * batch_s) + turns * measured_s
}

/// For people.
pub fn text(plan: &DryRun) -> String {
    let [least, most] = plan.processes;
    let minutes =
        |seconds: f64| format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0);
    let [short, long] = plan.predicted_s;
    let mut text = format!("{}\n\n", settings_table(&plan.settings));
    let _ = writeln!(
        text,
        "{} samples; strategy `{}`, objective `{}`: {least} to {most} processes, about {} to {}{}.",
        plan.samples,
        plan.strategy.name(),
        plan.objective,
        minutes(short),
        minutes(long),
        plan.time_budget_s
            .map(|budget_s| format!(", of which it may take {}", minutes(budget_s)))
            .unwrap_or_default()
    );
    let skipped = plan.settings.iter().filter(|setting| setting.skipped.is_some()).count();
    let _ = writeln!(
        text,
        "A process may take {}; {skipped} of {} settings would be skipped for that.",
        mb(plan.memory_limit_bytes as f64),
        plan.settings.len()
    );
    text + "Nothing was written.\n"
}

fn settings_table(settings: &[PlannedSetting]) -> Table {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
    let rows = settings.iter().map(|setting| {
        let Cell { batch_size, num_workers, .. } = setting.cell;
        let note = match (&setting.skipped, setting.in_grid) {
            (Some(reason), _) => format!("skipped: {reason}"),
            (None, false) => "for comparison".to_owned(),
            (None, true) => String::new(),
        };
        [
            batch_size.to_string(),
            num_workers.to_string(),
            setting.cell.depth(),
            or_none(setting.predicted_samples_per_s.map(|rate| format!("{rate:.0}"))),
            mb(setting.predicted_bytes as f64),
            or_none(setting.predicted_s.map(|seconds| format!("{seconds:.1} s"))),
            note,
        ]
    });
    let header =
        ["batch", "workers", "depth", "samples/s, predicted", "memory", "one process", "note"];
    table::markdown(header, rows)
}
