//! `--reuse`: the runs of an earlier sweep, taken over into a new one as far as they still hold.
//!
//! They hold where machine, data, configuration and program are the same ([`check`]), and the machine is as
//! fast as it was: the default setting is run anew first, and where it gives another rate than in the earlier
//! sweep, by more than runs differ, nothing is taken over. That is the rule by which a sweep says that the
//! machine changed meanwhile: the 95% interval of the change, of how much the earlier sweep's runs of all
//! settings differ, does not hold 0, and the change is more than 2%; of runs as they were measured, since
//! those at the machine's usual speed do not show how fast it is. The default's own runs are not taken over,
//! so that its runs in the blocks show how the machine drifts; nor are those that the earlier sweep itself took
//! over from another.

use std::path::Path;

use profiler::bootstrap::{Runs, Scatter};
use serde::{Deserialize, Serialize};

use super::cell::by_setting;
use super::drift::Change;
use super::grid::{Cells, Planned};
use super::journal::{Journal, Phase, Status, TrialRecord};
use super::level::leveled;
use super::output::{TRIALS, path_id};
use super::plan::{Plan, different};
use super::words::whole;
use crate::TunerError;

/// Runs of the default that decide.
const FRESH: usize = 2;

/// What is taken over: in the plan of the sweep that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reuse {
    /// The folder of the earlier sweep, as [`path_id`] names it.
    pub from: String,
    /// Why nothing was taken over, once that is decided.
    pub refused: Option<String>,
}

/// The earlier sweep.
#[derive(Debug)]
pub(super) struct Source {
    from: String,
    plan: Plan,
    /// The runs that it made itself to find the best setting, with figures, as they were measured.
    records: Vec<TrialRecord>,
}

/// That the runs of the sweep in `folder` hold for `plan`, but for what only fresh runs can tell.
///
/// # Errors
/// [`TunerError::CannotReuse`] if they do not; if they cannot be read.
pub(super) fn check(folder: &Path, plan: &Plan) -> Result<Reuse, TunerError> {
    let source = Source::read(&path_id(folder))?;
    match source.unfit(plan) {
        None => Ok(Reuse { from: source.from, refused: None }),
        Some(reason) => Err(TunerError::CannotReuse { folder: folder.to_owned(), reason }),
    }
}

/// The runs of the default that decide: those of the first blocks.
pub(super) fn fresh(cells: &Cells) -> Vec<Planned> {
    let run = |repeat| Planned { phase: Phase::Sweep, repeat, cell: cells.sentinel };
    (0..FRESH).map(run).collect()
}

impl Source {
    pub(super) fn read(from: &str) -> Result<Self, TunerError> {
        let folder = Path::new(from);
        let other_version = |error| match error {
            TunerError::Journal { path, .. } => TunerError::CannotReuse {
                folder: folder.to_owned(),
                reason: format!("`{}` is of another version of the program", path.display()),
            },
            error => error,
        };
        let plan = Plan::read(folder).map_err(other_version)?;
        let mut records = Journal::read(&folder.join(TRIALS)).map_err(other_version)?;
        let own = |record: &TrialRecord| {
            record.phase == Phase::Sweep
                && record.status == Status::Ok
                && record.samples_per_s.is_some()
                && record.reused_from.is_none()
        };
        records.retain(own);
        Ok(Self { from: from.to_owned(), plan, records })
    }

    /// Why its runs do not hold for `plan`, if they do not.
    fn unfit(&self, plan: &Plan) -> Option<String> {
        let (then, now) = (&self.plan.config, &plan.config);
        let mut differ = self.plan.differences(plan);
        differ.extend(different([
            ("the program's version", self.plan.version != plan.version),
            ("the consumer", then.sweep.consumer != now.sweep.consumer),
            ("the page cache", then.sweep.cache != now.sweep.cache),
            ("`warmup_s`", then.sweep.warmup_s != now.sweep.warmup_s),
            ("`measure_s`", then.sweep.measure_s != now.sweep.measure_s),
            ("`turn_s`", then.sweep.turn_s != now.sweep.turn_s),
        ]));
        if !differ.is_empty() {
            return Some(format!("it differs in {}", differ.join(", ")));
        }
        let default = self.of_default(&plan.cells);
        if self.scatter(&[]).interval(Runs::relative(&default)).is_none() {
            let default = plan.cells.default_cell();
            return Some(format!(
                "the default, {default}, by which it is told whether the machine is as fast as it was, was not \
                 run there, or no setting was often enough"
            ));
        }
        self.runs(&plan.cells).is_empty().then(|| "none is of a setting to try".to_owned())
    }

    /// Samples a second of the default of these `cells`.
    fn of_default(&self, cells: &Cells) -> Vec<f64> {
        let default = cells.default_cell();
        let runs = self.records.iter().filter(|record| record.setting() == default);
        runs.filter_map(|record| record.samples_per_s).collect()
    }

    /// How much runs differ, these of the default among them.
    fn scatter(&self, fresh: &[f64]) -> Scatter {
        let rates = by_setting(&self.records, |run| run.samples_per_s.map(|rate| (rate, rate)));
        let runs = rates.values().map(|(values, _)| Runs::relative(values));
        Scatter::of(runs.chain([Runs::relative(fresh)]))
    }

    /// Why nothing can be taken over, by the fresh runs of the default in `measured`.
    pub(super) fn refuted(&self, cells: &Cells, measured: &[TrialRecord]) -> Option<String> {
        let default = cells.default_cell();
        let planned = fresh(cells);
        let runs = measured.iter().filter(|run| planned.contains(&run.planned()));
        let rates: Vec<f64> = runs.filter_map(|run| run.samples_per_s).collect();
        if rates.len() < FRESH {
            return Some(format!(
                "the default, {default}, gave figures in {} of {FRESH} fresh runs",
                rates.len()
            ));
        }
        let then = self.of_default(cells);
        let change = Change::of(&then, &rates, &self.scatter(&rates))?;
        let listed = |rates: &[f64]| {
            let rates: Vec<String> = rates.iter().map(|rate| whole(*rate)).collect();
            rates.join(", ")
        };
        change.is_sure().then(|| {
            format!(
                "the machine is not as fast as it was: the default, {default}, gave {} samples/s in fresh runs \
                 and {} there, {:+.0}%, which is more than runs differ by",
                listed(&rates),
                listed(&then),
                100.0 * change.share
            )
        })
    }

    /// The runs that can be taken over into a sweep of these `cells`, as its own of the first blocks.
    pub(super) fn runs(&self, cells: &Cells) -> Vec<TrialRecord> {
        let mut repeats = vec![0; cells.cells.len()];
        let taken_over = |record: &TrialRecord| {
            let setting = record.setting().plain();
            let cell = cells.cells.iter().position(|it| it.plain() == setting)?;
            if cell == cells.sentinel {
                return None;
            }
            let repeat = repeats[cell];
            repeats[cell] += 1;
            Some(TrialRecord {
                cell,
                repeat,
                prefetch_depth: cells.cells[cell].prefetch_depth,
                started_s: None,
                duration_s: None,
                reused_from: Some(self.from.clone()),
                ..record.clone()
            })
        };
        leveled(&self.records).iter().filter_map(taken_over).collect()
    }
}
