//! What the parts of the data's way give on their own: no setting can be faster than the slowest.
//!
//! Measured at the start of a sweep in a process of its own ([`measure`]), each in about
//! half the time of a trial's measurement. What is computed is measured on one thread with the machine to
//! itself and counted for all usable cores, so that it is what no number of workers exceeds; what
//! waits, as for a disk, is no ceiling, since more workers wait for more at once.

use std::cmp::Ordering::Equal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use loader::datasets::Array;
use loader::error::Report;
use loader::sampler::WithReplacement;
use loader::{Arrays, Batch, Field, Loader, LoaderBuilder, LoaderError, Settings, Stats};
use preproc::SampleRng;
use profiler::machine;
use profiler::monitor::process_cpu;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::memory::MemoryModel;
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

/// The lowest of them.
pub fn lowest(ceilings: &[Ceiling]) -> Option<&Ceiling> {
    let measured = ceilings.iter().filter(|ceiling| ceiling.samples_per_s.is_some());
    measured.min_by(|a, b| a.samples_per_s.partial_cmp(&b.samples_per_s).unwrap_or(Equal))
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
    let mut parts = vec![read(config, time)?];
    let (computed, worker_samples_per_s) = computed(config, data.builder, time)?;
    parts.extend(computed);
    let largest = config.sweep.batch_size.iter().max().copied().unwrap_or(1);
    parts.push(memory(&fields, largest, time)?);
    parts.push(host_to_device(&fields, largest, time)?);
    let duration_s = start.elapsed().as_secs_f64();
    let worker_samples_per_s = Some(worker_samples_per_s);
    Ok(Ceilings { parts, worker_samples_per_s, memory: model, duration_s })
}

fn ceiling(part: Part, samples_per_s: f64, how: String) -> Ceiling {
    Ceiling { part, samples_per_s: Some(samples_per_s).filter(|rate| rate.is_finite()), how }
}

fn absent(part: Part, why: &str) -> Ceiling {
    Ceiling { part, samples_per_s: None, how: why.to_owned() }
}

/// Threads that read at once, for each core: a disk serves many requests together.
const READERS_PER_CORE: usize = 4;
const MOST_READERS: usize = 64;

/// Whole files, in random order, by many threads.
fn read(config: &Config, time: Duration) -> Result<Ceiling, TunerError> {
    let Some(files) = ImageFiles::open(config)? else {
        return Ok(absent(Part::Read, "samples are not in files of their own"));
    };
    let mut order: Vec<usize> = (0..files.number).collect();
    order.shuffle(&mut SampleRng::of_order(config.sweep.seed, 0));
    let threads = (READERS_PER_CORE * machine::usable_cores() as usize).clamp(1, MOST_READERS);
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let bytes = AtomicUsize::new(0);
    let work = || {
        while start.elapsed() < time {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(index) = order.get(place % order.len().max(1)) else { break };
            // One that cannot be read is found by the trials.
            if let Ok(file) = files.file(*index) {
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
    let (files, wall_s) = (next.into_inner(), start.elapsed().as_secs_f64());
    let megabytes_per_s = bytes.into_inner() as f64 / wall_s / f64::from(1 << 20);
    let how = format!("{files} whole files by {threads} threads, {megabytes_per_s:.0} MiB/s");
    Ok(ceiling(Part::Read, files as f64 / wall_s, how))
}

/// Samples of a batch that one thread loads: few, so that slow ones do not take long.
pub(super) const FEW: usize = 8;

/// Decoding, transforms and all work, from one thread that loads without workers; and its samples a
/// second.
fn computed(
    config: &Config,
    builder: LoaderBuilder,
    time: Duration,
) -> Result<([Ceiling; 3], f64), TunerError> {
    let largest = config.sweep.batch_size.iter().max().copied().unwrap_or(1);
    let settings = Settings {
        batch_size: FEW.min(largest),
        num_workers: 0,
        drop_last: false,
        ..config.loader.clone()
    };
    let mut loader = builder.settings(settings).build()?;
    let drained = drain(&mut loader, time, drop)?;
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

/// A loader over samples of these fields that lie in memory.
fn in_memory(
    fields: &[Field],
    largest: usize,
    num_workers: usize,
    pin_memory: bool,
) -> Result<Loader, TunerError> {
    let sample: usize = fields.iter().map(Field::bytes).sum();
    let batch_size = (COPIED_BYTES / sample.max(1)).clamp(1, largest);
    let mut arrays = Vec::new();
    for field in fields {
        let sides = [&[batch_size], &field.shape[..]].concat();
        let sides: Vec<i64> = sides.into_iter().map(|side| side as i64).collect();
        let zeros = Tensor::f_zeros(&sides, (field.dtype.kind(), Device::Cpu))?;
        let array = Array::from_tensor(&zeros)
            .map_err(|error| TunerError::Bug(format!("zeros of {field:?}: {}", Report(&error))))?;
        arrays.push((field.name.clone(), array));
    }
    let settings = Settings {
        batch_size,
        num_workers,
        prefetch_depth: 4,
        pin_memory,
        shuffle: false,
        drop_last: true,
        ..Settings::default()
    };
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

/// Batches copied from memory, with and without workers: the better of the two.
fn memory(fields: &[Field], largest: usize, time: Duration) -> Result<Ceiling, TunerError> {
    let cores = (machine::usable_cores() as usize).max(1);
    let mut best = 0.0_f64;
    for num_workers in [0, cores] {
        let mut loader = in_memory(fields, largest, num_workers, false)?;
        best = best.max(drain(&mut loader, time / 2, drop)?.samples_per_s());
    }
    let how = format!("batches of up to {largest}, without workers or with {cores}");
    Ok(ceiling(Part::Memory, best, how))
}

/// Batches copied to the GPU, one after the other.
fn host_to_device(fields: &[Field], largest: usize, time: Duration) -> Result<Ceiling, TunerError> {
    let device = loader::cuda::device();
    if device == Device::Cpu {
        return Ok(absent(Part::HostToDevice, "there is no GPU"));
    }
    let mut loader = in_memory(fields, largest, 1, true)?;
    let copied = drain(&mut loader, time, |batch| {
        drop(batch.to_device(device));
        loader::cuda::synchronize();
    })?;
    Ok(ceiling(
        Part::HostToDevice,
        copied.samples_per_s(),
        "page-locked batches, one by one".to_owned(),
    ))
}
