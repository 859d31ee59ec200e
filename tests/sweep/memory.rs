//! What a sweep says and does about memory.

use std::fs;

use serde_json::Value;

use crate::common::{assert_refused, assert_success, workspace};
use crate::{some_image, sweep, trials};

#[test]
fn what_would_not_fit_in_memory_is_skipped_and_listed() {
    let folder = workspace(20);
    let more = ["--batch-size", "4", "--repeats", "1", "--memory-limit", "8MiB", "--quiet"];
    let output = sweep(folder.path(), "out", &more).output().unwrap();
    assert_refused(&output, &["no trial succeeded", "needs about", "may take 8 MiB"]);
    for trial in trials(&folder.path().join("out")) {
        assert_eq!(trial["status"], "skipped");
        assert!(trial["predicted_above_base_bytes"].as_u64().unwrap() > 0);
    }
    let bad = sweep(folder.path(), "other", &["--memory-limit", "much"]).output().unwrap();
    assert_refused(&bad, &["4GiB"]);
}

#[test]
fn memory_above_the_base_is_predicted_within_a_tenth() {
    let folder = workspace(24);
    // One image, as a whole: else a thread's memory depends on which ones it met, and on a busy machine
    // it meets few.
    let image = fs::read(some_image(folder.path())).unwrap();
    for class in fs::read_dir(folder.path().join("train")).unwrap() {
        for file in fs::read_dir(class.unwrap().path()).into_iter().flatten() {
            fs::write(file.unwrap().path(), &image).unwrap();
        }
    }
    let config = folder.path().join("small.toml");
    let text = fs::read_to_string(&config).unwrap();
    let whole =
        text.replace("random_resized_crop = { size = 32 }", "resize = { size = [224, 224] }");
    assert_ne!(whole, text);
    fs::write(&config, whole).unwrap();
    let more = ["--batch-size", "8,24", "--num-workers", "0,2,4", "--prefetch-depth", "2"];
    let long = ["--repeats", "1", "--warmup-s", "0.5", "--measure-s", "1", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &[&more[..], &long].concat()).output().unwrap());
    let summary = fs::read(folder.path().join("out/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let cells = summary["cells"].as_array().unwrap();
    assert!(cells.len() >= 6);
    for cell in cells {
        let predicted = cell["predicted_above_base_bytes"].as_f64().unwrap();
        let measured = cell["above_base_bytes"]["median"].as_f64().unwrap();
        let off = predicted / measured - 1.0;
        assert!(off.abs() <= 0.1, "{off:+.3}: {predicted} for {measured}: {cell}");
    }
}

#[test]
fn what_training_takes_is_predicted_too() {
    let folder = workspace(24);
    let more = ["--batch-size", "8", "--repeats", "1", "--model", "resnet18", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &more).output().unwrap());
    let summary = fs::read(folder.path().join("out/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    for cell in summary["cells"].as_array().unwrap() {
        let predicted = cell["predicted_above_base_bytes"].as_f64().unwrap();
        // Gradients and momentum of 11 million parameters alone take 89 MB.
        assert!(predicted > 89e6, "{predicted}");
        let measured = cell["above_base_bytes"]["median"].as_f64().unwrap();
        let off = predicted / measured - 1.0;
        assert!(off.abs() <= 0.2, "{off:+.3}: {predicted} for {measured}");
    }
}
