//! What the engine itself costs: samples that do nothing, that wait, and small samples held in memory; and
//! what it costs to go on in the middle of an epoch.
//!
//! Each measurement is one epoch; divan's `item/s` counts samples.

use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use loader::state::LoaderState;
use loader::{Dataset, Dtype, Field, Loader, LoaderBuilder, SampleError, Slot, Synthetic};

fn main() {
    divan::main();
}

/// Samples that take no time: what is left is the engine.
struct Empty(usize);

impl Dataset for Empty {
    type Worker = ();

    fn len(&self) -> usize {
        self.0
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("empty", [], Dtype::Uint8)]
    }

    fn load(&self, _: usize, (): &mut (), _: &mut Slot<'_>) -> Result<(), SampleError> {
        Ok(())
    }
}

/// 3x32x32 bytes held in memory, written as float32: CIFAR-10.
struct Small(Vec<[u8; SMALL]>);

const SMALL: usize = 3 * 32 * 32;

impl Small {
    fn new(samples: usize) -> Self {
        Self((0..samples).map(|i| std::array::from_fn(|j| (i ^ j) as u8)).collect())
    }
}

impl Dataset for Small {
    type Worker = ();

    fn len(&self) -> usize {
        self.0.len()
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("images", [3, 32, 32], Dtype::Float32),
            Field::new("labels", [], Dtype::Int64),
        ]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        let bytes = &self.0[index];
        for (float, byte) in slot.fields.get_mut::<f32>(0).iter_mut().zip(bytes) {
            *float = f32::from(*byte) * (1.0 / 255.0);
        }
        slot.fields.get_mut::<i64>(1)[0] = i64::from(bytes[0]);
        Ok(())
    }
}

/// Reads one epoch after the other.
fn epochs(bencher: Bencher<'_, '_>, samples: usize, builder: LoaderBuilder) {
    let mut loader = builder.build().unwrap_or_else(|error| panic!("{error}"));
    let mut epoch = 0;
    bencher.counter(ItemsCount::new(samples)).bench_local(|| {
        for batch in loader.epoch(epoch) {
            drop(black_box(batch));
        }
        epoch += 1;
    });
}

/// Batches of 256: the cost of a sample.
#[divan::bench(args = [0, 1, 2], sample_count = 50)]
fn empty_samples(bencher: Bencher<'_, '_>, num_workers: usize) {
    let samples = 1 << 18;
    let builder = Loader::builder(Empty(samples)).batch_size(256);
    epochs(bencher, samples, builder.num_workers(num_workers));
}

/// Batches of one: the cost of a batch.
#[divan::bench(args = [0, 1, 2], sample_count = 50)]
fn empty_batches(bencher: Bencher<'_, '_>, num_workers: usize) {
    let samples = 1 << 14;
    let builder = Loader::builder(Empty(samples)).batch_size(1);
    epochs(bencher, samples, builder.num_workers(num_workers));
}

/// Shuffled batches of 256.
#[divan::bench(args = [0, 1, 2], sample_count = 30)]
fn small_samples(bencher: Bencher<'_, '_>, num_workers: usize) {
    let samples = 50_000;
    let builder = Loader::builder(Small::new(samples)).batch_size(256).shuffle(true);
    epochs(bencher, samples, builder.num_workers(num_workers));
}

/// Samples that wait 5 ms each, as for a disk: a worker can give 200 a second.
#[divan::bench(args = [1, 8, 64], sample_count = 5)]
fn waiting_samples(bencher: Bencher<'_, '_>, num_workers: usize) {
    let samples = 64 * num_workers;
    let field = Field::new("empty", [], Dtype::Uint8);
    let data = Synthetic::new([field], samples).io_delay(Duration::from_millis(5));
    let builder = Loader::builder(data).batch_size(16).prefetch_depth(16);
    epochs(bencher, samples, builder.num_workers(num_workers));
}

/// Going on in the middle of a shuffled epoch of ImageNet's length, up to the first batch of one: in the
/// `same` epoch again, whose order is at hand, and in another, whose order is `made` anew.
#[divan::bench(args = ["same", "made"], sample_count = 50)]
fn resume(bencher: Bencher<'_, '_>, order: &str) {
    let builder = Loader::builder(Empty(1_281_167)).batch_size(1).num_workers(2).shuffle(true);
    let mut loader = builder.build().unwrap_or_else(|error| panic!("{error}"));
    let mut state = |epoch| {
        let first = loader.epoch(epoch).next().and_then(Result::ok);
        let first = first.unwrap_or_else(|| panic!("no batch"));
        LoaderState { samples: 640_000, ..first.state() }
    };
    let states = [state(0), state(1)];
    let mut number = 0;
    bencher.bench_local(|| {
        number += usize::from(order == "made");
        let rest = loader.resume(&states[number % 2]);
        let first = rest.unwrap_or_else(|error| panic!("{error}")).next();
        drop(black_box(first));
    });
}
