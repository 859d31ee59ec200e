//! Trials that end badly, each in its own way: one failed row with what the process said last, and the
//! sweep goes on. The programs are the ignored tests here; see `own_sweep`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Once;
use std::time::Duration;

use crate::common::{assert_refused_with, assert_success, stderr, tuner, workspace};
use loader::{Dataset, Dtype, Field, SampleError, Slot};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::Value;
use tuner::Sweep;
use tuner::config::SweepConfig;
use tuner::sweep::objective::Objective;

const OUT: &str = "MISBEHAVING_OUT";
const HOW: &str = "MISBEHAVING_HOW";
/// How long a process sleeps that a trial starts.
const HELPER: &str = "MISBEHAVING_HELPER";

/// Loads well on the training loop's own thread, and does what [`HOW`] says on a worker of a trial; where that
/// is `fresh`, only on the last of eight workers, and when all settings were run once; `mended` goes on with
/// that sweep.
struct Misbehaving;

impl Dataset for Misbehaving {
    type Worker = ();

    fn len(&self) -> usize {
        256
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("x", [4], Dtype::Float32)]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        slot.fields.get_mut::<f32>(0).fill(index as f32);
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        let how = std::env::var(HOW).unwrap_or_default();
        let in_trial = std::env::var_os("TUNER_TRIAL").is_some();
        match &*how {
            "fresh" | "mended" => {
                std::thread::sleep(Duration::from_millis(1));
                let last = in_trial && name.ends_with("worker-7");
                if how == "fresh" && last && runs_on_record() >= 3 {
                    misbehave("exit");
                }
            }
            _ if in_trial && name.contains("worker") => misbehave(&how),
            _ => {}
        }
        Ok(())
    }
}

/// How many runs the sweep that this is a trial of has on record.
fn runs_on_record() -> usize {
    let out = std::env::var_os(OUT).unwrap();
    let trials = fs::read_to_string(Path::new(&out).join("trials.jsonl"));
    trials.unwrap_or_default().lines().count()
}

fn misbehave(how: &str) {
    eprintln!("the last words");
    match how {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "rubbish" => {
            let _ = writeln!(std::io::stdout(), "\n{{\"figures\": \"no\"}}");
            std::process::exit(0);
        }
        "flood" => {
            let line = "x".repeat(1 << 12);
            (0..1 << 12).for_each(|_| eprintln!("{line}"));
            eprintln!("the last words");
            std::process::exit(7);
        }
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "memory" => {
            let held = std::hint::black_box(vec![1_u8; 600 << 20]);
            std::thread::sleep(Duration::from_secs(3600));
            drop(held);
        }
        "helper" => {
            static STARTED: Once = Once::new();
            let seconds = std::env::var_os(HELPER).unwrap();
            STARTED.call_once(|| {
                #[expect(clippy::zombie_processes, reason = "it is left behind on purpose")]
                let helper = Command::new("sleep").arg(seconds).spawn().unwrap();
                let out = std::env::var_os(OUT).unwrap();
                fs::write(Path::new(&out).join("helper"), helper.id().to_string()).unwrap();
            });
        }
        _ => {}
    }
}

#[test]
#[ignore = "a program that the tests start"]
fn program() {
    let how = std::env::var(HOW).unwrap_or_default();
    let mended = how == "mended";
    let fresh = how == "fresh" || mended;
    if fresh {
        // The default setting, which has as many workers as cores, is none of the grid.
        let mut cores = CpuSet::new();
        let all = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU)
            .filter(|core| all.is_set(*core))
            .take(2)
            .for_each(|core| cores.set(core));
        sched_setaffinity(None, &cores).unwrap();
    }
    let config = SweepConfig {
        batch_size: vec![8],
        num_workers: if fresh { vec![4, 8] } else { vec![0, 1] },
        prefetch_depth: vec![2],
        repeats: 1,
        max_repeats: 1,
        confirm: if fresh { 5 } else { 0 },
        objective: Some(Objective::SamplesPerSecond),
        warmup_s: 0.0,
        measure_s: if fresh { 0.5 } else { 0.02 },
        // Long enough for good trials, on a busy machine too.
        timeout_s: if how == "hang" { 10.0 } else { 60.0 },
        memory_limit_bytes: Some(500 << 20),
        ..SweepConfig::default()
    };
    let sweep = Sweep::new(config).out(std::env::var_os(OUT).unwrap()).quiet(true);
    sweep.resume(mended).run(|| Misbehaving).unwrap();
}

/// No other process sleeps so long.
fn helper_s() -> String {
    format!("86399.{}", std::process::id())
}

fn sweep(how: &str, out: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "misbehaving::program", "--ignored", "--nocapture"]);
    command.env(OUT, out).env(HOW, how).env(HELPER, helper_s()).output().unwrap()
}

#[test]
fn a_trial_that_ends_badly_is_one_failed_row_and_the_sweep_goes_on() {
    for (how, parts) in [
        ("abort", &["SIGABRT", "the last words"][..]),
        ("exit", &["exit status: 7", "the last words"]),
        ("rubbish", &["no result but", "figures", "the last words"]),
        ("flood", &["exit status: 7", "[...]", "the last words"]),
        ("hang", &["no result after 10s", "the last words"]),
        ("memory", &["it held", "may take 500 MiB", "hint: "]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        assert_success(&sweep(how, &out));
        let lines = fs::read_to_string(out.join("trials.jsonl")).unwrap();
        let mut failed = 0;
        for line in lines.lines() {
            let trial: Value = serde_json::from_str(line).unwrap();
            if trial["num_workers"] == 0 {
                assert_eq!(trial["status"], "ok", "{how}: {line}");
                continue;
            }
            failed += 1;
            assert_eq!(trial["status"], "failed", "{how}: {line}");
            assert!(line.len() < 1 << 18, "{how}: {}", line.len());
            let error = trial["error"].as_str().unwrap();
            for part in parts {
                assert!(error.contains(part), "{how}: `{part}` is not in: {error}");
            }
        }
        assert!(failed > 0, "{how}: {lines}");
        assert!(out.join("recommended.toml").exists());
    }
}

#[test]
fn a_process_that_a_trial_leaves_behind_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert_success(&sweep("helper", &out));
    let lines = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    assert!(lines.lines().all(|line| line.contains(r#""status":"ok""#)), "{lines}");
    assert!(out.join("helper").exists());
    let sleeping = fs::read_dir("/proc").unwrap().filter(|entry| {
        let command = entry.as_ref().unwrap().path().join("cmdline");
        fs::read_to_string(command)
            .is_ok_and(|command| command == format!("sleep\0{}\0", helper_s()))
    });
    assert_eq!(sleeping.count(), 0);
}

#[test]
fn a_winner_that_fails_in_its_fresh_runs_is_not_recommended() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    assert_success(&sweep("fresh", &out));
    let summary = crate::summary(&out);
    let trials = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    // One fresh run showed it; the next best was held against the default instead.
    assert_eq!(summary["recommended"]["num_workers"], 4, "{trials}");
    assert_eq!(summary["headline"]["winner"]["num_workers"], 4, "{trials}");
    assert_eq!(summary["headline"]["winner_samples_per_s"].as_array().unwrap().len(), 5);
    assert_eq!(summary["could_have_won"][0]["num_workers"], 8, "{trials}");
    let failed = |workers| {
        let mut cells = summary["cells"].as_array().unwrap().iter();
        cells.find(|cell| cell["num_workers"] == workers).unwrap()["failed"].clone()
    };
    assert_eq!([failed(8), failed(4)], [1, 0], "{trials}");

    // What was wrong with it is mended.
    assert_success(&sweep("mended", &out));
    let summary = crate::summary(&out);
    let trials = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    assert_eq!(summary["recommended"]["num_workers"], 8, "{trials}");
    assert_eq!(summary["could_have_won"].as_array().unwrap().len(), 0, "{trials}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured() {
    let folder = workspace(4);
    let sweep = |out: &Path| {
        let mut command = tuner();
        command.args(["sweep", "--quiet", "--config"]).arg(folder.path().join("small.toml"));
        command.arg("--out").arg(out).output().unwrap()
    };
    // Nothing can be made there, whoever asks.
    assert_refused_with(1, &sweep(Path::new("/proc/self/sweep")), &["/proc/self/sweep"]);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_refused_with(1, &sweep(&file.join("sweep")), &["file/sweep"]);
}

#[test]
fn a_full_disk_is_said_and_what_was_measured_can_be_gone_on_with() {
    let folder = workspace(20);
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&disk).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=32k", "tmpfs"]);
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let sweep = |more: &[&str]| {
        let mut command = tuner();
        command.args(["sweep", "--quiet", "--config"]).arg(folder.path().join("small.toml"));
        command.args(["--batch-size", "4", "--repeats", "1"]);
        command.arg("--out").arg(disk.join("out")).args(more).output().unwrap()
    };
    let output = sweep(&[]);
    let enlarged = mount(&["-o", "remount,size=64m"]);
    let again = sweep(&["--resume"]);
    let read_only = mount(&["-o", "remount,ro"]);
    let refused = sweep(&["--resume"]);
    let unmounted = Command::new("umount").arg(&disk).output();
    assert_refused_with(1, &output, &["cannot write", "disk/out"]);
    assert!(stderr(&output).contains("No space left"), "{}", stderr(&output));
    assert!(enlarged.is_ok_and(|output| output.status.success()));
    assert_success(&again);
    assert!(read_only.is_ok_and(|output| output.status.success()));
    assert_refused_with(1, &refused, &["disk/out", "Read-only file system"]);
    assert!(unmounted.is_ok_and(|output| output.status.success()));
}
