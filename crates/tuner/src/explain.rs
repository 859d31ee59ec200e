//! Why a settings file says what it says, and whether it still does.

use std::path::{Path, PathBuf};

use loader::settings::{MachineTable, SettingsFile};
use serde::Serialize;

use crate::sweep::closing::{Closing, Standing};
use crate::sweep::explain;
use crate::sweep::fingerprint::DataTable;
use crate::sweep::grid::Cell;
use crate::sweep::output::SUMMARY;
use crate::sweep::plan::Plan;
use crate::sweep::summary::Summary;
use crate::{TunerError, dataset};

/// Why these settings.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The settings file.
    pub path: PathBuf,
    /// Its setting.
    pub setting: Cell,
    /// Whether the file's setting is the one that the sweep recommends: it may have been changed.
    pub as_recommended: bool,
    /// When the sweep was begun, in UTC.
    pub started: String,
    /// What it comes to.
    #[serde(flatten)]
    pub closing: Closing,
    /// How it stands to the default.
    pub standing: Standing,
    /// What it was chosen for.
    pub objective: String,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What comes next by rank.
    pub runner_up: Option<Cell>,
    /// What makes it doubtful.
    pub warnings: Vec<String>,
    /// Whether it was measured on a machine and data like these.
    pub matches: Vec<Match>,
}

/// Whether one thing is as it was when it was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Match {
    /// The machine, or the data.
    pub what: &'static str,
    /// `None` where it cannot be told.
    pub matches: Option<bool>,
    /// In words.
    pub words: String,
}

/// The sweep that a settings file is of.
pub(crate) struct Origin {
    pub(crate) file: SettingsFile,
    pub(crate) summary: Summary,
    pub(crate) plan: Plan,
}

impl Origin {
    /// Of the settings file `path`, beside which the sweep left its other files.
    pub(crate) fn read(path: &Path) -> Result<Self, TunerError> {
        let file = SettingsFile::read(path)?;
        let folder = crate::files::folder_of(path);
        let summary = folder.join(SUMMARY);
        if !summary.exists() {
            return Err(TunerError::NoSummary { path: path.to_owned(), summary });
        }
        let summary = Summary::read(&summary)?;
        let plan = Plan::read(folder)?;
        Ok(Self { file, summary, plan })
    }

    /// The file's setting.
    pub(crate) fn setting(&self) -> Cell {
        Cell::from(&self.file.loader)
    }

    /// Whether this machine and the data are those of the sweep.
    pub(crate) fn matches(&self) -> Vec<Match> {
        let machine = self.summary.machine.differences(&MachineTable::here());
        let machine = match machine.is_empty() {
            true => Match {
                what: "machine",
                matches: Some(true),
                words: "the same kind of machine".to_owned(),
            },
            false => Match { what: "machine", matches: Some(false), words: machine.join("; ") },
        };
        let data = dataset::open(&self.plan.config)
            .and_then(|data| DataTable::new(&self.plan.config, &data));
        let data = match data {
            Ok(data) if data.fingerprint == self.summary.data.fingerprint => {
                (Some(true), "the same data and transforms".to_owned())
            }
            Ok(data) => (
                Some(false),
                format!(
                    "other data: {} samples, where the sweep had {}, fingerprint {}",
                    data.samples, self.summary.data.samples, data.fingerprint
                ),
            ),
            Err(error) => (None, format!("cannot be told: {}", error.first_line())),
        };
        let libtorch = loader::libtorch_version();
        let earlier = &self.summary.machine.libtorch;
        let code = Match {
            what: "libtorch",
            matches: Some(libtorch == earlier),
            words: match libtorch == earlier {
                true => format!("the same, {libtorch}"),
                false => format!("{libtorch}, where the sweep had {earlier}"),
            },
        };
        vec![machine, Match { what: "data", matches: data.0, words: data.1 }, code]
    }
}

/// Why the settings file `path`, which a sweep wrote, says what it says.
///
/// # Errors
/// If it cannot be read, or the sweep's other files are not beside it, damaged, or of another
/// version.
pub fn settings(path: &Path) -> Result<Explanation, TunerError> {
    let origin = Origin::read(path)?;
    let summary = &origin.summary;
    let winner = summary.winner()?;
    let choice = summary.choice(summary.method.objective);
    let reused = summary.method.reused.as_ref().map_or(0, |reused| reused.runs);
    let runs = summary.method.trials + reused;
    let mut evidence = vec![format!("{} runs of it, {runs} of all settings", winner.trials)];
    // Where fresh runs decided, a warning says so.
    let decided = choice.filter(|_| summary.refuted().is_none());
    evidence.extend(decided.map(|choice| choice.certainty(&summary.cells)));
    evidence.extend(explain::notes(summary)?);
    let next = summary.cells.iter().find(|it| it.in_grid && it.cell != winner.cell);
    Ok(Explanation {
        path: path.to_owned(),
        setting: origin.setting(),
        as_recommended: origin.setting() == summary.recommended,
        started: summary.started.clone(),
        closing: Closing::of(summary)?,
        standing: Standing::of(summary),
        objective: summary.method.objective.to_string(),
        evidence,
        runner_up: next.map(|cell| cell.cell),
        warnings: explain::warnings(summary)?,
        matches: origin.matches(),
    })
}
