//! `tuner history`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use profiler::report::human::{moment, number};

use super::{print, print_json};
use crate::TunerError;
use crate::history::{self, History};
use crate::table;

/// The arguments of `tuner history`.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Where sweeps are.
    #[arg(value_name = "DIR", default_value = "sweeps")]
    folder: PathBuf,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &HistoryArgs) -> Result<(), TunerError> {
    let history = history::of(&args.folder)?;
    if args.json {
        return print_json(&history);
    }
    print(show(&history, &args.folder).trim_end())
}

fn show(history: &History, folder: &std::path::Path) -> String {
    let mut text = String::new();
    if history.sweeps.is_empty() {
        let _ = writeln!(text, "no finished sweep in `{}`", folder.display());
    } else {
        let header =
            ["begun", "folder", "recommended", "samples/s", "score", "by the default", "machine"];
        let rows = history.sweeps.iter().map(|sweep| {
            let by = match (sweep.ratio, sweep.ratio_interval) {
                (Some(ratio), Some([low, high])) => format!("{ratio:.2} ({low:.2} to {high:.2})"),
                (Some(ratio), None) => format!("{ratio:.2}"),
                (None, _) => "n/a".to_owned(),
            };
            [
                moment(&sweep.started),
                sweep.path.display().to_string(),
                sweep.recommended.to_string(),
                number(sweep.samples_per_s, 0),
                number(sweep.score, 1),
                by,
                sweep.machine.clone(),
            ]
        });
        let _ = writeln!(text, "{}", table::markdown(header, rows));
    }
    for sweep in &history.unreadable {
        let _ = writeln!(text, "{}: {}", sweep.path.display(), sweep.reason);
    }
    text
}
