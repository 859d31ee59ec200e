//! `tuner apply`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::{print, print_json};
use crate::TunerError;
use crate::apply::{self, Applied, Change};

/// The arguments of `tuner apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The settings to install, such as a sweep's `recommended.toml`.
    #[arg(value_name = "RECOMMENDED.toml", required_unless_present = "rollback")]
    recommended: Option<PathBuf>,
    /// The file to install them in: its `[loader]` table is changed, the rest stays. Made if it is
    /// missing.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Make the file what it was before settings were last installed in it.
    #[arg(long, conflicts_with = "recommended")]
    rollback: bool,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ApplyArgs) -> Result<(), TunerError> {
    let Some(recommended) = &args.recommended else {
        let done = apply::roll_back(&args.to)?;
        return match args.json {
            true => print_json(&done),
            false => print(&format!(
                "`{}` is as it was before; what it was till now is in `{}`",
                done.to.display(),
                done.undone.display()
            )),
        };
    };
    let done = apply::apply(recommended, &args.to)?;
    if args.json { print_json(&done) } else { print(show(&done).trim_end()) }
}

fn show(done: &Applied) -> String {
    let to = done.to.display();
    let mut text = match done.changes.len() {
        0 => format!("`{to}` has these settings already\n"),
        _ => format!("`{to}`, `[loader]`:\n"),
    };
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
    for Change { key, before, swept } in &done.changes {
        let _ = writeln!(text, "  {key} = {} (was {})", value(swept), value(before));
    }
    for Change { key, before, swept } in &done.kept {
        let _ = writeln!(
            text,
            "  {key} = {} stays (in the sweep: {}): it changes the training",
            value(before),
            value(swept)
        );
    }
    if let Some(backup) = &done.backup {
        let _ = writeln!(
            text,
            "Before: `{}`; take it back with `tuner apply --rollback --to '{to}'`",
            backup.display()
        );
    }
    text
}
