//! Settings that make no sense, and those that only look so.

use loader::distributed::Uneven;
use loader::sampler::{LengthBuckets, Listed};
use loader::{Loader, LoaderBuilder, LoaderError, Rank};

use crate::common::{chain, contents, numbers, within_two_minutes};

fn refused(builder: LoaderBuilder) -> LoaderError {
    builder.build().expect_err("these settings make no sense")
}

#[test]
fn values_out_of_range_are_named() {
    within_two_minutes(|| {
        let builder = || Loader::builder(numbers(10)).num_workers(1);
        for (builder, text) in [
            (builder().batch_size(0), "`batch_size` is 0, but must be 1 to 16777216"),
            (builder().batch_size(1 << 25), "`batch_size` is 33554432, but must be 1 to 16777216"),
            (builder().num_workers(1025), "`num_workers` is 1025, but must be 0 to 1024"),
            (
                builder().prefetch_depth(0),
                "`prefetch_depth` is 0, but must be 1 to 1024 when there are workers",
            ),
            (
                builder().prefetch_depth(1025),
                "`prefetch_depth` is 1025, but must be 1 to 1024 when there are workers",
            ),
        ] {
            assert_eq!(refused(builder).to_string(), text);
        }
    });
}

#[test]
fn a_data_set_without_samples_is_refused() {
    within_two_minutes(|| {
        let error = refused(Loader::builder(numbers(0)));
        assert!(matches!(error, LoaderError::NoSamples));
        assert_eq!(error.to_string(), "the data set is empty");
    });
}

#[test]
fn a_batch_larger_than_the_data_is_short_or_refused() {
    within_two_minutes(|| {
        let builder = || Loader::builder(numbers(10)).batch_size(1 << 24).num_workers(1);
        let mut loader = builder().build().unwrap();
        let batches = contents(loader.epoch(0));
        assert_eq!(batches.len(), 1);
        assert_eq!(batches[0].indices, Vec::from_iter(0..10));

        let error = refused(builder().drop_last(true));
        let LoaderError::NoFullBatch { batch_size: 0x100_0000, world_size: 1, samples: 10 } = error
        else {
            panic!("{error:?}");
        };
        assert!(error.to_string().contains("hint: use `batch_size` 10 or less"), "{error}");
        assert_eq!(
            Loader::builder(numbers(10))
                .batch_size(10)
                .drop_last(true)
                .build()
                .unwrap()
                .batches_per_epoch(),
            1
        );
    });
}

#[test]
fn what_leaves_no_batch_is_said() {
    let builder = |samples| Loader::builder(numbers(samples)).batch_size(4).num_workers(0);
    let listed = |indices| Listed { indices, shuffle: false };
    let ranks = |builder: LoaderBuilder, world_size, uneven| {
        builder.distributed(Rank::new(0, world_size).unwrap(), uneven)
    };
    // Two batches; none is full.
    let buckets = || LengthBuckets::new(vec![1; 8], 5).pool(4);
    let shared = "and `Uneven::Drop` drops what cannot be shared evenly\n\
        hint: use fewer processes, or `Uneven::Pad`";
    let full = "and `drop_last` drops the batch that is not full\nhint: use";
    for (builder, text) in [
        (builder(8).sampler(listed(vec![])), "the sampler gives no samples".to_owned()),
        (
            builder(8).batch_sampler(buckets().drop_last(true)),
            "the batch sampler gives no batches".to_owned(),
        ),
        (
            ranks(builder(3), 8, Uneven::Drop),
            format!("an epoch has 3 samples, not one for each of 8 processes, {shared}"),
        ),
        (
            ranks(builder(8).batch_sampler(buckets()), 3, Uneven::Drop),
            format!("an epoch has 2 batches, not one for each of 3 processes, {shared}"),
        ),
        (
            ranks(builder(10).drop_last(true), 4, Uneven::Pad),
            format!(
                "`batch_size` is 4 for each of 4 processes but there are only 10 samples, {full} \
                 `batch_size` 2 or less, or `drop_last = false`"
            ),
        ),
        (
            ranks(builder(3).drop_last(true), 4, Uneven::Pad),
            format!(
                "`batch_size` is 4 for each of 4 processes but there are only 3 samples, {full} \
                 fewer processes, or `drop_last = false`"
            ),
        ),
        (
            builder(8).sampler(listed(vec![5, 6])).drop_last(true),
            format!(
                "`batch_size` is 4 but there are only 2 samples, {full} `batch_size` 2 or less, \
                 or `drop_last = false`"
            ),
        ),
    ] {
        assert_eq!(refused(builder).to_string(), text);
    }
    // With a batch sampler another has no effect.
    assert!(builder(8).batch_sampler(buckets()).sampler(listed(vec![])).build().is_ok());
}

#[test]
fn more_workers_and_depth_than_samples_are_fine() {
    within_two_minutes(|| {
        let mut loader = Loader::builder(numbers(3))
            .batch_size(2)
            .num_workers(9)
            .prefetch_depth(50)
            .build()
            .unwrap();
        for epoch in 0..3 {
            assert_eq!(contents(loader.epoch(epoch)).len(), 2);
        }
    });
}

#[test]
fn the_settings_in_effect_can_be_asked_for() {
    within_two_minutes(|| {
        let loader = Loader::builder(numbers(10))
            .batch_size(3)
            .num_workers(2)
            .prefetch_depth(4)
            .shuffle(true)
            .drop_last(true)
            .seed(5)
            .build()
            .unwrap();
        let settings = loader.settings();
        assert_eq!((settings.batch_size, settings.num_workers, settings.prefetch_depth), (3, 2, 4));
        assert!(settings.shuffle && settings.drop_last && !settings.pin_memory);
        assert_eq!(settings.seed, 5);
    });
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let mut loader = Loader::builder(numbers(4)).batch_size(2).num_workers(0).build().unwrap();
    let batch = loader.epoch(0).next().unwrap().unwrap();
    let error = batch.try_to_device(tch::Device::Cuda(99)).unwrap_err();
    assert!(matches!(error, LoaderError::Libtorch { .. }), "{error:?}");
    let same = batch.try_to_device(tch::Device::Cpu).unwrap();
    assert_eq!(same["index"], batch["index"]);
}

#[test]
fn where_there_is_no_gpu_batches_cannot_be_copied_to_one() {
    // Elsewhere `tests/gpu.rs` has the tests.
    let Err(reason) = loader::cuda::load() else { return };
    let builder = || Loader::builder(numbers(4)).batch_size(2).num_workers(1);
    let error = builder().to_device(tch::Device::Cuda(0), 1).build().unwrap_err();
    assert_eq!(chain(&error), format!("batches cannot be copied to a GPU: {reason}"));
    let mut loader = builder().to_device(loader::cuda::device(), 1).build().unwrap();
    for batch in loader.epoch(0) {
        assert_eq!(batch.unwrap()["index"].device(), tch::Device::Cpu);
    }
}
