//! Threads: their names, cores and OpenMP threads; readers ahead of the workers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loader::settings::SettingsFile;
use loader::{Dataset, Dtype, Field, Loader, LoaderBuilder, SampleError, Slot};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::common::{Begun, Numbers, within_two_minutes};

fn cores() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// What each worker says of itself.
fn ask_workers<T: Send + 'static>(
    num_workers: usize,
    pin_workers: bool,
    ask: impl Fn() -> T + Send + Sync + 'static,
) -> Vec<T> {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let load = {
        let answers = answers.clone();
        move |_, begun: &mut Begun| {
            if begun.0 == 1 {
                answers.lock().unwrap().push(ask());
            }
            // Until all were asked.
            let start = Instant::now();
            while answers.lock().unwrap().len() < num_workers
                && start.elapsed() < Duration::from_secs(10)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
    };
    let builder = Loader::builder(Numbers { samples: 40, load }).batch_size(40);
    let mut loader = builder.num_workers(num_workers).pin_workers(pin_workers).build().unwrap();
    loader.epoch(0).for_each(|batch| drop(batch.unwrap()));
    drop(loader);
    Arc::into_inner(answers).unwrap().into_inner().unwrap()
}

#[test]
fn workers_stay_on_their_cores_if_asked() {
    within_two_minutes(|| {
        let all = cores();
        let free = ask_workers(2, false, cores);
        assert!(free.iter().all(|cores| *cores == all));
        let pinned = ask_workers(all.len(), true, cores);
        assert!(pinned.iter().all(|cores| cores.len() == 1 && all.contains(&cores[0])));
        assert_eq!(pinned.concat().into_iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(cores(), all);
    });
}

#[test]
fn workers_stay_for_all_epochs() {
    within_two_minutes(|| {
        let threads = Arc::new(Mutex::new(HashSet::new()));
        let load = {
            let threads = threads.clone();
            move |_, _: &mut Begun| {
                threads.lock().unwrap().insert(std::thread::current().id());
                Ok(())
            }
        };
        let builder = Loader::builder(Numbers { samples: 40, load }).batch_size(4).num_workers(2);
        let mut loader = builder.build().unwrap();
        (0..5).for_each(|epoch| loader.epoch(epoch).for_each(|batch| drop(batch.unwrap())));
        assert!(threads.lock().unwrap().len() <= 2);
    });
}

/// A worker's libtorch operators take one thread; the training's, and a new thread's, as many as
/// before.
#[test]
fn libtorch_computes_on_one_thread_in_workers_alone() {
    within_two_minutes(|| {
        let here = tch::get_num_threads();
        let elsewhere = || std::thread::spawn(tch::get_num_threads).join().unwrap();
        let before = elsewhere();
        let in_workers = ask_workers(2, false, tch::get_num_threads);
        assert!(in_workers.iter().all(|threads| *threads == 1), "{in_workers:?}");
        assert_eq!((tch::get_num_threads(), elsewhere()), (here, before));
    });
}

/// Notes which samples were read ahead, and by whom.
struct ReadAhead {
    asked: Mutex<Vec<usize>>,
    loaded_before: AtomicUsize,
}

impl Dataset for ReadAhead {
    type Worker = ();

    fn len(&self) -> usize {
        64
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("index", [], Dtype::Int64)]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        // The readers get ahead, as far as batches are open.
        let start = Instant::now();
        while index == 0
            && self.asked.lock().unwrap().len() < 16
            && start.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(2));
        if !self.asked.lock().unwrap().contains(&index) {
            self.loaded_before.fetch_add(1, Ordering::Relaxed);
        }
        slot.fields.get_mut::<i64>(0)[0] = index as i64;
        Ok(())
    }

    fn readahead(&self, index: usize) {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        assert!(name.starts_with("loader-io-"), "{name}");
        self.asked.lock().unwrap().push(index);
        if index == 7 {
            // A panic here says nothing. One with a backtrace takes longer than all samples.
            std::panic::resume_unwind(Box::new("of a reader"));
        }
    }
}

#[test]
fn readers_go_ahead_of_the_workers() {
    within_two_minutes(|| {
        for io_threads in [1, 3] {
            let data =
                Arc::new(ReadAhead { asked: Mutex::default(), loaded_before: AtomicUsize::new(0) });
            let builder = Loader::builder(data.clone()).batch_size(8).num_workers(1);
            let mut loader = builder.prefetch_depth(4).io_threads(io_threads).build().unwrap();
            let indices: Vec<_> =
                loader.epoch(0).flat_map(|batch| batch.unwrap().indices().to_vec()).collect();
            assert_eq!(indices, Vec::from_iter(0..64));
            drop(loader);
            let asked = data.asked.lock().unwrap();
            // Each once; the next epoch's first batches are read ahead as well.
            let late: Vec<_> = asked.iter().filter(|index| **index >= 40).collect();
            assert_eq!(late.iter().collect::<HashSet<_>>().len(), late.len());
            // The first sample races with the worker.
            let loaded_before = data.loaded_before.load(Ordering::Relaxed);
            assert!(loaded_before <= 32, "{loaded_before} were loaded first");
        }
    });
}

/// A loader whose samples take a millisecond each, and are counted in `loaded`.
fn counting(loaded: &Arc<AtomicUsize>) -> LoaderBuilder {
    let loaded = loaded.clone();
    let load = move |_, _: &mut Begun| {
        std::thread::sleep(Duration::from_millis(1));
        loaded.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    Loader::builder(Numbers { samples: 64, load }).batch_size(8)
}

/// What is done in between is not counted as the consumer's, nor as a worker's waiting.
#[test]
fn nothing_is_loaded_in_a_pause_and_all_of_it_after() {
    within_two_minutes(|| {
        for (num_workers, io_threads) in [(0, 0), (1, 0), (4, 2)] {
            let loaded = Arc::default();
            let builder = counting(&loaded).num_workers(num_workers);
            let mut loader = builder.prefetch_depth(3).io_threads(io_threads).build().unwrap();
            let (mut paused, mut indices) = (Duration::ZERO, Vec::new());
            let began = Instant::now();
            for number in 0..2 {
                let mut epoch = loader.epoch(number);
                while let Some(batch) = epoch.next() {
                    indices.extend_from_slice(batch.unwrap().indices());
                    epoch.pause();
                    epoch.pause();
                    let (before, began) = (loaded.load(Ordering::Relaxed), Instant::now());
                    assert_eq!(epoch.stats().loaded, before as u64);
                    std::thread::sleep(Duration::from_millis(20));
                    assert_eq!(loaded.load(Ordering::Relaxed), before);
                    paused += began.elapsed();
                }
            }
            assert_eq!(indices, [Vec::from_iter(0..64), Vec::from_iter(0..64)].concat());
            let (stats, all) = (loader.stats(), began.elapsed());
            let counted = stats.waited_s + stats.consumer_s;
            assert!(counted <= (all - paused).as_secs_f64(), "{counted} {all:?} {paused:?}");
            let threads_s = num_workers as f64 * all.as_secs_f64();
            let counted = stats.stages.wait_room_s;
            assert!(counted <= 0.5 * threads_s, "{counted} of {threads_s}");
        }
    });
}

#[test]
fn a_loader_in_a_pause_can_be_left() {
    within_two_minutes(|| {
        let mut loader = counting(&Arc::default()).num_workers(2).build().unwrap();
        let pause = |loader: &mut Loader| {
            let mut epoch = loader.epoch(0);
            assert!(epoch.next().is_some());
            epoch.pause();
        };
        pause(&mut loader);
        let all = loader.epoch(0).flat_map(|batch| batch.unwrap().indices().to_vec());
        assert_eq!(all.collect::<Vec<_>>(), Vec::from_iter(0..64));
        pause(&mut loader);
    });
}

#[test]
fn a_settings_file_may_leave_the_number_of_workers_to_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    let read = |num_workers: &str| {
        let text = format!("schema = 1\n[loader]\nnum_workers = {num_workers}\nio_threads = 2\n");
        std::fs::write(&path, text).unwrap();
        SettingsFile::read(&path).map(|file| file.loader)
    };
    let auto = read("\"auto\"").unwrap();
    assert_eq!(auto.num_workers, loader::Settings::default().num_workers);
    assert_eq!(auto.io_threads, 2);
    assert_eq!(read("3").unwrap().num_workers, 3);
    for wrong in ["\"many\"", "-1", "1.5", "true"] {
        let error = loader::error::Report(&read(wrong).unwrap_err()).to_string();
        assert!(error.contains("a number from 0 or \"auto\""), "{error}");
        assert!(error.contains("line 3"), "{error}");
    }
}
