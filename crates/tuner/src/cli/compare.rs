//! `tuner compare`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use profiler::compare::CompareOptions;

use super::{print, print_json};
use crate::{TunerError, compare};

/// The arguments of `tuner compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The earlier `session.json` of a profile, or `summary.json` of a sweep.
    #[arg(value_name = "A.json")]
    a: PathBuf,
    /// The later one, of the same kind.
    #[arg(value_name = "B.json")]
    b: PathBuf,
    /// The share by which something must become worse to count.
    #[arg(long, default_value_t = CompareOptions::default().threshold, value_name = "SHARE")]
    threshold: f64,
    /// Compare what was measured on different machines or data all the same.
    #[arg(long)]
    force: bool,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompareArgs) -> Result<ExitCode, TunerError> {
    let options = CompareOptions { threshold: args.threshold, force: args.force };
    let found = compare::files(&args.a, &args.b, options)?;
    if args.json {
        print_json(&found)?;
    } else {
        print(&found.to_string())?;
    }
    Ok(if found.has_regression() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
