//! A loader under the profiler: `tuner profile`, and [`profile_loader`] for programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loader::{Loader, Settings};
use profiler::bottleneck::BottleneckType;
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::gpu::Gpus;
use profiler::monitor::{Monitor, MonitorOptions};
use profiler::profiler::BottleneckProfiler;
use profiler::rules::DataLoadingBottleneck;
use profiler::session::ProfilingSession;
use serde::{Deserialize, Serialize};

use crate::measure::{
    Figures, LEAST_BATCHES, Measure, Moment, SAMPLING, rss_bytes, warmup_batches,
};
use crate::sweep::fingerprint::DataTable;
use crate::sweep::grid::Cell;
use crate::sweep::score::{ScoreTerms, bottlenecks};
use crate::{Config, TunerError, dataset};

/// What a loader gives and takes with one setting, and what the documented rules say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataLoadingProfile {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// What was measured.
    #[serde(flatten)]
    pub figures: Figures,
    /// The documented data-loading bottlenecks.
    pub bottlenecks: Vec<DataLoadingBottleneck>,
    /// The documented score.
    pub score: f64,
    /// Of which it is the sum.
    pub score_terms: ScoreTerms,
}

impl DataLoadingProfile {
    fn new(settings: &Settings, figures: Figures) -> Self {
        let cell = Cell::from(settings);
        let bottlenecks = bottlenecks(cell, &figures);
        let score_terms = ScoreTerms::new(cell, &figures, bottlenecks.len());
        Self { cell, figures, bottlenecks, score: score_terms.total(), score_terms }
    }
}

/// Measures `num_batches` batches of `loader`, after as many as its workers may have made while
/// nobody asked. Memory and CPU are those of the whole process.
///
/// # Errors
/// If a batch cannot be loaded, or the process cannot be watched.
///
/// # Example
///
/// ```
/// use loader::datasets::Synthetic;
/// use loader::{Dtype, Field, Loader};
///
/// let dataset = Synthetic::new([Field::new("x", [16], Dtype::Float32)], 1_000);
/// let mut loader = Loader::builder(dataset).batch_size(32).num_workers(1).build()?;
/// let profile = tuner::profile::profile_loader(&mut loader, 20)?;
/// assert!(profile.figures.batches_per_s > 0.0 && profile.bottlenecks.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn profile_loader(
    loader: &mut Loader,
    num_batches: usize,
) -> Result<DataLoadingProfile, TunerError> {
    let settings = loader.settings().clone();
    let measure = Measure {
        warmup_batches: warmup_batches(&settings),
        warmup_s: 0.0,
        until_steady: false,
        consumer: false,
        least_batches: num_batches.max(1),
        measure_s: 0.0,
        rests: false,
    };
    let monitor = Monitor::start(MonitorOptions::windows(SAMPLING))?;
    let built = (Instant::now(), rss_bytes()?);
    let begin = || Ok(monitor.window());
    let figures = measure.run(loader, None, built, monitor.gpus(), begin, |_| Ok(()))?;
    Ok(DataLoadingProfile::new(&settings, figures))
}

/// How `tuner profile` measures.
#[derive(Clone, Debug)]
pub struct ProfileOptions {
    /// Names the session.
    pub name: String,
    /// Seconds to measure, at least.
    pub measure_s: f64,
    /// How long the consumer works on each batch.
    pub step: Duration,
    /// The folder of the report.
    pub out: PathBuf,
}

/// What `tuner profile` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Profiled {
    /// What the loader gave and took.
    #[serde(flatten)]
    pub profile: DataLoadingProfile,
    /// The session in words.
    pub summary: String,
    /// The report's files.
    pub files: Vec<PathBuf>,
    /// All that was recorded.
    #[serde(skip)]
    pub session: Arc<ProfilingSession>,
}

/// Runs the loader of `config` with `settings` under the profiler and writes the report;
/// `on_batch` is called after each batch.
///
/// # Errors
/// If the data set cannot be opened, a sample cannot be loaded, or the report cannot be written.
pub fn run(
    config: &Config,
    settings: Settings,
    options: &ProfileOptions,
    on_batch: impl Fn(),
) -> Result<Profiled, TunerError> {
    // Found out now rather than after the measurement.
    let out = &options.out;
    std::fs::create_dir_all(out).map_err(TunerError::file("write", out))?;
    drop(tempfile::tempfile_in(out).map_err(TunerError::file("write", out))?);
    let data = dataset::open(config)?;
    let table = DataTable::new(config, &data)?;
    let profiler =
        BottleneckProfiler::new(ProfilerConfig::at_level(ProfilingLevel::Comprehensive))?;
    let gpus = Gpus::open().ok();
    let built = (Instant::now(), rss_bytes()?);
    let mut loader = data.builder().settings(settings).build()?;
    let settings = loader.settings().clone();
    let pipeline = loader.pipeline();
    let measure = Measure {
        warmup_batches: warmup_batches(&settings),
        warmup_s: 1.0,
        until_steady: false,
        consumer: !options.step.is_zero(),
        least_batches: LEAST_BATCHES,
        measure_s: options.measure_s,
        rests: false,
    };
    let begin = || {
        profiler.start_session(&options.name)?;
        profiler.register_pipeline("loader", pipeline.clone())?;
        for (name, value) in attributes(&settings, &table) {
            profiler.attribute(name, &value)?;
        }
        profiler.window().ok_or(TunerError::NoMemoryFigure)
    };
    let mut asked = None;
    let figures = measure.run(&mut loader, None, built, gpus.as_ref(), begin, |moment| {
        match moment {
            Moment::Ask => {
                // At the end of an epoch none came.
                drop(asked.take());
                asked = Some(profiler.operation("data loading", BottleneckType::DataLoading));
            }
            Moment::Batch(batch) => {
                asked = None;
                drop(batch);
                // Not an operation: it stands for work that is not there to be made faster.
                std::thread::sleep(options.step);
                on_batch();
            }
            // There is no reference.
            Moment::Pause | Moment::Resume(_) | Moment::EpochEnd => {}
        }
        Ok(())
    })?;
    drop(asked);
    let session = profiler.stop_session()?;
    Ok(Profiled {
        profile: DataLoadingProfile::new(&settings, figures),
        summary: profiler.summary(),
        files: profiler.write_report(out)?,
        session,
    })
}

/// What tells this run from others.
fn attributes(settings: &Settings, data: &DataTable) -> [(&'static str, String); 7] {
    [
        ("data.root", data.root.clone()),
        ("data.fingerprint", data.fingerprint.clone()),
        ("batch_size", settings.batch_size.to_string()),
        ("num_workers", settings.num_workers.to_string()),
        ("prefetch_depth", settings.prefetch_depth.to_string()),
        ("pin_memory", settings.pin_memory.to_string()),
        ("libtorch", loader::libtorch_version().to_owned()),
    ]
}

/// The folder of a report that was given none: `<reports>/<config>/<UTC time>`.
pub fn default_path(reports: &str, config: &Path) -> PathBuf {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    Path::new(reports).join(config.file_stem().unwrap_or_default()).join(now)
}
