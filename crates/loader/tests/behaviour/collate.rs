//! Samples that do not have one shape.

use std::collections::BTreeMap;

use loader::collate::{Pad, Parts, Stack};
use loader::{Batch, Collate, ItemDataset, Loader, LoaderError, OnError, SampleError};
use preproc::SampleRng;
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::common::{chain, contents, within_two_minutes};

/// Samples made by a function of the index.
struct Made<F>(usize, F);

impl<T, F> ItemDataset for Made<F>
where
    T: Send + 'static,
    F: Fn(usize, &mut SampleRng) -> Result<T, SampleError> + Send + Sync + 'static,
{
    type Item = T;
    type Worker = ();

    fn len(&self) -> usize {
        self.0
    }

    fn get(&self, index: usize, (): &mut (), rng: &mut SampleRng) -> Result<T, SampleError> {
        (self.1)(index, rng)
    }
}

/// The one batch of four samples.
fn batch_of<T, F>(make: F, collate: impl Collate<T>) -> Result<Batch, LoaderError>
where
    T: Send + 'static,
    F: Fn(usize, &mut SampleRng) -> Result<T, SampleError> + Send + Sync + 'static,
{
    let builder = Loader::collated(Made(4, make), collate).batch_size(4).num_workers(2);
    builder.build()?.epoch(0).next().unwrap()
}

fn range(len: usize) -> Tensor {
    Tensor::arange(len as i64, (Kind::Float, tch::Device::Cpu))
}

#[test]
fn tensors_tuples_and_maps_are_stacked() {
    within_two_minutes(|| {
        let batch = batch_of(|index, _| Ok(range(3) + index as f64), Stack).unwrap();
        assert_eq!(batch["0"].size(), [4, 3]);
        assert_eq!(batch["0"].double_value(&[2, 1]), 3.0);

        let batch = batch_of(|index, _| Ok((range(2), index as i64, vec![0.5f32])), Stack).unwrap();
        let names: Vec<_> = batch.iter().map(|(name, tensor)| (name, tensor.size())).collect();
        assert_eq!(names, [("0", vec![4, 2]), ("1", vec![4]), ("2", vec![4, 1])]);
        assert_eq!(batch["1"], Tensor::from_slice(&[0i64, 1, 2, 3]));

        let map = |index: usize, _: &mut SampleRng| {
            Ok(BTreeMap::from([
                ("x".to_owned(), range(2)),
                ("y".to_owned(), range(index + 1).sum(Kind::Float)),
            ]))
        };
        let batch = batch_of(map, Stack).unwrap();
        assert_eq!(batch["x"].size(), [4, 2]);
        assert_eq!(batch["y"], Tensor::from_slice(&[0f32, 1.0, 3.0, 6.0]));
    });
}

#[test]
fn padding_fills_up_in_every_dimension_and_tells_lengths() {
    within_two_minutes(|| {
        let make = |index: usize, _: &mut SampleRng| {
            Ok(Tensor::ones([index as i64, 3 - index as i64 % 2], (Kind::Float, tch::Device::Cpu)))
        };
        let batch = batch_of(make, Pad { value: -1.0 }).unwrap();
        assert_eq!(batch["0"].size(), [4, 3, 3]);
        assert_eq!(batch["0_lengths"], Tensor::from_slice(&[0i64, 1, 2, 3]));
        assert_eq!(batch["0"].get(0), Tensor::full([3, 3], -1.0, (Kind::Float, tch::Device::Cpu)));
        let second = Tensor::from_slice2(&[[1f32, 1.0, -1.0], [-1.0; 3], [-1.0; 3]]);
        assert_eq!(batch["0"].get(1), second);

        // As torch.nn.utils.rnn.pad_sequence.
        let batch =
            batch_of(|index, _| Ok((range(index + 1), index as i64)), Pad::default()).unwrap();
        let sequences: Vec<_> = (0..4).map(|index| range(index + 1)).collect();
        assert_eq!(batch["0"], Tensor::pad_sequence(&sequences, true, 0.0, "right"));
        assert_eq!(batch["1"], Tensor::from_slice(&[0i64, 1, 2, 3]));
        assert!(batch.get("1_lengths").is_none());
    });
}

#[test]
fn a_function_may_collate() {
    within_two_minutes(|| {
        let join = |words: Vec<String>| {
            let all = words.concat();
            Ok(vec![("text".to_owned(), Tensor::from_slice(all.as_bytes()))])
        };
        let batch = batch_of(|index, _| Ok(format!("<{index}>")), join).unwrap();
        assert_eq!(batch["text"], Tensor::from_slice(b"<0><1><2><3>"));
        assert_eq!(batch.len(), 4);
    });
}

#[test]
fn samples_that_do_not_go_together_are_an_error_that_says_why() {
    within_two_minutes(|| {
        let why = |batch: Result<Batch, LoaderError>| {
            let error = batch.unwrap_err();
            assert!(matches!(error, LoaderError::Collate { .. }), "{error:?}");
            chain(&error)
        };
        let shapes = why(batch_of(|index, _| Ok(range(index / 3 + 1)), Stack));
        assert!(shapes.contains("`0` has shape [1] in one sample and [2] in another"), "{shapes}");
        let kinds = |index: usize, _: &mut SampleRng| {
            Ok(if index == 2 { range(1).to_kind(Kind::Int64) } else { range(1) })
        };
        let text = why(batch_of(kinds, Stack));
        assert!(text.contains("`0` is Float in one sample and Int64 in another"), "{text}");
        let names = |index: usize, _: &mut SampleRng| {
            Ok(vec![(if index == 1 { "y" } else { "x" }.to_owned(), range(1))])
        };
        let text = why(batch_of(names, Stack));
        assert!(text.contains("other parts than those before it: [\"y\"]"), "{text}");
        let dimensions = |index: usize, _: &mut SampleRng| {
            Ok(if index == 3 { range(1).unsqueeze(0) } else { range(1) })
        };
        let text = why(batch_of(dimensions, Pad::default()));
        assert!(text.contains("[1, 1, 1, 2]"), "{text}");
        let panics = |_: Vec<i64>| -> Result<Vec<(String, Tensor)>, SampleError> { panic!("no") };
        let text = why(batch_of(|index, _| Ok(index as i64), panics));
        assert!(text.contains("the collate function panicked: no"), "{text}");
    });
}

#[test]
fn the_batch_whose_samples_do_not_go_together_is_named() {
    within_two_minutes(|| {
        let make = |index: usize, _: &mut SampleRng| match index {
            4 => Err(SampleError::from("bad")),
            7 => Ok(range(2)),
            _ => Ok(range(1)),
        };
        let builder = Loader::collated(Made(8, make), Stack).batch_size(4).num_workers(1);
        let mut loader = builder.on_error(OnError::Skip { max: 1 }).build().unwrap();
        let error = loader.epoch(3).nth(1).unwrap().unwrap_err();
        let named =
            matches!(error, LoaderError::Collate { batch: 1, epoch: 3, samples: Some([5, 7]), .. });
        assert!(named, "{error:?}");
        let text = chain(&error);
        let start = "samples 5 and 7 of batch 1 of epoch 3 do not go together: `0` has shape [1]";
        assert!(text.starts_with(start), "{text}");

        let refuse = |_: Vec<i64>| -> Result<Vec<(String, Tensor)>, SampleError> {
            Err(SampleError::from("no reason"))
        };
        let text = chain(&batch_of(|index, _| Ok(index as i64), refuse).unwrap_err());
        let said = "the samples of batch 0 of epoch 0 do not go together: no reason";
        assert_eq!(text, said);
    });
}

/// Ragged samples that draw; two of them bad.
fn ragged() -> impl ItemDataset<Item = (Tensor, i64)> {
    Made(41, |index, rng: &mut SampleRng| {
        if index == 7 || index == 20 {
            return Err(SampleError::from("bad"));
        }
        let values: Vec<f32> = (0..rng.random_range(1..9)).map(|_| rng.random()).collect();
        Ok((Tensor::from_slice(&values), index as i64))
    })
}

#[test]
fn workers_and_depth_change_nothing_and_bad_samples_are_left_out() {
    within_two_minutes(|| {
        for on_error in [OnError::Skip { max: 2 }, OnError::Replace] {
            let run = |workers, depth| {
                let builder = Loader::collated(ragged(), Pad::default()).batch_size(6);
                let builder = builder.shuffle(true).num_workers(workers).prefetch_depth(depth);
                let mut loader = builder.on_error(on_error).build().unwrap();
                let batches: Vec<_> =
                    (0..2).flat_map(|epoch| contents(loader.epoch(epoch))).collect();
                assert_eq!(loader.bad_samples().len(), 2);
                batches
            };
            let expected = run(0, 1);
            let samples: usize = expected.iter().map(|batch| batch.indices.len()).sum();
            assert_eq!(samples, if on_error == OnError::Replace { 82 } else { 78 });
            for (workers, depth) in [(1, 1), (2, 3), (4, 2)] {
                assert!(run(workers, depth) == expected);
            }
        }
    });
}

#[test]
fn parts_of_a_map_come_in_the_order_of_their_names() {
    let parts = std::collections::HashMap::from([("b".to_owned(), 1i64), ("a".to_owned(), 2)]);
    let names: Vec<_> = parts.into_parts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
}
