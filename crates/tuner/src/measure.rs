//! A loader, measured: what it gives and what it takes.

use std::time::{Duration, Instant};

use loader::{Batch, Loader, Settings, Stats};
use profiler::attribution::{Surroundings, attribute};
use profiler::gpu::Gpus;
use profiler::machine;
use profiler::monitor::{self, Window};
use profiler::pipeline::PipelineSnapshot;
use profiler::stage::StageTimes;
use profiler::statistics::{mean, standard_deviation};
use serde::{Deserialize, Serialize};

use crate::TunerError;
use crate::timeline::Timeline;

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
}

/// What a measurement began with.
struct Begun {
    at: Instant,
    /// Batches that came before.
    seen: usize,
    steady: bool,
    stats: Stats,
    usage: Window,
    snapshots: Vec<PipelineSnapshot>,
}

impl Measure {
    /// Loads batches, epoch after epoch, and tells `on` what happens. `built` is when the building of
    /// the loader began, `rss_base_bytes` what the process held then. `begin` is called when the warm-up
    /// is over, and opens the window of the measurement.
    pub(crate) fn run(
        &self,
        loader: &mut Loader,
        (built, rss_base_bytes): (Instant, u64),
        gpus: Option<&Gpus>,
        mut begin: impl FnMut() -> Result<Window, TunerError>,
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
                    let usage = begin()?;
                    let (at, stats) = (Instant::now(), epoch.stats());
                    begun = Some(Begun { at, seen, steady, stats, usage, snapshots: Vec::new() });
                }
                on(Moment::Ask)?;
                let Some(batch) = epoch.next() else { break };
                let batch = batch?;
                let (first_batch_s, context_bytes) =
                    *first.get_or_insert_with(|| (built.elapsed().as_secs_f64(), gpu_bytes(gpus)));
                on(Moment::Batch(batch))?;
                seen += 1;
                let Some(now) = &mut begun else { continue };
                let wall_s = now.at.elapsed().as_secs_f64();
                let due = now.snapshots.len() as f64 * self.measure_s / SNAPSHOTS;
                if self.until_steady && wall_s >= due {
                    now.snapshots.push(PipelineSnapshot { at_s: wall_s, ..pipeline.snapshot() });
                }
                if seen - now.seen < self.least_batches || wall_s < self.measure_s {
                    continue;
                }
                let Some(Begun { at, seen: before, steady, stats, usage, snapshots }) =
                    begun.take()
                else {
                    continue;
                };
                let (done, usage) = (epoch.stats().since(&stats), usage.finish());
                return Ok(Figures {
                    pin_memory,
                    samples_per_s: done.samples as f64 / wall_s,
                    batches_per_s: done.batches as f64 / wall_s,
                    first_batch_s,
                    wait_share: self.consumer.then(|| done.wait_share()),
                    warmup_s: (at - built).as_secs_f64(),
                    warmup_batches: before,
                    steady,
                    rss_base_bytes,
                    rss_mean_bytes: usage.rss_mean_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    rss_peak_bytes: usage.rss_peak_bytes.ok_or(TunerError::NoMemoryFigure)?,
                    gpu_mean_bytes: usage
                        .gpu_mean_bytes
                        .map(|bytes| bytes.saturating_sub(context_bytes.unwrap_or(0))),
                    cpu_percent: usage.cpu_percent,
                    wall_s,
                    batches: done.batches as usize,
                    stages: done.stages,
                    limit: limit(&snapshots),
                    timeline: None,
                });
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

/// What this process holds now.
pub(crate) fn rss_bytes() -> Result<u64, TunerError> {
    monitor::rss_bytes().ok_or(TunerError::NoMemoryFigure)
}

/// What this process holds on GPUs: at the first batch, the bare CUDA context.
fn gpu_bytes(gpus: Option<&Gpus>) -> Option<u64> {
    gpus?.process_bytes(std::process::id())
}

/// The warm-up: goes on until the rate neither rises nor falls.
#[derive(Debug)]
struct WarmUp {
    least_batches: usize,
    least_s: f64,
    /// Length of the windows that are held beside each other; `None` not to wait for a steady rate.
    window_s: Option<f64>,
    /// What is left out at most, steady or not.
    most_s: f64,
    /// When the window under way began, and the batches that had come by then.
    began: Option<(f64, usize)>,
    /// Batches a second of the windows before.
    rates: Vec<f64>,
}

/// A rate is steady that changes less from one half of the last windows to the other.
const STEADY: f64 = 0.05;
/// Windows in the time of a measurement: short ones, so that those that are looked at cost little.
const WINDOWS: f64 = 20.0;
/// The last windows, so many, are looked at.
const LAST: usize = 6;
/// With fewer nothing can be said.
const LEAST_WINDOWS: usize = 4;

/// The shortest warm-up that knows whether the rate is steady.
pub(crate) fn least_warmup_s(measure_s: f64) -> f64 {
    LAST as f64 * measure_s / WINDOWS
}

/// Whether the mean of the later half of the rates is that of the earlier one: but for 5%, or for what
/// such means differ by (one standard error) when rates scatter as these do.
fn is_steady(rates: &[f64]) -> bool {
    let (earlier, later) = rates.split_at(rates.len() / 2);
    let (Some(a), Some(b)) = (mean(earlier), mean(later)) else { return false };
    let error =
        |half: &[f64]| standard_deviation(half).map_or(0.0, |it| it * it / half.len() as f64);
    let error = (error(earlier) + error(later)).sqrt();
    (b - a).abs() <= (STEADY * a).max(error)
}

impl WarmUp {
    fn new(measure: &Measure) -> Self {
        Self {
            least_batches: measure.warmup_batches,
            least_s: measure.warmup_s,
            window_s: measure.until_steady.then_some(measure.measure_s / WINDOWS),
            most_s: measure.warmup_s + measure.measure_s,
            began: None,
            rates: Vec::new(),
        }
    }

    /// Told before the first batch and after each of the first `batches`, at `now_s`, whether it is
    /// over: if so, whether the rate is steady.
    fn over(&mut self, now_s: f64, batches: usize) -> Option<bool> {
        let enough = batches >= self.least_batches && now_s >= self.least_s;
        let Some(window_s) = self.window_s else { return enough.then_some(true) };
        // Windows begin with the first batch: until then the loader is being set up.
        if batches > 0 {
            let (began_s, before) = *self.began.get_or_insert((now_s, batches));
            if now_s - began_s >= window_s && batches > before {
                self.rates.push((batches - before) as f64 / (now_s - began_s));
                self.began = Some((now_s, batches));
            }
        }
        if !enough {
            return None;
        }
        let last = &self.rates[self.rates.len().saturating_sub(LAST)..];
        if last.len() == LAST && is_steady(last) {
            return Some(true);
        }
        // As far as so few slow batches tell.
        (now_s > self.most_s).then(|| last.len() >= LEAST_WINDOWS && is_steady(last))
    }
}

#[cfg(test)]
mod tests {
    use preproc::SampleRng;
    use rand::RngExt;

    use super::*;

    /// The batch after which the warm-up is over, and whether the rate is steady; `rate` is that at a
    /// time.
    fn over(measure_s: f64, rate: impl Fn(f64) -> f64) -> (usize, bool) {
        let measure = Measure {
            warmup_batches: 5,
            warmup_s: 0.1,
            until_steady: true,
            consumer: false,
            least_batches: 3,
            measure_s,
        };
        let (mut warmup, mut now_s) = (WarmUp::new(&measure), 0.0);
        for batches in 0.. {
            if let Some(steady) = warmup.over(now_s, batches) {
                return (batches, steady);
            }
            now_s += 1.0 / rate(now_s);
        }
        unreachable!("it ends")
    }

    #[test]
    fn a_steady_rate_takes_six_windows() {
        let (batches, steady) = over(1.0, |_| 100.0);
        assert!(steady && (31..=38).contains(&batches), "{batches}");
    }

    #[test]
    fn noise_neither_hides_a_trend_nor_is_taken_for_one() {
        // Each batch takes up to 30% more or less; a window holds five of them.
        let share = |rate: &dyn Fn(f64) -> f64| {
            let early = (0..200).filter(|&seed| {
                let mut random = SampleRng::of_order(seed, 3);
                let noise = std::cell::RefCell::new(move || 0.7 + 0.6 * random.random::<f64>());
                over(1.0, |now_s| rate(now_s) * (noise.borrow_mut())()).0 < 55
            });
            early.count() as f64 / 200.0
        };
        // Steady ones are soon seen to be, rising ones mostly waited for.
        let (steady, rising) =
            (share(&|_| 100.0), share(&|now_s| 50.0 * (1.0 + 4.0 * now_s.min(0.7))));
        assert!(steady > 0.9 && rising < 0.3, "{steady} {rising}");
    }

    #[test]
    fn a_rate_that_rises_is_waited_for() {
        // Until 0.7 s; the batches before are left out.
        let (batches, steady) = over(1.0, |now_s| 100.0 * (1.0 + now_s.min(0.7)));
        assert!(steady && batches > 90, "{batches}");
    }

    #[test]
    fn one_that_never_ends_to_fall_is_given_up() {
        let (_, steady) = over(1.0, |now_s| 1000.0 * (-now_s).exp());
        assert!(!steady);
    }

    #[test]
    fn slow_batches_are_not_waited_for_longer_than_they_are_measured() {
        assert_eq!(over(1.0, |_| 0.5), (5, true));
        assert_eq!(over(1.0, |now_s| 0.5 + 0.1 * now_s), (5, false));
    }
}
