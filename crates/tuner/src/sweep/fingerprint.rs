//! What tells the data of a sweep from other data.

use std::fs;
use std::hash::Hasher;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::DatasetConfig;
use crate::dataset::{self, Opened};
use crate::{Config, TunerError};

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataTable {
    /// The folder.
    pub root: String,
    /// Samples in it.
    pub samples: usize,
    /// Classes.
    pub classes: usize,
    /// SHA-256 over what the data set says of itself (for images their names and classes), the
    /// sizes of its files (of 4,096 of them where there are more), the other keys of its table, and
    /// the transforms of batches.
    pub fingerprint: String,
    /// Whether it was made to stand in for real data.
    pub stand_in: bool,
}

/// Of so many files the size is asked for, spread evenly. Asking for every one of 1.28 million
/// takes seconds where the system remembers them, and minutes where it does not.
const SIZED: usize = 4096;

impl DataTable {
    /// Of the opened `data` of `config`.
    ///
    /// # Errors
    /// If the note of a stand-in cannot be read.
    pub fn new(config: &Config, data: &Opened) -> Result<Self, TunerError> {
        let root = config.dataset.root().map(|root| root.display().to_string());
        let mut hasher = Sha(Sha256::new());
        let bug = |error: serde_json::Error| TunerError::Bug(error.to_string());
        hasher.write(&settings(&config.dataset).map_err(bug)?);
        // Without any, as if there were no such key.
        if !config.batch_transforms.is_empty() {
            hasher.write(&serde_json::to_vec(&config.batch_transforms).map_err(bug)?);
        }
        hasher.write_usize(data.samples);
        data.data.fingerprint(&mut hasher);
        for size in sizes(data) {
            hasher.write_u64(size);
        }
        Ok(Self {
            root: root.unwrap_or_default(),
            samples: data.samples,
            classes: data.classes.len(),
            fingerprint: hasher.hex(),
            stand_in: dataset::stand_in(&config.dataset)?.is_some(),
        })
    }

    /// Whether this can be `other` after a few bad files were replaced or removed: as good as as
    /// many samples, so that what was measured before still holds.
    pub fn mended(&self, other: &Self) -> bool {
        self.classes == other.classes
            && self.samples.abs_diff(other.samples) <= (other.samples / 100).max(1)
    }
}

/// What the table says of samples: not where they lie, nor what to make in their stead.
fn settings(dataset: &DatasetConfig) -> Result<Vec<u8>, serde_json::Error> {
    let mut table = serde_json::to_value(dataset)?;
    if let Some(table) = table.as_object_mut() {
        table.retain(|key, _| key != "root" && key != "stand_in");
    }
    serde_json::to_vec(&table)
}

/// Sizes of the files that samples come from; of what is no file, none.
fn sizes(data: &Opened) -> Vec<u64> {
    let every = data.samples.div_ceil(SIZED).max(1);
    let indices: Vec<usize> = (0..data.samples).step_by(every).collect();
    let size = |index| fs::metadata(data.data.origin(index)?).ok().map(|file| file.len());
    indices.into_par_iter().map(|index| size(index).unwrap_or(u64::MAX)).collect()
}

/// SHA-256 of a configuration with all flags applied, its keys as JSON.
///
/// # Errors
/// If it cannot be written as JSON, which is a bug.
pub fn config_hash(config: &Config) -> Result<String, TunerError> {
    let json = serde_json::to_vec(config).map_err(|error| TunerError::Bug(error.to_string()))?;
    Ok(Sha(Sha256::new_with_prefix(json)).hex())
}

/// SHA-256 for what hashes itself.
struct Sha(Sha256);

impl Sha {
    fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not asked for: the digest has 256 bits.
    fn finish(&self) -> u64 {
        0
    }
}
