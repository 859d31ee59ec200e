//! Samplers, batch samplers, and the share of each rank.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loader::distributed::{RankError, Uneven};
use loader::sampler::{
    LengthBuckets, Listed, SamplerError, Sequential, Shuffled, Weighted, WithReplacement,
};
use loader::{BatchSampler, Loader, LoaderBuilder, LoaderError, Rank, Sampler};
use preproc::SampleRng;
use proptest::prelude::*;

use crate::common::{Noise, contents, numbers, within_two_minutes};

/// The batches of an epoch, each its indices.
fn batches(builder: LoaderBuilder, epoch: u64) -> Vec<Vec<usize>> {
    let mut loader = builder.num_workers(2).build().unwrap();
    let epoch = loader.epoch(epoch);
    let len = epoch.len();
    let batches: Vec<_> = epoch.map(|batch| batch.unwrap().indices().to_vec()).collect();
    assert_eq!(batches.len(), len);
    batches
}

fn order(sampler: &impl Sampler, epoch: u64) -> Vec<usize> {
    let order = sampler.order(epoch, &mut SampleRng::of_order(3, epoch));
    assert_eq!(order.len(), sampler.len());
    order
}

fn counts(order: &[usize]) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    order.iter().for_each(|index| *counts.entry(*index).or_default() += 1);
    counts
}

#[test]
fn sequential_and_shuffled_hold_every_sample_once() {
    assert_eq!(order(&Sequential(7), 0), Vec::from_iter(0..7));
    let mut shuffled = order(&Shuffled(100), 0);
    assert_ne!(shuffled, order(&Shuffled(100), 1));
    assert_eq!(shuffled, order(&Shuffled(100), 0));
    shuffled.sort_unstable();
    assert_eq!(shuffled, Vec::from_iter(0..100));
}

#[test]
fn listed_samples_alone_come() {
    let indices = vec![5, 2, 9, 2];
    let sampler = Listed { indices: indices.clone(), shuffle: false };
    assert_eq!(
        batches(Loader::builder(numbers(10)).sampler(sampler).batch_size(3), 0),
        [vec![5, 2, 9], vec![2]]
    );
    let mut shuffled = order(&Listed { indices: (0..50).collect(), shuffle: true }, 0);
    assert_ne!(shuffled, Vec::from_iter(0..50));
    shuffled.sort_unstable();
    assert_eq!(shuffled, Vec::from_iter(0..50));
}

#[test]
fn with_replacement_every_sample_is_as_likely() {
    let drawn = order(&WithReplacement { samples: 10, draws: 20_000 }, 0);
    let counts = counts(&drawn);
    // Binomial with mean 2,000 and standard deviation 42: five of them.
    assert!((0..10).all(|index| counts[&index].abs_diff(2_000) < 212), "{counts:?}");
}

#[test]
fn weights_are_kept_and_zero_never_comes() {
    let weights = vec![1.0, 0.0, 3.0, 6.0];
    let sampler = Weighted::with_replacement(weights.clone(), 20_000).unwrap();
    let drawn = counts(&order(&sampler, 0));
    assert_eq!(drawn.get(&1), None);
    for (index, expected) in [(0, 2_000), (2, 6_000), (3, 12_000)] {
        assert!(drawn[&index].abs_diff(expected) < 360, "{drawn:?}");
    }
    let without = Weighted::without_replacement(weights, 3).unwrap();
    let mut all = order(&without, 0);
    all.sort_unstable();
    assert_eq!(all, [0, 2, 3]);
}

#[test]
fn without_replacement_heavy_samples_come_in_more_epochs_and_at_any_place() {
    let weights: Vec<f64> = (0..20).map(|index| if index < 10 { 9.0 } else { 1.0 }).collect();
    let sampler = Weighted::without_replacement(weights, 5).unwrap();
    let (mut heavy, mut first_heavy) = (0, 0);
    for epoch in 0..400 {
        let order = order(&sampler, epoch);
        assert_eq!(counts(&order).len(), 5);
        heavy += order.iter().filter(|index| **index < 10).count();
        first_heavy += usize::from(order[0] < 10);
    }
    // About 87% of 2,000 draws; the first place has no more of them than the others.
    assert!((1_650..1_830).contains(&heavy), "{heavy}");
    assert!(first_heavy.abs_diff(heavy / 5) < 40, "{first_heavy} of {heavy}");
}

#[test]
fn weights_that_make_no_sense_are_refused() {
    let weights = |weights: &[f64]| Weighted::with_replacement(weights.to_vec(), 1).unwrap_err();
    assert!(matches!(weights(&[1.0, -1.0]), SamplerError::Weight { index: 1, .. }));
    assert!(matches!(weights(&[f64::NAN]), SamplerError::Weight { index: 0, .. }));
    assert_eq!(weights(&[0.0, 0.0]), SamplerError::NoWeight);
    assert_eq!(weights(&[]), SamplerError::NoWeight);
    let few = Weighted::without_replacement(vec![1.0, 0.0], 2).unwrap_err();
    assert_eq!(few, SamplerError::TooManyDraws { draws: 2, positive: 1 });
}

/// A sample that comes twice in an epoch draws anew; one that comes once draws as without sampler.
#[test]
fn repeated_samples_draw_anew() {
    within_two_minutes(|| {
        let indices = vec![3; 4];
        let load = |workers| {
            let sampler = Listed { indices: indices.clone(), shuffle: false };
            let data = Noise { samples: 5 };
            let builder = Loader::builder(data).sampler(sampler).batch_size(1);
            contents(builder.num_workers(workers).build().unwrap().epoch(0))
        };
        let batches = load(2);
        assert!((1..4).all(|other| batches[0] != batches[other]));
        assert_eq!(batches, load(0));
    });
}

struct Broken(Vec<usize>);

impl Sampler for Broken {
    fn len(&self) -> usize {
        3
    }
    fn order(&self, _: u64, _: &mut SampleRng) -> Vec<usize> {
        self.0.clone()
    }
}

impl BatchSampler for Broken {
    fn batches(&self, _: u64, _: &mut SampleRng) -> Vec<Vec<usize>> {
        vec![self.0.clone()]
    }
    fn max_batch_size(&self) -> usize {
        3
    }
}

#[test]
fn a_sampler_that_breaks_its_word_is_an_error_and_not_a_panic() {
    let outcome = |builder: LoaderBuilder| {
        let mut loader = builder.num_workers(1).build()?;
        let outcome = loader.epoch(0).next().unwrap().map(|_| ());
        assert!(outcome.is_err());
        outcome
    };
    let error = outcome(Loader::builder(numbers(5)).sampler(Broken(vec![0, 1, 5]))).unwrap_err();
    assert_eq!(error.to_string(), "the sampler gave index 5, but the data set has 5 samples");
    let error = outcome(Loader::builder(numbers(5)).sampler(Broken(vec![0]))).unwrap_err();
    assert_eq!(error.to_string(), "the sampler gave 1 indices, but says that an epoch has 3");
    let error = outcome(Loader::builder(numbers(5)).batch_sampler(Broken(vec![]))).unwrap_err();
    assert!(matches!(error, LoaderError::Sampler(SamplerError::BatchSize { got: 0, most: 3 })));
    let many = Broken(vec![0, 1, 2, 3]);
    let error = outcome(Loader::builder(numbers(5)).batch_sampler(many)).unwrap_err();
    assert!(matches!(error, LoaderError::Sampler(SamplerError::BatchSize { got: 4, most: 3 })));
}

/// Two samples in an epoch and in its batch, or six once it is told to grow.
struct Growing(Arc<AtomicBool>);

impl Growing {
    fn indices(&self) -> Vec<usize> {
        (0..if self.0.load(Ordering::SeqCst) { 6 } else { 2 }).collect()
    }
}

impl Sampler for Growing {
    fn len(&self) -> usize {
        self.indices().len()
    }
    fn order(&self, _: u64, _: &mut SampleRng) -> Vec<usize> {
        self.indices()
    }
}

impl BatchSampler for Growing {
    fn batches(&self, _: u64, _: &mut SampleRng) -> Vec<Vec<usize>> {
        vec![self.indices()]
    }
    fn max_batch_size(&self) -> usize {
        self.indices().len()
    }
}

/// There is no memory for larger batches than it spoke of when the loader was built.
#[test]
fn a_sampler_that_grows_is_an_error() {
    within_two_minutes(|| {
        for num_workers in [0, 2] {
            let error = |by_batches: bool| {
                let grow = Arc::new(AtomicBool::new(false));
                let sampler = Growing(grow.clone());
                let builder = Loader::builder(numbers(8)).batch_size(8).num_workers(num_workers);
                let builder = match by_batches {
                    true => builder.batch_sampler(sampler),
                    false => builder.sampler(sampler),
                };
                let mut loader = builder.build().unwrap();
                grow.store(true, Ordering::SeqCst);
                let error = loader.epoch(0).next().unwrap().unwrap_err();
                let LoaderError::Sampler(error) = error else { panic!("{error:?}") };
                error
            };
            assert_eq!(error(false), SamplerError::LengthChanged { was: 2, is: 6 });
            assert_eq!(error(true), SamplerError::BatchSize { got: 6, most: 2 });
        }
    });
}

/// Four batches in an even epoch, three in an odd one.
struct FourOrThree;

impl BatchSampler for FourOrThree {
    fn batches(&self, epoch: u64, _: &mut SampleRng) -> Vec<Vec<usize>> {
        (0..4 - epoch as usize % 2).map(|index| vec![index]).collect()
    }
    fn max_batch_size(&self) -> usize {
        1
    }
}

#[test]
fn an_epoch_without_an_order_is_an_error_of_its_own_alone() {
    within_two_minutes(|| {
        for (num_workers, prefetch_depth) in [(0, 1), (1, 1), (1, 2), (3, 8)] {
            let rank = Rank::new(0, 2).unwrap();
            let builder = Loader::builder(numbers(4)).batch_sampler(FourOrThree);
            let builder = builder.num_workers(num_workers).prefetch_depth(prefetch_depth);
            let mut loader = builder.distributed(rank, Uneven::Error).build().unwrap();
            for epoch in 0..4 {
                let outcomes: Vec<_> = loader.epoch(epoch).collect();
                if epoch % 2 == 0 {
                    let indices = outcomes.into_iter().map(|it| it.unwrap().indices().to_vec());
                    assert_eq!(indices.collect::<Vec<_>>(), [vec![0], vec![2]]);
                    continue;
                }
                let [Err(LoaderError::Rank(error))] = &outcomes[..] else {
                    panic!("{outcomes:?}");
                };
                let uneven = RankError::Uneven { left: 1, what: "batches", world_size: 2 };
                assert_eq!(*error, uneven);
            }
        }
    });
}

#[test]
fn length_buckets_waste_little_padding() {
    let mut rng = SampleRng::new(1, 1, 1);
    let lengths: Vec<usize> =
        (0..2_000).map(|_| rand::RngExt::random_range(&mut rng, 1..500)).collect();
    let padded = |batches: &[Vec<usize>]| -> usize {
        let longest = |batch: &Vec<usize>| batch.iter().map(|index| lengths[*index]).max().unwrap();
        batches.iter().map(|batch| batch.len() * longest(batch)).sum()
    };
    let all: usize = lengths.iter().sum();
    let bucketed = LengthBuckets::new(lengths.clone(), 16);
    let batches_of =
        |sampler: &LengthBuckets, epoch| sampler.batches(epoch, &mut SampleRng::of_order(0, epoch));
    let batches = batches_of(&bucketed, 0);
    assert_eq!(counts(&batches.concat()).len(), 2_000);
    assert_eq!(batches.len(), 2_000 / 16);
    assert!(padded(&batches) < all * 103 / 100, "{} of {all}", padded(&batches));
    let shuffled: Vec<Vec<usize>> =
        order(&Shuffled(2_000), 0).chunks(16).map(<[usize]>::to_vec).collect();
    assert!(padded(&shuffled) > all * 17 / 10);
    // Batches come in random order, and differ from epoch to epoch.
    let longest: Vec<_> = batches.iter().map(|batch| lengths[batch[0]]).collect();
    assert!(!longest.is_sorted() && !longest.iter().rev().is_sorted());
    assert_ne!(batches, batches_of(&bucketed, 1));

    let limited = LengthBuckets::by_padded_length(lengths.clone(), 4_096).unwrap();
    let batches = batches_of(&limited, 0);
    assert_eq!(counts(&batches.concat()).len(), 2_000);
    assert!(batches.iter().all(|batch| padded(std::slice::from_ref(batch)) <= 4_096));
    assert!(batches.iter().all(|batch| batch.len() <= limited.max_batch_size()));
    let error = LengthBuckets::by_padded_length(lengths, 100).unwrap_err();
    assert!(matches!(error, SamplerError::TooLong { limit: 100, .. }));
}

#[test]
fn samples_of_no_length_do_not_make_a_batch_without_end() {
    let sampler = LengthBuckets::by_padded_length(vec![0, 0], 0).unwrap();
    assert_eq!(batches(Loader::builder(numbers(2)).batch_sampler(sampler), 0).len(), 2);
    let lengths = vec![0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let sampler = LengthBuckets::by_padded_length(lengths, 4).unwrap();
    assert_eq!(sampler.max_batch_size(), 4);
    let mut batches = batches(Loader::builder(numbers(12)).batch_sampler(sampler), 0);
    batches.sort_by_key(Vec::len);
    let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 3, 4, 4]);
    assert_eq!(batches[0], [2]);
}

#[test]
fn batches_of_a_batch_sampler_come_as_they_are() {
    within_two_minutes(|| {
        let lengths: Vec<usize> = (0..100).map(|index| index % 13 + 1).collect();
        let sampler = LengthBuckets::by_padded_length(lengths, 40).unwrap();
        let expected = sampler.batches(2, &mut SampleRng::of_order(0, 2));
        let got = batches(Loader::builder(numbers(100)).batch_sampler(sampler), 2);
        assert_eq!(got, expected);
    });
}

/// What each of `world_size` ranks gets in an epoch.
fn ranks(
    samples: usize,
    batch_size: usize,
    world_size: usize,
    uneven: Uneven,
    drop_last: bool,
) -> Vec<Vec<Vec<usize>>> {
    let of_rank = |rank| {
        let rank = Rank::new(rank, world_size).unwrap();
        let builder = Loader::builder(numbers(samples)).shuffle(true).seed(5);
        let builder = builder.drop_last(drop_last).batch_size(batch_size);
        batches(builder.distributed(rank, uneven), 1)
    };
    (0..world_size).map(of_rank).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 32, ..Default::default() })]

    #[test]
    fn ranks_share_an_epoch(
        samples in 1usize..90, batch_size in 1usize..9, world_size in 1usize..6,
        pad: bool, drop_last: bool,
    ) {
        let step = batch_size * world_size;
        prop_assume!(samples >= step || (pad && !drop_last));
        let uneven = if pad { Uneven::Pad } else { Uneven::Drop };
        let ranks = ranks(samples, batch_size, world_size, uneven, drop_last);
        let one = &self::ranks(samples, samples, 1, uneven, false)[0][0];

        // As many batches for each rank, and at each step of one size.
        let sizes = |rank: &Vec<Vec<usize>>| rank.iter().map(Vec::len).collect::<Vec<_>>();
        prop_assert!(ranks.iter().all(|rank| sizes(rank) == sizes(&ranks[0])));
        // One step after the other, rank after rank, it is the order of one process.
        let steps = ranks[0].len();
        let together: Vec<usize> = (0..steps)
            .flat_map(|step| ranks.iter().flat_map(move |rank| rank[step].clone()))
            .collect();
        let (whole, tail) = (samples / step * step, samples % step);
        let expected = match (drop_last, uneven) {
            (true, _) => whole,
            (_, Uneven::Drop) => whole + tail / world_size * world_size,
            _ => samples.next_multiple_of(world_size),
        };
        prop_assert_eq!(together.len(), expected);
        let cycled: Vec<usize> = one.iter().cycle().take(expected).copied().collect();
        prop_assert_eq!(together, cycled);
    }
}

#[test]
fn an_uneven_tail_is_refused_if_asked() {
    let build = |samples, drop_last| {
        let rank = Rank::new(0, 2).unwrap();
        let builder = Loader::builder(numbers(samples)).batch_size(2).drop_last(drop_last);
        builder.num_workers(0).distributed(rank, Uneven::Error).build()
    };
    assert!(build(6, false).is_ok());
    assert!(build(7, true).is_ok());
    let error = build(7, false).unwrap_err();
    let LoaderError::Rank(RankError::Uneven { left: 3, world_size: 2, .. }) = error else {
        panic!("{error:?}");
    };
}

#[test]
fn batches_of_a_batch_sampler_are_shared_too() {
    within_two_minutes(|| {
        let lengths: Vec<usize> = (0..100).map(|index| index % 13 + 1).collect();
        let sampler = LengthBuckets::by_padded_length(lengths, 40).unwrap();
        let all = sampler.batches(0, &mut SampleRng::of_order(0, 0));
        let ranks: Vec<_> = (0..3)
            .map(|rank| {
                let rank = Rank::new(rank, 3).unwrap();
                let builder = Loader::builder(numbers(100)).batch_sampler(sampler.clone());
                batches(builder.distributed(rank, Uneven::Pad), 0)
            })
            .collect();
        assert!(ranks.iter().all(|rank| rank.len() == all.len().div_ceil(3)));
        for (number, batch) in all.iter().enumerate() {
            assert_eq!(ranks[number % 3][number / 3], *batch);
        }
    });
}

#[test]
#[ignore = "a program that a test starts"]
fn program_of_a_launcher() {
    match Loader::builder(numbers(8)).batch_size(2).num_workers(0).build() {
        Ok(mut loader) => {
            let epoch = loader.epoch(0);
            let indices: Vec<_> = epoch.flat_map(|it| it.unwrap().indices().to_vec()).collect();
            println!("\nsamples {indices:?}");
        }
        Err(error) => println!("\n{error}"),
    }
}

#[test]
fn a_process_that_a_launcher_started_loads_its_share() {
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "order::program_of_a_launcher", "--ignored", "--nocapture"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for (variables, expected) in [
        (&[][..], "samples [0, 1, 2, 3, 4, 5, 6, 7]"),
        (&[("RANK", "1"), ("WORLD_SIZE", "2")], "samples [2, 3, 6, 7]"),
        (&[("RANK", "1")], "`WORLD_SIZE` is not"),
    ] {
        let told = run(variables);
        assert!(told.contains(expected), "{variables:?}: {told}");
    }
}

#[test]
fn rank_and_world_size_come_from_the_launcher() {
    let from = |variables: &[(&str, &str)]| {
        Rank::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    };
    let numbers = |rank: Rank| (rank.rank(), rank.world_size(), rank.local_rank());
    assert_eq!(from(&[]).unwrap(), Rank::default());
    let torchrun = [("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")];
    assert_eq!(numbers(from(&torchrun).unwrap()), (5, 8, 1));
    let slurm = [
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "2"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_LOCALID", "0"),
    ];
    assert_eq!(numbers(from(&slurm).unwrap()), (2, 4, 0));
    // A batch script.
    assert_eq!(from(&slurm[1..]).unwrap(), Rank::default());
    let mpi = [
        ("OMPI_COMM_WORLD_RANK", "1"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ];
    assert_eq!(numbers(from(&mpi).unwrap()), (1, 2, 1));
    // torchrun started by Slurm's srun.
    assert_eq!(numbers(from(&[&slurm[..], &torchrun].concat()).unwrap()), (5, 8, 1));
    assert_eq!(numbers(from(&[("RANK", "0"), ("WORLD_SIZE", "2")]).unwrap()), (0, 2, 0));

    let error = |variables: &[(&str, &str)]| from(variables).unwrap_err().to_string();
    assert!(error(&[("RANK", "0")]).contains("`WORLD_SIZE` is not"));
    assert!(error(&[("RANK", "x"), ("WORLD_SIZE", "2")]).contains("`RANK` is `x`"));
    assert!(error(&[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("rank 2 of 2"));
}
