//! Sweeps that are stopped, killed and gone on with.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{self, assert_refused, assert_success, stderr, tuner, workspace};
use crate::synthetic::synthetic;
use crate::{long_sweep, summary, sweep, trial_of, trial_processes, trials, wait_for};

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

    // Runs of another machine are not mixed with these.
    let resume = [small, &["--resume"]].concat();
    let plan = folder.path().join("out/plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    let mut elsewhere: Value = serde_json::from_str(&text).unwrap();
    elsewhere["machine"]["cpu"] = "Other 9000".into();
    fs::write(&plan, elsewhere.to_string()).unwrap();
    let refused = sweep(folder.path(), "out", &resume).output().unwrap();
    assert_refused(&refused, &["started with other settings", "the machine"]);
    fs::write(&plan, &text).unwrap();

    // A line cut short, as by a crash, and a finished trial taken away: both are run again.
    let journal = folder.path().join("out/trials.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, format!("{}\n{}", lines[0], &lines[1][..40])).unwrap();
    assert_success(&sweep(folder.path(), "out", &resume).output().unwrap());
    // How to repeat it is the command that began it.
    let summary = summary(&folder.path().join("out"));
    let command = summary["command"].as_str().unwrap();
    assert!(command.starts_with("tuner sweep") && !command.contains("--resume"), "{command}");
    let after = trials(&folder.path().join("out"));
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0], before[0]);
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
    let kept = trials(&out);
    assert!(kept.len() >= 2 && kept.iter().all(|trial| trial["status"] == "ok"), "{kept:?}");

    // The command that it names goes on.
    let said = stderr(&output);
    let command = said.split("go on with `tuner ").nth(1).and_then(|rest| rest.split('`').next());
    let mut shell = std::process::Command::new("sh");
    let command = format!("exec {} {}", env!("CARGO_BIN_EXE_tuner"), command.unwrap());
    shell.current_dir(common::repository()).args(["-c", &command]);
    let mut child = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("trial of the resumed sweep", || trials(&out).len() > kept.len());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(trials(&out)[..kept.len()], kept);
}

#[test]
fn default_folders_are_of_one_configuration_and_latest_is_finished() {
    let folder = workspace(20);
    let here = fs::canonicalize(folder.path()).unwrap();
    for name in ["a", "b"] {
        fs::create_dir(here.join(name)).unwrap();
        fs::copy(here.join("small.toml"), here.join(name).join("small.toml")).unwrap();
    }
    let run = |config: &str, more: &[&str]| {
        let mut command = tuner();
        command.current_dir(&here).args(["sweep", "--quiet", "--config", config]);
        command.args(["--batch-size", "4", "--repeats", "1"]).args(more);
        command
    };
    assert_success(&run("a/small.toml", &[]).output().unwrap());
    let first = fs::read_link(here.join("sweeps/small/latest")).unwrap();
    assert_success(&run("b/small.toml", &[]).output().unwrap());
    assert_eq!(fs::read_link(here.join("sweeps/small/latest")).unwrap(), first);
    assert!(here.join("sweeps/small-2/latest/recommended.toml").exists());

    // Killed after a trial, it is gone on with; till then the settings before it can be read.
    let folders = || {
        let entries = fs::read_dir(here.join("sweeps/small")).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| name != "latest");
        names.sort_unstable();
        names
    };
    let mut child = run("a/small.toml", &["--measure-s", "1"]).spawn().unwrap();
    wait_for("a second folder", || folders().len() == 2);
    let second = here.join("sweeps/small").join(&folders()[1]);
    wait_for("trial", || !trials(&second).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_link(here.join("sweeps/small/latest")).unwrap(), first);
    assert!(here.join("sweeps/small/latest/recommended.toml").exists());
    let kept = trials(&second);
    assert_success(&run("./a/small.toml", &["--measure-s", "1", "--resume"]).output().unwrap());
    assert_eq!(trials(&second)[..kept.len()], kept);
    let latest = fs::read_link(here.join("sweeps/small/latest")).unwrap();
    assert_eq!(second.file_name(), Some(latest.as_os_str()));
    assert_eq!(folders().len(), 2);
    // Named, as the command that goes on with it names it, it is the latest too.
    fs::remove_file(here.join("sweeps/small/latest")).unwrap();
    let named = ["--measure-s", "1", "--resume", "--out", second.to_str().unwrap()];
    assert_success(&run("a/small.toml", &named).output().unwrap());
    assert_eq!(fs::read_link(here.join("sweeps/small/latest")).unwrap(), latest);
    // By the link itself too.
    let linked = ["--measure-s", "1", "--resume", "--out", "sweeps/small/latest"];
    assert_success(&run("a/small.toml", &linked).output().unwrap());
    assert_eq!(fs::read_link(here.join("sweeps/small/latest")).unwrap(), latest);
}

#[test]
fn more_time_and_memory_may_be_given_to_a_sweep_that_is_gone_on_with() {
    let folder = synthetic();
    let sweep = |more: &[&str]| {
        sweep(folder.path(), "out", &["--quiet", "--measure-s", "0.4"]).args(more).output().unwrap()
    };
    let read = || summary(&folder.path().join("out"));
    let run = |more: &[&str]| {
        assert_success(&sweep(more));
        (read()["method"].clone(), trials(&folder.path().join("out")).len())
    };
    // The ceilings take longer: the default is run, and one setting that may be chosen.
    let (method, runs) = run(&["--memory-limit", "2GiB", "--time-budget", "1s"]);
    assert_eq!((&method["ended"], runs), (&"out-of-time".into(), 2));
    // What was run with more memory might be recommended.
    let less = sweep(&["--resume", "--memory-limit", "1GiB", "--time-budget", "10m"]);
    assert_refused(&less, &["started with other settings", "`[sweep]`"]);
    let (method, runs) = run(&["--resume", "--memory-limit", "3GiB", "--time-budget", "10m"]);
    assert_ne!(method["ended"], "out-of-time");
    assert_eq!((&method["time_budget_s"], runs), (&600.0.into(), 6));
    // How it is gone on with next, and repeated, is with what it was given last.
    let command = read()["command"].as_str().unwrap().to_owned();
    assert!(command.contains("--time-budget 10m --") || command.ends_with("10m"), "{command}");
    assert!(command.contains("3GiB") && !command.contains("--resume"), "{command}");
}

#[test]
fn a_trial_dies_with_its_sweep() {
    let folder = workspace(20);
    let out = folder.path().join("out");
    // By itself it would end in five minutes.
    let mut command = sweep(folder.path(), "out", &["--warmup-s", "300"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut trial = None;
    wait_for("trial process", || {
        trial = trial_of(child.id()).filter(|_| out.join("ceilings.json").exists());
        trial.is_some()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("end of the trial", || !trial_processes().contains(&trial.unwrap()));
}

/// So many runs that they are killed in their midst.
const MANY: &[&str] = &["--quiet", "--repeats", "5", "--confirm", "1"];

#[test]
fn killed_fifty_times_no_finished_trial_is_lost_and_no_file_is_half_written() {
    let folder = synthetic();
    let out = folder.path().join("out");
    let mut kept: Vec<Value> = Vec::new();
    for kill in 0..50_u64 {
        let resume: &[&str] = if out.join("plan.json").exists() { &["--resume"] } else { &[] };
        let mut command = sweep(folder.path(), "out", &[MANY, resume].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // One in three some time after another trial was finished or, once all are, in the midst of
        // writing the results; the others at any time, maybe before the plan is written.
        let start = Instant::now();
        while kill % 3 == 0
            && trials(&out).len() == kept.len()
            && child.try_wait().unwrap().is_none()
            && start.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(3 + 4 * (37 * kill % 101)));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = trials(&out);
        assert_eq!(now.get(..kept.len()), Some(&kept[..]), "kill {kill}");
        kept = now;
        for name in ["plan.json", "summary.json"] {
            if let Ok(text) = fs::read_to_string(out.join(name)) {
                assert!(serde_json::from_str::<Value>(&text).is_ok(), "kill {kill}: {name}");
            }
        }
        if out.join("recommended.toml").exists() {
            loader::settings::SettingsFile::read(out.join("recommended.toml")).unwrap();
        }
        for (name, end) in
            [("report.html", "</html>"), ("heatmap.svg", "</svg>\n"), ("cells.csv", "\n")]
        {
            let text = fs::read_to_string(out.join(name));
            assert!(
                text.is_ok_and(|text| text.ends_with(end)) || !out.join(name).exists(),
                "kill {kill}: {name}"
            );
        }
        if out.join("heatmap.png").exists() {
            image::open(out.join("heatmap.png")).unwrap();
        }
    }
    assert!(!kept.is_empty());
    assert_success(&sweep(folder.path(), "out", &[MANY, &["--resume"]].concat()).output().unwrap());
    for entry in fs::read_dir(&out).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with(".writing-"), "{name}");
    }
    let all = trials(&out);
    assert_eq!(all[..kept.len()], kept);
    for ceiling in summary(&out)["ceilings"].as_array().unwrap() {
        let part = ceiling["part"].as_str().unwrap();
        // No images, and no GPU that could be told of without one.
        let absent = ["read", "decode", "transform"].contains(&part);
        assert!(!absent || ceiling["samples_per_s"].is_null(), "{ceiling}");
        assert!(!["work", "memory"].contains(&part) || ceiling["samples_per_s"].is_number());
    }
    assert!(all.iter().all(|trial| trial["status"] == "ok"));
    let mut runs: Vec<String> = all
        .iter()
        .map(|trial| format!("{} {} {}", trial["phase"], trial["cell"], trial["repeat"]))
        .collect();
    runs.sort_unstable();
    let every = runs.len();
    runs.dedup();
    assert_eq!(runs.len(), every, "a finished trial was run again");
}
