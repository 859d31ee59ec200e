//! `tuner predict`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{assert_refused, assert_success, stdout, tuner};
use crate::synthetic::synthetic;

fn run(here: &Path, arguments: &[&str]) -> Output {
    tuner().current_dir(here).args(arguments).output().unwrap()
}

fn predict(here: &Path, more: &[&str]) -> Output {
    let asked =
        ["predict", "--batch-size", "8,16", "--num-workers", "0,1", "--prefetch-depth", "1,3"];
    run(here, &[&asked[..], more].concat())
}

fn change(file: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

#[test]
fn settings_that_were_not_measured_are_predicted_from_past_sweeps() {
    let folder = synthetic();
    let here = folder.path();
    assert_refused(&predict(here, &[]), &["`sweeps`", "no such folder", "`tuner sweep`"]);
    fs::create_dir(here.join("sweeps")).unwrap();
    assert_refused(&predict(here, &[]), &["`sweeps`", "no finished sweep", "`tuner sweep`"]);
    let sweep = |name: &str, more: &[&str]| {
        let out = format!("sweeps/{name}");
        let flags = ["sweep", "--config", "small.toml", "--quiet", "--repeats", "1", "--out", &out];
        assert_success(&run(here, &[&flags[..], more].concat()));
        here.join(out)
    };
    let first = sweep("a", &[]);
    assert_refused(&predict(here, &[]), &["settings measured: 3, and 4 are needed", "hint:"]);

    let second = sweep("b", &["--batch-size", "8,32", "--prefetch-depth", "1,2"]);
    fs::create_dir(here.join("sweeps/c")).unwrap();
    fs::copy(second.join("plan.json"), here.join("sweeps/c/plan.json")).unwrap();
    let found = predict(here, &["--json"]);
    assert_success(&found);
    let found: Value = serde_json::from_str(&stdout(&found)).unwrap();
    assert_eq!(found["sweeps"], serde_json::json!(["sweeps/a", "sweeps/b"]));
    assert_eq!(found["left_out"][0]["path"], "sweeps/c");
    assert!(found["left_out"][0]["reason"].as_str().unwrap().contains("not finished"));
    assert!(found["levels"][0].as_f64().unwrap() <= 1.0, "{found}");
    // Without workers there is no depth.
    let predictions = found["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 6);
    for it in predictions {
        let [low, high] = [0, 1].map(|end| it["interval"][end].as_f64().unwrap());
        let rate = it["samples_per_s"].as_f64().unwrap();
        assert!(0.0 < low && low <= rate && rate <= high, "{it}");
        let depth = it["num_workers"] == 0 || it["prefetch_depth"] == 1;
        assert_eq!(!it["measured"].is_null(), it["batch_size"] == 8 && depth, "{it}");
    }
    let errors = &found["errors"];
    assert!(errors["median"].as_f64().unwrap() <= errors["ninetieth"].as_f64().unwrap());
    let said = stdout(&predict(here, &[]));
    for part in ["left out one at a time", "in 2 sweeps of this machine", "sweeps/c:"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }

    // One of another training loop is left out; of another machine all are.
    let summaries = [first, second].map(|out| out.join("summary.json"));
    change(&summaries[0], |it| it["method"]["consumer"] = serde_json::json!({"step_ms": 4.0}));
    let far = predict(here, &["--batch-size", "65536", "--num-workers", "512"]);
    assert!(stdout(&far).contains("far from all that was measured"), "{}", stdout(&far));
    let said = stdout(&predict(here, &["sweeps"]));
    assert!(said.contains("sweeps/a: another consumer"), "{said}");
    summaries.iter().for_each(|summary| {
        change(summary, |it| it["machine"]["cpu"] = "Other 9000".into());
    });
    assert_refused(&predict(here, &[]), &["of this machine", "sweeps/a", "Other 9000", "hint:"]);
}
