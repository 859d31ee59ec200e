//! Makes the runs of a sweep, each in a process of its own.

use std::path::Path;

use crossbeam::channel::Receiver;
use loader::error::Report;
use profiler::report::human::duration;
use serde::de::DeserializeOwned;

use super::cache::{CacheKeeper, CacheState};
use super::ceiling::Ceilings;
use super::cell::CellSummary;
use super::clock::Clock;
use super::driver::{Driver, Runner};
use super::grid::Planned;
use super::journal::{Journal, Status, TrialRecord};
use super::memory::sample_bytes;
use super::model::Prior;
use super::objective::choose;
use super::plan::Plan;
use super::progress::Progress;
use super::reuse::{self, Reuse, Source};
use super::summary::{self, Ended};
use super::trial::{self, Job, Measured, Prepared, TrialFailure, TrialSpec};
use crate::dataset::Opened;
use crate::{TunerError, files};

/// What a process gave.
struct Ran<T> {
    outcome: Result<T, TrialFailure>,
    /// Share of the data's pages that was in memory before it.
    resident_share: Option<f64>,
    /// By the sweep's clock.
    started_s: f64,
    duration_s: f64,
}

/// A sweep under way.
pub(super) struct Processes<'a> {
    pub(super) plan: &'a Plan,
    pub(super) data: &'a Opened,
    pub(super) journal: &'a mut Journal,
    /// The folder.
    pub(super) path: &'a Path,
    pub(super) interrupt: &'a Receiver<()>,
    /// What a run may take of memory.
    pub(super) memory_limit_bytes: u64,
    pub(super) cache: CacheKeeper,
    pub(super) ceilings: Ceilings,
    pub(super) clock: Clock,
    pub(super) progress: Progress,
}

impl<'a> Processes<'a> {
    /// Runs all that has no figures yet, and tells why there is no more.
    pub(super) fn run_all(&mut self) -> Result<Ended, TunerError> {
        self.driver().run(self)
    }

    fn driver(&self) -> Driver<'a> {
        let plan = self.plan;
        let sweep = &plan.config.sweep;
        Driver {
            strategy: sweep.strategy,
            task: plan.task(self.prior()),
            seed: sweep.seed,
            budget_s: sweep.time_budget_s,
            // What the others are measured in turn with.
            first: Some(plan.cells.sentinel),
        }
    }

    /// Takes over the runs of the sweep that was named, where the default still gives what it gave there; once
    /// that is decided nothing. What came of it.
    pub(super) fn reuse(&mut self) -> Result<Option<Reuse>, TunerError> {
        let Some(named) = &self.plan.reuse else { return Ok(None) };
        let taken = self.journal.records().iter().any(|record| record.reused_from.is_some());
        if taken || named.refused.is_some() {
            return Ok(Some(named.clone()));
        }
        let source = Source::read(&named.from)?;
        let fresh = reuse::fresh(&self.plan.cells);
        self.progress.expect(fresh.len());
        if !self.driver().block(self, &fresh, 0)? {
            return Ok(Some(named.clone()));
        }
        let refused = source.refuted(&self.plan.cells, self.journal.measured());
        if let Some(why) = &refused {
            self.progress.warn(&[format!("nothing is reused from `{}`: {why}", named.from)]);
            return Ok(Some(Reuse { refused, ..named.clone() }));
        }
        // What does not fit in memory now is not chosen either.
        let mut runs = source.runs(&self.plan.cells);
        runs.retain(|run| self.too_large(run.planned()).1.is_none());
        self.progress.taken_over(runs.len());
        self.journal.append(runs)?;
        Ok(Some(named.clone()))
    }

    /// What a run is predicted to hold above the base, and why it cannot be tried, if so.
    fn too_large(&self, planned: Planned) -> (u64, Option<String>) {
        let (memory, cell) = (self.ceilings.memory, self.plan.cells.cells[planned.cell]);
        let predicted = memory.above_base_bytes(cell, sample_bytes(&self.data.fields));
        (predicted, memory.over(predicted, self.memory_limit_bytes))
    }

    /// What a process for `job` is told: a setting is measured in turn with the default, where that runs
    /// and there is memory for both.
    fn spec(&self, job: Job) -> TrialSpec {
        let Plan { config, cells, .. } = self.plan;
        let spec = TrialSpec::new(config, job, self.memory_limit_bytes);
        let Job::Setting(cell) = job else { return spec };
        let reference = cells.default_cell();
        let records = self.journal.records().iter();
        let of_reference = records.filter(|record| record.cell == cells.sentinel);
        let ran = of_reference.map(|record| record.status == Status::Ok);
        let runs = cell == reference || ran.reduce(|all, one| all && one) == Some(true);
        let sample_bytes = sample_bytes(&self.data.fields);
        let fit =
            self.ceilings.memory.fit([cell, reference], sample_bytes, spec.memory_limit_bytes);
        if runs && fit { spec.in_turn_with(reference) } else { spec }
    }

    /// Runs a process for `job`.
    fn process<T: DeserializeOwned>(&mut self, job: Job) -> Result<Ran<T>, TunerError> {
        let spec = self.spec(job);
        let progress = &self.progress;
        let reading = |share| progress.reading(share);
        let prepared = trial::prepared(&spec, &mut self.cache, self.interrupt, &reading);
        let Prepared { outcome, resident_share, duration_s, slept_s } = match prepared {
            Err(TunerError::Stopped) => return Err(self.interrupted()),
            prepared => prepared?,
        };
        let started_s = self.clock.now_s() - duration_s;
        self.progress.warn(&slept_s.into_iter().map(suspended).collect::<Vec<_>>());
        let outcome = match outcome {
            Err(TrialFailure::Interrupted) => return Err(self.interrupted()),
            Err(TrialFailure::NotReached { stdout, stderr }) => {
                return Err(TunerError::SweepNotReached { stdout, stderr });
            }
            Ok(Measured { figures, warnings }) => {
                self.progress.warn(&warnings);
                Ok(figures)
            }
            Err(failure) => Err(failure),
        };
        Ok(Ran { outcome, resident_share, started_s, duration_s })
    }

    /// The user wants it to stop.
    fn interrupted(&self) -> TunerError {
        TunerError::Interrupted {
            done: self.journal.records().len(),
            planned: self.progress.expected(),
            path: self.path.to_owned(),
            resume: self.plan.resume_command(self.path),
        }
    }

    /// Measures the ceilings and what settings take of memory, or reads them where they were measured before,
    /// at `path`. Without them a sweep goes on: what is wrong with the data its trials will say.
    pub(super) fn ceilings(&mut self, path: &Path) -> Result<(), TunerError> {
        if let Some(ceilings) = Ceilings::read(path) {
            self.clock.at_least(ceilings.duration_s);
            self.ceilings = ceilings;
            return Ok(());
        }
        self.progress.before_trials();
        let Ran { outcome, duration_s, .. } = self.process(Job::Ceilings)?;
        match outcome {
            Ok(ceilings) => {
                self.ceilings = Ceilings { duration_s, ..ceilings };
                files::write_json(path, &self.ceilings)
            }
            Err(TrialFailure::BadSample { .. }) => Ok(()),
            Err(failure) => {
                let what = format!("the ceilings could not be measured: {}", Report(&failure));
                self.progress.warn(&[what]);
                Ok(())
            }
        }
    }

    /// What is known before the trials.
    pub(super) fn prior(&self) -> Prior {
        let consumer = &self.plan.config.sweep.consumer;
        Prior::new(&self.ceilings, consumer, sample_bytes(&self.data.fields))
    }

    /// The settings by what is on record, the best first: the winner, then those of the highest rank.
    fn leaders(&self) -> Vec<CellSummary> {
        let sweep = &self.plan.config.sweep;
        let (objective, task) = (sweep.objective(), self.plan.task(self.prior()));
        let (measured, records) = (self.journal.measured(), self.journal.records());
        let mut found = sweep.strategy.cells(&task, measured, records);
        let Some(choice) = choose(objective, &found) else { return Vec::new() };
        summary::rank(&mut found, objective);
        found.sort_by_key(|cell| cell.cell != choice.winner);
        found
    }

    /// What the runs found of the page cache.
    pub(super) fn cache_state(&self) -> CacheState {
        let runs = self.journal.records().iter().filter(|run| run.status != Status::Skipped);
        let shares: Vec<Option<f64>> = runs.map(|run| run.resident_share).collect();
        self.cache.state(&shares)
    }
}

impl Runner for Processes<'_> {
    type Error = TunerError;

    fn measured(&self) -> &[TrialRecord] {
        self.journal.measured()
    }

    fn records(&self) -> &[TrialRecord] {
        self.journal.records()
    }

    fn spent_s(&self) -> f64 {
        self.clock.now_s()
    }

    fn is_done(&self, planned: Planned) -> bool {
        self.journal.records().iter().any(|record| match record.status {
            Status::Ok => record.planned() == planned,
            // Where there is more memory now, it may fit.
            Status::Skipped => record.cell == planned.cell && self.too_large(planned).1.is_some(),
            Status::Failed => false,
        })
    }

    fn expect(&mut self, runs: usize) {
        self.progress.expect(runs);
    }

    fn run(&mut self, planned: Planned) -> Result<(), TunerError> {
        let plan = self.plan;
        let cell = plan.cells.cells[planned.cell];
        let (predicted, too_large) = self.too_large(planned);
        let mut record = match too_large {
            Some(reason) => TrialRecord::without_figures(planned, cell, Status::Skipped, reason),
            None => {
                let Ran { outcome, resident_share, started_s, duration_s } =
                    self.process(Job::Setting(cell))?;
                let record = TrialRecord::new(planned, cell, outcome.as_ref());
                let (started_s, duration_s) = (Some(started_s), Some(duration_s));
                TrialRecord { resident_share, started_s, duration_s, ..record }
            }
        };
        record.predicted_above_base_bytes = Some(predicted);
        self.journal.append([record.clone()])?;
        if record.bad_sample.is_some() {
            let records = self.journal.records();
            return Err(TunerError::BadSample {
                error: record.error.unwrap_or_default(),
                done: records.iter().filter(|record| record.status == Status::Ok).count(),
                planned: self.progress.expected(),
                resume: self.plan.resume_command(self.path),
            });
        }
        self.progress.trial(&record, || self.leaders());
        Ok(())
    }
}

fn suspended(slept_s: f64) -> String {
    let slept = duration(slept_s);
    format!("the machine was suspended for {slept} during a run, which is run again")
}
