//! What each transform costs, on images of the data: `tuner preproc`.
//!
//! [`images`] are taken from the data set into memory; each step of the planned transforms is
//! measured on what the steps before it make of them, at each batch size, and the plan as a whole;
//! [`ceiling`] is what one worker can reach with it, and `advice` what could be gained.

mod advice;
pub mod ceiling;
mod chart;
pub mod images;
pub mod report;
mod room;

use std::fs;
use std::path::Path;

use loader::settings::MachineTable;
use preproc::Transform;
use preproc::benchmark::image::Step;
use preproc::benchmark::{Findings, PreprocessingProfile, PreprocessingProfiler, Scaling};
use preproc::cache::CacheStats;
use profiler::machine;
use serde::Serialize;

use self::ceiling::ComposeCeiling;
use self::images::{BadFile, Chosen, ImageFiles};
use self::room::Room;
use crate::{Config, TunerError, files};

/// The value of [`PreprocReport::schema`].
pub const SCHEMA: &str = "tuner-preproc-1";

/// What to measure.
#[derive(Clone, Debug)]
pub struct PreprocOptions {
    /// Batch sizes.
    pub batch_sizes: Vec<usize>,
    /// Names of the transforms; all, and the plan as a whole, if `None`.
    pub transforms: Option<Vec<String>>,
    /// Whether to measure again through a cache of results.
    pub enable_caching: bool,
}

/// What `tuner preproc` found: `preproc.json`.
#[derive(Debug, Serialize)]
pub struct PreprocReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When it was measured, in UTC.
    pub finished: String,
    /// Where.
    pub machine: MachineTable,
    /// The folder, files or pattern of the data.
    pub root: String,
    /// Images that it was measured on, spread evenly over the data.
    pub images: usize,
    /// Files that were passed over.
    pub bad_files: Vec<BadFile>,
    /// Bytes a second, read and written, at which one thread copies memory that lies in no cache.
    pub copy_bytes_per_s: f64,
    /// What one worker can reach.
    pub ceiling: Option<ComposeCeiling>,
    /// Each transform at each batch size.
    pub rows: Vec<PreprocessingProfile>,
    /// What the rows of each transform mean.
    pub transforms: Vec<StepFindings>,
    /// What could be gained, most first.
    pub suggestions: Vec<Suggestion>,
    /// What the cache of results holds and how often it was asked; absent without caching.
    pub cache: Option<CacheStats>,
}

impl PreprocReport {
    /// # Errors
    /// If no row could be measured: why the last one was not.
    pub fn check(&self) -> Result<(), TunerError> {
        let failed = self.rows.iter().rev().find_map(PreprocessingProfile::failure);
        match failed.filter(|_| self.rows.iter().all(|row| row.measured().is_none())) {
            Some(failure) => Err(TunerError::NoTransform { reason: failure.reason() }),
            None => Ok(()),
        }
    }
}

/// What the rows of one transform mean.
#[derive(Clone, Debug, Serialize)]
pub struct StepFindings {
    /// Of its rows.
    #[serde(flatten)]
    pub findings: Findings,
    /// Its share of the time that a worker takes for a sample with the plan. By stage it is
    /// measured while the plan runs; the steps of a stage share it as their times alone do. Absent
    /// of the plan itself.
    pub share: Option<f64>,
    /// One thread against all cores.
    pub scaling: Option<Scaling>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// What, with figures.
    pub text: String,
    /// What it saves of the seconds of a sample, where that can be said.
    pub saves_s: Option<f64>,
}

/// Calls `on_row` after each row, with its name and the number of rows in all.
///
/// # Errors
/// If the data is not there or is no image files, the transforms make no sense, or one that is asked
/// for is not among them.
pub fn run(
    config: &Config,
    options: &PreprocOptions,
    mut on_row: impl FnMut(&str, usize),
) -> Result<PreprocReport, TunerError> {
    let Some(data) = ImageFiles::open(config)? else {
        let what = "there are no transforms of images to measure";
        let expected = "data of kind `image-folder`, `tar` or `parquet`";
        return Err(TunerError::NoImages { what, expected });
    };
    let steps = Step::all(&data.compose);
    let whole = Step::whole(&data.compose);
    let all = || std::iter::once(&whole).chain(&steps);
    let asked = asked(all(), options.transforms.as_deref())?;
    let rows_in_all = asked.iter().filter(|asked| **asked).count() * options.batch_sizes.len();

    let mut profiler = PreprocessingProfiler::new();
    if options.enable_caching {
        profiler = profiler.enable_caching(None);
    }
    let mut room = Room::new(config.sweep.memory_limit_bytes);
    let Chosen { mut images, bad, .. } = room.choose(&data, &options.batch_sizes);
    let number = images.len();
    if images.is_empty() {
        return Err(match bad.into_iter().next() {
            Some(BadFile { file, reason }) => {
                TunerError::NoTransform { reason: format!("{file}: {reason}") }
            }
            None => TunerError::NoTransform { reason: "the data set has no images".to_owned() },
        });
    }
    let ceiling = ComposeCeiling::with(&images[..number.min(ceiling::IMAGES)], &data.compose).ok();

    let (mut rows, mut transforms) = (Vec::new(), Vec::new());
    let threads = machine::usable_cores().ceil() as usize;
    for (step, asked) in all().zip(asked) {
        if asked {
            let first = rows.len();
            for &batch_size in &options.batch_sizes {
                rows.push(room.row(&mut profiler, step, &images, batch_size));
                on_row(&rows[rows.len() - 1].name, rows_in_all);
            }
            let findings = Findings::of(&rows[first..]);
            let measured = findings.best.is_some();
            let scaling = measured.then(|| profiler.scaling(step, &images, threads).ok()).flatten();
            transforms.push(StepFindings { findings, share: None, scaling });
        }
        if !std::ptr::eq(step, &whole) {
            room.advance(&profiler, step, &mut images);
        }
    }
    if let Some(ceiling) = &ceiling {
        advice::shares(&mut transforms, ceiling);
    }
    let suggestions = advice::suggestions(&data, &rows, &transforms, ceiling.as_ref());
    Ok(PreprocReport {
        schema: SCHEMA,
        finished: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        machine: MachineTable::here(),
        root: config.dataset.root().map(|root| root.display().to_string()).unwrap_or_default(),
        images: number,
        bad_files: bad,
        copy_bytes_per_s: profiler.copy_bytes_per_s(),
        ceiling,
        rows,
        transforms,
        suggestions,
        cache: profiler.cache_stats(),
    })
}

/// Writes `preproc.json`, `preproc.md`, `preproc.png` and `preproc.svg` to `folder`, which is made if
/// it is not there; each file whole or not at all. `command` is what was typed.
///
/// # Errors
/// If a file cannot be written.
pub fn write(report: &PreprocReport, folder: &Path, command: &str) -> Result<(), TunerError> {
    fs::create_dir_all(folder).map_err(TunerError::file("create the folder", folder))?;
    files::write_json(&folder.join("preproc.json"), report)?;
    files::write(&folder.join("preproc.md"), report::markdown(report, command).as_bytes())?;
    chart::write(&report.rows, folder)
}

/// Which of `steps` are asked for.
fn asked<'s>(
    steps: impl Iterator<Item = &'s Step> + Clone,
    names: Option<&[String]>,
) -> Result<Vec<bool>, TunerError> {
    let Some(names) = names else { return Ok(steps.map(|_| true).collect()) };
    for name in names {
        if !steps.clone().any(|step| step.is_named(name)) {
            let known: Vec<String> = steps.map(|step| format!("`{}`", step.name())).collect();
            return Err(TunerError::UnknownTransform {
                name: name.clone(),
                known: known.join(", "),
            });
        }
    }
    Ok(steps.map(|step| names.iter().any(|name| step.is_named(name))).collect())
}
