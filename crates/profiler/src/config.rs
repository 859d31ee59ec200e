//! What to measure, and from where on something is worth a word.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a configuration does not do.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A value is out of range or not a number.
    #[error("`{field}` is {got}, but must be {expected}\nhint: {hint}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// Its value.
        got: f64,
        /// The range.
        expected: &'static str,
        /// What is usual.
        hint: &'static str,
    },
    /// The text is not TOML, has a key that is not known, or a value of the wrong type.
    #[error(
        "the profiler's settings cannot be read: {}\nhint: `sampling_interval = 0.1` is a valid line",
        source.to_string().trim_end()
    )]
    Toml {
        /// Where, and what is expected there.
        source: toml::de::Error,
    },
}

/// How much is recorded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ProfilingLevel {
    /// Time of operations, and memory.
    Basic,
    /// Every tracker, CPU time of operations, pipelines and their queues, bottlenecks and what to
    /// do about them.
    #[default]
    Detailed,
    /// The timeline too: what happened when, on which thread.
    Comprehensive,
    /// As detailed, to be left on for days: a sample a second, and of short operations one call in
    /// 16 is timed.
    Production,
}

impl ProfilingLevel {
    /// Seconds from one sample to the next where nothing else is asked for.
    fn sampling_interval(self) -> f64 {
        if self == Self::Production { 1.0 } else { 0.1 }
    }
}

/// What to measure, and from where on something is worth a word.
///
/// # Example
///
/// ```
/// use profiler::config::{ProfilerConfig, ProfilingLevel};
///
/// let config = ProfilerConfig::from_toml("profiling_level = 'production'\ngpu_threshold = 0.95")?;
/// assert_eq!(config.sampling_interval, 1.0);
///
/// let same = ProfilerConfig::at_level(ProfilingLevel::Production).with_gpu_threshold(0.95);
/// assert_eq!(config, same);
/// # Ok::<(), profiler::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub struct ProfilerConfig {
    /// How much is recorded [default: `detailed`].
    pub profiling_level: ProfilingLevel,
    /// A finding that would save less of the total time is left out, 0 to 1 [default: 0.05].
    pub bottleneck_threshold: f64,
    /// The share of the memory limit that applies, above which use is high, 0 to 1 [default: 0.8].
    pub memory_threshold: f64,
    /// The share of a GPU's memory above which use is high, 0 to 1 [default: 0.9].
    pub gpu_threshold: f64,
    /// Seconds from one sample of the trackers to the next [default: 0.1; at level production 1].
    pub sampling_interval: f64,
    /// Whether the monitor's thread runs [default: true].
    pub enable_real_time_monitoring: bool,
    /// Whether memory is tracked [default: true].
    pub enable_memory_tracking: bool,
    /// Whether GPUs are tracked [default: true].
    pub enable_gpu_tracking: bool,
    /// Whether CPU use is tracked [default: true].
    pub enable_cpu_tracking: bool,
    /// Whether I/O is tracked [default: true].
    pub enable_io_tracking: bool,
}

impl Default for ProfilerConfig {
    fn default() -> Self {
        Self::at_level(ProfilingLevel::default())
    }
}

impl ProfilerConfig {
    /// The defaults at `level`.
    pub fn at_level(level: ProfilingLevel) -> Self {
        Self {
            profiling_level: level,
            bottleneck_threshold: 0.05,
            memory_threshold: 0.8,
            gpu_threshold: 0.9,
            sampling_interval: level.sampling_interval(),
            enable_real_time_monitoring: true,
            enable_memory_tracking: true,
            enable_gpu_tracking: true,
            enable_cpu_tracking: true,
            enable_io_tracking: true,
        }
    }

    /// Reads a TOML text of these keys; each may be left out.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Toml`], also for a key that is not known, and those of
    /// [`validate`](Self::validate).
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let given: Given = toml::from_str(text).map_err(|source| ConfigError::Toml { source })?;
        given.try_into()
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] for the first that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let shares = [
            ("bottleneck_threshold", self.bottleneck_threshold, "0.05 is a twentieth of the time"),
            ("memory_threshold", self.memory_threshold, "0.8 is 80% of the memory limit"),
            ("gpu_threshold", self.gpu_threshold, "0.9 is 90% of a GPU's memory"),
        ];
        for (field, got, hint) in shares {
            if !(0.0..=1.0).contains(&got) {
                return Err(ConfigError::OutOfRange { field, got, expected: "from 0 to 1", hint });
            }
        }
        let got = self.sampling_interval;
        if !(0.001..=3600.0).contains(&got) {
            return Err(ConfigError::OutOfRange {
                field: "sampling_interval",
                got,
                expected: "from 0.001 to 3600",
                hint: "it is in seconds: 0.1 is ten samples a second",
            });
        }
        Ok(())
    }

    /// Sets [`bottleneck_threshold`](Self::bottleneck_threshold).
    pub fn with_bottleneck_threshold(self, share: f64) -> Self {
        Self { bottleneck_threshold: share, ..self }
    }

    /// Sets [`memory_threshold`](Self::memory_threshold).
    pub fn with_memory_threshold(self, share: f64) -> Self {
        Self { memory_threshold: share, ..self }
    }

    /// Sets [`gpu_threshold`](Self::gpu_threshold).
    pub fn with_gpu_threshold(self, share: f64) -> Self {
        Self { gpu_threshold: share, ..self }
    }

    /// Sets [`sampling_interval`](Self::sampling_interval).
    pub fn with_sampling_interval(self, seconds: f64) -> Self {
        Self { sampling_interval: seconds, ..self }
    }

    /// Sets [`enable_real_time_monitoring`](Self::enable_real_time_monitoring).
    pub fn with_real_time_monitoring(self, enable: bool) -> Self {
        Self { enable_real_time_monitoring: enable, ..self }
    }

    /// Sets [`enable_memory_tracking`](Self::enable_memory_tracking).
    pub fn with_memory_tracking(self, enable: bool) -> Self {
        Self { enable_memory_tracking: enable, ..self }
    }

    /// Sets [`enable_gpu_tracking`](Self::enable_gpu_tracking).
    pub fn with_gpu_tracking(self, enable: bool) -> Self {
        Self { enable_gpu_tracking: enable, ..self }
    }

    /// Sets [`enable_cpu_tracking`](Self::enable_cpu_tracking).
    pub fn with_cpu_tracking(self, enable: bool) -> Self {
        Self { enable_cpu_tracking: enable, ..self }
    }

    /// Sets [`enable_io_tracking`](Self::enable_io_tracking).
    pub fn with_io_tracking(self, enable: bool) -> Self {
        Self { enable_io_tracking: enable, ..self }
    }
}

/// A configuration as a file gives it: what it leaves out may depend on the level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    profiling_level: Option<ProfilingLevel>,
    bottleneck_threshold: Option<f64>,
    memory_threshold: Option<f64>,
    gpu_threshold: Option<f64>,
    sampling_interval: Option<f64>,
    enable_real_time_monitoring: Option<bool>,
    enable_memory_tracking: Option<bool>,
    enable_gpu_tracking: Option<bool>,
    enable_cpu_tracking: Option<bool>,
    enable_io_tracking: Option<bool>,
}

impl TryFrom<Given> for ProfilerConfig {
    type Error = ConfigError;

    fn try_from(given: Given) -> Result<Self, ConfigError> {
        let level = given.profiling_level.unwrap_or_default();
        let preset = Self::at_level(level);
        let or = |given: Option<bool>, preset| given.unwrap_or(preset);
        let config = Self {
            profiling_level: level,
            bottleneck_threshold: given.bottleneck_threshold.unwrap_or(preset.bottleneck_threshold),
            memory_threshold: given.memory_threshold.unwrap_or(preset.memory_threshold),
            gpu_threshold: given.gpu_threshold.unwrap_or(preset.gpu_threshold),
            sampling_interval: given.sampling_interval.unwrap_or(preset.sampling_interval),
            enable_real_time_monitoring: or(
                given.enable_real_time_monitoring,
                preset.enable_real_time_monitoring,
            ),
            enable_memory_tracking: or(given.enable_memory_tracking, preset.enable_memory_tracking),
            enable_gpu_tracking: or(given.enable_gpu_tracking, preset.enable_gpu_tracking),
            enable_cpu_tracking: or(given.enable_cpu_tracking, preset.enable_cpu_tracking),
            enable_io_tracking: or(given.enable_io_tracking, preset.enable_io_tracking),
        };
        config.validate()?;
        Ok(config)
    }
}
