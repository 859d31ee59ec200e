//! Transforms of tensors and of batches.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use preproc::transform::tensor::{TensorTransform, TokenizeAndPad};
use preproc::transform::{CutMix, MixUp, Scratch};
use preproc::{Region, SampleRng, Transform, TransformError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::{Kind, Tensor};

mod common;

fn run(transform: &TensorTransform, x: &Tensor) -> Result<Tensor, TransformError> {
    let mut value = x.shallow_clone();
    transform.apply(&mut value, &mut SampleRng::new(0, 0, 0), &mut Scratch::default())?;
    Ok(value)
}

/// 0 to 23, `[2, 3, 4]`.
fn image() -> Tensor {
    Tensor::arange(24, (Kind::Uint8, tch::Device::Cpu)).view([2, 3, 4])
}

#[test]
fn tensors_of_images() {
    let x = image();
    assert_eq!(run(&TensorTransform::Cast(Kind::Float), &x).unwrap().kind(), Kind::Float);
    let flipped = run(&TensorTransform::HorizontalFlip, &x).unwrap();
    assert_eq!(flipped.int64_value(&[0, 0, 0]), 3);
    assert_eq!(run(&TensorTransform::VerticalFlip, &x).unwrap().int64_value(&[1, 0, 0]), 20);
    let part = Region { left: 1, top: 2, width: 2, height: 1 };
    let cut = run(&TensorTransform::Crop(part), &x).unwrap();
    assert_eq!((cut.size(), cut.int64_value(&[0, 0, 1])), (vec![2, 1, 2], 10));
    let pad = TensorTransform::Pad { padding: [1, 2, 3, 4], value: 7.0 };
    let padded = run(&pad, &x).unwrap();
    assert_eq!((padded.size(), padded.int64_value(&[0, 0, 0])), (vec![2, 9, 8], 7));
    assert_eq!(padded.int64_value(&[0, 2, 1]), 0);
    let half = run(&TensorTransform::Resize([3, 2]), &x).unwrap();
    assert_eq!((half.size(), half.kind()), (vec![2, 3, 2], Kind::Uint8));
    let normalize = TensorTransform::Normalize { mean: vec![1.0, 12.0], std: vec![2.0, 4.0] };
    let normal = run(&normalize, &x).unwrap();
    assert_eq!(normal.double_value(&[0, 1, 1]), 2.0);
    assert_eq!(normal.double_value(&[1, 1, 0]), 1.0);
    // What was handed in stays.
    assert_eq!(x, image());
    let error = run(&TensorTransform::Resize([3, 2]), &x.view([24])).unwrap_err();
    assert!(error.to_string().contains("`resize` got a tensor Uint8 [24]"), "{error}");
    let beyond = Region { left: 3, ..part };
    assert!(matches!(run(&TensorTransform::Crop(beyond), &x), Err(TransformError::Torch(_))));
}

#[test]
fn constants_that_are_kept_are_those_of_the_transform_and_the_type() {
    let mut scratch = Scratch::default();
    let mut normalized = |mean: f64, kind| {
        let normalize = TensorTransform::Normalize { mean: vec![mean; 2], std: vec![0.5; 2] };
        let mut x = image().to_kind(kind);
        normalize.apply(&mut x, &mut SampleRng::new(0, 0, 0), &mut scratch).unwrap();
        (x.kind(), x.double_value(&[1, 0, 0]))
    };
    for _ in 0..2 {
        assert_eq!(normalized(2.0, Kind::Uint8), (Kind::Float, 20.0));
        assert_eq!(normalized(3.0, Kind::Uint8), (Kind::Float, 18.0));
        assert_eq!(normalized(3.0, Kind::Double), (Kind::Double, 18.0));
    }
}

#[test]
fn sequences_of_one_length() {
    let tokens = TokenizeAndPad {
        length: 6,
        vocabulary: 10,
        unknown: 3,
        begin: Some(1),
        end: Some(2),
        pad: 0,
    };
    let tokens = TensorTransform::TokenizeAndPad(tokens);
    let get = |values: &[i64]| {
        Vec::<i64>::try_from(run(&tokens, &Tensor::from_slice(values)).unwrap()).unwrap()
    };
    assert_eq!(get(&[5, 99]), [1, 5, 3, 2, 0, 0]);
    assert_eq!(get(&[4, 5, 6, 7, 8, 9]), [1, 4, 5, 6, 7, 2]);
    assert_eq!(get(&[]), [1, 2, 0, 0, 0, 0]);
    assert!(run(&tokens, &image()).is_err());
    let hot = run(&TensorTransform::OneHot(4), &Tensor::from_slice(&[2_i64, 0])).unwrap();
    assert_eq!(Vec::<i64>::try_from(hot.view([-1])).unwrap(), [0, 0, 1, 0, 1, 0, 0, 0]);
}

fn batch() -> (Tensor, Tensor) {
    let images = Tensor::arange(4, (Kind::Float, tch::Device::Cpu)).view([4, 1, 1, 1]);
    (images.expand([4, 3, 8, 6], false).contiguous(), Tensor::from_slice(&[0_i64, 1, 2, 0]))
}

#[test]
fn images_are_blended_with_their_labels() {
    let mix = MixUp { alpha: 0.2, num_classes: 3 };
    let mut mixed = batch();
    mix.mix(&mut mixed, 0.75).unwrap();
    let (images, labels) = mixed;
    // The second is 3/4 of itself, 1, and 1/4 of the first, 0; the first 1/4 of the last, 3.
    assert_eq!(images.double_value(&[1, 2, 7, 5]), 0.75);
    assert_eq!(images.double_value(&[0, 0, 0, 0]), 0.75);
    assert_eq!(labels.double_value(&[1, 1]), 0.75);
    assert_eq!(labels.double_value(&[1, 0]), 0.25);
    // A beta distribution of such alpha is near 0 or 1 most of the time, and 1/2 in the mean.
    let draws: Vec<f64> =
        (0..4_000).map(|i| mix.draw(&mut SampleRng::new(0, 0, i)).unwrap()).collect();
    let mean = draws.iter().sum::<f64>() / 4_000.0;
    assert!((mean - 0.5).abs() < 0.03, "{mean}");
    let extreme = draws.iter().filter(|x| !(0.1..0.9).contains(*x)).count();
    assert!((2_000..3_600).contains(&extreme), "{extreme}");
    assert!(MixUp { alpha: 0.0, ..mix }.draw(&mut SampleRng::new(0, 0, 0)).is_err());
}

#[test]
fn parts_are_exchanged_with_their_labels() {
    let mix = CutMix { alpha: 1.0, num_classes: 3 };
    let mut mixed = batch();
    let region = Region { left: 1, top: 2, width: 3, height: 4 };
    mix.mix(&mut mixed, region).unwrap();
    let (images, labels) = mixed;
    assert_eq!(images.double_value(&[1, 0, 2, 1]), 0.0);
    assert_eq!(images.double_value(&[1, 0, 2, 0]), 1.0);
    assert_eq!(images.double_value(&[1, 0, 6, 1]), 1.0);
    assert_eq!(labels.double_value(&[1, 1]), 0.75);
    assert_eq!(labels.double_value(&[1, 0]), 0.25);
    let draw = |i| mix.draw(6, 8, &mut SampleRng::new(0, 0, i)).unwrap();
    assert!((0..1_000).all(|i| draw(i).lies_in(6, 8)));
    assert_eq!(draw(3), draw(3));
    // As a transform, it draws from the generator that it is given.
    let mut a = batch();
    let mut b = batch();
    for batch in [&mut a, &mut b] {
        let rng = &mut SampleRng::new(0, 0, 9);
        mix.apply(batch, rng, &mut Scratch::default()).unwrap();
    }
    assert_eq!(a, b);
}

/// A tensor as `tensors.json` has it.
#[derive(Deserialize)]
struct Recorded {
    shape: Vec<i64>,
    values: Vec<f64>,
}

impl Recorded {
    fn of(value: &Value) -> Tensor {
        let Self { shape, values } = Self::deserialize(value).unwrap();
        Tensor::from_slice(&values).view(&shape[..])
    }
}

/// The tensor transform of a case, and whether its input is of floats.
fn recorded(case: &Value) -> (TensorTransform, bool) {
    fn get<T: DeserializeOwned>(value: &Value) -> T {
        T::deserialize(value).unwrap()
    }
    match case["op"].as_str().unwrap() {
        "cast" => (TensorTransform::Cast(Kind::Float), false),
        "normalize" => {
            let (mean, std) = (get(&case["mean"]), get(&case["std"]));
            (TensorTransform::Normalize { mean, std }, true)
        }
        "resize" => (TensorTransform::Resize(get(&case["size"])), case["dtype"] == "float32"),
        "crop" => (TensorTransform::Crop(region(&case["box"])), false),
        "horizontal_flip" => (TensorTransform::HorizontalFlip, false),
        "vertical_flip" => (TensorTransform::VerticalFlip, false),
        "pad" => {
            let (padding, value) = (get(&case["padding"]), get(&case["value"]));
            (TensorTransform::Pad { padding, value }, false)
        }
        op => panic!("{op}"),
    }
}

fn region(corners: &Value) -> Region {
    let [left, top, right, bottom] = <[u32; 4]>::deserialize(corners).unwrap();
    Region { left, top, width: right - left, height: bottom - top }
}

/// What torchvision's v2 transforms gave (`tests/reference/transforms/tensors.py`): the same to float
/// accuracy; of resized bytes to one, as its kernel for bytes has weights of 16 bits.
#[test]
fn tensors_and_batches_agree_with_torchvision() {
    let file = common::repository("tests/reference/transforms/tensors.json");
    let recording: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let batch = &recording["batch"];
    let images = Recorded::of(&batch["images"]);
    let labels = Tensor::from_slice(&Vec::<i64>::deserialize(&batch["labels"]).unwrap());
    let num_classes = batch["classes"].as_i64().unwrap();
    let agree = |case: &Value, field: &str, ours: &Tensor, most: f64| {
        let theirs = Recorded::of(&case[field]);
        assert_eq!(ours.size(), theirs.size(), "{}", case["op"]);
        let apart = (ours.to_kind(Kind::Double) - theirs).abs().max().double_value(&[]);
        assert!(apart <= most, "{} {}: {apart}", case["op"], case["size"]);
    };
    let cases = recording["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 21);
    for case in cases {
        let mut both = (images.to_kind(Kind::Float), labels.shallow_clone());
        match case["op"].as_str().unwrap() {
            "mix_up" => {
                let mix = MixUp { alpha: 1.0, num_classes };
                mix.mix(&mut both, case["share"].as_f64().unwrap()).unwrap();
            }
            "cut_mix" => {
                let mix = CutMix { alpha: 1.0, num_classes };
                mix.mix(&mut both, region(&case["box"])).unwrap();
            }
            _ => {
                let (transform, floats) = recorded(case);
                let kind = if floats { Kind::Float } else { Kind::Uint8 };
                let ours = run(&transform, &images.to_kind(kind)).unwrap();
                let resized_bytes = case["op"] == "resize" && !floats;
                agree(case, "images", &ours, if resized_bytes { 1.0 } else { 1e-3 });
                continue;
            }
        }
        agree(case, "images", &both.0, 1e-3);
        agree(case, "labels", &both.1, 1e-5);
    }
}
