//! One trial: a setting measured in a process of its own.
//!
//! The sweep runs this program again with the command `trial` (a program of one's own as
//! [`crate::Sweep`] says), writes a [`TrialSpec`] as JSON to its standard input and reads `Told` as
//! JSON from the last line of its standard output. So memory figures are clean, and a crash or an
//! out-of-memory kill is one failed row.

use std::io::{self, Read, Write};
use std::mem;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, after, bounded, tick};
use crossbeam::select;
use profiler::monitor::asleep_s;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cache::CacheKeeper;
use super::clock::awake;
use super::grid::Cell;
use crate::config::DatasetConfig;
use crate::{Config, TunerError, own_sweep};

mod child;

pub(super) use child::LEAST_CLASSES;
pub use child::child_main;

/// What a trial process is to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialSpec {
    /// Data, transforms, and how long to measure.
    pub config: Config,
    /// What of it.
    pub job: Job,
    /// The setting that it is measured in turn with, if with any.
    pub reference: Option<Cell>,
    /// The process that waits for the result.
    pub parent: i32,
    /// A process that holds more memory, mapped files left out, is ended.
    pub memory_limit_bytes: u64,
}

impl TrialSpec {
    /// For this process, which waits for the result.
    pub fn new(config: &Config, job: Job, memory_limit_bytes: u64) -> Self {
        let parent = rustix::process::getpid().as_raw_pid();
        Self { config: config.clone(), job, reference: None, parent, memory_limit_bytes }
    }

    /// In turn with the setting `cell`, if [that can be](SweepConfig::in_turns).
    pub fn in_turn_with(self, cell: Cell) -> Self {
        let reference = self.config.sweep.in_turns().then_some(cell);
        Self { reference, ..self }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// A setting: [`Figures`].
    Setting(Cell),
    /// The parts of the way and the memory they take: [`Ceilings`](super::ceiling::Ceilings).
    Ceilings,
}

/// What a trial process prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told<T> {
    /// It measured.
    Figures(T),
    /// It could not.
    Error {
        /// Why.
        message: String,
        /// The sample that could not be loaded, if that is why: its path, or else its number.
        bad_sample: Option<String>,
    },
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum TrialFailure {
    /// Ctrl-C: not the trial's fault.
    #[error("stopped")]
    Interrupted,
    /// The process did not end in time.
    #[error(
        "no result after {after:?}{}\nhint: raise `sweep.timeout_s` if the data is that slow",
        said(stderr)
    )]
    Timeout {
        /// How long was waited.
        after: Duration,
        /// What it wrote.
        stderr: String,
    },
    /// The process took more memory than it may.
    #[error(
        "ended: it held {} MiB of memory, and may take {} MiB{}\nhint: smaller batches take less; \
         `--memory-limit` says what a run may take",
        held_bytes >> 20,
        limit_bytes >> 20,
        said(stderr)
    )]
    OverMemory {
        /// What it held.
        held_bytes: u64,
        /// What it may hold.
        limit_bytes: u64,
        /// What it wrote.
        stderr: String,
    },
    /// The process could not measure.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// The process could not load a sample. That lies in the data: no setting can do better, only
    /// be too slow to come to it.
    #[error("{message}")]
    BadSample {
        /// Its path, or else its number.
        sample: String,
        /// Why.
        message: String,
    },
    /// The process ended badly.
    #[error("the process ended with {status}{}", last_words(status, stderr))]
    Died {
        /// How.
        status: ExitStatus,
        /// What it wrote.
        stderr: String,
    },
    /// The process ended well, but what it printed is no result.
    #[error("the process printed no result but {stdout:?}{}", said(stderr))]
    Rubbish {
        /// What it printed.
        stdout: String,
        /// What it wrote.
        stderr: String,
    },
    /// A program of one's own was started again, but did something else.
    #[error("the program did not come to its sweep; it printed {stdout:?}")]
    NotReached {
        /// What it printed.
        stdout: String,
        /// What it wrote.
        stderr: String,
    },
    /// The process could not be started.
    #[error("cannot start a process")]
    Spawn(#[from] io::Error),
}

/// What a process wrote to its standard error, as the end of a sentence.
fn said(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        said => format!(":\n{said}"),
    }
}

/// What a process that died left to read: all that it wrote, and what a kill may mean.
fn last_words(status: &ExitStatus, stderr: &str) -> String {
    use std::os::unix::process::ExitStatusExt;
    let mut words = said(stderr);
    if status.signal() == Some(Signal::KILL.as_raw()) {
        words += "\nhint: the system kills what takes too much memory; smaller batches take less";
    }
    words
}

/// What a trial gave, and the warnings it wrote on the way.
#[derive(Debug)]
pub struct Measured<T> {
    /// What its [`Job`] asks for.
    pub figures: T,
    /// Lines.
    pub warnings: Vec<String>,
}

/// A trial that was run on data in the page cache as it is asked for.
#[derive(Debug)]
pub(crate) struct Prepared<T> {
    /// What it gave.
    pub(crate) outcome: Result<Measured<T>, TrialFailure>,
    /// See [`CacheKeeper::before_run`].
    pub(crate) resident_share: Option<f64>,
    /// From the start of the process to its end.
    pub(crate) duration_s: f64,
    /// For how long the machine was suspended in each run before, which does not count.
    pub(crate) slept_s: Vec<f64>,
}

/// Runs a trial when `cache` has prepared the data, and all of it again where the machine was suspended
/// meanwhile.
///
/// # Errors
/// As of [`CacheKeeper::before_run`].
pub(crate) fn prepared<T: DeserializeOwned>(
    spec: &TrialSpec,
    cache: &mut CacheKeeper,
    interrupt: &Receiver<()>,
    reading: &(dyn Fn(f64) + Sync),
) -> Result<Prepared<T>, TunerError> {
    let (mut share, mut duration_s, mut slept_s) = (Ok(None), 0.0, Vec::new());
    let run = || {
        share = cache.before_run(interrupt, reading);
        if share.is_err() {
            return Err(TrialFailure::Interrupted);
        }
        let began = Instant::now();
        let outcome = run(spec, interrupt);
        duration_s = began.elapsed().as_secs_f64();
        outcome
    };
    let outcome = awake(asleep_s, |asleep_s| slept_s.push(asleep_s), run);
    Ok(Prepared { resident_share: share?, outcome, duration_s, slept_s })
}

/// Runs a trial and waits for it, at most as long as the configuration allows, or until
/// `interrupt` receives.
///
/// # Errors
/// See [`TrialFailure`].
pub fn run<T: DeserializeOwned>(
    spec: &TrialSpec,
    interrupt: &Receiver<()>,
) -> Result<Measured<T>, TrialFailure> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(std::env::current_exe()?);
    let own = matches!(spec.config.dataset, DatasetConfig::Own(_));
    if own {
        command.args(std::env::args_os().skip(1)).env(own_sweep::TRIAL, "1");
    } else {
        command.arg("trial");
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C on the terminal is for the sweep, which ends the trial itself.
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A child that died before it read says why on stderr.
        let _ = stdin.write_all(&serde_json::to_vec(spec).map_err(io::Error::from)?);
    }
    let (stdout, stderr) = (Stream::read(child.stdout.take()), Stream::read(child.stderr.take()));
    let outcome = wait(&mut child, &stdout, spec, interrupt);
    if outcome.is_err() {
        kill_with_all_it_started(&child);
    }
    let status = child.wait()?;
    if !(stdout.ends_soon() && stderr.ends_soon()) {
        // A process that it left behind would disturb what is measured next.
        kill_with_all_it_started(&child);
    }
    let (stdout, stderr) = (stdout.take(), stderr.take());
    match outcome {
        Ok(()) => {}
        Err(Ended::Interrupted) => return Err(TrialFailure::Interrupted),
        Err(Ended::Timeout(after)) => return Err(TrialFailure::Timeout { after, stderr }),
        Err(Ended::OverMemory { held_bytes, limit_bytes }) => {
            return Err(TrialFailure::OverMemory { held_bytes, limit_bytes, stderr });
        }
    }
    if !status.success() {
        return Err(TrialFailure::Died { status, stderr });
    }
    // A program of one's own may have printed before.
    match serde_json::from_str(stdout.trim_end().lines().next_back().unwrap_or_default()) {
        Ok(Told::Figures(figures)) => Ok(Measured { figures, warnings: warnings(&stderr) }),
        Ok(Told::Error { message, bad_sample: None }) => Err(TrialFailure::Refused { message }),
        Ok(Told::Error { message, bad_sample: Some(sample) }) => {
            Err(TrialFailure::BadSample { sample, message })
        }
        Err(_) if own && !stdout.lines().any(|line| line == REACHED) => {
            Err(TrialFailure::NotReached { stdout, stderr })
        }
        Err(_) => Err(TrialFailure::Rubbish { stdout, stderr }),
    }
}

/// Why a child is not waited for any longer.
enum Ended {
    Interrupted,
    Timeout(Duration),
    OverMemory { held_bytes: u64, limit_bytes: u64 },
}

/// Waits for the child's end.
fn wait(
    child: &mut Child,
    stdout: &Stream,
    spec: &TrialSpec,
    interrupt: &Receiver<()>,
) -> Result<(), Ended> {
    let timeout = Duration::from_secs_f64(spec.config.sweep.timeout_s);
    let (deadline, look) = (after(timeout), tick(LOOK));
    let (pid, limit_bytes) = (child.id(), spec.memory_limit_bytes);
    loop {
        select! {
            recv(stdout.ended) -> _ => break,
            recv(interrupt) -> _ => return Err(Ended::Interrupted),
            recv(deadline) -> _ => return Err(Ended::Timeout(timeout)),
            recv(look) -> _ => match anonymous_bytes(pid) {
                Some(held_bytes) if held_bytes > limit_bytes => {
                    return Err(Ended::OverMemory { held_bytes, limit_bytes });
                }
                // A process that it left behind may keep the stream open.
                _ if !matches!(child.try_wait(), Ok(None)) => break,
                _ => {}
            },
        }
    }
    // Mostly it ends at once; one that has only closed its output must not be waited for for ever.
    let soon = tick(SOON);
    while let Ok(None) = child.try_wait() {
        select! {
            recv(soon) -> _ => {}
            recv(interrupt) -> _ => return Err(Ended::Interrupted),
            recv(deadline) -> _ => return Err(Ended::Timeout(timeout)),
        }
    }
    Ok(())
}

/// Kills the processes of the child's group; those that have ended are not found.
fn kill_with_all_it_started(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// How often a process that has printed its result is asked whether it has ended.
const SOON: Duration = Duration::from_millis(2);
/// How long the rest of a stream is waited for when its process has ended.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How often a process is asked what memory it holds.
const LOOK: Duration = Duration::from_millis(50);

/// What a process holds of memory, shared memory among it, files that it maps left out: those the system
/// can drop. `None` where the kernel does not tell.
fn anonymous_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let figure = |name: &str| {
        let figure = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(1024 * figure.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
    };
    Some(figure("RssAnon:")? + figure("RssShmem:").unwrap_or(0))
}

/// What a process has written to a stream so far.
struct Stream {
    written: Arc<Mutex<Vec<u8>>>,
    /// Disconnected at the end of the stream.
    ended: Receiver<()>,
}

impl Stream {
    /// Reads a stream to its end on a thread of its own, which ends when all have that could write to it.
    fn read(stream: Option<impl Read + Send + 'static>) -> Self {
        let (sender, ended) = bounded(0);
        let this = Self { written: Arc::default(), ended };
        let Some(mut stream) = stream else { return this };
        let written = this.written.clone();
        std::thread::spawn(move || {
            let _ended: Sender<()> = sender;
            let mut chunk = [0; 1 << 13];
            // A broken pipe ends the stream as well as an end does.
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                keep(&mut lock(&written), &chunk[..length]);
            }
        });
        this
    }

    /// Whether it ends; for a stream whose process has ended.
    fn ends_soon(&self) -> bool {
        self.ended.recv_timeout(LEFT_BEHIND) == Err(RecvTimeoutError::Disconnected)
    }

    /// What was written.
    fn take(&self) -> String {
        String::from_utf8_lossy(&mem::take(&mut *lock(&self.written))).into_owned()
    }
}

/// Of what a process writes the beginning and the end are kept, so many bytes of each: one that does not stop
/// must not take the sweep's memory.
const KEPT: usize = 16 << 10;

fn keep(written: &mut Vec<u8>, more: &[u8]) {
    written.extend_from_slice(more);
    // Not each time a little.
    if written.len() > 4 * KEPT {
        let end = written.len() - KEPT;
        drop(written.splice(KEPT..end, *b"\n[...]\n"));
    }
}

fn lock(written: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The warnings among the lines of a log.
fn warnings(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| line.trim_start().strip_prefix("WARN "));
    lines.map(str::to_owned).collect()
}

/// The line that a trial process prints first.
const REACHED: &str = "this is a trial";

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use loader::error::Report;

    use super::*;

    #[test]
    fn what_a_dead_process_wrote_is_kept_whole() {
        let stderr = "thread 'main' panicked at a.rs:1:2:\nno error: here\nerror: this is a bug\n";
        let bug =
            TrialFailure::Died { status: ExitStatus::from_raw(2 << 8), stderr: stderr.into() };
        let text = Report(&bug).to_string();
        assert_eq!(text, format!("the process ended with exit status: 2:\n{}", stderr.trim_end()));
        let killed = TrialFailure::Died { status: ExitStatus::from_raw(9), stderr: String::new() };
        let text = Report(&killed).to_string();
        assert!(text.contains("SIGKILL") && text.contains("\nhint: "), "{text}");
    }

    #[test]
    fn of_what_does_not_end_the_beginning_and_the_end_are_kept() {
        let mut written = Vec::new();
        keep(&mut written, b"first\n");
        for number in 0..100_000 {
            keep(&mut written, format!("line {number}\n").as_bytes());
        }
        keep(&mut written, b"last\n");
        assert!(written.len() <= 4 * KEPT, "{}", written.len());
        let text = String::from_utf8(written).unwrap();
        assert!(text.starts_with("first\nline 0\n") && text.ends_with("line 99999\nlast\n"));
        assert_eq!(text.matches("[...]").count(), 1);
    }

    #[test]
    fn memory_that_a_process_holds_is_seen_from_outside() {
        const SIZE: usize = 64 << 20;
        let before = anonymous_bytes(std::process::id()).unwrap();
        let held = std::hint::black_box(vec![1_u8; SIZE]);
        assert!(anonymous_bytes(std::process::id()).unwrap() > before + SIZE as u64 / 2);
        drop(held);
        assert_eq!(anonymous_bytes(u32::MAX), None);
    }

    #[test]
    fn only_warnings_are_passed_on() {
        let log = "[W 12:00] C++ says\n WARN `pin_memory = true` has no effect\n INFO x\n";
        assert_eq!(warnings(log), ["`pin_memory = true` has no effect"]);
    }
}
