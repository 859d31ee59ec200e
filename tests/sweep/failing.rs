//! Trials that fail, and what the sweep makes of them.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::common::{assert_refused, assert_success, stderr, stdout, workspace};
use crate::{some_image, sweep, trial_of, trials, wait_for};

#[test]
fn failed_trials_are_rows_and_the_sweep_goes_on() {
    let folder = workspace(20);
    // No trial can end within a millisecond of measuring and a second of warming up.
    let output = sweep(folder.path(), "out", &["--timeout-s", "1", "--warmup-s", "60"]);
    let output = { output }.args(["--batch-size", "4", "--repeats", "1"]).output().unwrap();
    assert_refused(&output, &["no trial succeeded", "no result after 1s", "timeout_s"]);
    let trials = trials(&folder.path().join("out"));
    assert_eq!(trials.len(), 3);
    for trial in trials {
        assert_eq!(trial["status"], "failed");
        assert!(trial["error"].as_str().unwrap().contains("no result"));
        assert_eq!(trial["score"], Value::Null);
    }
    assert!(!folder.path().join("out/recommended.toml").exists());
}

#[test]
fn a_bad_image_stops_the_sweep_which_goes_on_when_it_is_mended() {
    let folder = workspace(20);
    // What a trial says is not cut at these words.
    let root = folder.path().join("my error: photos");
    fs::rename(folder.path().join("train"), &root).unwrap();
    std::os::unix::fs::symlink(&root, folder.path().join("train")).unwrap();
    let good = fs::canonicalize(some_image(folder.path())).unwrap();
    let broken = good.with_file_name("broken.jpg");
    fs::write(&broken, b"").unwrap();
    let out = folder.path().join("out");
    let more = ["--root", root.to_str().unwrap(), "--batch-size", "4", "--repeats", "1"];
    let run = |resume: &[&str]| sweep(folder.path(), "out", &[&more, resume].concat()).output();

    // Some settings may be done before they come to it.
    let output = run(&["--quiet"]).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for part in [broken.to_str().unwrap(), "empty", "hint: replace or remove", "--resume"] {
        assert!(stderr(&output).contains(part), "`{part}` is not in: {}", stderr(&output));
    }
    assert!(!out.join("recommended.toml").exists());
    let (last, before) = trials(&out).split_last().map(|(l, b)| (l.clone(), b.to_vec())).unwrap();
    assert_eq!(last["status"], "failed");
    assert_eq!(last["bad_sample"], broken.to_str().unwrap());
    let start = format!("sample {}", last["error"].as_str().unwrap().split(' ').nth(1).unwrap());
    assert!(last["error"].as_str().unwrap().starts_with(&start));
    assert!(last["error"].as_str().unwrap().contains("my error: photos"));
    assert!(before.iter().all(|trial| trial["status"] == "ok"), "{before:?}");

    // Not yet mended.
    assert_eq!(run(&["--resume"]).unwrap().status.code(), Some(1));
    let failed_again = trials(&out).len();
    fs::copy(&good, &broken).unwrap();
    assert_success(&run(&["--resume"]).unwrap());
    let after = trials(&out);
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), failed_again + 3 - before.len());
    assert!(after[failed_again..].iter().all(|trial| trial["status"] == "ok"));
    assert!(out.join("recommended.toml").exists());

    // Mended once, it is the data of this sweep.
    fs::remove_file(&broken).unwrap();
    let output = run(&["--resume", "--quiet"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the files of the data differ"), "{}", stderr(&output));
}

#[test]
fn a_setting_that_crashed_and_could_have_won_is_named() {
    let folder = workspace(20);
    let out = folder.path().join("out");
    let more = ["--batch-size", "4", "--repeats", "1", "--measure-s", "1"];
    let mut command = sweep(folder.path(), "out", &more);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut trial = None;
    wait_for("trial process", || {
        trial = trial_of(child.id()).filter(|_| out.join("ceilings.json").exists());
        trial.is_some()
    });
    let pid = rustix::process::Pid::from_raw(trial.unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_success(&output);
    let rows = trials(&out);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["status"], "failed");
    assert_eq!(rows[0]["bad_sample"], Value::Null);
    assert!(rows[0]["error"].as_str().unwrap().contains("SIGKILL"), "{}", rows[0]["error"]);
    let said = "1 setting could have won, but trials of it failed";
    assert!(stdout(&output).contains(said), "{}", stdout(&output));
    assert!(stdout(&output).contains("1 trial gave no figures"), "{}", stdout(&output));
    let read = |file: &str| fs::read_to_string(out.join(file)).unwrap();
    assert!(read("report.md").contains(said));
    assert!(read("recommended.toml").contains(&format!("# WARNING: {said}")));
    assert!(read("recommended.toml").contains("could_have_won = ["));
    loader::settings::SettingsFile::read(out.join("recommended.toml")).unwrap();

    // Given another try, it is measured like the others.
    let again = sweep(folder.path(), "out", &[&more[..], &["--resume"]].concat()).output().unwrap();
    assert_success(&again);
    assert!(!stdout(&again).contains(said));
    assert!(!read("recommended.toml").contains("could_have_won = ["));
    assert_eq!(trials(&out).len(), 4);
}
