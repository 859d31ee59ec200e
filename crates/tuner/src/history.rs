//! Past sweeps: what each found, newest last.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use crate::TunerError;
use crate::sweep::closing::{Closing, Standing};
use crate::sweep::grid::Cell;
use crate::sweep::output::{PLAN, SUMMARY};
use crate::sweep::plan::Plan;
use crate::sweep::summary::Summary;

/// A sweep that was finished.
#[derive(Clone, Debug, Serialize)]
pub struct PastSweep {
    /// Its folder.
    pub path: PathBuf,
    /// When it was begun, in UTC.
    pub started: String,
    /// The command line.
    pub command: String,
    /// The processor, and the cores that it could use.
    pub machine: String,
    /// The data.
    pub data: String,
    /// The objective.
    pub objective: String,
    /// What it recommends.
    pub recommended: Cell,
    /// Samples a second of that, median.
    pub samples_per_s: f64,
    /// Its score, median.
    pub score: f64,
    /// How it stands to the default.
    pub standing: Standing,
    /// Samples/s by the default's; absent where they were not held against each other.
    pub ratio: Option<f64>,
    /// 95% interval of that.
    pub ratio_interval: Option<[f64; 2]>,
    /// How much better than the default, in words.
    pub gain: String,
}

/// Past sweeps, and what could not be read of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    /// Oldest first.
    pub sweeps: Vec<PastSweep>,
    /// Folders that hold a sweep without a summary that can be read, and why.
    pub unreadable: Vec<Unreadable>,
}

/// A sweep of which nothing can be told.
#[derive(Clone, Debug, Serialize)]
pub struct Unreadable {
    /// Its folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// So deep in the folder sweeps are looked for: `sweeps/<config>/<time>/summary.json`.
const DEEP: usize = 3;

/// Sweeps in `folder`, which is one, or has them in folders, or in folders of folders.
///
/// # Errors
/// If the folder cannot be read.
pub fn of(folder: &Path) -> Result<History, TunerError> {
    let mut history = History::default();
    for path in folders(folder)? {
        let sweep = finished(&path)
            .and_then(|summary| PastSweep::of(&path, &summary).map_err(|error| error.first_line()));
        match sweep {
            Ok(sweep) => history.sweeps.push(sweep),
            Err(reason) => history.unreadable.push(Unreadable { path, reason }),
        }
    }
    // Times in UTC, all of the same form.
    history.sweeps.sort_by(|a, b| a.started.cmp(&b.started));
    Ok(history)
}

/// The folders of the sweeps in `folder`, in the order of their names.
pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>, TunerError> {
    fs::read_dir(folder).map_err(TunerError::file("read the folder", folder))?;
    // Links are not followed: `latest` is one of the others.
    let entries = WalkDir::new(folder).max_depth(DEEP).sort_by_file_name().into_iter().flatten();
    let plans = entries.filter(|entry| entry.file_name() == PLAN);
    Ok(plans.filter_map(|plan| Some(plan.path().parent()?.to_owned())).collect())
}

/// What the sweep in the folder `path` found, or why that cannot be told.
pub(crate) fn finished(path: &Path) -> Result<Summary, String> {
    let summary = path.join(SUMMARY);
    if summary.exists() {
        return Summary::read(&summary).map_err(|error| error.first_line());
    }
    Err(match Plan::read(path) {
        Ok(plan) => format!("it is not finished: `{}` goes on with it", plan.resume_command(path)),
        Err(_) => "it is not finished, and its `plan.json` is of another version".to_owned(),
    })
}

impl PastSweep {
    fn of(path: &Path, summary: &Summary) -> Result<Self, TunerError> {
        let winner = summary.winner()?;
        let headline = summary.against_default();
        let machine = &summary.machine;
        Ok(Self {
            path: path.to_owned(),
            started: summary.started.clone(),
            command: summary.command.clone(),
            machine: format!("{}, {} cores", machine.cpu, machine.usable_cores),
            data: summary.data.root.clone(),
            objective: summary.method.objective.to_string(),
            recommended: winner.cell,
            samples_per_s: winner.samples_per_s.median,
            score: winner.score.median,
            standing: Standing::of(summary),
            ratio: headline.map(|headline| headline.ratio),
            ratio_interval: headline.and_then(|headline| headline.interval),
            gain: Closing::of(summary)?.gain,
        })
    }
}
