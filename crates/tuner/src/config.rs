//! The configuration: data, loader, sweep. Read once, changed by flags, checked before any work.

use std::path::{Path, PathBuf};

use loader::Settings;
use loader::settings::parse_toml;
use preproc::{Compose, DecodeOptions, Transform};
use serde::{Deserialize, Serialize};

use crate::TunerError;

/// A configuration file such as `configs/imagenet.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to load.
    pub dataset: DatasetConfig,
    /// How, where the sweep does not say otherwise.
    #[serde(default)]
    pub loader: Settings,
    /// What to try.
    #[serde(default)]
    pub sweep: SweepConfig,
}

/// The `[dataset]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// How the data lies on disk.
    pub kind: DatasetKind,
    /// The folder that holds it, from where the program is run.
    pub root: PathBuf,
    /// What to make there if it is missing.
    pub stand_in: Option<StandIn>,
    /// How files are decoded.
    #[serde(default)]
    pub decode: DecodeOptions,
    /// From a file's bytes to a sample.
    pub transforms: Vec<Transform>,
}

/// The known kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetKind {
    /// Images in a folder for each class: [`loader::ImageFolder`].
    ImageFolder,
}

/// Data that can be made where the real data is missing: the `[dataset.stand_in]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// Which recipe.
    pub kind: StandInKind,
    /// How many images.
    #[serde(default = "StandIn::default_images")]
    pub images: usize,
    /// What they are drawn from.
    #[serde(default)]
    pub seed: u64,
    /// The folder of the photographs they are cut from.
    #[serde(default = "StandIn::default_photos")]
    pub photos: PathBuf,
}

/// The known recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInKind {
    /// JPEG files with the sizes of ImageNet's: [`crate::data::ImagenetLike`].
    ImagenetLike,
}

impl StandIn {
    /// Images, if not said otherwise.
    pub fn default_images() -> usize {
        2_000
    }

    /// Where the photographs lie in this project.
    pub fn default_photos() -> PathBuf {
        "datasets/photos".into()
    }
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
    /// Processes for each setting.
    pub repeats: usize,
    /// Seconds before a measurement, at least.
    pub warmup_s: f64,
    /// Seconds that a measurement takes, at least.
    pub measure_s: f64,
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
            repeats: 3,
            warmup_s: 0.5,
            measure_s: 2.0,
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
        Ok(parse_toml(path, &text)?)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// If a value is out of range or the transforms make no sense.
    pub fn validate(&self) -> Result<(), TunerError> {
        self.compose()?;
        self.sweep.validate()
    }

    /// The transforms, planned.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn compose(&self) -> Result<Compose, TunerError> {
        Ok(Compose::new(self.dataset.transforms.clone(), self.dataset.decode.clone())?)
    }
}

impl SweepConfig {
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
        let repeats = (1..=1000).contains(&self.repeats);
        check(repeats, "sweep.repeats", self.repeats.to_string(), "1 to 1000")?;
        let seconds = |key, value: f64, least: f64, expected| {
            let good = (least..=86_400.0).contains(&value);
            check(good, key, value.to_string(), expected)
        };
        seconds("sweep.warmup_s", self.warmup_s, 0.0, "seconds, from 0 to 86400")?;
        seconds("sweep.measure_s", self.measure_s, 0.01, "seconds, from 0.01 to 86400")?;
        seconds("sweep.timeout_s", self.timeout_s, 1.0, "seconds, from 1 to 86400")
    }
}

fn check(
    good: bool,
    key: &'static str,
    got: String,
    expected: &'static str,
) -> Result<(), TunerError> {
    if good { Ok(()) } else { Err(TunerError::Value { key, got, expected }) }
}
