//! `tuner sweep`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{SourceArgs, command_line, on_interrupt, print, print_json, utf8};
use crate::consumer::Consumer;
use crate::sweep::cache::Cache;
use crate::sweep::dry_run::DryRun;
use crate::sweep::objective::Objective;
use crate::sweep::output::{LATEST, latest_path};
use crate::sweep::strategy::Strategy;
use crate::{TunerError, sweep};

/// The arguments of `tuner sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
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
    /// Processes for each setting; with `--max-repeats`, at least.
    #[arg(long, value_name = "N")]
    repeats: Option<usize>,
    /// Processes for a setting that could still be the best, at most.
    #[arg(long, value_name = "N")]
    max_repeats: Option<usize>,
    /// Pairs of processes that hold the best setting against the default, at most.
    #[arg(long, value_name = "N")]
    confirm: Option<usize>,
    /// Which settings are run how often.
    #[arg(long)]
    strategy: Option<Strategy>,
    /// What the best setting is chosen for.
    #[arg(long)]
    objective: Option<Objective>,
    /// What stands in for the training loop: it sleeps so long for each batch, as one with a GPU.
    #[arg(long, value_name = "MS", group = "consumer")]
    step_ms: Option<f64>,
    /// It computes so long for each batch.
    #[arg(long, value_name = "MS", group = "consumer")]
    step_cpu_ms: Option<f64>,
    /// It trains this model, such as `resnet18`.
    #[arg(long, value_name = "NAME", group = "consumer")]
    model: Option<String>,
    /// Memory that a process may take, such as `4GiB`.
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory_limit: Option<u64>,
    /// The state of the page cache before each process.
    #[arg(long)]
    cache: Option<Cache>,
    /// What the sweep may take, such as `2m`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time_budget: Option<f64>,
    /// Seconds before a measurement, at least.
    #[arg(long, value_name = "S")]
    warmup_s: Option<f64>,
    /// Seconds that a measurement takes, at least.
    #[arg(long, value_name = "S")]
    measure_s: Option<f64>,
    /// Seconds of a turn: settings are measured in turns with the default; 0 for in one go.
    #[arg(long, value_name = "S")]
    turn_s: Option<f64>,
    /// Seconds after which a trial is ended.
    #[arg(long, value_name = "S")]
    timeout_s: Option<f64>,
    /// What the order of the trials is drawn from.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where to write [default: sweeps/<config>/<UTC time>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print what would be run, what time and memory it would take, and what would be skipped; run no
    /// trial and write nothing.
    #[arg(long, conflicts_with_all = ["out", "resume"])]
    dry_run: bool,
    /// Go on with the sweep in `--out`, or with the latest of this configuration.
    #[arg(long)]
    resume: bool,
    /// Take over the runs of an earlier sweep as far as they still hold: its folder, or `latest`, the latest
    /// finished one of this configuration.
    #[arg(long, value_name = "SWEEP", conflicts_with = "dry_run")]
    reuse: Option<PathBuf>,
}

pub(super) fn run(args: SweepArgs) -> Result<(), TunerError> {
    let mut config = args.source.read()?;
    let sweep = &mut config.sweep;
    set(&mut sweep.batch_size, args.batch_size);
    set(&mut sweep.num_workers, args.num_workers);
    set(&mut sweep.prefetch_depth, args.prefetch_depth);
    set(&mut sweep.repeats, args.repeats);
    set(&mut sweep.max_repeats, args.max_repeats);
    match (args.repeats, args.max_repeats) {
        (Some(repeats), None) => sweep.max_repeats = repeats,
        (None, Some(most)) => sweep.repeats = sweep.repeats.min(most),
        _ => {}
    }
    set(&mut sweep.confirm, args.confirm);
    set(&mut sweep.strategy, args.strategy);
    sweep.objective = args.objective.or(sweep.objective);
    let consumer = match (args.step_ms, args.step_cpu_ms, args.model) {
        (Some(ms), ..) => Some(Consumer::StepMs(ms)),
        (_, Some(ms), _) => Some(Consumer::StepCpuMs(ms)),
        (.., model) => model.map(Consumer::Model),
    };
    set(&mut sweep.consumer, consumer);
    sweep.memory_limit_bytes = args.memory_limit.or(sweep.memory_limit_bytes);
    set(&mut sweep.cache, args.cache);
    sweep.time_budget_s = args.time_budget.or(sweep.time_budget_s);
    set(&mut sweep.warmup_s, args.warmup_s);
    set(&mut sweep.measure_s, args.measure_s);
    set(&mut sweep.turn_s, args.turn_s);
    set(&mut sweep.timeout_s, args.timeout_s);
    set(&mut sweep.seed, args.seed);
    config.validate()?;
    // Into `plan.json` and to the trials it goes as text.
    utf8("--root", args.source.root.as_deref())?;
    utf8("--reuse", args.reuse.as_deref())?;
    if args.source.json {
        utf8("--out", args.out.as_deref())?;
        utf8("--config", Some(&args.source.config))?;
    }
    if args.dry_run {
        let plan = DryRun::new(&config, &on_interrupt()?)?;
        return match args.source.json {
            true => print_json(&plan),
            false => print(&sweep::dry_run::text(&plan)),
        };
    }
    match &args.out {
        Some(out) => sweep::output::check(out, args.resume)?,
        None => {
            let out = sweep::output::default_path(&args.source.config, args.resume);
            sweep::output::check(&out, args.resume)?;
        }
    }
    let reuse = args.reuse.map(|folder| match folder.as_os_str() == LATEST {
        true => latest_path(&args.source.config),
        false => folder,
    });
    args.source.prepare(&config)?;
    let options = sweep::Options {
        config_path: args.source.config,
        out: args.out,
        resume: args.resume,
        reuse,
        quiet: args.source.quiet,
        command: command_line(),
    };
    // From here on Ctrl-C ends a trial, not the program at once.
    let finished = sweep::run(&config, &options, &on_interrupt()?)?;
    if args.source.json {
        return print_json(&finished);
    }
    if args.source.quiet {
        return print(&show(&finished.path));
    }
    let closing = sweep::report::terminal(&finished.summary)?;
    print(&format!("{closing}\n{}", show(&finished.path)))
}

/// A time such as `2m`, in seconds.
fn duration(text: &str) -> Result<f64, String> {
    match text.parse::<jiff::SignedDuration>() {
        Ok(time) if time.is_positive() => Ok(time.as_secs_f64()),
        _ => Err("a time, such as `90s`, `2m` or `1h 30m`".to_owned()),
    }
}

/// A size such as `4GiB`, in bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let parsed = units.iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
    });
    parsed.ok_or_else(|| "a size, such as `4GiB` or `512MiB`".to_owned())
}

/// A flag that was given wins over the configuration.
fn set<T>(value: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *value = flag;
    }
}

/// Where the files are.
fn show(path: &Path) -> String {
    format!("Files: {}: recommended.toml, report.html, report.md", path.display())
}
