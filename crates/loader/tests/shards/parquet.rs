//! Parquet files as pyarrow and HuggingFace's `datasets` write them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use bytes::Bytes;
use loader::datasets::{Files, ToFloat32};
use loader::{Arrays, Dataset, Dtype, Loader, LoaderError, ParquetImages};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use proptest::prelude::*;
use proptest::sample::Index;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tch::{Device, Kind};

use crate::common::{all, as_in_a_folder, compose, expected, goes_on, image, reference, report};

fn open(files: impl Into<Files>) -> ParquetImages {
    ParquetImages::open(files, "image", "label", compose()).unwrap()
}

/// A file of one image, again and again, whose labels are these in each row group.
fn labelled(groups: &[&[i64]]) -> Vec<u8> {
    let pixel = image("png_1x1.png");
    let tables = groups.iter().map(|labels| {
        let images = BinaryArray::from_iter_values(labels.iter().map(|_| &pixel));
        let labels = Int64Array::from(labels.to_vec());
        let columns: [(&str, ArrayRef); 2] =
            [("image", Arc::new(images)), ("label", Arc::new(labels))];
        RecordBatch::try_from_iter(columns).unwrap()
    });
    let tables: Vec<RecordBatch> = tables.collect();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, tables[0].schema(), None).unwrap();
    for table in &tables {
        writer.write(table).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
    bytes
}

#[test]
fn images_are_those_that_were_written() {
    let tables = &expected()["tables"];
    let rows = tables["images"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["image"].as_str().unwrap()).collect();
    let labels: Vec<_> = rows.iter().map(|row| row["label"].as_i64().unwrap()).collect();
    let pixels = as_in_a_folder(&names);
    for file in tables["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        for cache_bytes in [0, usize::MAX] {
            let data = open(reference(file)).cache_bytes(cache_bytes);
            assert_eq!(data.labels(), labels, "{file}");
            assert_eq!(all(data), (pixels.copy(), labels.clone()), "{file}");
        }
    }
}

#[test]
fn row_groups_and_origins_go_on_from_file_to_file() {
    let files = ["images-snappy.parquet", "images-huggingface.parquet"].map(reference);
    let data = open(files.to_vec());
    assert_eq!(data.row_groups()[..3], [0..3, 3..6, 6..8]);
    assert_eq!(data.row_groups().last().unwrap().end, 16);
    assert_eq!(data.paths(), files);
    assert_eq!(data.origin(10).unwrap(), format!("{}: row 2", files[1].display()));
    assert_eq!(data.origin(16), None);
}

/// As Spark writes them.
#[test]
fn files_without_rows_add_none() {
    let folder = tempfile::tempdir().unwrap();
    let labels: [&[i64]; 3] = [&[], &[7, 8], &[]];
    let files = ["a", "b", "c"].map(|name| folder.path().join(name));
    for (path, labels) in files.iter().zip(labels) {
        fs::write(path, labelled(&[labels])).unwrap();
    }
    let files = files.to_vec();
    let data = open(files.clone());
    assert_eq!(data.labels(), [7, 8]);
    assert_eq!(data.origin(1).unwrap(), format!("{}: row 1", files[1].display()));
    assert_eq!(all(data).1, [7, 8]);
    assert_eq!(Arrays::parquet(files.clone(), &["label"]).unwrap().len(), 2);
    assert!(open(files[0].as_path()).is_empty());
}

#[test]
fn more_files_than_may_be_open_at_a_time_can_be_read() {
    let limit = getrlimit(Resource::Nofile);
    // What it usually is; for the other tests it is enough.
    let usual = limit.maximum.map_or(1024, |maximum| maximum.min(1024));
    setrlimit(Resource::Nofile, Rlimit { current: Some(usual), ..limit }).unwrap();
    let data = open(vec![reference("images-snappy.parquet"); 1100]);
    assert_eq!(data.len(), 1100 * 8);
    assert!(!data.file(data.len() - 1).unwrap().is_empty());
    drop(data);
    let data = Arrays::parquet(vec![reference("numbers.parquet"); 1100], &["int8"]).unwrap();
    assert_eq!(data.len(), 1100 * 10);
}

#[test]
fn a_run_does_not_go_on_with_other_rows() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |folder: &tempfile::TempDir, name: &str| folder.path().join(name);
    let write = |path: PathBuf, labels: &[i64]| {
        fs::write(&path, labelled(&[labels])).unwrap();
        path
    };
    let first = write(path(&one, "a.parquet"), &[1, 2, 3]);
    let moved = write(path(&other, "a.parquet"), &[1, 2, 3]);
    let renamed = write(path(&one, "b.parquet"), &[1, 2, 3]);
    let data = || open(first.as_path());
    assert!(goes_on(data(), open(moved.as_path())));
    assert!(!goes_on(data(), open(renamed.as_path())));
    let relabelled = write(path(&other, "a.parquet"), &[1, 2, 4]);
    assert!(!goes_on(data(), open(relabelled.as_path())));
}

#[test]
fn order_and_workers_change_nothing() {
    let epoch = |num_workers, cache_bytes| {
        let pattern = reference("images-{snappy,plain}.parquet").display().to_string();
        let data = open(pattern).cache_bytes(cache_bytes);
        let builder = Loader::builder(data).batch_size(3).shuffle(true).num_workers(num_workers);
        let mut loader = builder.build().unwrap();
        let batches = loader.epoch(0).map(|batch| {
            let batch = batch.unwrap();
            let pixels = Vec::<f32>::try_from(&batch["images"].flatten(0, -1)).unwrap();
            (batch.indices().to_vec(), pixels, Vec::<i64>::try_from(&batch["labels"]).unwrap())
        });
        batches.collect::<Vec<_>>()
    };
    let alone = epoch(0, usize::MAX);
    assert_eq!(alone, epoch(3, usize::MAX));
    assert_eq!(alone, epoch(3, 0));
}

/// The numbers in JSON, lists taken apart.
fn flat(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| flat(value, into)),
        Value::Bool(value) => into.push(f64::from(u8::from(*value))),
        value => into.push(value.as_f64().unwrap()),
    }
}

#[test]
fn numbers_are_those_that_were_written() {
    for (name, values) in expected()["tables"]["numbers"].as_object().unwrap() {
        let data = Arrays::parquet(reference("numbers.parquet"), &[name]).unwrap();
        let field = data.fields().swap_remove(0);
        let (dtype, shape): (_, &[usize]) = match name.as_str() {
            "int8" => (Dtype::Int8, &[]),
            "uint8" => (Dtype::Uint8, &[]),
            "int64" | "uint64" => (Dtype::Int64, &[]),
            "float16" => (Dtype::Float16, &[]),
            "float32" => (Dtype::Float32, &[]),
            "float64" => (Dtype::Float64, &[]),
            "bool" => (Dtype::Bool, &[]),
            "pair" => (Dtype::Int16, &[2]),
            "list" => (Dtype::Float32, &[3]),
            "matrix" => (Dtype::Int64, &[3, 2]),
            other => panic!("{other}"),
        };
        assert_eq!((field.dtype, &field.shape[..]), (dtype, shape), "{name}");
        let mut loader = Loader::builder(data).batch_size(10).num_workers(1).build().unwrap();
        let batch = loader.epoch(0).next().unwrap().unwrap();
        let got = batch[name.as_str()].to_kind(Kind::Double).to_device(Device::Cpu).flatten(0, -1);
        let (got, mut wanted) = (Vec::<f64>::try_from(&got).unwrap(), Vec::new());
        flat(values, &mut wanted);
        if dtype == Dtype::Float32 {
            wanted.iter_mut().for_each(|value| *value = f64::from(*value as f32));
        }
        assert_eq!(got, wanted, "{name}");
    }
}

#[test]
fn columns_become_fields_and_files_follow_each_other() {
    let files = vec![reference("numbers.parquet"); 3];
    let data = Arrays::parquet(files, &["bool", "pair"]).unwrap();
    assert_eq!(data.len(), 30);
    let data = data.to_float32("pair", &ToFloat32::default()).unwrap();
    let mut loader = Loader::builder(data).batch_size(30).num_workers(1).build().unwrap();
    let batch = loader.epoch(0).next().unwrap().unwrap();
    assert_eq!(batch["pair"].size(), [30, 2]);
    assert_eq!(batch["bool"].kind(), Kind::Bool);
}

#[test]
fn columns_that_do_not_fit_are_named() {
    let file = reference("numbers.parquet");
    let name = file.display().to_string();
    let refused = |columns: &[&str]| {
        let error = Arrays::parquet(file.as_path(), columns).unwrap_err();
        report(&LoaderError::from(error)).replace(&name, "FILE")
    };
    assert_eq!(
        refused(&["ragged"]),
        "the column `ragged` of `FILE` has a list of 2 in row 6, but lists of 1 before"
    );
    assert_eq!(refused(&["holes"]), "the column `holes` of `FILE` has no value in row 4");
    assert_eq!(refused(&["item_holes"]), "the column `item_holes` of `FILE` has no value in row 7");
    assert_eq!(
        refused(&["large"]),
        "the column `large` of `FILE` has 9223372036854775813 in row 8, which is no int64"
    );
    assert_eq!(
        refused(&["text"]),
        "the column `text` of `FILE` holds Utf8, not numbers or lists of them"
    );
    let text = refused(&["flaot32"]);
    assert!(text.starts_with("`FILE` has no column `flaot32`, only `int8`, `uint8`"), "{text}");
    assert!(text.ends_with("\nhint: did you mean `float32`?"), "{text}");
    assert!(refused(&[]).starts_with("no column is asked for; `FILE` has `int8`"));
    assert_eq!(refused(&["int8", "int8"]), "there are two arrays with the name `int8`");
}

#[test]
fn images_that_cannot_be_had_are_named() {
    let refused = |file: PathBuf, images: &str, labels: &str| {
        let error = ParquetImages::open(file.as_path(), images, labels, compose()).unwrap_err();
        report(&error).replace(&file.display().to_string(), "FILE")
    };
    let images = || reference("images-snappy.parquet");
    let wanted = "not the bytes of image files, alone or as the member `bytes` of a struct";
    assert_eq!(
        refused(images(), "id", "label"),
        format!("the column `id` of `FILE` holds text, {wanted}")
    );
    assert_eq!(
        refused(images(), "label", "label"),
        format!("the column `label` of `FILE` holds INT32, {wanted}")
    );
    assert_eq!(
        refused(reference("numbers.parquet"), "list", "int8"),
        format!("the column `list` of `FILE` holds a struct or a list, {wanted}")
    );
    assert_eq!(
        refused(images(), "images", "label"),
        "`FILE` has no column `images`, only `id`, `image`, `label`\nhint: did you mean `image`?"
    );
    assert_eq!(
        refused(images(), "image", "id"),
        "the column `id` of `FILE` holds Utf8, not numbers or lists of them"
    );

    let file = reference("images-null.parquet");
    let mut loader = Loader::builder(open(file.as_path())).batch_size(1).num_workers(1);
    loader = loader.shuffle(false);
    let text = report(&loader.build().unwrap().epoch(0).nth(2).unwrap().unwrap_err());
    assert_eq!(
        text,
        format!(
            "sample 2 (`{}: row 2`) could not be loaded: the column `image` has no value there",
            file.display()
        )
    );
}

#[test]
fn columns_that_differ_in_length_are_refused() {
    // The two groups' labels changed places: one too many in the first, one too few in the second.
    let bytes = labelled(&[&[1, 2], &[3, 4, 5]]);
    let metadata =
        ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes.clone())).unwrap();
    let mut metadata = metadata.into_builder();
    let mut groups = metadata.take_row_groups();
    let [first, second] = &mut groups[..] else { panic!("{groups:?}") };
    std::mem::swap(&mut first.columns_mut()[1], &mut second.columns_mut()[1]);
    let metadata = metadata.set_row_groups(groups).build();
    // The file without its metadata, whose length stands before the last four bytes.
    let len = bytes.len() - 8;
    let said = u32::from_le_bytes(*bytes[len..].first_chunk().unwrap());
    let mut changed = bytes[..len - said as usize].to_vec();
    ParquetMetaDataWriter::new(&mut changed, &metadata).finish().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    fs::write(&good, bytes).unwrap();
    fs::write(&bad, changed).unwrap();
    let said = "is damaged: row group 0 has 2 rows, its column `label` has 3";
    let said = format!("`{}` {said}", bad.display());
    let files = vec![good, bad];
    let error = ParquetImages::open(files.clone(), "image", "label", compose()).unwrap_err();
    assert_eq!(report(&error), said);
    assert_eq!(report(&Arrays::parquet(files, &["label"]).unwrap_err()), said);
}

#[test]
fn files_that_are_no_parquet_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    let whole = fs::read(reference("images-snappy.parquet")).unwrap();
    for bytes in [&b""[..], b"PAR1", &whole[..whole.len() - 9], &whole[9..], &[b'x'; 1000]] {
        fs::write(&path, bytes).unwrap();
        let error = ParquetImages::open(path.as_path(), "image", "label", compose()).unwrap_err();
        let text = report(&error);
        let start = format!("`{}` cannot be used as a Parquet file: ", path.display());
        assert!(text.starts_with(&start), "{text}");
    }
}

/// Opens a file of these bytes both ways and loads every row.
fn open_and_load(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    fs::write(&path, bytes).unwrap();
    let _ = Arrays::parquet(path.as_path(), &["label"]);
    let Ok(data) = ParquetImages::open(path.as_path(), "image", "label", compose()) else { return };
    let mut loader = Loader::builder(data).batch_size(1).num_workers(0).build().unwrap();
    for batch in loader.epoch(0) {
        if let Err(error) = batch {
            assert!(matches!(error, LoaderError::Sample { .. }), "{error:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_do_no_harm(
        file in 0_usize..5,
        // The last bytes say where all others are.
        changes in prop::collection::vec((any::<Index>(), any::<bool>(), any::<u8>()), 1..6),
    ) {
        let files = expected()["tables"]["files"].clone();
        let mut bytes = fs::read(reference(files[file].as_str().unwrap())).unwrap();
        let len = bytes.len();
        for (place, at_end, byte) in changes {
            let at = if at_end { len - 1 - place.index(2500) } else { place.index(len) };
            bytes[at] = byte;
        }
        open_and_load(&bytes);
    }
}
