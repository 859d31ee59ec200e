//! From a configuration to a data set; made first, if it is missing and there is a stand-in.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loader::ImageFolder;

use crate::config::{DatasetConfig, DatasetKind, StandIn, StandInKind};
use crate::data::{ImagenetLike, Made};
use crate::{Config, TunerError};

/// Sees to it that the data is there; says on stderr when it is, or becomes, a stand-in.
///
/// # Errors
/// If the data is missing and cannot be made.
pub fn prepare(config: &DatasetConfig, quiet: bool) -> Result<(), TunerError> {
    let DatasetConfig { root, stand_in, .. } = config;
    if root.is_dir() {
        let made = Made::read(root)?;
        if let (Some(made), false) = (made, quiet) {
            // Nobody may be left to read it.
            let _ = writeln!(
                io::stderr(),
                "note: the data in `{}` is a stand-in, {} images cut from {} photographs; for \
                 real data give its folder by `--root` or in the configuration",
                root.display(),
                made.images,
                made.photos.len()
            );
        }
        return Ok(());
    }
    let Some(stand_in) = stand_in else {
        let hint = "give the folder that holds the class folders by `--root`, or as `root` in \
                    the configuration";
        return Err(TunerError::NoData { root: root.clone(), hint: hint.to_owned() });
    };
    if !quiet {
        let _ = writeln!(
            io::stderr(),
            "note: there is no data in `{}`: making a stand-in there, {} images; for real data \
             give its folder by `--root` or in the configuration",
            root.display(),
            stand_in.images
        );
    }
    let StandIn { kind: StandInKind::ImagenetLike, images, seed, photos } = stand_in;
    let recipe =
        ImagenetLike { images: *images, seed: *seed, out: root.clone(), photos: photos.clone() };
    make(&recipe, quiet)?;
    Ok(())
}

/// Makes a data set under a progress bar.
///
/// # Errors
/// See [`ImagenetLike::make`].
pub fn make(recipe: &ImagenetLike, quiet: bool) -> Result<Made, TunerError> {
    let bar = progress_bar(recipe.images as u64, quiet);
    bar.set_style(style("{bar:40} {pos}/{len} images, {eta} left"));
    let made = recipe.make(|| bar.inc(1));
    bar.finish_and_clear();
    Ok(made?)
}

/// Opens the data set of a configuration.
///
/// # Errors
/// If the transforms make no sense or the data cannot be listed.
pub fn open(config: &Config) -> Result<ImageFolder, TunerError> {
    match config.dataset.kind {
        DatasetKind::ImageFolder => Ok(ImageFolder::open(&config.dataset.root, config.compose()?)?),
    }
}

/// A progress bar on stderr; hidden where that is no terminal or `quiet` is asked for.
pub(crate) fn progress_bar(length: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    ProgressBar::with_draw_target(Some(length), target)
}

/// A count of batches on stderr, where the end is not known.
pub(crate) fn spinner(quiet: bool) -> ProgressBar {
    let bar = progress_bar(0, quiet);
    bar.set_style(style("{spinner} {pos} batches, {per_sec}, {elapsed}"));
    bar
}

/// A style from a template of this crate.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
