//! What the whole-program tests share: the program, small data, a configuration for it.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The program.
pub(crate) fn tuner() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tuner"));
    command.current_dir(repository()).env_remove("RUST_BACKTRACE");
    command
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder with a data set of `images` images in `train` and a configuration in `small.toml`
/// that shows them at 32 x 32 pixels.
pub(crate) fn workspace(images: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let train = folder.path().join("train");
    let made = tuner()
        .args(["data", "make", "imagenet-like", "--quiet", "--seed", "7", "--images"])
        .arg(images.to_string())
        .arg("--out")
        .arg(&train)
        .output()
        .unwrap();
    assert_success(&made);
    let config = format!(
        r#"
[dataset]
kind = "image-folder"
root = "{}"
transforms = [
    "decode",
    {{ random_resized_crop = {{ size = 32 }} }},
    {{ horizontal_flip = {{}} }},
    "to_tensor",
    {{ normalize = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }} }},
]

[loader]
batch_size = 8
num_workers = 2
shuffle = true
drop_last = true
seed = 3

[sweep]
batch_size = [4, 8]
num_workers = [0, {cores}]
prefetch_depth = [1, 2]
repeats = 2
max_repeats = 2
confirm = 0
warmup_s = 0.0
measure_s = 0.05
"#,
        train.display(),
        // So that the default setting, which is run in every block, is in the grid.
        cores = (profiler::machine::usable_cores() as usize).max(1),
    );
    std::fs::write(folder.path().join("small.toml"), config).unwrap();
    folder
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
}

/// The command was refused: exit code 1, one error on stderr with all of `parts`, no panic.
#[track_caller]
pub(crate) fn assert_refused(output: &Output, parts: &[&str]) {
    assert_refused_with(1, output, parts);
}

/// Likewise, with another exit code.
#[track_caller]
pub(crate) fn assert_refused_with(code: i32, output: &Output, parts: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("error: ") || said.contains("\nerror: "), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}
