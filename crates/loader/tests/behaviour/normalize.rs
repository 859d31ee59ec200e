//! Bytes that become floats where the batch is to be.

use loader::datasets::arrays::Array;
use loader::{Arrays, Loader, LoaderBuilder, LoaderError};
use preproc::transform::Normalize;
use tch::{Kind, Tensor};

use crate::common::within_two_minutes;

/// Ten images `[3, 2, 5]` of bytes and ten labels.
fn builder(bytes: &[u8]) -> LoaderBuilder {
    let images = Array::from_values(bytes, &[10, 3, 2, 5]).unwrap();
    let labels = Array::from_values(&[7i64; 10], &[10]).unwrap();
    let dataset = Arrays::new([("images", images), ("labels", labels)]).unwrap();
    Loader::builder(dataset).batch_size(4).num_workers(1)
}

fn bytes() -> Vec<u8> {
    (0..300).map(|i| (i * 37 % 256) as u8).collect()
}

#[test]
fn bytes_become_what_the_formula_says() {
    within_two_minutes(|| {
        let all = Tensor::from_slice(&bytes()).view([10, 3, 2, 5]).to_kind(Kind::Double) / 255.0;
        for normalize in [Normalize::IDENTITY, Normalize::IMAGENET] {
            let channel = |values: [f32; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
            let expected = (&all - channel(normalize.mean)) / channel(normalize.std);
            let builder = builder(&bytes()).normalize_on_device("images", normalize);
            let mut loader = builder.build().unwrap();
            for epoch in 0..2 {
                let batches: Vec<_> = loader.epoch(epoch).map(Result::unwrap).collect();
                let images: Vec<_> = batches.iter().map(|batch| &batch["images"]).collect();
                let got = Tensor::cat(&images, 0);
                assert_eq!((got.kind(), got.size()), (Kind::Float, vec![10, 3, 2, 5]));
                assert!((got - &expected).abs().max().double_value(&[]) < 1e-5);
                assert_eq!(batches[0]["labels"].kind(), Kind::Int64);
            }
        }
    });
}

#[test]
fn what_cannot_be_normalised_is_named() {
    within_two_minutes(|| {
        let refused = |builder: LoaderBuilder| match builder.build() {
            Err(error @ LoaderError::NormalizeField { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let message = refused(builder(&bytes()).normalize_on_device("image", Normalize::IDENTITY));
        let known = "the field `image` cannot be normalised on the device: there are only `images`, `labels`";
        assert_eq!(message, known);
        let message = refused(builder(&bytes()).normalize_on_device("labels", Normalize::IDENTITY));
        assert!(message.contains("it is Int64, and only bytes can be"), "{message}");
        let once = builder(&bytes()).normalize_on_device("images", Normalize::IMAGENET);
        let message = refused(once.normalize_on_device("images", Normalize::IDENTITY));
        assert!(message.ends_with("it is asked for twice"), "{message}");
        let grey = Array::from_values(&[1u8; 40], &[10, 4]).unwrap();
        let grey = Loader::builder(Arrays::new([("grey", grey)]).unwrap()).batch_size(5);
        let message = refused(grey.normalize_on_device("grey", Normalize::IMAGENET));
        assert!(message.contains("its samples are [4], not of three channels"), "{message}");
    });
}

#[test]
fn normalising_is_a_stage_that_the_training_loop_waits_for() {
    within_two_minutes(|| {
        for num_workers in [0, 1] {
            let builder = builder(&bytes()).normalize_on_device("images", Normalize::IMAGENET);
            let mut loader = builder.num_workers(num_workers).build().unwrap();
            loader.epoch(0).for_each(|batch| drop(batch.unwrap()));
            let stats = loader.stats();
            assert!(stats.stages.normalize_s > 0.0);
            assert!(stats.waited_s >= stats.stages.normalize_s);
            let snapshot = loader.pipeline().snapshot();
            let [_, delivery] = &snapshot.stations[..] else { panic!("{snapshot:?}") };
            let names: Vec<_> = delivery.stages.iter().map(|stage| stage.name.as_str()).collect();
            assert_eq!(
                (names, delivery.on_consumer),
                (vec!["transfer", "normalize", "batch_transform"], true)
            );
            assert!((snapshot.input_s() - stats.waited_s).abs() < 1e-6, "counted once");
        }
    });
}

#[test]
fn a_loader_that_leaves_batches_as_they_are_has_no_such_station() {
    within_two_minutes(|| {
        let mut loader = builder(&bytes()).build().unwrap();
        loader.epoch(0).for_each(|batch| drop(batch.unwrap()));
        assert_eq!(loader.pipeline().snapshot().stations.len(), 1);
        assert_eq!(loader.stats().stages.normalize_s, 0.0);
    });
}
