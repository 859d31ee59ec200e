//! A sweep that is over at once.

use tempfile::TempDir;

/// A folder with a configuration in `small.toml` of data that is made up at once.
pub(crate) fn synthetic() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"
[dataset]
kind = "synthetic"
samples = 64
fields = [{ name = "x", shape = [4], dtype = "float32" }]

[loader]
batch_size = 8

[sweep]
batch_size = [8]
num_workers = [0, 1]
prefetch_depth = [1]
repeats = 2
max_repeats = 2
confirm = 0
warmup_s = 0.0
measure_s = 0.01
"#;
    std::fs::write(folder.path().join("small.toml"), config).unwrap();
    folder
}
