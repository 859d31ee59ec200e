//! Transforms of whole batches.

use loader::datasets::arrays::Array;
use loader::{Arrays, Loader, LoaderBuilder, LoaderError, OnError, Rank};
use preproc::transform::{CutMix, LabelledBatch, MixUp, Scratch};
use preproc::{SampleRng, Transform, TransformError};
use tch::{Kind, Tensor};

use crate::common::within_two_minutes;

/// Ten images `[3, 4, 5]` of floats, of three classes.
fn builder() -> LoaderBuilder {
    let values: Vec<f32> = (0..600).map(|i| i as f32).collect();
    let labels: Vec<i64> = (0..10).map(|i| i % 3).collect();
    let images = Array::from_values(&values, &[10, 3, 4, 5]).unwrap();
    let labels = Array::from_values(&labels, &[10]).unwrap();
    let dataset = Arrays::new([("images", images), ("labels", labels)]).unwrap();
    Loader::builder(dataset).batch_size(4).shuffle(true)
}

fn mixed() -> LoaderBuilder {
    builder()
        .batch_transform("images", "labels", MixUp { alpha: 0.4, num_classes: 3 })
        .batch_transform("images", "labels", CutMix { alpha: 1.0, num_classes: 3 })
}

fn batches(builder: LoaderBuilder, epoch: u64) -> Vec<(Tensor, Tensor)> {
    let mut loader = builder.build().unwrap();
    let of = |batch: Result<loader::Batch, LoaderError>| {
        let batch = batch.unwrap();
        (batch["images"].copy(), batch["labels"].copy())
    };
    loader.epoch(epoch).map(of).collect()
}

#[test]
fn mixing_depends_on_the_batch_and_never_on_workers() {
    within_two_minutes(|| {
        let expected = batches(mixed(), 1);
        for (num_workers, prefetch_depth) in [(1, 1), (3, 4)] {
            let builder = mixed().num_workers(num_workers).prefetch_depth(prefetch_depth);
            assert_eq!(batches(builder, 1), expected);
        }
        assert_ne!(batches(mixed(), 2), expected);
        assert_ne!(batches(mixed().seed(5), 1), expected);
    });
}

#[test]
fn labels_become_shares_that_sum_to_one_and_images_are_mixed() {
    within_two_minutes(|| {
        let plain = batches(builder(), 0);
        for ((images, labels), (before, _)) in batches(mixed(), 0).iter().zip(&plain) {
            assert_eq!(labels.kind(), Kind::Float);
            assert_eq!(labels.size()[1], 3);
            let sums = labels.sum_dim_intlist(1, false, Kind::Float);
            assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-5);
            assert_eq!(images.size(), before.size());
        }
        assert_ne!(batches(mixed(), 0)[0].0, plain[0].0);
    });
}

#[test]
fn a_resumed_epoch_is_mixed_as_it_would_have_been() {
    within_two_minutes(|| {
        let expected = batches(mixed(), 0);
        let mut loader = mixed().num_workers(1).build().unwrap();
        let state = loader.epoch(0).next().unwrap().unwrap().state();
        let mut loader = mixed().num_workers(2).build().unwrap();
        let rest: Vec<_> = loader.resume(&state).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest.len(), expected.len() - 1);
        for (batch, (images, labels)) in rest.iter().zip(&expected[1..]) {
            assert_eq!((&batch["images"], &batch["labels"]), (images, labels));
        }
    });
}

/// Says what it drew.
struct Draws;

impl Transform<LabelledBatch> for Draws {
    fn name(&self) -> &str {
        "draws"
    }

    fn apply(
        &self,
        batch: &mut LabelledBatch,
        rng: &mut SampleRng,
        _: &mut Scratch,
    ) -> Result<(), TransformError> {
        use rand::RngExt;
        batch.1 = Tensor::from(i64::from(rng.random::<u32>()));
        Ok(())
    }
}

#[test]
fn ranks_draw_each_for_itself() {
    within_two_minutes(|| {
        let of = |rank| {
            let rank = Rank::new(rank, 2).unwrap();
            let builder = builder().batch_size(2).batch_transform("images", "labels", Draws);
            batches(builder.distributed(rank, loader::distributed::Uneven::Drop), 0)
        };
        let draws = |batches: Vec<(Tensor, Tensor)>| -> Vec<i64> {
            batches.iter().map(|(_, drawn)| drawn.int64_value(&[])).collect()
        };
        let mut all = [draws(of(0)), draws(of(1))].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6, "three batches of two ranks");
    });
}

#[test]
fn a_field_that_is_not_there_is_named_before_anything_is_loaded() {
    let mix = MixUp { alpha: 0.4, num_classes: 3 };
    let error = builder().batch_transform("images", "label", mix).build().unwrap_err();
    let message = "`mix_up` needs the field `label`, but there are only `images`, `labels`";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_transform_that_fails_is_an_error_of_its_batch() {
    within_two_minutes(|| {
        let mix = MixUp { alpha: -1.0, num_classes: 3 };
        let builder = builder().batch_transform("images", "labels", mix);
        let mut loader = builder.on_error(OnError::Skip { max: 10 }).build().unwrap();
        let mut epoch = loader.epoch(3);
        let error = epoch.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "`mix_up` failed on batch 0 of epoch 3");
        assert!(loader::error::Report(&error).to_string().contains("alpha"));
    });
}
