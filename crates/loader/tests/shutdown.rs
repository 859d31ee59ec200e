//! Threads come and go with the loader. A program of its own, and one test at a time, since the
//! threads of the whole process are counted.

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use loader::{Dataset, Dtype, Field, Loader, LoaderError, SampleError, Slot};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// Held by the test that runs.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if `work` takes longer than 20 seconds.
    fn soon(work: impl FnOnce() + Send + 'static) {
        let (done, wait) = channel();
        let thread = std::thread::spawn(move || {
            work();
            let _ = done.send(());
        });
        let waited = wait.recv_timeout(Duration::from_secs(20));
        assert_ne!(waited, Err(RecvTimeoutError::Timeout), "a hang");
        thread.join().unwrap();
    }

    /// Names of the workers' threads that run now.
    fn workers() -> Vec<String> {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        // A thread may end between being listed and being read.
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let mut names: Vec<_> = names
            .map(|name| name.trim().to_owned())
            .filter(|name| name.starts_with("loader-worker"))
            .collect();
        names.sort_unstable();
        names
    }

    /// Waits until no worker's thread is left: one that has been joined is listed for a moment
    /// longer, as the system clears up behind it.
    fn assert_all_gone() {
        assert_eq!(ALIVE.load(Ordering::SeqCst), 0, "joined");
        while !workers().is_empty() {
            std::thread::yield_now();
        }
    }

    /// Samples that take a while; counts how many were begun.
    struct Slow {
        delay: Duration,
        begun: Arc<AtomicUsize>,
        fail: bool,
    }

    fn slow(delay_ms: u64) -> Slow {
        Slow { delay: Duration::from_millis(delay_ms), begun: Arc::default(), fail: false }
    }

    /// What a worker keeps: gone when its thread is joined.
    struct Alive;

    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    impl Default for Alive {
        fn default() -> Self {
            ALIVE.fetch_add(1, Ordering::SeqCst);
            Alive
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Dataset for Slow {
        type Worker = Alive;

        fn len(&self) -> usize {
            10_000
        }

        fn fields(&self) -> Vec<Field> {
            vec![Field::new("x", [16], Dtype::Uint8)]
        }

        fn load(&self, index: usize, _: &mut Alive, slot: &mut Slot) -> Result<(), SampleError> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(self.delay);
            slot.fields.get_mut::<u8>(0).fill(index as u8);
            if self.fail { panic!("as asked") } else { Ok(()) }
        }
    }

    fn build(data: impl Dataset, num_workers: usize) -> Loader {
        Loader::builder(data)
            .batch_size(8)
            .num_workers(num_workers)
            .prefetch_depth(3)
            .build()
            .unwrap()
    }

    #[test]
    fn workers_are_named_and_gone_when_the_loader_is_dropped() {
        let _alone = alone();
        soon(|| {
            let loader = build(slow(0), 3);
            let names = ["loader-worker-0", "loader-worker-1", "loader-worker-2"];
            // A thread gives itself its name when it begins to run.
            while workers() != names {
                std::thread::yield_now();
            }
            drop(loader);
            assert_all_gone();
        });
    }

    #[test]
    fn without_workers_there_is_no_thread() {
        let _alone = alone();
        let mut loader = build(slow(0), 0);
        loader.epoch(0).next().unwrap().unwrap();
        assert!(workers().is_empty());
    }

    #[test]
    fn a_loader_dropped_in_the_middle_waits_for_the_samples_begun_and_no_others() {
        let _alone = alone();
        soon(|| {
            for num_workers in [0, 1, 4] {
                let data = slow(200);
                let begun = data.begun.clone();
                let mut loader = build(data, num_workers);
                loader.epoch(0).next().unwrap().unwrap();
                let before = begun.load(Ordering::SeqCst);
                drop(loader);
                // Not the 3 batches of 8 samples that are under way.
                assert!(begun.load(Ordering::SeqCst) <= before + num_workers);
                assert_all_gone();
            }
        });
    }

    #[test]
    fn a_loader_dropped_at_any_moment_leaves_no_thread() {
        let _alone = alone();
        soon(|| {
            for round in 0..200u64 {
                let mut loader = build(slow(0), 1 + round as usize % 4);
                match round % 5 {
                    0 => {}
                    1 => assert_eq!(loader.epoch(0).len(), 1250),
                    2 => drop(loader.epoch(0).next()),
                    3 => drop(loader.epoch(0).nth(round as usize)),
                    _ => {
                        drop(loader.epoch(0).next());
                        drop(loader.epoch(1).next());
                    }
                }
                std::thread::sleep(Duration::from_micros(round * 7 % 300));
                drop(loader);
                assert_all_gone();
            }
        });
    }

    #[test]
    fn a_loader_dropped_in_a_panic_or_an_error_leaves_no_thread() {
        let _alone = alone();
        soon(|| {
            let panicked = std::thread::spawn(|| {
                let mut loader = build(slow(1), 3);
                let _batch = loader.epoch(0).next();
                panic!("the training");
            });
            assert!(panicked.join().is_err());
            assert_all_gone();

            let mut loader = build(Slow { fail: true, ..slow(1) }, 3);
            assert!(loader.epoch(0).take(9).all(|batch| batch.is_err()));
            assert_eq!(workers().len(), 3, "panics in the data set do not end the workers");
            drop(loader);
            assert_all_gone();
        });
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_an_error_and_the_others_end() {
        let _alone = alone();
        soon(|| {
            // A thread needs 2 MiB of address space for its stack.
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("VmSize:")).unwrap();
            let used_kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            let before = getrlimit(Resource::As);
            let tight = Rlimit { current: Some((used_kib + (64 << 10)) << 10), ..before };
            setrlimit(Resource::As, tight).unwrap();
            let built = Loader::builder(slow(0)).num_workers(1000).build();
            setrlimit(Resource::As, before).unwrap();

            let error = built.expect_err("64 MiB have no room for 1000 stacks");
            assert!(matches!(error, LoaderError::Spawn { number: 1.., .. }), "{error:?}");
            let text = error.to_string();
            assert!(
                text.contains("cannot start thread `loader-worker-")
                    && text.contains("`num_workers`")
            );
            assert!(error.source().is_some());
            assert_all_gone();
        });
    }
}
