//! Calls of a transform, timed and looked at.
//!
//! Nothing but the transform runs in the timed region: the fresh copy that it gets, the look at
//! what it returned, the reading of memory and processor time come before and after.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use profiler::gpu::Gpus;
use profiler::machine::usable_cores;
use profiler::monitor::{process_cpu, rss_bytes};
use profiler::thread::panic_message;
use tch::{Cuda, Device, Kind};

use super::clock::Clock;
use super::{CpuUse, ExecutionTime, Failure, Measured, MemoryUse, Sample, Throughput};
use crate::transform::Scratch;
use crate::{SampleRng, Transform};

/// Calls of `transform` in one thread.
pub(super) struct Calls<'a, S> {
    pub(super) transform: &'a dyn Transform<S>,
    pub(super) clock: Clock,
    pub(super) seed: u64,
    pub(super) scratch: Scratch,
}

/// A call that went well.
pub(super) struct Call<S> {
    pub(super) output: S,
    pub(super) took_s: f64,
    cpu_s: f64,
    /// Between the two readings of CPU time.
    wall_s: f64,
}

/// Epochs from here on are warm-up: what is drawn there is drawn nowhere else.
const WARM_UP: u64 = 1 << 32;
/// Warm-up ends after so many seconds, if at least two calls were made, or so many calls.
const WARM_UP_S: f64 = 0.02;
const WARM_UP_CALLS: u64 = 50;

impl<S: Sample> Calls<'_, S> {
    /// Calls it with a fresh copy of `sample`, which is number `index` of the data, with the
    /// randomness of `epoch`.
    pub(super) fn call(
        &mut self,
        sample: &S,
        index: usize,
        epoch: u64,
    ) -> Result<Call<S>, Failure> {
        let mut value = sample.fresh()?;
        let mut rng = SampleRng::new(self.seed, epoch, index as u64);
        let device = sample.device();
        synchronize(device);
        let (wall, cpu) = (Instant::now(), process_cpu());
        let (result, took_s) = self.clock.time(|| {
            let transform = || self.transform.apply(&mut value, &mut rng, &mut self.scratch);
            let result = catch_unwind(AssertUnwindSafe(transform));
            synchronize(device);
            result
        });
        let cpu_s = (process_cpu() - cpu).as_secs_f64();
        let wall_s = wall.elapsed().as_secs_f64();
        match result {
            Ok(Ok(())) => Ok(Call { output: value, took_s, cpu_s, wall_s }),
            Ok(Err(error)) => Err(Failure::Transform(error)),
            Err(panic) => Err(Failure::Panicked { message: panic_message(&*panic).to_owned() }),
        }
    }
}

/// Waits for what a GPU still has to do; nothing for a CPU, which has done it.
fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// What an input became, to compare later outputs with.
#[derive(Clone, PartialEq)]
struct Outline {
    shape: Vec<i64>,
    dtype: Kind,
}

impl Outline {
    fn of<S: Sample>(output: &S) -> Self {
        Self { shape: output.shape(), dtype: output.dtype() }
    }

    fn check(&self, first: &Self) -> Result<(), Failure> {
        if self.shape != first.shape {
            let (first, then) = (first.shape.clone(), self.shape.clone());
            return Err(Failure::OtherShape { first, then });
        }
        if self.dtype != first.dtype {
            return Err(Failure::OtherType { first: first.dtype, then: self.dtype });
        }
        Ok(())
    }
}

/// What `samples` have in common; a side is -1 where they differ.
pub(super) fn common_shape(shapes: impl Iterator<Item = Vec<i64>>) -> Vec<i64> {
    shapes
        .reduce(|common, shape| match common.len() == shape.len() {
            true => common.iter().zip(&shape).map(|(a, b)| if a == b { *a } else { -1 }).collect(),
            false => vec![-1],
        })
        .unwrap_or_default()
}

/// Calls of as many samples as a batch has; one if a sample *is* a batch.
pub(super) struct Batches<'a, S> {
    pub(super) samples: &'a [S],
    /// Samples, as the user counts them, in a call or in a series of calls that count as one.
    pub(super) batch_size: usize,
    /// Calls that count as one.
    pub(super) calls: usize,
    pub(super) iterations: usize,
}

/// Runs `iterations` batches, after some for warming up. `copy_s` says how long copying some bytes
/// takes.
///
/// # Errors
/// The first failure.
pub(super) fn measure<S: Sample>(
    calls: &mut Calls<'_, S>,
    batches: &Batches<'_, S>,
    gpus: Option<&Gpus>,
    copy_s: impl FnOnce(u64) -> f64,
) -> Result<Measured, Failure> {
    let Batches { samples, calls: length, .. } = *batches;
    let place = |batch: usize, call: usize| (batch * length + call) % samples.len();
    let mut outlines = vec![None; samples.len()];
    let mut look = |index: usize, output: &S| {
        let outline = Outline::of(output);
        outline.check(outlines[index].get_or_insert_with(|| outline.clone()))?;
        if output.has_nan()? { Err(Failure::Nan) } else { Ok(()) }
    };

    let before = rss_bytes();
    let first = calls.call(&samples[0], 0, WARM_UP)?;
    let resident_bytes = rss_bytes();
    let gpu_memory_bytes = gpus.and_then(|gpus| gpus.process_bytes(std::process::id()));
    look(0, &first.output)?;
    drop(first);
    let began = Instant::now();
    for call in 1..WARM_UP_CALLS {
        let index = call as usize % samples.len();
        look(index, &calls.call(&samples[index], index, WARM_UP + call)?.output)?;
        if began.elapsed().as_secs_f64() > WARM_UP_S {
            break;
        }
    }

    let mut raw_s = Vec::with_capacity(batches.iterations);
    let (mut cpu_s, mut wall_s) = (0.0, 0.0);
    let (mut input_bytes, mut output_bytes) = (0, 0);
    for iteration in 0..batches.iterations {
        let mut batch_s = 0.0;
        for call in 0..length {
            let index = place(iteration, call);
            let done = calls.call(&samples[index], index, iteration as u64)?;
            batch_s += done.took_s;
            cpu_s += done.cpu_s;
            wall_s += done.wall_s;
            look(index, &done.output)?;
            input_bytes += samples[index].bytes();
            output_bytes += done.output.bytes();
        }
        raw_s.push(batch_s);
    }

    let number = batches.iterations as u64;
    let (input_bytes, output_bytes) = (input_bytes / number, output_bytes / number);
    let bytes = input_bytes + output_bytes;
    let known = || outlines.iter().flatten();
    let (output_dtype, output_shape) = (
        known().next().map_or(samples[0].dtype(), |outline| outline.dtype),
        common_shape(known().map(|outline| outline.shape.clone())),
    );
    let execution = ExecutionTime::of(raw_s).ok_or(Failure::EmptyBatch)?;
    let same_input = samples.len() <= length;
    let batch_s = if same_input { execution.median_s } else { execution.mean_s };
    let calls_per_s = 1.0 / execution.mean_s;
    Ok(Measured {
        throughput: Throughput {
            calls_per_s,
            samples_per_s: calls_per_s * batches.batch_size as f64,
            bytes_per_s: calls_per_s * bytes as f64,
        },
        sample_s: batch_s / batches.batch_size as f64,
        // One call after the other: what they copy need not be in a cache at once.
        copy_s: length as f64 * copy_s(bytes / length as u64),
        memory: MemoryUse {
            input_bytes,
            output_bytes,
            resident_bytes,
            grown_bytes: resident_bytes
                .zip(before)
                .map(|(after, before)| after.saturating_sub(before)),
        },
        gpu_memory_bytes,
        cpu: CpuUse {
            cpu_s: cpu_s / number as f64,
            percent: (100.0 * cpu_s / (wall_s * usable_cores())).min(100.0),
        },
        cache: None,
        output_shape,
        output_dtype,
        bottlenecks: Vec::new(),
        execution,
    })
}
