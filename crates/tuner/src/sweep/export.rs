//! `cells.csv` and `trials.csv`: the figures for spreadsheets and scripts. `docs/formats.md` says
//! what each column is; what is not known is empty.

use std::path::Path;

use super::cell::CellSummary;
use super::estimate::Estimate;
use super::journal::{Phase, Status, TrialRecord};
use super::summary::Summary;
use crate::{TunerError, files};

/// Columns of `cells.csv`.
pub const CELLS: [&str; 40] = [
    "rank",
    "batch_size",
    "num_workers",
    "prefetch_depth",
    "pin_memory",
    "in_grid",
    "recommended",
    "pareto",
    "trials",
    "failed",
    "samples_per_s",
    "samples_per_s_low",
    "samples_per_s_high",
    "batches_per_s",
    "score",
    "score_low",
    "score_high",
    "custom_score",
    "first_batch_s",
    "first_batch_s_low",
    "first_batch_s_high",
    "wait_share",
    "rss_mean_bytes",
    "rss_peak_bytes",
    "above_base_bytes",
    "predicted_above_base_bytes",
    "gpu_mean_bytes",
    "cpu_percent",
    "ceiling_share",
    "limit",
    "limit_potential",
    "wall_s",
    "read_s",
    "decode_s",
    "transform_s",
    "write_s",
    "other_s",
    "wait_room_s",
    "wait_batch_s",
    "consume_s",
];

/// Columns of `trials.csv`.
pub const TRIALS: [&str; 20] = [
    "phase",
    "block",
    "batch_size",
    "num_workers",
    "prefetch_depth",
    "status",
    "error",
    "samples_per_s",
    "batches_per_s",
    "first_batch_s",
    "wait_share",
    "score",
    "rss_mean_bytes",
    "rss_peak_bytes",
    "predicted_above_base_bytes",
    "gpu_mean_bytes",
    "cpu_percent",
    "warmup_s",
    "wall_s",
    "duration_s",
];

/// Writes both to `folder`; of each run the latest of `records`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, records: &[&TrialRecord], folder: &Path) -> Result<(), TunerError> {
    let rows = summary.cells.iter().enumerate().map(|(at, cell)| cell_row(at + 1, cell, summary));
    write_table(&folder.join("cells.csv"), &CELLS, rows)?;
    write_table(&folder.join("trials.csv"), &TRIALS, records.iter().map(|run| trial_row(run)))
}

fn write_table<const N: usize>(
    path: &Path,
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Result<(), TunerError> {
    let mut text = head.join(",") + "\n";
    for row in rows {
        text += &(row.map(quoted).join(",") + "\n");
    }
    files::write(path, text.as_bytes())
}

/// As RFC 4180 has it: in quotes where it needs them, and quotes in it doubled.
fn quoted(field: String) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    }
}

fn cell_row(rank: usize, cell: &CellSummary, summary: &Summary) -> [String; 40] {
    let low = |it: &Estimate| known(it.interval.map(|[low, _]| low));
    let high = |it: &Estimate| known(it.interval.map(|[_, high]| high));
    let stages = &cell.stages;
    [
        rank.to_string(),
        cell.cell.batch_size.to_string(),
        cell.cell.num_workers.to_string(),
        cell.cell.prefetch_depth.to_string(),
        cell.pin_memory.to_string(),
        cell.in_grid.to_string(),
        (cell.cell == summary.recommended).to_string(),
        summary.pareto.contains(&cell.cell).to_string(),
        cell.trials.to_string(),
        cell.failed.to_string(),
        cell.samples_per_s.median.to_string(),
        low(&cell.samples_per_s),
        high(&cell.samples_per_s),
        cell.batches_per_s.median.to_string(),
        cell.score.median.to_string(),
        low(&cell.score),
        high(&cell.score),
        known(cell.custom_score.map(|it| it.median)),
        cell.first_batch_s.median.to_string(),
        low(&cell.first_batch_s),
        high(&cell.first_batch_s),
        known(cell.wait_share.map(|it| it.median)),
        cell.rss_mean_bytes.median.to_string(),
        cell.rss_peak_bytes.median.to_string(),
        cell.above_base_bytes.median.to_string(),
        known(cell.predicted_above_base_bytes),
        known(cell.gpu_mean_bytes.map(|it| it.median)),
        cell.cpu_percent.median.to_string(),
        known(cell.ceiling_share),
        known(cell.limit.as_ref().map(|limit| &limit.stage)),
        known(cell.limit.as_ref().map(|limit| limit.potential)),
        cell.wall_s.to_string(),
        stages.read_s.to_string(),
        stages.decode_s.to_string(),
        stages.transform_s.to_string(),
        stages.write_s.to_string(),
        stages.other_s.to_string(),
        stages.wait_room_s.to_string(),
        stages.wait_batch_s.to_string(),
        stages.consume_s.to_string(),
    ]
}

fn trial_row(run: &TrialRecord) -> [String; 20] {
    let phase = match run.phase {
        Phase::Sweep => "sweep",
        Phase::Confirm => "confirm",
    };
    let status = match run.status {
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    };
    [
        phase.to_owned(),
        run.repeat.to_string(),
        run.batch_size.to_string(),
        run.num_workers.to_string(),
        run.prefetch_depth.to_string(),
        status.to_owned(),
        known(run.error.as_ref()),
        known(run.samples_per_s),
        known(run.batches_per_s),
        known(run.first_batch_s),
        known(run.wait_share),
        known(run.score),
        known(run.rss_mean_bytes),
        known(run.rss_peak_bytes),
        known(run.predicted_above_base_bytes),
        known(run.gpu_mean_bytes),
        known(run.cpu_percent),
        known(run.warmup_s),
        known(run.wall_s),
        known(run.duration_s),
    ]
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
        let planned = Planned { phase: Phase::Sweep, repeat: 2, cell: 0 };
        let error = "it said: \"no\",\nthen nothing".to_owned();
        let failed =
            TrialRecord::without_figures(planned, of_sweep.recommended, Status::Failed, error);
        let folder = tempfile::tempdir().unwrap();
        write(&of_sweep, &[&failed], folder.path()).unwrap();

        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let table = read("cells.csv");
        let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
        let cells = &cells[1..];
        let column = |name: &str| CELLS.iter().position(|it| *it == name).unwrap();
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0][column("samples_per_s")], "100.5");
        assert_eq!(cells[0][column("samples_per_s_low")], "95.5");
        assert_eq!(cells[0][column("recommended")], "true");
        assert_eq!(cells[1][column("samples_per_s_high")], "");
        assert_eq!(cells[1][column("gpu_mean_bytes")], "");
        let trials = read("trials.csv");
        let quoted = "sweep,2,32,1,1,failed,\"it said: \"\"no\"\",\nthen nothing\",,";
        assert!(trials.contains(quoted), "{trials}");
    }
}
