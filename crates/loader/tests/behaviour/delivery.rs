//! In which order batches come, from where, and who waits for whom.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use loader::{Batch, Loader, LoaderError};
use tch::{Kind, Tensor};

use crate::common::{Begun, Noise, Numbers, contents, numbers, within_two_minutes};

fn indices(batch: Result<Batch, LoaderError>) -> Vec<usize> {
    let batch = batch.unwrap();
    let written = Vec::<i64>::try_from(&batch["index"]).unwrap();
    assert!(written.iter().zip(batch.indices()).all(|(a, b)| *a as usize == *b));
    batch.indices().to_vec()
}

#[test]
fn batches_come_in_order_however_long_a_sample_takes() {
    within_two_minutes(|| {
        // The first samples are the slowest.
        let load = |index: usize, _: &mut Begun| {
            std::thread::sleep(Duration::from_micros(3000 / (1 + index as u64)));
            Ok(())
        };
        let data = Numbers { samples: 25, load };
        let mut loader =
            Loader::builder(data).batch_size(4).num_workers(5).prefetch_depth(4).build().unwrap();
        let order: Vec<_> = loader.epoch(0).map(indices).collect();
        let expected: Vec<_> = Vec::from_iter(0..25).chunks(4).map(<[_]>::to_vec).collect();
        assert_eq!(order, expected);
    });
}

#[test]
fn an_epoch_knows_how_many_batches_are_left() {
    within_two_minutes(|| {
        for (drop_last, batches) in [(false, 4), (true, 3)] {
            let mut loader = Loader::builder(numbers(10))
                .batch_size(3)
                .drop_last(drop_last)
                .num_workers(2)
                .build()
                .unwrap();
            assert_eq!(loader.batches_per_epoch(), batches);
            let mut epoch = loader.epoch(0);
            for left in (0..batches).rev() {
                assert_eq!(epoch.len(), left + 1);
                epoch.next().unwrap().unwrap();
                assert_eq!(epoch.size_hint(), (left, Some(left)));
            }
            assert!(epoch.next().is_none());
            assert!(epoch.next().is_none());
        }
    });
}

#[test]
fn an_epoch_can_be_left_and_begun_again() {
    within_two_minutes(|| {
        for num_workers in [0, 3] {
            let build = || {
                Loader::builder(Noise { samples: 50 })
                    .batch_size(4)
                    .num_workers(num_workers)
                    .prefetch_depth(3)
                    .shuffle(true)
                    .build()
                    .unwrap()
            };
            let fresh = |epoch| contents(build().epoch(epoch));
            let mut loader = build();
            let begun = contents(loader.epoch(2).take(5));
            assert_eq!(begun, fresh(2)[..5]);
            assert_eq!(contents(loader.epoch(2)), fresh(2), "the same from its start");
            assert_eq!(contents(loader.epoch(9).take(1)), fresh(9)[..1], "another");
            assert_eq!(contents(loader.epoch(1)), fresh(1), "an earlier one");
            assert_eq!(contents(loader.epoch(2)), fresh(2), "and on into the next");
            assert_eq!(contents(loader.epoch(u64::MAX)), fresh(u64::MAX), "the last there is");
            assert_eq!(contents(loader.epoch(0)), fresh(0));
            assert_eq!(loader.epoch(5).len(), 13);
            assert_eq!(contents(loader.epoch(1)), fresh(1), "one that was not read costs nothing");
        }
    });
}

/// A gate that samples wait at.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }
}

#[test]
fn a_slow_sample_delays_only_its_own_batch() {
    within_two_minutes(|| {
        let gate = Arc::new(Gate::default());
        let (slow, loaded) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
        let count = loaded.clone();
        let load = move |index, _: &mut Begun| {
            if index == 9 {
                slow.pass();
            }
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let data = Numbers { samples: 40, load };
        let mut loader =
            Loader::builder(data).batch_size(4).num_workers(2).prefetch_depth(4).build().unwrap();
        let mut epoch = loader.epoch(0);
        // Batches 0 and 1 come while sample 9 is stuck in batch 2, ...
        assert_eq!(indices(epoch.next().unwrap()), [0, 1, 2, 3]);
        assert_eq!(indices(epoch.next().unwrap()), [4, 5, 6, 7]);
        // ... and so do the rest of batch 2 and those behind it: up to batch 5, as deep as the
        // queue is.
        while loaded.load(Ordering::SeqCst) < 6 * 4 - 1 {
            std::thread::yield_now();
        }
        gate.open();
        assert_eq!(indices(epoch.next().unwrap()), [8, 9, 10, 11]);
        assert_eq!(epoch.map(indices).count(), 7);
    });
}

#[test]
fn no_more_is_loaded_ahead_than_the_depth_says() {
    within_two_minutes(|| {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let load = move |_, _: &mut Begun| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        let data = Numbers { samples: 100, load };
        let mut loader =
            Loader::builder(data).batch_size(5).num_workers(3).prefetch_depth(2).build().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 0, "nothing before it is known which epoch");
        let mut epoch = loader.epoch(0);
        for taken in 1..=4 {
            epoch.next().unwrap().unwrap();
            while begun.load(Ordering::SeqCst) < 5 * (taken + 2) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(begun.load(Ordering::SeqCst), 5 * (taken + 2));
        }
    });
}

#[test]
fn the_next_epoch_is_begun_before_it_is_asked_for() {
    within_two_minutes(|| {
        let second_round = Arc::new(AtomicBool::new(false));
        let (seen, loads) = (second_round.clone(), AtomicUsize::new(0));
        let load = move |_, _: &mut Begun| {
            if loads.fetch_add(1, Ordering::SeqCst) >= 12 {
                seen.store(true, Ordering::SeqCst);
            }
            Ok(())
        };
        let data = Numbers { samples: 12, load };
        let mut loader =
            Loader::builder(data).batch_size(4).num_workers(2).prefetch_depth(2).build().unwrap();
        assert_eq!(loader.epoch(0).count(), 3);
        while !second_round.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert_eq!(loader.epoch(1).map(indices).count(), 3);
    });
}

#[test]
fn without_workers_the_caller_loads_and_only_when_asked() {
    within_two_minutes(|| {
        let caller = std::thread::current().id();
        let load = move |_, _: &mut Begun| {
            assert_eq!(std::thread::current().id(), caller);
            Ok(())
        };
        let mut loader = Loader::builder(Numbers { samples: 9, load })
            .batch_size(4)
            .num_workers(0)
            .prefetch_depth(0)
            .build()
            .unwrap();
        let order: Vec<_> = loader.epoch(0).map(indices).collect();
        assert_eq!(order, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8]]);
    });
}

#[test]
fn fields_arrive_by_name_with_shape_and_type() {
    within_two_minutes(|| {
        let mut loader =
            Loader::builder(Noise { samples: 7 }).batch_size(3).num_workers(2).build().unwrap();
        assert_eq!(loader.fields()[0].name, "floats");
        let shapes = [3, 3, 1].map(|n| [vec![n, 2, 3], vec![n, 5], vec![n]]);
        for (batch, shapes) in loader.epoch(0).zip(shapes) {
            let batch = batch.unwrap();
            let sizes: Vec<_> = batch.iter().map(|(_, tensor)| tensor.size()).collect();
            assert_eq!(sizes, shapes);
            assert_eq!(batch["floats"].kind(), Kind::Float);
            assert_eq!(batch["bytes"].kind(), Kind::Uint8);
            assert_eq!(batch["label"].kind(), Kind::Int64);
            assert!(batch.get("none").is_none());
            let indices: Vec<_> = batch.indices().iter().map(|i| *i as i64).collect();
            assert_eq!(batch["label"], Tensor::from_slice(&indices));
            let same = batch.to_device(tch::Device::Cpu);
            assert_eq!(same["floats"].data_ptr(), batch["floats"].data_ptr(), "no copy");
        }
    });
}

#[test]
fn a_loader_can_go_to_another_thread() {
    within_two_minutes(|| {
        let mut loader = Loader::builder(numbers(10)).batch_size(3).num_workers(2).build().unwrap();
        let order =
            std::thread::spawn(move || loader.epoch(0).flat_map(indices).collect::<Vec<_>>());
        assert_eq!(order.join().unwrap(), Vec::from_iter(0..10));
    });
}

/// Time that the caller spends on its batch is nobody's work in the loader.
#[test]
fn what_the_caller_does_is_not_counted() {
    within_two_minutes(|| {
        for num_workers in [0, 1] {
            let load = |_, _: &mut Begun| {
                std::thread::sleep(Duration::from_millis(1));
                Ok(())
            };
            let data = Numbers { samples: 8, load };
            let mut loader =
                Loader::builder(data).batch_size(2).num_workers(num_workers).build().unwrap();
            for batch in loader.epoch(0) {
                batch.unwrap();
                std::thread::sleep(Duration::from_millis(300));
            }
            let busy_s = loader.stats().stages.busy_s();
            assert!(
                (0.008..1.0).contains(&busy_s),
                "{num_workers} workers: {:?}",
                loader.stats().stages
            );
        }
    });
}

/// Validation between two epochs says nothing of how well the loader keeps up.
#[test]
fn what_the_caller_does_between_epochs_is_not_counted() {
    within_two_minutes(|| {
        let mut loader = Loader::builder(numbers(8)).batch_size(2).num_workers(1).build().unwrap();
        std::thread::sleep(Duration::from_millis(800));
        for epoch in 0..2 {
            for batch in loader.epoch(epoch) {
                batch.unwrap();
            }
            std::thread::sleep(Duration::from_millis(800));
        }
        assert!(loader.stats().consumer_s < 0.8, "{:?}", loader.stats());
    });
}
