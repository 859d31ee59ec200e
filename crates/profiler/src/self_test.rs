//! What the profiler itself costs on this machine, measured, beside what is promised.
//!
//! It must have the process for itself: memory and CPU time are those of all of it. Memory comes
//! first, since what was used once and freed is used again without growing the process.
//!
//! What an operation costs is measured in many short rounds, spread over some seconds. What else a
//! machine does (programs that use its caches, a clock that slows down, a hypervisor) makes a round
//! take longer and never shorter, and often does so for a second or more; so the cost is the 10th
//! percentile of the rounds, and their median is told beside it. The lowest round would be a matter of
//! luck.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::attribution::Surroundings;
use crate::bottleneck::BottleneckType;
use crate::config::{ConfigError, ProfilerConfig, ProfilingLevel};
use crate::pipeline::{PipelineSnapshot, PipelineSource, StageSnapshot, StationSnapshot, Visits};
use crate::process::{process_cpu, rss_bytes};
use crate::profiler::{BottleneckProfiler, SessionError};
use crate::session::ProfilingSession;
use crate::statistics::{median, quantile, sorted};

/// Something that the profiler promises of its own cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What is measured.
    pub name: String,
    /// The most that it may be.
    pub promised: f64,
    /// What it is here; `None` where it cannot be measured.
    pub measured: Option<f64>,
    /// The median of the rounds of which `measured` is a low percentile; `None` where it is not.
    pub median: Option<f64>,
    /// How `measured` came about.
    pub statistic: String,
    /// Of both.
    pub unit: String,
    /// Whether it is no more than promised.
    pub holds: bool,
}

/// What the profiler costs here, and what else the machine did meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// In the order in which they were measured.
    pub promises: Vec<Promise>,
    /// Cores that this process may use.
    pub usable_cores: f64,
    /// Cores that other programs kept busy while the monitor was measured, on the average; `None`
    /// where that is not known.
    pub other_cores: Option<f64>,
}

impl SelfTest {
    /// Whether all promises hold.
    pub fn holds(&self) -> bool {
        self.promises.iter().all(|promise| promise.holds)
    }
}

impl Promise {
    fn new(name: &str, promised: f64, unit: &str, measured: Measured) -> Self {
        let Measured { value, median, statistic } = measured;
        Self {
            name: name.to_owned(),
            promised,
            measured: value,
            median,
            statistic,
            unit: unit.to_owned(),
            holds: value.is_some_and(|value| value <= promised),
        }
    }
}

/// A figure, and how it came about.
#[derive(Debug)]
struct Measured {
    value: Option<f64>,
    median: Option<f64>,
    statistic: String,
}

impl Measured {
    fn once(value: Option<f64>) -> Self {
        Self { value, median: None, statistic: "one measurement".to_owned() }
    }

    fn median_of(rounds: &[f64]) -> Self {
        let statistic = format!("median of {} rounds", rounds.len());
        Self { value: median(rounds), median: None, statistic }
    }

    /// Of rounds that others can only prolong.
    fn low_of(rounds: &[f64]) -> Self {
        let sorted = sorted(rounds);
        let statistic = format!("10th percentile of {} rounds", rounds.len());
        Self { value: quantile(&sorted, 0.1), median: median(rounds), statistic }
    }
}

/// Why the profiler could not be measured.
#[derive(Debug, Error)]
pub enum SelfTestError {
    /// See [`ConfigError`].
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// See [`SessionError`].
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Measures each promise in turn, about a minute in all, and tells it to `told` as soon as it is
/// known.
///
/// # Example
///
/// ```no_run
/// use profiler::self_test::self_test;
///
/// let found = self_test(|promise| eprintln!("{}: {:?}", promise.name, promise.measured))?;
/// assert!(found.holds());
/// # Ok::<(), profiler::self_test::SelfTestError>(())
/// ```
///
/// # Errors
///
/// [`SelfTestError`], which would be a defect of the profiler.
pub fn self_test(mut told: impl FnMut(&Promise)) -> Result<SelfTest, SelfTestError> {
    use ProfilingLevel::{Basic, Comprehensive, Detailed};
    let mut promises = Vec::new();
    let mut tell = |name, promised, unit, measured| {
        let promise = Promise::new(name, promised, unit, measured);
        told(&promise);
        promises.push(promise);
    };
    tell("memory, basic", 5.0, "MB", memory_mb(Basic, some_work)?);
    tell("memory, comprehensive", 20.0, "MB", memory_mb(Comprehensive, some_work)?);
    tell("memory, comprehensive, after a day", 20.0, "MB", memory_mb(Comprehensive, a_day)?);
    let (often, _) = monitor_percent(0.1, Duration::from_secs(3))?;
    tell("monitor at 0.1 s", 0.5, "% of a core", often);
    let (seldom, session) = monitor_percent(1.0, Duration::from_secs(5))?;
    tell("monitor at 1 s", 0.05, "% of a core", seldom);
    tell("operation, wall time", 100.0, "ns", operation_ns(Some(Basic))?);
    tell("operation, with CPU time", 1500.0, "ns", operation_ns(Some(Detailed))?);
    tell("operation, no session open", 2.0, "ns", operation_ns(None)?);
    tell("CUDA libraries loaded by trackers", 0.0, "", Measured::once(cuda_libraries()?));
    let Surroundings { usable_cores, other_cores, .. } = Surroundings::of(&session);
    Ok(SelfTest { promises, usable_cores, other_cores })
}

/// By how much this process is larger for a session, its monitor and its end, in MB.
fn memory_mb(
    level: ProfilingLevel,
    work: fn(&BottleneckProfiler) -> Result<(), SelfTestError>,
) -> Result<Measured, SelfTestError> {
    const MB: f64 = (1 << 20) as f64;
    let Some(before) = rss_bytes() else { return Ok(Measured::once(None)) };
    let profiler = BottleneckProfiler::new(ProfilerConfig::at_level(level))?;
    profiler.start_session("self-test")?;
    work(&profiler)?;
    let open = rss_bytes().unwrap_or(before);
    let session = profiler.stop_session()?;
    let grown = rss_bytes().unwrap_or(before).max(open).saturating_sub(before);
    drop(session);
    Ok(Measured::once(Some(grown as f64 / MB)))
}

/// A second of a program with a few operations on a few threads.
fn some_work(profiler: &BottleneckProfiler) -> Result<(), SelfTestError> {
    const NAMES: [&str; 4] = ["read", "decode", "transform", "write"];
    profiler.register_pipeline("loader", Arc::new(SomePipeline))?;
    let until = Instant::now() + Duration::from_secs(1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while Instant::now() < until {
                    let _sample = profiler.operation("sample", BottleneckType::DataLoading);
                    for name in NAMES {
                        drop(profiler.operation(name, BottleneckType::Preprocessing));
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
    });
    Ok(())
}

/// The ticks of a day, and a program that does what it should not: threads for every little
/// thing, and a new name for each of them.
fn a_day(profiler: &BottleneckProfiler) -> Result<(), SelfTestError> {
    const TICKS: usize = 864_000;
    const THREADS: usize = 2000;
    for _ in 0..4 {
        profiler.register_pipeline("loader", Arc::new(SomePipeline))?;
    }
    let session = profiler.open()?;
    for number in 0..THREADS {
        thread::scope(|scope| {
            scope.spawn(|| {
                let name = format!("image {number}");
                for _ in 0..100 {
                    let _image = profiler.operation(&name, BottleneckType::DataLoading);
                    drop(profiler.operation("decode", BottleneckType::Preprocessing));
                }
            });
        });
        (0..TICKS / THREADS).for_each(|_| session.pipelines().ask());
    }
    Ok(())
}

struct SomePipeline;

impl PipelineSource for SomePipeline {
    fn snapshot(&self) -> PipelineSnapshot {
        let stage = |name: &str| StageSnapshot {
            name: name.to_owned(),
            kind: BottleneckType::Preprocessing,
            busy_s: 1.0,
            visits: Visits::default(),
            timed_cpu_s: 0.0,
            timed_wall_s: 0.0,
        };
        let workers = StationSnapshot {
            name: "workers".to_owned(),
            threads: 4,
            stages: vec![stage("read"), stage("decode"), stage("transform"), stage("write")],
            ..StationSnapshot::default()
        };
        PipelineSnapshot { items: 1, stations: vec![workers], ..PipelineSnapshot::default() }
    }
}

/// CPU time of a process that sleeps while its monitor samples everything, in percent of a core, and
/// what the monitor saw.
fn monitor_percent(
    interval_s: f64,
    time: Duration,
) -> Result<(Measured, Arc<ProfilingSession>), SelfTestError> {
    // Long ones, of which each holds ticks of all kinds: what is seldom read too.
    const ROUNDS: usize = 5;
    let config = ProfilerConfig::at_level(ProfilingLevel::Comprehensive);
    let profiler = BottleneckProfiler::new(config.with_sampling_interval(interval_s))?;
    profiler.start_session("self-test")?;
    // Not counted: the first sample, and what the system does once.
    thread::sleep(Duration::from_secs_f64(interval_s / 2.0));
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let (began, before) = (Instant::now(), process_cpu());
        thread::sleep(time);
        let cpu = process_cpu().saturating_sub(before);
        *round = 100.0 * cpu.as_secs_f64() / began.elapsed().as_secs_f64();
    }
    Ok((Measured::median_of(&rounds), profiler.stop_session()?))
}

/// Of one operation, from its making to its end, on one thread; `None` is without a session.
fn operation_ns(level: Option<ProfilingLevel>) -> Result<Measured, SelfTestError> {
    const ROUNDS: usize = 200;
    const CALLS: u32 = 10_000;
    const PAUSE: Duration = Duration::from_millis(20);
    // Without a monitor: what it costs is another promise.
    let config = ProfilerConfig::at_level(level.unwrap_or_default());
    let profiler = BottleneckProfiler::new(config.with_real_time_monitoring(false))?;
    if level.is_some() {
        profiler.start_session("self-test")?;
    }
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        // By the CPU clock: time in which another program has the core is not the operation's.
        let before = process_cpu();
        for _ in 0..CALLS {
            drop(profiler.operation(black_box("decode"), BottleneckType::Preprocessing));
        }
        let cpu = process_cpu().saturating_sub(before);
        *round = cpu.as_nanos() as f64 / f64::from(CALLS);
        thread::sleep(PAUSE);
    }
    Ok(Measured::low_of(&rounds))
}

/// How many of CUDA's libraries are loaded by a session that tracks GPUs. NVML asks the driver
/// alone; without CUDA's own library nothing can be done on a GPU.
fn cuda_libraries() -> Result<Option<f64>, SelfTestError> {
    let loaded = || {
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        let paths = maps.lines().filter_map(|line| line.rsplit('/').next());
        let mut cuda: Vec<_> = paths.filter(|file| file.starts_with("libcuda")).collect();
        cuda.sort_unstable();
        cuda.dedup();
        Some(cuda.len())
    };
    let before = loaded();
    let profiler = BottleneckProfiler::new(ProfilerConfig::default())?;
    profiler.start_session("self-test")?;
    thread::sleep(Duration::from_millis(300));
    let during = loaded();
    profiler.stop_session()?;
    Ok(during.zip(before).map(|(during, before)| during.saturating_sub(before) as f64))
}
