//! What a process used while a loader was measured in it, over time: a few dozen points, for a chart.

use std::ops::Sub;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use profiler::extend::{MetricSource, PluginError};
use profiler::monitor::{process_cpu, storage_read_bytes};
use profiler::resources::ResourceSample;
use serde::{Deserialize, Serialize};

/// Seconds from one point to the next.
const STEP_S: f64 = 0.1;
/// Of what takes shorter or longer than so many points, they lie closer together or further apart.
const POINTS: [f64; 2] = [10.0, 40.0];
/// Samples that a monitor keeps for it: far more than points, so that any of them has one nearby.
pub(crate) const SAMPLES: usize = 256;

/// Columns with a value for each point. A rate is that since the point before, or since the loader was
/// built; what nothing is known of has an empty column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds from building the loader to the start of the measurement: what comes before is the
    /// warm-up.
    pub measured_from_s: f64,
    /// Seconds from building the loader to the point.
    pub at_s: Vec<f64>,
    /// Samples a second that were taken, counted from batch to batch; `None` where none came.
    pub samples_per_s: Vec<Option<f64>>,
    /// CPU time of all threads in percent of one core.
    pub cpu_percent: Vec<Option<f64>>,
    /// Resident memory at the point.
    pub rss_bytes: Vec<u64>,
    /// Bytes a second fetched from storage: none of what the page cache had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage_read_bytes_per_s: Vec<Option<f64>>,
    /// Share of time in which the busiest GPU was busy, in percent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu_percent: Vec<Option<f64>>,
    /// Memory that the process held on all GPUs at the point, CUDA's contexts among it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu_bytes: Vec<Option<u64>>,
}

/// Counts what the training loop takes, and tells the monitor that and what [`Timeline::of`] needs
/// beside it. What passes in a pause does not count.
#[derive(Debug)]
pub(crate) struct Taken {
    began: Instant,
    so_far: Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    samples: usize,
    /// Seconds until the last of them came.
    taken_at_s: f64,
    paused_since: Option<Passed>,
    /// In pauses that are over.
    in_pauses: Passed,
    /// Resident memory that is not the loader's.
    beside_bytes: u64,
}

/// What has passed.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    seconds: f64,
    cpu_s: f64,
    /// NaN where the kernel does not tell.
    storage_read_bytes: f64,
}

impl Sub for Passed {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            seconds: self.seconds - earlier.seconds,
            cpu_s: self.cpu_s - earlier.cpu_s,
            storage_read_bytes: self.storage_read_bytes - earlier.storage_read_bytes,
        }
    }
}

const AT_S: &str = "at_s";
const BESIDE_BYTES: &str = "beside_bytes";
const CPU_S: &str = "cpu_s";
const STORAGE_READ_BYTES: &str = "storage_read_bytes";
const TAKEN: &str = "taken_samples";
const TAKEN_AT_S: &str = "taken_at_s";

impl Taken {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), so_far: Mutex::default() }
    }

    /// A batch of so many `samples` came.
    pub(crate) fn add(&self, samples: usize) {
        let mut so_far = self.so_far();
        so_far.samples += samples;
        so_far.taken_at_s = self.began.elapsed().as_secs_f64() - so_far.in_pauses.seconds;
    }

    /// A pause begins.
    pub(crate) fn pause(&self) {
        let now = self.passed();
        self.so_far().paused_since.get_or_insert(now);
    }

    /// It ends; so much of the resident memory is not the loader's from now on.
    pub(crate) fn resume(&self, beside_bytes: u64) {
        let (now, mut so_far) = (self.passed(), self.so_far());
        so_far.beside_bytes = beside_bytes;
        if let Some(since) = so_far.paused_since.take() {
            // Plus what has passed since.
            so_far.in_pauses = now - (since - so_far.in_pauses);
        }
    }

    fn passed(&self) -> Passed {
        Passed {
            seconds: self.began.elapsed().as_secs_f64(),
            cpu_s: process_cpu().as_secs_f64(),
            storage_read_bytes: storage_read_bytes().map_or(f64::NAN, |bytes| bytes as f64),
        }
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricSource for Taken {
    fn name(&self) -> &str {
        "timeline"
    }

    fn sample(&self) -> Result<Vec<(String, f64)>, PluginError> {
        let now = self.passed();
        let so_far = self.so_far();
        let passed = so_far.paused_since.unwrap_or(now) - so_far.in_pauses;
        let figures = [
            (AT_S, passed.seconds),
            (BESIDE_BYTES, so_far.beside_bytes as f64),
            (CPU_S, passed.cpu_s),
            (STORAGE_READ_BYTES, passed.storage_read_bytes),
            (TAKEN, so_far.samples as f64),
            (TAKEN_AT_S, so_far.taken_at_s),
        ];
        let known = figures.into_iter().filter(|(_, value)| !value.is_nan());
        Ok(known.map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl Timeline {
    /// From what a monitor saw that asked [`Taken`], whose seconds count from the building of the loader;
    /// the measurement lasted from one second to another. `None` where there are not two points.
    pub(crate) fn of(
        samples: &[ResourceSample],
        [measured_from_s, until_s]: [f64; 2],
    ) -> Option<Self> {
        let step_s = step_s(until_s);
        let at_s = |sample: &ResourceSample| sample.metrics.get(AT_S).copied().unwrap_or(f64::NAN);
        let mut kept: Vec<&ResourceSample> = Vec::new();
        for sample in samples.iter().filter(|it| at_s(it) <= until_s && it.memory.is_some()) {
            // Samples come a little sooner or later than they are due.
            if kept.last().is_none_or(|last| at_s(sample) - at_s(last) >= 0.99 * step_s) {
                kept.push(sample);
            }
        }
        // The first is where counting begins.
        let points: Vec<[&ResourceSample; 2]> =
            kept.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        if points.len() < 2 {
            return None;
        }
        let since = |[before, now]: &[&ResourceSample; 2], name: &str| -> Option<f64> {
            Some(now.metrics.get(name)? - before.metrics.get(name)?)
        };
        let rate = |points: &[&ResourceSample; 2], name: &str| -> Option<f64> {
            let [before, now] = points;
            Some(since(points, name)? / (at_s(now) - at_s(before)))
        };
        let taken = |points: &[&ResourceSample; 2]| {
            let (samples, seconds) = (since(points, TAKEN)?, since(points, TAKEN_AT_S)?);
            (samples > 0.0 && seconds > 0.0).then(|| (samples / seconds).round())
        };
        let gpus = |[_, now]: &[&ResourceSample; 2]| now.gpus.clone().unwrap_or_default();
        let busiest = |points: &[&ResourceSample; 2]| {
            gpus(points).iter().filter_map(|gpu| gpu.utilization_percent).max().map(f64::from)
        };
        let held = |points: &[&ResourceSample; 2]| {
            let held = gpus(points).into_iter().filter_map(|gpu| gpu.process_bytes);
            held.reduce(|sum, bytes| sum + bytes)
        };
        let tenths = |value: f64| (value * 10.0).round() / 10.0;
        let millis = |seconds: f64| (seconds * 1e3).round() / 1e3;
        Some(Self {
            measured_from_s: millis(measured_from_s),
            at_s: points.iter().map(|[_, now]| millis(at_s(now))).collect(),
            samples_per_s: points.iter().map(taken).collect(),
            cpu_percent: points
                .iter()
                .map(|it| rate(it, CPU_S).map(|it| tenths(100.0 * it)))
                .collect(),
            rss_bytes: points
                .iter()
                .filter_map(|[_, now]| {
                    let beside = now.metrics.get(BESIDE_BYTES).copied().unwrap_or(0.0);
                    Some(now.memory?.resident_bytes.saturating_sub(beside as u64))
                })
                .collect(),
            storage_read_bytes_per_s: known(
                points.iter().map(|it| rate(it, STORAGE_READ_BYTES).map(f64::round)),
            ),
            gpu_percent: known(points.iter().map(busiest)),
            gpu_bytes: known(points.iter().map(held)),
        })
    }
}

/// From one point to the next, where all of them take so long.
fn step_s(seconds: f64) -> f64 {
    let [least, most] = POINTS;
    STEP_S.min(seconds / least).max(seconds / most)
}

/// A column; an empty one where no value is known.
fn known<T>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<T>> {
    let values: Vec<Option<T>> = values.collect();
    if values.iter().any(Option::is_some) { values } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use profiler::gpu::GpuReading;
    use profiler::resources::MemorySample;

    use super::*;

    /// Every 20 ms: half a core, a MB more each second, 100 samples each 50 ms, as one batch.
    fn samples(seconds: f64) -> Vec<ResourceSample> {
        let number = (seconds / 0.02) as u32;
        let sample = |tick| {
            let at_s = 0.02 * f64::from(tick);
            let batches = (at_s / 0.05 + 1e-6).floor();
            let metrics = [
                (AT_S, at_s),
                (CPU_S, 0.5 * at_s),
                (TAKEN, 100.0 * batches),
                (TAKEN_AT_S, 0.05 * batches),
                (STORAGE_READ_BYTES, 4096.0 * at_s),
            ];
            ResourceSample {
                at_s,
                memory: Some(MemorySample {
                    resident_bytes: (1e6 * at_s) as u64,
                    ..MemorySample::default()
                }),
                metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
                ..ResourceSample::default()
            }
        };
        (0..=number).map(sample).collect()
    }

    #[test]
    fn points_are_few_even_and_end_with_the_measurement() {
        for seconds in [0.31, 1.0, 3.9, 4.1, 60.0, 1234.5] {
            let line = Timeline::of(&samples(seconds + 1.0), [0.1, seconds]).unwrap();
            let at = &line.at_s;
            assert!((7..=40).contains(&at.len()), "{seconds}: {at:?}");
            let steps: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
            // Samples come each 20 ms.
            let steps_of = 0.98 * step_s(seconds)..step_s(seconds) + 0.021;
            assert!(steps.iter().all(|it| steps_of.contains(it)), "{steps:?}");
            let last = at.last().unwrap();
            assert!(*last <= seconds && seconds - last < steps_of.end, "{seconds}: {at:?}");
            let columns = [line.samples_per_s.len(), line.cpu_percent.len(), line.rss_bytes.len()];
            assert_eq!(columns, [at.len(); 3]);
            assert_eq!(line.storage_read_bytes_per_s.len(), at.len());
            assert_eq!((line.gpu_percent.len(), line.gpu_bytes.len()), (0, 0));
        }
    }

    #[test]
    fn rates_are_those_since_the_point_before() {
        let line = Timeline::of(&samples(2.0), [0.5, 2.0]).unwrap();
        assert_eq!(line.measured_from_s, 0.5);
        assert!(line.cpu_percent.iter().all(|it| *it == Some(50.0)), "{line:?}");
        // From batch to batch, so that it does not jump where a batch comes just before a point.
        assert!(line.samples_per_s.iter().all(|it| *it == Some(2000.0)), "{line:?}");
        assert!(line.storage_read_bytes_per_s.iter().all(|it| *it == Some(4096.0)), "{line:?}");
        assert_eq!(line.rss_bytes[4], (1e6 * line.at_s[4]).round() as u64);
        // A slow loader gives nothing for a while.
        let mut slow = samples(2.0);
        for sample in &mut slow {
            sample.metrics.insert(TAKEN.to_owned(), 0.0);
        }
        let line = Timeline::of(&slow, [0.5, 2.0]).unwrap();
        assert!(line.samples_per_s.iter().all(Option::is_none));
        assert_eq!(Timeline::of(&slow[..4], [0.0, 2.0]), None);
    }

    #[test]
    fn of_gpus_there_is_the_busiest_and_what_is_held_on_all() {
        let mut with = samples(1.0);
        for (number, sample) in with.iter_mut().enumerate() {
            let gpu = |percent, bytes| GpuReading {
                utilization_percent: Some(percent),
                process_bytes: bytes,
                ..GpuReading::default()
            };
            sample.gpus = (number > 20).then(|| vec![gpu(30, Some(100)), gpu(70, None)]);
        }
        let line = Timeline::of(&with, [0.0, 1.0]).unwrap();
        assert_eq!((line.gpu_percent[0], line.gpu_bytes[0]), (None, None));
        assert_eq!(line.gpu_percent.last(), Some(&Some(70.0)));
        assert_eq!(line.gpu_bytes.last(), Some(&Some(100)));
    }

    #[test]
    fn what_is_written_is_small_and_read_again() {
        let line = Timeline::of(&samples(100.0), [10.0, 100.0]).unwrap();
        let json = serde_json::to_string(&line).unwrap();
        assert!(json.len() < 2000 && !json.contains("gpu"), "{}: {json}", json.len());
        assert_eq!(serde_json::from_str::<Timeline>(&json).unwrap(), line);
    }

    #[test]
    fn memory_beside_is_taken_off() {
        let mut samples = samples(2.0);
        for sample in &mut samples[50..] {
            sample.metrics.insert(BESIDE_BYTES.to_owned(), 4e5);
        }
        let line = Timeline::of(&samples, [0.5, 2.0]).unwrap();
        let held = |point: usize| (1e6 * line.at_s[point]).round() as u64;
        assert_eq!((line.rss_bytes[8], line.rss_bytes[9]), (held(8), held(9) - 400_000));
    }

    #[test]
    fn what_passes_in_a_pause_does_not_count() {
        let taken = Taken::new();
        let of =
            |name: &str| taken.sample().unwrap().into_iter().find(|it| it.0 == name).unwrap().1;
        for _ in 0..3 {
            taken.pause();
            taken.pause();
            let before = [of(AT_S), of(CPU_S)];
            loader::datasets::compute_for(std::time::Duration::from_millis(5));
            assert_eq!([of(AT_S), of(CPU_S)], before);
            taken.resume(7);
            assert!(of(AT_S) >= before[0] && of(CPU_S) >= before[1]);
        }
        let paused_s = taken.began.elapsed().as_secs_f64() - of(AT_S);
        assert!((0.0149..1.0).contains(&paused_s), "{paused_s}");
        taken.add(8);
        assert!(of(TAKEN_AT_S) <= of(AT_S) && of(BESIDE_BYTES) == 7.0);
    }

    #[test]
    fn what_is_taken_is_told_with_its_time() {
        let taken = Taken::new();
        taken.add(8);
        taken.add(8);
        let told = taken.sample().unwrap();
        let of = |name: &str| told.iter().find(|it| it.0 == name).map(|it| it.1);
        assert_eq!(of(TAKEN), Some(16.0));
        assert!(of(TAKEN_AT_S).unwrap() >= 0.0 && of(CPU_S).unwrap() > 0.0);
    }
}
