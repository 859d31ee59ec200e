//! Shards as WebDataset and Python's tarfile write them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use loader::datasets::tar::{Label, TarOptions};
use loader::{Batch, Dataset, Loader, LoaderError, TarShards};
use preproc::transform::{RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};

use crate::common::{all, as_in_a_folder, compose, expected, image, reference, report, tar_of};

#[test]
fn samples_are_those_that_webdataset_finds() {
    for (shard, samples) in expected()["shards"].as_object().unwrap() {
        let samples = samples.as_array().unwrap();
        let data = TarShards::open(reference(shard), compose()).unwrap();
        let keys: Vec<_> = (0..data.len()).map(|index| data.key(index).to_owned()).collect();
        let wanted: Vec<_> = samples.iter().map(|s| s["key"].as_str().unwrap()).collect();
        assert_eq!(keys, wanted, "{shard}");
        let origin = data.origin(0).unwrap();
        assert!(origin.ends_with(&format!("{shard}: {}", keys[0])), "{origin}");

        let labels: Vec<_> = samples.iter().map(|s| s["label"].as_i64().unwrap()).collect();
        assert_eq!(data.labels().collect::<Vec<_>>(), labels, "{shard}");
        let images: Vec<_> = samples.iter().map(|s| s["image"].as_str().unwrap()).collect();
        let (pixels, loaded) = all(data);
        assert_eq!(loaded, labels, "{shard}");
        assert_eq!(pixels, as_in_a_folder(&images), "{shard}");
    }
}

#[test]
fn labels_stand_in_json_too() {
    for (path, plus) in [("label", 1), ("meta.a.b", 2), ("meta.list.0", 3)] {
        let options = TarOptions { label: Label::Json(path.to_owned()), ..TarOptions::default() };
        let shard = reference("train-000001.tar");
        let data = TarShards::open_with(shard, &options, compose()).unwrap();
        let labels: Vec<_> = data.labels().collect();
        assert_eq!(labels, [40, 50, 60, 70].map(|label| label + plus), "{path}");
    }
}

#[test]
fn shards_are_named_by_pattern_list_or_folder() {
    let both = |name: &str| reference(name).display().to_string();
    let keys = |data: &TarShards| -> Vec<_> {
        (0..data.len()).map(|index| data.key(index).to_owned()).collect()
    };
    let data = TarShards::open(both("train-{000000..000001}.tar"), compose()).unwrap();
    assert_eq!(data.shards(), [0..4, 4..8]);
    assert_eq!(data.paths(), [reference("train-000000.tar"), reference("train-000001.tar")]);
    assert_eq!(keys(&data)[4], "class1/000004");

    let list = vec![reference("train-000000.tar"), reference("train-000001.tar")];
    let folder = tempfile::tempdir().unwrap();
    for path in &list {
        fs::copy(path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    fs::write(folder.path().join("readme.txt"), "not a shard").unwrap();
    for same in [
        TarShards::open(both("train-*.tar"), compose()),
        TarShards::open(both("train-00000[01].tar").as_str(), compose()),
        TarShards::open(both("train-000000.tar::") + &both("train-000001.tar"), compose()),
        TarShards::open(list, compose()),
        TarShards::open(folder.path(), compose()),
        TarShards::open(folder.path().to_str().unwrap(), compose()),
    ] {
        assert_eq!(keys(&same.unwrap()), keys(&data));
    }
    let backwards = TarShards::open(both("train-{000001..000000}.tar"), compose()).unwrap();
    assert_eq!(keys(&backwards)[0], "class1/000004");
    let twice = TarShards::open(both("train-{000000,000000}.tar"), compose()).unwrap();
    assert_eq!(twice.shards(), [0..4, 4..8]);
}

/// As some programs write the headers of folders.
#[test]
fn a_folder_may_leave_its_size_blank() {
    let mut header = tar::Header::new_ustar();
    header.set_path("class0/").unwrap();
    header.set_entry_type(tar::EntryType::Directory);
    header.as_ustar_mut().unwrap().size = [b' '; 12];
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(fs::read(reference("train-000000.tar")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-000000.tar");
    fs::write(&path, bytes).unwrap();
    let with = TarShards::open(path, compose()).unwrap();
    let without = TarShards::open(reference("train-000000.tar"), compose()).unwrap();
    assert_eq!(with.len(), without.len());
}

#[test]
fn a_shard_may_have_brackets_in_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train[1]*.tar");
    fs::copy(reference("train-000000.tar"), &path).unwrap();
    let data = TarShards::open(path.to_str().unwrap(), compose()).unwrap();
    assert_eq!(data.paths(), [path]);
}

#[test]
fn one_of_several_images_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.tar");
    let (left, right) = (image("jpeg_1x1.jpg"), image("png_bilevel.png"));
    let members = [("1.left.jpg", &left[..]), ("1.Right.PNG", &right), ("1.cls", b"3")];
    fs::write(&path, tar_of(&members)).unwrap();
    for (extension, name) in [("left.jpg", "jpeg_1x1.jpg"), ("right.png", "png_bilevel.png")] {
        let options = TarOptions { image: Some(extension.to_owned()), ..TarOptions::default() };
        let data = TarShards::open_with(path.as_path(), &options, compose()).unwrap();
        assert_eq!(all(data).0, as_in_a_folder(&[name]));
    }
}

/// Index, pixels and label of every sample, in the order they come.
fn epoch(loader: &mut Loader, number: u64) -> Vec<(usize, Vec<f32>, i64)> {
    let samples = |batch: Result<Batch, LoaderError>| {
        let batch = batch.unwrap();
        let labels = Vec::<i64>::try_from(&batch["labels"]).unwrap();
        let sample = |at: usize| {
            let pixels = batch["images"].get(at as i64).flatten(0, 2);
            (batch.indices()[at], Vec::try_from(pixels).unwrap(), labels[at])
        };
        (0..batch.len()).map(sample).collect::<Vec<_>>()
    };
    loader.epoch(number).flat_map(samples).collect()
}

#[test]
fn batches_do_not_depend_on_workers() {
    let crop = ImageTransform::RandomResizedCrop(RandomResizedCrop::new(16));
    let transforms =
        vec![ImageTransform::Decode, crop, ImageTransform::ToTensor(ToTensor::default())];
    let compose = Compose::new(transforms, DecodeOptions::default()).unwrap();
    let pattern = reference("train-*.tar").display().to_string();
    let epochs = |num_workers| {
        let data = TarShards::open(pattern.as_str(), compose.clone()).unwrap();
        let builder = Loader::builder(data).batch_size(3).shuffle(true).seed(1);
        let mut loader = builder.num_workers(num_workers).build().unwrap();
        [epoch(&mut loader, 0), epoch(&mut loader, 1)]
    };
    let alone = epochs(0);
    assert_ne!(alone[0], alone[1]);
    let seen: BTreeSet<_> = alone[0].iter().map(|(index, ..)| *index).collect();
    assert_eq!(seen.len(), 8);
    assert_eq!(alone, epochs(1));
    assert_eq!(alone, epochs(3));
}

#[test]
fn more_shards_than_files_may_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let pixel = image("png_1x1.png");
    for shard in 0..700 {
        let label = shard.to_string();
        let tar = tar_of(&[("x.png", &pixel), ("x.cls", label.as_bytes())]);
        fs::write(folder.path().join(format!("{shard:03}.tar")), tar).unwrap();
    }
    let pattern = folder.path().join("{000..699}.tar").display().to_string();
    let data = TarShards::open(pattern, compose()).unwrap();
    assert_eq!(data.len(), 700);
    let builder = Loader::builder(data).batch_size(70).shuffle(true).num_workers(3);
    let mut loader = builder.build().unwrap();
    for number in 0..2 {
        assert!(epoch(&mut loader, number).iter().all(|(index, _, label)| *index as i64 == *label));
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let target: Option<PathBuf> = fs::read_link(entry.as_ref().unwrap().path()).ok();
        target.is_some_and(|target| target.starts_with(folder.path()))
    });
    assert!((500..=515).contains(&open.count()));
}

#[test]
fn a_shard_that_changes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.tar");
    fs::copy(reference("train-000000.tar"), &path).unwrap();
    let data = TarShards::open(path.as_path(), compose()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(2000).unwrap();
    let mut loader = Loader::builder(data).batch_size(1).num_workers(1).build().unwrap();
    let error = loader.epoch(0).next().unwrap().unwrap_err();
    assert_eq!(
        report(&error),
        format!(
            "sample 0 (`{}: class0/000000`) could not be loaded: \
             the shard has become shorter since it was indexed",
            path.display()
        )
    );
}

#[test]
fn an_image_that_cannot_be_decoded_is_named_with_shard_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.tar");
    fs::write(&path, tar_of(&[("a/b.jpg", b"no image"), ("a/b.cls", b"1")])).unwrap();
    let data = TarShards::open(path.as_path(), compose()).unwrap();
    let mut loader = Loader::builder(data).num_workers(1).build().unwrap();
    let text = report(&loader.epoch(0).next().unwrap().unwrap_err());
    let wanted = format!("sample 0 (`{}: a/b`) could not be loaded: not an image", path.display());
    assert!(text.starts_with(&wanted), "{text}");
}
