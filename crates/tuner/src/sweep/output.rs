//! The folder a sweep writes to.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::grid::Cell;
use crate::{Config, TunerError, files};

/// A sweep's folder, locked for this process as long as it is held.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    _lock: File,
}

/// `plan.json`: what was set out to do, so that resuming does just that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The configuration with all flags applied.
    pub config: Config,
    /// The settings to try; trials name them by their place here.
    pub cells: Vec<Cell>,
    /// When it was set out, in UTC.
    pub started: String,
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

    /// Notes the plan of a new sweep; of one that is resumed, checks that it is the same.
    ///
    /// # Errors
    /// If the plan cannot be written or read, or differs.
    pub fn settle(&self, plan: Plan) -> Result<Plan, TunerError> {
        let path = self.file(PLAN);
        if !path.exists() {
            let bytes = serde_json::to_vec_pretty(&plan);
            files::write(&path, &bytes.map_err(|e| TunerError::Bug(e.to_string()))?)?;
            return Ok(plan);
        }
        let bytes = fs::read(&path).map_err(TunerError::file("read", &path))?;
        let earlier: Plan = serde_json::from_slice(&bytes)
            .map_err(|source| TunerError::Journal { path, line: source.line(), source })?;
        let differs = [
            ("data or transforms", earlier.config.dataset != plan.config.dataset),
            ("loader settings", earlier.config.loader != plan.config.loader),
            ("settings to try", earlier.cells != plan.cells),
            ("`[sweep]`", earlier.config.sweep != plan.config.sweep),
        ];
        let what: Vec<&str> =
            differs.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what).collect();
        if what.is_empty() {
            Ok(earlier)
        } else {
            Err(TunerError::OtherSweep { path: self.path.clone(), what: what.join(", ") })
        }
    }
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

const PLAN: &str = "plan.json";

/// The folder of a sweep that was given none: `sweeps/<config>/<UTC time>`; of one to resume,
/// what `sweeps/<config>/latest` points to.
pub fn default_path(config: &Path, resume: bool) -> PathBuf {
    let name = config.file_stem().unwrap_or_default();
    let sweeps = Path::new("sweeps").join(name);
    if resume {
        let latest = sweeps.join(LATEST);
        return match fs::read_link(&latest) {
            Ok(target) => sweeps.join(target),
            Err(_) => latest,
        };
    }
    sweeps.join(jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string())
}

const LATEST: &str = "latest";

/// Points the link `latest` beside a default folder at it, in one step.
///
/// # Errors
/// If the link cannot be made.
pub fn link_latest(path: &Path) -> Result<(), TunerError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let latest = parent.join(LATEST);
    let beside = parent.join(format!(".{LATEST}-{}", std::process::id()));
    std::os::unix::fs::symlink(name, &beside)
        .and_then(|()| fs::rename(&beside, &latest))
        .map_err(TunerError::file("link", &latest))
}
