//! Runs the processes of a sweep: blocks until enough is known, then pairs to confirm the winner.

use std::collections::BTreeSet;
use std::path::Path;

use crossbeam::channel::Receiver;
use loader::error::Report;
use profiler::report::human::duration;
use serde::de::DeserializeOwned;

use super::cache::{CacheKeeper, CacheState};
use super::ceiling::Ceilings;
use super::cell::{self, CellSummary, latest};
use super::clock::Clock;
use super::grid::{self, Cell, Planned};
use super::headline::{self, Headline, LEAST_PAIRS};
use super::journal::{Journal, Phase, Status, TrialRecord};
use super::memory::sample_bytes;
use super::model::Prior;
use super::objective::choose;
use super::output::Plan;
use super::progress::Progress;
use super::reuse::{self, Reuse, Source};
use super::strategy::{self, Strategy, Task};
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
pub(super) struct Measuring<'a> {
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

impl Measuring<'_> {
    /// Runs all that has no figures yet, and tells why there is no more.
    pub(super) fn run(&mut self) -> Result<Ended, TunerError> {
        let sweep = &self.plan.config.sweep;
        let task = self.plan.task(self.prior());
        let confirming = task.confirming();
        let mut ended = Ended::Known;
        for number in 0.. {
            let cells = sweep.strategy.block(&task, self.journal.measured(), number);
            if cells.is_empty() {
                if !sweep.strategy.known(&task, self.journal.measured(), number) {
                    ended = Ended::RunsUsedUp;
                }
                break;
            }
            // Blocks that are certain, or this one.
            let certain = if sweep.strategy == Strategy::Grid { sweep.repeats } else { 1 };
            let ahead = certain.saturating_sub(number).max(1) * cells.len();
            let before = latest(self.journal.records());
            let before = before.iter().filter(|record| record.repeat < number).count();
            self.progress.expect(before + ahead + confirming);
            let mut block = grid::block(Phase::Sweep, &cells, number, sweep.seed);
            if number == 0 {
                // What the others are measured in turn with.
                block.sort_by_key(|planned| planned.cell != self.plan.cells.sentinel);
            }
            if !self.block(&block, confirming)? {
                ended = Ended::OutOfTime;
                break;
            }
        }
        self.confirm(&task)?;
        Ok(ended)
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
        if !self.block(&fresh, 0)? {
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

    /// Runs what of a block has no figures yet; false if time was up before its end. The time for
    /// `reserved` more runs is left over.
    fn block(&mut self, block: &[Planned], reserved: usize) -> Result<bool, TunerError> {
        for &planned in block {
            let records = latest(self.journal.records());
            let on_record = records.iter().any(|record| match record.status {
                Status::Ok => record.planned() == planned,
                // Where there is more memory now, it may fit.
                Status::Skipped => {
                    record.cell == planned.cell && self.too_large(planned).1.is_some()
                }
                Status::Failed => false,
            });
            if on_record {
                continue;
            }
            if let Some(budget_s) = self.plan.config.sweep.time_budget_s {
                // A run of the default alone, which may not be chosen, would be in vain.
                let of_grid = records.iter().filter(|it| it.cell < self.plan.cells.grid);
                let times: Vec<f64> = of_grid.filter_map(|it| it.duration_s).collect();
                if !strategy::in_time(budget_s, self.clock.now_s(), &times, reserved) {
                    return Ok(false);
                }
            }
            self.trial(planned)?;
        }
        Ok(true)
    }

    /// What a run is predicted to hold above the base, and why it cannot be tried, if so.
    fn too_large(&self, planned: Planned) -> (u64, Option<String>) {
        let (memory, cell) = (self.ceilings.memory, self.plan.cells.cells[planned.cell]);
        let predicted = memory.above_base_bytes(cell, sample_bytes(&self.data.fields));
        (predicted, memory.over(predicted, self.memory_limit_bytes))
    }

    fn trial(&mut self, planned: Planned) -> Result<(), TunerError> {
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
            let records = latest(self.journal.records());
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

    /// What a process for `job` is told: a setting is measured in turn with the default, where that runs
    /// and there is memory for both.
    fn spec(&self, job: Job) -> TrialSpec {
        let Plan { config, cells, .. } = self.plan;
        let spec = TrialSpec::new(config, job, self.memory_limit_bytes);
        let Job::Setting(cell) = job else { return spec };
        let reference = cells.default_cell();
        let records = latest(self.journal.records());
        let of_reference = records.iter().filter(|record| record.cell == cells.sentinel);
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
            done: latest(self.journal.records()).len(),
            planned: self.progress.expected(),
            path: self.path.to_owned(),
            resume: self.plan.resume_command(self.path),
        }
    }

    /// Measures the ceilings and what settings take of memory, or reads them where they were measured before, at `path`. Without them a
    /// sweep goes on: what is wrong with the data its trials will say.
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
                let json = serde_json::to_vec_pretty(&self.ceilings);
                files::write(path, &json.map_err(|e| TunerError::Bug(e.to_string()))?)
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
        let Plan { config, cells, .. } = self.plan;
        let (objective, weights) = (config.sweep.objective(), config.sweep.score_weights());
        let mut found = cell::cells(self.journal.records(), cells.grid, weights);
        let task = self.plan.task(self.prior());
        config.sweep.strategy.expect(&task, self.journal.measured(), &mut found);
        let Some(choice) = choose(objective, &found) else { return Vec::new() };
        summary::rank(&mut found, objective);
        found.sort_by_key(|cell| cell.cell != choice.winner);
        found
    }

    /// Holds the winner against the default. Where a run of it fails then, another setting has won, and that
    /// is held against the default.
    fn confirm(&mut self, task: &Task<'_>) -> Result<(), TunerError> {
        // What failed then in an earlier call may be mended.
        let records = latest(self.journal.records()).into_iter();
        let failed = records.filter(|it| it.phase == Phase::Confirm && it.status == Status::Failed);
        let failed: Vec<Planned> = failed.map(TrialRecord::planned).collect();
        if !self.block(&failed, 0)? {
            return Ok(());
        }
        while let Some(winner) = self.winner() {
            let places = (task.cells.place(winner), task.cells.default_of(winner.batch_size));
            let (Some(place), Some(default)) = places else { break };
            if place == default || !self.hold(task, [place, default])? {
                break;
            }
            if self.winner() == Some(winner) {
                break;
            }
        }
        Ok(())
    }

    fn winner(&self) -> Option<Cell> {
        self.leaders().first().map(|best| best.cell)
    }

    /// Runs the winner and the default in turn, each pair in random order, until that is enough or a run of
    /// the winner gives no figures; false if time was up.
    fn hold(&mut self, task: &Task<'_>, pair: [usize; 2]) -> Result<bool, TunerError> {
        let sweep = &self.plan.config.sweep;
        let [winner, default] = pair.map(|place| task.cells.cells[place]);
        let places: Vec<usize> = BTreeSet::from(pair).into_iter().collect();
        // Behind the pairs of those that won before.
        let records = latest(self.journal.records());
        let confirming = records.iter().filter(|it| it.phase == Phase::Confirm);
        let of_others = confirming.filter(|it| !places.contains(&it.cell));
        let first = of_others.map(|it| it.repeat + 1).max().unwrap_or(0);
        for number in 0.. {
            let so_far = Headline::of(Phase::Confirm, [winner, default], self.journal.records());
            if !headline::confirming(so_far.as_ref(), number, sweep.confirm) {
                break;
            }
            let earlier = |it: &&&TrialRecord| it.phase == Phase::Sweep || it.repeat < first;
            let before = latest(self.journal.records()).iter().filter(earlier).count();
            self.progress.expect(before + 2 * LEAST_PAIRS.max(number + 1).min(sweep.confirm));
            let block = grid::block(Phase::Confirm, &places, first + number, sweep.seed);
            if !self.block(&block, 0)? {
                return Ok(false);
            }
            let run = Planned { phase: Phase::Confirm, repeat: first + number, cell: pair[0] };
            let fails = |it: &&TrialRecord| it.planned() == run && it.status != Status::Ok;
            if latest(self.journal.records()).into_iter().any(|it| fails(&it)) {
                break;
            }
        }
        Ok(true)
    }

    /// What the runs found of the page cache.
    pub(super) fn cache_state(&self) -> CacheState {
        let mut runs = latest(self.journal.records());
        runs.retain(|run| run.status != Status::Skipped);
        let shares: Vec<Option<f64>> = runs.iter().map(|run| run.resident_share).collect();
        let cache = &self.cache;
        CacheState::of(cache.asked(), cache.bytes(), cache.hindrance(), &shares)
    }
}

fn suspended(slept_s: f64) -> String {
    let slept = duration(slept_s);
    format!("the machine was suspended for {slept} during a run, which is run again")
}
