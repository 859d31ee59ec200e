//! A loader, measured: what it gives and what it takes.

use std::time::{Duration, Instant};

use loader::{Batch, Loader, Settings, Stats};
use profiler::attribution::{Surroundings, attribute};
use profiler::gpu::Gpus;
use profiler::machine;
use profiler::monitor::{self, ProcessUsage, Window};
use profiler::pipeline::PipelineSnapshot;
use profiler::stage::StageTimes;
use serde::{Deserialize, Serialize};

use self::turns::Turns;
use self::warm_up::WarmUp;
use crate::TunerError;
use crate::timeline::Timeline;

mod reference;
mod turns;
mod warm_up;

pub(crate) use reference::Reference;
pub(crate) use turns::StartReference;
pub(crate) use warm_up::least_warmup_s;

/// How often memory is sampled.
pub(crate) const SAMPLING: Duration = Duration::from_millis(20);
/// A measurement holds at least so many batches, however slow they are.
pub(crate) const LEAST_BATCHES: usize = 3;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Whether memory was pinned in effect.
    pub pin_memory: bool,
    /// Samples a second.
    pub samples_per_s: f64,
    /// What the reference gave meanwhile, in turn with it; absent without one.
    pub reference_samples_per_s: Option<f64>,
    /// Batches a second.
    pub batches_per_s: f64,
    /// From building the loader to its first batch.
    pub first_batch_s: f64,
    /// Share of the consumer's time that it waited for data, 0 to 1; absent without a consumer.
    pub wait_share: Option<f64>,
    /// Seconds that were left out, from building the loader.
    pub warmup_s: f64,
    /// Batches that were left out.
    pub warmup_batches: usize,
    /// Whether the rate had stopped rising or falling when the measurement began.
    pub steady: bool,
    /// Resident memory of the process before the loader was built, the data set open.
    pub rss_base_bytes: u64,
    /// Resident memory of the process, mean over the measurement.
    pub rss_mean_bytes: u64,
    /// Resident memory of the process, the highest of the measurement.
    pub rss_peak_bytes: u64,
    /// Memory held on GPUs beyond the bare CUDA context, mean over the measurement; absent
    /// without a GPU.
    pub gpu_mean_bytes: Option<u64>,
    /// CPU time in percent of the cores that the process may use.
    pub cpu_percent: f64,
    /// Length of the measurement.
    pub wall_s: f64,
    /// Batches in it.
    pub batches: usize,
    /// Thread-seconds by stage in it.
    pub stages: StageTimes,
    /// What limited, by attribution; absent where that was not asked for or too little happened.
    pub limit: Option<LimitingStage>,
    /// What the process used over time; absent where that was not asked for or it took too short.
    pub timeline: Option<Timeline>,
}

/// What limits a run, by [`profiler::attribution`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitingStage {
    /// Such as `decode`.
    pub stage: String,
    /// Share of the program's time that would be saved if it took none, 0 to 1.
    pub potential: f64,
    /// 95% bootstrap interval of that over stretches of this run; absent with too few batches.
    pub interval: Option<[f64; 2]>,
    /// What would limit then.
    pub next_limiter: String,
    /// All of it in words.
    pub sentence: String,
}

/// For how long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Batches that come before, at least.
    pub(crate) warmup_batches: usize,
    /// Seconds that pass before, at least.
    pub(crate) warmup_s: f64,
    /// Whether the warm-up then goes on until the rate is steady, and what limits is attributed.
    pub(crate) until_steady: bool,
    /// Whether there is a consumer whose waiting means something.
    pub(crate) consumer: bool,
    /// Batches to measure, at least.
    pub(crate) least_batches: usize,
    /// Seconds to measure, at least.
    pub(crate) measure_s: f64,
    /// Whether the loader rests between epochs, so that [`Moment::EpochEnd`] has time.
    pub(crate) rests: bool,
}

/// Batches to leave out: what is ready or half-ready when the first batch comes was made by idle workers.
pub(crate) fn warmup_batches(settings: &Settings) -> usize {
    1 + settings.num_workers + settings.prefetch_depth
}

/// What happens while a loader is measured.
#[derive(Debug)]
pub(crate) enum Moment {
    /// A batch is asked for.
    Ask,
    /// It came.
    Batch(Batch),
    /// It is the reference's turn.
    Pause,
    /// It is the loader's own again; the reference holds so many bytes of resident memory.
    Resume(u64),
    /// An epoch is over, and the loader rests.
    EpochEnd,
}

/// What a measurement began with.
struct Begun {
    warmup_s: f64,
    /// Batches that came before.
    seen: usize,
    steady: bool,
    stats: Stats,
    turns: Turns,
    snapshots: Vec<PipelineSnapshot>,
}

impl Measure {
    /// Loads batches, epoch after epoch, and tells `on` what happens. `built` is when the building of
    /// the loader began, `rss_base_bytes` what the process held then. `reference` starts a reference, if
    /// there is to be one, when the warm-up is over: the measurement is then cut into turns, before each
    /// of which the reference has one, and what it holds is taken off what the process holds. `open` is
    /// called where a turn begins, and opens a window for it.
    pub(crate) fn run(
        &self,
        loader: &mut Loader,
        reference: Option<&StartReference<'_>>,
        (built, rss_base_bytes): (Instant, u64),
        gpus: Option<&Gpus>,
        mut open: impl FnMut() -> Result<Window, TunerError>,
        mut on: impl FnMut(Moment) -> Result<(), TunerError>,
    ) -> Result<Figures, TunerError> {
        let pin_memory = loader.settings().pin_memory;
        let pipeline = loader.pipeline();
        let mut first = None;
        let mut warmup = WarmUp::new(self);
        let mut begun: Option<Begun> = None;
        let mut seen = 0;
        for epoch in 0.. {
            let mut epoch = loader.epoch(epoch);
            loop {
                if begun.is_none()
                    && let Some(steady) = warmup.over(built.elapsed().as_secs_f64(), seen)
                {
                    let warmup_s = built.elapsed().as_secs_f64();
                    let turns = Turns::start(reference, gpus, &mut epoch, &mut on)?;
                    let (stats, snapshots) = (epoch.stats(), Vec::new());
                    begun = Some(Begun { warmup_s, seen, steady, stats, turns, snapshots });
                }
                if let Some(Begun { turns, .. }) = &mut begun {
                    turns.proceed(&mut epoch, &mut open, &mut on)?;
                }
                on(Moment::Ask)?;
                let Some(batch) = epoch.next() else { break };
                let batch = batch?;
                let (first_batch_s, context_bytes) =
                    *first.get_or_insert_with(|| (built.elapsed().as_secs_f64(), gpu_bytes(gpus)));
                on(Moment::Batch(batch))?;
                seen += 1;
                let Some(now) = &mut begun else { continue };
                let wall_s = now.turns.seconds();
                let due = now.snapshots.len() as f64 * self.measure_s / SNAPSHOTS;
                if self.until_steady && wall_s >= due {
                    now.snapshots.push(now.turns.snapshot(&*pipeline));
                }
                if seen - now.seen < self.least_batches || wall_s < self.measure_s {
                    continue;
                }
                let Some(now) = begun.take() else { continue };
                let used = now.turns.finish(&mut epoch);
                let (done, wall_s) = (epoch.stats().since(&now.stats), used.wall_s);
                // Few batches come in a short time, or many at once: their number says less.
                let samples_per_s = done.loaded as f64 / wall_s;
                return Ok(Figures {
                    pin_memory,
                    samples_per_s,
                    reference_samples_per_s: used.reference_samples_per_s,
                    batches_per_s: samples_per_s * done.batches as f64 / done.samples as f64,
                    first_batch_s,
                    wait_share: self.consumer.then(|| done.wait_share()),
                    warmup_s: now.warmup_s,
                    warmup_batches: now.seen,
                    steady: now.steady,
                    rss_base_bytes,
                    rss_mean_bytes: used.rss_mean_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    rss_peak_bytes: used.rss_peak_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    gpu_mean_bytes: used
                        .gpu_mean_bytes
                        .map(|bytes| bytes.saturating_sub(context_bytes.unwrap_or(0))),
                    cpu_percent: used.cpu_percent,
                    wall_s,
                    batches: done.batches as usize,
                    stages: done.stages,
                    limit: limit(&now.snapshots),
                    timeline: None,
                });
            }
            if self.rests {
                epoch.pause();
                begun.iter_mut().for_each(|now| now.turns.rest());
                on(Moment::EpochEnd)?;
            }
        }
        Err(TunerError::Bug("epochs ran out".into()))
    }
}

/// Snapshots of the pipeline in a measurement, about.
const SNAPSHOTS: f64 = 40.0;

/// What limited the pipeline over these snapshots.
fn limit(snapshots: &[PipelineSnapshot]) -> Option<LimitingStage> {
    let usable_cores = machine::usable_cores();
    let surroundings =
        Surroundings { usable_cores, storage: None, other_cores: None, pipelines: 1 };
    let attribution = attribute(snapshots, &surroundings)?;
    let station = attribution.stations.get(attribution.limiting_station)?;
    let stage = station.stages.get(attribution.limiting_stage)?;
    Some(LimitingStage {
        stage: stage.name.clone(),
        potential: stage.optimization_potential,
        interval: stage.interval,
        next_limiter: stage.next_limiter.clone(),
        sentence: attribution.sentence,
    })
}

/// A window whose peak of memory is exact, where the system tells: what is held for less than the time
/// between two samples counts too. One at a time, since a process has one peak.
#[derive(Debug)]
pub(crate) struct Watch {
    window: Window,
    exact: bool,
}

impl Watch {
    /// Of `window`, which was opened just now.
    pub(crate) fn new(window: Window) -> Self {
        Self { window, exact: monitor::begin_peak_rss() }
    }

    /// Closes the window now.
    pub(crate) fn finish(self) -> ProcessUsage {
        let peak = if self.exact { monitor::peak_rss_bytes() } else { None };
        let used = self.window.finish();
        ProcessUsage { rss_peak_bytes: used.rss_peak_bytes.max(peak), ..used }
    }
}

/// What this process holds now.
pub(crate) fn rss_bytes() -> Result<u64, TunerError> {
    monitor::rss_bytes().ok_or(TunerError::NoMemoryFigure)
}

/// What this process holds on GPUs: at the first batch, the bare CUDA context.
fn gpu_bytes(gpus: Option<&Gpus>) -> Option<u64> {
    gpus?.process_bytes(std::process::id())
}
