//! Runs a sweep from its plan to its report.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use crossbeam::channel::Receiver;
use indicatif::ProgressBar;
use loader::LoaderError;
use loader::settings::MachineTable;
use profiler::machine;
use serde::Serialize;

use super::fingerprint::DataTable;
use super::grid::{self, Cell, Planned};
use super::journal::{Journal, Status, TrialRecord};
use super::output::{self, Output, Plan};
use super::summary::{self, Summary};
use super::trial::{self, TrialFailure, TrialSpec};
use super::{charts, recommend, report};
use crate::dataset::Opened;
use crate::{Config, TunerError, dataset, files};

/// What the command line adds to the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration's file, which names the default output folder.
    pub config_path: PathBuf,
    /// Where to write; `None` for the default.
    pub out: Option<PathBuf>,
    /// Go on with the sweep that is there.
    pub resume: bool,
    /// Say nothing but errors.
    pub quiet: bool,
    /// The command line, for the record.
    pub command: String,
}

/// A finished sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The folder with all files.
    #[serde(rename = "out")]
    pub path: PathBuf,
    /// What was found.
    #[serde(flatten)]
    pub summary: Summary,
}

/// Measures every setting of the configuration, whose data is there, and writes what was found;
/// `interrupt` receives when the user wants it to stop.
///
/// # Errors
/// If the configuration makes no sense, the data is missing or unusable, the folder cannot be
/// used, every trial fails, or the user stops it. Trials on record stay.
pub fn run(
    config: &Config,
    options: &Options,
    interrupt: &Receiver<()>,
) -> Result<Finished, TunerError> {
    config.validate()?;
    let data = dataset::open(config)?;
    let cells = grid::cells(&config.sweep);
    check_batch_sizes(config, &cells, data.samples)?;

    let path = match &options.out {
        Some(path) => path.clone(),
        None => output::default_path(&options.config_path, options.resume),
    };
    let output = Output::open(&path, options.resume)?;
    let data_table = DataTable::new(config, &data)?;
    let mut journal = Journal::open(&output.file("trials.jsonl"))?;
    let mut trials = summary::latest(journal.records()).into_iter();
    let mended = trials.any(|trial| trial.bad_sample.is_some());
    let plan = Plan {
        config: config.clone(),
        cells,
        started: now(),
        config_id: output::config_id(&options.config_path),
        data: data_table,
    };
    let plan = output.settle(plan, mended)?;
    measure(&plan, &data, &mut journal, &path, options, interrupt)?;

    let summary = summarize(&plan, journal.records(), options)?;
    write(&output, &plan.config, &summary)?;
    if options.out.is_none() {
        output::link_latest(&path)?;
    }
    Ok(Finished { path, summary })
}

/// What would fail in every trial is said before the first.
fn check_batch_sizes(config: &Config, cells: &[Cell], samples: usize) -> Result<(), TunerError> {
    let largest = cells.iter().map(|cell| cell.batch_size).max().unwrap_or(0);
    if config.loader.drop_last && largest > samples {
        return Err(LoaderError::NoFullBatch { batch_size: largest, samples }.into());
    }
    Ok(())
}

/// Runs the trials that have no figures yet.
fn measure(
    plan: &Plan,
    data: &Opened,
    journal: &mut Journal,
    path: &Path,
    options: &Options,
    interrupt: &Receiver<()>,
) -> Result<(), TunerError> {
    let sweep = &plan.config.sweep;
    let order = grid::order(plan.cells.len(), sweep.repeats, sweep.seed);
    let done: Vec<Planned> = summary::latest(journal.records())
        .into_iter()
        .filter(|record| record.status == Status::Ok)
        .map(TrialRecord::planned)
        .collect();
    let resume = || resume_command(options, path);
    let mut progress = Progress::new(order.len(), done.len(), options.quiet);
    for planned in order.iter().filter(|planned| !done.contains(planned)) {
        let cell = plan.cells[planned.cell];
        let record = match over_memory(cell, data) {
            Some(reason) => TrialRecord::without_figures(*planned, cell, Status::Skipped, reason),
            None => {
                let parent = rustix::process::getpid().as_raw_pid();
                let spec = TrialSpec { config: plan.config.clone(), cell, parent };
                let outcome = trial::run(&spec, interrupt);
                if let Err(TrialFailure::Interrupted) = outcome {
                    let done = summary::latest(journal.records()).len();
                    let (planned, path) = (order.len(), path.to_owned());
                    return Err(TunerError::Interrupted { done, planned, path, resume: resume() });
                }
                if let Ok(measured) = &outcome {
                    progress.warn(&measured.warnings);
                }
                let figures = outcome.as_ref().map(|measured| &measured.figures);
                TrialRecord::new(*planned, cell, figures)
            }
        };
        journal.append(record.clone())?;
        if record.bad_sample.is_some() {
            let records = summary::latest(journal.records());
            let done = records.iter().filter(|record| record.status == Status::Ok).count();
            let error = record.error.unwrap_or_default();
            let planned = order.len();
            return Err(TunerError::BadSample { error, done, planned, resume: resume() });
        }
        progress.trial(&record, journal.records());
    }
    Ok(())
}

/// The command that goes on with the sweep in `path`.
fn resume_command(options: &Options, path: &Path) -> String {
    let mut command = options.command.clone();
    if options.out.is_none() {
        let path = path.display().to_string().replace('\'', r"'\''");
        command += &format!(" --out '{path}'");
    }
    if !options.resume {
        command += " --resume";
    }
    command
}

/// Resident memory of a process with libtorch before it loads anything, about.
const BASE_BYTES: u64 = 300 << 20;

/// Why a setting cannot be tried on this machine, if its batches do not fit in memory.
fn over_memory(cell: Cell, data: &Opened) -> Option<String> {
    let sample: usize = data.fields.iter().map(loader::Field::bytes).sum();
    let batches = if cell.num_workers == 0 { 1 } else { cell.prefetch_depth + 1 };
    let batches =
        (cell.batch_size as u64).saturating_mul(sample as u64).saturating_mul(batches as u64);
    let (needed, available) = (batches.saturating_add(BASE_BYTES), machine::available_memory());
    (needed > available).then(|| {
        format!(
            "needs about {} MiB of memory, of which {} MiB are free",
            needed >> 20,
            available >> 20
        )
    })
}

fn summarize(
    plan: &Plan,
    records: &[TrialRecord],
    options: &Options,
) -> Result<Summary, TunerError> {
    let cells = summary::cells(records);
    let failed: Vec<TrialRecord> = summary::latest(records)
        .into_iter()
        .filter(|record| record.status != Status::Ok)
        .cloned()
        .collect();
    let recommended = summary::best(&cells);
    let fastest = summary::fastest(&cells);
    let (Some(recommended), Some(fastest)) = (recommended, fastest) else {
        let last = failed.last().and_then(|record| record.error.clone());
        return Err(TunerError::AllFailed { last: last.unwrap_or_default() });
    };
    Ok(Summary {
        schema: summary::SCHEMA.to_owned(),
        started: plan.started.clone(),
        finished: now(),
        command: options.command.clone(),
        machine: MachineTable::here(),
        data: plan.data.clone(),
        repeats: plan.config.sweep.repeats,
        measure_s: plan.config.sweep.measure_s,
        recommended: recommended.cell,
        fastest: fastest.cell,
        could_have_won: summary::could_have_won(recommended, &cells, &failed),
        cells,
        failed,
    })
}

fn write(output: &Output, config: &Config, summary: &Summary) -> Result<(), TunerError> {
    let json = serde_json::to_vec_pretty(summary).map_err(|e| TunerError::Bug(e.to_string()))?;
    files::write(&output.file("summary.json"), &json)?;
    charts::heat_map(&summary.cells, output.path())?;
    files::write(&output.file("report.md"), report::markdown(summary)?.as_bytes())?;
    let settings = recommend::settings_file(config, summary)?;
    files::write(&output.file("recommended.toml"), settings.as_bytes())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What is shown while trials run: a bar on a terminal, else a line for each trial.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    /// Warnings that were shown: the next trial has the same.
    warned: BTreeSet<String>,
}

impl Progress {
    fn new(planned: usize, done: usize, quiet: bool) -> Self {
        let bar = dataset::progress_bar(planned as u64, quiet);
        bar.set_style(dataset::style("{bar:30} {pos}/{len} trials, {eta} left; {wide_msg}"));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        let lines = !quiet && !std::io::stderr().is_terminal();
        Self { bar, lines, warned: BTreeSet::new() }
    }

    fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.insert(warning.clone()) {
                self.bar.suspend(|| tracing::warn!("{warning}"));
            }
        }
    }

    fn trial(&self, record: &TrialRecord, records: &[TrialRecord]) {
        self.bar.inc(1);
        let setting = record.setting();
        let outcome = match (record.score, &record.error) {
            (Some(score), _) => {
                format!("score {score:.1}, {:.0} samples/s", record.samples_per_s.unwrap_or(0.0))
            }
            (None, error) => error.clone().unwrap_or_default(),
        };
        if self.lines {
            let (at, of) = (self.bar.position(), self.bar.length().unwrap_or(0));
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{at}/{of}: {setting}: {outcome}");
        } else if record.status != Status::Ok {
            self.bar.println(format!("{setting}: {outcome}"));
        }
        if let Some(best) = summary::best(&summary::cells(records)) {
            self.bar
                .set_message(format!("best so far: {}, score {:.1}", best.cell, best.score.median));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
