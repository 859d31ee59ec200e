//! What a sweep says at its end, in its reports and to those who ask later.

use std::fs;

use serde_json::Value;
use tuner::Config;

use crate::common::{assert_success, repository, stdout, tuner, workspace};

#[test]
fn a_default_that_wins_is_told_as_such_everywhere() {
    let folder = workspace(20);
    let run = |arguments: &[&str]| {
        let output = tuner().current_dir(folder.path()).args(arguments).output().unwrap();
        assert_success(&output);
        stdout(&output)
    };
    let default = loader::Settings::default();
    let workers = default.num_workers.to_string();
    let depth = default.prefetch_depth.to_string();
    let only = ["--num-workers", &workers, "--prefetch-depth", &depth, "--batch-size", "4"];
    let sweep = ["sweep", "--config", "small.toml", "--confirm", "1"];
    let said = run(&[&sweep[..], &only].concat());
    assert!(said.contains("Gain:  none: this is the default"), "{said}");
    let settings = "sweeps/small/latest/recommended.toml";
    let explained: Value = serde_json::from_str(&run(&["explain", settings, "--json"])).unwrap();
    assert_eq!(explained["standing"], "default");
    let history: Value = serde_json::from_str(&run(&["history", "--json"])).unwrap();
    assert_eq!(history["sweeps"][0]["standing"], "default");
    let page = folder.path().join("sweeps/small/latest/report.html");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("the default is the best") && !page.contains("not held against"));
}

#[test]
fn with_a_consumer_it_is_said_whether_that_is_fed() {
    let folder = workspace(20);
    let sweep = |out: &str, step: &str| {
        let mut command = tuner();
        command.current_dir(folder.path()).args(["sweep", "--config", "small.toml", "--out", out]);
        command.args(["--step-ms", step, "--repeats", "1"]);
        let output = command.output().unwrap();
        assert_success(&output);
        stdout(&output)
    };
    // A batch of 4 or 8 images of 32 x 32 is there long before.
    let said = sweep("slow", "150");
    assert!(said.contains("Limit: the training loop, which waits for data"), "{said}");
    assert!(said.contains("Next:  a faster training loop"), "{said}");
    assert!(said.contains("however many samples it has"), "{said}");
    let report = fs::read_to_string(folder.path().join("slow/report.md")).unwrap();
    assert!(report.contains("waiting (95%)"), "{report}");
    let page = fs::read_to_string(folder.path().join("slow/report.html")).unwrap();
    assert!(page.contains("Waiting for data") && page.contains("Waiting (95%)"));
    let table = fs::read_to_string(folder.path().join("slow/cells.csv")).unwrap();
    assert!(table.lines().next().unwrap().contains(",wait_share,wait_share_low,wait_share_high,"));

    let said = sweep("fast", "0.001");
    assert!(said.contains("Warning: no setting keeps the training loop fed"), "{said}");
    assert!(!said.contains("Limit: the training loop, which"), "{said}");
}

#[test]
fn the_shipped_configurations_leave_the_objective_to_the_consumer() {
    for name in ["imagenet", "cifar10"] {
        let config = Config::read(&repository().join(format!("configs/{name}.toml"))).unwrap();
        assert_eq!(config.sweep.objective, None, "{name}");
    }
}
