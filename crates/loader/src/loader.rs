//! The loader and its epochs.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use profiler::pipeline::PipelineSource;
use profiler::stage::Stage;

use crate::autotune::{Autotune, AutotuneLimits, Move};
use crate::bad_samples::BadSample;
use crate::batch_transform::BatchTransforms;
use crate::builder::LoaderBuilder;
use crate::collate::{Collate, ItemDataset};
use crate::distributed::Rank;
use crate::engine::{Engine, Filled};
use crate::order::Order;
use crate::settings::Settings;
use crate::source::{Collated, Fixed};
use crate::state::{LoaderState, StateError};
use crate::stats::Stats;
use crate::transfer::{NormalizeFields, Transfer, UnderWay};
use crate::{Batch, Dataset, Field, LoaderError};

/// Loads batches of a data set, epoch by epoch.
///
/// Which samples a batch holds and what is in them depends on the data, its transforms, the seed,
/// the epoch, the batch size, the sampler and the rank, and never on workers, depth or timing.
pub struct Loader {
    pub(crate) settings: Settings,
    pub(crate) fields: Arc<[Field]>,
    pub(crate) batches: usize,
    pub(crate) global_batch_size: u64,
    pub(crate) engine: Engine,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) normalize: NormalizeFields,
    pub(crate) batch_transforms: BatchTransforms,
    pub(crate) rank: Rank,
    /// After the last batch.
    pub(crate) state: Option<LoaderState>,
    pub(crate) progress: bool,
    pub(crate) autotune: Option<Autotune>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader for `dataset`, with default settings to change.
    pub fn builder(dataset: impl Dataset) -> LoaderBuilder {
        let (samples, fields) = (dataset.len(), dataset.fields());
        LoaderBuilder::new(Arc::new(Fixed(dataset)), samples, fields)
    }

    /// A loader for samples that do not have one shape, with `collate` to make batches of them.
    pub fn collated<D: ItemDataset>(dataset: D, collate: impl Collate<D::Item>) -> LoaderBuilder {
        let samples = dataset.len();
        LoaderBuilder::new(Arc::new(Collated { dataset, collate }), samples, Vec::new())
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
        Self::builder(dataset).settings_file(path)
    }

    /// The settings in effect: while it is [tuned](Self::autotune), those come to so far.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Name, shape and type of each part of a sample; none where samples do not have one shape.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Batches in an epoch, for this rank. With a batch sampler it is those of epoch 0: ask
    /// [`epoch`](Self::epoch) for its `len()`.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches
    }

    /// The batches of `epoch`, in order. Towards its end the workers go on to the next epoch.
    ///
    /// A batch with a bad sample is an error, unless
    /// [`on_error`](LoaderBuilder::on_error) says otherwise; the batches after it can still be
    /// had.
    pub fn epoch(&mut self, epoch: u64) -> Epoch<'_> {
        let order = self.engine.order(epoch);
        Epoch::new(self, epoch, 0, order)
    }

    /// Where the run stands, after the last batch that came out; `None` before the first. A batch
    /// that was an error is behind it once another came out. Inside a loop over an epoch ask
    /// [`Batch::state`].
    pub fn state(&self) -> Option<LoaderState> {
        self.state
    }

    /// The rest of the epoch that was under way when `state` was taken; none of what came before
    /// is loaded again. The epochs after it begin with `state.epoch + 1`. Bad samples are counted
    /// from here on.
    ///
    /// # Errors
    /// If seed, data, order or the batch size over all ranks are not those of the run.
    pub fn resume(&mut self, state: &LoaderState) -> Result<Epoch<'_>, LoaderError> {
        let (expected, got) = (state.seed, self.settings.seed);
        if expected != got {
            return Err(StateError::Seed { expected, got }.into());
        }
        let (expected, got) = (state.global_batch_size, self.global_batch_size);
        if expected != got {
            return Err(StateError::GlobalBatchSize { expected, got }.into());
        }
        let LoaderState { epoch, samples, .. } = *state;
        let order = self.engine.order(epoch)?;
        if order.fingerprint() != state.fingerprint {
            return Err(StateError::Fingerprint.into());
        }
        let next = usize::try_from(samples).ok().and_then(|samples| order.batch_after(samples));
        let next = next.ok_or(StateError::Position { epoch, samples })?;
        self.state = Some(*state);
        Ok(Epoch::new(self, epoch, next, Ok(order)))
    }

    /// From now on, moves number of workers and prefetch depth towards the cheapest that keep the
    /// training loop fed, as long as it runs: see [`autotune`](crate::autotune). Batches stay the
    /// same in content and order. A loader without workers gets one.
    ///
    /// ```
    /// # let data = loader::Synthetic::new([loader::Field::new("x", [8], loader::Dtype::Float32)], 64);
    /// let mut loader = loader::Loader::builder(data).batch_size(8).num_workers(1).build()?;
    /// loader.autotune()?;
    /// for batch in loader.epoch(0) {
    ///     let _ = batch?;
    /// }
    /// for made in loader.moves() {
    ///     println!("{made}");
    /// }
    /// println!("for the next run: {:?}", loader.settings());
    /// # Ok::<(), loader::LoaderError>(())
    /// ```
    ///
    /// # Errors
    /// If there are no workers and none can be started.
    pub fn autotune(&mut self) -> Result<(), LoaderError> {
        self.autotune_within(AutotuneLimits::default())
    }

    /// As [`autotune`](Self::autotune), within `limits`; what is over them now is moved there.
    ///
    /// # Errors
    /// If a limit is out of range, or a first worker cannot be started.
    pub fn autotune_within(&mut self, limits: AutotuneLimits) -> Result<(), LoaderError> {
        limits.validate()?;
        let num_workers = self.settings.num_workers.clamp(1, limits.max_workers);
        let prefetch_depth = self.settings.prefetch_depth.clamp(1, limits.max_depth);
        self.engine.set_workers(num_workers)?;
        self.settings.num_workers = num_workers;
        self.engine.set_depth(prefetch_depth)?;
        self.settings.prefetch_depth = prefetch_depth;
        self.autotune = Some(Autotune::new(limits, &self.settings));
        Ok(())
    }

    /// What [`autotune`](Self::autotune) has changed, in order.
    pub fn moves(&self) -> &[Move] {
        self.autotune.as_ref().map_or(&[], |autotune| &autotune.moves)
    }

    /// The samples that were skipped or replaced so far, since an epoch was last begun or resumed.
    pub fn bad_samples(&self) -> &[BadSample] {
        self.engine.bad_samples()
    }

    /// What has come out since the loader was built, and where the time went.
    pub fn stats(&self) -> Stats {
        self.engine.counters().stats()
    }

    /// Its counters, for a profiler that asks again and again while batches come:
    /// `profiler.register_pipeline("loader", loader.pipeline())`.
    pub fn pipeline(&self) -> Arc<dyn PipelineSource> {
        self.engine.counters().clone()
    }
}

/// The batches of one epoch: an iterator.
#[derive(Debug)]
pub struct Epoch<'a> {
    loader: &'a mut Loader,
    epoch: u64,
    /// The next batch to take from the engine.
    next: usize,
    /// `None` when its error has been given.
    order: Option<Result<Arc<Order>, LoaderError>>,
    /// Batches taken from the engine and perhaps on their way to a device.
    under_way: VecDeque<(Result<UnderWay, LoaderError>, LoaderState)>,
    bar: Option<Bar>,
}

impl<'a> Epoch<'a> {
    fn new(
        loader: &'a mut Loader,
        epoch: u64,
        next: usize,
        order: Result<Arc<Order>, LoaderError>,
    ) -> Self {
        let length = order.as_ref().map_or(0, |order| order.batches());
        let was_left = loader.engine.begin_epoch();
        if let Some(autotune) = loader.autotune.as_mut().filter(|_| was_left) {
            autotune.interrupted();
        }
        let bar = loader.progress.then(|| Bar::new(epoch, next, length, loader.stats()));
        let under_way = VecDeque::new();
        let this = Self { loader, epoch, next, order: Some(order), under_way, bar };
        if let Some(Ok(order)) = &this.order
            && next < order.batches()
        {
            // The workers begin now. What goes wrong here goes wrong again in `next`.
            let _ = this.loader.engine.seek(epoch, next, order);
        }
        this.bar.iter().for_each(Bar::show);
        this
    }

    /// See [`Loader::stats`].
    pub fn stats(&self) -> Stats {
        self.loader.stats()
    }

    /// See [`Loader::settings`].
    pub fn settings(&self) -> &Settings {
        &self.loader.settings
    }

    /// Has the workers stop until the next batch is asked for, as while the model is evaluated and
    /// wants all cores. What was loaded stays. Returns when the samples in hand are done, or after a
    /// second. Statistics leave out the time of the pause.
    ///
    /// ```
    /// # let data = loader::Synthetic::new([loader::Field::new("x", [8], loader::Dtype::Float32)], 64);
    /// let mut loader = loader::Loader::builder(data).batch_size(8).num_workers(2).build()?;
    /// let mut epoch = loader.epoch(0);
    /// while let Some(batch) = epoch.next() {
    ///     let _ = batch?;
    ///     if epoch.len() == 4 {
    ///         epoch.pause();
    ///         // Evaluate.
    ///     }
    /// }
    /// # Ok::<(), loader::LoaderError>(())
    /// ```
    pub fn pause(&mut self) {
        self.loader.engine.pause();
        if let Some(autotune) = &mut self.loader.autotune {
            autotune.interrupted();
        }
    }

    /// Takes the next batch from the engine and begins its transfer.
    fn take(&mut self, order: &Arc<Order>) {
        let Loader { engine, transfer, settings, global_batch_size, .. } = &mut *self.loader;
        let filled = engine.take(self.epoch, self.next, order);
        self.next += 1;
        let state = LoaderState {
            seed: settings.seed,
            epoch: self.epoch,
            samples: order.samples_in(self.next) as u64,
            global_batch_size: *global_batch_size,
            fingerprint: order.fingerprint(),
        };
        let under_way = filled.and_then(|filled| match transfer {
            Some(transfer) => engine.deliver(Stage::Transfer, || transfer.begin(filled)),
            None => Ok(UnderWay::here(filled)),
        });
        self.under_way.push_back((under_way, state));
    }

    /// Does to batch `number` what is done to whole batches, each a stage.
    fn deliver(
        &mut self,
        number: usize,
        under_way: Result<UnderWay, LoaderError>,
    ) -> Result<Filled, LoaderError> {
        let Loader { engine, settings, transfer, normalize, batch_transforms, rank, .. } =
            &mut *self.loader;
        let mut filled = match transfer {
            Some(_) => engine.deliver(Stage::Transfer, || under_way?.finish())?,
            None => under_way?.finish()?,
        };
        if !normalize.is_empty() {
            filled = engine.deliver(Stage::Normalize, || normalize.apply(filled))?;
        }
        if !batch_transforms.is_empty() {
            let ranks = [rank.rank(), rank.world_size()].map(|number| number as u64);
            let batch = (settings.seed, self.epoch, number as u64);
            filled = engine
                .deliver(Stage::BatchTransform, || batch_transforms.apply(filled, batch, ranks))?;
        }
        Ok(filled)
    }
}

impl Iterator for Epoch<'_> {
    type Item = Result<Batch, LoaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.loader.engine.resume();
        let order = match &self.order {
            Some(Ok(order)) => order.clone(),
            Some(Err(_)) => return self.order.take()?.err().map(Err),
            None => return None,
        };
        if self.under_way.is_empty() && self.next < order.batches() {
            self.take(&order);
        }
        let ahead = self.loader.transfer.as_ref().map_or(0, Transfer::ahead);
        while self.under_way.len() <= ahead && self.loader.engine.is_ready(self.epoch, self.next) {
            self.take(&order);
        }
        let Some((under_way, state)) = self.under_way.pop_front() else {
            self.loader.engine.end_epoch();
            return None;
        };
        let number = self.next - self.under_way.len() - 1;
        let batch = self.deliver(number, under_way).map(|filled| Batch::new(filled, state));
        if let Ok(batch) = &batch {
            self.loader.state = Some(state);
            let Loader { engine, settings, autotune, .. } = &mut *self.loader;
            engine.counters().add_batch(batch.len());
            if let Some(autotune) = autotune {
                autotune.after_batch(engine, settings);
            }
        }
        if let Some(bar) = &self.bar {
            bar.advance(&self.loader.stats());
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.order {
            Some(Ok(order)) => order.batches().saturating_sub(self.next) + self.under_way.len(),
            Some(Err(_)) => 1,
            None => 0,
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Epoch<'_> {}

/// The progress of one epoch, on stderr where that is a terminal.
#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    begin: Stats,
}

impl Bar {
    fn new(epoch: u64, next: usize, batches: usize, begin: Stats) -> Self {
        const TEMPLATE: &str =
            "{prefix} {wide_bar} {pos}/{len} batches, {per_sec}, {eta} left, {msg}";
        let style =
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(batches as u64).with_position(next as u64).with_style(style);
        bar.set_prefix(format!("epoch {epoch}"));
        bar.reset_eta();
        Self { bar, begin }
    }

    fn show(&self) {
        self.bar.tick();
    }

    fn advance(&self, now: &Stats) {
        let share = now.since(&self.begin).wait_share();
        self.bar.set_message(format!("{:.0}% waiting for data", 100.0 * share));
        self.bar.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.abandon();
    }
}
