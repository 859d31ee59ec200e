//! The main job from the outside: sweep real images, write settings, train with them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{assert_refused, assert_success, stderr, stdout, tuner, workspace};
use loader::{ImageFolder, Loader};
use preproc::Compose;
use serde_json::Value;
use tch::{Device, nn, nn::OptimizerConfig};
use tuner::Config;
use tuner::config::DatasetConfig;

/// The lines of `trials.jsonl`.
fn trials(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sweep(folder: &Path, out: &str, more: &[&str]) -> std::process::Command {
    let mut command = tuner();
    command.args(["sweep", "--config"]).arg(folder.join("small.toml"));
    command.arg("--out").arg(folder.join(out)).args(more);
    command
}

#[test]
fn a_sweep_ends_in_settings_that_a_training_program_loads() {
    let folder = workspace(60);
    let out = folder.path().join("out");
    let output = sweep(folder.path(), "out", &["--json"]).output().unwrap();
    assert_success(&output);
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let on_disk = fs::read(out.join("summary.json")).unwrap();
    assert_eq!(summary, serde_json::from_slice::<Value>(&on_disk).unwrap());

    // Two batch sizes, each without workers and with 2 at two depths; two repeats.
    let trials = trials(&out);
    assert_eq!(trials.len(), 12);
    for trial in &trials {
        assert_eq!(trial["status"], "ok");
        assert_eq!(trial["error"], Value::Null);
        assert_eq!(trial["gpu_mean_bytes"], Value::Null);
        for key in ["samples_per_s", "batches_per_s", "first_batch_s", "cpu_percent"] {
            assert!(trial[key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert!(trial["rss_peak_bytes"].as_u64() >= trial["rss_mean_bytes"].as_u64());
        let terms = trial["score_terms"].as_object().unwrap();
        let sum: f64 = terms.values().filter_map(Value::as_f64).sum();
        assert!((sum - trial["score"].as_f64().unwrap()).abs() < 1e-9);
        let batches = 10.0 * trial["batches_per_s"].as_f64().unwrap();
        assert!((terms["batches"].as_f64().unwrap() - batches).abs() < 1e-9);
    }
    assert_eq!(summary["cells"].as_array().unwrap().len(), 6);

    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(report.contains("heatmap.png"));
    let picture = image::open(out.join("heatmap.png")).unwrap();
    assert!(picture.width() > 400 && picture.height() > 200);
    assert!(fs::read_to_string(out.join("heatmap.svg")).unwrap().starts_with("<svg"));

    let config = Config::read(&folder.path().join("small.toml")).unwrap();
    let settings = out.join("recommended.toml");
    let open = || {
        let DatasetConfig::ImageFolder(folder) = &config.dataset else { panic!("{config:?}") };
        let compose = Compose::new(folder.transforms.clone(), Default::default()).unwrap();
        ImageFolder::open(&folder.root, compose).unwrap()
    };
    let classes = open().classes().len() as i64;
    let mut loader = Loader::from_settings(&settings, open()).unwrap().build().unwrap();
    let recommended = &summary["recommended"];
    assert_eq!(recommended["batch_size"], loader.settings().batch_size);
    assert_eq!(recommended["num_workers"], loader.settings().num_workers);
    assert!(loader.settings().shuffle);
    assert_eq!(loader.settings().seed, 3);
    train(&mut loader, classes);

    // Each batch size has a row of its own, which the loader takes.
    let other = Loader::from_settings(&settings, open()).unwrap().batch_size(8).build().unwrap();
    assert_eq!(other.settings().batch_size, 8);
}

/// Three epochs of a linear model: the loss falls.
fn train(loader: &mut Loader, classes: i64) {
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let model = nn::linear(store.root(), 3 * 32 * 32, classes, Default::default());
    let mut optimizer = nn::Adam::default().build(&store, 1e-3).unwrap();
    let mut losses = Vec::new();
    for epoch in 0..3 {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch) {
            let batch = batch.unwrap();
            let loss = batch["images"]
                .flatten(1, -1)
                .apply(&model)
                .cross_entropy_for_logits(&batch["labels"]);
            optimizer.backward_step(&loss);
            sum += loss.double_value(&[]);
        }
        losses.push(sum);
    }
    assert!(losses[2] < losses[0], "{losses:?}");
}

#[test]
fn a_folder_with_a_sweep_is_refused_or_resumed() {
    let folder = workspace(20);
    let small = &["--quiet", "--batch-size", "4", "--repeats", "1"][..];
    let nothing = sweep(folder.path(), "out", &["--resume"]).output().unwrap();
    assert_refused(&nothing, &["no sweep to resume"]);
    assert_success(&sweep(folder.path(), "out", small).output().unwrap());
    let before = trials(&folder.path().join("out"));
    let again = sweep(folder.path(), "out", small).output().unwrap();
    assert_refused(&again, &["already holds a sweep", "--resume"]);

    let other = [small, &["--resume", "--num-workers", "1"]].concat();
    let other = sweep(folder.path(), "out", &other).output().unwrap();
    assert_refused(&other, &["settings to try"]);

    // A line cut short, as by a crash, and a finished trial taken away: both are run again.
    let journal = folder.path().join("out/trials.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, format!("{}\n{}", lines[0], &lines[1][..40])).unwrap();
    let resume = [small, &["--resume"]].concat();
    assert_success(&sweep(folder.path(), "out", &resume).output().unwrap());
    let after = trials(&folder.path().join("out"));
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0], before[0]);
}

#[test]
fn failed_trials_are_rows_and_the_sweep_goes_on() {
    let folder = workspace(20);
    // No trial can end within a millisecond of measuring and a second of warming up.
    let output = sweep(folder.path(), "out", &["--timeout-s", "1", "--warmup-s", "60"]);
    let output = { output }.args(["--batch-size", "4", "--repeats", "1"]).output().unwrap();
    assert_refused(&output, &["no trial succeeded", "no result after 1s", "timeout_s"]);
    let trials = trials(&folder.path().join("out"));
    assert_eq!(trials.len(), 3);
    for trial in trials {
        assert_eq!(trial["status"], "failed");
        assert!(trial["error"].as_str().unwrap().contains("no result"));
        assert_eq!(trial["score"], Value::Null);
    }
    assert!(!folder.path().join("out/recommended.toml").exists());
}

#[test]
fn a_bad_image_is_named() {
    let folder = workspace(20);
    let class = fs::read_dir(folder.path().join("train")).unwrap().map(Result::unwrap);
    let class = class.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).next();
    fs::write(class.unwrap().join("broken.jpg"), b"").unwrap();
    let output = sweep(folder.path(), "out", &["--quiet", "--repeats", "1"]).output().unwrap();
    assert_refused(&output, &["broken.jpg", "empty"]);
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A sweep that would take minutes.
fn long_sweep(folder: &Path) -> Child {
    let mut command = sweep(folder, "out", &["--measure-s", "0.3", "--repeats", "100"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Processes whose command line is a trial of the program under test.
fn trial_processes() -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_trial = |pid: &u32| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command == format!("{}\0trial\0", env!("CARGO_BIN_EXE_tuner"))
    };
    pids.filter(is_trial).collect()
}

/// The trial that `parent` runs now, if any.
fn trial_of(parent: u32) -> Option<u32> {
    trial_processes().into_iter().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        after_name.split(' ').nth(1) == Some(&parent.to_string())
    })
}

#[test]
fn ctrl_c_leaves_what_was_measured_and_a_second_sweep_is_kept_apart() {
    let folder = workspace(20);
    let out = folder.path().join("out");
    let child = long_sweep(folder.path());
    wait_for("trial", || trials(&out).len() >= 2);

    let second = sweep(folder.path(), "out", &["--resume"]).output().unwrap();
    assert_refused(&second, &["another sweep is running"]);

    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stderr(&output).contains("--resume"), "{}", stderr(&output));
    let kept = trials(&out);
    assert!(kept.len() >= 2 && kept.iter().all(|trial| trial["status"] == "ok"), "{kept:?}");
}

#[test]
fn a_trial_dies_with_its_sweep_and_no_finished_trial_is_lost() {
    let folder = workspace(20);
    let out = folder.path().join("out");
    let mut child = long_sweep(folder.path());
    let mut trial = None;
    wait_for("trial process", || {
        trial = trial_of(child.id()).filter(|_| !trials(&out).is_empty());
        trial.is_some()
    });
    let kept = trials(&out).len();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("end of the trial", || !trial_processes().contains(&trial.unwrap()));
    assert!(trials(&out).len() >= kept);
}
