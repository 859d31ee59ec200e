//! The folder a sweep writes to.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::plan::{Plan, different};
use crate::config::SweepConfig;
use crate::{TunerError, files};

/// What is set out to do: a [`Plan`].
pub(crate) const PLAN: &str = "plan.json";
/// What was measured before: [`Ceilings`](super::ceiling::Ceilings).
pub(crate) const CEILINGS: &str = "ceilings.json";
/// The runs: a [journal](super::journal).
pub(crate) const TRIALS: &str = "trials.jsonl";
/// What was found: a [`Summary`](super::summary::Summary).
pub(crate) const SUMMARY: &str = "summary.json";

/// A sweep's folder, locked for this process as long as it is held.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    _lock: File,
}

impl Output {
    /// Opens `path` for a new sweep, or for going on with the one that is there.
    ///
    /// # Errors
    /// If the folder cannot be made or written to, holds a sweep and `resume` is not asked for,
    /// holds none and it is, or is in use.
    pub fn open(path: &Path, resume: bool) -> Result<Self, TunerError> {
        check(path, resume)?;
        fs::create_dir_all(path).map_err(TunerError::file("create the folder", path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(TunerError::file("write", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TunerError::OutputLocked { path: path.to_owned() });
            }
            Err(TryLockError::Error(e)) => return Err(TunerError::file("lock", &lock_path)(e)),
        }
        // Under the lock: another sweep may have begun since.
        if !resume && path.join(PLAN).exists() {
            return Err(TunerError::OutputExists { path: path.to_owned() });
        }
        files::clear(path).map_err(TunerError::file("clear", path))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Notes the plan of a new sweep; of one that is resumed, checks that it is the same. Where it
    /// stopped at a bad file, which is `mended` now, a few files may differ; they are noted. So is what
    /// time it may take now, and more memory, which changes nothing of what was measured.
    ///
    /// # Errors
    /// If the plan cannot be written or read, or differs.
    pub fn settle(&self, plan: Plan, mended: bool) -> Result<Plan, TunerError> {
        let path = self.file(PLAN);
        if !path.exists() {
            files::write_json(&path, &plan)?;
            return Ok(plan);
        }
        let mut earlier = Plan::read(&self.path)?;
        let before = earlier.clone();
        if mended && plan.data.mended(&earlier.data) {
            earlier.data = plan.data.clone();
        }
        let SweepConfig { time_budget_s, timeout_s, memory_limit_bytes, .. } = plan.config.sweep;
        let allowed = &mut earlier.config.sweep;
        allowed.time_budget_s = time_budget_s;
        allowed.timeout_s = timeout_s;
        // What was run with more memory would still be recommended with less.
        let bytes = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        if bytes(memory_limit_bytes) > bytes(allowed.memory_limit_bytes) {
            allowed.memory_limit_bytes = memory_limit_bytes;
        }
        if earlier.config.sweep != before.config.sweep {
            // That what goes on next is given so much too.
            earlier.command = without_resume(&plan.command);
        }
        let mut what = earlier.differences(&plan);
        what.extend(different([
            ("settings to try", earlier.cells != plan.cells),
            ("`[sweep]`", earlier.config.sweep != plan.config.sweep),
        ]));
        if !what.is_empty() {
            return Err(TunerError::OtherSweep { path: self.path.clone(), what: what.join(", ") });
        }
        if earlier != before {
            self.note(&earlier)?;
        }
        Ok(earlier)
    }

    /// Writes the plan anew, with what was decided since.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, plan: &Plan) -> Result<(), TunerError> {
        files::write_json(&self.file(PLAN), plan)
    }
}

/// The command line of a new sweep.
fn without_resume(command: &str) -> String {
    command.split(' ').filter(|word| *word != "--resume").collect::<Vec<_>>().join(" ")
}

/// Refuses what [`Output::open`] would, as far as it can be told without making anything: for
/// asking before the data is made.
///
/// # Errors
/// As of [`Output::open`].
pub fn check(path: &Path, resume: bool) -> Result<(), TunerError> {
    match (path.join(PLAN).exists(), resume) {
        (false, true) => Err(TunerError::NothingToResume { path: path.to_owned() }),
        (true, false) => Err(TunerError::OutputExists { path: path.to_owned() }),
        _ => files::check_folder(path),
    }
}

/// What tells a configuration's file from others of its name, or a folder: its path without links, from
/// where the program is run if it lies below.
pub fn path_id(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    path.strip_prefix(here).unwrap_or(&path).display().to_string()
}

/// The folder of a sweep that was given none: `sweeps/<config>/<UTC time>`; of one to resume,
/// the last of them.
pub fn default_path(config: &Path, resume: bool) -> PathBuf {
    let sweeps = sweeps_of(config);
    if resume {
        return plans(&sweeps).pop().unwrap_or(sweeps);
    }
    sweeps.join(jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string())
}

/// Whether a sweep in `path` is one of those in default folders: one that is resumed may be named.
pub fn is_default(path: &Path, config: &Path) -> bool {
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    parent.is_some() && parent == fs::canonicalize(sweeps_of(config)).ok()
}

/// `sweeps/<config>`; if that holds the sweeps of another configuration of this name, one with a
/// number behind it.
fn sweeps_of(config: &Path) -> PathBuf {
    let name = config.file_stem().unwrap_or_default();
    let id = path_id(config);
    let numbered = |number: u32| match number {
        1 => Path::new("sweeps").join(name),
        _ => Path::new("sweeps").join(format!("{}-{number}", name.display())),
    };
    let free = (1..u32::MAX).map(numbered).find(|sweeps| {
        let last = plans(sweeps).pop().and_then(|path| Plan::read(&path).ok());
        last.is_none_or(|plan| plan.config_id == id)
    });
    free.unwrap_or_else(|| numbered(1))
}

/// The folders in `sweeps` that hold a sweep, oldest first: their names are times.
fn plans(sweeps: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(sweeps).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name() != LATEST)
        .map(|entry| entry.path())
        .filter(|path| path.join(PLAN).is_file())
        .collect();
    paths.sort_unstable();
    paths
}

/// The last finished sweep of a configuration, in its default folder.
pub const LATEST: &str = "latest";

/// The link to the [latest](LATEST) sweep of a configuration.
pub fn latest_path(config: &Path) -> PathBuf {
    sweeps_of(config).join(LATEST)
}

/// Points the link `latest` beside a default folder, whose sweep is finished, at it, in one step. That
/// folder may be named by the link itself.
///
/// # Errors
/// If the link cannot be made.
pub fn link_latest(path: &Path) -> Result<(), TunerError> {
    let path = fs::canonicalize(path).map_err(TunerError::file("find", path))?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let latest = parent.join(LATEST);
    let beside = parent.join(format!(".{LATEST}-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &beside)
        .and_then(|()| fs::rename(&beside, &latest))
        .map_err(TunerError::file("link", &latest))
}
