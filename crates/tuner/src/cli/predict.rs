//! `tuner predict`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use profiler::report::human::percent;

use super::{print, print_json};
use crate::config::SweepConfig;
use crate::predict::{self, Predicted, Predictions};
use crate::sweep::grid;
use crate::sweep::words::{count, hundredths, whole};
use crate::{TunerError, table};

/// The arguments of `tuner predict`.
#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// A sweep's folder, or one with sweeps in it.
    #[arg(value_name = "SWEEPS", default_value = "sweeps")]
    folder: PathBuf,
    /// Batch sizes.
    #[arg(
        long, required = true, value_delimiter = ',', value_name = "N,N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1 << 24)
    )]
    batch_size: Vec<usize>,
    /// Worker counts.
    #[arg(
        long, required = true, value_delimiter = ',', value_name = "N,N",
        value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024)
    )]
    num_workers: Vec<usize>,
    /// Prefetch depths.
    #[arg(
        long, required = true, value_delimiter = ',', value_name = "N,N",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024)
    )]
    prefetch_depth: Vec<usize>,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PredictArgs) -> Result<(), TunerError> {
    let cells = grid::cells(&SweepConfig {
        batch_size: args.batch_size.clone(),
        num_workers: args.num_workers.clone(),
        prefetch_depth: args.prefetch_depth.clone(),
        ..SweepConfig::default()
    });
    let found = predict::settings(&args.folder, &cells)?;
    if args.json {
        return print_json(&found);
    }
    print(show(&found).trim_end())
}

fn show(found: &Predictions) -> String {
    let errors = &found.errors;
    let held = percent(errors.interval_share);
    let header = ["batch", "workers", "depth", "samples/s", &held, "limited by", "measured"];
    let rows = found.predictions.iter().map(row);
    let mut text = format!("{}\n\n", table::markdown(header, rows));
    let far = found.predictions.iter().filter(|it| it.far).count();
    if far > 0 {
        let _ = writeln!(
            text,
            "{} far from all that was measured: hardly more than a guess.",
            count(far, "setting")
        );
    }
    let _ = writeln!(
        text,
        "Settings left out one at a time were predicted from the others: off by {} in the middle, by no more \
         than {} in 9 of 10; {} of {} limiting stages were right. The intervals hold {held} of such errors.",
        percent(errors.median),
        percent(errors.ninetieth),
        errors.limits_right,
        errors.limits
    );
    let _ = writeln!(
        text,
        "From {} of {} settings in {} of this machine: data {}, consumer {}, page cache `{}`; {} left out.",
        count(found.runs, "run"),
        found.settings,
        count(found.sweeps.len(), "sweep"),
        if found.data.is_empty() { "in no folder".to_owned() } else { format!("`{}`", found.data) },
        found.consumer,
        found.cache,
        found.left_out.len()
    );
    if let Some([low, high]) = found.levels.filter(|_| found.sweeps.len() > 1) {
        let _ = writeln!(
            text,
            "From sweep to sweep the machine gave {} to {} times as much, which is taken off: rates are those \
             of the middle one.",
            hundredths(low),
            hundredths(high)
        );
    }
    if found.unlevelled > 0 {
        let _ = writeln!(
            text,
            "{} shared no setting with another: how fast the machine was then could not be taken off.",
            count(found.unlevelled, "sweep")
        );
    }
    for it in &found.left_out {
        let _ = writeln!(text, "Left out: {}: {}", it.path.display(), it.reason);
    }
    text
}

/// A line of the table.
fn row(it: &Predicted) -> [String; 7] {
    let depth = it.cell.depth();
    let measured = match &it.measured {
        None if it.far => "no: far".to_owned(),
        None => "no".to_owned(),
        Some(measured) => {
            let limit = measured.limit.as_ref().map(|limit| format!(", {limit}"));
            let rate = whole(measured.samples_per_s);
            format!("{rate} in {}{}", count(measured.runs, "run"), limit.unwrap_or_default())
        }
    };
    [
        it.cell.batch_size.to_string(),
        it.cell.num_workers.to_string(),
        depth,
        whole(it.samples_per_s),
        it.interval.map(whole).join(" to "),
        it.limit.as_ref().map_or_else(|| "n/a".to_owned(), |limit| limit.stage.clone()),
        measured,
    ]
}
