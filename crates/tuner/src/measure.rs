//! A loader, measured: what it gives and what it takes.

use std::time::{Duration, Instant};

use loader::{Loader, Settings, Stats};
use profiler::monitor::{Monitor, Window};
use profiler::stage::StageTimes;
use serde::{Deserialize, Serialize};

use crate::TunerError;

/// How often memory is sampled.
pub(crate) const SAMPLING: Duration = Duration::from_millis(20);
/// A measurement holds at least so many batches, however slow they are.
pub(crate) const LEAST_BATCHES: usize = 3;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Whether memory was pinned in effect.
    pub pin_memory: bool,
    /// Samples a second.
    pub samples_per_s: f64,
    /// Batches a second.
    pub batches_per_s: f64,
    /// From building the loader to its first batch.
    pub first_batch_s: f64,
    /// Resident memory of the process, mean over the measurement.
    pub rss_mean_bytes: u64,
    /// Resident memory of the process, highest sample of the measurement.
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
}

/// For how long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    /// Batches that come before, at least.
    pub(crate) warmup_batches: usize,
    /// Seconds that pass before, at least.
    pub(crate) warmup_s: f64,
    /// Batches to measure, at least.
    pub(crate) least_batches: usize,
    /// Seconds to measure, at least.
    pub(crate) measure_s: f64,
}

/// Batches to leave out: what is ready or half-ready when the first batch comes was made by idle workers.
pub(crate) fn warmup_batches(settings: &Settings) -> usize {
    1 + settings.num_workers + settings.prefetch_depth
}

/// What happens while a loader is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The warm-up is over.
    Begin,
    /// A batch is asked for.
    Ask,
    /// It came.
    Batch,
}

/// What a measurement began with.
struct Begun<'a> {
    at: Instant,
    /// Batches that came before.
    seen: usize,
    stats: Stats,
    usage: Window<'a>,
}

impl Measure {
    /// Loads batches, epoch after epoch, and tells `on` what happens. `built` is when the building of
    /// the loader began.
    pub(crate) fn run(
        &self,
        loader: &mut Loader,
        built: Instant,
        monitor: &Monitor,
        mut on: impl FnMut(Moment) -> Result<(), TunerError>,
    ) -> Result<Figures, TunerError> {
        let pin_memory = loader.settings().pin_memory;
        let mut first = None;
        let mut begun: Option<Begun> = None;
        let mut seen = 0;
        for epoch in 0.. {
            let mut epoch = loader.epoch(epoch);
            loop {
                if begun.is_none()
                    && seen >= self.warmup_batches
                    && built.elapsed().as_secs_f64() >= self.warmup_s
                {
                    on(Moment::Begin)?;
                    let (at, stats) = (Instant::now(), epoch.stats());
                    begun = Some(Begun { at, seen, stats, usage: monitor.window() });
                }
                on(Moment::Ask)?;
                let Some(batch) = epoch.next() else { break };
                drop(batch?);
                on(Moment::Batch)?;
                seen += 1;
                let (first_batch_s, context_bytes) = *first
                    .get_or_insert_with(|| (built.elapsed().as_secs_f64(), gpu_bytes(monitor)));
                let Some(Begun { at, seen: before, .. }) = &begun else { continue };
                let wall_s = at.elapsed().as_secs_f64();
                if seen - before < self.least_batches || wall_s < self.measure_s {
                    continue;
                }
                let Some(Begun { stats, usage, .. }) = begun.take() else { continue };
                let (done, usage) = (epoch.stats().since(&stats), usage.finish());
                return Ok(Figures {
                    pin_memory,
                    samples_per_s: done.samples as f64 / wall_s,
                    batches_per_s: done.batches as f64 / wall_s,
                    first_batch_s,
                    rss_mean_bytes: usage.rss_mean_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    rss_peak_bytes: usage.rss_peak_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    gpu_mean_bytes: usage
                        .gpu_mean_bytes
                        .map(|bytes| bytes.saturating_sub(context_bytes.unwrap_or(0))),
                    cpu_percent: usage.cpu_percent,
                    wall_s,
                    batches: done.batches as usize,
                    stages: done.stages,
                });
            }
        }
        Err(TunerError::Bug("epochs ran out".into()))
    }
}

/// What this process holds on GPUs: at the first batch, the bare CUDA context.
fn gpu_bytes(monitor: &Monitor) -> Option<u64> {
    monitor.gpus()?.process_bytes(std::process::id())
}
