//! `tuner preproc`.

use std::path::PathBuf;

use clap::Args;

use super::{SourceArgs, command_line, print, print_json, utf8};
use crate::preprocessing::{self, PreprocOptions, report};
use crate::progress_bar::{progress_bar, style};
use crate::{TunerError, files, profile};

/// The arguments of `tuner preproc`.
#[derive(Debug, Args)]
pub(super) struct PreprocArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Batch sizes to measure.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,128", value_name = "N,N", value_parser = batch_size)]
    batch_sizes: Vec<usize>,
    /// Transforms to measure [default: all, and `compose`: the plan as a whole].
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    transforms: Option<Vec<String>>,
    /// Measure again through a cache of results, keyed by shape; hits and misses are told apart.
    #[arg(long)]
    enable_caching: bool,
    /// The folder to write to [default: preproc/<config>/<UTC time>].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Samples in a batch.
fn batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (1..=1 << 24).contains(&size) => Ok(size),
        _ => Err("numbers from 1 to 16777216, as `1,8,32`".to_owned()),
    }
}

pub(super) fn run(args: PreprocArgs) -> Result<(), TunerError> {
    let config = args.source.read()?;
    let quiet = args.source.quiet;
    if args.source.json {
        utf8("--out", args.out.as_deref())?;
    }
    let out = args.out.unwrap_or_else(|| profile::default_path("preproc", &args.source.config));
    files::check_folder(&out)?;
    args.source.prepare(&config)?;
    let options = PreprocOptions {
        batch_sizes: args.batch_sizes,
        transforms: args.transforms,
        enable_caching: args.enable_caching,
    };
    let bar = progress_bar(0, quiet);
    bar.set_style(style("{bar:40} {pos}/{len} {msg}, {eta} left"));
    let found = preprocessing::run(&config, &options, |row, rows| {
        bar.set_length(rows as u64);
        bar.set_message(row.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let found = found?;
    preprocessing::write(&found, &out, &command_line())?;
    if args.source.json {
        print_json(&found)?;
    } else {
        let text = if quiet { String::new() } else { format!("{}\n", report::terminal(&found)) };
        print(&format!("{text}Report: {}", out.join("preproc.md").display()))?;
    }
    // Last, so that the reasons are there whatever came of it.
    found.check()
}
