//! Progress on stderr.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
