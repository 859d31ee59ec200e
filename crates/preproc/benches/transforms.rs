//! The transforms of images, each alone on one core, on a photograph of 224 x 224 pixels, or on one
//! of 500 x 375 where it makes that size of it. `scripts/bench` holds them beside torchvision's.
//!
//! `cargo bench -p preproc --bench transforms`

#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use divan::{Bencher, black_box};
use preproc::decode::Decoder;
use preproc::functional::{self, Interpolation, PaddingMode};
use preproc::transform::augment::Augment;
use preproc::transform::tensor::TensorTransform;
use preproc::transform::{
    AutoAugment, CenterCrop, ColorJitter, Grayscale, HorizontalFlip, Layout, Normalize,
    RandAugment, RandomResizedCrop, Resize, ResizeSize, Scratch, Size, TrivialAugmentWide,
    VerticalFlip,
};
use preproc::write::Writer;
use preproc::{DecodeOptions, Pixels, Region, SampleRng, Transform};
use tch::{Device, Kind, Tensor};

#[path = "../tests/common/mod.rs"]
mod common;

const SIDE: u32 = 224;
const PHOTO: &str = "tests/reference/inputs/jpeg_500x375.jpg";

fn main() {
    divan::main();
}

/// The photograph; `whole` is 500 x 375, else its middle.
fn photo(whole: bool) -> Pixels {
    let mut pixels = Pixels::default();
    decode_into(&mut Decoder::default(), &common::read(PHOTO), &mut pixels);
    if !whole {
        pixels.keep(Region { left: 138, top: 75, width: SIDE, height: SIDE });
    }
    pixels
}

fn decode_into(decoder: &mut Decoder, bytes: &[u8], pixels: &mut Pixels) {
    let encoded = decoder.open(black_box(bytes), &DecodeOptions::default()).unwrap();
    let whole = Region::whole(encoded.width(), encoded.height());
    decoder.decode(encoded, whole, pixels).unwrap();
}

type Work = Box<dyn Fn(&mut Pixels, &mut SampleRng, &mut Scratch)>;

fn transform(transform: impl Transform<Pixels> + 'static) -> Work {
    Box::new(move |pixels, rng, scratch| transform.apply(pixels, rng, scratch).unwrap())
}

fn function(function: impl Fn(&mut Pixels, &mut Scratch) + 'static) -> Work {
    Box::new(move |pixels, _, scratch| function(pixels, scratch))
}

fn augment(augment: Augment) -> Work {
    function(move |pixels, scratch| {
        augment.apply(pixels, Interpolation::Nearest, [0; 3], scratch);
    })
}

fn pad(mode: PaddingMode) -> Work {
    function(move |pixels, scratch| functional::pad(pixels, [16; 4], [0; 3], mode, scratch))
}

fn rotate(how: Interpolation) -> Work {
    function(move |pixels, scratch| {
        functional::rotate(pixels, 15.0, how, false, [0; 3], scratch);
    })
}

/// Name and work of each, and whether it begins with the larger photograph.
fn cases() -> Vec<(&'static str, Work, bool)> {
    use Augment::*;
    let small: Vec<(&str, Work)> = vec![
        // What every other one includes: some of them would soon leave nothing to do.
        ("copy", function(|_, _| {})),
        ("horizontal_flip", transform(HorizontalFlip { p: 1.0 })),
        ("vertical_flip", transform(VerticalFlip { p: 1.0 })),
        ("pad, constant", pad(PaddingMode::Constant)),
        ("pad, edge", pad(PaddingMode::Edge)),
        ("pad, reflect", pad(PaddingMode::Reflect)),
        ("pad, symmetric", pad(PaddingMode::Symmetric)),
        ("rotation, nearest", rotate(Interpolation::Nearest)),
        ("rotation, bilinear", rotate(Interpolation::Bilinear)),
        ("brightness", function(|pixels, _| functional::adjust_brightness(pixels, 1.3))),
        ("contrast", function(|pixels, _| functional::adjust_contrast(pixels, 1.3))),
        ("saturation", function(|pixels, _| functional::adjust_saturation(pixels, 1.3))),
        ("hue", function(|pixels, _| functional::adjust_hue(pixels, 0.1))),
        ("color_jitter", transform(ColorJitter::new(0.4, 0.4, 0.4, 0.1))),
        ("grayscale", transform(Grayscale {})),
        ("gaussian_blur, 5", blur(5)),
        ("gaussian_blur, 23", blur(23)),
        ("shear_x", augment(ShearX(0.2))),
        ("shear_y", augment(ShearY(0.2))),
        ("translate_x", augment(TranslateX(20.0))),
        ("translate_y", augment(TranslateY(20.0))),
        ("sharpness", augment(Sharpness(0.5))),
        ("posterize", augment(Posterize(4))),
        ("solarize", augment(Solarize(128.0))),
        ("auto_contrast", augment(AutoContrast)),
        ("equalize", augment(Equalize)),
        ("invert", augment(Invert)),
        ("rand_augment", transform(RandAugment::default())),
        ("auto_augment", transform(AutoAugment::default())),
        ("trivial_augment_wide", transform(TrivialAugmentWide::default())),
    ];
    let whole: Vec<(&str, Work)> = vec![
        ("copy, whole", function(|_, _| {})),
        ("center_crop", transform(CenterCrop { size: Size::Square(SIDE) })),
        ("resize", transform(Resize { size: ResizeSize::Exact([SIDE, SIDE]) })),
        ("random_resized_crop", transform(RandomResizedCrop::new(SIDE))),
    ];
    let of = |whole| move |(name, work)| (name, work, whole);
    small.into_iter().map(of(false)).chain(whole.into_iter().map(of(true))).collect()
}

fn blur(size: u32) -> Work {
    function(move |pixels, scratch| functional::gaussian_blur(pixels, [size; 2], [1.5; 2], scratch))
}

#[divan::bench(name = "transform", args = cases().into_iter().map(|case| case.0), sample_count = 300, sample_size = 1)]
fn transform_of(bencher: Bencher<'_, '_>, name: &str) {
    let (_, work, whole) = cases().into_iter().find(|case| case.0 == name).unwrap();
    let photo = photo(whole);
    let (mut pixels, mut scratch) = (Pixels::default(), Scratch::default());
    let mut number = 0;
    bencher.bench_local(|| {
        pixels.reset(photo.width(), photo.height()).copy_from_slice(photo.data());
        number += 1;
        work(&mut pixels, &mut SampleRng::new(0, 0, number), &mut scratch);
    });
}

/// A file of 500 x 375 pixels, decoded in full.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let bytes = common::read(PHOTO);
    let (mut decoder, mut pixels) = (Decoder::default(), Pixels::default());
    bencher.bench_local(|| decode_into(&mut decoder, &bytes, &mut pixels));
}

/// To float32 in NCHW, normalised.
#[divan::bench]
fn to_tensor(bencher: Bencher<'_, '_>) {
    let photo = photo(false);
    let writer = Writer::new(&Normalize::IMAGENET, Layout::Nchw);
    let mut out = vec![0.0_f32; 3 * (SIDE * SIDE) as usize];
    let whole = Region::whole(SIDE, SIDE);
    bencher.bench_local(|| writer.write(black_box(&photo), whole, [false; 2], &mut out));
}

/// A batch of 8 tensors of 32 x 32, with constants kept from the call before, or made anew.
#[divan::bench(args = [true, false])]
fn normalize_tensors(bencher: Bencher<'_, '_>, kept: bool) {
    let normalize = TensorTransform::Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let batch = Tensor::zeros([8, 3, 32, 32], (Kind::Float, Device::Cpu));
    let (mut rng, mut scratch) = (SampleRng::new(0, 0, 0), Scratch::default());
    bencher.bench_local(|| {
        if !kept {
            scratch = Scratch::default();
        }
        normalize.apply(&mut batch.shallow_clone(), &mut rng, &mut scratch)
    });
}
