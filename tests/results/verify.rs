//! `tuner verify`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{assert_refused_with, assert_success, stdout, tuner, workspace};

const SETTINGS: &str = "out/recommended.toml";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    tuner().current_dir(folder).args(arguments).output().unwrap()
}

/// Changes the summary of the sweep.
fn change(folder: &Path, change: impl Fn(&mut Value)) {
    let mut summary = crate::summary(&folder.join("out"));
    change(&mut summary);
    fs::write(folder.join("out/summary.json"), summary.to_string()).unwrap();
}

#[test]
fn a_recommended_default_is_held_against_what_comes_next() {
    let folder = workspace(20);
    let here = folder.path();
    let grid = ["--batch-size", "4", "--num-workers", "0", "--repeats", "2", "--confirm", "3"];
    let sweep = ["sweep", "--config", "small.toml", "--quiet", "--out", "out"];
    assert_success(&run(here, &[&sweep[..], &grid].concat()));
    // As if the default had won: by fresh runs, which refuted what won without workers.
    change(here, |summary| {
        summary["recommended"] = summary["default"].clone();
        summary["headline"]["interval"] = serde_json::json!([0.001, 1000.0]);
    });
    let summary = crate::summary(&here.join("out"));
    let path = here.join(SETTINGS);
    let mut settings: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for key in ["num_workers", "prefetch_depth"] {
        let value = summary["default"][key].as_i64().unwrap();
        settings["loader"].as_table_mut().unwrap().insert(key.to_owned(), value.into());
    }
    fs::write(&path, settings.to_string()).unwrap();
    let verify = || {
        let run = run(here, &["verify", SETTINGS, "--pairs", "3", "--json"]);
        let found: Value = serde_json::from_str(&stdout(&run)).unwrap();
        let ratio = summary["headline"]["ratio"].as_f64().unwrap();
        assert_eq!(found["setting"], summary["default"]);
        assert_eq!(found["against"]["num_workers"], 0);
        (run.status.code(), found, ratio)
    };
    let (code, found, ratio) = verify();
    assert_eq!(
        (code, &found["verdict"], &found["rival"]),
        (Some(0), &"holds".into(), &"refuted".into())
    );
    assert!((found["then"]["ratio"].as_f64().unwrap() - 1.0 / ratio).abs() < 1e-9, "{found}");

    // And as if it had won by the sweep's own runs.
    change(here, |summary| summary["headline"] = Value::Null);
    let (code, found, _) = verify();
    assert_eq!(found["rival"], "runner-up");
    assert_eq!(found["then"]["pairs"], 2, "those of the sweep: {found}");
    assert!(matches!(code, Some(0 | 1)), "{found}");
    change(here, |summary| {
        summary["cells"].as_array_mut().unwrap().retain(|cell| cell["num_workers"] != 0);
    });
    let refused = run(here, &["verify", SETTINGS]);
    assert_refused_with(2, &refused, &["ran nothing beside it", "hint: "]);
}

#[test]
fn a_recommendation_is_measured_again_and_holds_or_does_not() {
    let folder = workspace(20);
    let here = folder.path();
    // Without workers: another setting than the default, which is run for comparison.
    let grid = ["--batch-size", "4", "--num-workers", "0", "--repeats", "1", "--confirm", "3"];
    let sweep = ["sweep", "--config", "small.toml", "--quiet", "--out", "out"];
    assert_success(&run(here, &[&sweep[..], &grid].concat()));
    let before = fs::read(here.join("out/trials.jsonl")).unwrap();

    // Whatever is measured lies in this interval.
    change(here, |summary| summary["headline"]["interval"] = serde_json::json!([0.001, 1000.0]));
    let holds = run(here, &["verify", SETTINGS, "--pairs", "3", "--json"]);
    assert_success(&holds);
    let found: Value = serde_json::from_str(&stdout(&holds)).unwrap();
    assert_eq!(found["verdict"], "holds");
    assert_eq!(found["setting"]["num_workers"], 0);
    assert_eq!((&found["rival"], &found["against"]["batch_size"]), (&"default".into(), &4.into()));
    let rates = |key: &str| found[key].as_array().unwrap().iter().filter_map(Value::as_f64).count();
    assert_eq!((rates("setting_samples_per_s"), rates("against_samples_per_s")), (3, 3));
    assert_eq!(found["now"]["pairs"], 3);
    assert!(found["now"]["interval"].is_array(), "{found}");
    assert_eq!(found["failed"], Value::Array(Vec::new()));
    assert_eq!(found["cache"]["asked"], "hot");
    let words = run(here, &["verify", SETTINGS, "--pairs", "3", "--quiet"]);
    assert_success(&words);
    assert!(stdout(&words).contains("It holds"), "{}", stdout(&words));

    // And in this one nothing: slower for sure than then.
    change(here, |summary| summary["headline"]["interval"] = serde_json::json!([900.0, 1000.0]));
    let gone = run(here, &["verify", SETTINGS, "--pairs", "3"]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let said = stdout(&gone);
    assert!(said.contains("It drifted") || said.contains("It is wrong"), "{said}");
    assert_eq!(fs::read(here.join("out/trials.jsonl")).unwrap(), before, "nothing is written");

    // Where it cannot be told: another code than that of an answer.
    let refused = |parts: &[&str]| {
        assert_refused_with(2, &run(here, &["verify", SETTINGS]), &[parts, &["hint: "]].concat());
    };
    let summary = fs::read(here.join("out/summary.json")).unwrap();
    change(here, |summary| summary["machine"]["cpu"] = "Other 9000".into());
    refused(&["machine", "Other 9000"]);
    fs::write(here.join("out/summary.json"), &summary).unwrap();
    change(here, |summary| summary["headline"] = Value::Null);
    refused(&["did not hold it against the default", "--confirm"]);
    fs::write(here.join("out/summary.json"), &summary).unwrap();
    change(here, |summary| summary["recommended"] = summary["default"].clone());
    refused(&["the sweep recommends"]);
    fs::write(here.join("out/summary.json"), &summary).unwrap();
    let class = fs::read_dir(here.join("train")).unwrap().next().unwrap().unwrap().path();
    let image = fs::read_dir(class).unwrap().next().unwrap().unwrap().path();
    let other = image.with_file_name("other.jpg");
    fs::rename(&image, &other).unwrap();
    refused(&["data", "fingerprint"]);
    fs::rename(&other, &image).unwrap();
    fs::rename(here.join("train"), here.join("elsewhere")).unwrap();
    assert_refused_with(2, &run(here, &["verify", SETTINGS]), &["train"]);
    fs::remove_file(here.join("out/summary.json")).unwrap();
    refused(&["summary.json"]);
    assert_refused_with(2, &run(here, &["verify", "none.toml"]), &["none.toml"]);
    let few = run(here, &["verify", SETTINGS, "--pairs", "1"]);
    assert_refused_with(2, &few, &["--pairs"]);
}
