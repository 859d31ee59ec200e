//! Trials that end badly, each in its own way: one failed row with what the process said last, and the
//! sweep goes on. The programs are the ignored tests here; see `own_sweep`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::{assert_refused_with, assert_success, stderr, tuner, workspace};
use loader::{Dataset, Dtype, Field, SampleError, Slot};
use serde_json::Value;
use tuner::Sweep;
use tuner::config::SweepConfig;

const OUT: &str = "MISBEHAVING_OUT";
const HOW: &str = "MISBEHAVING_HOW";

/// Loads well on the training loop's own thread, and does what [`HOW`] says on a worker of a trial.
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
        let on_worker = thread.name().is_some_and(|name| name.contains("worker"));
        if on_worker && std::env::var_os("TUNER_TRIAL").is_some() {
            misbehave(&std::env::var(HOW).unwrap_or_default());
        }
        Ok(())
    }
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
        "hang" => std::thread::sleep(Duration::from_secs(3600)),
        "memory" => {
            let held = std::hint::black_box(vec![1_u8; 600 << 20]);
            std::thread::sleep(Duration::from_secs(3600));
            drop(held);
        }
        _ => {}
    }
}

#[test]
#[ignore = "a program that the tests start"]
fn program() {
    let config = SweepConfig {
        batch_size: vec![8],
        num_workers: vec![0, 1],
        prefetch_depth: vec![2],
        repeats: 1,
        max_repeats: 1,
        confirm: 0,
        warmup_s: 0.0,
        measure_s: 0.02,
        // Long enough for good trials, on a busy machine too.
        timeout_s: if std::env::var(HOW).is_ok_and(|how| how == "hang") { 10.0 } else { 60.0 },
        memory_limit_bytes: Some(500 << 20),
        ..SweepConfig::default()
    };
    Sweep::new(config).out(std::env::var_os(OUT).unwrap()).quiet(true).run(|| Misbehaving).unwrap();
}

fn sweep(how: &str, out: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "misbehaving::program", "--ignored", "--nocapture"]);
    command.env(OUT, out).env(HOW, how).output().unwrap()
}

#[test]
fn a_trial_that_ends_badly_is_one_failed_row_and_the_sweep_goes_on() {
    for (how, parts) in [
        ("abort", &["SIGABRT", "the last words"][..]),
        ("exit", &["exit status: 7", "the last words"]),
        ("rubbish", &["no result but", "figures", "the last words"]),
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
