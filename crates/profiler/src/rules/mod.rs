//! Rules over figures: the documented ones on a loader's run, and those on resources in real time.

mod cpu;
mod data_loading;
mod episodes;
mod gpu;
mod io;
mod memory;

use std::fmt;

pub use data_loading::{
    DataLoadingBottleneck, FEW_BATCHES_PER_S, GPU_TRANSFER_BYTES, LoadingFigures, MB,
    MEMORY_PRESSURE_BYTES, SLOW_BATCH_S, data_loading_bottlenecks,
};

use self::episodes::{Band, Edge, Episodes, Seen};
use crate::bottleneck::{Bottleneck, BottleneckType};
use crate::config::ProfilerConfig;
use crate::resources::ResourceSample;

/// Finds resources that are short, sample by sample, in memory that does not grow.
///
/// | name | kind | value | threshold | as bad as can be |
/// |---|---|---|---|---|
/// | `high_memory_usage` | memory_allocation | share of the control groups' limit, or of the machine's memory, that is held | `memory_threshold` | 1 |
/// | `memory_growth` | memory_allocation | share of the room under that limit eaten by steady growth | over half of the session, 32 s at least, to its end | 1 |
/// | `allocation_churn` | memory_allocation | share of CPU time spent on page faults, of a process that uses a tenth of a core or more | 0.2 | 0.6 |
/// | `high_gpu_memory_usage` | gpu_transfer | share of a GPU's memory that is held | `gpu_threshold` | 1 |
/// | `pcie_saturation` | gpu_transfer | share of what the PCIe link carries in one direction | 0.7 | 0.9 |
/// | `cpu_saturation` | cpu_computation | share of the usable cores that the process keeps busy | 0.9 | 1 |
/// | `run_queue_delay` | synchronization | share of the threads' time wanting a core in which they had none | 0.2 | 0.75 |
/// | `io_wait` | i_o_operation | threads blocked on storage on the average, or share of time in which some task was | 0.2 | 1 |
///
/// Shares of time are taken over a second at least. A condition begins over its threshold and ends
/// after 2 s under nine tenths of it; in between it is one *episode*. `frequency` counts the
/// episodes, `total_time_s` sums them up, and
///
/// ```text
/// severity = share of the observed time that the condition was true
///            x (0.5 + 0.5 x mean excess in that time)
/// excess   = (value - threshold) / (as bad as can be - threshold), cut to 0 to 1
/// ```
///
/// Time for which there was no sample (a machine that slept) is not observed. A condition that
/// costs time, which is every one but short memory, is left out if it was true for a smaller share
/// of the time than `bottleneck_threshold`: it cannot have cost more.
#[derive(Debug)]
pub struct ResourceRules {
    rules: Vec<(Box<dyn Rule>, Episodes)>,
    least_share: f64,
    interval_s: f64,
    last_s: Option<f64>,
    observed_s: f64,
}

/// A condition that is true now.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveEpisode {
    /// Of the rule, such as `high_memory_usage`.
    pub name: &'static str,
    /// Its kind.
    pub kind: BottleneckType,
    /// When it began, in seconds since the session did.
    pub since_s: f64,
    /// Why it is believed, one sentence with figures.
    pub cause: String,
}

/// A condition on samples: what its value is, and what to say of it.
trait Rule: Send + fmt::Debug {
    fn name(&self) -> &'static str;
    fn kind(&self) -> BottleneckType;
    fn band(&self) -> Band;
    /// The value, where `sample` tells one; `dt_s` seconds after the sample before.
    fn look(&mut self, sample: &ResourceSample, dt_s: f64) -> Option<Seen>;
    /// The next sample does not follow from the one before.
    fn skip(&mut self) {}
    /// Whether what it finds costs time while it lasts.
    fn costs_time(&self) -> bool {
        true
    }
    /// Whether what ended before the session was nothing.
    fn must_last(&self) -> bool {
        false
    }
    fn cause(&self) -> String;
    fn suggestions(&self) -> Vec<String>;
}

impl ResourceRules {
    /// Rules with the thresholds of `config`, for a process that may use `usable_cores`
    /// (see [`usable_cores`](crate::machine::usable_cores)).
    pub fn new(config: &ProfilerConfig, usable_cores: f64) -> Self {
        let rules: [Box<dyn Rule>; 8] = [
            Box::new(memory::HighMemory::new(config.memory_threshold)),
            Box::new(memory::Growth::default()),
            Box::new(memory::Churn::default()),
            Box::new(gpu::HighGpuMemory::new(config.gpu_threshold)),
            Box::new(gpu::PcieSaturation::default()),
            Box::new(cpu::Saturation::new(usable_cores)),
            Box::new(cpu::RunQueueDelay::new(usable_cores)),
            Box::new(io::IoWait::default()),
        ];
        let watched = rules.map(|rule| {
            let episodes = Episodes::new(rule.band());
            (rule, episodes)
        });
        Self {
            rules: watched.into(),
            least_share: config.bottleneck_threshold,
            interval_s: config.sampling_interval,
            last_s: None,
            observed_s: 0.0,
        }
    }

    /// Takes the next sample. One that is not later than the one before is left out.
    pub fn tick(&mut self, sample: &ResourceSample) {
        let dt_s = self.last_s.map_or(0.0, |last_s| sample.at_s - last_s);
        if !dt_s.is_finite() || dt_s < 0.0 || (dt_s == 0.0 && self.last_s.is_some()) {
            return;
        }
        self.last_s = Some(sample.at_s);
        let gap = dt_s > longest_gap_s(self.interval_s);
        let dt_s = if gap { 0.0 } else { dt_s };
        self.observed_s += dt_s;
        for (rule, episodes) in &mut self.rules {
            if gap {
                rule.skip();
            }
            let Some(seen) = rule.look(sample, dt_s) else { continue };
            match episodes.see(sample.at_s, seen) {
                Some(Edge::Begins) => tracing::info!(
                    bottleneck = rule.name(),
                    at_s = sample.at_s,
                    "begins: {}",
                    rule.cause()
                ),
                Some(Edge::Ends) => tell_end(&**rule, sample.at_s),
                None => {}
            }
        }
    }

    /// The conditions that are true now.
    pub fn active(&self) -> Vec<ActiveEpisode> {
        let active = self.rules.iter().filter_map(|(rule, episodes)| {
            Some(ActiveEpisode {
                name: rule.name(),
                kind: rule.kind(),
                since_s: episodes.since_s()?,
                cause: rule.cause(),
            })
        });
        active.collect()
    }

    /// What was found so far, worst first.
    pub fn found(&self) -> Vec<Bottleneck> {
        let found = self.rules.iter().filter_map(|(rule, episodes)| {
            let share = episodes.share_of(self.observed_s);
            let told = episodes.count() > 0
                && (!rule.costs_time() || share >= self.least_share)
                && (!rule.must_last() || episodes.since_s().is_some());
            told.then(|| Bottleneck {
                name: rule.name().to_owned(),
                kind: rule.kind(),
                severity: episodes.severity(self.observed_s),
                frequency: episodes.count(),
                total_time_s: episodes.time_s(),
                optimization_potential: None,
                cause: format!(
                    "{}; so it was for {:.1} of {:.1} s",
                    rule.cause(),
                    episodes.time_s(),
                    self.observed_s
                ),
                suggestions: rule.suggestions(),
            })
        });
        let mut found: Vec<_> = found.collect();
        found.sort_by(|a, b| b.severity.total_cmp(&a.severity));
        found
    }

    /// Ends what is active, and tells what was found, worst first.
    pub fn finish(self) -> Vec<Bottleneck> {
        for (rule, episodes) in &self.rules {
            if episodes.since_s().is_some() {
                tell_end(&**rule, self.last_s.unwrap_or_default());
            }
        }
        self.found()
    }
}

fn tell_end(rule: &dyn Rule, at_s: f64) {
    tracing::info!(bottleneck = rule.name(), at_s, "ends: {}", rule.cause());
}

/// The time between two samples, `interval_s` apart by intent, from which on nothing is known of
/// it: the machine slept, or the process was stopped.
pub(crate) fn longest_gap_s(interval_s: f64) -> f64 {
    const LATE_S: f64 = 2.0;
    (10.0 * interval_s).max(LATE_S)
}

/// Differences of `N` counters over a second or more.
#[derive(Debug)]
struct Rates<const N: usize> {
    before: Option<(f64, [f64; N])>,
}

impl<const N: usize> Default for Rates<N> {
    fn default() -> Self {
        Self { before: None }
    }
}

impl<const N: usize> Rates<N> {
    /// Seconds, and by how much each counter grew a second; `None` until a second is full, and
    /// where a counter is absent.
    fn over(&mut self, at_s: f64, counters: Option<[f64; N]>) -> Option<(f64, [f64; N])> {
        // Ticks are never exactly even.
        const LEAST_S: f64 = 0.95;
        let now = counters?;
        let (before_s, before) = *self.before.get_or_insert((at_s, now));
        let span_s = at_s - before_s;
        if span_s < LEAST_S {
            return None;
        }
        self.before = Some((at_s, now));
        Some((span_s, std::array::from_fn(|i| ((now[i] - before[i]) / span_s).max(0.0))))
    }

    fn skip(&mut self) {
        self.before = None;
    }
}

/// The figures at the highest value.
#[derive(Debug)]
struct Worst<F> {
    value: f64,
    figures: F,
}

impl<F: Default> Default for Worst<F> {
    fn default() -> Self {
        Self { value: f64::NEG_INFINITY, figures: F::default() }
    }
}

impl<F> Worst<F> {
    fn see(&mut self, value: f64, figures: F) {
        if value > self.value {
            *self = Self { value, figures };
        }
    }
}

/// Bytes for people: MB and GB of 2^20 and 2^30 bytes.
fn size(bytes: f64) -> String {
    const MIB: f64 = MB as f64;
    match bytes / MIB {
        mb if mb >= 10240.0 => format!("{:.1} GB", mb / 1024.0),
        mb if mb >= 10.0 => format!("{mb:.0} MB"),
        mb => format!("{mb:.2} MB"),
    }
}
