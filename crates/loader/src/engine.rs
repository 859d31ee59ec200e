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
//! Who waits is written down under the lock, so that nobody calls the system to wake nobody.
//! Nothing that can panic or block runs under the lock.
//!
//! The queue runs on into the next epoch, so that its first batches are ready when this one ends.
//! Without workers the consumer fills the batch at the head itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use profiler::stage::{Stage, StageClock, StageCounters, StageTimes};
use tch::Tensor;

use crate::order::Sampler;
use crate::slab::SlabPool;
use crate::slots::Slots;
use crate::worker::{self, Source, Worker};
use crate::{Field, LoaderError, SampleError};

/// A batch that is being filled or waits to be taken.
pub(crate) struct OpenBatch {
    pub(crate) epoch: u64,
    number: usize,
    order: Arc<[usize]>,
    start: usize,
    pub(crate) slots: Slots,
    /// The slots of samples that could not be loaded, in no order.
    failures: Mutex<Vec<(usize, SampleError)>>,
}

impl OpenBatch {
    pub(crate) fn indices(&self) -> &[usize] {
        &self.order[self.start..][..self.slots.len()]
    }

    pub(crate) fn fail(&self, slot: usize, error: SampleError) {
        lock(&self.failures).push((slot, error));
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
    /// Workers that wait for `room`.
    idle: usize,
    /// Whether the consumer waits for `ready`.
    awaited: bool,
}

/// What the consumer and the workers share.
pub(crate) struct Shared {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) seed: u64,
    state: Mutex<State>,
    room: Condvar,
    ready: Condvar,
}

impl Shared {
    /// The first batch with a slot to claim; waits for one; `None` when it is time to stop.
    pub(crate) fn next_unclaimed(&self, clock: &mut StageClock) -> Option<Arc<OpenBatch>> {
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return None;
            }
            if let Some(batch) = state.queue.iter().find(|batch| batch.slots.has_unclaimed()) {
                return Some(batch.clone());
            }
            clock.enter(Stage::WaitRoom);
            state.idle += 1;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            clock.enter(Stage::Other);
        }
    }

    /// Says that the last slot of a batch is finished.
    pub(crate) fn batch_is_complete(&self) {
        // Under the lock, lest the consumer look and fall asleep in between.
        if lock(&self.state).awaited {
            self.ready.notify_one();
        }
    }

    fn wait_until_complete(&self, batch: &OpenBatch) {
        let mut state = lock(&self.state);
        while !batch.slots.is_complete() {
            state.awaited = true;
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.awaited = false;
        }
    }

    fn push(&self, batch: OpenBatch) {
        let slots = batch.slots.len();
        let mut state = lock(&self.state);
        state.queue.push_back(Arc::new(batch));
        let wake = state.idle.min(slots);
        drop(state);
        for _ in 0..wake {
            self.room.notify_one();
        }
    }
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
            let samples = config.sampler.batch_size.min(config.sampler.samples);
            let bytes = field.bytes().saturating_mul(samples);
            SlabPool::new(bytes, config.pin_memory, slabs)
        });
        let queue = VecDeque::with_capacity(slabs);
        let state = State { queue, stop: false, idle: 0, awaited: false };
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
            own_loader: (config.num_workers == 0).then(Worker::default),
            config,
            shared,
        };
        for number in 0..engine.config.num_workers {
            let counters = Arc::new(StageCounters::default());
            engine.counters.push(counters.clone());
            let shared = engine.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("loader-worker-{number}"))
                .spawn(move || worker::run(&shared, counters))
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

    /// Batch number `batch` of `epoch`, or the error of its first bad sample. Workers then go on
    /// with those behind it while the caller uses this one.
    pub(crate) fn take(&mut self, epoch: u64, batch: usize) -> Result<Filled, LoaderError> {
        self.consumer.enter(Stage::Other);
        let filled = self.seek(epoch, batch).and_then(|()| self.next());
        if self.own_loader.is_none() {
            // What goes wrong here goes wrong again in the next call, and is returned there.
            let _ = self.fill_queue();
        }
        self.consumer.enter(Stage::Consume);
        filled
    }

    /// Makes `batch` of `epoch` the next to come out.
    fn seek(&mut self, epoch: u64, batch: usize) -> Result<(), LoaderError> {
        let head = lock(&self.shared.state).queue.front().map(|head| (head.epoch, head.number));
        let next = head.or(self.plan.as_ref().map(|plan| (plan.epoch, plan.batch)));
        if next != Some((epoch, batch)) {
            self.clear_queue(false);
            self.plan = Some(Plan { epoch, batch, order: self.config.sampler.epoch(epoch) });
        }
        self.fill_queue()
    }

    fn next(&mut self) -> Result<Filled, LoaderError> {
        let Self { shared, config, .. } = self;
        let head = lock(&shared.state).queue.front().cloned().ok_or(LoaderError::NoBatch)?;
        if let Some(worker) = &mut self.own_loader {
            worker.fill(shared, &head, &mut self.consumer);
        } else if !head.slots.is_complete() {
            self.consumer.enter(Stage::WaitBatch);
            shared.wait_until_complete(&head);
            self.consumer.enter(Stage::Other);
        }
        lock(&shared.state).queue.pop_front();

        // The first in the batch, whichever failed first.
        let failures = std::mem::take(&mut *lock(&head.failures));
        if let Some((slot, source)) = failures.into_iter().min_by_key(|(slot, _)| *slot) {
            let index = head.indices()[slot];
            let origin = shared.source.origin(index).into();
            return Err(LoaderError::Sample { index, origin, source });
        }
        let tensors = head.slots.take(&config.fields).ok_or(LoaderError::NoBatch)??;
        Ok(Filled { tensors, indices: head.indices().to_vec() })
    }

    /// Opens batches until the queue is full.
    fn fill_queue(&mut self) -> Result<(), LoaderError> {
        let depth = if self.config.num_workers == 0 { 1 } else { self.config.prefetch_depth };
        let open = lock(&self.shared.state).queue.len();
        for _ in open..depth {
            let Some(batch) = self.open_next()? else { break };
            self.shared.push(batch);
        }
        Ok(())
    }

    /// The batch after the last one opened; the epoch after the last is the next one.
    fn open_next(&mut self) -> Result<Option<OpenBatch>, LoaderError> {
        let sampler = &self.config.sampler;
        let Some(plan) = &mut self.plan else { return Ok(None) };
        if plan.batch >= sampler.batches() {
            let epoch = plan.epoch.wrapping_add(1);
            *plan = Plan { epoch, batch: 0, order: sampler.epoch(epoch) };
        }
        let range = sampler.range(plan.batch);
        let batch = OpenBatch {
            epoch: plan.epoch,
            number: plan.batch,
            order: plan.order.clone(),
            start: range.start,
            slots: Slots::new(range.len(), &self.config.fields, &self.pools)?,
            failures: Mutex::default(),
        };
        plan.batch += 1;
        Ok(Some(batch))
    }

    fn clear_queue(&mut self, stop: bool) {
        let mut state = lock(&self.shared.state);
        state.stop = stop;
        let stale: Vec<_> = state.queue.drain(..).collect();
        drop(state);
        for batch in stale {
            batch.slots.close();
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

/// Nothing under these locks panics half-way through a change, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
