//! The batches being filled, in order, and who waits for what.
//!
//! One mutex guards the queue; it is taken once a batch by each worker, never for a sample. Three
//! condition variables: `room` for workers that find no slot to claim, `unread` for readers that
//! find none to read ahead, `ready` for the consumer. Who waits is written down under the lock, so
//! that nobody calls the system to wake nobody. Nothing that can panic or block runs under it.
//!
//! Workers and the consumer look for some microseconds before they sleep: where batches are small,
//! what they wait for comes sooner than the system could wake them.
//!
//! While the queue is paused nobody claims a slot. The consumer, who pauses it, waits until the
//! workers have nothing in hand.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, spin_until};
use crate::tickets::Tickets;

/// Something of which workers claim slots.
pub(crate) trait Ticketed {
    /// Its tickets.
    fn tickets(&self) -> &Tickets;
}

/// Batches being filled or waiting to be taken, in order. Only the consumer adds and removes.
pub(crate) struct Queue<B> {
    state: Mutex<State<B>>,
    /// Counts batches added, and calls to leave or stop: a worker sees without the lock that there
    /// is something new.
    news: AtomicUsize,
    /// Whether it is paused: workers and readers look between samples, without the lock.
    paused: AtomicBool,
    room: Condvar,
    unread: Condvar,
    ready: Condvar,
    at_rest: Condvar,
}

/// What a worker waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// A slot to claim.
    Room,
    /// The end of a pause.
    Pause,
}

struct State<B> {
    open: VecDeque<Arc<B>>,
    stop: bool,
    /// Workers that have a batch in hand.
    at_work: usize,
    /// Workers that wait for `room`.
    idle_workers: usize,
    /// Readers that wait for `unread`.
    idle_readers: usize,
    /// Whether the consumer waits for `ready`.
    awaited: bool,
}

impl<B: Ticketed> Queue<B> {
    pub(crate) fn new(capacity: usize) -> Self {
        let open = VecDeque::with_capacity(capacity);
        let state = State {
            open,
            stop: false,
            at_work: 0,
            idle_workers: 0,
            idle_readers: 0,
            awaited: false,
        };
        Self {
            state: Mutex::new(state),
            news: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            room: Condvar::new(),
            unread: Condvar::new(),
            ready: Condvar::new(),
            at_rest: Condvar::new(),
        }
    }

    /// Gives back the batch in hand, and gives the first with a slot to claim; waits for one, and
    /// tells `idle` what for: `None` when it waits no more. `None` when it is time to stop, or for
    /// this worker to `leave`.
    pub(crate) fn next_unclaimed(
        &self,
        in_hand: Option<Arc<B>>,
        leave: &AtomicBool,
        mut idle: impl FnMut(Option<Idle>),
    ) -> Option<Arc<B>> {
        let had = in_hand.is_some();
        drop(in_hand);
        let mut waits_for = None;
        let mut wait_for = |what| {
            if std::mem::replace(&mut waits_for, what) != what {
                idle(what);
            }
        };
        let mut looked_at = None;
        let mut state = self.lock();
        if had {
            state.at_work -= 1;
            if state.at_work == 0 && self.is_paused() {
                self.at_rest.notify_one();
            }
        }
        let found = loop {
            if state.stop || leave.load(Ordering::Relaxed) {
                break None;
            }
            if self.is_paused() {
                wait_for(Some(Idle::Pause));
                state = self.wait_for_room(state);
                continue;
            }
            let mut open = state.open.iter();
            if let Some(batch) = open.find(|batch| batch.tickets().has_unclaimed()).cloned() {
                state.at_work += 1;
                break Some(batch);
            }
            wait_for(Some(Idle::Room));
            let news = self.news.load(Ordering::Relaxed);
            if looked_at == Some(news) {
                state = self.wait_for_room(state);
            } else {
                drop(state);
                looked_at = Some(news);
                // A hint, for what it says is looked at under the lock.
                spin_until(|| self.news.load(Ordering::Relaxed) != news);
                state = self.lock();
            }
        };
        drop(state);
        wait_for(None);
        found
    }

    fn wait_for_room<'a>(&self, mut state: MutexGuard<'a, State<B>>) -> MutexGuard<'a, State<B>> {
        state.idle_workers += 1;
        state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.idle_workers -= 1;
        state
    }

    /// Has workers and readers stop after the sample in hand, and waits for the workers to, at most
    /// for so long.
    pub(crate) fn pause(&self, at_most: Duration) {
        self.paused.store(true, Ordering::Relaxed);
        // Those that wait for room note that they wait for something else now.
        self.wake_workers();
        let mut state = self.lock();
        while state.at_work > 0 {
            let woken = self.at_rest.wait_timeout(state, at_most);
            let (woken, result) = woken.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if result.timed_out() {
                break;
            }
        }
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
        self.wake_workers();
        self.unread.notify_all();
    }

    /// Whether no slot is to be claimed now. A hint, unless the lock is held.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Has workers that wait see whether they are to leave, or a pause has begun or ended.
    pub(crate) fn wake_workers(&self) {
        // Under the lock, lest one look and fall asleep in between.
        let state = self.lock();
        self.news.fetch_add(1, Ordering::Relaxed);
        drop(state);
        self.room.notify_all();
    }

    /// The first batch with a slot to read ahead; waits for one; `None` when it is time to stop.
    pub(crate) fn next_unread(&self) -> Option<Arc<B>> {
        let mut state = self.lock();
        while !state.stop {
            let unread = state.open.iter().find(|batch| batch.tickets().has_unread());
            if let Some(batch) = unread.filter(|_| !self.is_paused()) {
                return Some(batch.clone());
            }
            state.idle_readers += 1;
            state = self.unread.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_readers -= 1;
        }
        None
    }

    /// Seals `batch`, whose last slot is finished, and wakes the consumer if it waits.
    pub(crate) fn seal(&self, batch: &B) {
        batch.tickets().seal();
        // Under the lock, lest the consumer look and fall asleep in between.
        if self.lock().awaited {
            self.ready.notify_one();
        }
    }

    /// Waits until `batch` is sealed, or `at_most` has passed; whether it is sealed.
    pub(crate) fn wait_until_complete(&self, batch: &B, at_most: Option<Duration>) -> bool {
        spin_until(|| batch.tickets().is_complete());
        let mut state = self.lock();
        while !batch.tickets().is_complete() {
            state.awaited = true;
            let mut passed = false;
            state = match at_most {
                None => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at_most) => {
                    let woken = self.ready.wait_timeout(state, at_most);
                    let (state, result) = woken.unwrap_or_else(PoisonError::into_inner);
                    passed = result.timed_out();
                    state
                }
            };
            state.awaited = false;
            if passed {
                return batch.tickets().is_complete();
            }
        }
        true
    }

    /// Number of batches in the queue.
    pub(crate) fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// The batch to come out next.
    pub(crate) fn head(&self) -> Option<Arc<B>> {
        self.lock().open.front().cloned()
    }

    /// Removes the batch at the head.
    pub(crate) fn pop(&self) {
        self.lock().open.pop_front();
    }

    /// Adds a batch at the tail and wakes whom it gives something to do.
    pub(crate) fn push(&self, batch: B) {
        let slots = batch.tickets().len();
        let mut state = self.lock();
        state.open.push_back(Arc::new(batch));
        self.news.fetch_add(1, Ordering::Relaxed);
        let (workers, readers) = (state.idle_workers.min(slots), state.idle_readers.min(slots));
        drop(state);
        for _ in 0..workers {
            self.room.notify_one();
        }
        for _ in 0..readers {
            self.unread.notify_one();
        }
    }

    /// Drops all batches; what is being loaded into them is finished but goes nowhere.
    pub(crate) fn clear(&self) {
        let stale: Vec<_> = self.lock().open.drain(..).collect();
        for batch in stale {
            batch.tickets().close();
        }
    }

    /// Ends the waits of workers and readers, now and for ever.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.news.fetch_add(1, Ordering::Relaxed);
        self.room.notify_all();
        self.unread.notify_all();
    }

    /// Nothing under this lock panics half-way through a change, so a poisoned one is whole.
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
