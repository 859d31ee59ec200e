//! `tuner explain`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use profiler::report::human::moment;

use super::{print, print_json};
use crate::TunerError;
use crate::explain::{self, Explanation};

/// The arguments of `tuner explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The settings that a sweep wrote, in its folder.
    #[arg(value_name = "RECOMMENDED.toml")]
    recommended: PathBuf,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ExplainArgs) -> Result<(), TunerError> {
    let found = explain::settings(&args.recommended)?;
    if args.json { print_json(&found) } else { print(show(&found).trim_end()) }
}

fn show(found: &Explanation) -> String {
    let mut text = String::new();
    if !found.as_recommended {
        let _ = writeln!(
            text,
            "The file says {}, but the sweep recommends another setting: it was changed.\n",
            found.setting
        );
    }
    let _ = writeln!(
        text,
        "{}\n\nWhy, by the objective `{}`, in the sweep of {}:",
        found.closing.lines(),
        found.objective,
        moment(&found.started)
    );
    for evidence in &found.evidence {
        let _ = writeln!(text, "- {evidence}");
    }
    if let Some(runner_up) = found.runner_up {
        let _ = writeln!(text, "- next by rank: {runner_up}");
    }
    for warning in &found.warnings {
        let _ = writeln!(text, "Warning: {warning}.");
    }
    let _ = writeln!(text, "\nDoes it still match?");
    for it in &found.matches {
        let answer = match it.matches {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let _ = writeln!(text, "- {}: {answer}, {}", it.what, it.words);
    }
    text
}
