//! What a loader counts: for its own statistics and, as a pipeline, for a profiler.

use std::iter;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use profiler::monitor::process_cpu;
use profiler::pipeline::{PipelineSnapshot, PipelineSource, Room, StationSnapshot};
use profiler::stage::{Stage, StageCounters, StageTimes, delivery_station, workers_station};

use crate::Stats;

/// The counters of one loader; they only grow.
#[derive(Debug)]
pub(crate) struct Counters {
    num_workers: AtomicUsize,
    /// How many batches the workers fill.
    prefetch_depth: AtomicUsize,
    /// Whether the consumer moves or converts whole batches.
    delivers: bool,
    /// Of all workers there ever were.
    workers: Mutex<Vec<Arc<StageCounters>>>,
    /// The consumer's waiting and its own work; without workers, its loading.
    consumer: Arc<StageCounters>,
    batches: AtomicU64,
    samples: AtomicU64,
    /// When the latest batch came out, since `began`.
    latest_nanos: AtomicU64,
    began: Instant,
    unready_nanos: AtomicU64,
}

impl Counters {
    pub(crate) fn new(prefetch_depth: usize, delivers: bool) -> Self {
        Self {
            num_workers: AtomicUsize::new(0),
            prefetch_depth: AtomicUsize::new(prefetch_depth),
            delivers,
            workers: Mutex::default(),
            consumer: Arc::default(),
            batches: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            latest_nanos: AtomicU64::new(0),
            began: Instant::now(),
            unready_nanos: AtomicU64::new(0),
        }
    }

    /// So many workers load from now on.
    pub(crate) fn set_workers(&self, num_workers: usize) {
        self.num_workers.store(num_workers, Relaxed);
    }

    /// So many batches are ready or being filled from now on.
    pub(crate) fn set_depth(&self, prefetch_depth: usize) {
        self.prefetch_depth.store(prefetch_depth, Relaxed);
    }

    /// Those of one more worker.
    pub(crate) fn add_worker(&self) -> Arc<StageCounters> {
        let counters = Arc::new(StageCounters::default());
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(counters.clone());
        counters
    }

    pub(crate) fn consumer(&self) -> &Arc<StageCounters> {
        &self.consumer
    }

    /// Notes that a batch came out.
    pub(crate) fn add_batch(&self, samples: usize) {
        self.latest_nanos.store(self.began.elapsed().as_nanos() as u64, Relaxed);
        self.batches.fetch_add(1, Relaxed);
        self.samples.fetch_add(samples as u64, Relaxed);
    }

    /// Notes that for so long the batch to come out next was not complete.
    pub(crate) fn add_unready(&self, time: Duration) {
        self.unready_nanos.fetch_add(time.as_nanos() as u64, Relaxed);
    }

    fn since_batch_s(&self) -> f64 {
        let latest = Duration::from_nanos(self.latest_nanos.load(Relaxed));
        self.began.elapsed().saturating_sub(latest).as_secs_f64()
    }

    /// Batches that came out.
    pub(crate) fn batches(&self) -> u64 {
        self.batches.load(Relaxed)
    }

    /// Thread-seconds that workers were busy.
    pub(crate) fn workers_busy_s(&self) -> f64 {
        self.workers().iter().map(|worker| worker.times().busy_s()).sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        let consumer = self.consumer.times();
        let (mut stages, mut loaded) = (consumer, self.consumer.items());
        for worker in self.workers() {
            stages += worker.times();
            loaded += worker.items();
        }
        Stats {
            batches: self.batches.load(Relaxed),
            samples: self.samples.load(Relaxed),
            loaded,
            stages,
            waited_s: waited_s(&consumer),
            consumer_s: consumer.consume_s,
        }
    }

    fn workers(&self) -> Vec<Arc<StageCounters>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn station(&self) -> StationSnapshot {
        let num_workers = self.num_workers.load(Relaxed);
        if num_workers > 0 {
            let room = Room::Batches(self.prefetch_depth.load(Relaxed));
            return workers_station("workers", num_workers, Some(room), &self.workers());
        }
        // The thread's CPU time is that of the program's own work too.
        StationSnapshot {
            on_consumer: true,
            cpu_s: None,
            run_delay_s: None,
            ..workers_station("consumer", 1, None, std::slice::from_ref(&self.consumer))
        }
    }
}

/// What the consumer does in the loader is waiting too, to the training loop.
fn waited_s(consumer: &StageTimes) -> f64 {
    consumer.wait_batch_s + consumer.busy_s() + consumer.delivery_s()
}

impl PipelineSource for Counters {
    fn snapshot(&self) -> PipelineSnapshot {
        let consumer = self.consumer.times();
        let station = self.station();
        let delivery = self.delivers.then(|| delivery_station("delivery", &self.consumer));
        let others_cpu_s = |cpu_s: f64| (process_cpu().as_secs_f64() - cpu_s).max(0.0);
        PipelineSnapshot {
            items: self.samples.load(Relaxed),
            batches: self.batches.load(Relaxed),
            since_batch_s: Some(self.since_batch_s()),
            consumer_wait_s: match station.on_consumer {
                // Its loading is told by the station.
                true => consumer.wait_batch_s,
                false => consumer.wait_batch_s + consumer.busy_s(),
            },
            consumer_busy_s: consumer.consume_s,
            queue_empty_s: (!station.on_consumer)
                .then(|| self.unready_nanos.load(Relaxed) as f64 * 1e-9),
            // libtorch computes on threads of its own: whatever is not the workers' is the consumer's.
            consumer_cpu_s: station.cpu_s.map(others_cpu_s),
            consumer_run_delay_s: self.consumer.consumer_run_delay_s(),
            consumer_visits: self.consumer.visits(Stage::Consume),
            stations: iter::once(station).chain(delivery).collect(),
            at_s: 0.0,
        }
    }
}
