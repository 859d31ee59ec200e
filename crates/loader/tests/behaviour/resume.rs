//! A run goes on from a state as if it had never stopped.

use std::sync::{Arc, Mutex};

use loader::distributed::Uneven;
use loader::sampler::{Listed, WithReplacement};
use loader::state::StateError;
use loader::{Loader, LoaderBuilder, LoaderError, LoaderState, Rank, SampleError};
use proptest::prelude::*;

use crate::common::{Begun, Content, Noise, Numbers, contents, numbers, within_two_minutes};

fn builder(samples: usize) -> LoaderBuilder {
    Loader::builder(Noise { samples }).shuffle(true).seed(9).batch_size(4)
}

/// The batches of two epochs, with the state after each.
fn whole_run(mut loader: Loader) -> Vec<(Content, LoaderState)> {
    let mut run = Vec::new();
    for epoch in [0, 1] {
        for batch in loader.epoch(epoch) {
            let batch = batch.unwrap();
            run.push((Content::of(&batch), batch.state()));
        }
        assert_eq!(loader.state(), run.last().map(|(_, state)| *state));
    }
    run
}

/// What comes after `state`, to the end of epoch 1.
fn rest(mut loader: Loader, state: &LoaderState) -> Vec<Content> {
    let mut rest = contents(loader.resume(state).unwrap());
    if state.epoch == 0 {
        rest.extend(contents(loader.epoch(1)));
    }
    rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 16, ..Default::default() })]

    #[test]
    fn a_run_goes_on_with_any_workers_and_depth(
        samples in 4usize..60, drop_last: bool, stop in 0usize..30,
        workers in (0usize..4, 0usize..4), depth in (1usize..5, 1usize..5), repeats: bool,
    ) {
        let (whole, rest, stop) = within_two_minutes(move || {
            let build = |workers, depth| {
                let mut builder = builder(samples).drop_last(drop_last);
                if repeats {
                    builder = builder.sampler(WithReplacement { samples, draws: samples });
                }
                builder.num_workers(workers).prefetch_depth(depth).build().unwrap()
            };
            let whole = whole_run(build(workers.0, depth.0));
            let stop = stop % whole.len();
            // By way of the text that a checkpoint holds.
            let text = toml::to_string(&whole[stop].1).unwrap();
            let state: LoaderState = toml::from_str(&text).unwrap();
            let rest = rest(build(workers.1, depth.1), &state);
            (whole, rest, stop)
        });
        let expected: Vec<Content> = whole.into_iter().skip(stop + 1).map(|(batch, _)| batch).collect();
        prop_assert!(rest == expected);
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    within_two_minutes(|| {
        const SAMPLES: usize = 50;
        let build = |batch_size, rank, world_size| {
            let rank = Rank::new(rank, world_size).unwrap();
            let builder = Loader::builder(numbers(SAMPLES)).shuffle(true).batch_size(batch_size);
            builder.num_workers(1).distributed(rank, Uneven::Pad).build().unwrap()
        };
        // The samples of each step, over all ranks.
        let steps = |ranks: Vec<Vec<Vec<usize>>>| -> Vec<Vec<usize>> {
            (0..ranks[0].len())
                .map(|step| ranks.iter().flat_map(|rank| rank[step].clone()).collect())
                .collect()
        };
        let indices = |epoch: loader::Epoch<'_>| -> Vec<Vec<usize>> {
            epoch.map(|batch| batch.unwrap().indices().to_vec()).collect()
        };
        let whole = steps((0..4).map(|rank| indices(build(3, rank, 4).epoch(0))).collect());
        let mut second_of_four = build(3, 1, 4);
        let state = second_of_four.epoch(0).nth(1).unwrap().unwrap().state();
        for (batch_size, world_size) in [(3, 4), (6, 2), (12, 1), (2, 6)] {
            let rest = (0..world_size)
                .map(|rank| indices(build(batch_size, rank, world_size).resume(&state).unwrap()));
            let rest = steps(rest.collect());
            assert_eq!(rest[..2], whole[2..4], "{world_size} ranks");
            // The last step is padded for the ranks that there are.
            let tail = SAMPLES % 12;
            assert_eq!(rest[2][..tail], whole[4][..tail], "{world_size} ranks");
        }
    });
}

#[test]
fn what_was_delivered_is_not_loaded_again() {
    let mut before = Loader::builder(numbers(20)).batch_size(4).num_workers(0).build().unwrap();
    let state = before.epoch(0).nth(2).unwrap().unwrap().state();
    let loaded = Arc::new(Mutex::new(Vec::new()));
    let load = {
        let loaded = loaded.clone();
        move |index, _: &mut Begun| {
            loaded.lock().unwrap().push(index);
            Ok(())
        }
    };
    let mut loader = Loader::builder(Numbers { samples: 20, load })
        .batch_size(4)
        .num_workers(0)
        .build()
        .unwrap();
    assert_eq!(loader.resume(&state).unwrap().count(), 2);
    assert_eq!(*loaded.lock().unwrap(), Vec::from_iter(12..20));
}

/// How many samples the last step holds depends on the number of ranks.
#[test]
fn any_state_goes_on_at_its_step_with_another_number_of_ranks() {
    within_two_minutes(|| {
        let shapes = [(3, 4), (6, 2), (12, 1), (2, 6)];
        for (uneven, drop_last) in
            [(Uneven::Pad, false), (Uneven::Drop, false), (Uneven::Pad, true)]
        {
            for samples in [48, 50, 59] {
                let build = |(batch_size, world_size)| {
                    let rank = Rank::new(0, world_size).unwrap();
                    let builder = Loader::builder(numbers(samples)).shuffle(true).num_workers(0);
                    let builder = builder.batch_size(batch_size).drop_last(drop_last);
                    builder.distributed(rank, uneven).build().unwrap()
                };
                for from in shapes {
                    let states: Vec<_> =
                        build(from).epoch(0).map(|batch| batch.unwrap().state()).collect();
                    for to in shapes {
                        let steps = build(to).epoch(0).len();
                        for (done, state) in (1..).zip(&states) {
                            let left = build(to).resume(state).unwrap().len();
                            let expected = steps.saturating_sub(done);
                            assert_eq!(left, expected, "{samples} {uneven:?} {from:?} {to:?}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_batch_that_was_an_error_comes_again() {
    within_two_minutes(|| {
        for num_workers in [0, 2] {
            let build = || {
                let load = |index, _: &mut Begun| match index {
                    5 => Err(SampleError::from("it is five".to_owned())),
                    _ => Ok(()),
                };
                let builder = Loader::builder(Numbers { samples: 12, load }).batch_size(4);
                builder.num_workers(num_workers).build().unwrap()
            };
            let mut loader = build();
            let mut epoch = loader.epoch(0);
            let first = epoch.next().unwrap().unwrap().state();
            assert!(epoch.next().unwrap().is_err());
            drop(epoch);
            assert_eq!(loader.state(), Some(first));
            let mut loader = build();
            let mut rest = loader.resume(&first).unwrap();
            assert!(rest.next().unwrap().is_err());
            // One that came out after it is behind it.
            let third = rest.next().unwrap().unwrap();
            assert_eq!(third.indices(), [8, 9, 10, 11]);
            drop(rest);
            assert_eq!(loader.state(), Some(third.state()));
        }
    });
}

#[test]
fn the_end_of_an_epoch_is_a_state_too() {
    within_two_minutes(|| {
        let build = || builder(10).num_workers(1).build().unwrap();
        let mut loader = build();
        assert_eq!(loader.state(), None);
        let state = loader.epoch(3).last().unwrap().unwrap().state();
        assert_eq!((state.epoch, state.samples), (3, 10));
        assert_eq!(build().resume(&state).unwrap().len(), 0);
        let next = contents(build().epoch(4));
        assert_eq!(contents(loader.epoch(4)), next);
    });
}

#[test]
fn a_state_of_another_run_is_refused() {
    within_two_minutes(|| {
        let state =
            builder(20).num_workers(0).build().unwrap().epoch(0).next().unwrap().unwrap().state();
        let refusal = |builder: LoaderBuilder, state: LoaderState| {
            let mut loader = builder.num_workers(0).build().unwrap();
            match loader.resume(&state).map(|_| ()).unwrap_err() {
                LoaderError::State(error) => error,
                error => panic!("{error:?}"),
            }
        };
        let seed = refusal(builder(20).seed(1), state);
        assert_eq!(seed, StateError::Seed { expected: 9, got: 1 });
        let size = refusal(builder(20).batch_size(5), state);
        assert_eq!(size, StateError::GlobalBatchSize { expected: 4, got: 5 });
        assert_eq!(refusal(builder(21), state), StateError::Fingerprint);
        assert_eq!(refusal(builder(20).shuffle(false), state), StateError::Fingerprint);
        let listed = Listed { indices: (0..20).collect(), shuffle: false };
        assert_eq!(refusal(builder(20).sampler(listed), state), StateError::Fingerprint);
        let between = LoaderState { samples: 5, ..state };
        assert_eq!(refusal(builder(20), between), StateError::Position { epoch: 0, samples: 5 });
    });
}
