//! One trial: a setting measured in a process of its own.
//!
//! The sweep runs this program again with the command `trial` (a program of one's own as
//! [`crate::Sweep`] says), writes a [`TrialSpec`] as JSON to its standard input and reads `Told` as
//! JSON from the last line of its standard output. So memory figures are clean, and a crash or an
//! out-of-memory kill is one failed row.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crossbeam::channel::{Receiver, after, bounded, never, tick};
use crossbeam::select;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::grid::Cell;
use crate::config::{DatasetConfig, SweepConfig};
use crate::consumer::Consumer;
use crate::{Config, own_sweep};

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

    /// In turn with the setting `cell`, if that can be: not where it would find in the page cache what
    /// the other has read, and not where a model is trained, whose memory could not be told apart.
    pub fn in_turn_with(self, cell: Cell) -> Self {
        let SweepConfig { turn_s, cache, consumer, .. } = &self.config.sweep;
        let can = *turn_s > 0.0 && *cache != Cache::Cold && !matches!(consumer, Consumer::Model(_));
        Self { reference: can.then_some(cell), ..self }
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
    if status.signal() == Some(rustix::process::Signal::KILL.as_raw()) {
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
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let outcome = wait(&mut child, &stdout, spec, interrupt);
    if outcome.is_err() {
        // Gone already, mostly; killing it then fails, and waiting frees its entry.
        let _ = child.kill();
    }
    let status = child.wait()?;
    // A process that it started and left behind may keep the stream open.
    let stderr = stderr.recv_timeout(LEFT_BEHIND).unwrap_or_default();
    let stdout = match outcome {
        Ok(stdout) => stdout,
        Err(Ended::Interrupted) => return Err(TrialFailure::Interrupted),
        Err(Ended::Timeout(after)) => return Err(TrialFailure::Timeout { after, stderr }),
        Err(Ended::OverMemory { held_bytes, limit_bytes }) => {
            return Err(TrialFailure::OverMemory { held_bytes, limit_bytes, stderr });
        }
    };
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

/// Waits for what the child prints, and then for its end.
fn wait(
    child: &mut Child,
    stdout: &Receiver<String>,
    spec: &TrialSpec,
    interrupt: &Receiver<()>,
) -> Result<String, Ended> {
    let timeout = Duration::from_secs_f64(spec.config.sweep.timeout_s);
    let (deadline, look) = (after(timeout), tick(LOOK));
    let (pid, limit_bytes) = (child.id(), spec.memory_limit_bytes);
    let text = loop {
        select! {
            recv(stdout) -> text => break text.unwrap_or_default(),
            recv(interrupt) -> _ => return Err(Ended::Interrupted),
            recv(deadline) -> _ => return Err(Ended::Timeout(timeout)),
            recv(look) -> _ => match anonymous_bytes(pid) {
                Some(held_bytes) if held_bytes > limit_bytes => {
                    return Err(Ended::OverMemory { held_bytes, limit_bytes });
                }
                _ => {}
            },
        }
    };
    // Mostly it ends at once; one that has only closed its output must not be waited for for ever.
    let soon = tick(SOON);
    while let Ok(None) = child.try_wait() {
        select! {
            recv(soon) -> _ => {}
            recv(interrupt) -> _ => return Err(Ended::Interrupted),
            recv(deadline) -> _ => return Err(Ended::Timeout(timeout)),
        }
    }
    Ok(text)
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

/// Reads a stream to its end on a thread of its own, which ends when the child has.
fn read_all(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let Some(mut stream) = stream else { return never() };
    let (sender, receiver) = bounded(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe ends the stream as well as an end does.
        let _ = stream.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
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
