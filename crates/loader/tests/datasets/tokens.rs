//! Windows over tokens.

use std::fs;
use std::path::PathBuf;

use loader::datasets::TokenWidth;
use loader::{Dataset, Tokens};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::common::{all, assert_says, goes_on};

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.bin");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every window is what lies at its place in the file, and no whole window is missing.
    #[test]
    fn windows_lie_where_they_should(
        tokens in prop::collection::vec(any::<u32>(), 2..200),
        length in 1..40_usize,
        stride in 1..50_usize,
        narrow: bool,
    ) {
        let (width, tokens): (_, Vec<i64>) = match narrow {
            true => (TokenWidth::U16, tokens.iter().map(|t| i64::from(*t as u16)).collect()),
            false => (TokenWidth::U32, tokens.iter().map(|t| i64::from(*t)).collect()),
        };
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|t| t.to_le_bytes()[..width.bytes()].to_vec()).collect();
        let (_folder, path) = file(&bytes);
        let opened = Tokens::open(&path, width, length);
        if tokens.len() <= length {
            prop_assert!(opened.is_err());
            return Ok(());
        }
        let data = opened.unwrap().stride(stride).unwrap();
        let expected: Vec<usize> =
            (0..tokens.len()).step_by(stride).filter(|at| at + length < tokens.len()).collect();
        prop_assert_eq!(data.len(), expected.len());
        let batch = all(data);
        for (window, at) in expected.into_iter().enumerate() {
            let row = |name: &str| Vec::<i64>::try_from(batch[name].get(window as i64)).unwrap();
            prop_assert_eq!(&row("inputs")[..], &tokens[at..at + length]);
            prop_assert_eq!(&row("targets")[..], &tokens[at + 1..at + 1 + length]);
        }
    }
}

#[test]
fn a_run_does_not_go_on_with_other_windows() {
    let (_folder, path) = file(&[1; 2000]);
    let (_other_folder, moved) = file(&[1; 2000]);
    let renamed = path.with_file_name("val.bin");
    fs::copy(&path, &renamed).unwrap();
    let open = |path: &PathBuf, width, length, stride| {
        let data = Tokens::open(path, width, length).unwrap().stride(stride).unwrap();
        assert_eq!(data.len(), 10);
        data
    };
    let data = || open(&path, TokenWidth::U16, 4, 100);
    assert!(goes_on(data(), open(&moved, TokenWidth::U16, 4, 100)));
    assert!(!goes_on(data(), open(&renamed, TokenWidth::U16, 4, 100)));
    assert!(!goes_on(data(), open(&path, TokenWidth::U32, 4, 50)));
    assert!(!goes_on(data(), open(&path, TokenWidth::U16, 5, 100)));
    assert!(!goes_on(data(), open(&path, TokenWidth::U16, 4, 101)));
}

#[test]
fn files_that_hold_no_window_are_refused() {
    let refused = |bytes: &[u8], width, length, parts: &[&str]| {
        let (_folder, path) = file(bytes);
        assert_says(Tokens::open(&path, width, length).unwrap_err(), parts);
    };
    refused(&[], TokenWidth::U16, 1, &["train.bin", "empty"]);
    refused(&[0; 7], TokenWidth::U16, 1, &["7 bytes", "multiple of 2"]);
    refused(&[0; 10], TokenWidth::U32, 1, &["10 bytes", "multiple of 4"]);
    refused(&[0; 8], TokenWidth::U16, 4, &["4 tokens", "needs 5", "hint: "]);
    refused(&[0; 8], TokenWidth::U16, usize::MAX, &["4 tokens"]);
    refused(&[0; 8], TokenWidth::U16, 0, &["`length` is 0"]);
    let (_folder, path) = file(&[0; 8]);
    let data = Tokens::open(&path, TokenWidth::U16, 2).unwrap();
    assert!(data.origin(1).unwrap().ends_with("train.bin, from token 2"));
    assert_says(data.stride(0).unwrap_err(), &["`stride` is 0"]);
    let missing = Tokens::open("/nowhere/train.bin", TokenWidth::U16, 2).unwrap_err();
    assert_says(missing, &["cannot read `/nowhere/train.bin`"]);
}
