//! The transforms of images at 224 x 224, each as the function that does its work, on one core.
//!
//! `cargo bench -p preproc --bench transforms`

use divan::Bencher;
use preproc::functional::{self, Interpolation, PaddingMode};
use preproc::transform::Scratch;
use preproc::transform::augment::Augment;
use preproc::{Pixels, Region};

#[path = "../tests/common/mod.rs"]
mod common;

const SIDE: u32 = 224;

fn main() {
    divan::main();
}

fn run(bencher: Bencher<'_, '_>, function: impl Fn(&mut Pixels, &mut Scratch) + Sync) {
    let picture = common::picture(SIDE, SIDE, 0);
    let (mut pixels, mut scratch) = (Pixels::default(), Scratch::default());
    bencher.bench_local(|| {
        // A fresh copy: some of them would soon leave nothing to do.
        pixels.reset(SIDE, SIDE).copy_from_slice(picture.as_raw());
        function(&mut pixels, &mut scratch);
    });
}

/// What every other one includes.
#[divan::bench]
fn copy(bencher: Bencher<'_, '_>) {
    run(bencher, |_, _| {});
}

#[divan::bench]
fn crop(bencher: Bencher<'_, '_>) {
    let part = Region { left: 10, top: 10, width: 200, height: 200 };
    run(bencher, |pixels, _| pixels.keep(part));
}

#[divan::bench]
fn horizontal_flip(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| pixels.mirror());
}

#[divan::bench]
fn vertical_flip(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| pixels.flip());
}

#[divan::bench(args = ["constant", "edge", "reflect", "symmetric"])]
fn pad(bencher: Bencher<'_, '_>, mode: &str) {
    let mode = match mode {
        "constant" => PaddingMode::Constant,
        "edge" => PaddingMode::Edge,
        "reflect" => PaddingMode::Reflect,
        _ => PaddingMode::Symmetric,
    };
    run(bencher, |pixels, scratch| functional::pad(pixels, [16; 4], [0; 3], mode, scratch));
}

#[divan::bench(args = [false, true])]
fn rotate(bencher: Bencher<'_, '_>, bilinear: bool) {
    let how = if bilinear { Interpolation::Bilinear } else { Interpolation::Nearest };
    run(bencher, |pixels, scratch| {
        functional::rotate(pixels, 15.0, how, false, [0; 3], scratch);
    });
}

#[divan::bench]
fn brightness(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| functional::adjust_brightness(pixels, 1.3));
}

#[divan::bench]
fn contrast(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| functional::adjust_contrast(pixels, 1.3));
}

#[divan::bench]
fn saturation(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| functional::adjust_saturation(pixels, 1.3));
}

#[divan::bench]
fn hue(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| functional::adjust_hue(pixels, 0.1));
}

#[divan::bench]
fn grayscale(bencher: Bencher<'_, '_>) {
    run(bencher, |pixels, _| functional::rgb_to_grayscale(pixels));
}

#[divan::bench(args = [5, 23])]
fn gaussian_blur(bencher: Bencher<'_, '_>, size: u32) {
    run(bencher, |pixels, scratch| {
        functional::gaussian_blur(pixels, [size; 2], [1.5; 2], scratch);
    });
}

#[divan::bench(args = [
    Augment::ShearX(0.2), Augment::ShearY(0.2), Augment::TranslateX(20.0), Augment::Sharpness(0.5),
    Augment::Posterize(4), Augment::Solarize(128.0), Augment::AutoContrast, Augment::Equalize,
    Augment::Invert,
])]
fn augment(bencher: Bencher<'_, '_>, augment: &Augment) {
    run(bencher, |pixels, scratch| {
        augment.apply(pixels, Interpolation::Nearest, [0; 3], scratch);
    });
}
