//! The loader and how it is built.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use profiler::stage::StageTimes;

use crate::engine::{Engine, EngineConfig};
use crate::order::Sampler;
use crate::settings::{BatchSizeSettings, MachineTable, Settings, SettingsFile};
use crate::worker::Source;
use crate::{Batch, Dataset, Field, LoaderError, cuda};

/// Loads batches of a data set, epoch by epoch.
///
/// Which samples a batch holds and what is in them depends on the data, its transforms, the seed,
/// the epoch and the batch size, and never on workers, depth or timing.
pub struct Loader {
    settings: Settings,
    fields: Arc<[Field]>,
    batches: usize,
    engine: Engine,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader for `dataset`, with default settings to change.
    pub fn builder(dataset: impl Dataset) -> LoaderBuilder {
        LoaderBuilder {
            samples: dataset.len(),
            fields: dataset.fields(),
            source: Arc::new(dataset),
            settings: Settings::default(),
            by_batch_size: Vec::new(),
            batch_size: None,
            num_workers: None,
            prefetch_depth: None,
            pin_memory: None,
        }
    }

    /// A loader for `dataset` with the settings in the file at `path`, such as the
    /// `recommended.toml` of a sweep. Warns if they were measured on another kind of machine.
    ///
    /// # Errors
    /// If the file cannot be read or used.
    pub fn from_settings(
        path: impl AsRef<Path>,
        dataset: impl Dataset,
    ) -> Result<LoaderBuilder, LoaderError> {
        let path = path.as_ref();
        let file = SettingsFile::read(path)?;
        let differences = file.machine.map(|machine| machine.differences(&MachineTable::here()));
        if let Some(differences) = differences.filter(|differences| !differences.is_empty()) {
            tracing::warn!(
                "the settings in `{}` were measured on another machine; here: {}",
                path.display(),
                differences.join("; ")
            );
        }
        let mut builder = Self::builder(dataset);
        builder.settings = file.loader;
        builder.by_batch_size = file.by_batch_size;
        Ok(builder)
    }

    /// The settings in effect.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Name, shape and type of each part of a sample.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches
    }

    /// The batches of `epoch`, in order. Towards its end the workers go on to the next epoch.
    ///
    /// A batch with a bad sample is an error; the batches after it can still be had.
    pub fn epoch(&mut self, epoch: u64) -> Epoch<'_> {
        Epoch { loader: self, epoch, next: 0 }
    }

    /// Thread-seconds by stage since the loader was built, over all threads.
    pub fn times(&self) -> StageTimes {
        self.engine.times()
    }
}

/// The batches of one epoch: an iterator.
#[derive(Debug)]
pub struct Epoch<'a> {
    loader: &'a mut Loader,
    epoch: u64,
    next: usize,
}

impl Epoch<'_> {
    /// See [`Loader::times`].
    pub fn times(&self) -> StageTimes {
        self.loader.times()
    }
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, LoaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Loader { engine, fields, batches, .. } = &mut *self.loader;
        if self.next == *batches {
            return None;
        }
        let batch = engine.take(self.epoch, self.next);
        self.next += 1;
        Some(batch.map(|filled| Batch::new(fields.clone(), filled)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.loader.batches - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Epoch<'_> {}

/// Settings of a [`Loader`] to be.
#[must_use]
pub struct LoaderBuilder {
    source: Arc<dyn Source>,
    samples: usize,
    fields: Vec<Field>,
    settings: Settings,
    by_batch_size: Vec<BatchSizeSettings>,
    batch_size: Option<usize>,
    num_workers: Option<usize>,
    prefetch_depth: Option<usize>,
    pin_memory: Option<bool>,
}

impl LoaderBuilder {
    /// Samples in a batch. If a settings file says another, workers and depth come from its row
    /// for this batch size; without one, from the row nearest to it, with a warning.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = Some(batch_size);
        self
    }

    /// See [`Settings::num_workers`].
    pub fn num_workers(mut self, num_workers: usize) -> Self {
        self.num_workers = Some(num_workers);
        self
    }

    /// See [`Settings::prefetch_depth`].
    pub fn prefetch_depth(mut self, prefetch_depth: usize) -> Self {
        self.prefetch_depth = Some(prefetch_depth);
        self
    }

    /// See [`Settings::pin_memory`].
    pub fn pin_memory(mut self, pin_memory: bool) -> Self {
        self.pin_memory = Some(pin_memory);
        self
    }

    /// See [`Settings::shuffle`].
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.settings.shuffle = shuffle;
        self
    }

    /// See [`Settings::drop_last`].
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.settings.drop_last = drop_last;
        self
    }

    /// See [`Settings::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// If a setting is out of range, there are no samples, or not enough for a batch.
    pub fn build(self) -> Result<Loader, LoaderError> {
        let settings = self.resolve();
        settings.validate()?;
        if self.samples == 0 {
            return Err(LoaderError::NoSamples);
        }
        let sampler = Sampler {
            samples: self.samples,
            batch_size: settings.batch_size,
            drop_last: settings.drop_last,
            shuffle: settings.shuffle.then_some(settings.seed),
        };
        let batches = sampler.batches();
        if batches == 0 {
            let (batch_size, samples) = (settings.batch_size, self.samples);
            return Err(LoaderError::NoFullBatch { batch_size, samples });
        }
        let config = EngineConfig {
            fields: self.fields.clone(),
            sampler,
            seed: settings.seed,
            num_workers: settings.num_workers,
            prefetch_depth: settings.prefetch_depth,
            pin_memory: settings.pin_memory,
        };
        let engine = Engine::start(self.source, config)?;
        Ok(Loader { settings, fields: self.fields.into(), batches, engine })
    }

    /// What was set by hand wins over the row for the batch size, and that over `[loader]`.
    fn resolve(&self) -> Settings {
        let mut settings = self.settings.clone();
        if let Some(batch_size) = self.batch_size.filter(|size| *size != settings.batch_size) {
            settings.batch_size = batch_size;
            let nearest = self.by_batch_size.iter().min_by(|a, b| {
                let distance = |row: &BatchSizeSettings| {
                    (row.batch_size.max(1) as f64 / batch_size.max(1) as f64).ln().abs()
                };
                distance(a).total_cmp(&distance(b))
            });
            if let Some(row) = nearest {
                if row.batch_size != batch_size {
                    tracing::warn!(
                        "no settings were measured for batch size {batch_size}: taking those for {}",
                        row.batch_size
                    );
                }
                settings.num_workers = row.num_workers;
                settings.prefetch_depth = row.prefetch_depth;
                settings.pin_memory = row.pin_memory;
            }
        }
        settings.num_workers = self.num_workers.unwrap_or(settings.num_workers);
        settings.prefetch_depth = self.prefetch_depth.unwrap_or(settings.prefetch_depth);
        settings.pin_memory = self.pin_memory.unwrap_or(settings.pin_memory);
        if settings.pin_memory
            && let Err(reason) = cuda::load()
        {
            tracing::warn!("`pin_memory = true` has no effect: {reason}");
            settings.pin_memory = false;
        }
        settings
    }
}
