//! An epoch over JPEG files: in memory, by workers; and not in memory, with and without threads that
//! read ahead. Decoders that wait for a disk do not decode: `io_threads` wait in their place.
//!
//! `cargo bench -p loader --bench image_files`

#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use loader::{ImageFolder, Loader};
use preproc::transform::{RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use rustix::fs::{Advice, fadvise};
use tempfile::TempDir;

/// Samples, of 60 KB each.
const SAMPLES: usize = 1000;

fn main() {
    divan::main();
}

/// A class folder, where builds are: folders for temporary files may be in memory.
fn class() -> &'static Path {
    static DATA: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, class) = DATA.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let class = folder.path().join("class");
        fs::create_dir(&class).unwrap();
        let input = "../../tests/reference/inputs/jpeg_500x375.jpg";
        let image = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(input)).unwrap();
        for number in 0..SAMPLES {
            fs::write(class.join(format!("{number:04}.jpg")), &image).unwrap();
        }
        (folder, class)
    });
    class
}

fn evict() {
    for entry in fs::read_dir(class()).unwrap() {
        let file = File::open(entry.unwrap().path()).unwrap();
        // What is not yet written stays.
        file.sync_data().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    }
}

/// Shuffled batches of 50.
fn loader(num_workers: usize, io_threads: usize) -> Loader {
    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224)),
        ImageTransform::ToTensor(ToTensor::default()),
    ];
    let compose = Compose::new(transforms, DecodeOptions::default()).unwrap();
    let data = ImageFolder::open(class().parent().unwrap(), compose).unwrap();
    let loader = Loader::builder(data).batch_size(50).num_workers(num_workers).prefetch_depth(4);
    loader.shuffle(true).io_threads(io_threads).build().unwrap()
}

fn epoch(mut loader: Loader) {
    loader.epoch(0).for_each(|batch| drop(batch.unwrap()));
}

/// In memory.
#[divan::bench(args = [1, 2], sample_count = 9, sample_size = 1)]
fn hot(bencher: Bencher<'_, '_>, num_workers: usize) {
    epoch(loader(num_workers, 0));
    let bencher = bencher.counter(ItemsCount::new(SAMPLES));
    bencher.with_inputs(|| loader(num_workers, 0)).bench_local_values(epoch);
}

/// Not in memory, with two workers.
#[divan::bench(args = [0, 2, 8], sample_count = 9, sample_size = 1)]
fn cold(bencher: Bencher<'_, '_>, io_threads: usize) {
    let evicted = || {
        evict();
        loader(2, io_threads)
    };
    bencher.counter(ItemsCount::new(SAMPLES)).with_inputs(evicted).bench_local_values(epoch);
}
