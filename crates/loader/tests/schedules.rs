//! Hand-over, shutdown and readahead under many thousand schedules: no deadlock, no lost wake-up,
//! every slot loaded once, batches in order.
//!
//! The crate's own files are compiled here once more, with shuttle's locks and threads, which
//! switch at every step where threads meet.

#[cfg(test)]
#[path = "../src/queue.rs"]
mod queue;
#[cfg(test)]
#[path = "../src/tickets.rs"]
mod tickets;

/// What they take from the crate.
#[cfg(test)]
mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{LockResult, PoisonError};
    use std::time::Duration;

    use shuttle::rand::{Rng, thread_rng};
    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard};

    /// shuttle's never times out.
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    /// Whether a wait ended since its time had passed.
    pub(crate) struct WaitTimeoutResult(bool);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(shuttle::sync::Condvar::new())
        }

        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
        ) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(guard)
        }

        /// Its time has passed at once, or never does.
        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            at_most: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
            if at_most < Duration::MAX && thread_rng().gen_bool(0.5) {
                return Ok((guard, WaitTimeoutResult(true)));
            }
            let woken = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
            Ok((woken, WaitTimeoutResult(false)))
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    impl WaitTimeoutResult {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    /// Not looking at all is the harder case: whoever looks first sleeps less.
    pub(crate) fn spin_until(_: impl Fn() -> bool) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shuttle::thread::{self, JoinHandle};

    use crate::queue::{Queue, Ticketed};
    use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering};
    use crate::tickets::Tickets;

    struct Batch {
        number: usize,
        tickets: Tickets,
        loaded: Vec<AtomicUsize>,
    }

    impl Ticketed for Batch {
        fn tickets(&self) -> &Tickets {
            &self.tickets
        }
    }

    impl Batch {
        fn new(number: usize, slots: usize) -> Self {
            let loaded = (0..slots).map(|_| AtomicUsize::new(0)).collect();
            Self { number, tickets: Tickets::new(slots), loaded }
        }
    }

    /// A worker, and what has it leave.
    fn worker(queue: &Arc<Queue<Batch>>) -> (JoinHandle<()>, Arc<AtomicBool>) {
        let (queue, leave) = (queue.clone(), Arc::new(AtomicBool::new(false)));
        let leaves = leave.clone();
        let thread = thread::spawn(move || {
            let mut waits_for = None;
            let mut note = |what| {
                assert_ne!(waits_for, what);
                waits_for = what;
            };
            let mut in_hand = None;
            while let Some(batch) = queue.next_unclaimed(in_hand.take(), &leaves, &mut note) {
                while !leaves.load(Ordering::Relaxed)
                    && !queue.is_paused()
                    && let Some(slot) = batch.tickets.claim()
                {
                    batch.loaded[slot].fetch_add(1, Ordering::Relaxed);
                    if batch.tickets.finish() {
                        queue.seal(&batch);
                    }
                }
                in_hand = Some(batch);
            }
        });
        (thread, leave)
    }

    fn reader(queue: &Arc<Queue<Batch>>) -> JoinHandle<()> {
        let queue = queue.clone();
        thread::spawn(move || {
            while let Some(batch) = queue.next_unread() {
                while !queue.is_paused() && batch.tickets.claim_ahead().is_some() {
                    thread::yield_now();
                }
            }
        })
    }

    struct Run {
        workers: usize,
        readers: usize,
        depth: usize,
        batches: usize,
        /// Batches taken before the consumer stops or starts anew.
        take: usize,
        interval: Option<Duration>,
        /// After so many batches are taken, so many workers load and so many batches are open.
        moves: &'static [(usize, usize, usize)],
        /// Whether the consumer pauses before each batch.
        pauses: bool,
    }

    /// Has so many work from now on: see `threads.rs`.
    fn set_workers(queue: &Arc<Queue<Batch>>, workers: &mut Workers, number: usize) {
        while workers.working.len() < number {
            let (thread, leave) = worker(queue);
            workers.threads.push(thread);
            workers.working.push(leave);
        }
        if number < workers.working.len() {
            let leaving = workers.working.drain(number..);
            leaving.as_slice().iter().for_each(|leave| leave.store(true, Ordering::Relaxed));
            drop(leaving);
            queue.wake_workers();
        }
    }

    #[derive(Default)]
    struct Workers {
        threads: Vec<JoinHandle<()>>,
        working: Vec<Arc<AtomicBool>>,
    }

    /// What the consumer does: see `engine.rs`.
    fn run(&Run { workers, readers, mut depth, batches, take, interval, moves, pauses }: &Run) {
        let queue = Arc::new(Queue::new(depth));
        let mut pool = Workers::default();
        set_workers(&queue, &mut pool, workers);
        let readers: Vec<_> = (0..readers).map(|_| reader(&queue)).collect();
        let mut opened = 0;
        let mut open = |queue: &Queue<Batch>, depth: usize| {
            while queue.len() < depth && opened < batches {
                // The last one is not full.
                queue.push(Batch::new(opened, if opened + 1 == batches { 1 } else { 2 }));
                opened += 1;
            }
        };
        for number in 0..take {
            for (after, workers, open_batches) in moves {
                if *after == number {
                    set_workers(&queue, &mut pool, *workers);
                    depth = *open_batches;
                }
            }
            open(&queue, depth);
            let head = queue.head().unwrap();
            assert_eq!(head.number, number);
            if pauses {
                queue.pause(Duration::MAX);
                let loaded = |batch: &Batch| -> usize {
                    batch.loaded.iter().map(|loaded| loaded.load(Ordering::Relaxed)).sum()
                };
                let before = loaded(&head);
                thread::yield_now();
                assert_eq!(loaded(&head), before);
                queue.resume();
            }
            while !queue.wait_until_complete(&head, interval) {}
            queue.pop();
            assert!(head.loaded.iter().all(|loaded| loaded.load(Ordering::Relaxed) == 1));
            open(&queue, depth);
        }
        queue.clear();
        if take < batches {
            // Another epoch.
            queue.push(Batch::new(0, 2));
            let head = queue.head().unwrap();
            while !queue.wait_until_complete(&head, interval) {}
            queue.clear();
        }
        queue.stop();
        pool.threads.into_iter().chain(readers).for_each(|thread| thread.join().unwrap());
    }

    fn check(run_of: Run) {
        const SCHEDULES: usize = 3_000;
        let run_of = std::sync::Arc::new(run_of);
        let again = run_of.clone();
        shuttle::check_random(move || run(&run_of), SCHEDULES);
        // Few switches at the worst places, which random schedules seldom find.
        shuttle::check_pct(move || run(&again), SCHEDULES, 3);
    }

    #[test]
    fn every_batch_comes_out_in_order() {
        for (workers, depth) in [(1, 1), (2, 1), (2, 2), (3, 2)] {
            check(Run {
                workers,
                readers: 0,
                depth,
                batches: 4,
                take: 4,
                interval: None,
                moves: &[],
                pauses: false,
            });
        }
    }

    #[test]
    fn stopping_or_starting_anew_half_way_hangs_nobody() {
        for take in 0..3 {
            check(Run {
                workers: 2,
                readers: 0,
                depth: 2,
                batches: 4,
                take,
                interval: None,
                moves: &[],
                pauses: false,
            });
        }
    }

    #[test]
    fn readers_are_in_nobodys_way() {
        check(Run {
            workers: 1,
            readers: 2,
            depth: 2,
            batches: 3,
            take: 3,
            interval: None,
            moves: &[],
            pauses: false,
        });
        check(Run {
            workers: 2,
            readers: 1,
            depth: 1,
            batches: 3,
            take: 1,
            interval: None,
            moves: &[],
            pauses: false,
        });
    }

    #[test]
    fn waiting_with_a_time_limit_loses_nothing() {
        let interval = Some(Duration::from_millis(1));
        let (depth, batches, take) = (2, 3, 3);
        let moves = &[];
        check(Run { workers: 2, readers: 0, depth, batches, take, interval, moves, pauses: false });
    }

    #[test]
    fn workers_may_come_and_go_and_depth_may_change() {
        let run = |workers, depth, moves| {
            let (readers, batches, take, interval) = (0, 4, 4, None);
            check(Run { workers, readers, depth, batches, take, interval, moves, pauses: false });
        };
        run(2, 2, &[(1, 1, 1), (2, 3, 2)]);
        run(1, 1, &[(1, 2, 2), (2, 1, 2)]);
        // Another comes before the one that leaves has ended.
        run(2, 1, &[(2, 1, 1), (2, 2, 1), (3, 1, 1)]);
    }

    /// Nothing is loaded meanwhile, and all of it after.
    #[test]
    fn workers_and_readers_pause_and_go_on() {
        for (workers, readers, depth, take) in [(1, 0, 1, 3), (2, 0, 2, 3), (2, 1, 1, 2)] {
            check(Run {
                workers,
                readers,
                depth,
                batches: 3,
                take,
                interval: None,
                moves: &[(1, 1, 1), (2, 2, 2)],
                pauses: true,
            });
        }
    }
}
