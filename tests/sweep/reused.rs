//! Sweeps that take over the runs of an earlier one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::common::{assert_refused, assert_success, stderr, tuner};
use crate::synthetic::synthetic;
use crate::{summary, trials};

/// Runs a sweep in its default folder.
fn sweep(here: &Path, more: &[&str]) -> Output {
    let mut command = tuner();
    command.current_dir(here).args(["sweep", "--quiet", "--config", "small.toml"]);
    command.args(more).output().unwrap()
}

fn latest(here: &Path) -> PathBuf {
    here.join("sweeps/small").join(fs::read_link(here.join("sweeps/small/latest")).unwrap())
}

fn reused(out: &Path) -> Value {
    summary(out)["method"]["reused"].clone()
}

/// Rewrites what the runs of a sweep gave: `rate` is told the block and what it was.
fn rewrite(out: &Path, rate: impl Fn(usize, f64) -> f64) {
    let mut text = String::new();
    for mut trial in trials(out) {
        let block = trial["repeat"].as_u64().unwrap() as usize;
        trial["samples_per_s"] = rate(block, trial["samples_per_s"].as_f64().unwrap()).into();
        text += &format!("{trial}\n");
    }
    fs::write(out.join("trials.jsonl"), text).unwrap();
}

/// Its runs differ by so much that no machine is faster or slower for sure.
fn scatter(out: &Path) {
    rewrite(out, |block, rate| rate * [0.1, 1.9][block]);
}

/// Takes the last run away, and what came of them, as if the sweep had been killed before it.
fn kill(out: &Path) {
    let text = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    fs::write(out.join("trials.jsonl"), &text[..=last]).unwrap();
    fs::remove_file(out.join("summary.json")).unwrap();
}

/// Of a sweep, how many runs were taken over, and how many it made.
fn counts(out: &Path) -> (usize, usize) {
    let trials = trials(out);
    let taken = trials.iter().filter(|trial| !trial["reused_from"].is_null()).count();
    (taken, trials.len() - taken)
}

#[test]
fn runs_of_an_earlier_sweep_are_taken_over_when_asked_for() {
    let folder = synthetic();
    let here = folder.path();
    assert_success(&sweep(here, &[]));
    let first = latest(here);
    assert_eq!((counts(&first), reused(&first)), ((0, 6), Value::Null));
    scatter(&first);

    // One setting more: it and the default are run.
    let wider = ["--reuse", "latest", "--prefetch-depth", "4,1"];
    assert_success(&sweep(here, &wider));
    let second = latest(here);
    assert_ne!(first, second);
    assert_eq!(counts(&second), (4, 4));
    let from = format!("sweeps/small/{}", first.file_name().unwrap().to_str().unwrap());
    for trial in trials(&second).iter().filter(|trial| !trial["reused_from"].is_null()) {
        assert_eq!(trial["reused_from"], from.as_str());
        assert!(trial["duration_s"].is_null(), "{trial}");
    }
    let told = reused(&second);
    assert_eq!((&told["runs"], &told["from"]), (&4.into(), &from.as_str().into()));
    assert!(told["refused"].is_null());
    let report = fs::read_to_string(second.join("report.md")).unwrap();
    assert!(report.contains(&format!("runs reused from `{from}`: 4")), "{report}");

    // Killed, it goes on as it was begun, and needs the first no more.
    kill(&second);
    fs::rename(&first, here.join("elsewhere")).unwrap();
    let out = format!("sweeps/small/{}", second.file_name().unwrap().to_str().unwrap());
    assert_success(&sweep(here, &[&wider[..], &["--out", &out, "--resume"]].concat()));
    assert_eq!((counts(&second), reused(&second)), ((4, 4), told));

    // What it took over itself is not taken over again.
    scatter(&second);
    assert_success(&sweep(here, &wider));
    assert_eq!(counts(&latest(here)), (2, 6));

    // Nothing ever without being asked to.
    assert_success(&sweep(here, &["--prefetch-depth", "1,4"]));
    assert_eq!(counts(&latest(here)), (0, 8));
}

#[test]
fn runs_that_do_not_hold_are_not_taken_over() {
    let folder = synthetic();
    let here = folder.path();
    assert_refused(&sweep(here, &["--reuse", "latest"]), &["latest", "hint:"]);
    assert_success(&sweep(here, &["--out", "first"]));
    let reuse =
        |more: &[&str]| sweep(here, &[&["--reuse", "first", "--out", "second"][..], more].concat());
    for (flags, what) in [
        (["--measure-s", "0.02"], "it differs in `measure_s`"),
        (["--step-ms", "1"], "it differs in the consumer"),
        (["--cache", "as-is"], "it differs in the page cache"),
        (["--num-workers", "3"], "none is of a setting to try"),
    ] {
        assert_refused(&reuse(&flags), &["`first`", what, "--reuse"]);
    }
    let plan = here.join("first/plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    for (table, key, what) in
        [("machine", "cpu", "the machine"), ("data", "fingerprint", "the files")]
    {
        let mut other: Value = serde_json::from_str(&text).unwrap();
        other[table][key] = "other".into();
        fs::write(&plan, other.to_string()).unwrap();
        assert_refused(&reuse(&[]), &["it differs in", what]);
    }
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["version"] = "0.0.1".into();
    fs::write(&plan, other.to_string()).unwrap();
    assert_refused(&reuse(&[]), &["the program's version"]);
    fs::write(&plan, &text).unwrap();
    assert!(!here.join("second").exists());

    // The machine is not as fast as it was: that is said, and all is run.
    rewrite(&here.join("first"), |_, _| 1e12);
    let slower = reuse(&[]);
    assert_success(&slower);
    assert!(stderr(&slower).contains("nothing is reused from `first`"), "{}", stderr(&slower));
    let second = here.join("second");
    assert_eq!(counts(&second), (0, 6));
    let told = reused(&second);
    assert_eq!(told["runs"], 0);
    let why = told["refused"].as_str().unwrap();
    assert!(why.contains("the machine is not as fast as it was: the default"), "{why}");
    let report = fs::read_to_string(second.join("report.md")).unwrap();
    assert!(report.contains("nothing was reused from `first`"), "{report}");

    // That stays decided.
    kill(&second);
    scatter(&here.join("first"));
    assert_success(&reuse(&["--resume"]));
    assert_eq!((counts(&second), reused(&second)), ((0, 6), told));
}
