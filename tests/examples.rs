//! The examples run to their end and print what they promise.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(dead_code, reason = "not all that tests share is needed here")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{assert_success, repository, stdout, workspace};
use loader::settings::SettingsFile;

/// What the example `name` prints, run in `folder`.
fn example(name: &str, folder: &Path, arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_tuner")).with_file_name("examples").join(name);
    assert!(program.exists(), "build it: `cargo build --release --workspace --examples`");
    let output = Command::new(&program).current_dir(folder).args(arguments).output().unwrap();
    assert_success(&output);
    stdout(&output)
}

#[test]
fn the_readme_shows_the_training_example_as_it_is() {
    let example = fs::read_to_string(repository().join("crates/loader/examples/train.rs")).unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.contains(example.trim()), "copy crates/loader/examples/train.rs to README.md");
    assert!(example.lines().count() <= 80);
}

#[test]
fn a_sweep_of_ones_own_data_ends_in_a_settings_file() {
    let folder = tempfile::tempdir().unwrap();
    let said = example("own_data", folder.path(), &[]);
    assert!(said.starts_with("Use batch size "), "{said}");
    // The default folder is named after the program.
    let latest = folder.path().join("sweeps/own_data/latest");
    let settings = SettingsFile::read(latest.join("recommended.toml")).unwrap();
    assert!([16, 64].contains(&settings.loader.batch_size));
}

#[test]
fn autotune_says_what_it_came_to_for_both_paces() {
    let folder = workspace(64);
    let said = example("autotune", folder.path(), &["train", "1"]);
    let lines: Vec<&str> = said.lines().collect();
    for (line, step) in lines.iter().zip(["80ms", "30ms"]) {
        assert!(line.starts_with(&format!("steps of {step}: ")), "{said}");
        assert!(line.contains(" workers at depth "), "{said}");
    }
    assert_eq!(lines[2], "moves:", "{said}");
}

#[test]
fn a_training_profiles_itself() {
    let folder = workspace(64);
    example("profile_training", folder.path(), &["train", "report", "1"]);
    assert!(folder.path().join("report/report.html").exists());
}
