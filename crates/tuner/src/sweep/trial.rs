//! One trial: a setting measured in a process of its own.
//!
//! The sweep runs this program again with the command `trial` (a program of one's own as
//! [`crate::Sweep`] says), writes a [`TrialSpec`] as JSON to its standard input and reads `Told` as
//! JSON from the last line of its standard output. So memory figures are clean, and a crash or an
//! out-of-memory kill is one failed row.

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, after, bounded, never, tick};
use crossbeam::select;
use loader::error::Report;
use loader::{LoaderError, Settings};
use profiler::monitor::{Monitor, MonitorOptions};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ceiling;
use super::grid::Cell;
use crate::config::DatasetConfig;
use crate::measure::{
    Figures, LEAST_BATCHES, Measure, Moment, SAMPLING, rss_bytes, warmup_batches,
};
use crate::{Config, TunerError, dataset, own_sweep};

/// What a trial process is to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrialSpec {
    /// Data, transforms, and how long to measure.
    pub config: Config,
    /// What of it.
    pub job: Job,
    /// The process that waits for the result.
    pub parent: i32,
    /// A process that holds more memory, mapped files left out, is ended.
    pub memory_limit_bytes: u64,
}

impl TrialSpec {
    /// For this process, which waits for the result.
    pub(crate) fn new(config: &Config, job: Job, memory_limit_bytes: u64) -> Self {
        let parent = rustix::process::getpid().as_raw_pid();
        Self { config: config.clone(), job, parent, memory_limit_bytes }
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

/// The life of a trial process: reads its task, measures, prints the figures or why there are
/// none.
///
/// # Errors
/// If the task cannot be read or the result not be printed.
pub fn child_main() -> Result<(), TunerError> {
    let spec: TrialSpec = serde_json::from_reader(io::stdin())
        .map_err(|error| TunerError::Bug(format!("a trial without a task: {error}")))?;
    die_with(spec.parent);
    // Nobody listens where the parent is gone.
    let _ = writeln!(io::stdout(), "\n{REACHED}");
    match spec.job {
        Job::Setting(cell) => tell(measure(&spec.config, cell)),
        Job::Ceilings => tell(ceiling::measure(&spec.config)),
    }
}

/// Prints what was measured, or why it could not be.
fn tell<T: Serialize>(outcome: Result<T, TunerError>) -> Result<(), TunerError> {
    let told = match outcome {
        Ok(figures) => Told::Figures(figures),
        Err(error) => {
            Told::Error { message: Report(&error).to_string(), bad_sample: bad_sample(&error) }
        }
    };
    let line = serde_json::to_string(&told).map_err(|e| TunerError::Bug(e.to_string()))?;
    // On a line of its own, whatever was printed before.
    writeln!(io::stdout(), "\n{line}")
        .map_err(TunerError::file("write", Path::new("standard output")))
}

/// The sample that `error` is about, unless the machine was at its limits: a setting with fewer
/// workers may do then.
fn bad_sample(error: &TunerError) -> Option<String> {
    let TunerError::Loader(LoaderError::Sample { index, origin, source }) = error else {
        return None;
    };
    let source: &(dyn Error + 'static) = &**source;
    let mut causes = std::iter::successors(Some(source), |cause| (*cause).source());
    let at_limits = causes.any(|cause| {
        cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error).is_some_and(|errno| {
            [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS].contains(&errno)
        })
    });
    if at_limits {
        return None;
    }
    Some(origin.path().map_or_else(|| format!("sample {index}"), str::to_owned))
}

/// Has the system end this process when its parent ends, however that happens.
fn die_with(parent: i32) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    // Where the system refuses, a trial outlives a killed sweep by seconds.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have ended before.
    if getppid().is_none_or(|now| now.as_raw_pid() != parent) {
        std::process::exit(1);
    }
}

fn measure(config: &Config, cell: Cell) -> Result<Figures, TunerError> {
    let settings = Settings {
        batch_size: cell.batch_size,
        num_workers: cell.num_workers,
        prefetch_depth: cell.prefetch_depth,
        ..config.loader.clone()
    };
    let data = dataset::open(config)?;
    let consumer = &config.sweep.consumer;
    let mut step = consumer.start(data.classes.len().max(LEAST_CLASSES))?;
    let measure = Measure {
        warmup_batches: warmup_batches(&settings),
        warmup_s: config.sweep.warmup_s,
        until_steady: true,
        consumer: consumer.is_some(),
        least_batches: LEAST_BATCHES,
        measure_s: config.sweep.measure_s,
    };
    let monitor = Monitor::start(MonitorOptions::windows(SAMPLING))?;
    let built = (Instant::now(), rss_bytes()?);
    let mut loader = data.builder.settings(settings).build()?;
    let begin = || Ok(monitor.window());
    measure.run(&mut loader, built, monitor.gpus(), begin, |moment| match moment {
        Moment::Batch(batch) => step.take(batch),
        Moment::Ask => Ok(()),
    })
}

/// Where the data does not name its classes, a model is told to expect as many as ImageNet has.
pub(super) const LEAST_CLASSES: usize = 1000;

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

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

    #[test]
    fn a_sample_is_bad_unless_the_machine_was_at_its_limits() {
        let failed = |source: io::Error| {
            let origin = Some("a/1.jpg".to_owned()).into();
            TunerError::Loader(LoaderError::Sample { index: 7, origin, source: source.into() })
        };
        let denied = failed(io::Error::from_raw_os_error(Errno::ACCESS.raw_os_error()));
        assert_eq!(bad_sample(&denied), Some("a/1.jpg".to_owned()));
        let files = failed(io::Error::from_raw_os_error(Errno::MFILE.raw_os_error()));
        assert_eq!(bad_sample(&files), None);
        assert_eq!(bad_sample(&LoaderError::NoSamples.into()), None);
    }
}
