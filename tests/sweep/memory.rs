//! What a sweep says and does about memory.

use std::fs;
use std::path::Path;

use crate::common::{assert_refused, assert_success, workspace};
use crate::{edit, some_image, summary, sweep, trials};

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

/// Makes all images one: else a thread's memory depends on which ones it met, and on a busy machine it
/// meets few.
fn one_image(folder: &Path) {
    let image = fs::read(some_image(folder)).unwrap();
    for class in fs::read_dir(folder.join("train")).unwrap() {
        for file in fs::read_dir(class.unwrap().path()).into_iter().flatten() {
            fs::write(file.unwrap().path(), &image).unwrap();
        }
    }
}

/// Of each setting of the sweep in `out` the workers, and how far its memory was predicted beside what was
/// measured, as a share of that.
fn off(folder: &Path) -> Vec<(u64, f64)> {
    let summary = summary(&folder.join("out"));
    let cells = summary["cells"].as_array().unwrap();
    let off = cells.iter().map(|cell| {
        let predicted = cell["predicted_above_base_bytes"].as_f64().unwrap();
        let measured = cell["above_base_bytes"]["median"].as_f64().unwrap();
        (cell["num_workers"].as_u64().unwrap(), predicted / measured - 1.0)
    });
    off.collect()
}

#[test]
fn memory_above_the_base_is_predicted_within_a_tenth() {
    let folder = workspace(24);
    one_image(folder.path());
    edit(folder.path(), "random_resized_crop = { size = 32 }", "resize = { size = [224, 224] }");
    let more = ["--batch-size", "8,24", "--num-workers", "0,2,4", "--prefetch-depth", "2"];
    let long = ["--repeats", "1", "--warmup-s", "0.5", "--measure-s", "1", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &[&more[..], &long].concat()).output().unwrap());
    let off = off(folder.path());
    assert!(off.len() >= 6 && off.iter().all(|(_, off)| off.abs() <= 0.1), "{off:?}");
}

#[test]
fn images_that_are_decoded_and_cropped_at_random_by_many_threads_are_predicted_too() {
    let folder = workspace(24);
    one_image(folder.path());
    edit(folder.path(), "size = 32", "size = 224");
    let more = ["--batch-size", "16", "--num-workers", "1,8", "--prefetch-depth", "2"];
    let long = ["--repeats", "1", "--warmup-s", "0.5", "--measure-s", "1", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &[&more[..], &long].concat()).output().unwrap());
    let off = off(folder.path());
    for workers in [1, 8] {
        assert!(off.iter().any(|it| it.0 == workers && it.1.abs() <= 0.1), "{off:?}");
    }
}

#[test]
fn what_training_takes_is_predicted_too() {
    let folder = workspace(24);
    let more = ["--batch-size", "8", "--repeats", "1", "--model", "resnet18", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &more).output().unwrap());
    // What libtorch's allocator holds differs by a tenth from run to run of the same setting, so each alone
    // need not be within that.
    let off: Vec<f64> = off(folder.path()).into_iter().map(|(_, off)| off).collect();
    let mean = off.iter().sum::<f64>() / off.len() as f64;
    assert!(mean.abs() <= 0.1 && off.iter().all(|off| off.abs() <= 0.2), "{off:?}");
    for trial in trials(&folder.path().join("out")) {
        // Gradients and momentum of 11 million parameters alone take 89 MB.
        assert!(trial["predicted_above_base_bytes"].as_f64().unwrap() > 89e6, "{trial}");
    }
}
