//! The transforms in lists: from TOML, through a `Compose`, to samples of every type and layout.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Jpeg, apply, clock, near, picture};
use half::bf16;
use preproc::transform::{Custom, Element, from_fn};
use preproc::{Compose, DecodeOptions, ImageTransform, SampleRng, TransformError, Worker};
use serde::Deserialize;

/// One of each, as a configuration has it.
const STEPS: [&str; 14] = [
    r#"{ pad = { padding = 4, fill = [1, 2, 3] } }"#,
    r#"{ pad = { padding = [3, 9], padding_mode = "reflect" } }"#,
    r#"{ pad = { padding = [1, 2, 3, 4], padding_mode = "symmetric" } }"#,
    r#""vertical_flip""#,
    r#"{ random_rotation = { degrees = 15, interpolation = "bilinear", fill = 9 } }"#,
    r#"{ random_rotation = { degrees = [80, 100] } }"#,
    r#"{ color_jitter = { brightness = 0.4, contrast = [0.5, 1.5], saturation = 0.4, hue = 0.1 } }"#,
    r#""grayscale""#,
    r#"{ random_grayscale = { p = 0.5 } }"#,
    r#"{ gaussian_blur = { kernel_size = [5, 23], sigma = [0.1, 2.0], p = 0.8 } }"#,
    r#"{ rand_augment = { num_ops = 3, magnitude = 20, interpolation = "bilinear" } }"#,
    r#""auto_augment""#,
    r#""trivial_augment_wide""#,
    r#""horizontal_flip""#,
];

#[derive(Deserialize)]
struct List {
    transforms: Vec<ImageTransform>,
}

fn list(text: &str) -> Vec<ImageTransform> {
    toml::from_str::<List>(&format!("transforms = [{text}]")).unwrap().transforms
}

fn compose(text: &str) -> Compose {
    Compose::new(list(text), DecodeOptions::default()).unwrap()
}

fn file() -> Vec<u8> {
    Jpeg::PLAIN.file(&picture(80, 60, 3))
}

fn sample<T: Element + Default>(compose: &Compose, worker: &mut Worker, index: u64) -> Vec<T> {
    let mut out = vec![T::default(); compose.shape().iter().product()];
    let mut rng = SampleRng::new(0, 0, index);
    compose.apply(&file(), &mut rng, worker, &mut clock(), &mut out).unwrap();
    out
}

#[test]
fn a_sample_is_the_same_on_every_worker() {
    let mut used = Worker::default();
    for step in STEPS {
        let steps = format!(
            r#""decode", "horizontal_flip", "vertical_flip", {{ crop = {{ left = 5, top = 7, width = 40, height = 31 }} }}, {step}, "to_tensor", "random_erasing""#
        );
        let compose = compose(&steps);
        for index in 0..12 {
            let fresh: Vec<f32> = sample(&compose, &mut Worker::default(), index);
            assert_eq!(sample::<f32>(&compose, &mut used, index), fresh, "{step} {index}");
        }
    }
}

/// Mirroring and flipping are put off until they must be done: with steps that do not care about
/// left and right, the order does not matter.
#[test]
fn what_is_put_off_is_done_in_time() {
    let symmetric = [
        r#""grayscale""#,
        r#"{ color_jitter = { contrast = [0.6, 0.6] } }"#,
        r#"{ color_jitter = { hue = [0.2, 0.2] } }"#,
        r#"{ gaussian_blur = { kernel_size = 5, sigma = [1, 1] } }"#,
        r#"{ pad = { padding = 6, padding_mode = "reflect" } }"#,
    ];
    let crop = "{ crop = { left = 3, top = 4, width = 51, height = 45 } }";
    let flips = "{ horizontal_flip = { p = 1 } }, { vertical_flip = { p = 1 } }";
    for step in symmetric {
        let before = compose(&format!(r#""decode", {crop}, {flips}, {step}, "to_tensor""#));
        let after = compose(&format!(r#""decode", {crop}, {step}, {flips}, "to_tensor""#));
        let mut worker = Worker::default();
        let (a, b) = (sample(&before, &mut worker, 0), sample(&after, &mut worker, 0));
        // Blurring sums up from the other side.
        assert!(near(&a, &b, 1.0), "{step}");
    }
}

#[test]
fn every_type_and_layout_holds_the_same_sample() {
    let with = |to_tensor: &str| {
        compose(&format!(
            r#""decode", "horizontal_flip", "vertical_flip", {{ crop = {{ left = 1, top = 2, width = 33, height = 21 }} }}, {{ to_tensor = {{ {to_tensor} }} }}"#
        ))
    };
    let mut worker = Worker::default();
    for index in 0..4 {
        let floats: Vec<f32> = sample(&with(""), &mut worker, index);
        let bytes: Vec<u8> = sample(&with(r#"dtype = "uint8""#), &mut worker, index);
        let halves: Vec<bf16> = sample(&with(r#"dtype = "bfloat16""#), &mut worker, index);
        let last: Vec<f32> = sample(&with(r#"layout = "channels_last""#), &mut worker, index);
        let plane = floats.len() / 3;
        for (i, float) in floats.iter().enumerate() {
            assert!((f32::from(bytes[i]) / 255.0 - float).abs() < 1e-6);
            assert_eq!(halves[i], bf16::from_f32(*float));
            assert_eq!(last[3 * (i % plane) + i / plane], *float);
        }
    }
}

#[test]
fn a_part_is_erased_and_no_more() {
    let plain = r#""decode", { center_crop = { size = 40 } }"#;
    for layout in ["nchw", "channels_last"] {
        let to_tensor = format!(r#"{{ to_tensor = {{ layout = "{layout}" }} }}"#);
        let erased =
            format!(r#"{plain}, {to_tensor}, {{ random_erasing = {{ p = 1, value = 7 }} }}"#);
        let mut worker = Worker::default();
        let whole: Vec<f32> = sample(&compose(&format!("{plain}, {to_tensor}")), &mut worker, 1);
        let holed: Vec<f32> = sample(&compose(&erased), &mut worker, 1);
        let gone = holed.iter().filter(|value| **value == 7.0).count();
        assert!(gone % 3 == 0 && (90..1_700).contains(&gone), "{gone}");
        assert!(holed.iter().zip(&whole).all(|(a, b)| *a == 7.0 || a == b));
    }
}

#[test]
fn a_transform_of_ones_own_takes_part() {
    let steps = |step| {
        let mut steps = list(r#""decode", { center_crop = { size = 8 } }, "to_tensor""#);
        steps.insert(2, ImageTransform::Custom(step));
        Compose::new(steps, DecodeOptions::default()).unwrap()
    };
    let white = steps(Custom::new(from_fn("white", |pixels, _| {
        pixels.data_mut().fill(255);
        Ok(())
    })));
    assert_eq!(sample::<f32>(&white, &mut Worker::default(), 0), [1.0; 192]);
    let smaller = steps(Custom::new(from_fn("smaller", |pixels, _| {
        pixels.reset(3, 2);
        Ok(())
    })));
    let error = apply(&smaller, &mut Worker::default(), &file()).unwrap_err();
    assert!(matches!(error, TransformError::Size { width: 3, height: 2, .. }), "{error}");
    let failing = steps(Custom::new(from_fn("failing", |_, _| {
        let source = "no".into();
        Err(TransformError::Custom { name: "failing".to_owned(), source })
    })));
    let error = apply(&failing, &mut Worker::default(), &file()).unwrap_err();
    assert_eq!(error.to_string(), "`failing` failed");
}

#[test]
fn nothing_is_allocated_for_a_sample() {
    for step in STEPS {
        let steps = format!(
            r#""decode", {{ crop = {{ left = 5, top = 7, width = 40, height = 31 }} }}, {step}, "to_tensor", {{ random_erasing = {{ value = "random" }} }}"#
        );
        let compose = compose(&steps);
        let (mut worker, mut clock, file) = (Worker::default(), clock(), file());
        let mut out = vec![0.0_f32; compose.shape().iter().product()];
        let mut pass = || {
            for index in 0..30 {
                let mut rng = SampleRng::new(0, 0, index);
                compose.apply(&file, &mut rng, &mut worker, &mut clock, &mut out).unwrap();
            }
        };
        pass();
        assert_eq!(allocation_counter::measure(pass).count_total, 0, "{step}");
    }
}
