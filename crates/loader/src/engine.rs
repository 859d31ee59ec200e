//! The engine: workers fill slots, batches come out in order.
//!
//! The unit of work is the sample. The batches being filled stand in a queue, at most
//! `prefetch_depth` of them. A worker claims the next slot of the first batch that has one, loads
//! the sample into it, and takes the next; so all workers help with the batch that is needed
//! first, and a slow sample delays only its own batch. Whoever finishes the last slot of a batch
//! wakes the consumer. The consumer waits for the batch at the head, takes it, and opens another
//! at the tail, which wakes the workers.
//!
//! The queue runs on into the next epoch, so that its first batches are ready when this one ends.
//! Without workers the consumer fills the batch at the head itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler::stage::{Stage, StageClock};
use tch::Tensor;

use crate::bad_samples::{BadSample, OnError};
use crate::counters::Counters;
use crate::open_batch::{Bad, OpenBatch};
use crate::order::{EpochOrders, Order};
use crate::queue::{Queue, Ticketed};
use crate::slab::SlabPool;
use crate::slots::Slots;
use crate::source::Source;
use crate::threads::{Threads, ThreadsConfig};
use crate::worker::Worker;
use crate::{Field, LoaderError, ffi};

/// How long a pause waits for the samples in hand.
const SAMPLE_IN_HAND: Duration = Duration::from_secs(1);

/// A filled batch.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) names: Arc<[String]>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) indices: Vec<usize>,
}

/// What to open next.
struct Plan {
    epoch: u64,
    batch: usize,
    order: Arc<Order>,
}

/// What the consumer and the workers share.
pub(crate) struct Shared {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) seed: u64,
    pub(crate) on_error: OnError,
    pub(crate) queue: Queue<OpenBatch>,
}

/// How an engine is set up.
pub(crate) struct EngineConfig {
    pub(crate) fields: Vec<Field>,
    pub(crate) orders: EpochOrders,
    pub(crate) prefetch_depth: usize,
    pub(crate) pin_memory: bool,
    /// Whether the consumer moves or converts whole batches.
    pub(crate) delivers: bool,
    pub(crate) on_error: OnError,
    pub(crate) threads: ThreadsConfig,
}

/// The queue, its memory and its threads.
pub(crate) struct Engine {
    config: EngineConfig,
    shared: Arc<Shared>,
    pools: Vec<Arc<SlabPool>>,
    names: Arc<[String]>,
    threads: Threads,
    plan: Option<Plan>,
    /// Batches opened so far.
    opened: u64,
    /// The consumer's own clock counts its waiting and, without workers, its loading.
    consumer: StageClock,
    between_epochs: bool,
    counters: Arc<Counters>,
    /// When the batch at the head became the next to come out.
    head_since: Instant,
    /// Since when it is paused.
    paused_since: Option<Instant>,
    /// Without workers, the consumer loads samples itself.
    own_loader: Option<Worker>,
    /// Since an epoch was last begun.
    bad_samples: Vec<BadSample>,
}

impl Engine {
    pub(crate) fn start(
        source: Arc<dyn Source>,
        config: EngineConfig,
    ) -> Result<Self, LoaderError> {
        // What is being filled, and the batch that the consumer holds.
        let slabs = config.prefetch_depth.max(1) + 1;
        let samples = config.orders.batching.max_batch_size();
        let pools = config.fields.iter().map(|field| {
            let bytes = field.bytes().saturating_mul(samples);
            SlabPool::new(bytes, field.dtype, config.pin_memory, slabs)
        });
        let shared = Arc::new(Shared {
            source,
            seed: config.orders.seed,
            on_error: config.on_error,
            queue: Queue::new(slabs),
        });
        let counters = Arc::new(Counters::new(config.prefetch_depth, config.delivers));
        Ok(Self {
            pools: pools.collect(),
            names: config.fields.iter().map(|field| field.name.clone()).collect(),
            threads: Threads::start(shared.clone(), config.threads.clone(), counters.clone())?,
            plan: None,
            opened: 0,
            consumer: StageClock::new(counters.consumer().clone(), Stage::Consume),
            between_epochs: true,
            counters,
            head_since: Instant::now(),
            paused_since: None,
            own_loader: (config.threads.num_workers == 0).then(Worker::default),
            bad_samples: Vec::new(),
            config,
            shared,
        })
    }

    /// The consumer begins with an epoch. Whether it left the one before half-way.
    pub(crate) fn begin_epoch(&mut self) -> bool {
        self.bad_samples.clear();
        let was_left = !std::mem::take(&mut self.between_epochs);
        match was_left && self.paused_since.is_none() {
            true => drop(self.consumer.enter(Stage::Consume)),
            false => self.consumer.restart(Stage::Consume),
        }
        was_left
    }

    /// The consumer has done with an epoch: what it does until the next is not counted.
    pub(crate) fn end_epoch(&mut self) {
        if !std::mem::replace(&mut self.between_epochs, true) {
            self.consumer.enter(Stage::Consume);
        }
    }

    /// Has the workers rest until it is [resumed](Self::resume). The time until then is not counted.
    pub(crate) fn pause(&mut self) {
        if self.paused_since.is_some() {
            return;
        }
        self.consumer.enter(Stage::Consume);
        self.shared.queue.pause(SAMPLE_IN_HAND);
        self.paused_since = Some(Instant::now());
    }

    /// Ends a pause, if there is one.
    pub(crate) fn resume(&mut self) {
        let Some(since) = self.paused_since.take() else { return };
        self.head_since += since.elapsed();
        self.consumer.restart(Stage::Consume);
        self.shared.queue.resume();
    }

    /// The consumer does `work` on a whole batch, a stage of its own.
    pub(crate) fn deliver<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let before = self.consumer.enter(stage);
        let done = work();
        self.consumer.enter(before);
        done
    }

    /// Has `num_workers` threads, at least one, load from now on. What batches hold stays the same.
    ///
    /// # Errors
    /// If a thread cannot be started; those that were started work.
    pub(crate) fn set_workers(&mut self, num_workers: usize) -> Result<(), LoaderError> {
        self.threads.set_workers(num_workers)?;
        self.own_loader = None;
        self.fill_queue()
    }

    /// Has `prefetch_depth` batches, at least one, ready or being filled from now on; if there are
    /// more, as soon as those were taken.
    ///
    /// # Errors
    /// If there is no memory for them.
    pub(crate) fn set_depth(&mut self, prefetch_depth: usize) -> Result<(), LoaderError> {
        self.config.prefetch_depth = prefetch_depth;
        self.counters.set_depth(prefetch_depth);
        self.pools.iter().for_each(|pool| pool.keep(prefetch_depth + 1));
        self.fill_queue()
    }

    /// What has been counted since the start.
    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The samples that were skipped or replaced since an epoch was last begun.
    pub(crate) fn bad_samples(&self) -> &[BadSample] {
        &self.bad_samples
    }

    /// The order of `epoch`: made, unless the queue has already come to it.
    pub(crate) fn order(&self, epoch: u64) -> Result<Arc<Order>, LoaderError> {
        if let Some(head) = self.shared.queue.head().filter(|head| head.epoch == epoch) {
            return Ok(head.order().clone());
        }
        match &self.plan {
            Some(plan) if plan.epoch == epoch => Ok(plan.order.clone()),
            _ => Ok(Arc::new(self.config.orders.of(epoch)?)),
        }
    }

    /// Makes batch number `batch` of `epoch`, in `order`, the next to come out.
    ///
    /// # Errors
    /// If it cannot be opened. What keeps those behind it from being opened is told when they are
    /// sought, so that what comes out does not depend on the depth.
    pub(crate) fn seek(
        &mut self,
        epoch: u64,
        batch: usize,
        order: &Arc<Order>,
    ) -> Result<(), LoaderError> {
        let head = self.shared.queue.head().map(|head| (head.epoch, head.number));
        let next = head.or(self.plan.as_ref().map(|plan| (plan.epoch, plan.batch)));
        if next != Some((epoch, batch)) {
            self.shared.queue.clear();
            self.plan = Some(Plan { epoch, batch, order: order.clone() });
        }
        match self.fill_queue() {
            Err(error) if self.shared.queue.len() == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether batch number `batch` of `epoch` can be taken at once.
    pub(crate) fn is_ready(&self, epoch: u64, batch: usize) -> bool {
        self.shared.queue.head().is_some_and(|head| {
            (head.epoch, head.number) == (epoch, batch) && head.tickets().is_complete()
        })
    }

    /// Batch number `batch` of `epoch`, in `order`, or the error of its first bad sample. Workers
    /// then go on with those behind it while the caller uses this one.
    pub(crate) fn take(
        &mut self,
        epoch: u64,
        batch: usize,
        order: &Arc<Order>,
    ) -> Result<Filled, LoaderError> {
        self.consumer.enter(Stage::Other);
        let filled = self.seek(epoch, batch, order).and_then(|()| self.next());
        if self.own_loader.is_none() {
            // What goes wrong here goes wrong again, and is returned, when that batch is sought.
            let _ = self.fill_queue();
        }
        self.consumer.enter(Stage::Consume);
        filled
    }

    fn next(&mut self) -> Result<Filled, LoaderError> {
        let Self { shared, .. } = self;
        let head = shared.queue.head().ok_or(LoaderError::NoBatch)?;
        let mut stuck = Ok(None);
        if let Some(worker) = &mut self.own_loader {
            worker.fill(shared, &head, &mut self.consumer);
        } else if !head.tickets().is_complete() {
            self.consumer.enter(Stage::WaitBatch);
            stuck = self.threads.wait_until_complete(&head);
            self.consumer.enter(Stage::Other);
        }
        shared.queue.pop();
        self.counters.add_unready(head.unready_since(self.head_since));
        self.head_since = Instant::now();
        if let Some((index, timeout)) = stuck? {
            let origin = shared.source.origin(index).into();
            return Err(LoaderError::Stuck { index, origin, timeout_s: timeout.as_secs_f64() });
        }

        let mut indices = head.indices().to_vec();
        let (left_out, bad) = self.bad_of(&head, &mut indices)?;
        let Self { config, names, .. } = self;
        let tensors = head.take(&config.fields, &left_out, &indices)?;
        // Those of a batch that is an error were not skipped.
        self.bad_samples.extend(bad);
        if config.fields.is_empty() {
            let (names, mut tensors): (Vec<_>, Vec<_>) = tensors.into_iter().unzip();
            if config.pin_memory {
                self.consumer.enter(Stage::Transfer);
                for tensor in &mut tensors {
                    *tensor = ffi::pin(tensor)?;
                }
                self.consumer.enter(Stage::Other);
            }
            return Ok(Filled { names: names.into(), tensors, indices });
        }
        let tensors = tensors.into_iter().map(|(_, tensor)| tensor).collect();
        Ok(Filled { names: names.clone(), tensors, indices })
    }

    /// Does with the bad samples of `batch` as is asked, and corrects its `indices`; the slots to
    /// leave out, and the samples.
    fn bad_of(
        &self,
        batch: &OpenBatch,
        indices: &mut Vec<usize>,
    ) -> Result<(Vec<usize>, Vec<BadSample>), LoaderError> {
        let (mut left_out, mut all_bad) = (Vec::new(), Vec::new());
        for Bad { slot, error, replaced_by } in batch.take_bad() {
            let index = batch.indices()[slot];
            let origin = self.shared.source.origin(index).into();
            match (self.config.on_error, replaced_by) {
                (OnError::Raise, _) | (OnError::Replace, None) => {
                    return Err(LoaderError::Sample { index, origin, source: error });
                }
                (OnError::Skip { max }, _) if self.bad_samples.len() + all_bad.len() >= max => {
                    return Err(LoaderError::TooManyBad { max, index, origin, source: error });
                }
                (OnError::Skip { .. }, _) => left_out.push(slot),
                (OnError::Replace, Some(other)) => indices[slot] = other,
            }
            let bad = BadSample { epoch: batch.epoch, index, origin, error, replaced_by };
            all_bad.push(bad);
        }
        for slot in left_out.iter().rev() {
            indices.remove(*slot);
        }
        if indices.is_empty() {
            return Err(LoaderError::NoGoodSample { batch: batch.number, epoch: batch.epoch });
        }
        Ok((left_out, all_bad))
    }

    /// Opens batches until the queue is full.
    fn fill_queue(&mut self) -> Result<(), LoaderError> {
        let depth = if self.own_loader.is_some() { 1 } else { self.config.prefetch_depth };
        for _ in self.shared.queue.len()..depth {
            let Some(batch) = self.open_next()? else { break };
            self.shared.queue.push(batch);
        }
        Ok(())
    }

    /// The batch after the last one opened; the epoch after the last is the next one.
    fn open_next(&mut self) -> Result<Option<OpenBatch>, LoaderError> {
        let Some(plan) = &mut self.plan else { return Ok(None) };
        if plan.batch >= plan.order.batches() {
            let epoch = plan.epoch.wrapping_add(1);
            let Ok(order) = self.config.orders.of(epoch) else {
                // An error of that epoch alone, which is told when it is begun.
                self.plan = None;
                return Ok(None);
            };
            *plan = Plan { epoch, batch: 0, order: Arc::new(order) };
            if plan.order.batches() == 0 {
                return Ok(None);
            }
        }
        let range = plan.order.range(plan.batch);
        let slots = Slots::new(range.len(), &self.config.fields, &self.pools)?;
        let number = (plan.epoch, plan.batch, self.opened);
        let batch = OpenBatch::new(number, (plan.order.clone(), range), slots);
        plan.batch += 1;
        self.opened += 1;
        Ok(Some(batch))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.queue.clear();
        self.shared.queue.stop();
        self.threads.join();
    }
}
