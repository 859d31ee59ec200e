//! Settings and the file that holds them.

use std::fmt;
use std::path::Path;

use profiler::machine::{self, Machine};
use serde::de::{DeserializeOwned, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{LoaderError, SettingsError, TomlError};

/// The version of the settings file read and written here.
pub const SCHEMA: u32 = 1;

/// How a [`Loader`](crate::Loader) loads: the `[loader]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Samples in a batch. Default: 32.
    pub batch_size: usize,
    /// Threads that load samples; 0 loads on the caller's thread. In a file, `"auto"` stands for
    /// the cores that this process may use. Default: those.
    #[serde(deserialize_with = "number_or_auto")]
    pub num_workers: usize,
    /// Batches that are ready or being filled, in all. Default: 2.
    pub prefetch_depth: usize,
    /// Whether batches lie in page-locked memory, from which copies to a GPU are asynchronous.
    /// Without a GPU it has no effect. Default: false.
    pub pin_memory: bool,
    /// Whether each epoch has an order of its own. Default: false.
    pub shuffle: bool,
    /// Whether a last batch that is not full is left out. Default: false.
    pub drop_last: bool,
    /// What order and transforms are drawn from. Default: 0.
    pub seed: u64,
    /// Threads that read samples ahead of the workers, so that no worker waits for a slow disk;
    /// they read what the batches in `prefetch_depth` need. Of use with `ImageFolder`, `TarShards`,
    /// data sets around them, and your own that have [`readahead`](crate::Dataset::readahead);
    /// `ParquetImages`, `Arrays` and `Tokens` are read by the workers alone. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub io_threads: usize,
    /// Whether each worker stays on one core. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub pin_workers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 32,
            num_workers: usable_cores(),
            prefetch_depth: 2,
            pin_memory: false,
            shuffle: false,
            drop_last: false,
            seed: 0,
            io_threads: 0,
            pin_workers: false,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The cores that this process may use: its affinity and its control group's quota count.
pub(crate) fn usable_cores() -> usize {
    (machine::usable_cores() as usize).max(1)
}

fn number_or_auto<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct NumberOrAuto;
    impl Visitor<'_> for NumberOrAuto {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number from 0 or \"auto\"")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<usize, E> {
            let unexpected = Unexpected::Unsigned(number);
            usize::try_from(number).map_err(|_| E::invalid_value(unexpected, &self))
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<usize, E> {
            let unexpected = Unexpected::Signed(number);
            usize::try_from(number).map_err(|_| E::invalid_value(unexpected, &self))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<usize, E> {
            match text {
                "auto" => Ok(usable_cores()),
                _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }
    }
    deserializer.deserialize_any(NumberOrAuto)
}

impl Settings {
    /// Checks what the types do not; building a loader does so too.
    ///
    /// # Errors
    /// [`LoaderError::Setting`] if a value is out of range.
    pub fn validate(&self) -> Result<(), LoaderError> {
        let Self { batch_size, num_workers, prefetch_depth, io_threads, .. } = *self;
        check((1..=1 << 24).contains(&batch_size), "batch_size", batch_size, "1 to 16777216")?;
        check(num_workers <= 1024, "num_workers", num_workers, "0 to 1024")?;
        let depth = (1..=1024).contains(&prefetch_depth) || num_workers == 0;
        check(depth, "prefetch_depth", prefetch_depth, "1 to 1024 when there are workers")?;
        check(io_threads <= 1024, "io_threads", io_threads, "0 to 1024")
    }
}

/// An error that names the setting unless it is `ok`.
pub(crate) fn check(
    ok: bool,
    name: &'static str,
    got: usize,
    expected: &'static str,
) -> Result<(), LoaderError> {
    if ok { Ok(()) } else { Err(LoaderError::Setting { name, got: got.to_string(), expected }) }
}

/// The best workers and depth for one batch size: a row of `[[by_batch_size]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSizeSettings {
    /// The batch size.
    pub batch_size: usize,
    /// See [`Settings::num_workers`].
    pub num_workers: usize,
    /// See [`Settings::prefetch_depth`].
    pub prefetch_depth: usize,
    /// See [`Settings::pin_memory`].
    pub pin_memory: bool,
    /// What was measured with them.
    pub samples_per_s: f64,
    /// The documented score.
    pub score: f64,
}

impl BatchSizeSettings {
    /// `settings` with what is known for this batch size.
    fn over(&self, settings: &Settings) -> Settings {
        let Self { batch_size, num_workers, prefetch_depth, pin_memory, .. } = *self;
        Settings { batch_size, num_workers, prefetch_depth, pin_memory, ..settings.clone() }
    }
}

/// A settings file, such as `recommended.toml`.
///
/// A file written by hand needs `schema` and `[loader]` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the loader reads.
    pub loader: Settings,
    /// The best settings for each batch size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_batch_size: Vec<BatchSizeSettings>,
    /// Why: what was measured.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub evidence: toml::Table,
    /// Where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineTable>,
    /// What was loaded.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub data: toml::Table,
    /// How it was measured.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub sweep: toml::Table,
}

/// Where settings were measured: the `[machine]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineTable {
    /// The processor's name.
    pub cpu: String,
    /// Cores that the process could use.
    pub usable_cores: f64,
    /// Memory that the process could use, in bytes: the machine's or the control group's limit.
    pub memory_bytes: u64,
    /// The GPUs' names.
    pub gpus: Vec<String>,
    /// libtorch's version.
    pub libtorch: String,
}

impl MachineTable {
    /// This machine.
    pub fn here() -> Self {
        let machine = Machine::detect();
        Self {
            cpu: machine.cpu_model,
            usable_cores: machine.usable_cores,
            memory_bytes: machine.memory_limit_bytes.unwrap_or(machine.memory_bytes),
            gpus: machine.gpus,
            libtorch: crate::libtorch_version().to_owned(),
        }
    }

    /// What differs on `other` so that speeds measured here say little there; memory and library
    /// versions do not count.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.cpu != other.cpu {
            differences.push(format!("cpu `{}`, not `{}`", other.cpu, self.cpu));
        }
        if self.usable_cores != other.usable_cores {
            differences
                .push(format!("{} usable cores, not {}", other.usable_cores, self.usable_cores));
        }
        if self.gpus != other.gpus {
            differences.push(format!("GPUs {:?}, not {:?}", other.gpus, self.gpus));
        }
        differences
    }
}

impl SettingsFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, a key is unknown or a value wrong, or it is of another schema.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        // Before the rest: another schema has other keys.
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let Schema { schema } = parse_toml(path, &text)?;
        if schema != SCHEMA {
            let path = path.to_owned();
            return Err(SettingsError::Schema { path, got: schema, expected: SCHEMA });
        }
        let file: Self = parse_toml(path, &text)?;
        let rows = file.by_batch_size.iter().map(|row| row.over(&file.loader));
        for settings in std::iter::once(file.loader.clone()).chain(rows) {
            settings.validate().map_err(|error| SettingsError::Value {
                path: path.to_owned(),
                source: Box::new(error),
            })?;
        }
        Ok(file)
    }
}

/// Parses the `text` of the TOML file at `path`; the error of an unknown key names its line and
/// column and the known key that is nearest to it.
///
/// # Errors
/// [`SettingsError::Parse`].
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let near = nearest(error.message()).map(str::to_owned);
        let source = TomlError { error: Box::new(error), near };
        SettingsError::Parse { path: path.to_owned(), source }
    })
}

/// Of the names that serde says it expected, the one that resembles the unknown one.
fn nearest(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown ")?;
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    names
        .map(|known| (strsim::normalized_damerau_levenshtein(unknown, known), known))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
