//! Folders of images, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use loader::error::FolderError;
use loader::{Dataset, ImageFolder, Loader, LoaderError};
use preproc::transform::{Normalize, RandomResizedCrop, Resize, ResizeSize, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use tch::Tensor;
use tempfile::TempDir;

use crate::common::{chain, in_repository, within_two_minutes};

fn compose() -> Compose {
    compose_with(DecodeOptions::default())
}

fn compose_with(options: DecodeOptions) -> Compose {
    let resize = Resize { size: ResizeSize::Exact([8, 8]) };
    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::Resize(resize),
        ImageTransform::ToTensor(ToTensor::default()),
    ];
    Compose::new(transforms, options).unwrap()
}

/// A folder of class folders, each file with a name of its own and these bytes.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}

fn reference(name: &str) -> Vec<u8> {
    fs::read(in_repository("tests/reference/inputs").join(name)).unwrap()
}

#[test]
fn classes_and_images_are_in_torchvisions_order() {
    let root = folder(&[
        ("b/2.JPG", b""),
        ("b/10.png", b""),
        ("b/notes.txt", b""),
        ("b/deeper/1.webp", b""),
        ("b/deeper-1/1.bmp", b""),
        ("b/deeper/est/1.jpeg", b""),
        ("b/z.jpeg", b""),
        ("B/x.jpg", b""),
        ("a file", b""),
    ]);
    let data = ImageFolder::open(root.path(), compose()).unwrap();
    assert_eq!(data.classes(), ["B", "b"]);
    let images: Vec<_> = data
        .images()
        .iter()
        .map(|(path, class)| (path.strip_prefix(root.path()).unwrap().to_str().unwrap(), *class))
        .collect();
    // Python: `sorted(os.walk(class))`, and the file names of each folder sorted.
    let expected = [
        ("B/x.jpg", 0),
        ("b/10.png", 1),
        ("b/2.JPG", 1),
        ("b/z.jpeg", 1),
        ("b/deeper/1.webp", 1),
        ("b/deeper-1/1.bmp", 1),
        ("b/deeper/est/1.jpeg", 1),
    ];
    assert_eq!(images, expected);
}

#[test]
fn a_grey_pixel_arrives_with_its_label() {
    within_two_minutes(|| {
        let root = folder(&[
            ("black/1.jpg", &reference("jpeg_1x1.jpg")),
            ("white/1.png", &reference("png_1x1.png")),
        ]);
        for transforms in [
            vec![ImageTransform::RandomResizedCrop(RandomResizedCrop::new(5))],
            vec![ImageTransform::Resize(Resize { size: ResizeSize::Exact([5, 5]) })],
        ] {
            let ends = [
                ImageTransform::ToTensor(ToTensor::default()),
                ImageTransform::Normalize(Normalize::IDENTITY),
            ];
            let all = [vec![ImageTransform::Decode], transforms, ends.to_vec()].concat();
            let compose = Compose::new(all, DecodeOptions::default()).unwrap();
            let data = ImageFolder::open(root.path(), compose).unwrap();
            let mut loader = Loader::builder(data).num_workers(1).build().unwrap();
            let batch = loader.epoch(0).next().unwrap().unwrap();
            assert_eq!(batch["images"].size(), [2, 3, 5, 5]);
            assert_eq!(batch["labels"], Tensor::from_slice(&[0i64, 1]));
            // One pixel: every value of a channel is the same.
            let spread = batch["images"].amax([2, 3], false) - batch["images"].amin([2, 3], false);
            assert_eq!(spread.abs().max().double_value(&[]), 0.0);
        }
    });
}

#[test]
fn folders_that_hold_nothing_are_named() {
    let root = tempfile::tempdir().unwrap();
    let open = |path: &Path| ImageFolder::open(path, compose()).unwrap_err();
    let named = |error: &FolderError, path: &Path| {
        let display = error.to_string();
        assert!(display.contains(&format!("`{}`", path.display())), "{display}");
        chain(error)
    };

    let missing = root.path().join("missing");
    let text = named(&open(&missing), &missing);
    assert_eq!(text.matches("No such file or directory").count(), 1, "{text}");

    let text = named(&open(root.path()), root.path());
    assert!(text.contains("holds no class folders\nhint: "), "{text}");

    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(open(&file), FolderError::Read { .. }));

    let empty = root.path().join("cat");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("readme.md"), b"none yet").unwrap();
    let error = open(root.path());
    assert!(matches!(error, FolderError::EmptyClass { .. }));
    let text = named(&error, &empty);
    assert!(text.contains("no images in") && text.contains("jpg, jpeg, png"), "{text}");
}

/// The first bytes of a PNG of 50,000 x 50,000 pixels: 7.5 GB when decoded.
const BOMB: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0\xc4\xcd\xaa\x9d\
    \0\0\0\0IDAT\x35\xaf\x06\x1e";

/// The error of loading a single file, which must name it.
fn refused(name: &str, bytes: &[u8]) -> String {
    refused_with(name, bytes, DecodeOptions::default())
}

fn refused_with(name: &str, bytes: &[u8], options: DecodeOptions) -> String {
    let root = folder(&[(&format!("class/{name}"), bytes)]);
    let path: PathBuf = root.path().join("class").join(name);
    let data = ImageFolder::open(root.path(), compose_with(options)).unwrap();
    let mut loader = Loader::builder(data).num_workers(1).build().unwrap();
    let error = loader.epoch(0).next().unwrap().unwrap_err();
    assert!(matches!(error, LoaderError::Sample { index: 0, .. }), "{error:?}");
    let display = error.to_string();
    assert_eq!(display, format!("sample 0 (`{}`) could not be loaded", path.display()));
    let text = chain(&error);
    let reason = text.strip_prefix(&display).unwrap().to_owned();
    for part in reason.split(": ").filter(|part| part.len() > 3) {
        assert_eq!(reason.matches(part).count(), 1, "said once: {reason}");
    }
    reason
}

#[test]
fn files_that_are_no_images_are_named_with_the_reason() {
    within_two_minutes(|| {
        assert_eq!(refused("empty.jpg", b""), ": the file is empty\nhint: replace or remove it");
        let no_image = ": not an image that can be read here (JPEG, PNG, WebP or BMP)\n\
                        hint: replace, convert or remove the file";
        assert_eq!(refused("text.jpg", b"dear diary, today I am a JPEG"), no_image);
        assert_eq!(refused("short.png", b"\x89P"), no_image);
        assert_eq!(refused("gif.jpg", b"GIF89a\x01\0\x01\0\0\0\0;"), no_image);
    });
}

#[test]
fn images_cut_short_are_named_wherever_they_end() {
    within_two_minutes(|| {
        for name in ["jpeg_420.jpg", "jpeg_progressive.jpg", "png_rgb.png", "bmp_rgb.bmp"] {
            let whole = reference(name);
            for kept in [30, whole.len() / 2, whole.len() - 20] {
                let text = refused(name, &whole[..kept]);
                assert!(text.starts_with(": "), "{name}, {kept} bytes{text}");
                if name.ends_with("jpg") || kept > 100 {
                    assert!(text.contains("truncated"), "{name}, {kept} bytes{text}");
                }
            }
        }
    });
}

#[test]
fn images_with_too_many_pixels_are_refused_before_memory_is_taken() {
    within_two_minutes(|| {
        let text = refused("bomb.png", BOMB);
        assert!(text.contains("50000x50000 pixels, more than the limit of 178956970"), "{text}");
        assert!(text.contains("hint: raise `max_pixels`"), "{text}");

        let small = DecodeOptions { max_pixels: 150 * 100 - 1, ..DecodeOptions::default() };
        let text = refused_with("photo.jpg", &reference("jpeg_150x100.jpg"), small);
        assert!(text.contains("150x100 pixels, more than the limit of 14999"), "{text}");

        let enough = DecodeOptions { max_pixels: 150 * 100, ..DecodeOptions::default() };
        let root = folder(&[("class/photo.jpg", &reference("jpeg_150x100.jpg"))]);
        let data = ImageFolder::open(root.path(), compose_with(enough)).unwrap();
        assert!(Loader::builder(data).build().unwrap().epoch(0).next().unwrap().is_ok());
    });
}

#[test]
fn files_that_vanish_and_links_to_nothing_are_named() {
    within_two_minutes(|| {
        let good = reference("jpeg_150x100.jpg");
        // A folder is one whatever its name, as in torchvision.
        let root =
            folder(&[("class/1.jpg", &good), ("class/2.jpg", &good), ("class/4.jpg/5.jpg", &good)]);
        std::os::unix::fs::symlink("nowhere", root.path().join("class/3.jpg")).unwrap();
        let data = ImageFolder::open(root.path(), compose()).unwrap();
        fs::remove_file(root.path().join("class/2.jpg")).unwrap();
        let mut loader = Loader::builder(data).batch_size(1).num_workers(1).build().unwrap();
        let outcomes: Vec<_> =
            loader.epoch(0).map(|batch| batch.map_err(|error| chain(&error))).collect();
        assert!(outcomes[0].is_ok());
        let text = outcomes[1].as_ref().unwrap_err();
        assert!(text.contains("2.jpg`) could not be loaded: No such file or directory"), "{text}");
        let text = outcomes[2].as_ref().unwrap_err();
        assert!(text.contains("3.jpg`) could not be loaded: No such file or directory"), "{text}");
        assert!(outcomes[3].is_ok() && outcomes.len() == 4);
    });
}

#[test]
fn folders_that_link_to_each_other_are_refused() {
    let image = reference("jpeg_1x1.jpg");
    let root = folder(&[("a/1.jpg", &image[..]), ("b/2.jpg", &image[..])]);
    for (link, to) in [("a/x", "../b"), ("b/y", "../a")] {
        std::os::unix::fs::symlink(to, root.path().join(link)).unwrap();
    }
    let error = ImageFolder::open(root.path(), compose()).unwrap_err();
    assert!(matches!(error, FolderError::Loop { .. }), "{error:?}");
    // One way there is an end.
    fs::remove_file(root.path().join("b/y")).unwrap();
    assert_eq!(ImageFolder::open(root.path(), compose()).unwrap().len(), 3);
}

#[test]
fn a_state_is_good_for_a_folder_of_the_same_names_only() {
    let image = reference("jpeg_1x1.jpg");
    let files = [("a/1.jpg", &image[..]), ("a/2.jpg", &image[..]), ("b/3.jpg", &image[..])];
    let root = folder(&files);
    let state = || {
        let data = ImageFolder::open(root.path(), compose()).unwrap();
        let mut loader = Loader::builder(data).batch_size(1).num_workers(0).build().unwrap();
        loader.epoch(0).next().unwrap().unwrap();
        loader.state().unwrap()
    };
    let before = state();
    // Mended files are the same data; renamed ones and those of another class are not.
    fs::write(root.path().join("a/1.jpg"), [&image[..], b"more"].concat()).unwrap();
    assert_eq!(state(), before);
    let elsewhere = folder(&files);
    let data = ImageFolder::open(elsewhere.path(), compose()).unwrap();
    let mut loader = Loader::builder(data).batch_size(1).num_workers(0).build().unwrap();
    loader.resume(&before).unwrap();
    for (from, to) in [("a/1.jpg", "a/0.jpg"), ("a/2.jpg", "b/2.jpg"), ("b", "c")] {
        fs::rename(root.path().join(from), root.path().join(to)).unwrap();
        assert_ne!(state(), before, "{from}");
        fs::rename(root.path().join(to), root.path().join(from)).unwrap();
    }
    assert_eq!(state(), before);
}
