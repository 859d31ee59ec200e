//! How a loader is set up.

use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use preproc::transform::{LabelledBatch, Normalize};
use preproc::{SampleRng, Transform};
use siphasher::sip::SipHasher13;
use tch::Device;

use crate::bad_samples::OnError;
use crate::batch_transform::BatchTransforms;
use crate::distributed::{Rank, Uneven};
use crate::engine::{Engine, EngineConfig};
use crate::loader::Loader;
use crate::order::{Batching, EpochOrders};
use crate::sampler::{BatchSampler, Sampler, Sequential, Shuffled};
use crate::settings::{BatchSizeSettings, MachineTable, Settings, SettingsFile};
use crate::source::Source;
use crate::threads::ThreadsConfig;
use crate::transfer::{NormalizeFields, Transfer};
use crate::{Field, LoaderError, cuda};

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
    shuffle: Option<bool>,
    drop_last: Option<bool>,
    seed: Option<u64>,
    io_threads: Option<usize>,
    pin_workers: Option<bool>,
    sampler: Option<Box<dyn Sampler>>,
    batch_sampler: Option<Box<dyn BatchSampler>>,
    rank: Option<Rank>,
    uneven: Uneven,
    on_error: OnError,
    timeout_s: Option<f64>,
    device: Device,
    ahead: usize,
    normalize: Vec<(String, Normalize)>,
    batch_transforms: BatchTransforms,
    progress: bool,
}

impl LoaderBuilder {
    pub(crate) fn new(source: Arc<dyn Source>, samples: usize, fields: Vec<Field>) -> Self {
        Self {
            source,
            samples,
            fields,
            settings: Settings::default(),
            by_batch_size: Vec::new(),
            batch_size: None,
            num_workers: None,
            prefetch_depth: None,
            pin_memory: None,
            shuffle: None,
            drop_last: None,
            seed: None,
            io_threads: None,
            pin_workers: None,
            sampler: None,
            batch_sampler: None,
            rank: None,
            uneven: Uneven::default(),
            on_error: OnError::default(),
            timeout_s: None,
            device: Device::Cpu,
            ahead: 0,
            normalize: Vec::new(),
            batch_transforms: BatchTransforms::default(),
            progress: false,
        }
    }

    /// The settings in the file at `path`, such as the `recommended.toml` of a sweep; one that is
    /// set by itself, before or after, wins. Warns if they were measured on another kind of machine.
    ///
    /// # Errors
    /// If the file cannot be read or used.
    pub fn settings_file(mut self, path: impl AsRef<Path>) -> Result<Self, LoaderError> {
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
        self.settings = file.loader;
        self.by_batch_size = file.by_batch_size;
        Ok(self)
    }

    /// All settings at once; one that is set by itself, before or after, wins.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.by_batch_size.clear();
        self
    }

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
        self.shuffle = Some(shuffle);
        self
    }

    /// See [`Settings::drop_last`].
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = Some(drop_last);
        self
    }

    /// See [`Settings::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// See [`Settings::io_threads`].
    pub fn io_threads(mut self, io_threads: usize) -> Self {
        self.io_threads = Some(io_threads);
        self
    }

    /// See [`Settings::pin_workers`].
    pub fn pin_workers(mut self, pin_workers: bool) -> Self {
        self.pin_workers = Some(pin_workers);
        self
    }

    /// The order of samples; `shuffle` then has no effect.
    pub fn sampler(mut self, sampler: impl Sampler) -> Self {
        self.sampler = Some(Box::new(sampler));
        self
    }

    /// The batches; `batch_size`, `shuffle`, `drop_last` and a [`sampler`](Self::sampler) then
    /// have no effect.
    pub fn batch_sampler(mut self, sampler: impl BatchSampler) -> Self {
        self.batch_sampler = Some(Box::new(sampler));
        self
    }

    /// Loads the share of process `rank` of every global batch, which has `batch_size` samples of each
    /// process; `uneven` says what to do where an epoch cannot be shared evenly. All processes need the same
    /// settings. Default: [`Rank::from_env`] and [`Uneven::Pad`]; `Rank::default()` loads all of it in each
    /// process.
    pub fn distributed(mut self, rank: Rank, uneven: Uneven) -> Self {
        self.rank = Some(rank);
        self.uneven = uneven;
        self
    }

    /// What to do with a sample that cannot be loaded. Default: [`OnError::Raise`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// How many seconds one sample may take before it is an error that names it; another worker
    /// then takes the place of the one that is stuck in it. Without workers nobody is there to
    /// notice. Default: no limit.
    pub fn timeout_s(mut self, timeout_s: f64) -> Self {
        self.timeout_s = Some(timeout_s);
        self
    }

    /// Where batches are to be. For a GPU, each batch is copied there on a stream of its own, that
    /// of up to `ahead` batches while the training loop still works on the one before them, if
    /// they are filled by then. Use [`pin_memory`](Self::pin_memory) with it: other memory cannot
    /// be copied without waiting. Default: the CPU.
    pub fn to_device(mut self, device: Device, ahead: usize) -> Self {
        self.device = device;
        self.ahead = ahead;
        self
    }

    /// Makes float32 of the uint8 field `name`, `[3, H, W]` in a sample, when the batch is where it
    /// is to be: `(x / 255 - mean) / std` by channel. So a quarter of the bytes are copied
    /// [to a GPU](Self::to_device), which computes them at once. With [`Normalize::IDENTITY`], `x / 255`,
    /// the field may have any shape. Without a GPU the training loop's thread does it, so that data
    /// sets should rather write float32 then. Default: fields stay what the data set writes.
    pub fn normalize_on_device(mut self, name: &str, normalize: Normalize) -> Self {
        self.normalize.push((name.to_owned(), normalize));
        self
    }

    /// Transforms the fields `images` and `labels` of each batch together, such as
    /// [`MixUp`](preproc::transform::MixUp) and [`CutMix`](preproc::transform::CutMix): in the
    /// training loop's thread, where the batch is to be, and after
    /// [`normalize_on_device`](Self::normalize_on_device). Several are done in turn. What is drawn
    /// depends on seed, epoch, number of the batch and rank alone.
    ///
    /// ```no_run
    /// # let dataset = loader::Synthetic::new([loader::Field::new("x", [8], loader::Dtype::Float32)], 64);
    /// use preproc::transform::MixUp;
    ///
    /// let mix = MixUp { alpha: 0.2, num_classes: 1000 };
    /// let loader = loader::Loader::builder(dataset).batch_transform("images", "labels", mix);
    /// ```
    pub fn batch_transform(
        mut self,
        images: &str,
        labels: &str,
        transform: impl Transform<LabelledBatch> + 'static,
    ) -> Self {
        self.batch_transforms.add(images, labels, transform);
        self
    }

    /// Whether each epoch shows its progress on stderr, where that is a terminal: rate, time left
    /// and the share of time that the training loop waited for data. Default: false.
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// If a setting is out of range, there are no samples, or not enough for a batch.
    pub fn build(self) -> Result<Loader, LoaderError> {
        let settings = self.resolve();
        settings.validate()?;
        let timeout = self.timeout()?;
        let rank = self.rank()?;
        if self.samples == 0 {
            return Err(LoaderError::NoSamples);
        }
        let mut fingerprint = SipHasher13::new();
        fingerprint.write_u64(self.samples as u64);
        self.source.fingerprint(&mut fingerprint);
        let orders = EpochOrders {
            batching: match (self.batch_sampler, self.sampler) {
                (Some(sampler), _) => Batching::By { most: sampler.max_batch_size(), sampler },
                (None, sampler) => {
                    let sampler = sampler.unwrap_or_else(|| match settings.shuffle {
                        true => Box::new(Shuffled(self.samples)),
                        false => Box::new(Sequential(self.samples)),
                    });
                    let Settings { batch_size, drop_last, .. } = settings;
                    Batching::Every { len: sampler.len(), sampler, batch_size, drop_last }
                }
            },
            samples: self.samples,
            seed: settings.seed,
            rank,
            uneven: self.uneven,
            fingerprint: fingerprint.finish(),
        };
        let batches = orders.batches()?;
        let global_batch_size = orders.global_batch_size();
        if batches == 0 {
            return Err(no_batches(&orders));
        }
        let transfer = Transfer::new(self.device, self.ahead)?;
        let normalize = NormalizeFields::new(&self.normalize, &self.fields, self.device)?;
        self.batch_transforms.check(&self.fields)?;
        let pins_batches = settings.pin_memory && self.fields.is_empty();
        let config = EngineConfig {
            fields: self.fields.clone(),
            orders,
            prefetch_depth: settings.prefetch_depth,
            pin_memory: settings.pin_memory,
            delivers: transfer.is_some()
                || !normalize.is_empty()
                || !self.batch_transforms.is_empty()
                || pins_batches,
            on_error: self.on_error,
            threads: ThreadsConfig {
                num_workers: settings.num_workers,
                io_threads: settings.io_threads,
                pin_workers: settings.pin_workers,
                timeout,
            },
        };
        let engine = Engine::start(self.source, config)?;
        Ok(Loader {
            fields: self.fields.into(),
            batches,
            global_batch_size: global_batch_size as u64,
            engine,
            transfer,
            normalize,
            batch_transforms: self.batch_transforms,
            rank,
            state: None,
            progress: self.progress,
            autotune: None,
            settings,
        })
    }

    fn rank(&self) -> Result<Rank, LoaderError> {
        if let Some(rank) = self.rank {
            return Ok(rank);
        }
        let rank = Rank::from_env()?;
        if rank.world_size() > 1 {
            let (rank, world_size) = (rank.rank(), rank.world_size());
            tracing::info!("loads the share of rank {rank} of {world_size}, as its launcher says");
        }
        Ok(rank)
    }

    fn timeout(&self) -> Result<Option<Duration>, LoaderError> {
        let Some(seconds) = self.timeout_s else { return Ok(None) };
        let timeout = Duration::try_from_secs_f64(seconds).ok();
        let timeout = timeout.filter(|timeout| *timeout >= Duration::from_millis(1));
        timeout.map(Some).ok_or(LoaderError::Setting {
            name: "timeout_s",
            got: seconds.to_string(),
            expected: "seconds, 0.001 or more",
        })
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
        settings.shuffle = self.shuffle.unwrap_or(settings.shuffle);
        settings.drop_last = self.drop_last.unwrap_or(settings.drop_last);
        settings.seed = self.seed.unwrap_or(settings.seed);
        settings.io_threads = self.io_threads.unwrap_or(settings.io_threads);
        settings.pin_workers = self.pin_workers.unwrap_or(settings.pin_workers);
        if settings.pin_memory
            && let Err(reason) = cuda::load()
        {
            tracing::warn!("`pin_memory = true` has no effect: {reason}");
            settings.pin_memory = false;
        }
        settings
    }
}

/// Why there are none.
fn no_batches(orders: &EpochOrders) -> LoaderError {
    let world_size = orders.rank.world_size();
    let (got, what) = match &orders.batching {
        Batching::Every { len: 0, .. } => return LoaderError::NoSampled,
        &Batching::Every { len: samples, batch_size, drop_last: true, .. } => {
            return LoaderError::NoFullBatch { batch_size, world_size, samples };
        }
        Batching::Every { len, .. } => (*len, "samples"),
        Batching::By { sampler, .. } => {
            let mut rng = SampleRng::of_order(orders.seed, 0);
            (sampler.batches(0, &mut rng).len(), "batches")
        }
    };
    match got {
        0 => LoaderError::NoBatches,
        _ => LoaderError::NotForAllRanks { got, what, world_size },
    }
}
