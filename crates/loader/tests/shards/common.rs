//! Reference data, tars made by hand, and batches to compare.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use loader::error::Report;
use loader::state::StateError;
use loader::{Dataset, ImageFolder, Loader, LoaderBuilder, LoaderError};
use preproc::transform::{Resize, ResizeSize, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use serde_json::Value;
use tch::Tensor;

pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A file in `tests/reference/shards`.
pub(crate) fn reference(name: &str) -> PathBuf {
    in_repository("tests/reference/shards").join(name)
}

/// What other programs found there.
pub(crate) fn expected() -> Value {
    serde_json::from_slice(&fs::read(reference("expected.json")).unwrap()).unwrap()
}

/// The bytes of an image in `tests/reference/inputs`.
pub(crate) fn image(name: &str) -> Vec<u8> {
    fs::read(in_repository("tests/reference/inputs").join(name)).unwrap()
}

/// Decodes and resizes to 8x8.
pub(crate) fn compose() -> Compose {
    let resize = ImageTransform::Resize(Resize { size: ResizeSize::Exact([8, 8]) });
    let transforms =
        vec![ImageTransform::Decode, resize, ImageTransform::ToTensor(ToTensor::default())];
    Compose::new(transforms, DecodeOptions::default()).unwrap()
}

/// All images and labels, in order.
pub(crate) fn all(dataset: impl Dataset) -> (Tensor, Vec<i64>) {
    let samples = dataset.len();
    let mut loader = Loader::builder(dataset).batch_size(samples).num_workers(2).build().unwrap();
    let batch = loader.epoch(0).next().unwrap().unwrap();
    (batch["images"].copy(), Vec::try_from(&batch["labels"]).unwrap())
}

/// Whether a run over `one` goes on over `other`.
pub(crate) fn goes_on(one: impl Dataset, other: impl Dataset) -> bool {
    let build = |builder: LoaderBuilder| builder.batch_size(1).num_workers(0).build().unwrap();
    let state = build(Loader::builder(one)).epoch(0).next().unwrap().unwrap().state();
    match build(Loader::builder(other)).resume(&state).map(|_| ()) {
        Ok(()) => true,
        Err(LoaderError::State(StateError::Fingerprint)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// What the image folder makes of these images in `tests/reference/inputs`.
pub(crate) fn as_in_a_folder(names: &[&str]) -> Tensor {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("class")).unwrap();
    for (number, name) in names.iter().enumerate() {
        let extension = name.split('.').next_back().unwrap();
        let file = root.path().join(format!("class/{number:04}.{extension}"));
        fs::write(file, image(name)).unwrap();
    }
    all(ImageFolder::open(root.path(), compose()).unwrap()).0
}

/// A tar of members, as GNU tar writes it.
pub(crate) fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An error as a program prints it.
pub(crate) fn report(error: &(dyn Error + 'static)) -> String {
    Report(error).to_string()
}

/// What `work` gives, and what it warned of. Whatever may warn must run in here: `tracing`
/// remembers for the whole program that nobody listened to a place in the code.
pub(crate) fn warnings_of<T>(work: impl FnOnce() -> T) -> (T, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let result = tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (result, text)
}
