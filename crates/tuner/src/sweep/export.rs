//! `cells.csv` and `trials.csv`: the figures for spreadsheets and scripts. `docs/formats.md` says
//! what each column is; what is not known is empty.

use std::path::Path;

use super::cell::CellSummary;
use super::estimate::Estimate;
use super::journal::{Phase, Status, TrialRecord};
use super::summary::Summary;
use crate::{TunerError, files};

/// A line of `cells.csv`.
struct Ranked<'a> {
    rank: usize,
    cell: &'a CellSummary,
    summary: &'a Summary,
}

/// A column of `cells.csv`: its name, and what it says of a line.
type CellColumn = (&'static str, fn(&Ranked<'_>) -> String);
/// Of `trials.csv` likewise.
type TrialColumn = (&'static str, fn(&TrialRecord) -> String);

const CELLS: &[CellColumn] = &[
    ("rank", |it| it.rank.to_string()),
    ("batch_size", |it| it.cell.cell.batch_size.to_string()),
    ("num_workers", |it| it.cell.cell.num_workers.to_string()),
    ("prefetch_depth", |it| it.cell.cell.prefetch_depth.to_string()),
    ("pin_memory", |it| it.cell.pin_memory.to_string()),
    ("in_grid", |it| it.cell.in_grid.to_string()),
    ("recommended", |it| (it.cell.cell == it.summary.recommended).to_string()),
    ("pareto", |it| it.summary.pareto.contains(&it.cell.cell).to_string()),
    ("trials", |it| it.cell.trials.to_string()),
    ("failed", |it| it.cell.failed.to_string()),
    ("samples_per_s", |it| it.cell.samples_per_s.median.to_string()),
    ("samples_per_s_low", |it| low(Some(&it.cell.samples_per_s))),
    ("samples_per_s_high", |it| high(Some(&it.cell.samples_per_s))),
    ("batches_per_s", |it| it.cell.batches_per_s.median.to_string()),
    ("score", |it| it.cell.score.median.to_string()),
    ("score_low", |it| low(Some(&it.cell.score))),
    ("score_high", |it| high(Some(&it.cell.score))),
    ("custom_score", |it| known(it.cell.custom_score.map(|it| it.median))),
    ("first_batch_s", |it| it.cell.first_batch_s.median.to_string()),
    ("first_batch_s_low", |it| low(Some(&it.cell.first_batch_s))),
    ("first_batch_s_high", |it| high(Some(&it.cell.first_batch_s))),
    ("wait_share", |it| known(it.cell.wait_share.map(|it| it.median))),
    ("wait_share_low", |it| low(it.cell.wait_share.as_ref())),
    ("wait_share_high", |it| high(it.cell.wait_share.as_ref())),
    ("rss_mean_bytes", |it| it.cell.rss_mean_bytes.median.to_string()),
    ("rss_peak_bytes", |it| it.cell.rss_peak_bytes.median.to_string()),
    ("above_base_bytes", |it| it.cell.above_base_bytes.median.to_string()),
    ("predicted_above_base_bytes", |it| known(it.cell.predicted_above_base_bytes)),
    ("gpu_mean_bytes", |it| known(it.cell.gpu_mean_bytes.map(|it| it.median))),
    ("cpu_percent", |it| it.cell.cpu_percent.median.to_string()),
    ("ceiling_share", |it| known(it.cell.ceiling_share)),
    ("limit", |it| known(it.cell.limit.as_ref().map(|limit| &limit.stage))),
    ("limit_potential", |it| known(potential(it.cell).map(|it| it.median))),
    ("limit_potential_low", |it| low(potential(it.cell))),
    ("limit_potential_high", |it| high(potential(it.cell))),
    ("wall_s", |it| it.cell.wall_s.to_string()),
    ("read_s", |it| it.cell.stages.read_s.to_string()),
    ("decode_s", |it| it.cell.stages.decode_s.to_string()),
    ("transform_s", |it| it.cell.stages.transform_s.to_string()),
    ("write_s", |it| it.cell.stages.write_s.to_string()),
    ("other_s", |it| it.cell.stages.other_s.to_string()),
    ("transfer_s", |it| it.cell.stages.transfer_s.to_string()),
    ("normalize_s", |it| it.cell.stages.normalize_s.to_string()),
    ("batch_transform_s", |it| it.cell.stages.batch_transform_s.to_string()),
    ("wait_room_s", |it| it.cell.stages.wait_room_s.to_string()),
    ("wait_batch_s", |it| it.cell.stages.wait_batch_s.to_string()),
    ("consume_s", |it| it.cell.stages.consume_s.to_string()),
];

const TRIALS: &[TrialColumn] = &[
    ("phase", |it| {
        let phase = match it.phase {
            Phase::Sweep => "sweep",
            Phase::Confirm => "confirm",
        };
        phase.to_owned()
    }),
    ("block", |it| it.repeat.to_string()),
    ("batch_size", |it| it.batch_size.to_string()),
    ("num_workers", |it| it.num_workers.to_string()),
    ("prefetch_depth", |it| it.prefetch_depth.to_string()),
    ("status", |it| {
        let status = match it.status {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
        };
        status.to_owned()
    }),
    ("error", |it| known(it.error.as_ref())),
    ("samples_per_s", |it| known(it.samples_per_s)),
    ("reference_samples_per_s", |it| known(it.reference_samples_per_s)),
    ("batches_per_s", |it| known(it.batches_per_s)),
    ("first_batch_s", |it| known(it.first_batch_s)),
    ("wait_share", |it| known(it.wait_share)),
    ("score", |it| known(it.score)),
    ("rss_base_bytes", |it| known(it.rss_base_bytes)),
    ("rss_mean_bytes", |it| known(it.rss_mean_bytes)),
    ("rss_peak_bytes", |it| known(it.rss_peak_bytes)),
    ("predicted_above_base_bytes", |it| known(it.predicted_above_base_bytes)),
    ("gpu_mean_bytes", |it| known(it.gpu_mean_bytes)),
    ("cpu_percent", |it| known(it.cpu_percent)),
    ("limit", |it| known(it.limit.as_ref().map(|limit| &limit.stage))),
    ("steady", |it| known(it.steady)),
    ("warmup_s", |it| known(it.warmup_s)),
    ("wall_s", |it| known(it.wall_s)),
    ("started_s", |it| known(it.started_s)),
    ("duration_s", |it| known(it.duration_s)),
    ("reused_from", |it| known(it.reused_from.as_ref())),
];

/// Writes both to `folder`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, records: &[TrialRecord], folder: &Path) -> Result<(), TunerError> {
    let cells = summary.cells.iter().enumerate().map(|(at, cell)| {
        let it = Ranked { rank: at + 1, cell, summary };
        CELLS.iter().map(|(_, say)| say(&it)).collect()
    });
    let cells = table(CELLS.iter().map(|(name, _)| *name), cells);
    files::write(&folder.join("cells.csv"), cells.as_bytes())?;
    let trials = records.iter().map(|it| TRIALS.iter().map(|(_, say)| say(it)).collect());
    let trials = table(TRIALS.iter().map(|(name, _)| *name), trials);
    files::write(&folder.join("trials.csv"), trials.as_bytes())
}

fn table<'a>(
    head: impl Iterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut text = head.collect::<Vec<_>>().join(",") + "\n";
    for row in rows {
        let fields: Vec<String> = row.into_iter().map(quoted).collect();
        text += &(fields.join(",") + "\n");
    }
    text
}

/// As RFC 4180 has it: in quotes where it needs them, and quotes in it doubled.
fn quoted(field: String) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

fn potential(cell: &CellSummary) -> Option<&Estimate> {
    cell.limit.as_ref().map(|limit| &limit.potential)
}

fn low(estimate: Option<&Estimate>) -> String {
    known(estimate.and_then(|it| it.interval).map(|[low, _]| low))
}

fn high(estimate: Option<&Estimate>) -> String {
    known(estimate.and_then(|it| it.interval).map(|[_, high]| high))
}

fn known(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::super::grid::Planned;
    use super::*;

    #[test]
    fn every_row_has_a_value_for_every_column_and_errors_stay_whole() {
        let mut of_sweep = summary(vec![cell(1, 1, 100.5), cell(2, 1, 90.0)]);
        of_sweep.cells[1].samples_per_s.interval = None;
        // Each figure another, so that no two columns can be mistaken for each other.
        let first = &mut of_sweep.cells[0];
        first.wait_share = Some(first.samples_per_s);
        (first.stages.transfer_s, first.stages.normalize_s) = (1.25, 2.5);
        first.stages.batch_transform_s = 3.75;
        let planned = Planned { phase: Phase::Sweep, repeat: 2, cell: 0 };
        let error = "it said: \"no\",\nthen nothing".to_owned();
        let failed =
            TrialRecord::without_figures(planned, of_sweep.recommended, Status::Failed, error);
        let folder = tempfile::tempdir().unwrap();
        write(&of_sweep, &[failed], folder.path()).unwrap();

        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let table = read("cells.csv");
        let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
        let cells = &cells[1..];
        let column = |name: &str| CELLS.iter().position(|(it, _)| *it == name).unwrap();
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0][column("samples_per_s")], "100.5");
        assert_eq!(cells[0][column("samples_per_s_low")], "95.5");
        assert_eq!(cells[0][column("wait_share_high")], "105.5");
        assert_eq!(cells[0][column("transfer_s")], "1.25");
        assert_eq!(cells[0][column("normalize_s")], "2.5");
        assert_eq!(cells[0][column("batch_transform_s")], "3.75");
        assert_eq!(cells[1][column("wait_share")], "");
        assert_eq!(cells[0][column("recommended")], "true");
        assert_eq!(cells[1][column("samples_per_s_high")], "");
        assert_eq!(cells[1][column("gpu_mean_bytes")], "");
        let trials = read("trials.csv");
        let quoted = "sweep,2,32,1,1,failed,\"it said: \"\"no\"\",\nthen nothing\",,";
        assert!(trials.contains(quoted), "{trials}");
    }
}
