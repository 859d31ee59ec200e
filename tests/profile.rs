//! `profile` and `compare`, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{
    assert_refused, assert_refused_with, assert_success, stderr, stdout, tuner, workspace,
};
use serde_json::Value;

/// Profiles the data set of `folder` and writes the report to its folder `out`.
fn profile(folder: &Path, out: &str, more: &[&str]) -> Output {
    tuner()
        .args(["profile", "--json", "--quiet", "--measure-s", "1", "--config"])
        .arg(folder.join("small.toml"))
        .arg("--out")
        .arg(folder.join(out))
        .args(more)
        .output()
        .unwrap()
}

fn compare(a: &Path, b: &Path, more: &[&str]) -> Output {
    tuner().arg("compare").arg(a).arg(b).args(more).output().unwrap()
}

/// The session at `path` with `change` made to it, in a file beside.
fn changed(path: &Path, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut session: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut session);
    let changed = path.with_file_name(name);
    fs::write(&changed, session.to_string()).unwrap();
    changed
}

#[test]
fn a_profile_is_figures_and_a_report() {
    let folder = workspace(48);
    let profiled = profile(folder.path(), "report", &["--batch-size", "4", "--num-workers", "1"]);
    assert_success(&profiled);
    let profile: Value = serde_json::from_str(&stdout(&profiled)).unwrap();
    assert_eq!((&profile["batch_size"], &profile["num_workers"]), (&4.into(), &1.into()));
    for figure in ["samples_per_s", "batches_per_s", "rss_mean_bytes", "cpu_percent", "score"] {
        assert!(profile[figure].is_number(), "{figure}: {profile}");
    }
    assert!(profile["wall_s"].as_f64().unwrap() >= 1.0);

    let report = folder.path().join("report");
    for file in ["report.md", "report.html", "session.json", "trace.json"] {
        assert!(fs::metadata(report.join(file)).unwrap().len() > 1_000, "{file}");
    }
    let session: Value =
        serde_json::from_slice(&fs::read(report.join("session.json")).unwrap()).unwrap();
    let id = session["session_id"].as_str().unwrap();
    for chart in [format!("{id}_visualizations.png"), format!("{id}_visualizations.svg")] {
        assert!(report.join(&chart).exists(), "{chart}");
    }
    let pipeline = &session["performance_metrics"]["pipelines"][0];
    assert_eq!(pipeline["name"], "loader");
    // Without a training loop nothing but the loader takes time. On a busy machine batches may be
    // ready for long before the consumer gets a core to take them.
    let attribution = &pipeline["attribution"];
    let verdict = attribution["verdict"].as_str().unwrap();
    assert!(["highly_input_bound", "ambiguous"].contains(&verdict), "{attribution}");
    let station = &attribution["stations"][0];
    let limiting = attribution["limiting_stage"].as_u64().unwrap() as usize;
    assert_eq!(station["stages"][limiting]["name"], "decode", "{station}");
    let operations = session["performance_metrics"]["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0]["path"], serde_json::json!(["data loading"]));
    assert_eq!(session["attributes"]["num_workers"], "1");
    assert_eq!(session["notes"], serde_json::json!([]));
}

/// Nothing overlaps then: what loading takes is all that can be gained, and no more.
#[test]
fn without_workers_loading_counts_once() {
    let folder = workspace(48);
    let more = ["--num-workers", "0", "--batch-size", "8", "--step-ms", "20"];
    assert_success(&profile(folder.path(), "report", &more));
    let session = folder.path().join("report/session.json");
    let session: Value = serde_json::from_slice(&fs::read(session).unwrap()).unwrap();
    let pipeline = &session["performance_metrics"]["pipelines"][0];
    let attribution = &pipeline["attribution"];
    let snapshots = pipeline["snapshots"].as_array().unwrap();
    let grown = |key: &str| {
        let at = |snapshot: &Value| snapshot[key].as_f64().unwrap();
        at(snapshots.last().unwrap()) - at(&snapshots[0])
    };
    let loading = 1.0 - grown("consumer_busy_s") / grown("at_s");
    let wait = attribution["wait_share"].as_f64().unwrap();
    assert!((wait - loading).abs() < 0.05, "{wait}, but {loading} of the time went on loading");
    for stage in attribution["stations"][0]["stages"].as_array().unwrap() {
        assert!(stage["optimization_potential"].as_f64().unwrap() <= wait + 1e-9, "{stage}");
    }
    for advice in session["bottlenecks"].as_array().unwrap() {
        let text = advice.to_string();
        assert!(!text.contains(",000,000,000"), "{text}");
    }
}

#[test]
fn who_trains_slower_than_the_loader_is_not_input_bound() {
    let folder = workspace(48);
    let profiled = profile(folder.path(), "report", &["--step-ms", "100", "--batch-size", "2"]);
    assert_success(&profiled);
    let session = folder.path().join("report/session.json");
    let session: Value = serde_json::from_slice(&fs::read(session).unwrap()).unwrap();
    let attribution = &session["performance_metrics"]["pipelines"][0]["attribution"];
    assert_eq!(attribution["verdict"], "not_input_bound", "{attribution}");
}

#[test]
fn a_session_is_the_same_as_itself_and_worse_than_a_faster_one() {
    let folder = workspace(48);
    assert_success(&profile(folder.path(), "report", &[]));
    let session = folder.path().join("report/session.json");
    let same = compare(&session, &session, &[]);
    assert_success(&same);
    assert!(stdout(&same).contains("regressions: 0"), "{}", stdout(&same));

    let slower = changed(&session, "slower.json", |session| {
        let pipeline = &mut session["performance_metrics"]["pipelines"][0];
        for snapshot in pipeline["snapshots"].as_array_mut().unwrap() {
            // Far beyond what a busy machine makes of the rates within one session.
            snapshot["at_s"] = (100.0 * snapshot["at_s"].as_f64().unwrap()).into();
        }
    });
    let worse = compare(&session, &slower, &["--json"]);
    assert_eq!(worse.status.code(), Some(1), "{}", stderr(&worse));
    let comparison: Value = serde_json::from_str(&stdout(&worse)).unwrap();
    let rows = comparison["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["unit"] == "samples/s").unwrap();
    assert_eq!(row["outcome"], "regression", "{row}");
    assert!(row["interval"][1].as_f64().unwrap() < 0.95);
    // The other way round it is better.
    let better = compare(&slower, &session, &[]);
    assert!(stdout(&better).contains("improved"), "{}", stdout(&better));

    let moved = changed(&session, "moved.json", |session| {
        session["attributes"]["data.root"] = "another folder".into();
    });
    assert_success(&compare(&session, &moved, &[]));
    let elsewhere = changed(&session, "elsewhere.json", |session| {
        session["attributes"]["data.fingerprint"] = "other".into();
    });
    assert_refused_with(2, &compare(&session, &elsewhere, &[]), &["different data", "--force"]);
    assert_success(&compare(&session, &elsewhere, &["--force"]));
}

#[test]
fn sweeps_are_compared_by_their_settings() {
    let folder = workspace(16);
    let swept = tuner()
        .args(["sweep", "--quiet", "--batch-size", "4", "--num-workers", "0,1", "--repeats", "3"])
        .args(["--prefetch-depth", "1", "--config"])
        .arg(folder.path().join("small.toml"))
        .arg("--out")
        .arg(folder.path().join("sweep"))
        .output()
        .unwrap();
    assert_success(&swept);
    let summary = folder.path().join("sweep/summary.json");
    let same = compare(&summary, &summary, &["--json"]);
    assert_success(&same);
    let comparison: Value = serde_json::from_str(&stdout(&same)).unwrap();
    // Two settings, and the default, which is not among them.
    assert_eq!(comparison["rows"].as_array().unwrap().len(), 3);

    let slower = changed(&summary, "slower.json", |summary| {
        for rate in summary["cells"][0]["trial_rates"].as_array_mut().unwrap() {
            *rate = (rate.as_f64().unwrap() / 100.0).into();
        }
    });
    assert_eq!(compare(&summary, &slower, &[]).status.code(), Some(1));

    let no_session = changed(&summary, "session.json", |summary| {
        *summary = serde_json::json!({"schema": "profiler-session/99"});
    });
    assert_refused_with(
        2,
        &compare(&summary, &no_session, &[]),
        &["session.json", "profiler-session/99"],
    );
}

#[test]
fn what_cannot_be_compared_or_written_is_named() {
    let folder = workspace(16);
    let path = |name: &str| folder.path().join(name);
    assert_success(&profile(folder.path(), "report", &[]));
    let session = path("report/session.json");
    let whole = fs::read(&session).unwrap();
    fs::write(path("cut.json"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("rubbish.json"), "rubbish").unwrap();
    assert_refused_with(2, &compare(&session, &path("cut.json"), &[]), &["cut.json", "hint: "]);
    assert_refused_with(2, &compare(&session, &path("rubbish.json"), &[]), &["rubbish.json"]);
    assert_refused_with(
        2,
        &compare(&session, &path("none.json"), &[]),
        &["none.json", "no such file"],
    );
    let threshold = compare(&session, &session, &["--threshold", "5"]);
    assert_refused_with(2, &threshold, &["threshold is `5`"]);

    fs::write(path("file"), "").unwrap();
    assert_refused(&profile(folder.path(), "file", &[]), &["cannot write", "file"]);
    let seconds = tuner().args(["profile", "--measure-s", "0", "--config", "x"]).output().unwrap();
    assert_refused(&seconds, &["--measure-s", "0.001 to 86400"]);
}
