//! The functions on images, and what the policies draw, against recorded results of the real
//! torchvision (`tests/reference/transforms`).

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use preproc::functional::{self, Interpolation, PaddingMode};
use preproc::transform::augment::{Augment, Magnitudes, Op};
use preproc::transform::{RandomErasing, Scratch};
use preproc::{Pixels, SampleRng};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
    magnitudes: BTreeMap<String, BTreeMap<String, (Vec<f64>, bool)>>,
    erasing: Erasing,
}

#[derive(Deserialize)]
struct Case {
    #[serde(flatten)]
    call: Call,
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Call {
    VerticalFlip,
    Grayscale,
    Pad { padding: [u32; 4], mode: PaddingMode, fill: [u8; 3] },
    Rotate { angle: f64, interpolation: Interpolation, expand: bool, fill: [u8; 3] },
    Brightness { factor: f64 },
    Contrast { factor: f64 },
    Saturation { factor: f64 },
    Hue { factor: f64 },
    GaussianBlur { size: [u32; 2], sigma: f64 },
    Augment { kind: String, magnitude: f64, interpolation: Interpolation },
}

#[derive(Deserialize)]
struct Erasing {
    side: u32,
    missed: f64,
    area: f64,
    ratio: f64,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/transforms")
}

fn reference() -> Reference {
    serde_json::from_slice(&std::fs::read(folder().join("cases.json")).unwrap()).unwrap()
}

fn read(name: &str) -> Pixels {
    let image = image::open(folder().join(name)).unwrap().into_rgb8();
    let mut pixels = Pixels::default();
    pixels.reset(image.width(), image.height()).copy_from_slice(image.as_raw());
    pixels
}

fn op(kind: &str) -> Op {
    match kind {
        "Identity" => Op::Identity,
        "ShearX" => Op::ShearX,
        "ShearY" => Op::ShearY,
        "TranslateX" => Op::TranslateX,
        "TranslateY" => Op::TranslateY,
        "Rotate" => Op::Rotate,
        "Brightness" => Op::Brightness,
        "Color" => Op::Color,
        "Contrast" => Op::Contrast,
        "Sharpness" => Op::Sharpness,
        "Posterize" => Op::Posterize,
        "Solarize" => Op::Solarize,
        "AutoContrast" => Op::AutoContrast,
        "Equalize" => Op::Equalize,
        "Invert" => Op::Invert,
        other => panic!("{other}"),
    }
}

fn augment(kind: &str, magnitude: f64) -> Augment {
    match op(kind) {
        Op::Identity => Augment::Identity,
        Op::ShearX => Augment::ShearX(magnitude),
        Op::ShearY => Augment::ShearY(magnitude),
        Op::TranslateX => Augment::TranslateX(magnitude),
        Op::TranslateY => Augment::TranslateY(magnitude),
        Op::Rotate => Augment::Rotate(magnitude),
        Op::Brightness => Augment::Brightness(magnitude),
        Op::Color => Augment::Color(magnitude),
        Op::Contrast => Augment::Contrast(magnitude),
        Op::Sharpness => Augment::Sharpness(magnitude),
        Op::Posterize => Augment::Posterize(magnitude as u32),
        Op::Solarize => Augment::Solarize(magnitude),
        Op::AutoContrast => Augment::AutoContrast,
        Op::Equalize => Augment::Equalize,
        Op::Invert => Augment::Invert,
    }
}

fn apply(call: &Call, pixels: &mut Pixels, scratch: &mut Scratch) {
    match *call {
        Call::VerticalFlip => pixels.flip(),
        Call::Grayscale => functional::rgb_to_grayscale(pixels),
        Call::Pad { padding, mode, fill } => functional::pad(pixels, padding, fill, mode, scratch),
        Call::Rotate { angle, interpolation, expand, fill } => {
            functional::rotate(pixels, angle, interpolation, expand, fill, scratch);
        }
        Call::Brightness { factor } => functional::adjust_brightness(pixels, factor),
        Call::Contrast { factor } => functional::adjust_contrast(pixels, factor),
        Call::Saturation { factor } => functional::adjust_saturation(pixels, factor),
        Call::Hue { factor } => functional::adjust_hue(pixels, factor),
        Call::GaussianBlur { size, sigma } => {
            functional::gaussian_blur(pixels, size, [sigma; 2], scratch);
        }
        Call::Augment { ref kind, magnitude, interpolation } => {
            augment(kind, magnitude).apply(pixels, interpolation, [0; 3], scratch);
        }
    }
}

#[test]
fn every_function_agrees_with_torchvisions() {
    let input = read("input.png");
    let mut scratch = Scratch::default();
    let mut failures = Vec::new();
    let cases = reference().cases;
    assert!(cases.len() > 100, "only {} cases", cases.len());
    for Case { call, output } in &cases {
        let mut ours = input.clone();
        apply(call, &mut ours, &mut scratch);
        let theirs = read(output);
        if (ours.width(), ours.height()) != (theirs.width(), theirs.height()) {
            failures.push(format!("{call:?}: {}x{}", ours.width(), ours.height()));
            continue;
        }
        let differences: Vec<u8> =
            ours.data().iter().zip(theirs.data()).map(|(a, b)| a.abs_diff(*b)).collect();
        let n = differences.len() as f64;
        let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / n;
        let within = differences.iter().filter(|d| **d <= 4).count() as f64 / n;
        if mean > 1.0 || within < 0.999 {
            failures.push(format!("{call:?}: mean {mean:.3}, within 4: {within:.5}"));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn policies_know_torchvisions_magnitudes() {
    let policies = reference().magnitudes;
    for (policy, spaces) in policies {
        let (magnitudes, bins) = match &policy[..] {
            "rand_augment" => (Magnitudes::rand_augment(224, 200, 31), 31),
            "auto_augment" => (Magnitudes::auto_augment(224, 200), 10),
            _ => (Magnitudes::trivial_augment_wide(31), 31),
        };
        for (kind, (values, signed)) in spaces {
            assert_eq!(op(&kind).is_signed(), signed, "{kind}");
            for bin in 0..bins {
                let theirs = values.get(bin as usize).map_or(0.0, |value| *value);
                let ours = magnitudes.of(op(&kind), bin, false);
                match (ours, augment(&kind, theirs)) {
                    // Printed in float64: the last digit of a float32.
                    (Augment::Posterize(a), Augment::Posterize(b)) => assert_eq!(a, b),
                    (ours, theirs) => {
                        let number = |a: Augment| {
                            let text = format!("{a:?}");
                            let digits = text.split(['(', ')']).nth(1).unwrap_or("0").to_owned();
                            digits.parse::<f64>().unwrap()
                        };
                        let (a, b) = (number(ours), number(theirs));
                        assert!((a - b).abs() <= 1e-5 * b.abs(), "{policy} {ours:?} {theirs:?}");
                        assert_eq!(a.trunc(), b.trunc(), "{policy} {ours:?} {theirs:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn erased_parts_are_distributed_as_torchvisions() {
    const N: u64 = 20_000;
    let Erasing { side, missed, area, ratio } = reference().erasing;
    let erasing = RandomErasing { p: 1.0, ..RandomErasing::default() };
    let drawn: Vec<_> =
        (0..N).filter_map(|i| erasing.draw(side, side, &mut SampleRng::new(0, 0, i))).collect();
    let count = drawn.len() as f64;
    let share = 1.0 - count / N as f64;
    assert!((share - missed).abs() < 0.005, "{share} {missed}");
    let sides = |h: u32, w: u32| (f64::from(h), f64::from(w));
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        drawn.iter().map(|r| sides(r.height, r.width)).map(|(h, w)| of(h, w)).sum::<f64>() / count
    };
    let ours = mean(&|h, w| h * w / f64::from(side).powi(2));
    assert!((ours - area).abs() < 0.01 * area.max(0.3), "{ours} {area}");
    let ours = mean(&|h, w| h / w);
    assert!((ours - ratio).abs() < 0.03 * ratio, "{ours} {ratio}");
    // Erased half of the time by default.
    let erasing = RandomErasing::default();
    let some =
        (0..N).filter(|i| erasing.draw(64, 64, &mut SampleRng::new(1, 0, *i)).is_some()).count();
    assert!((0.48..0.52).contains(&(some as f64 / N as f64)), "{some}");
}

/// Whole blocks of pixels are worked on in another way than the pixels left over.
#[test]
fn every_width_gives_what_each_pixel_by_itself_gives() {
    for width in 1..=70 {
        let mut image = Pixels::default();
        let bytes = image.reset(width, 3);
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 89 % 251) as u8);
        let pixels = image.data().as_chunks::<3>().0;

        let mut mirrored = image.clone();
        mirrored.mirror();
        let expected = pixels.chunks(width as usize).flat_map(|row| row.iter().rev()).flatten();
        assert!(mirrored.data().iter().eq(expected), "{width}");

        for (name, work) in [
            ("grey", functional::rgb_to_grayscale as fn(&mut Pixels)),
            ("saturation", |pixels| functional::adjust_saturation(pixels, 1.7)),
            ("hue", |pixels| functional::adjust_hue(pixels, 0.2)),
        ] {
            let mut whole = image.clone();
            work(&mut whole);
            for (pixel, got) in pixels.iter().zip(whole.data().as_chunks::<3>().0) {
                let mut single = Pixels::default();
                single.reset(1, 1).copy_from_slice(pixel);
                work(&mut single);
                assert_eq!(single.data(), got, "{name}, {width}");
            }
        }
    }
}

#[test]
fn contrast_draws_to_the_mean_luma_whatever_the_width() {
    for width in 1..=40 {
        let mut image = Pixels::default();
        image.reset(width, 2).iter_mut().enumerate().for_each(|(i, b)| *b = (i * 89 % 251) as u8);
        let mut grey = image.clone();
        functional::rgb_to_grayscale(&mut grey);
        let greys = grey.data().iter().step_by(3).map(|grey| f64::from(*grey));
        let mean = (greys.sum::<f64>() / f64::from(2 * width) + 0.5).floor() as u8;
        functional::adjust_contrast(&mut image, 0.0);
        assert!(image.data().iter().all(|value| *value == mean), "{width}");
    }
}
