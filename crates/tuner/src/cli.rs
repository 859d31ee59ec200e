//! The command line.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use crossbeam::channel::{Receiver, bounded};
use loader::Settings;
use loader::error::Report;
use serde::Serialize;

use crate::config::StandIn;
use crate::data::ImagenetLike;
use crate::{Config, TunerError, bench, dataset, files, show_batch, sweep};

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
    Sweep(SweepArgs),
    /// Measures one setting.
    Bench(BenchArgs),
    /// Writes the batches that training would get, to look at.
    ShowBatch(ShowBatchArgs),
    /// Makes data.
    #[command(subcommand)]
    Data(DataCommand),
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

#[derive(Debug, Args)]
struct SweepArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Batch sizes to try.
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    batch_size: Option<Vec<usize>>,
    /// Worker counts to try.
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    num_workers: Option<Vec<usize>>,
    /// Prefetch depths to try.
    #[arg(long, value_delimiter = ',', value_name = "N,N")]
    prefetch_depth: Option<Vec<usize>>,
    /// Processes for each setting.
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// Seconds before a measurement, at least.
    #[arg(long, value_name = "S")]
    warmup_s: Option<f64>,
    /// Seconds that a measurement takes, at least.
    #[arg(long, value_name = "S")]
    measure_s: Option<f64>,
    /// Seconds after which a trial is ended.
    #[arg(long, value_name = "S")]
    timeout_s: Option<f64>,
    /// What the order of the trials is drawn from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where to write [default: sweeps/<config>/<UTC time>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the sweep in `--out`, or with the latest of this configuration.
    #[arg(long)]
    resume: bool,
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

#[derive(Debug, Args)]
struct BenchArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Epochs to measure, after one for warming up.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// Wait so long after each batch, as if training on it.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    step_ms: u64,
    /// Measure instead how fast libjpeg-turbo alone decodes the same files in full, on as many
    /// threads as there are workers.
    #[arg(long)]
    decode_only: bool,
}

#[derive(Debug, Args)]
struct ShowBatchArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// How many batches.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = batches)]
    batches: usize,
    /// The file of tensors: `images`, `labels`, `indices`.
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// A contact sheet of the images.
    #[arg(long, value_name = "FILE.png")]
    png: Option<PathBuf>,
}

fn batches(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(batches) => Ok(batches),
        Err(_) => Err("not a number".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Makes one of the known data sets.
    #[command(subcommand)]
    Make(MakeCommand),
}

#[derive(Debug, Subcommand)]
enum MakeCommand {
    /// JPEG files in class folders with the sizes of ImageNet's, cut from a few photographs.
    ImagenetLike(ImagenetLikeArgs),
}

#[derive(Debug, Args)]
struct ImagenetLikeArgs {
    /// How many images.
    #[arg(long, default_value_t = StandIn::default_images(), value_name = "N")]
    images: usize,
    /// What they are drawn from: the same seed gives the same bytes.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The folder of the photographs.
    #[arg(long, default_value_os_t = StandIn::default_photos(), value_name = "DIR")]
    photos: PathBuf,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Say nothing but errors.
    #[arg(long)]
    quiet: bool,
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
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let done = match cli.command {
        Command::Sweep(args) => sweep(args),
        Command::Bench(args) => bench(args),
        Command::ShowBatch(args) => show_batch(args),
        Command::Data(DataCommand::Make(MakeCommand::ImagenetLike(args))) => make(args),
        Command::Trial => sweep::trial::child_main(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody listens, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: {}", Report(&error));
            ExitCode::from(error.exit_code())
        }
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

fn sweep(args: SweepArgs) -> Result<(), TunerError> {
    let mut config = args.source.read()?;
    let sweep = &mut config.sweep;
    set(&mut sweep.batch_size, args.batch_size);
    set(&mut sweep.num_workers, args.num_workers);
    set(&mut sweep.prefetch_depth, args.prefetch_depth);
    set(&mut sweep.repeats, args.repeats);
    set(&mut sweep.warmup_s, args.warmup_s);
    set(&mut sweep.measure_s, args.measure_s);
    set(&mut sweep.timeout_s, args.timeout_s);
    set(&mut sweep.seed, args.seed);
    config.validate()?;
    // Into `plan.json` and to the trials it goes as text.
    utf8("--root", args.source.root.as_deref())?;
    match &args.out {
        Some(out) => sweep::output::check(out, args.resume)?,
        None => {
            let out = sweep::output::default_path(&args.source.config, args.resume);
            sweep::output::check(&out, args.resume)?;
        }
    }
    args.source.prepare(&config)?;
    let options = sweep::Options {
        config_path: args.source.config,
        out: args.out,
        resume: args.resume,
        quiet: args.source.quiet,
        command: command_line(),
    };
    // From here on Ctrl-C ends a trial, not the program at once.
    let finished = sweep::run(&config, &options, &on_interrupt()?)?;
    if args.source.json {
        return print_json(&finished);
    }
    let mut text = String::new();
    if !args.source.quiet {
        text += &format!("{}\n", sweep::report::terminal(&finished.summary)?);
    }
    print(&(text + &show(&finished.path)))
}

/// A flag that was given wins over the configuration.
fn set<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}

/// The files a sweep leaves, for people.
fn show(path: &Path) -> String {
    let path = path.display();
    format!("Settings: {path}/recommended.toml\nReport:   {path}/report.md")
}

/// The command line as it would be typed.
fn command_line() -> String {
    let mut words = vec!["tuner".to_owned()];
    words.extend(std::env::args_os().skip(1).map(|word| {
        let word = word.to_string_lossy();
        match word.contains([' ', '\'', '"']) {
            true => format!("'{}'", word.replace('\'', r"'\''")),
            false => word.into_owned(),
        }
    }));
    words.join(" ")
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

fn bench(args: BenchArgs) -> Result<(), TunerError> {
    let config = args.source.read()?;
    let settings = args.setting.over(&config.loader)?;
    args.source.prepare(&config)?;
    if args.decode_only {
        let workers = args.setting.num_workers.unwrap_or(0);
        let report = bench::decode_only(&config, workers, args.epochs)?;
        if args.source.json {
            return print_json(&report);
        }
        return print(&format!(
            "{:.0} images/s: libjpeg-turbo alone, {} files decoded in full from memory on {}",
            report.samples_per_s,
            report.samples / args.epochs as usize,
            count(report.num_workers, "thread")
        ));
    }
    let bar = dataset::spinner(args.source.quiet);
    let on_batch = || {
        bar.inc(1);
        thread::sleep(Duration::from_millis(args.step_ms));
    };
    let report = bench::run(&config, settings, args.epochs, on_batch)?;
    bar.finish_and_clear();
    if args.source.json {
        return print_json(&report);
    }
    let bench::BenchReport { samples_per_s, batches_per_s, wall_s, stages, .. } = report;
    let memory = match report.peak_rss_bytes {
        Some(bytes) => format!(", peak memory {} MiB", bytes >> 20),
        None => String::new(),
    };
    print(&format!(
        "{samples_per_s:.0} samples/s, {batches_per_s:.1} batches/s over {wall_s:.1} s; first \
         batch after {:.0} ms\n\
         batch size {}, {}, prefetch depth {}; {:.2} CPU-seconds{memory}\n\
         thread-seconds: read {:.2}, decode {:.2}, transform {:.2}, write {:.2}, other {:.2}, \
         wait for room {:.2}",
        1e3 * report.first_batch_s,
        report.batch_size,
        count(report.num_workers, "worker"),
        report.prefetch_depth,
        report.cpu_s,
        stages.read_s,
        stages.decode_s,
        stages.transform_s,
        stages.write_s,
        stages.other_s,
        stages.wait_room_s
    ))
}

fn show_batch(args: ShowBatchArgs) -> Result<(), TunerError> {
    let config = args.source.read()?;
    let settings = args.setting.over(&config.loader)?;
    if args.source.json {
        utf8("--out", Some(&args.out))?;
        utf8("--png", args.png.as_deref())?;
    }
    files::check(&args.out)?;
    if let Some(png) = &args.png {
        files::check(png)?;
        if files::same(&args.out, png) {
            return Err(TunerError::SameFile { path: args.out });
        }
    }
    args.source.prepare(&config)?;
    let shown = show_batch::run(&config, settings, args.batches, &args.out, args.png.as_deref())?;
    if args.source.json {
        return print_json(&shown);
    }
    let mut text = format!("{}:", shown.out.display());
    for (number, field) in shown.fields.iter().enumerate() {
        text += &match number {
            0 => format!(" {field} {:?},", shown.shape),
            _ => format!(" {field},"),
        };
    }
    text += " indices";
    if let Some(png) = shown.png {
        text += &format!("\n{}: the images, in rows", png.display());
    }
    print(&text)
}

fn make(args: ImagenetLikeArgs) -> Result<(), TunerError> {
    let recipe =
        ImagenetLike { images: args.images, seed: args.seed, out: args.out, photos: args.photos };
    let made = dataset::make(&recipe, args.quiet || args.json)?;
    if args.json {
        return print_json(&made);
    }
    if args.quiet {
        return Ok(());
    }
    print(&format!(
        "{} images in {} classes in `{}`: mean {:.0}x{:.0} pixels, {:.1} KB",
        made.images,
        made.classes,
        recipe.out.display(),
        made.mean_width,
        made.mean_height,
        made.mean_bytes / 1e3
    ))
}

/// `1 worker`, `2 workers`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
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
