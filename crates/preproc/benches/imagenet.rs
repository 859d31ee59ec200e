//! What each step of ImageNet's transforms costs on one core, on a typical file, with floors
//! beside them: nothing can be faster than copying the bytes once.
//!
//! `cargo bench -p preproc`

#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::cell::Cell;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use preproc::decode::Decoder;
use preproc::resample::{Resampling, Resizer};
use preproc::transform::{
    CenterCrop, HorizontalFlip, Layout, Normalize, RandomResizedCrop, Resize, ResizeSize, Size,
    ToTensor,
};
use preproc::write::Writer;
use preproc::{Compose, DecodeOptions, ImageTransform, Pixels, Region, SampleRng, Worker};

#[path = "../tests/common/mod.rs"]
mod common;

const SIDE: u32 = 224;
const SAMPLE: usize = 3 * (SIDE * SIDE) as usize;

fn main() {
    let bytes = common::imagenet_like();
    println!("file: {} bytes", bytes.len());
    divan::main();
}

fn decoded(bytes: &[u8]) -> Pixels {
    let mut pixels = Pixels::default();
    let mut decoder = Decoder::default();
    let encoded = decoder.open(bytes, &DecodeOptions::default()).unwrap();
    let whole = Region::whole(encoded.width(), encoded.height());
    decoder.decode(encoded, whole, &mut pixels).unwrap();
    pixels
}

/// The crops that training draws, one after the other.
fn crops() -> impl Fn() -> Region {
    let next = Cell::new(0);
    move || {
        next.set(next.get() + 1);
        RandomResizedCrop::new(SIDE).draw(500, 375, &mut SampleRng::new(0, 0, next.get()))
    }
}

fn bench_decode(bencher: Bencher<'_, '_>, region: impl Fn() -> Region) {
    let bytes = common::imagenet_like();
    let mut pixels = Pixels::default();
    let mut decoder = Decoder::default();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let encoded = decoder.open(black_box(&bytes), &DecodeOptions::default()).unwrap();
        decoder.decode(encoded, region(), &mut pixels).unwrap()
    });
}

#[divan::bench]
fn decode_whole(bencher: Bencher<'_, '_>) {
    bench_decode(bencher, || Region::whole(500, 375));
}

#[divan::bench(sample_count = 1000)]
fn decode_crop(bencher: Bencher<'_, '_>) {
    bench_decode(bencher, crops());
}

/// A crop of average size.
#[divan::bench]
fn resample(bencher: Bencher<'_, '_>) {
    let pixels = decoded(&common::imagenet_like());
    let crop = Region { left: 90, top: 60, width: 330, height: 260 };
    let resampling = Resampling::new(crop, SIDE, SIDE);
    let (mut resizer, mut to) = (Resizer::default(), Pixels::default());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| resampling.run(&mut resizer, black_box(&pixels), crop, &mut to).unwrap());
}

fn bench_write(bencher: Bencher<'_, '_>, mirrored: bool) {
    let pixels = decoded(&common::imagenet_like());
    let writer = Writer::new(&Normalize::IMAGENET, Layout::Nchw);
    let region = Region { left: 100, top: 60, width: SIDE, height: SIDE };
    let mut out = vec![0.0; SAMPLE];
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| writer.write(black_box(&pixels), region, [mirrored, false], &mut out));
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    bench_write(bencher, false);
}

#[divan::bench]
fn write_mirrored(bencher: Bencher<'_, '_>) {
    bench_write(bencher, true);
}

fn bench_compose(bencher: Bencher<'_, '_>, steps: Vec<ImageTransform>) {
    let bytes = common::imagenet_like();
    let transforms = [
        vec![ImageTransform::Decode],
        steps,
        vec![
            ImageTransform::ToTensor(ToTensor::default()),
            ImageTransform::Normalize(Normalize::IMAGENET),
        ],
    ];
    let compose = Compose::new(transforms.concat(), DecodeOptions::default()).unwrap();
    let mut worker = Worker::default();
    let mut clock = common::clock();
    let mut out = vec![0.0; SAMPLE];
    let mut index = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        index += 1;
        let mut rng = SampleRng::new(0, 0, index);
        compose.apply(black_box(&bytes), &mut rng, &mut worker, &mut clock, &mut out).unwrap();
    });
}

#[divan::bench(sample_count = 1000)]
fn compose_training(bencher: Bencher<'_, '_>) {
    bench_compose(
        bencher,
        vec![
            ImageTransform::RandomResizedCrop(RandomResizedCrop::new(SIDE)),
            ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ],
    );
}

#[divan::bench]
fn compose_evaluation(bencher: Bencher<'_, '_>) {
    bench_compose(
        bencher,
        vec![
            ImageTransform::Resize(Resize { size: ResizeSize::Short(256) }),
            ImageTransform::CenterCrop(CenterCrop { size: Size::Square(SIDE) }),
        ],
    );
}

/// libjpeg-turbo alone, through another crate.
#[divan::bench]
fn floor_decode(bencher: Bencher<'_, '_>) {
    let bytes = common::imagenet_like();
    let mut decompressor = turbojpeg::Decompressor::new().unwrap();
    let mut pixels = vec![0; 3 * 500 * 375];
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        decompressor.read_header(black_box(&bytes)).unwrap();
        let (pixels, format) = (&mut pixels[..], turbojpeg::PixelFormat::RGB);
        let into = turbojpeg::Image { pixels, width: 500, pitch: 1_500, height: 375, format };
        decompressor.decompress(&bytes, into).unwrap();
    });
}

/// Copies as many bytes as a step writes.
#[divan::bench(args = [3 * 500 * 375, 3 * 224 * 224, 4 * 3 * 224 * 224])]
fn floor_copy(bencher: Bencher<'_, '_>, bytes: usize) {
    let from = vec![1_u8; bytes];
    let mut to = vec![0_u8; bytes];
    bencher.bench_local(|| to.copy_from_slice(black_box(&from)));
}
