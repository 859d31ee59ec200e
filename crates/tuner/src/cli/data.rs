//! `tuner data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{print, print_json};
use crate::config::StandIn;
use crate::data::ImagenetLike;
use crate::{TunerError, dataset};

#[derive(Debug, Subcommand)]
pub(super) enum DataCommand {
    /// Makes one of the known data sets.
    #[command(subcommand)]
    Make(MakeCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum MakeCommand {
    /// JPEG files in class folders with the sizes of ImageNet's, cut from a few photographs.
    ImagenetLike(ImagenetLikeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ImagenetLikeArgs {
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

pub(super) fn run(command: DataCommand) -> Result<(), TunerError> {
    match command {
        DataCommand::Make(MakeCommand::ImagenetLike(args)) => make(args),
    }
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
