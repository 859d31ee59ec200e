//! Fresh runs that refute the setting which won by the sweep's own.

use std::fs;
use std::path::Path;

use loader::settings::SettingsFile;
use serde_json::Value;

use crate::common::{assert_success, stdout, tuner, workspace};

/// Has all runs on record say that the setting without workers is by far the fastest in the sweep, and a
/// tenth as fast as the default on fresh runs.
fn rewrite(journal: &Path) {
    let text = fs::read_to_string(journal).unwrap();
    let rewritten = text.lines().map(|line| {
        let mut trial: Value = serde_json::from_str(line).unwrap();
        let alone = trial["num_workers"] == 0;
        let rate = match (trial["phase"].as_str().unwrap(), alone) {
            ("sweep", true) => 5000.0,
            ("sweep", false) | ("confirm", true) => 100.0,
            _ => 1000.0,
        };
        // Runs are never quite alike.
        let noise = 1.0 + 0.001 * trial["repeat"].as_f64().unwrap();
        trial["samples_per_s"] = (rate * noise).into();
        trial["reference_samples_per_s"] = Value::Null;
        trial.to_string() + "\n"
    });
    let rewritten: String = rewritten.collect();
    fs::write(journal, rewritten).unwrap();
}

#[test]
fn where_fresh_runs_refute_the_winner_the_default_is_recommended_everywhere() {
    let folder = workspace(20);
    let run = |arguments: &[&str]| {
        let output = tuner().current_dir(folder.path()).args(arguments).output().unwrap();
        assert_success(&output);
        output
    };
    let sweep = ["sweep", "--config", "small.toml", "--out", "out", "--batch-size", "4"];
    let more = ["--prefetch-depth", "2", "--objective", "samples-per-second", "--confirm", "3"];
    let first = [&sweep[..], &more].concat();
    let again = [&first[..], &["--resume"]].concat();
    let out = folder.path().join("out");
    run(&first);
    rewrite(&out.join("trials.jsonl"));
    // Whichever won before, the other is held against the default now.
    run(&again);
    rewrite(&out.join("trials.jsonl"));
    let lines = || fs::read_to_string(out.join("trials.jsonl")).unwrap().lines().count();
    let before = lines();
    let said = stdout(&run(&again));
    assert_eq!(lines(), before, "nothing was left to run");

    let summary = crate::summary(&out);
    let (default, headline) = (&summary["default"], &summary["headline"]);
    assert_eq!(&summary["recommended"], default);
    assert_eq!(headline["winner"]["num_workers"], 0);
    assert_eq!(&summary["by_batch_size"][0]["winner"], default);
    assert!(headline["ratio"].as_f64().unwrap() < 0.2, "{headline}");

    let workers = default["num_workers"].as_u64().unwrap() as usize;
    let file = SettingsFile::read(out.join("recommended.toml")).unwrap();
    assert_eq!(file.loader.num_workers, workers);
    assert_eq!(file.by_batch_size[0].num_workers, workers);
    let refuted = &file.evidence["refuted"];
    assert_eq!(refuted["num_workers"].as_integer(), Some(0));
    assert!(!file.evidence.contains_key("against_default"));

    let report = fs::read_to_string(out.join("report.md")).unwrap();
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    let explained = stdout(&run(&["explain", "out/recommended.toml"]));
    for (name, text) in [("terminal", &said), ("report", &report), ("explained", &explained)] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = "no workers was the best by the sweep's own runs, but gave 0.1";
        assert!(text.contains(told), "{name}: {text}");
    }
    assert!(page.contains("<mark>refuted</mark>") && page.contains("<mark>recommended</mark>"));
}
