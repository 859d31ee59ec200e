//! `tuner explain` and `tuner history`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{assert_refused, assert_success, stdout, tuner, workspace};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    tuner().current_dir(folder).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert_success(output);
    serde_json::from_str(&stdout(output)).unwrap()
}

#[test]
fn a_sweep_is_explained_and_listed_and_what_changed_since_is_said() {
    let folder = workspace(20);
    let here = folder.path();
    let sweep = ["sweep", "--config", "small.toml", "--batch-size", "4"];
    let swept = run(here, &sweep);
    assert_success(&swept);
    let said = stdout(&swept);
    let last: Vec<&str> = said.trim_end().lines().rev().take(5).collect();
    for (line, name) in last.iter().rev().zip(["Use:", "Gain:", "Limit:", "Next:", "Files:"]) {
        assert!(line.starts_with(name), "`{name}` does not begin: {line}");
    }
    let settings = "sweeps/small/latest/recommended.toml";

    let found = json(&run(here, &["explain", settings, "--json"]));
    assert_eq!(
        (&found["as_recommended"], &found["setting"]["batch_size"]),
        (&true.into(), &4.into())
    );
    let matches = |found: &Value| -> Vec<Value> {
        found["matches"].as_array().unwrap().iter().map(|it| it["matches"].clone()).collect()
    };
    assert_eq!(matches(&found), [true, true, true]);
    let words = run(here, &["explain", settings]);
    assert_success(&words);
    assert!(stdout(&words).contains("the same data and transforms"), "{}", stdout(&words));

    let history = json(&run(here, &["history", "--json"]));
    assert_eq!(history["sweeps"].as_array().unwrap().len(), 1, "`latest` is no other sweep");
    assert_eq!(history["sweeps"][0]["recommended"], found["setting"]);
    assert!(stdout(&run(here, &["history"])).contains("sweeps/small/2"));

    // Another machine, other data, and settings changed by hand.
    let out = here.join("sweeps/small/latest");
    let summary = fs::read_to_string(out.join("summary.json")).unwrap();
    let mut other: Value = serde_json::from_str(&summary).unwrap();
    other["machine"]["cpu"] = "Other 9000".into();
    fs::write(out.join("summary.json"), other.to_string()).unwrap();
    fs::rename(here.join("train"), here.join("elsewhere")).unwrap();
    let text = fs::read_to_string(out.join("recommended.toml")).unwrap();
    let changed = text.replacen("batch_size = 4", "batch_size = 5", 1);
    fs::write(out.join("recommended.toml"), changed).unwrap();
    let found = json(&run(here, &["explain", settings, "--json"]));
    assert_eq!(found["as_recommended"], false);
    assert_eq!(matches(&found), [Value::from(false), Value::Null, Value::from(true)]);
    assert!(found["matches"][0]["words"].as_str().unwrap().contains("Other 9000"));

    // Cut short, of another schema, missing.
    fs::write(out.join("summary.json"), &summary[..summary.len() / 2]).unwrap();
    assert_refused(&run(here, &["explain", settings]), &["summary.json", "damaged", "hint:"]);
    let history = json(&run(here, &["history", "--json"]));
    assert_eq!(history["sweeps"], Value::Array(Vec::new()));
    assert!(history["unreadable"][0]["reason"].as_str().unwrap().contains("damaged"));
    other["schema"] = "tuner-sweep-1".into();
    fs::write(out.join("summary.json"), other.to_string()).unwrap();
    assert_refused(&run(here, &["explain", settings]), &["`tuner-sweep-1`", "`tuner-sweep-3`"]);
    fs::remove_file(out.join("summary.json")).unwrap();
    assert_refused(&run(here, &["explain", settings]), &["summary.json", "hint:"]);
    let said = stdout(&run(here, &["history"]));
    let command = "`tuner sweep --config small.toml --batch-size 4 --out 'sweeps/small/2";
    assert!(said.contains(command) && said.contains(" --resume` goes on"), "{said}");
    assert_refused(&run(here, &["explain", "none.toml"]), &["none.toml"]);
    assert_refused(&run(here, &["history", "nowhere"]), &["nowhere"]);
}
