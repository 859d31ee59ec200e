//! The configuration: data, loader, sweep. Read once, changed by flags, checked before any work.

mod dataset;

use std::path::Path;

use loader::Settings;
use loader::settings::parse_toml;
use preproc::transform::BatchTransform;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

pub use self::dataset::{
    Cifar10Config, Cifar10StandIn, Cifar10StandInKind, DatasetConfig, DatasetKind, FieldConfig,
    ImageFolderConfig, NpyConfig, OwnConfig, ParquetConfig, SafetensorsConfig, SplitConfig,
    StandIn, StandInKind, SyntheticConfig, TarConfig, TokensConfig,
};

use crate::TunerError;
use crate::consumer::Consumer;
use crate::sweep::cache::Cache;
use crate::sweep::objective::{Objective, Weights};
use crate::sweep::strategy::Strategy;

/// A configuration file such as `configs/imagenet.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What to load.
    pub dataset: DatasetConfig,
    /// What is done to each batch's `images` and `labels`, in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch_transforms: Vec<BatchTransform>,
    /// How, where the sweep does not say otherwise.
    pub loader: Settings,
    /// What to try.
    pub sweep: SweepConfig,
}

/// The `[sweep]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// Batch sizes to try.
    pub batch_size: Vec<usize>,
    /// Worker counts to try.
    pub num_workers: Vec<usize>,
    /// Prefetch depths to try; without workers there is no depth.
    pub prefetch_depth: Vec<usize>,
    /// Processes for each setting, at least, with the strategy `grid`; the others do not use it.
    pub repeats: usize,
    /// Processes for a setting at most: those that could still be the best are repeated until it is
    /// known.
    pub max_repeats: usize,
    /// Pairs of processes, at most, that compare the best setting with the default at the end: 5, and more
    /// only while the interval is wider than 2% to either side; 0 for none.
    pub confirm: usize,
    /// Which settings are run how often.
    pub strategy: Strategy,
    /// What the best setting is chosen for. If not given: `cheapest-that-feeds` with a consumer,
    /// else `documented`.
    pub objective: Option<Objective>,
    /// The weights of the objective `custom`.
    pub weights: Weights,
    /// What stands in for the training loop.
    pub consumer: Consumer,
    /// The state of the page cache before each process.
    pub cache: Cache,
    /// Seconds that the sweep may take, about; the setting up of the first process counts.
    pub time_budget_s: Option<f64>,
    /// Bytes of memory that a process may take, that of `tuner preproc` too; never more than nine tenths of
    /// what the machine or the control group has left, which is the limit where none is given.
    pub memory_limit_bytes: Option<u64>,
    /// Seconds before a measurement, at least.
    pub warmup_s: f64,
    /// Seconds that a measurement takes, at least.
    pub measure_s: f64,
    /// Seconds of a turn: settings are measured in turns with the default, which takes as long again, and
    /// their rates taken at the machine's usual speed; 0 for in one go, as it is. So are settings with a cold
    /// page cache or a model as consumer, and where memory does not hold both.
    pub turn_s: f64,
    /// Seconds after which a trial is ended and recorded as failed.
    pub timeout_s: f64,
    /// What the order of the trials is drawn from.
    pub seed: u64,
}

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            batch_size: vec![32, 64, 128],
            num_workers: vec![0, 1, 2, 4],
            prefetch_depth: vec![1, 2, 4],
            repeats: 2,
            max_repeats: 6,
            confirm: 5,
            strategy: Strategy::default(),
            objective: None,
            weights: Weights::default(),
            consumer: Consumer::default(),
            cache: Cache::default(),
            time_budget_s: None,
            memory_limit_bytes: None,
            warmup_s: 0.25,
            measure_s: 2.0,
            turn_s: 0.05,
            timeout_s: 120.0,
            seed: 0,
        }
    }
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read or is not valid TOML; if a key is unknown, with its line and column.
    pub fn read(path: &Path) -> Result<Self, TunerError> {
        let text = std::fs::read_to_string(path).map_err(TunerError::file("read", path))?;
        // Which table `[dataset]` is decides its kind. Each is then read as itself, since errors in
        // an enum of tables would not know their lines.
        let Outline { dataset: KindOnly { kind }, .. } = parse_toml(path, &text)?;
        match kind {
            DatasetKind::ImageFolder => read_as(path, &text, DatasetConfig::ImageFolder),
            DatasetKind::Tar => read_as(path, &text, DatasetConfig::Tar),
            DatasetKind::Parquet => read_as(path, &text, DatasetConfig::Parquet),
            DatasetKind::Cifar10 => read_as(path, &text, DatasetConfig::Cifar10),
            DatasetKind::Cifar100 => read_as(path, &text, DatasetConfig::Cifar100),
            DatasetKind::Mnist => read_as(path, &text, DatasetConfig::Mnist),
            DatasetKind::Npy => read_as(path, &text, DatasetConfig::Npy),
            DatasetKind::Safetensors => read_as(path, &text, DatasetConfig::Safetensors),
            DatasetKind::Tokens => read_as(path, &text, DatasetConfig::Tokens),
            DatasetKind::Synthetic => read_as(path, &text, DatasetConfig::Synthetic),
        }
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// If a value is out of range or the transforms make no sense.
    pub fn validate(&self) -> Result<(), TunerError> {
        self.dataset.validate()?;
        for transform in &self.batch_transforms {
            transform.validate()?;
        }
        self.sweep.validate()
    }
}

/// A configuration of which nothing but the kind of data is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    dataset: KindOnly,
    #[serde(default, rename = "batch_transforms")]
    _batch_transforms: IgnoredAny,
    #[serde(default, rename = "loader")]
    _loader: IgnoredAny,
    #[serde(default, rename = "sweep")]
    _sweep: IgnoredAny,
}

#[derive(Deserialize)]
struct KindOnly {
    kind: DatasetKind,
}

/// A configuration whose `[dataset]` table is a `T`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigOf<T> {
    dataset: T,
    #[serde(default)]
    batch_transforms: Vec<BatchTransform>,
    #[serde(default)]
    loader: Settings,
    #[serde(default)]
    sweep: SweepConfig,
}

fn read_as<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    dataset: fn(T) -> DatasetConfig,
) -> Result<Config, TunerError> {
    let ConfigOf { dataset: table, batch_transforms, loader, sweep } = parse_toml(path, text)?;
    Ok(Config { dataset: dataset(table), batch_transforms, loader, sweep })
}

impl SweepConfig {
    /// What the best setting is chosen for.
    pub fn objective(&self) -> Objective {
        self.objective.unwrap_or(match self.consumer.is_some() {
            true => Objective::CheapestThatFeeds,
            false => Objective::Documented,
        })
    }

    /// Whether settings are measured in turn with the default: not where one would find in the page cache
    /// what the other has read, and not where a model is trained, whose memory could not be told apart.
    pub fn in_turns(&self) -> bool {
        let training = matches!(self.consumer, Consumer::Model(_));
        self.turn_s > 0.0 && self.cache != Cache::Cold && !training
    }

    /// The weights of the objective `custom`, where that is asked for.
    pub fn score_weights(&self) -> Option<&Weights> {
        (self.objective() == Objective::Custom).then_some(&self.weights)
    }

    fn validate(&self) -> Result<(), TunerError> {
        let list = |key, values: &[usize], least: usize, most: usize, expected| {
            let good = !values.is_empty() && values.iter().all(|v| (least..=most).contains(v));
            check(good, key, format!("{values:?}"), expected)
        };
        list(
            "sweep.batch_size",
            &self.batch_size,
            1,
            1 << 24,
            "a list of numbers from 1 to 16777216",
        )?;
        list("sweep.num_workers", &self.num_workers, 0, 1024, "a list of numbers from 0 to 1024")?;
        list(
            "sweep.prefetch_depth",
            &self.prefetch_depth,
            1,
            1024,
            "a list of numbers from 1 to 1024",
        )?;
        let number = |key, value: usize, least: usize, expected| {
            check((least..=1000).contains(&value), key, value.to_string(), expected)
        };
        number("sweep.repeats", self.repeats, 1, "1 to 1000")?;
        let most = (self.repeats..=1000).contains(&self.max_repeats);
        let most_expected = "at least `sweep.repeats`, at most 1000";
        check(most, "sweep.max_repeats", self.max_repeats.to_string(), most_expected)?;
        number("sweep.confirm", self.confirm, 0, "0 to 1000")?;
        self.consumer.validate()?;
        let feeds = self.objective() != Objective::CheapestThatFeeds || self.consumer.is_some();
        let with = "another objective, or given with a `sweep.consumer` to feed";
        check(feeds, "sweep.objective", "cheapest-that-feeds".to_owned(), with)?;
        let weights = self.weights.are_finite();
        check(weights, "sweep.weights", format!("{:?}", self.weights), "finite numbers")?;
        let seconds = |key, value: f64, least: f64, expected| {
            let good = (least..=86_400.0).contains(&value);
            check(good, key, value.to_string(), expected)
        };
        seconds("sweep.warmup_s", self.warmup_s, 0.0, "seconds, from 0 to 86400")?;
        seconds("sweep.measure_s", self.measure_s, 0.01, "seconds, from 0.01 to 86400")?;
        seconds("sweep.turn_s", self.turn_s, 0.0, "seconds, from 0 to 86400")?;
        if let Some(budget_s) = self.time_budget_s {
            seconds("sweep.time_budget_s", budget_s, 1.0, "seconds, from 1 to 86400")?;
        }
        seconds("sweep.timeout_s", self.timeout_s, 1.0, "seconds, from 1 to 86400")?;
        // The ceilings take four times as long as a measurement, and a setting in turns twice.
        let enough = self.timeout_s >= 5.0 * self.measure_s;
        let least = "at least five times `sweep.measure_s`";
        check(enough, "sweep.timeout_s", self.timeout_s.to_string(), least)
    }
}

pub(crate) fn check(
    good: bool,
    key: &'static str,
    got: String,
    expected: &'static str,
) -> Result<(), TunerError> {
    if good { Ok(()) } else { Err(TunerError::Value { key, got, expected }) }
}
