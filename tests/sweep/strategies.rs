//! Sweeps that do not run every setting, and those that choose by a training loop.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use loader::settings::SettingsFile;
use serde_json::Value;

use crate::common::{assert_success, stdout};
use crate::synthetic::synthetic;
use crate::{edit, summary, sweep, trials, wait_for};

#[test]
fn race_and_model_answer_for_each_batch_size_and_go_on_where_they_stopped() {
    for strategy in ["race", "model"] {
        let folder = synthetic();
        let grid = ["--batch-size", "4,8", "--num-workers", "0,1,2,3", "--prefetch-depth", "1,2"];
        let more = ["--quiet", "--strategy", strategy, "--confirm", "1"];
        let more = [&grid[..], &more].concat();
        let out = folder.path().join("out");
        let mut command = sweep(folder.path(), "out", &more);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("trial", || trials(&out).len() >= 3);
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = trials(&out);
        let resume = [&more[..], &["--resume"]].concat();
        assert_success(&sweep(folder.path(), "out", &resume).output().unwrap());
        let all = trials(&out);
        assert_eq!(all[..kept.len()], kept);
        let planned = |trial: &Value| ["phase", "repeat", "cell"].map(|key| trial[key].to_string());
        let different: BTreeSet<_> = all.iter().map(planned).collect();
        assert_eq!(different.len(), all.len(), "{strategy}: none was run twice");

        let summary = summary(&out);
        assert_eq!(summary["method"]["strategy"], strategy);
        let file = SettingsFile::read(out.join("recommended.toml")).unwrap();
        let sizes: Vec<usize> = file.by_batch_size.iter().map(|row| row.batch_size).collect();
        assert_eq!(sizes, [4, 8], "{strategy}");
        let recommended = &summary["recommended"];
        let row = file.by_batch_size.iter().find(|row| recommended["batch_size"] == row.batch_size);
        assert_eq!(recommended["num_workers"], row.unwrap().num_workers);
    }
}

/// Each sample takes 5 ms of waiting and each batch of 4 the training loop 40 ms: without workers it waits a
/// third of its time, and one is enough.
#[test]
fn with_a_training_loop_that_computes_the_fewest_workers_win_that_feed_it() {
    let folder = synthetic();
    edit(folder.path(), "samples = 64", "samples = 64\nio_delay_s = 0.005");
    let grid = ["--batch-size", "4", "--num-workers", "0,1,4", "--prefetch-depth", "2"];
    let more = ["--quiet", "--step-cpu-ms", "40", "--repeats", "3", "--max-repeats", "3"];
    let more = [&grid[..], &more, &["--measure-s", "0.5", "--warmup-s", "0.2"]].concat();
    assert_success(&sweep(folder.path(), "out", &more).output().unwrap());
    let summary = summary(&folder.path().join("out"));
    assert_eq!(summary["method"]["objective"], "cheapest-that-feeds");
    assert_eq!(summary["method"]["consumer"]["step_cpu_ms"], 40.0);
    assert_eq!(summary["recommended"]["num_workers"], 1, "{}", summary["cells"]);
}

#[test]
fn settings_that_do_not_fit_in_memory_are_listed_and_another_wins() {
    let folder = synthetic();
    // A sample of a MiB.
    edit(folder.path(), "shape = [4]", "shape = [262144]");
    let grid = ["--batch-size", "8,64", "--quiet"];
    let dry = [&grid[..], &["--dry-run", "--json"]].concat();
    let mut command = crate::common::tuner();
    command.current_dir(folder.path()).args(["sweep", "--config", "small.toml"]).args(dry);
    let plan: Value = serde_json::from_str(&stdout(&command.output().unwrap())).unwrap();
    let needs = |batch_size: u64| -> Vec<u64> {
        let settings = plan["settings"].as_array().unwrap().iter();
        let of_size = settings.filter(|setting| setting["batch_size"] == batch_size);
        of_size.map(|setting| setting["predicted_bytes"].as_u64().unwrap()).collect()
    };
    let between = (needs(8).iter().max().unwrap() + needs(64).iter().min().unwrap()) / 2;
    let limit = format!("{}MiB", between >> 20);
    let limited = [&grid[..], &["--memory-limit", &limit]].concat();
    assert_success(&sweep(folder.path(), "out", &limited).output().unwrap());

    let out = folder.path().join("out");
    for trial in trials(&out) {
        let expected = if trial["batch_size"] == 64 { "skipped" } else { "ok" };
        assert_eq!(trial["status"], expected, "{trial}");
    }
    assert_eq!(summary(&out)["recommended"]["batch_size"], 8);
    for report in ["report.md", "report.html"] {
        let text = fs::read_to_string(out.join(report)).unwrap();
        assert!(text.contains("needs about"), "{report}");
    }
}
