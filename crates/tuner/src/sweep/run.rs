//! Runs a sweep from its plan to its report.

use std::path::PathBuf;

use crossbeam::channel::Receiver;
use loader::settings::MachineTable;
use loader::{LoaderError, Settings};
use serde::Serialize;

use super::cache::{CacheKeeper, CacheState};
use super::ceiling::{self, Ceiling, Ceilings};
use super::clock::Clock;
use super::drift::Drift;
use super::fingerprint::DataTable;
use super::grid::{Cell, Cells};
use super::headline::Decision;
use super::journal::{Journal, Phase, Status, TrialRecord};
use super::memory::limit_bytes;
use super::objective::{Choice, Objective, by_batch_size, choose, pareto};
use super::output::{self, CEILINGS, Output, SUMMARY, TRIALS};
use super::plan::Plan;
use super::processes::Processes;
use super::progress::Progress;
use super::reuse::{self, Reuse};
use super::strategy::Task;
use super::summary::{self, Ended, Method, Reused, Summary};
use super::{cell, charts, export, page, recommend, report, timelines};
use crate::config::SweepConfig;
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
    /// The folder of a sweep whose runs are taken over as far as they still hold; one that is resumed goes on
    /// as it was begun.
    pub reuse: Option<PathBuf>,
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
    let cells = Cells::new(&config.sweep, default_cell(config));
    check_batch_sizes(config, &cells.cells, data.samples)?;

    let path = match &options.out {
        Some(path) => path.clone(),
        None => output::default_path(&options.config_path, options.resume),
    };
    let mut plan = Plan {
        config: config.clone(),
        cells,
        started: now(),
        config_id: output::path_id(&options.config_path),
        data: DataTable::new(config, &data)?,
        command: options.command.clone(),
        machine: MachineTable::here(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        reuse: None,
    };
    // What a sweep to resume was to take over is in its plan.
    if let Some(folder) = options.reuse.as_ref().filter(|_| !options.resume) {
        plan.reuse = Some(reuse::check(folder, &plan)?);
    }
    let output = Output::open(&path, options.resume)?;
    let mut journal = Journal::open(&output.file(TRIALS))?;
    let mended = journal.records().iter().any(|trial| trial.bad_sample.is_some());
    let plan = output.settle(plan, mended)?;
    let memory_limit_bytes = limit_bytes(config.sweep.memory_limit_bytes);
    let progress = Progress::new(journal.records().len(), options.quiet);
    let cache = CacheKeeper::new(config.sweep.cache, &config.dataset)?;
    let clock = Clock::after(journal.records());
    let mut processes = Processes {
        plan: &plan,
        data: &data,
        journal: &mut journal,
        path: &path,
        interrupt,
        memory_limit_bytes,
        cache,
        ceilings: Ceilings::default(),
        clock,
        progress,
    };
    processes.ceilings(&output.file(CEILINGS))?;
    let reuse = processes.reuse()?;
    if reuse != plan.reuse {
        output.note(&Plan { reuse: reuse.clone(), ..plan.clone() })?;
    }
    let ended = processes.run_all()?;
    let task = plan.task(processes.prior());
    let conditions =
        Conditions { memory_limit_bytes, cache: processes.cache_state(), reuse, ended };
    let ceilings = std::mem::take(&mut processes.ceilings.parts);
    drop(processes);

    let summary = summarize(&plan, &task, &journal, ceilings, conditions)?;
    write(&output, &plan.config, &summary, journal.records())?;
    if options.out.is_none() || output::is_default(&path, &options.config_path) {
        output::link_latest(&path)?;
    }
    Ok(Finished { path, summary })
}

/// What the loader takes without settings, with the configuration's batch size.
pub(super) fn default_cell(config: &Config) -> Cell {
    let Settings { num_workers, prefetch_depth, .. } = Settings::default();
    Cell { batch_size: config.loader.batch_size, num_workers, prefetch_depth }
}

/// What would fail in every trial is said before the first.
pub(super) fn check_batch_sizes(
    config: &Config,
    cells: &[Cell],
    samples: usize,
) -> Result<(), TunerError> {
    let largest = cells.iter().map(|cell| cell.batch_size).max().unwrap_or(0);
    if samples == 0 {
        return Err(LoaderError::NoSamples.into());
    }
    if config.loader.drop_last && largest > samples {
        let (batch_size, world_size) = (largest, 1);
        return Err(LoaderError::NoFullBatch { batch_size, world_size, samples }.into());
    }
    Ok(())
}

/// What the runs were measured under.
struct Conditions {
    memory_limit_bytes: u64,
    cache: CacheState,
    reuse: Option<Reuse>,
    ended: Ended,
}

impl Conditions {
    /// How all was measured, these runs among it.
    fn method(self, sweep: &SweepConfig, records: &[TrialRecord]) -> Method {
        let Self { memory_limit_bytes, cache, reuse, ended } = self;
        let own = || records.iter().filter(|record| record.reused_from.is_none());
        let blocks = own().filter(|it| it.phase == Phase::Sweep).map(|it| it.repeat + 1);
        Method {
            strategy: sweep.strategy,
            objective: sweep.objective(),
            weights: sweep.score_weights().copied(),
            consumer: sweep.consumer.clone(),
            cache,
            repeats: sweep.repeats,
            max_repeats: sweep.max_repeats,
            measure_s: sweep.measure_s,
            turn_s: sweep.turn_s,
            in_turn: records.iter().filter(|it| it.reference_samples_per_s.is_some()).count(),
            time_budget_s: sweep.time_budget_s,
            memory_limit_bytes,
            blocks: blocks.max().unwrap_or(0),
            trials: own().filter(|it| it.status != Status::Skipped).count(),
            reused: reuse.map(|reuse| Reused {
                runs: records.iter().filter(|it| it.reused_from.is_some()).count(),
                from: reuse.from,
                refused: reuse.refused,
            }),
            trials_s: records.iter().filter_map(|record| record.duration_s).sum(),
            unsteady: records.iter().filter(|it| it.steady == Some(false)).count(),
            ended,
        }
    }
}

fn summarize(
    plan: &Plan,
    task: &Task<'_>,
    journal: &Journal,
    ceilings: Vec<Ceiling>,
    conditions: Conditions,
) -> Result<Summary, TunerError> {
    let records = journal.records();
    let sweep = &plan.config.sweep;
    let objective = sweep.objective();
    let mut cells = sweep.strategy.cells(task, journal.measured(), records);
    for cell in &mut cells {
        let ceiling = ceiling::of(cell.cell, &ceilings, &sweep.consumer);
        cell.ceiling_share = ceiling.map(|(_, rate)| cell.samples_per_s.median / rate);
    }
    summary::rank(&mut cells, objective);
    let failed = records.iter().filter(|record| record.status != Status::Ok);
    let failed: Vec<TrialRecord> = failed.cloned().collect();
    let choices = Objective::ALL.into_iter().filter_map(|objective| choose(objective, &cells));
    let mut choices: Vec<Choice> = choices.collect();
    let fastest = choices.iter().find(|it| it.objective == Objective::SamplesPerSecond);
    let fastest = fastest.map(|choice| choice.leader);
    let (Some(decision), Some(fastest)) = (Decision::of(task, &cells, records), fastest) else {
        let last = failed.last().and_then(|record| record.error.clone());
        return Err(TunerError::AllFailed { last: last.unwrap_or_default() });
    };
    let Decision { chosen, default, headline, recommended } = decision;
    let mut by_batch_size = by_batch_size(objective, &cells);
    if recommended != chosen {
        let of_size = |it: &&mut Choice| it.winner.batch_size == recommended.batch_size;
        let of_objective = choices.iter_mut().filter(|it| it.objective == objective);
        let replaced = of_objective.chain(by_batch_size.iter_mut().filter(of_size));
        replaced.for_each(|choice| choice.give_way(recommended));
    }
    let winner = cells.iter().find(|cell| cell.cell == recommended);
    Ok(Summary {
        schema: summary::SCHEMA.to_owned(),
        started: plan.started.clone(),
        finished: now(),
        command: plan.command.clone(),
        machine: plan.machine.clone(),
        data: plan.data.clone(),
        method: conditions.method(sweep, records),
        ceilings,
        recommended,
        default,
        fastest,
        by_batch_size,
        pareto: pareto(&cells),
        // The setting that it is held against: the default, or the one that it stands in for.
        timelines: timelines::of([recommended, default, chosen], records),
        headline,
        drift: Drift::of(plan.cells.default_cell(), plan.cells.sentinel, journal.measured()),
        could_have_won: winner
            .map(|winner| cell::could_have_won(objective, winner, default, &cells, &failed))
            .unwrap_or_default(),
        objectives: choices,
        cells,
        failed,
    })
}

fn write(
    output: &Output,
    config: &Config,
    summary: &Summary,
    records: &[TrialRecord],
) -> Result<(), TunerError> {
    files::write_json(&output.file(SUMMARY), summary)?;
    charts::write(summary, output.path())?;
    export::write(summary, records, output.path())?;
    files::write(&output.file("report.md"), report::markdown(summary)?.as_bytes())?;
    files::write(&output.file("report.html"), page::html(summary)?.as_bytes())?;
    let settings = recommend::settings_file(config, summary)?;
    files::write(&output.file("recommended.toml"), settings.as_bytes())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
