//! Which past sweeps a prediction rests on: those of this machine that measured the same thing as the
//! newest of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use loader::Settings;
use loader::settings::MachineTable;

use super::LeftOut;
use super::fitted::Run;
use crate::sweep::ceiling::Ceilings;
use crate::sweep::journal::{Journal, Status, TrialRecord};
use crate::sweep::level::leveled;
use crate::sweep::model::Prior;
use crate::sweep::output::{CEILINGS, TRIALS};
use crate::sweep::plan::Plan;
use crate::sweep::summary::Summary;
use crate::{TunerError, history};

/// A finished sweep, read whole.
#[derive(Debug)]
pub(super) struct Past {
    /// Its folder.
    pub(super) path: PathBuf,
    pub(super) summary: Summary,
    loader: Settings,
    ceilings: Option<Ceilings>,
    records: Vec<TrialRecord>,
}

/// The sweeps that go together, and those that do not.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) newest: Past,
    /// Oldest first.
    older: Vec<Past>,
    pub(super) left_out: Vec<LeftOut>,
}

impl Past {
    fn read(path: &Path) -> Result<Self, String> {
        let summary = history::finished(path)?;
        let first_line = |error: TunerError| error.first_line();
        Ok(Self {
            path: path.to_owned(),
            summary,
            loader: Plan::read(path).map_err(first_line)?.config.loader,
            ceilings: Ceilings::read(&path.join(CEILINGS)),
            records: leveled(&Journal::read(&path.join(TRIALS)).map_err(first_line)?),
        })
    }

    /// Why this is not about the same thing as the `newest`, if it is not.
    fn differs(&self, newest: &Self) -> Option<String> {
        let (this, that) = (&self.summary, &newest.summary);
        if this.data.fingerprint != that.data.fingerprint {
            return Some(format!("other data or transforms: `{}`", this.data.root));
        }
        if this.machine.libtorch != that.machine.libtorch {
            return Some(format!("libtorch {}", this.machine.libtorch));
        }
        if this.method.consumer != that.method.consumer {
            return Some(format!("another consumer: {}", this.method.consumer));
        }
        if this.method.cache.state != that.method.cache.state {
            return Some(format!("another page cache: {}", this.method.cache.name()));
        }
        (fixed(&self.loader) != fixed(&newest.loader)).then(|| "other loader settings".to_owned())
    }
}

/// What of a loader's settings a sweep does not vary, and speed may depend on.
fn fixed(settings: &Settings) -> Settings {
    let Settings { batch_size, num_workers, prefetch_depth, seed, .. } = Settings::default();
    Settings { batch_size, num_workers, prefetch_depth, seed, ..settings.clone() }
}

/// Those that were left out, each on a line of its own.
pub(super) fn listed(left_out: &[LeftOut]) -> String {
    let mut text = String::new();
    for LeftOut { path, reason } in left_out {
        let _ = write!(text, "\nleft out: `{}`: {reason}", path.display());
    }
    text
}

impl Pool {
    /// Of the finished sweeps in `folder` those of `machine`.
    ///
    /// # Errors
    /// If there are none, or the folder cannot be read.
    pub(super) fn of(folder: &Path, machine: &MachineTable) -> Result<Self, TunerError> {
        let refused = |reason: &str, hint: &'static str, left_out: &[LeftOut]| {
            let reason = format!("{reason}{}", listed(left_out));
            TunerError::CannotPredict { folder: folder.to_owned(), reason, hint }
        };
        if !folder.is_dir() {
            let hint =
                "give the folder of a sweep, or one with sweeps in it: `tuner sweep` makes them";
            return Err(refused("there is no such folder", hint, &[]));
        }
        let (mut here, mut left_out, mut finished) = (Vec::new(), Vec::new(), 0);
        for path in history::folders(folder)? {
            let past = match Past::read(&path) {
                Ok(past) => past,
                Err(reason) => {
                    left_out.push(LeftOut { path, reason });
                    continue;
                }
            };
            finished += 1;
            let differences = machine.differences(&past.summary.machine);
            if differences.is_empty() {
                here.push(past);
            } else {
                let reason = format!("another machine: {}", differences.join("; "));
                left_out.push(LeftOut { path, reason });
            }
        }
        // Times in UTC, all of the same form.
        here.sort_by(|a, b| a.summary.started.cmp(&b.summary.started));
        let Some(newest) = here.pop() else {
            let (reason, hint) = match finished {
                0 => ("there is no finished sweep", "`tuner sweep` makes one"),
                _ => (
                    "there is no sweep of this machine",
                    "sweep on this machine: what another gives says little of it",
                ),
            };
            return Err(refused(reason, hint, &left_out));
        };
        let mut older = Vec::new();
        for past in here {
            match past.differs(&newest) {
                None => older.push(past),
                Some(reason) => left_out.push(LeftOut { path: past.path, reason }),
            }
        }
        Ok(Self { newest, older, left_out })
    }

    /// All that go together, oldest first.
    pub(super) fn sweeps(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.older.iter().chain([&self.newest])
    }

    /// What the parts of the way gave, in the newest sweep in which they were measured.
    pub(super) fn prior(&self) -> Prior {
        let ceilings = self.sweeps().rev().find_map(|past| past.ceilings.as_ref());
        // Bytes of a sample decide memory alone.
        Prior::new(
            ceilings.unwrap_or(&Ceilings::default()),
            &self.newest.summary.method.consumer,
            0,
        )
    }

    /// Their runs with figures, but for those that a sweep took over from another.
    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for (sweep, past) in self.sweeps().enumerate() {
            for record in &past.records {
                let rate = record.samples_per_s.filter(|rate| *rate > 0.0 && rate.is_finite());
                let own = record.reused_from.is_none();
                if let Some(samples_per_s) = rate.filter(|_| own && record.status == Status::Ok) {
                    let limit = record.limit.as_ref().map(|limit| limit.stage.clone());
                    runs.push(Run { sweep, cell: record.setting().plain(), samples_per_s, limit });
                }
            }
        }
        runs
    }
}
