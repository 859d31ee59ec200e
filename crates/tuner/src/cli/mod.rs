//! The command line.

mod apply;
mod bench;
mod compare;
mod data;
mod explain;
mod history;
mod predict;
mod preproc;
mod profile;
mod self_test;
mod show_batch;
mod sweep;
mod verify;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use crossbeam::channel::{Receiver, bounded};
use loader::Settings;
use loader::error::Report;
use serde::Serialize;

use crate::{Config, TunerError, dataset};

/// Finds the batch size, worker count and prefetch depth that serve a training program best.
#[derive(Debug, Parser)]
#[command(name = "tuner", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures every setting of a grid and writes the best to `recommended.toml`.
    Sweep(Box<sweep::SweepArgs>),
    /// Measures one setting.
    Bench(bench::BenchArgs),
    /// Loads with one setting under the profiler, and reports what took the time.
    Profile(profile::ProfileArgs),
    /// Measures the transforms one by one, at each batch size, and as planned.
    Preproc(preproc::PreprocArgs),
    /// Compares two profiles, or two sweeps. Exit code 1: something became worse; 2: they cannot be
    /// compared.
    Compare(compare::CompareArgs),
    /// Installs the settings of a sweep in the file that a training program reads, or takes them back.
    Apply(apply::ApplyArgs),
    /// Says why a sweep's settings are what they are, and whether machine and data are still the same.
    Explain(explain::ExplainArgs),
    /// Measures whether a sweep's settings still stand beside the default, or the default beside the next
    /// best. Exit code 1: they drifted or are wrong; 2: it cannot be told.
    Verify(verify::VerifyArgs),
    /// Lists past sweeps.
    History(history::HistoryArgs),
    /// Predicts what settings would give that were not measured, from past sweeps of this machine.
    Predict(predict::PredictArgs),
    /// Measures what the profiler itself costs, beside what is promised. Exit code 1: a promise does
    /// not hold.
    SelfTest(self_test::SelfTestArgs),
    /// Writes the batches that training would get, to look at.
    ShowBatch(show_batch::ShowBatchArgs),
    /// Makes data.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Measures one setting for a sweep, which writes the task to standard input.
    #[command(hide = true)]
    Trial,
}

/// Where configuration and data come from.
#[derive(Debug, Args)]
struct SourceArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder of the data, instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Say nothing but errors and results.
    #[arg(long)]
    quiet: bool,
}

/// One setting; what is not given comes from the configuration.
#[derive(Debug, Args)]
struct SettingArgs {
    /// Samples in a batch.
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Threads that load samples.
    #[arg(long, value_name = "N")]
    num_workers: Option<usize>,
    /// Batches that are ready or being filled.
    #[arg(long, value_name = "N")]
    prefetch_depth: Option<usize>,
}

/// Reads the arguments, does what they ask for, and gives the exit code.
pub fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .with_target(false)
        // It would be reported on the very stream that failed, and panic.
        .log_internal_errors(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where even the message cannot be written, the exit code is all that is left.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { refusal(1) } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Sweep(args) => sweep::run(*args).map(success),
        Command::Bench(args) => bench::run(args).map(success),
        Command::Profile(args) => profile::run(args).map(success),
        Command::Preproc(args) => preproc::run(args).map(success),
        Command::Compare(args) => compare::run(&args),
        Command::Apply(args) => apply::run(&args).map(success),
        Command::Explain(args) => explain::run(&args).map(success),
        Command::Verify(args) => verify::run(&args),
        Command::History(args) => history::run(&args).map(success),
        Command::Predict(args) => predict::run(&args).map(success),
        Command::SelfTest(args) => self_test::run(&args),
        Command::ShowBatch(args) => show_batch::run(args).map(success),
        Command::Data(command) => data::run(command).map(success),
        Command::Trial => crate::sweep::trial::child_main().map(success),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // Where nobody listens, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: {}", Report(&error));
            ExitCode::from(refusal(error.exit_code()))
        }
    }
}

/// The exit code where a command could not do what it was asked: `code`, or 2 for those whose 1 is
/// an answer.
fn refusal(code: u8) -> u8 {
    const ANSWERS: [&str; 3] = ["compare", "self-test", "verify"];
    let command = std::env::args_os().nth(1);
    let answers = command.is_some_and(|command| ANSWERS.iter().any(|it| command == *it));
    if answers && code == 1 { 2 } else { code }
}

/// Receives when the user presses Ctrl-C or the process is asked to end.
fn on_interrupt() -> Result<Receiver<()>, TunerError> {
    let (sender, receiver) = bounded(1);
    let handler = move || {
        // Full: it has been asked for already.
        let _ = sender.try_send(());
    };
    ctrlc::set_handler(handler).map_err(|error| TunerError::Bug(error.to_string()))?;
    Ok(receiver)
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// Seconds, more than none.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, from 0.001 to 86400".to_owned()),
    }
}

impl SourceArgs {
    fn read(&self) -> Result<Config, TunerError> {
        let mut config = Config::read(&self.config)?;
        if let Some(root) = &self.root {
            config.dataset.set_root(root.clone())?;
        }
        config.validate()?;
        Ok(config)
    }

    /// Has the data made if it is missing. All that can be refused was checked before.
    fn prepare(&self, config: &Config) -> Result<(), TunerError> {
        dataset::prepare(&config.dataset, self.quiet)
    }
}

/// Refuses a path that cannot be written down as text, as JSON is.
fn utf8(flag: &'static str, path: Option<&Path>) -> Result<(), TunerError> {
    match path {
        Some(path) if path.to_str().is_none() => {
            Err(TunerError::NotUtf8 { flag, path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

impl SettingArgs {
    fn over(&self, settings: &Settings) -> Result<Settings, TunerError> {
        let settings = Settings {
            batch_size: self.batch_size.unwrap_or(settings.batch_size),
            num_workers: self.num_workers.unwrap_or(settings.num_workers),
            prefetch_depth: self.prefetch_depth.unwrap_or(settings.prefetch_depth),
            ..settings.clone()
        };
        settings.validate()?;
        Ok(settings)
    }
}

/// The command line as it would be typed.
pub(crate) fn command_line() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or(&program).to_owned();
    let words = std::iter::once(program).chain(std::env::args_os().skip(1));
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let words = words.iter().map(String::as_str);
    // Only a zero byte cannot be quoted, and no argument holds one.
    shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
}

fn print_json(value: &impl Serialize) -> Result<(), TunerError> {
    let line = serde_json::to_string(value).map_err(|error| TunerError::Bug(error.to_string()))?;
    print(&line)
}

/// Prints a line, or lines, on standard output. A reader that has gone, such as `head`, is no
/// error.
fn print(text: &str) -> Result<(), TunerError> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(TunerError::file("write", Path::new("standard output"))(error))
        }
        _ => Ok(()),
    }
}
