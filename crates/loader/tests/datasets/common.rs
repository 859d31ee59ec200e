//! Batches of a data set, and where the reference files are.

use std::error::Error;
use std::path::PathBuf;

use loader::state::StateError;
use loader::{Batch, Dataset, Loader, LoaderBuilder, LoaderError};

/// A file or folder of `tests/reference/arrays`.
pub(crate) fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/arrays").join(name)
}

/// The whole data set in order, as one batch.
pub(crate) fn all(data: impl Dataset) -> Batch {
    let samples = data.len();
    let builder = Loader::builder(data).batch_size(samples).shuffle(false).drop_last(false);
    let mut loader = builder.num_workers(0).build().unwrap();
    loader.epoch(0).next().unwrap().unwrap()
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

/// The whole message, causes and hints.
pub(crate) fn said(error: impl Error + 'static) -> String {
    loader::error::Report(&error).to_string()
}

/// All of `parts` are in the message.
#[track_caller]
pub(crate) fn assert_says(error: impl Error + 'static, parts: &[&str]) {
    let said = said(error);
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}
