//! The loader's threads: started, watched and joined.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::LoaderError;
use crate::counters::Counters;
use crate::engine::Shared;
use crate::error::Report;
use crate::ffi;
use crate::open_batch::OpenBatch;
use crate::queue::Ticketed;
use crate::worker::{self, At, Watch};

/// Which threads there are.
#[derive(Clone, Debug)]
pub(crate) struct ThreadsConfig {
    pub(crate) num_workers: usize,
    pub(crate) io_threads: usize,
    pub(crate) pin_workers: bool,
    /// How long one sample may take.
    pub(crate) timeout: Option<Duration>,
}

/// The threads of one loader.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    config: ThreadsConfig,
    workers: Vec<WorkerThread>,
    /// Workers that end after their sample.
    leaving: Vec<WorkerThread>,
    readers: Vec<JoinHandle<()>>,
    /// The core of each worker, where they are pinned.
    cores: Vec<usize>,
    counters: Arc<Counters>,
}

struct WorkerThread {
    handle: JoinHandle<()>,
    watch: Arc<Watch>,
    /// What it was at when last looked at, and since when at least.
    seen: (Option<At>, Instant),
}

impl WorkerThread {
    /// Its sample, if it has been at it for `timeout` or longer.
    fn over(&mut self, timeout: Duration, now: Instant) -> Option<At> {
        let at = self.watch.get();
        if at != self.seen.0 {
            self.seen = (at, now);
        }
        at.filter(|_| now - self.seen.1 >= timeout)
    }
}

impl Threads {
    /// Starts them; those that were started are stopped and joined if one cannot be.
    pub(crate) fn start(
        shared: Arc<Shared>,
        config: ThreadsConfig,
        counters: Arc<Counters>,
    ) -> Result<Self, LoaderError> {
        let cores = if config.pin_workers { cores() } else { Vec::new() };
        let num_workers = config.num_workers;
        let (workers, leaving, readers) = (Vec::new(), Vec::new(), Vec::new());
        let mut threads = Self { shared, config, workers, leaving, readers, cores, counters };
        let started = threads.set_workers(num_workers);
        if let Err(error) = started {
            threads.shared.queue.stop();
            threads.join();
            return Err(error);
        }
        Ok(threads)
    }

    /// Has `num_workers` work from now on: starts those that are missing, or has the last ones end,
    /// each after its sample.
    pub(crate) fn set_workers(&mut self, num_workers: usize) -> Result<(), LoaderError> {
        self.leaving.retain(|worker| !worker.handle.is_finished());
        for number in self.workers.len()..num_workers {
            let worker = self.start_worker(number)?;
            self.workers.push(worker);
            self.counters.set_workers(self.workers.len());
        }
        if num_workers < self.workers.len() {
            let leaving = self.workers.drain(num_workers..);
            leaving.as_slice().iter().for_each(|it| it.watch.leave.store(true, Ordering::Relaxed));
            self.leaving.extend(leaving);
            self.shared.queue.wake_workers();
            self.counters.set_workers(num_workers);
        }
        // Without workers there is nobody to read ahead of.
        let readers = if num_workers == 0 { 0 } else { self.config.io_threads };
        for number in self.readers.len()..readers {
            let shared = self.shared.clone();
            let run = move || worker::read_ahead(&shared);
            self.readers.push(spawn("loader-io", number, run)?);
        }
        Ok(())
    }

    fn start_worker(&mut self, number: usize) -> Result<WorkerThread, LoaderError> {
        let (counters, watch) = (self.counters.add_worker(), Arc::new(Watch::default()));
        let core = self.cores.get(number % self.cores.len().max(1)).copied();
        let (shared, watched) = (self.shared.clone(), watch.clone());
        let handle = spawn("loader-worker", number, move || {
            if let Some(core) = core {
                pin_to(core);
            }
            ffi::compute_on_one_thread();
            worker::run(&shared, counters, watched);
        })?;
        Ok(WorkerThread { handle, watch, seen: (None, Instant::now()) })
    }

    /// Waits for `batch`. Its first sample that takes longer than it may, and how long that is, if there is
    /// one.
    ///
    /// # Errors
    /// If all workers are stuck, and none can be started in their place.
    pub(crate) fn wait_until_complete(
        &mut self,
        batch: &OpenBatch,
    ) -> Result<Option<(usize, Duration)>, LoaderError> {
        let Some(timeout) = self.config.timeout else {
            self.shared.queue.wait_until_complete(batch, None);
            return Ok(None);
        };
        loop {
            // Before the wait too: batches may come sooner than its time passes, but from fewer
            // workers than there are to be.
            if let Some(index) = self.replace_stuck(batch, timeout)? {
                return Ok(Some((index, timeout)));
            }
            if self.shared.queue.wait_until_complete(batch, Some(timeout / 4)) {
                return Ok(None);
            }
        }
    }

    /// Starts another worker in the place of each that is stuck in `batch`, or in one before it
    /// that nobody waits for any more. The sample in the first slot of `batch` with one, if there is one: it
    /// is then closed.
    fn replace_stuck(
        &mut self,
        batch: &OpenBatch,
        timeout: Duration,
    ) -> Result<Option<usize>, LoaderError> {
        let now = Instant::now();
        let (mut stuck, mut leaves): (Option<At>, bool) = (None, false);
        for worker in self.workers.iter_mut().chain(&mut self.leaving) {
            let over = worker.over(timeout, now).filter(|at| at.serial <= batch.serial);
            let Some(at) = over else { continue };
            worker.watch.leave.store(true, Ordering::Relaxed);
            leaves = true;
            if at.serial == batch.serial && stuck.is_none_or(|first| at.slot < first.slot) {
                stuck = Some(at);
            }
        }
        if leaves {
            // Its sample may be done by now, and it waits: it would take the place of one that stays.
            self.shared.queue.wake_workers();
        }
        if stuck.is_some() {
            // Before there are others, who would go on with it.
            batch.tickets().close();
        }
        let (mut working, mut refused) = (false, None);
        for number in 0..self.workers.len() {
            if self.workers[number].watch.leave.load(Ordering::Relaxed) {
                // It ends when its sample does; nobody waits for that.
                match self.start_worker(number) {
                    Ok(worker) => self.workers[number] = worker,
                    Err(error) => {
                        refused = Some(error);
                        continue;
                    }
                }
            }
            working = true;
        }
        match refused {
            Some(error) if stuck.is_none() && !working => return Err(error),
            // The others go on, and it is tried again.
            Some(error) => tracing::warn!("in the place of a stuck one: {}", Report(&error)),
            None => {}
        }
        Ok(stuck.map(|at| at.index))
    }

    /// Joins all threads, once the queue is stopped. Where samples have a time limit, whoever is
    /// over it is left alone.
    pub(crate) fn join(&mut self) {
        let workers = self.workers.drain(..).chain(self.leaving.drain(..)).map(|it| it.handle);
        let handles: Vec<_> = workers.chain(self.readers.drain(..)).collect();
        if let Some(timeout) = self.config.timeout {
            let start = Instant::now();
            while handles.iter().any(|handle| !handle.is_finished()) && start.elapsed() < timeout {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        for handle in handles {
            if self.config.timeout.is_none() || handle.is_finished() {
                // A worker catches its data set's panics; one of its own has been printed.
                let _ = handle.join();
            } else {
                let name = handle.thread().name().unwrap_or_default();
                tracing::warn!("`{name}` is stuck in a sample and was left behind");
            }
        }
    }
}

fn spawn(
    kind: &'static str,
    number: usize,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, LoaderError> {
    std::thread::Builder::new()
        .name(format!("{kind}-{number}"))
        .spawn(run)
        .map_err(|source| LoaderError::Spawn { kind, number, source })
}

/// The cores that this thread may run on.
fn cores() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(error) => {
            tracing::warn!("workers are not pinned to cores: {}", io::Error::from(error));
            Vec::new()
        }
    }
}

/// Keeps this thread on one core.
fn pin_to(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!("a worker is not pinned to core {core}: {}", io::Error::from(error));
    }
}
