//! `tuner show-batch`.

use std::path::PathBuf;

use clap::Args;

use super::{SettingArgs, SourceArgs, print, print_json, utf8};
use crate::{TunerError, files, show_batch};

/// The arguments of `tuner show-batch`.
#[derive(Debug, Args)]
pub(super) struct ShowBatchArgs {
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

pub(super) fn run(args: ShowBatchArgs) -> Result<(), TunerError> {
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
