//! `plan.json`: what was set out to do, so that resuming does just that.

use std::fs;
use std::path::Path;

use loader::settings::MachineTable;
use serde::{Deserialize, Serialize};

use super::fingerprint::DataTable;
use super::grid::Cells;
use super::model::Prior;
use super::output::PLAN;
use super::reuse::Reuse;
use super::strategy::Task;
use crate::config::DatasetConfig;
use crate::{Config, TunerError};

/// What was set out to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The configuration with all flags applied.
    pub config: Config,
    /// The settings to try.
    #[serde(flatten)]
    pub cells: Cells,
    /// When it was set out, in UTC.
    pub started: String,
    /// The configuration's file, as [`path_id`](super::output::path_id) names it.
    pub config_id: String,
    /// The data.
    pub data: DataTable,
    /// The command line that began it.
    pub command: String,
    /// Where it is measured.
    pub machine: MachineTable,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// The sweep whose runs are taken over, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
}

impl Plan {
    /// Of the sweep in `folder`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, TunerError> {
        let path = folder.join(PLAN);
        let bytes = fs::read(&path).map_err(TunerError::file("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| TunerError::Journal {
            path,
            line: source.line(),
            source,
        })
    }

    /// The command that goes on with this sweep, in the folder `path`.
    pub fn resume_command(&self, path: &Path) -> String {
        if matches!(self.config.dataset, DatasetConfig::Own(_)) {
            return format!("{}, with `.resume(true)`", self.command);
        }
        let mut command = self.command.clone();
        if !command.split(' ').any(|word| word == "--out" || word.starts_with("--out=")) {
            let path = path.display().to_string().replace('\'', r"'\''");
            command += &format!(" --out '{path}'");
        }
        command + " --resume"
    }

    /// What differs so that runs of the one say little of the other.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (this, that) = (&self.config, &other.config);
        let differs = [
            ("the machine", !self.machine.differences(&other.machine).is_empty()),
            ("libtorch's version", self.machine.libtorch != other.machine.libtorch),
            ("data or transforms", this.dataset != that.dataset),
            ("the files of the data", self.data != other.data),
            ("loader settings", this.loader != that.loader),
        ];
        different(differs)
    }

    /// What the strategy decides for, with what is known before the trials.
    pub fn task(&self, prior: Prior) -> Task<'_> {
        Task::new(&self.cells, &self.config.sweep, prior)
    }
}

/// The names of those that differ.
pub(super) fn different<const N: usize>(what: [(&'static str, bool); N]) -> Vec<&'static str> {
    what.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}
