//! Bad samples skipped or replaced, and samples that get stuck.

use std::collections::HashSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loader::distributed::Uneven;
use loader::sampler::Listed;
use loader::{Loader, LoaderBuilder, LoaderError, OnError, Rank, SampleError};
use proptest::prelude::*;

use crate::common::{Begun, Content, Numbers, contents, numbers, warnings_of, within_two_minutes};

/// The numbers from 0, those for which `is_bad` cannot be loaded; number 3 panics.
fn with_bad(
    samples: usize,
    is_bad: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> LoaderBuilder {
    let load = move |index, _: &mut Begun| match is_bad(index) {
        true if index == 3 => panic!("it is three"),
        true => Err(SampleError::from(format!("{index} is bad"))),
        false => Ok(()),
    };
    Loader::builder(Numbers { samples, load })
}

fn indices(batches: &[Content]) -> Vec<Vec<usize>> {
    batches.iter().map(|batch| batch.indices.clone()).collect()
}

#[test]
fn skipped_samples_make_their_batch_shorter_and_no_other() {
    within_two_minutes(|| {
        for num_workers in [0, 1, 3] {
            let mut loader = with_bad(11, |index| [3, 4, 6].contains(&index))
                .batch_size(4)
                .num_workers(num_workers)
                .on_error(OnError::Skip { max: 3 })
                .build()
                .unwrap();
            for epoch in 0..2 {
                let batches = contents(loader.epoch(epoch));
                assert_eq!(indices(&batches), [vec![0, 1, 2], vec![5, 7], vec![8, 9, 10]]);
                // The tensors say the same.
                let clean = contents(
                    Loader::builder(numbers(11))
                        .sampler(Listed { indices: vec![0, 1, 2], shuffle: false })
                        .num_workers(0)
                        .build()
                        .unwrap()
                        .epoch(epoch),
                );
                assert_eq!(batches[0], clean[0]);
                let bad = loader.bad_samples();
                assert_eq!(bad.iter().map(|bad| bad.index).collect::<Vec<_>>(), [3, 4, 6]);
                assert!(bad.iter().all(|bad| bad.epoch == epoch && bad.replaced_by.is_none()));
                assert_eq!(bad[0].error.to_string(), "the data set panicked: it is three");
                assert_eq!(bad[1].error.to_string(), "4 is bad");
                assert_eq!(bad[1].origin.to_string(), " (`number 4`)");
            }
        }
    });
}

#[test]
fn more_than_may_be_skipped_is_an_error() {
    within_two_minutes(|| {
        let builder = with_bad(12, |index| index % 4 == 1).batch_size(4).num_workers(2);
        let mut loader = builder.on_error(OnError::Skip { max: 2 }).build().unwrap();
        let mut epoch = loader.epoch(0);
        assert_eq!(epoch.next().unwrap().unwrap().len(), 3);
        assert_eq!(epoch.next().unwrap().unwrap().len(), 3);
        let error = epoch.next().unwrap().unwrap_err();
        let LoaderError::TooManyBad { max: 2, index: 9, source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.to_string(), "9 is bad");
        assert!(error.source().is_some());
        assert!(epoch.next().is_none());
        assert_eq!(loader.bad_samples().len(), 2);
    });
}

#[test]
fn an_epoch_begun_again_may_skip_as_many_again() {
    within_two_minutes(|| {
        let builder = with_bad(12, |index| index % 4 == 1).batch_size(4).num_workers(2);
        let mut loader = builder.on_error(OnError::Skip { max: 3 }).build().unwrap();
        for _ in 0..3 {
            assert_eq!(contents(loader.epoch(0)).len(), 3);
            assert_eq!(loader.bad_samples().len(), 3);
        }
        let state = loader.epoch(0).next().unwrap().unwrap().state();
        assert_eq!(loader.bad_samples().len(), 1);
        assert_eq!(contents(loader.resume(&state).unwrap()).len(), 2);
        assert_eq!(loader.bad_samples().len(), 2);
    });
}

#[test]
fn a_batch_without_a_good_sample_is_an_error() {
    within_two_minutes(|| {
        let builder = with_bad(9, |index| (4..6).contains(&index)).batch_size(2).num_workers(1);
        let mut loader = builder.on_error(OnError::Skip { max: 100 }).build().unwrap();
        let outcomes: Vec<_> = loader.epoch(5).collect();
        let error = outcomes[2].as_ref().unwrap_err();
        assert!(matches!(error, LoaderError::NoGoodSample { batch: 2, epoch: 5 }), "{error:?}");
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 16, ..Default::default() })]

    /// Which sample replaces a bad one depends on nothing but seed, epoch and index.
    #[test]
    fn replaced_samples_are_the_same_for_all_workers(
        samples in 8usize..60, bad in proptest::collection::hash_set(0usize..60, 1..5),
        workers in 1usize..5, depth in 1usize..5, batch_size in 1usize..9, seed: u64,
    ) {
        prop_assume!(bad.iter().filter(|index| **index < samples).count() <= samples / 2);
        let (got, expected, replaced, bad) = within_two_minutes(move || {
            let run = |workers, depth| {
                let is_bad = bad.clone();
                let mut loader = with_bad(samples, move |index| is_bad.contains(&index))
                    .shuffle(true)
                    .seed(seed)
                    .batch_size(batch_size)
                    .num_workers(workers)
                    .prefetch_depth(depth)
                    .on_error(OnError::Replace)
                    .build()
                    .unwrap();
                let batches = contents(loader.epoch(1));
                let replaced: Vec<_> =
                    loader.bad_samples().iter().map(|bad| (bad.index, bad.replaced_by)).collect();
                (batches, replaced)
            };
            let (expected, _) = run(0, 1);
            let (got, replaced) = run(workers, depth);
            (got, expected, replaced, bad)
        });
        prop_assert!(got == expected);
        let bad: HashSet<usize> = bad.into_iter().filter(|index| *index < samples).collect();
        prop_assert_eq!(replaced.iter().map(|(index, _)| *index).collect::<HashSet<_>>(), bad.clone());
        prop_assert!(replaced.iter().all(|(_, by)| by.is_some_and(|by| !bad.contains(&by))));
        let all = indices(&got).concat();
        prop_assert_eq!(all.len(), samples);
        prop_assert!(all.iter().all(|index| !bad.contains(index)));
    }
}

#[test]
fn replaced_samples_are_the_same_for_all_numbers_of_ranks() {
    within_two_minutes(|| {
        let replaced = |seed, world_size: usize, uneven| {
            let of_rank = |rank| {
                let mut loader = with_bad(50, |index| index == 7)
                    .shuffle(true)
                    .seed(seed)
                    .batch_size(12 / world_size)
                    .num_workers(0)
                    .on_error(OnError::Replace)
                    .distributed(Rank::new(rank, world_size).unwrap(), uneven)
                    .build()
                    .unwrap();
                contents(loader.epoch(0));
                loader.bad_samples().first().map(|bad| bad.replaced_by.unwrap())
            };
            (0..world_size).find_map(of_rank)
        };
        for uneven in [Uneven::Pad, Uneven::Drop] {
            let pairs = (0..20).map(|seed| [1, 4].map(|ranks| replaced(seed, ranks, uneven)));
            // Dropped for one number of ranks, it is not replaced.
            let whole: Vec<[usize; 2]> =
                pairs.filter_map(|[one, four]| Some([one?, four?])).collect();
            assert!(whole.len() >= 15, "{whole:?}");
            assert!(whole.iter().all(|[one, four]| one == four), "{whole:?}");
        }
    });
}

#[test]
fn samples_of_a_batch_that_is_an_error_were_not_skipped() {
    within_two_minutes(|| {
        let builder = with_bad(12, |index| [0, 1, 2, 5].contains(&index)).batch_size(4);
        let builder = builder.num_workers(1).on_error(OnError::Skip { max: 2 });
        let mut loader = builder.build().unwrap();
        let mut epoch = loader.epoch(0);
        let error = epoch.next().unwrap().unwrap_err();
        assert!(matches!(error, LoaderError::TooManyBad { max: 2, index: 2, .. }), "{error:?}");
        assert_eq!(epoch.next().unwrap().unwrap().indices(), [4, 6, 7]);
        assert_eq!(epoch.next().unwrap().unwrap().indices(), [8, 9, 10, 11]);
        let bad: Vec<usize> = loader.bad_samples().iter().map(|bad| bad.index).collect();
        assert_eq!(bad, [5]);
    });
}

#[test]
fn where_nothing_can_replace_a_sample_it_is_an_error() {
    within_two_minutes(|| {
        let builder = with_bad(4, |_| true).batch_size(4).num_workers(1);
        let mut loader = builder.on_error(OnError::Replace).build().unwrap();
        let error = loader.epoch(0).next().unwrap().unwrap_err();
        assert!(matches!(error, LoaderError::Sample { index: 0, .. }), "{error:?}");
    });
}

/// What number 5 is at.
#[derive(Default)]
struct Five {
    begun: AtomicBool,
    released: AtomicBool,
}

/// The numbers from 0, of which number 5 is not loaded before it is released.
fn with_stuck(five: &Arc<Five>) -> LoaderBuilder {
    let five = five.clone();
    let load = move |index, _: &mut Begun| {
        while index == 5 && !five.released.load(Ordering::Relaxed) {
            five.begun.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    };
    Loader::builder(Numbers { samples: 12, load }).batch_size(4)
}

#[test]
fn a_stuck_sample_is_named_and_the_others_still_come() {
    within_two_minutes(|| {
        for num_workers in [1, 2] {
            let five = Arc::new(Five::default());
            let builder = with_stuck(&five).num_workers(num_workers);
            let mut loader = builder.timeout_s(0.4).build().unwrap();
            let mut epoch = loader.epoch(0);
            assert_eq!(epoch.next().unwrap().unwrap().indices(), [0, 1, 2, 3]);
            let error = epoch.next().unwrap().unwrap_err();
            assert!(matches!(error, LoaderError::Stuck { index: 5, .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.starts_with("sample 5 (`number 5`) is not loaded after 0.4 s"), "{text}");
            // Another worker has taken the place of the one that is stuck.
            assert_eq!(epoch.next().unwrap().unwrap().indices(), [8, 9, 10, 11]);
            assert!(epoch.next().is_none());
            // It may still wake up, and does no harm.
            five.released.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(contents(loader.epoch(1)).len(), 3);
            // On a busy machine a worker may be left behind here too.
            warnings_of(|| drop(loader));
        }
    });
}

#[test]
fn of_a_replacement_that_is_stuck_its_own_name_is_given() {
    within_two_minutes(|| {
        const BAD: usize = 11;
        let released = Arc::new(AtomicBool::new(false));
        let (until, came) = (released.clone(), Mutex::new(HashSet::new()));
        let load = move |index, _: &mut Begun| {
            if index == BAD {
                return Err(SampleError::from("it is bad".to_owned()));
            }
            // In the place of another it hangs.
            if !came.lock().unwrap().insert(index) {
                while !until.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Ok(())
        };
        let builder = Loader::builder(Numbers { samples: 12, load }).batch_size(12).num_workers(1);
        let builder = builder.on_error(OnError::Replace).timeout_s(0.4);
        let mut loader = builder.build().unwrap();
        let error = loader.epoch(0).next().unwrap().unwrap_err();
        assert!(matches!(error, LoaderError::Stuck { index, .. } if index != BAD), "{error:?}");
        released.store(true, Ordering::Relaxed);
        warnings_of(|| drop(loader));
    });
}

#[test]
fn a_worker_stuck_in_a_batch_that_nobody_waits_for_is_replaced() {
    within_two_minutes(|| {
        let five = Arc::new(Five::default());
        let mut loader = with_stuck(&five).num_workers(1).timeout_s(0.4).build().unwrap();
        assert!(loader.epoch(0).next().unwrap().is_ok());
        while !five.begun.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut epoch = loader.epoch(1);
        assert_eq!(epoch.next().unwrap().unwrap().indices(), [0, 1, 2, 3]);
        five.released.store(true, Ordering::Relaxed);
        assert_eq!(contents(epoch).len(), 2);
        warnings_of(|| drop(loader));
    });
}

#[test]
fn every_worker_that_is_stuck_is_replaced() {
    within_two_minutes(|| {
        const WORKERS: usize = 3;
        #[derive(Default)]
        struct Came {
            stuck: AtomicUsize,
            after: AtomicUsize,
            released: AtomicBool,
        }
        let wait_until = |done: &dyn Fn() -> bool| {
            while !done() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let came = Arc::new(Came::default());
        let of_load = came.clone();
        let load = move |index: usize, _: &mut Begun| {
            let Came { stuck, after, released } = &*of_load;
            if (4..4 + WORKERS).contains(&index) {
                stuck.fetch_add(1, Ordering::SeqCst);
                wait_until(&|| released.load(Ordering::SeqCst));
            } else if (8..8 + WORKERS).contains(&index) {
                // One worker alone does not get on.
                after.fetch_add(1, Ordering::SeqCst);
                wait_until(&|| after.load(Ordering::SeqCst) >= WORKERS);
            }
            Ok(())
        };
        let builder = Loader::builder(Numbers { samples: 12, load }).batch_size(4);
        let mut loader = builder.num_workers(WORKERS).timeout_s(1.0).build().unwrap();
        let mut epoch = loader.epoch(0);
        assert!(epoch.next().unwrap().is_ok());
        wait_until(&|| came.stuck.load(Ordering::SeqCst) == WORKERS);
        let error = epoch.next().unwrap().unwrap_err();
        assert!(matches!(error, LoaderError::Stuck { index: 4, .. }), "{error:?}");
        assert_eq!(epoch.next().unwrap().unwrap().indices(), [8, 9, 10, 11]);
        came.released.store(true, Ordering::SeqCst);
        drop(epoch);
        warnings_of(|| drop(loader));
    });
}

#[test]
fn a_loader_with_a_stuck_sample_can_be_dropped() {
    within_two_minutes(|| {
        let five = Arc::new(Five::default());
        let loader = with_stuck(&five).num_workers(2).timeout_s(0.4).build();
        let mut loader = loader.unwrap();
        assert!(loader.epoch(0).next().unwrap().is_ok());
        // On a busy machine a worker may not have come to it yet, and then leaves it alone.
        while !five.begun.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let ((), warning) = warnings_of(|| drop(loader));
        assert!(warning.contains("`loader-worker-"), "{warning}");
        assert!(warning.contains("was left behind"), "{warning}");
        five.released.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_slow_sample_within_its_time_is_no_error() {
    within_two_minutes(|| {
        let load = |_, _: &mut Begun| {
            std::thread::sleep(Duration::from_millis(10));
            Ok(())
        };
        let builder = Loader::builder(Numbers { samples: 100, load }).batch_size(100);
        // The batch takes longer than a sample may.
        let mut loader = builder.num_workers(2).timeout_s(0.3).build().unwrap();
        let start = Instant::now();
        assert!(loader.epoch(0).next().unwrap().is_ok());
        assert!(start.elapsed() > Duration::from_millis(400));
        warnings_of(|| drop(loader));
    });
}

#[test]
fn a_time_limit_that_makes_no_sense_is_refused() {
    for timeout_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = Loader::builder(numbers(1)).timeout_s(timeout_s).build().unwrap_err();
        assert!(error.to_string().starts_with("`timeout_s` is "), "{error}");
    }
}
