//! `tuner profile`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{SettingArgs, SourceArgs, print, print_json, seconds, utf8};
use crate::profile::{self, ProfileOptions};
use crate::{TunerError, dataset, progress_bar};

/// The arguments of `tuner profile`.
#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Seconds to measure, after a second or more of warming up.
    #[arg(long, default_value_t = 10.0, value_name = "S", value_parser = seconds)]
    measure_s: f64,
    /// Wait so long after each batch, as if training on it.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    step_ms: u64,
    /// The folder of the report [default: profiles/<config>/<UTC time>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: ProfileArgs) -> Result<(), TunerError> {
    let config = args.source.read()?;
    let settings = args.setting.over(&config.loader)?;
    if args.source.json {
        utf8("--out", args.out.as_deref())?;
    }
    let name = args.source.config.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.replace(char::is_control, "-");
    let out = args.out.unwrap_or_else(|| profile::default_path("profiles", &args.source.config));
    let options = ProfileOptions {
        name,
        measure_s: args.measure_s,
        step: Duration::from_millis(args.step_ms),
        out,
    };
    dataset::prepare(&config.dataset, args.source.quiet)?;
    let bar = progress_bar::spinner(args.source.quiet);
    let profiled = profile::run(&config, settings, &options, || bar.inc(1))?;
    bar.finish_and_clear();
    if args.source.json {
        return print_json(&profiled);
    }
    let (profile, out) = (&profiled.profile, options.out.display());
    let mut text = String::new();
    if !args.source.quiet {
        text = format!("{}\n{}\n", profile_line(profile), profiled.summary);
    }
    print(&format!("{text}Report: {out}/report.html, {out}/report.md"))
}

fn profile_line(profile: &profile::DataLoadingProfile) -> String {
    let figures = &profile.figures;
    let bottlenecks: Vec<_> =
        profile.bottlenecks.iter().map(|it| format!("{it} ({})", it.meaning())).collect();
    let found = match bottlenecks.is_empty() {
        true => "none".to_owned(),
        false => bottlenecks.join(", "),
    };
    format!(
        "{}: {:.0} samples/s, {:.1} batches/s; score {:.1}\ndocumented bottlenecks: {found}\n",
        profile.cell, figures.samples_per_s, figures.batches_per_s, profile.score
    )
}
