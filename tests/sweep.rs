//! The main job from the outside: sweep real images, write settings, train with them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{assert_refused, assert_success, stderr, stdout, tuner, workspace};
use loader::{ImageFolder, Loader};
use preproc::Compose;
use serde_json::Value;
use tch::{Device, nn, nn::OptimizerConfig};
use tuner::Config;
use tuner::config::DatasetConfig;
use tuner::sweep::fingerprint::DataTable;

/// The lines of `trials.jsonl`.
fn trials(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("trials.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sweep(folder: &Path, out: &str, more: &[&str]) -> std::process::Command {
    let mut command = tuner();
    command.args(["sweep", "--config"]).arg(folder.join("small.toml"));
    command.arg("--out").arg(folder.join(out)).args(more);
    command
}

#[test]
fn a_sweep_ends_in_settings_that_a_training_program_loads() {
    let folder = workspace(60);
    let out = folder.path().join("out");
    let output = sweep(folder.path(), "out", &["--json"]).output().unwrap();
    assert_success(&output);
    let mut summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary.as_object_mut().unwrap().remove("out"), Some(out.to_str().into()));
    let on_disk = fs::read(out.join("summary.json")).unwrap();
    assert_eq!(summary, serde_json::from_slice::<Value>(&on_disk).unwrap());

    // Two batch sizes, each without workers and with 2 at two depths; two repeats.
    let trials = trials(&out);
    assert_eq!(trials.len(), 12);
    for trial in &trials {
        assert_eq!(trial["status"], "ok");
        assert_eq!(trial["error"], Value::Null);
        assert_eq!(trial["gpu_mean_bytes"], Value::Null);
        for key in ["samples_per_s", "batches_per_s", "first_batch_s", "cpu_percent"] {
            assert!(trial[key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert!(trial["rss_peak_bytes"].as_u64() >= trial["rss_mean_bytes"].as_u64());
        let terms = trial["score_terms"].as_object().unwrap();
        let sum: f64 = terms.values().filter_map(Value::as_f64).sum();
        assert!((sum - trial["score"].as_f64().unwrap()).abs() < 1e-9);
        let batches = 10.0 * trial["batches_per_s"].as_f64().unwrap();
        assert!((terms["batches"].as_f64().unwrap() - batches).abs() < 1e-9);
    }
    assert_eq!(summary["cells"].as_array().unwrap().len(), 6);

    // All parts of the way but the copies to a GPU are there, and the settings beside the lowest.
    let ceilings = summary["ceilings"].as_array().unwrap();
    let rate = |part: &str| {
        let of_part = ceilings.iter().find(|ceiling| ceiling["part"] == part).unwrap();
        of_part["samples_per_s"].as_f64()
    };
    let parts = ["read", "decode", "transform", "work", "memory"];
    let lowest = parts.map(|part| rate(part).unwrap()).into_iter().fold(f64::INFINITY, f64::min);
    assert_eq!(rate("host-to-device"), None);
    for cell in summary["cells"].as_array().unwrap() {
        let share = cell["samples_per_s"]["median"].as_f64().unwrap() / lowest;
        assert!((cell["ceiling_share"].as_f64().unwrap() - share).abs() < 1e-9);
    }

    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(
        report.contains("## Ceilings")
            && report.contains("heatmap.png")
            && !report.contains("Z UTC")
    );
    let starred = |line: &str| line.starts_with('|') && line.contains("* ");
    // In the table of batch sizes and in that of all.
    assert_eq!(report.lines().filter(|line| starred(line)).count(), 2, "{report}");
    for name in ["heatmap", "pareto", "stages"] {
        let picture = image::open(out.join(format!("{name}.png"))).unwrap();
        assert!(picture.width() > 400 && picture.height() > 200, "{name}");
        let svg = fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg"), "{name}");
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<h1>Use batch size") && page.contains("recommended.toml"));
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!((lines("cells.csv"), lines("trials.csv")), (1 + 6, 1 + 12));

    let config = Config::read(&folder.path().join("small.toml")).unwrap();
    let settings = out.join("recommended.toml");
    let open = || {
        let DatasetConfig::ImageFolder(folder) = &config.dataset else { panic!("{config:?}") };
        let compose = Compose::new(folder.transforms.clone(), Default::default()).unwrap();
        ImageFolder::open(&folder.root, compose).unwrap()
    };
    let classes = open().classes().len() as i64;
    let mut loader = Loader::from_settings(&settings, open()).unwrap().build().unwrap();
    let recommended = &summary["recommended"];
    assert_eq!(recommended["batch_size"], loader.settings().batch_size);
    assert_eq!(recommended["num_workers"], loader.settings().num_workers);
    assert!(loader.settings().shuffle);
    assert_eq!(loader.settings().seed, 3);
    train(&mut loader, classes);

    // Each batch size has a row of its own, which the loader takes.
    let other = Loader::from_settings(&settings, open()).unwrap().batch_size(8).build().unwrap();
    assert_eq!(other.settings().batch_size, 8);
}

/// Three epochs of a linear model: the loss falls.
fn train(loader: &mut Loader, classes: i64) {
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let model = nn::linear(store.root(), 3 * 32 * 32, classes, Default::default());
    let mut optimizer = nn::Adam::default().build(&store, 1e-3).unwrap();
    let mut losses = Vec::new();
    for epoch in 0..3 {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch) {
            let batch = batch.unwrap();
            let loss = batch["images"]
                .flatten(1, -1)
                .apply(&model)
                .cross_entropy_for_logits(&batch["labels"]);
            optimizer.backward_step(&loss);
            sum += loss.double_value(&[]);
        }
        losses.push(sum);
    }
    assert!(losses[2] < losses[0], "{losses:?}");
}

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

    // A line cut short, as by a crash, and a finished trial taken away: both are run again.
    let journal = folder.path().join("out/trials.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, format!("{}\n{}", lines[0], &lines[1][..40])).unwrap();
    let resume = [small, &["--resume"]].concat();
    assert_success(&sweep(folder.path(), "out", &resume).output().unwrap());
    let after = trials(&folder.path().join("out"));
    assert_eq!(after.len(), before.len());
    assert_eq!(after[0], before[0]);
}

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

/// An image of the data set in a [`workspace`].
fn some_image(folder: &Path) -> PathBuf {
    let mut classes =
        fs::read_dir(folder.join("train")).unwrap().map(|entry| entry.unwrap().path());
    let class = classes.find(|path| path.is_dir()).unwrap();
    fs::read_dir(class).unwrap().next().unwrap().unwrap().path()
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

#[test]
fn pinning_that_has_no_effect_is_said_once() {
    let folder = workspace(20);
    let config = folder.path().join("small.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[loader]", "[loader]\npin_memory = true")).unwrap();
    let output = sweep(folder.path(), "out", &["--batch-size", "4", "--repeats", "1"]);
    let output = { output }.output().unwrap();
    assert_success(&output);
    let pinned = trials(&folder.path().join("out"))[0]["pin_memory"] == true;
    let warnings = stderr(&output).matches("`pin_memory = true` has no effect").count();
    assert_eq!(warnings, usize::from(!pinned), "{}", stderr(&output));
}

/// The table that a sweep has for the data at `root` with `config`.
fn data_table(config: &Config, root: &Path) -> DataTable {
    let mut config = config.clone();
    config.dataset.set_root(root.to_owned()).unwrap();
    DataTable::new(&config, &tuner::dataset::open(&config).unwrap()).unwrap()
}

#[test]
fn other_data_has_another_fingerprint() {
    let (folder, other) = (workspace(20), tempfile::tempdir().unwrap());
    let root = folder.path().join("train");
    let config = Config::read(&folder.path().join("small.toml")).unwrap();
    let print = || data_table(&config, &root).fingerprint;
    let before = print();
    assert_eq!(print(), before);

    // It does not depend on where the data lies.
    let moved = other.path().join("elsewhere");
    fs::rename(&root, &moved).unwrap();
    assert_eq!(data_table(&config, &moved).fingerprint, before);
    fs::rename(&moved, &root).unwrap();

    // The names of seed 8 are those of seed 7; the files are not.
    let made = tuner()
        .args(["data", "make", "imagenet-like", "--quiet", "--seed", "8", "--images", "20"])
        .arg("--out")
        .arg(&moved)
        .output()
        .unwrap();
    assert_success(&made);
    assert_ne!(data_table(&config, &moved).fingerprint, before);

    let mut changed = config.clone();
    let DatasetConfig::ImageFolder(images) = &mut changed.dataset else { panic!("{changed:?}") };
    images.decode.max_pixels -= 1;
    assert_ne!(data_table(&changed, &root).fingerprint, before);

    let image = some_image(folder.path());
    fs::rename(&image, image.with_file_name("renamed.jpg")).unwrap();
    assert_ne!(print(), before);
    fs::rename(image.with_file_name("renamed.jpg"), &image).unwrap();
    assert_eq!(print(), before);
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, [&bytes[..], b"more"].concat()).unwrap();
    assert_ne!(print(), before);
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A sweep that would take minutes.
fn long_sweep(folder: &Path) -> Child {
    let mut command = sweep(folder, "out", &["--measure-s", "0.3", "--repeats", "100"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Processes whose command line is a trial of the program under test.
fn trial_processes() -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_trial = |pid: &u32| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command == format!("{}\0trial\0", env!("CARGO_BIN_EXE_tuner"))
    };
    pids.filter(is_trial).collect()
}

/// The trial that `parent` runs now, if any.
fn trial_of(parent: u32) -> Option<u32> {
    trial_processes().into_iter().find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        after_name.split(' ').nth(1) == Some(&parent.to_string())
    })
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
}

#[test]
fn a_trial_dies_with_its_sweep_and_no_finished_trial_is_lost() {
    let folder = workspace(20);
    let out = folder.path().join("out");
    let mut child = long_sweep(folder.path());
    let mut trial = None;
    wait_for("trial process", || {
        trial = trial_of(child.id()).filter(|_| !trials(&out).is_empty());
        trial.is_some()
    });
    let kept = trials(&out).len();
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("end of the trial", || !trial_processes().contains(&trial.unwrap()));
    assert!(trials(&out).len() >= kept);
}

#[test]
fn what_would_not_fit_in_memory_is_skipped_and_listed() {
    let folder = workspace(20);
    let more = ["--batch-size", "4", "--repeats", "1", "--memory-limit", "8MiB", "--quiet"];
    let output = sweep(folder.path(), "out", &more).output().unwrap();
    assert_refused(&output, &["no trial succeeded", "needs about", "may take 8 MiB"]);
    for trial in trials(&folder.path().join("out")) {
        assert_eq!(trial["status"], "skipped");
        assert!(trial["predicted_above_base_bytes"].as_u64().unwrap() > 0);
    }
    let bad = sweep(folder.path(), "other", &["--memory-limit", "much"]).output().unwrap();
    assert_refused(&bad, &["4GiB"]);
}

#[test]
fn a_dry_run_says_what_would_be_run_and_writes_nothing() {
    let folder = workspace(20);
    let dry = |more: &[&str]| {
        let mut command = tuner();
        command.current_dir(folder.path()).args(["sweep", "--config", "small.toml", "--dry-run"]);
        command.args(more).output().unwrap()
    };
    let output = dry(&["--json", "--max-repeats", "4", "--confirm", "3"]);
    assert_success(&output);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // Six settings, two to four times, and pairs to confirm the best.
    assert_eq!(plan["processes"], serde_json::json!([12, 24 + 6]));
    let settings = plan["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 6);
    for setting in settings {
        for key in ["predicted_s", "predicted_bytes", "predicted_samples_per_s"] {
            assert!(setting[key].as_f64().unwrap() > 0.0, "{key}: {setting}");
        }
        assert_eq!(setting["skipped"], Value::Null);
    }
    let [short, long] = [0, 1].map(|at| plan["predicted_s"][at].as_f64().unwrap());
    assert!(0.0 < short && short < long);

    let output = dry(&["--strategy", "model"]);
    assert_success(&output);
    assert!(stdout(&output).contains("Nothing was written"), "{}", stdout(&output));
    assert!(!folder.path().join("sweeps").exists());
}

#[test]
fn memory_above_the_base_is_predicted_within_a_tenth() {
    let folder = workspace(24);
    // One image, as a whole: else a thread's memory depends on which ones it met, and on a busy machine
    // it meets few.
    let image = fs::read(some_image(folder.path())).unwrap();
    for class in fs::read_dir(folder.path().join("train")).unwrap() {
        for file in fs::read_dir(class.unwrap().path()).into_iter().flatten() {
            fs::write(file.unwrap().path(), &image).unwrap();
        }
    }
    let config = folder.path().join("small.toml");
    let text = fs::read_to_string(&config).unwrap();
    let whole =
        text.replace("random_resized_crop = { size = 32 }", "resize = { size = [224, 224] }");
    assert_ne!(whole, text);
    fs::write(&config, whole).unwrap();
    let more = ["--batch-size", "8,24", "--num-workers", "0,2,4", "--prefetch-depth", "2"];
    let long = ["--repeats", "1", "--warmup-s", "0.5", "--measure-s", "1", "--quiet"];
    assert_success(&sweep(folder.path(), "out", &[&more[..], &long].concat()).output().unwrap());
    let summary = fs::read(folder.path().join("out/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let cells = summary["cells"].as_array().unwrap();
    assert!(cells.len() >= 6);
    for cell in cells {
        let predicted = cell["predicted_above_base_bytes"].as_f64().unwrap();
        let measured = cell["above_base_bytes"]["median"].as_f64().unwrap();
        let off = predicted / measured - 1.0;
        assert!(off.abs() <= 0.1, "{off:+.3}: {predicted} for {measured}: {cell}");
    }
}

#[test]
fn killed_fifty_times_no_finished_trial_is_lost_and_no_file_is_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"
[dataset]
kind = "synthetic"
samples = 64
fields = [{ name = "x", shape = [4], dtype = "float32" }]

[loader]
batch_size = 8

[sweep]
batch_size = [8]
num_workers = [0, 1]
prefetch_depth = [1]
repeats = 5
max_repeats = 5
confirm = 1
warmup_s = 0.0
measure_s = 0.01
"#;
    fs::write(folder.path().join("small.toml"), config).unwrap();
    let out = folder.path().join("out");
    let mut kept: Vec<Value> = Vec::new();
    for kill in 0..50_u64 {
        let resume: &[&str] = if out.join("plan.json").exists() { &["--resume"] } else { &[] };
        let mut command = sweep(folder.path(), "out", &[&["--quiet"], resume].concat());
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
    }
    assert!(!kept.is_empty());
    assert_success(&sweep(folder.path(), "out", &["--resume", "--quiet"]).output().unwrap());
    let all = trials(&out);
    assert_eq!(all[..kept.len()], kept);
    let summary: Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    for ceiling in summary["ceilings"].as_array().unwrap() {
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
