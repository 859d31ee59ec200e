//! Sweeps inside programs of one's own. The programs are the ignored tests here, started again by the
//! tests; their trials are these programs once more.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::{assert_refused, assert_success, stderr, stdout, tuner, workspace};
use loader::datasets::Array;
use loader::error::{DatasetError, Report};
use loader::settings::SettingsFile;
use loader::{Arrays, Dtype, Field, Loader, Settings, Synthetic};
use serde_json::Value;
use tuner::Sweep;
use tuner::config::SweepConfig;
use tuner::sweep::Finished;

/// The folder that a program writes to.
const OUT: &str = "OWN_SWEEP_OUT";

fn data() -> Synthetic {
    Synthetic::new([Field::new("x", [4], Dtype::Float32)], 512).cpu(Duration::from_micros(50))
}

fn sweep() -> Sweep {
    let config = SweepConfig {
        batch_size: vec![8, 16],
        num_workers: vec![0, 1],
        prefetch_depth: vec![2],
        repeats: 1,
        warmup_s: 0.0,
        measure_s: 0.02,
        ..SweepConfig::default()
    };
    let loader = Settings { shuffle: true, seed: 5, ..Settings::default() };
    Sweep::new(config).loader(loader).out(std::env::var_os(OUT).unwrap()).quiet(true)
}

fn end<T>(result: Result<T, tuner::TunerError>) {
    if let Err(error) = result {
        eprintln!("error: {}", Report(&error));
        std::process::exit(1);
    }
}

/// Runs the program `name`.
fn program(name: &str, folder: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = format!("own_sweep::{name}");
    command.args(["--exact", &name, "--ignored", "--nocapture"]).env(OUT, folder.join("out"));
    command.current_dir(folder).output().unwrap()
}

#[track_caller]
fn assert_error(output: &Output, parts: &[&str]) {
    assert!(!output.status.success());
    let said = stderr(output);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
#[ignore = "a program that the tests start"]
fn good_program() {
    println!("it says something first, and");
    print!("leaves a line open");
    let found: Finished = sweep().run(data).unwrap();
    println!("\nfound {}", found.path.display());
}

#[test]
fn a_program_of_ones_own_is_its_own_trials() {
    let folder = tempfile::tempdir().unwrap();
    let output = program("good_program", folder.path());
    assert_success(&output);
    // It went on once, in the process that was started; its trials ended before.
    assert_eq!(stdout(&output).matches("found ").count(), 1, "{}", stdout(&output));
    let out = folder.path().join("out");
    let lines = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    let trials: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(trials.len() >= 4 && trials.iter().all(|trial| trial["status"] == "ok"), "{lines}");

    let file = SettingsFile::read(out.join("recommended.toml")).unwrap();
    assert!(file.loader.shuffle && file.loader.seed == 5);
    assert_eq!(file.by_batch_size.len(), 2);
    let mut loader = Loader::from_settings(out.join("recommended.toml"), data()).unwrap();
    loader = loader.batch_size(16);
    assert_eq!(loader.build().unwrap().settings().batch_size, 16);

    // As with `tuner sweep`, a folder holds one sweep.
    let again = program("good_program", folder.path());
    assert!(stderr(&again).contains("OutputExists"), "{}", stderr(&again));
}

#[test]
#[ignore = "a program that the tests start"]
fn called_twice() {
    end(sweep().run(data));
    end(sweep().out("second").run(data));
}

#[test]
#[ignore = "a program that the tests start"]
fn trials_go_elsewhere() {
    if std::env::var_os("TUNER_TRIAL").is_some() {
        println!("nothing left to do");
        return;
    }
    end(sweep().run(data));
}

#[test]
#[ignore = "a program that the tests start"]
fn no_data() {
    end(sweep().run(|| Synthetic::new([Field::new("x", [4], Dtype::Float32)], 0)));
}

#[test]
#[ignore = "a program that the tests start"]
fn data_that_does_not_open() {
    let open = || -> Result<Arrays, DatasetError> { Arrays::new([("x", Array::npy("no/x.npy")?)]) };
    end(sweep().try_run(open));
}

#[test]
fn bad_uses_are_told() {
    for (name, parts) in [
        ("called_twice", &["was called before in this program", "hint: call it once"][..]),
        (
            "trials_go_elsewhere",
            &["did not come to `tuner::Sweep::run`", "hint: ", "nothing left to do"],
        ),
        ("no_data", &["the data set is empty"]),
        ("data_that_does_not_open", &["the data set of this program cannot be opened", "no/x.npy"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        assert_error(&program(name, folder.path()), parts);
    }
}

#[test]
fn a_configuration_cannot_ask_for_the_data_of_a_program() {
    let folder = workspace(1);
    let config = folder.path().join("small.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("kind = \"image-folder\"", "kind = \"own\"")).unwrap();
    let output = tuner().args(["sweep", "--config"]).arg(&config).output().unwrap();
    assert_refused(&output, &["unknown variant `own`"]);
}
