//! Small samples in memory: what `Arrays` gives, beside what libtorch does on the same data.
//!
//! 50,000 samples of 3x32x32 bytes, shuffled, to float32 in batches of 256. Each measurement is
//! one epoch; divan's `item/s` counts samples.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use loader::datasets::{Array, Arrays, ToFloat32};
use loader::{Loader, Tokens};
use tch::{Device, Kind, Tensor};

const SAMPLES: i64 = 50_000;
const BATCH: i64 = 256;

fn main() {
    divan::main();
}

fn images() -> Tensor {
    Tensor::randint(256, [SAMPLES, 3, 32, 32], (Kind::Uint8, Device::Cpu))
}

/// The loader, with so many workers; 0 loads on the caller's thread.
#[divan::bench(args = [0, 1, 2], sample_count = 30)]
fn arrays(bencher: Bencher<'_, '_>, num_workers: usize) {
    let good = "the arrays are as they should be";
    let labels = Tensor::randint(10, [SAMPLES], (Kind::Int64, Device::Cpu));
    let arrays = [("images", &images()), ("labels", &labels)].map(|(name, tensor)| {
        (name, Array::from_tensor(tensor).unwrap_or_else(|_| panic!("{good}")))
    });
    let data = Arrays::new(arrays).unwrap_or_else(|_| panic!("{good}"));
    let data =
        data.to_float32("images", &ToFloat32::default()).unwrap_or_else(|_| panic!("{good}"));
    let builder = Loader::builder(data).batch_size(BATCH as usize).shuffle(true);
    epochs(bencher, builder.num_workers(num_workers).prefetch_depth(4));
}

/// libtorch's index_select and conversion, on so many of its own threads; without the scaling to
/// 0 to 1, which would be one more pass over the batch.
#[divan::bench(args = [1, 2], sample_count = 30)]
fn libtorch(bencher: Bencher<'_, '_>, threads: i32) {
    tch::set_num_threads(threads);
    let labels = Tensor::randint(10, [SAMPLES], (Kind::Int64, Device::Cpu));
    let images = images();
    bencher.counter(ItemsCount::new(SAMPLES as usize)).bench_local(|| {
        let order = Tensor::randperm(SAMPLES, (Kind::Int64, Device::Cpu));
        for batch in order.split(BATCH, 0) {
            let floats = images.index_select(0, &batch).to_kind(Kind::Float);
            drop(black_box((floats, labels.index_select(0, &batch))));
        }
    });
}

/// Windows of 1,024 tokens from a file in the system's cache.
#[divan::bench(args = [0, 1, 2], sample_count = 30)]
fn tokens(bencher: Bencher<'_, '_>, num_workers: usize) {
    let fail = |what: &str| -> ! { panic!("{what}") };
    let folder = tempfile::tempdir().unwrap_or_else(|_| fail("no temporary folder"));
    let path = folder.path().join("train.bin");
    let tokens: Vec<u8> = (0..20_u32 << 20).map(|i| (i % 251) as u8).collect();
    std::fs::write(&path, tokens).unwrap_or_else(|_| fail("no room for the tokens"));
    let data = Tokens::open(&path, Default::default(), 1024)
        .unwrap_or_else(|_| fail("the tokens are as they should be"));
    let builder = Loader::builder(data).batch_size(16).shuffle(true);
    epochs(bencher, builder.num_workers(num_workers).prefetch_depth(4));
}

/// Reads one epoch after the other.
fn epochs(bencher: Bencher<'_, '_>, builder: loader::LoaderBuilder) {
    let mut loader = builder.build().unwrap_or_else(|error| panic!("{error}"));
    let samples: usize = loader.epoch(0).flatten().map(|batch| batch.len()).sum();
    let mut epoch = 1;
    bencher.counter(ItemsCount::new(samples)).bench_local(|| {
        for batch in loader.epoch(epoch) {
            drop(black_box(batch));
        }
        epoch += 1;
    });
}
