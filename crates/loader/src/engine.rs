//! The engine: workers fill slots, batches come out in order.
//!
//! The unit of work is the sample. The batches being filled stand in a queue, at most
//! `prefetch_depth` of them. A worker claims the next slot of the first batch that has one, loads
//! the sample into it, and takes the next; so all workers help with the batch that is needed
//! first, and a slow sample delays only its own batch. Whoever finishes the last slot of a batch
//! wakes the consumer. The consumer waits for the batch at the head, takes it, and opens another
//! at the tail, which wakes the workers.
//!
//! One mutex guards the queue; it is taken once a batch by each worker, never for a sample. Two
//! condition variables: `room` for workers that find no slot to claim, `ready` for the consumer.
//! Nothing that can panic or block runs under the lock.
//!
//! The queue runs on into the next epoch, so that its first batches are ready when this one ends.
//! Without workers the consumer fills the batch at the head itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use preproc::SampleRng;
use profiler::stage::{Stage, StageClock, StageCounters, StageTimes};
use tch::Tensor;

use crate::order::Sampler;
use crate::slab::SlabPool;
use crate::slots::{Claim, Slots};
use crate::{Dataset, Field, LoaderError, SampleError, Slot};

/// A data set without its type, so that the engine need not know it.
pub(crate) trait Source: Send + Sync {
    /// A function that loads samples on one thread, with that thread's worker state.
    fn worker(self: Arc<Self>) -> Box<dyn FnMut(usize, &mut Slot<'_>) -> Result<(), SampleError>>;
    /// See [`Dataset::origin`].
    fn origin(&self, index: usize) -> Option<String>;
}

impl<D: Dataset> Source for D {
    fn worker(self: Arc<Self>) -> Box<dyn FnMut(usize, &mut Slot<'_>) -> Result<(), SampleError>> {
        let mut worker = D::Worker::default();
        Box::new(move |index, slot| self.load(index, &mut worker, slot))
    }

    fn origin(&self, index: usize) -> Option<String> {
        Dataset::origin(self, index)
    }
}

/// A batch that is being filled or waits to be taken.
struct OpenBatch {
    epoch: u64,
    number: usize,
    order: Arc<[usize]>,
    start: usize,
    slots: Slots,
    /// Of the samples that failed, the first in the batch.
    failure: Mutex<Option<Failure>>,
}

struct Failure {
    slot: usize,
    index: usize,
    error: SampleError,
}

impl OpenBatch {
    fn indices(&self) -> &[usize] {
        &self.order[self.start..][..self.slots.len()]
    }

    fn fail(&self, failure: Failure) {
        let mut first = lock(&self.failure);
        if first.as_ref().is_none_or(|first| failure.slot < first.slot) {
            *first = Some(failure);
        }
    }
}

/// A filled batch.
pub(crate) struct Filled {
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) indices: Vec<usize>,
}

/// What to open next.
struct Plan {
    epoch: u64,
    batch: usize,
    order: Arc<[usize]>,
}

struct State {
    /// The batches being filled or waiting, in order. Only the consumer adds and removes.
    queue: VecDeque<Arc<OpenBatch>>,
    stop: bool,
}

struct Shared {
    source: Arc<dyn Source>,
    seed: u64,
    state: Mutex<State>,
    room: Condvar,
    ready: Condvar,
}

/// Sizes and places that do not change while an engine lives.
pub(crate) struct EngineConfig {
    pub(crate) fields: Vec<Field>,
    pub(crate) sampler: Sampler,
    pub(crate) seed: u64,
    pub(crate) num_workers: usize,
    pub(crate) prefetch_depth: usize,
    pub(crate) pin_memory: bool,
}

/// The workers and their queue. Dropping it stops and joins them.
pub(crate) struct Engine {
    config: EngineConfig,
    shared: Arc<Shared>,
    pools: Vec<Arc<SlabPool>>,
    threads: Vec<JoinHandle<()>>,
    counters: Vec<Arc<StageCounters>>,
    plan: Option<Plan>,
    /// The consumer's own clock counts its waiting and, without workers, its loading.
    consumer: StageClock,
    /// Without workers, the consumer loads samples itself.
    own_loader: Option<Worker>,
}

impl Engine {
    pub(crate) fn start(
        source: Arc<dyn Source>,
        config: EngineConfig,
    ) -> Result<Self, LoaderError> {
        // What is being filled, and the batch that the consumer holds.
        let slabs = config.prefetch_depth.max(1) + 1;
        let pools = config.fields.iter().map(|field| {
            let bytes = field.bytes().saturating_mul(config.sampler.batch_size);
            SlabPool::new(bytes, config.pin_memory, slabs)
        });
        let state = State { queue: VecDeque::with_capacity(slabs), stop: false };
        let shared = Arc::new(Shared {
            source,
            seed: config.seed,
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        });
        let consumer = Arc::new(StageCounters::default());
        let mut engine = Self {
            pools: pools.collect(),
            threads: Vec::with_capacity(config.num_workers),
            counters: vec![consumer.clone()],
            plan: None,
            consumer: StageClock::new(consumer, Stage::Consume),
            own_loader: (config.num_workers == 0).then(|| Worker::new(&shared)),
            config,
            shared,
        };
        for number in 0..engine.config.num_workers {
            let counters = Arc::new(StageCounters::default());
            engine.counters.push(counters.clone());
            let shared = engine.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("loader-worker-{number}"))
                .spawn(move || work(&shared, counters))
                .map_err(|source| LoaderError::Spawn { number, source })?;
            engine.threads.push(thread);
        }
        Ok(engine)
    }

    /// Thread-seconds by stage since the start, over all threads.
    pub(crate) fn times(&self) -> StageTimes {
        let mut sum = StageTimes::default();
        for counters in &self.counters {
            sum += counters.times();
        }
        sum
    }

    /// Makes `batch` of `epoch` the next to come out.
    pub(crate) fn seek(&mut self, epoch: u64, batch: usize) -> Result<(), LoaderError> {
        let head = lock(&self.shared.state).queue.front().map(|head| (head.epoch, head.number));
        let next = head.or(self.plan.as_ref().map(|plan| (plan.epoch, plan.batch)));
        if next != Some((epoch, batch)) {
            self.clear_queue(false);
            self.plan = Some(Plan { epoch, batch, order: self.config.sampler.epoch(epoch) });
        }
        self.fill_queue()
    }

    /// The next batch, or the error of its first bad sample.
    pub(crate) fn next(&mut self) -> Result<Filled, LoaderError> {
        self.consumer.enter(Stage::Other);
        let filled = self.next_filled();
        self.consumer.enter(Stage::Consume);
        filled
    }

    fn next_filled(&mut self) -> Result<Filled, LoaderError> {
        self.fill_queue()?;
        let shared = self.shared.clone();
        let head = lock(&shared.state).queue.front().cloned().ok_or(LoaderError::NoBatch)?;
        if let Some(worker) = &mut self.own_loader {
            worker.fill(&shared, &head, &mut self.consumer);
        } else if !head.slots.is_complete() {
            self.consumer.enter(Stage::WaitBatch);
            let mut state = lock(&shared.state);
            while !head.slots.is_complete() {
                state = shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            self.consumer.enter(Stage::Other);
        }
        lock(&shared.state).queue.pop_front();

        let failure = lock(&head.failure).take();
        let filled = match failure {
            Some(Failure { index, error, .. }) => {
                let origin = shared.source.origin(index).into();
                Err(LoaderError::Sample { index, origin, source: error })
            }
            None => {
                let tensors = head.slots.take(&self.config.fields).ok_or(LoaderError::NoBatch)?;
                tensors.map(|tensors| Filled { tensors, indices: head.indices().to_vec() })
            }
        };
        drop(head);
        if self.own_loader.is_none() {
            // The workers go on while the caller uses its batch. What goes wrong here goes wrong
            // again in the next call, and is returned there.
            let _ = self.fill_queue();
        }
        filled
    }

    /// Opens batches until the queue is full.
    fn fill_queue(&mut self) -> Result<(), LoaderError> {
        let depth = if self.config.num_workers == 0 { 1 } else { self.config.prefetch_depth };
        while lock(&self.shared.state).queue.len() < depth {
            let Some(batch) = self.open_next()? else { break };
            lock(&self.shared.state).queue.push_back(Arc::new(batch));
            self.shared.room.notify_all();
        }
        Ok(())
    }

    /// The batch after the last one opened; the epoch after the last is the next one.
    fn open_next(&mut self) -> Result<Option<OpenBatch>, LoaderError> {
        let sampler = &self.config.sampler;
        let Some(plan) = &mut self.plan else { return Ok(None) };
        if plan.batch >= sampler.batches() {
            let epoch = plan.epoch + 1;
            *plan = Plan { epoch, batch: 0, order: sampler.epoch(epoch) };
        }
        let range = sampler.range(plan.batch);
        let batch = OpenBatch {
            epoch: plan.epoch,
            number: plan.batch,
            order: plan.order.clone(),
            start: range.start,
            slots: Slots::new(range.len(), &self.config.fields, &self.pools)?,
            failure: Mutex::new(None),
        };
        plan.batch += 1;
        Ok(Some(batch))
    }

    fn clear_queue(&mut self, stop: bool) {
        let mut state = lock(&self.shared.state);
        state.stop = stop;
        for stale in state.queue.drain(..) {
            stale.slots.close();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.clear_queue(true);
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches its data set's panics; one of its own has been printed.
            let _ = thread.join();
        }
    }
}

/// The life of a worker thread.
fn work(shared: &Arc<Shared>, counters: Arc<StageCounters>) {
    let mut clock = StageClock::new(counters, Stage::Other);
    let mut worker = Worker::new(shared);
    while let Some(batch) = next_unclaimed(shared, &mut clock) {
        worker.fill(shared, &batch, &mut clock);
    }
}

/// The first batch with a slot to claim; waits for one; `None` when it is time to stop.
fn next_unclaimed(shared: &Shared, clock: &mut StageClock) -> Option<Arc<OpenBatch>> {
    let mut state = lock(&shared.state);
    loop {
        if state.stop {
            return None;
        }
        if let Some(batch) = state.queue.iter().find(|batch| batch.slots.has_unclaimed()) {
            return Some(batch.clone());
        }
        clock.enter(Stage::WaitRoom);
        state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        clock.enter(Stage::Other);
    }
}

/// What loads samples on one thread.
struct Worker {
    load: Box<dyn FnMut(usize, &mut Slot<'_>) -> Result<(), SampleError>>,
}

impl Worker {
    fn new(shared: &Arc<Shared>) -> Self {
        Self { load: shared.source.clone().worker() }
    }

    /// Claims and fills slots of `batch` until none are left.
    fn fill(&mut self, shared: &Arc<Shared>, batch: &OpenBatch, clock: &mut StageClock) {
        while let Some(mut claim) = batch.slots.claim() {
            let slot = claim.slot();
            let index = batch.indices()[slot];
            if let Err(error) = self.load(shared, batch.epoch, index, &mut claim, clock) {
                batch.fail(Failure { slot, index, error });
            }
            if claim.finish() {
                // Under the lock, lest the consumer look and fall asleep in between.
                let _state = lock(&shared.state);
                shared.ready.notify_one();
            }
        }
    }

    fn load(
        &mut self,
        shared: &Arc<Shared>,
        epoch: u64,
        index: usize,
        claim: &mut Claim<'_>,
        clock: &mut StageClock,
    ) -> Result<(), SampleError> {
        let rng = SampleRng::new(shared.seed, epoch, index as u64);
        let mut slot = Slot { rng, clock, fields: claim.fields() };
        let loaded = catch_unwind(AssertUnwindSafe(|| (self.load)(index, &mut slot)));
        clock.enter(Stage::Other);
        loaded.unwrap_or_else(|panic| {
            // What the worker kept may be half-changed.
            *self = Self::new(shared);
            Err(SampleError::from(format!("the data set panicked: {}", panic_message(&*panic))))
        })
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        message
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message
    } else {
        "(no message)"
    }
}

/// Nothing under these locks panics half-way through a change, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
