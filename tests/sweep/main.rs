//! The main job from the outside: sweep real images, write settings, train with them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/synthetic.rs"]
mod synthetic;

mod failing;
mod memory;
mod resumed;
mod reused;
mod strategies;
mod terminal;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::tuner;
use serde_json::Value;

/// The lines of `trials.jsonl`.
fn trials(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `summary.json`.
fn summary(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap()
}

/// Changes the configuration in `folder`.
fn edit(folder: &Path, from: &str, to: &str) {
    let config = folder.join("small.toml");
    let text = fs::read_to_string(&config).unwrap();
    let edited = text.replace(from, to);
    assert_ne!(edited, text);
    fs::write(&config, edited).unwrap();
}

fn sweep(folder: &Path, out: &str, more: &[&str]) -> std::process::Command {
    let mut command = tuner();
    command.args(["sweep", "--config"]).arg(folder.join("small.toml"));
    command.arg("--out").arg(folder.join(out)).args(more);
    command
}

/// An image of the data set in a [`workspace`].
fn some_image(folder: &Path) -> PathBuf {
    let mut classes =
        fs::read_dir(folder.join("train")).unwrap().map(|entry| entry.unwrap().path());
    let class = classes.find(|path| path.is_dir()).unwrap();
    fs::read_dir(class).unwrap().next().unwrap().unwrap().path()
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
