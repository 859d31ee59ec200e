//! What is known of one transform at one batch size.

use profiler::bottleneck::Bottleneck;
use profiler::statistics::{mean, quantile, sorted, standard_deviation};
use serde::{Serialize, Serializer};

use super::Failure;

/// One row of a benchmark: a transform at a batch size, measured or not.
#[derive(Debug, Serialize)]
pub struct PreprocessingProfile {
    /// The transform, or `{transform}_batch_{B}`.
    pub name: String,
    /// The transform.
    pub transform: String,
    /// Samples in a call.
    pub batch_size: usize,
    /// Shape of the input; -1 where the samples of a batch differ.
    pub shape: Vec<i64>,
    /// Type of the input's elements.
    #[serde(serialize_with = "as_debug")]
    pub dtype: tch::Kind,
    /// Where the input lies.
    #[serde(serialize_with = "as_debug")]
    pub device: tch::Device,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl PreprocessingProfile {
    /// The figures, if there are any.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured),
            Outcome::Failed { .. } => None,
        }
    }

    /// Why there are none.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Measured(_) => None,
            Outcome::Failed { failure } => Some(failure),
        }
    }
}

/// Figures, or why there are none.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured(Box<Measured>),
    /// It was not, or not to the end.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Time of a call.
    pub execution: ExecutionTime,
    /// What that makes a second.
    pub throughput: Throughput,
    /// Time of a sample: of calls with the same input the median, of calls with different inputs
    /// the mean, over the batch size.
    pub sample_s: f64,
    /// Time in which as many bytes as a call reads and writes can be copied on one thread.
    pub copy_s: f64,
    /// Memory.
    pub memory: MemoryUse,
    /// Bytes that the process holds on GPUs after a call; absent without a GPU.
    pub gpu_memory_bytes: Option<u64>,
    /// Processor.
    pub cpu: CpuUse,
    /// Calls through the cache of results, where that is asked for.
    pub cache: Option<CacheUse>,
    /// Shape of the output; -1 where samples differ.
    pub output_shape: Vec<i64>,
    /// Type of the output's elements.
    #[serde(serialize_with = "as_debug")]
    pub output_dtype: tch::Kind,
    /// What holds it up, worst first.
    pub bottlenecks: Vec<Bottleneck>,
}

impl Measured {
    /// The share of a call's time that copying as many bytes takes: near 1, memory limits, and far
    /// below, the processor's work does.
    pub fn copy_share(&self) -> f64 {
        self.copy_s / self.execution.mean_s
    }
}

/// Time of a call in seconds, the clock's own cost taken off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExecutionTime {
    /// Mean.
    pub mean_s: f64,
    /// Median.
    pub median_s: f64,
    /// 95th percentile, in proportion between the values beside it.
    pub p95_s: f64,
    /// Standard deviation; absent of one call.
    pub standard_deviation_s: Option<f64>,
    /// Each call, in order.
    pub raw_s: Vec<f64>,
}

impl ExecutionTime {
    /// Of `raw_s`; `None` of no call.
    pub fn of(raw_s: Vec<f64>) -> Option<Self> {
        let sorted = sorted(&raw_s);
        Some(Self {
            mean_s: mean(&raw_s)?,
            median_s: quantile(&sorted, 0.5)?,
            p95_s: quantile(&sorted, 0.95)?,
            standard_deviation_s: standard_deviation(&raw_s),
            raw_s,
        })
    }
}

/// Of one thread that calls the transform again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// Calls a second.
    pub calls_per_s: f64,
    /// Samples a second.
    pub samples_per_s: f64,
    /// Bytes of input and output a second.
    pub bytes_per_s: f64,
}

/// Memory of a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MemoryUse {
    /// Bytes of the input.
    pub input_bytes: u64,
    /// Bytes of the output.
    pub output_bytes: u64,
    /// Resident memory of the process after the first call, its output held; `None` where the
    /// system does not tell.
    pub resident_bytes: Option<u64>,
    /// By how much the first call, its output held, made the process larger: 0 where memory that
    /// was free already sufficed.
    pub grown_bytes: Option<u64>,
}

/// Processor time of a call.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CpuUse {
    /// CPU time of all threads of the process in a call.
    pub cpu_s: f64,
    /// In percent of the cores that the process may use, 0 to 100.
    pub percent: f64,
}

/// Calls through the cache: misses run the transform and keep the result, hits find it. A hit
/// tells what finding costs, not how fast the transform is, so the two are never mixed, and
/// [`Measured::execution`] knows neither.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CacheUse {
    /// Calls that found a result.
    pub hits: u64,
    /// Calls that did not.
    pub misses: u64,
    /// Time of a call that found one; absent if none did.
    pub hit: Option<ExecutionTime>,
    /// Time of a call that did not, the transform and keeping its result.
    pub miss: Option<ExecutionTime>,
}

pub(super) fn as_debug<S: Serializer>(
    value: &impl std::fmt::Debug,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}
