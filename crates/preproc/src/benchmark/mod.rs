//! How fast a transform is, at each batch size, and what could be done about it.
//!
//! A [`PreprocessingProfiler`] measures any [`Transform`] of tensors or images:
//! [`profile`](PreprocessingProfiler::profile) one sample,
//! [`profile_batches`](PreprocessingProfiler::profile_batches) batches `[B, ..]` of a tensor, and
//! [`profile_samples`](PreprocessingProfiler::profile_samples) samples one after the other, as a
//! loader's worker takes images. Each gives a [`PreprocessingProfile`]; [`Findings`] say what
//! the rows of one transform mean. What cannot be measured is a row with a [`Failure`], and the
//! others go on.
//!
//! **A kept result is not a fast transform.** With
//! [`enable_caching`](PreprocessingProfiler::enable_caching) the calls are repeated through a
//! [`ShapeCache`] that returns the result kept for the shape, which is
//! wrong for other data of that shape. What a hit and a miss take is told apart, in
//! [`CacheUse`], and neither is part of [`Measured::execution`].

mod cached;
mod clock;
mod copy_speed;
mod failure;
mod findings;
mod fit;
pub mod image;
mod measure;
mod profile;
mod sample;
mod scaling;

use profiler::gpu::Gpus;
use profiler::machine;
use tch::Tensor;

use self::clock::Clock;
use self::copy_speed::CopySpeed;
use self::measure::{Batches, Calls, common_shape};
use crate::Transform;
use crate::cache::{CACHE_BYTES, CACHE_SIZE, CacheStats, ShapeCache};
use crate::transform::Scratch;

pub use self::failure::Failure;
pub use self::findings::{Bound, Findings, MEMORY_BOUND, seconds};
pub use self::fit::{BatchFit, BestBatch, PAYS};
pub use self::profile::{
    CacheUse, CpuUse, ExecutionTime, Measured, MemoryUse, Outcome, PreprocessingProfile, Throughput,
};
pub use self::sample::Sample;
pub use self::scaling::Scaling;

/// Calls of [`PreprocessingProfiler::profile`] that are usual.
pub const ITERATIONS: usize = 10;
/// Calls at each batch size.
pub const BATCH_ITERATIONS: usize = 5;

/// Measures transforms, on the calling thread.
///
/// # Example
///
/// ```
/// use preproc::benchmark::{Findings, PreprocessingProfiler};
/// use preproc::transform::tensor;
/// use tch::{Device, Kind, Tensor};
///
/// let scale = tensor::from_fn("scale", |x: &Tensor| {
///     Ok(x.f_to_kind(Kind::Float)?.f_div_scalar(255)?)
/// });
/// let sample = Tensor::randint(256, [3, 32, 32], (Kind::Uint8, Device::Cpu));
/// let mut profiler = PreprocessingProfiler::new();
/// let profile = profiler.profile(&scale, &sample, 10);
/// let measured = profile.measured().ok_or("not measured")?;
/// assert!(measured.execution.median_s > 0.0 && measured.execution.raw_s.len() == 10);
///
/// let rows = profiler.profile_batches(&scale, &sample, &[1, 8, 32]);
/// assert_eq!(rows[1].name, "scale_batch_8");
/// let findings = Findings::of(&rows);
/// assert!(findings.best.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PreprocessingProfiler {
    seed: u64,
    /// Where results are cached.
    results: Option<cached::Results>,
    memory_limit: Option<u64>,
    clock: Clock,
    copy_speed: CopySpeed,
    gpus: Option<Gpus>,
}

impl Default for PreprocessingProfiler {
    fn default() -> Self {
        Self::new()
    }
}

impl PreprocessingProfiler {
    /// A profiler without a cache. Measures the clock, which takes some microseconds, and looks for
    /// GPUs.
    pub fn new() -> Self {
        Self {
            seed: 0,
            results: None,
            memory_limit: None,
            clock: Clock::wall(),
            copy_speed: CopySpeed::default(),
            gpus: Gpus::open().ok(),
        }
    }

    /// Measures each transform again through a cache of up to `cache_size` results, 100 if `None`:
    /// see [`CacheUse`].
    #[must_use]
    pub fn enable_caching(self, cache_size: Option<usize>) -> Self {
        let size = cache_size.unwrap_or(CACHE_SIZE);
        Self { results: Some(ShapeCache::new(size, CACHE_BYTES)), ..self }
    }

    /// What random transforms draw from [default: 0].
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Takes the calling thread's CPU time for the time of a call, so that other programs on the
    /// machine do not count. It knows nothing of what a transform waits for, or has other threads or
    /// a GPU do [default: the time that passes].
    #[must_use]
    pub fn thread_cpu_time(self) -> Self {
        Self { clock: Clock::thread_cpu(), ..self }
    }

    /// Bytes that a batch may take [default: what the machine and the control groups leave at that
    /// moment].
    #[must_use]
    pub fn memory_limit(self, bytes: u64) -> Self {
        Self { memory_limit: Some(bytes), ..self }
    }

    /// What the cache holds, and how often it was asked; `None` without a cache.
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.results.as_ref().map(ShapeCache::stats)
    }

    /// Bytes a second, read and written, at which one thread copies memory that lies in no cache.
    pub fn copy_bytes_per_s(&mut self) -> f64 {
        self.copy_speed.memory_bytes_per_s()
    }

    /// Calls `transform` `iterations` times (usually [`ITERATIONS`]) with `sample`, after some calls
    /// for warming up. Each call gets a fresh copy and draws anew.
    pub fn profile<S: Sample>(
        &mut self,
        transform: &dyn Transform<S>,
        sample: &S,
        iterations: usize,
    ) -> PreprocessingProfile {
        let batches = Batches {
            samples: std::slice::from_ref(sample),
            batch_size: 1,
            calls: 1,
            iterations: iterations.max(1),
        };
        let name = transform.name().to_owned();
        self.row(name, transform, &batches)
    }

    /// Calls `transform` [`BATCH_ITERATIONS`] times with a batch of each size: `sample`, such as
    /// `[C, H, W]`, becomes `[B, C, H, W]` of distinct samples. A size that cannot be measured, or
    /// whose batch would not fit in memory, is a row that says why.
    pub fn profile_batches(
        &mut self,
        transform: &dyn Transform<Tensor>,
        sample: &Tensor,
        batch_sizes: &[usize],
    ) -> Vec<PreprocessingProfile> {
        // What a batch comes to is known from one sample; if that fails, so will the batches.
        let mut calls = self.calls(transform);
        let one = sample::batch_of(sample, 1).map_err(Failure::from);
        let output = one.and_then(|one| calls.call(&one, 0, 0)).map(|call| call.output.bytes());
        let sample_bytes = 2 * (Sample::bytes(sample) + output.unwrap_or(Sample::bytes(sample)));
        let row = |size: &usize| self.batch_row(transform, sample, *size, sample_bytes);
        batch_sizes.iter().map(row).collect()
    }

    fn batch_row(
        &mut self,
        transform: &dyn Transform<Tensor>,
        sample: &Tensor,
        batch_size: usize,
        sample_bytes: u64,
    ) -> PreprocessingProfile {
        let name = batch_name(transform.name(), batch_size);
        let shape = std::iter::once(batch_size as i64).chain(sample.size()).collect();
        let failed = |failure| PreprocessingProfile {
            name: name.clone(),
            transform: transform.name().to_owned(),
            batch_size,
            shape,
            dtype: sample.kind(),
            device: sample.device(),
            outcome: Outcome::Failed { failure },
        };
        if batch_size == 0 {
            return failed(Failure::EmptyBatch);
        }
        if sample::elements(&sample.size()) == 0 {
            return failed(Failure::NoElements { shape: sample.size() });
        }
        if let Err(failure) = self.room_for(batch_size as u64, sample_bytes) {
            return failed(failure);
        }
        match sample::batch_of(sample, batch_size) {
            Err(error) => failed(error.into()),
            Ok(batch) => {
                let samples = std::slice::from_ref(&batch);
                let iterations = BATCH_ITERATIONS;
                let batches = Batches { samples, batch_size, calls: 1, iterations };
                self.row(name, transform, &batches)
            }
        }
    }

    /// Calls `transform` with `samples`, one after the other as a loader's worker does: a batch is
    /// as many *distinct* samples, and its time is the sum of theirs. All batch sizes are measured
    /// on the same samples, at least [`BATCH_ITERATIONS`] batches of each, so that what differs is
    /// not the data.
    pub fn profile_samples<S: Sample>(
        &mut self,
        transform: &dyn Transform<S>,
        samples: &[S],
        batch_sizes: &[usize],
    ) -> Vec<PreprocessingProfile> {
        let row = |&batch_size: &usize| {
            let iterations = samples.len().div_ceil(batch_size.max(1)).max(BATCH_ITERATIONS);
            let batches = Batches { samples, batch_size, calls: batch_size, iterations };
            self.row(batch_name(transform.name(), batch_size), transform, &batches)
        };
        batch_sizes.iter().map(row).collect()
    }

    /// What `transform` makes of `sample`, which is number `index` of the data: one call, not
    /// measured.
    ///
    /// # Errors
    /// If it fails or panics.
    pub fn apply<S: Sample>(
        &self,
        transform: &dyn Transform<S>,
        sample: &S,
        index: usize,
    ) -> Result<S, Failure> {
        Ok(self.calls(transform).call(sample, index, 0)?.output)
    }

    /// One thread against `threads`: for images threads that each transform samples of their own,
    /// for tensors libtorch's own threads, whose number is set back afterwards.
    ///
    /// # Errors
    /// If the transform fails.
    pub fn scaling<S: Sample>(
        &self,
        transform: &dyn Transform<S>,
        samples: &[S],
        threads: usize,
    ) -> Result<Scaling, Failure> {
        if samples.is_empty() {
            return Err(Failure::EmptyBatch);
        }
        let rate = |threads| scaling::rate(transform, samples, threads, self.clock, self.seed);
        let (one_samples_per_s, all_samples_per_s) = if S::LIBTORCH_THREADS {
            let on = |threads| {
                let _set = scaling::LibtorchThreads::set(threads);
                rate(1)
            };
            (on(1)?, on(i32::try_from(threads).unwrap_or(i32::MAX))?)
        } else {
            (rate(1)?, rate(threads)?)
        };
        Ok(Scaling { threads, one_samples_per_s, all_samples_per_s })
    }

    fn calls<'a, S: Sample>(&self, transform: &'a dyn Transform<S>) -> Calls<'a, S> {
        Calls { transform, clock: self.clock, seed: self.seed, scratch: Scratch::default() }
    }

    fn row<S: Sample>(
        &mut self,
        name: String,
        transform: &dyn Transform<S>,
        batches: &Batches<'_, S>,
    ) -> PreprocessingProfile {
        let samples = batches.samples;
        let mut shape = common_shape(samples.iter().map(Sample::shape));
        if batches.calls > 1 || batches.samples.len() > 1 {
            shape.insert(0, batches.batch_size as i64);
        }
        let outcome = self.measured(transform, batches);
        PreprocessingProfile {
            name,
            transform: transform.name().to_owned(),
            batch_size: batches.batch_size,
            shape,
            dtype: samples.first().map_or(tch::Kind::Uint8, Sample::dtype),
            device: samples.first().map_or(tch::Device::Cpu, Sample::device),
            outcome: match outcome {
                Ok(measured) => Outcome::Measured(Box::new(measured)),
                Err(failure) => Outcome::Failed { failure },
            },
        }
    }

    fn measured<S: Sample>(
        &mut self,
        transform: &dyn Transform<S>,
        batches: &Batches<'_, S>,
    ) -> Result<Measured, Failure> {
        let Batches { samples, batch_size, calls: length, .. } = *batches;
        if batch_size == 0 {
            return Err(Failure::EmptyBatch);
        }
        if samples.len() < length {
            return Err(Failure::FewSamples { samples: samples.len(), batch_size });
        }
        for sample in samples {
            if sample::elements(&sample.shape()) == 0 {
                return Err(Failure::NoElements { shape: sample.shape() });
            }
            if sample.has_nan()? {
                return Err(Failure::NanInput);
            }
        }
        let mut calls = self.calls(transform);
        let copy_s = |bytes| self.copy_speed.seconds(bytes);
        let mut measured = measure::measure(&mut calls, batches, self.gpus.as_ref(), copy_s)?;
        if let Some(results) = &self.results {
            measured.cache = Some(cached::measure(&mut calls, batches, results)?);
        }
        measured.bottlenecks = findings::bottlenecks(transform.name(), &measured);
        Ok(measured)
    }

    /// # Errors
    /// [`Failure::DoesNotFit`] if `batch_size` times `sample_bytes` are more than may be taken.
    fn room_for(&self, batch_size: u64, sample_bytes: u64) -> Result<(), Failure> {
        let needed_bytes = batch_size.saturating_mul(sample_bytes);
        let free = machine::available_memory();
        let available_bytes = self.memory_limit.map_or(free, |limit| limit.min(free));
        if needed_bytes > available_bytes {
            return Err(Failure::DoesNotFit { needed_bytes, available_bytes });
        }
        Ok(())
    }
}

fn batch_name(transform: &str, batch_size: usize) -> String {
    format!("{transform}_batch_{batch_size}")
}
