//! The same photographs from a folder, from tar shards and from Parquet, through ImageNet's
//! transforms: decoding should be all that counts.
//!
//! `cargo bench -p loader --bench shards`

#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use loader::{Dataset, ImageFolder, Loader, ParquetImages, TarShards};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use preproc::transform::{Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use tempfile::TempDir;

/// Samples, of 60 KB each.
const SAMPLES: usize = 400;

fn main() {
    divan::main();
}

/// A folder with the three of them.
fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    let made = DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let input = "../../tests/reference/inputs/jpeg_500x375.jpg";
        let image = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(input)).unwrap();
        let class = folder.path().join("images/class");
        fs::create_dir_all(&class).unwrap();
        let mut tar = tar::Builder::new(fs::File::create(folder.path().join("0.tar")).unwrap());
        for number in 0..SAMPLES {
            fs::write(class.join(format!("{number:04}.jpg")), &image).unwrap();
            for (extension, bytes) in [("jpg", &image[..]), ("cls", b"0")] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, format!("{number:04}.{extension}"), bytes).unwrap();
            }
        }
        tar.finish().unwrap();
        let images: ArrayRef = Arc::new(BinaryArray::from_iter_values(vec![&image; SAMPLES]));
        let labels: ArrayRef = Arc::new(Int64Array::from(vec![0; SAMPLES]));
        let rows = RecordBatch::try_from_iter([("image", images), ("label", labels)]).unwrap();
        let file = fs::File::create(folder.path().join("0.parquet")).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_write_batch_size(1);
        let mut writer =
            ArrowWriter::try_new(file, rows.schema(), Some(properties.build())).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        folder
    });
    made.path()
}

fn compose() -> Compose {
    let crop = ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224));
    let end = [
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let transforms = [vec![ImageTransform::Decode, crop], end.to_vec()].concat();
    Compose::new(transforms, DecodeOptions::default()).unwrap()
}

fn epochs(bencher: Bencher<'_, '_>, data: impl Dataset, shuffle: bool) {
    let builder = Loader::builder(data).batch_size(50).num_workers(2).shuffle(shuffle);
    let mut loader = builder.build().unwrap();
    let mut epoch = 0;
    bencher.counter(ItemsCount::new(SAMPLES)).bench_local(|| {
        for batch in loader.epoch(epoch) {
            drop(black_box(batch.unwrap()));
        }
        epoch += 1;
    });
}

#[divan::bench(args = [false, true], sample_count = 20)]
fn image_folder(bencher: Bencher<'_, '_>, shuffle: bool) {
    epochs(bencher, ImageFolder::open(data().join("images"), compose()).unwrap(), shuffle);
}

#[divan::bench(args = [false, true], sample_count = 20)]
fn tar_shards(bencher: Bencher<'_, '_>, shuffle: bool) {
    epochs(bencher, TarShards::open(data().join("0.tar"), compose()).unwrap(), shuffle);
}

/// Without room for more than a page, the file being small.
#[divan::bench(args = [false, true], sample_count = 20)]
fn parquet_images(bencher: Bencher<'_, '_>, shuffle: bool) {
    let file = data().join("0.parquet");
    let data = ParquetImages::open(file, "image", "label", compose()).unwrap();
    epochs(bencher, data.cache_bytes(0), shuffle);
}
