//! What the parts of the data's way give on their own: no setting should be faster than the slowest,
//! and where one is, that is said ([`exceeded`]).
//!
//! Measured at the start of a sweep in a process of its own ([`measure`]), each in about
//! half the time of a trial's measurement. What is computed is measured on one thread with the machine to
//! itself and counted for all usable cores; what waits, as for a disk, is no ceiling, since more
//! workers wait for more at once. What depends on the batch size is measured with the grid's smallest and
//! largest, and the better counts. A consumer that takes so long for a batch is a ceiling too, another for
//! each batch size ([`of`]).

use std::cmp::Ordering::Equal;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loader::datasets::Array;
use loader::error::Report;
use loader::sampler::WithReplacement;
use loader::{Arrays, Batch, Field, Loader, LoaderError, Settings, Stats};
use preproc::SampleRng;
use profiler::machine;
use profiler::monitor::process_cpu;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::cache::{Cache, evict_if_cold};
use super::cell::CellSummary;
use super::grid::Cell;
use super::memory::MemoryModel;
use super::words::whole;
use crate::config::SweepConfig;
use crate::consumer::Consumer;
use crate::dataset::Opened;
use crate::preprocessing::images::ImageFiles;
use crate::{Config, TunerError, dataset};

/// A part of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Files from the page cache or storage, by many threads, and nothing done with them.
    Read,
    /// Compressed bytes to pixels, on all cores.
    Decode,
    /// Pixels to numbers in the batch, on all cores.
    Transform,
    /// All that is computed for a sample, on all cores.
    Work,
    /// Batches of the same shape, copied from memory.
    Memory,
    /// Batches to the GPU.
    HostToDevice,
    /// The training loop that takes them.
    Consumer,
}

impl Part {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Transform => "transform",
            Self::Work => "all work",
            Self::Memory => "batches from memory",
            Self::HostToDevice => "copies to the GPU",
            Self::Consumer => "the training loop",
        }
    }
}

/// What one part gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The part.
    pub part: Part,
    /// Samples a second; absent where there is no such part.
    pub samples_per_s: Option<f64>,
    /// How it was measured, or why it was not.
    pub how: String,
}

/// What is measured at the start of a sweep: `ceilings.json` in its folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// One for each part.
    pub parts: Vec<Ceiling>,
    /// Samples a second of one thread that loads, waits counted; absent where it was not measured.
    pub worker_samples_per_s: Option<f64>,
    /// What settings take of memory.
    pub memory: MemoryModel,
    /// Seconds that it took to measure them.
    pub duration_s: f64,
}

impl Ceilings {
    /// Those at `path`; `None` where none can be read there.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

/// The lowest of them.
pub fn lowest(ceilings: &[Ceiling]) -> Option<&Ceiling> {
    let measured = ceilings.iter().filter(|ceiling| ceiling.samples_per_s.is_some());
    measured.min_by(|a, b| a.samples_per_s.partial_cmp(&b.samples_per_s).unwrap_or(Equal))
}

/// What no run of `cell` should exceed: the part, and its samples a second. `None` where nothing was
/// measured.
pub fn of(cell: Cell, ceilings: &[Ceiling], consumer: &Consumer) -> Option<(Part, f64)> {
    let lowest = lowest(ceilings).and_then(|it| Some((it.part, it.samples_per_s?)));
    let step = consumer.step_s().map(|step_s| (Part::Consumer, cell.batch_size as f64 / step_s));
    lowest.into_iter().chain(step).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// That settings were faster than their ceiling, if some were by more than runs differ.
pub fn exceeded(cells: &[CellSummary]) -> Option<String> {
    let above = |cell: &&CellSummary| {
        let low = cell.samples_per_s.interval.map_or(cell.samples_per_s.median, |[low, _]| low);
        cell.ceiling_share.is_some_and(|share| share * low > cell.samples_per_s.median)
    };
    match cells.iter().filter(above).count() {
        0 => None,
        count => Some(format!(
            "{count} of {} settings were faster than their ceiling, which was measured too low",
            cells.len()
        )),
    }
}

/// Measures them all; to be called in a process of its own.
///
/// # Errors
/// If the data cannot be opened or a sample not be loaded.
pub(super) fn measure(config: &Config) -> Result<Ceilings, TunerError> {
    let start = Instant::now();
    let time = Duration::from_secs_f64(config.sweep.measure_s / 2.0);
    // First: what the others leave in memory must not count.
    let model = MemoryModel::measure(config, 2 * time)?;
    let data = dataset::open(config)?;
    let fields = data.fields.clone();
    let sizes = &config.sweep.batch_size;
    let (smallest, largest) = (least(sizes), most(sizes));
    // Opening the data and measuring memory have read some of it.
    evict_if_cold(config)?;
    let mut parts = vec![read(config, time)?];
    evict_if_cold(config)?;
    let (computed, worker_samples_per_s) = computed(config, &data, largest, time)?;
    parts.extend(computed);
    parts.push(memory(&fields, config, time)?);
    parts.push(host_to_device(&fields, [smallest, largest], time)?);
    parts.push(consumer(&config.sweep));
    let duration_s = start.elapsed().as_secs_f64();
    let worker_samples_per_s = Some(worker_samples_per_s);
    Ok(Ceilings { parts, worker_samples_per_s, memory: model, duration_s })
}

fn most(numbers: &[usize]) -> usize {
    numbers.iter().max().copied().unwrap_or(1)
}

fn least(numbers: &[usize]) -> usize {
    numbers.iter().min().copied().unwrap_or(1)
}

fn ceiling(part: Part, samples_per_s: f64, how: String) -> Ceiling {
    Ceiling { part, samples_per_s: Some(samples_per_s).filter(|rate| rate.is_finite()), how }
}

fn absent(part: Part, why: &str) -> Ceiling {
    Ceiling { part, samples_per_s: None, how: why.to_owned() }
}

/// Threads that read at once, for each core: a disk serves many requests together.
const READERS_PER_CORE: usize = 4;
const MOST_READERS: usize = 256;

/// Whole files, in random order, by many threads.
fn read(config: &Config, time: Duration) -> Result<Ceiling, TunerError> {
    let Some(files) = ImageFiles::open(config)? else {
        return Ok(absent(Part::Read, "samples are not in files of their own"));
    };
    let mut order: Vec<usize> = (0..files.number).collect();
    order.shuffle(&mut SampleRng::of_order(config.sweep.seed, 0));
    let threads = (READERS_PER_CORE * machine::usable_cores() as usize)
        .max(most(&config.sweep.num_workers))
        .clamp(1, MOST_READERS);
    // What was read once is in memory.
    let once = config.sweep.cache == Cache::Cold;
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let (done, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while start.elapsed() < time {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let place = if once { place } else { place % order.len().max(1) };
            let Some(index) = order.get(place) else { break };
            // One that cannot be read is found by the trials.
            if let Ok(file) = files.file(*index) {
                done.fetch_add(1, Ordering::Relaxed);
                bytes.fetch_add(file.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for number in 0..threads {
            let thread = std::thread::Builder::new().name(format!("read-{number}"));
            thread.spawn_scoped(scope, work).map_err(|source| LoaderError::Spawn {
                kind: "read",
                number,
                source,
            })?;
        }
        Ok::<(), LoaderError>(())
    })?;
    let (files, wall_s) = (done.into_inner(), start.elapsed().as_secs_f64());
    if files == 0 {
        return Ok(absent(Part::Read, "no file could be read"));
    }
    let megabytes_per_s = bytes.into_inner() as f64 / wall_s / f64::from(1 << 20);
    let how = format!("{files} whole files by {threads} threads, {megabytes_per_s:.0} MiB/s");
    Ok(ceiling(Part::Read, files as f64 / wall_s, how))
}

/// Samples of a batch that one thread loads: few, so that slow ones do not take long.
pub(super) const FEW: usize = 8;

/// So many times the time that it may take, batches of the largest size are waited for: where samples are
/// slower, what a batch costs beside them does not count.
const PATIENCE: f64 = 4.0;

/// Decoding, transforms and all work, from one thread that loads without workers, few samples at once
/// and, where that does not take long, as many as the `largest` batch has: the better of the two; and
/// its samples a second.
fn computed(
    config: &Config,
    data: &Opened,
    largest: usize,
    time: Duration,
) -> Result<([Ceiling; 3], f64), TunerError> {
    let load = |batch_size| {
        let settings =
            Settings { batch_size, num_workers: 0, drop_last: false, ..config.loader.clone() };
        drain(&mut data.builder().settings(settings).build()?, time, drop)
    };
    let mut drained = load(FEW.min(largest))?;
    let largest_s = 2.0 * largest as f64 / drained.samples_per_s();
    if largest > FEW && largest_s < PATIENCE * time.as_secs_f64() {
        let whole = load(largest)?;
        if whole.samples_per_cpu_s() > drained.samples_per_cpu_s() {
            drained = whole;
        }
    }
    let worker_samples_per_s = drained.samples_per_s();
    let Drained { stats: done, cpu_s, .. } = drained;
    let (samples, cores) = (done.samples as f64, machine::usable_cores());
    let how = |what: &str, seconds: f64| {
        format!(
            "{what}, {:.3} ms a sample: the mean of {} on one thread, for {cores} cores",
            1e3 * seconds / samples,
            done.samples
        )
    };
    let stages = done.stages;
    let part = |part, what: &str, seconds: f64| match seconds > 0.0 {
        true => ceiling(part, cores * samples / seconds, how(what, seconds)),
        false => absent(part, "there is nothing of it"),
    };
    let transforms = stages.transform_s + stages.write_s;
    let parts = match config.dataset.transforms() {
        Some(_) => [
            part(Part::Decode, "decoding, as far as the transforms need it", stages.decode_s),
            part(Part::Transform, "transforms and writing to the batch", transforms),
            part(Part::Work, "all processor time", cpu_s),
        ],
        None => [
            absent(Part::Decode, "the data are no images"),
            absent(Part::Transform, "the data are no images"),
            part(Part::Work, "all processor time", cpu_s),
        ],
    };
    Ok((parts, worker_samples_per_s))
}

/// Samples of an epoch, about.
const MANY: usize = 1 << 18;
/// Bytes of a batch that is copied from memory, at most.
const COPIED_BYTES: usize = 32 << 20;

/// A loader over samples of these fields that lie in memory: what `settings` says, but no larger
/// batches than may be copied.
fn in_memory(fields: &[Field], settings: Settings) -> Result<Loader, TunerError> {
    let sample: usize = fields.iter().map(Field::bytes).sum();
    let batch_size = (COPIED_BYTES / sample.max(1)).clamp(1, settings.batch_size);
    let mut arrays = Vec::new();
    for field in fields {
        let sides = [&[batch_size], &field.shape[..]].concat();
        let sides: Vec<i64> = sides.into_iter().map(|side| side as i64).collect();
        let zeros = Tensor::f_zeros(&sides, (field.dtype.kind(), Device::Cpu))?;
        let array = Array::from_tensor(&zeros)
            .map_err(|error| TunerError::Bug(format!("zeros of {field:?}: {}", Report(&error))))?;
        arrays.push((field.name.clone(), array));
    }
    let settings = Settings { batch_size, shuffle: false, drop_last: true, ..settings };
    // An epoch of many batches, although there are samples for one.
    let batches = (MANY / batch_size).max(16);
    let order = WithReplacement { samples: batch_size, draws: batch_size * batches };
    Ok(Loader::builder(Arrays::new(arrays)?).settings(settings).sampler(order).build()?)
}

/// What a loader gave, from its first batch on, which finds nothing ready.
pub(super) struct Drained {
    stats: Stats,
    cpu_s: f64,
    wall_s: f64,
}

impl Drained {
    fn samples_per_s(&self) -> f64 {
        self.stats.samples as f64 / self.wall_s
    }

    fn samples_per_cpu_s(&self) -> f64 {
        self.stats.samples as f64 / self.cpu_s
    }
}

/// Loads for so long, at least a batch after the first, and hands each batch to `take`.
pub(super) fn drain(
    loader: &mut Loader,
    time: Duration,
    mut take: impl FnMut(Batch),
) -> Result<Drained, TunerError> {
    let mut begun = None;
    for number in 0.. {
        let mut epoch = loader.epoch(number);
        while let Some(batch) = epoch.next() {
            take(batch?);
            let Some((start, before, cpu)) = &begun else {
                begun = Some((Instant::now(), epoch.stats(), process_cpu()));
                continue;
            };
            let start: &Instant = start;
            if start.elapsed() >= time {
                return Ok(Drained {
                    stats: epoch.stats().since(before),
                    cpu_s: (process_cpu() - *cpu).as_secs_f64(),
                    wall_s: start.elapsed().as_secs_f64(),
                });
            }
        }
    }
    Err(TunerError::Bug("epochs ran out".into()))
}

/// Batches copied from memory, the grid's smallest and largest, without workers, with one and with one
/// for each core: the best of them.
fn memory(fields: &[Field], config: &Config, time: Duration) -> Result<Ceiling, TunerError> {
    let cores = (machine::usable_cores() as usize).max(1);
    let sizes = &config.sweep.batch_size;
    let sizes = BTreeSet::from([least(sizes), most(sizes)]);
    let workers = BTreeSet::from([0, 1, cores]);
    let prefetch_depth = most(&config.sweep.prefetch_depth);
    let each = time / (sizes.len() * workers.len()) as u32;
    let mut best = (0.0_f64, 0, 0);
    for &batch_size in &sizes {
        for &num_workers in &workers {
            let settings =
                Settings { batch_size, num_workers, prefetch_depth, ..Settings::default() };
            let mut loader = in_memory(fields, settings)?;
            let rate = drain(&mut loader, each, drop)?.samples_per_s();
            if rate > best.0 {
                best = (rate, loader.settings().batch_size, num_workers);
            }
        }
    }
    let (rate, batch_size, num_workers) = best;
    let how = format!("the best of several: batches of {batch_size}, {num_workers} workers");
    Ok(ceiling(Part::Memory, rate, how))
}

/// Batches copied to the GPU, one after the other: the better of these two sizes.
fn host_to_device(
    fields: &[Field],
    sizes: [usize; 2],
    time: Duration,
) -> Result<Ceiling, TunerError> {
    let device = loader::cuda::device();
    if device == Device::Cpu {
        return Ok(absent(Part::HostToDevice, "there is no GPU"));
    }
    let mut best = 0.0_f64;
    for batch_size in BTreeSet::from(sizes) {
        let settings = Settings {
            batch_size,
            num_workers: 1,
            prefetch_depth: 4,
            pin_memory: true,
            ..Settings::default()
        };
        let copied = drain(&mut in_memory(fields, settings)?, time / 2, |batch| {
            drop(batch.to_device(device));
            loader::cuda::synchronize();
        })?;
        best = best.max(copied.samples_per_s());
    }
    Ok(ceiling(Part::HostToDevice, best, "page-locked batches, one by one".to_owned()))
}

/// What the consumer takes, which depends on the batch size.
fn consumer(sweep: &SweepConfig) -> Ceiling {
    let how = match sweep.consumer.step_s() {
        Some(step_s) => {
            let sizes: BTreeSet<usize> = sweep.batch_size.iter().copied().collect();
            let rates = sizes.into_iter().map(|size| {
                format!("{} samples/s at batch size {size}", whole(size as f64 / step_s))
            });
            format!("{}: {}", sweep.consumer, rates.collect::<Vec<_>>().join(", "))
        }
        None if sweep.consumer.is_some() => "not known before it runs".to_owned(),
        None => "there is no consumer".to_owned(),
    };
    Ceiling { part: Part::Consumer, samples_per_s: None, how }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::cell;
    use super::*;

    fn work(samples_per_s: f64) -> Vec<Ceiling> {
        vec![ceiling(Part::Work, samples_per_s, String::new())]
    }

    #[test]
    fn a_consumer_is_a_ceiling_that_depends_on_the_batch_size() {
        let of = |batch_size, consumer| {
            let cell = Cell { batch_size, num_workers: 1, prefetch_depth: 1 };
            of(cell, &work(1500.0), &consumer)
        };
        assert_eq!(of(32, Consumer::None), Some((Part::Work, 1500.0)));
        assert_eq!(of(32, Consumer::StepMs(40.0)), Some((Part::Consumer, 800.0)));
        assert_eq!(of(64, Consumer::StepMs(40.0)), Some((Part::Work, 1500.0)));
    }

    #[test]
    fn that_a_ceiling_was_too_low_is_said() {
        let mut cells = [cell(1, 1, 100.0), cell(2, 1, 200.0)];
        cells[0].ceiling_share = Some(0.6);
        // Within what runs differ by: 195 to 205.
        cells[1].ceiling_share = Some(1.02);
        assert_eq!(exceeded(&cells), None);
        cells[1].ceiling_share = Some(1.2);
        assert!(exceeded(&cells).unwrap().starts_with("1 of 2 settings"));
    }
}
