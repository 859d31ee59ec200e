//! The tables of a sweep for the terminal and `report.md`.

use comfy_table::Table;
use profiler::report::human::{mb, ms, percent};

use super::ceiling::Ceiling;
use super::cell::CellSummary;
use super::summary::Summary;
use super::words::{sure, tenths, whole};
use crate::TunerError;
use crate::table;

/// What is absent is said to be.
const NONE: &str = "n/a";

/// A column: its head, and what it says of a setting.
type Column<'a> = (&'a str, Box<dyn Fn(&CellSummary) -> String + 'a>);

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NONE.to_owned())
}

fn column<'a>(head: &'a str, say: impl Fn(&CellSummary) -> String + 'a) -> Column<'a> {
    (head, Box::new(say))
}

/// The three numbers of a setting.
fn setting<'a>() -> [Column<'a>; 3] {
    [
        column("batch", |it| it.cell.batch_size.to_string()),
        column("workers", |it| it.cell.num_workers.to_string()),
        column("depth", |cell| cell.cell.depth()),
    ]
}

fn of<'a>(columns: &[Column<'_>], cells: impl IntoIterator<Item = &'a CellSummary>) -> Table {
    let row = |cell: &'a CellSummary| columns.iter().map(|(_, say)| say(cell)).collect::<Vec<_>>();
    table::markdown(
        columns.iter().map(|(head, _)| *head).collect::<Vec<_>>(),
        cells.into_iter().map(row),
    )
}

fn star(summary: &Summary, cell: &CellSummary) -> &'static str {
    if cell.cell == summary.recommended { "*" } else { "" }
}

/// Settings with their figures. The recommended one has a star.
pub(super) fn settings<'a>(
    summary: &Summary,
    cells: impl IntoIterator<Item = &'a CellSummary>,
) -> Table {
    let place = |cell: &CellSummary| {
        let place = summary.cells.iter().position(|ranked| ranked.cell == cell.cell);
        let rank = place.map_or(0, |place| place + 1);
        format!("{} {rank}", star(summary, cell)).trim_start().to_owned()
    };
    let mut columns = vec![column("rank", place)];
    columns.extend(setting());
    columns.push(column("score", |it| tenths(it.score.median)));
    columns.push(column("samples/s (95%)", |it| sure(&it.samples_per_s, whole)));
    if summary.method.consumer.is_some() {
        let waiting = |it: &CellSummary| or_none(it.wait_share.map(|wait| sure(&wait, percent)));
        columns.push(column("waiting (95%)", waiting));
    }
    columns.extend([
        column("of ceiling", |it| or_none(it.ceiling_share.map(percent))),
        column("limited by", |it| or_none(it.limit.as_ref().map(|limit| limit.stage.clone()))),
        column("first batch", |it| format!("{} ms", ms(it.first_batch_s.median))),
        column("memory", |it| mb(it.rss_mean_bytes.median)),
        column("CPU", |it| percent(it.cpu_percent.median / 100.0)),
    ]);
    of(&columns, cells)
}

/// Likewise, for a terminal that has no room for all of it.
pub(super) fn narrow<'a>(
    summary: &Summary,
    cells: impl IntoIterator<Item = &'a CellSummary>,
) -> Table {
    let mut columns = vec![column("", |it| star(summary, it).to_owned())];
    columns.extend(setting());
    columns.push(column("samples/s", |it| whole(it.samples_per_s.median)));
    if summary.method.consumer.is_some() {
        let waiting = |it: &CellSummary| or_none(it.wait_share.map(|wait| percent(wait.median)));
        columns.push(column("waiting", waiting));
    }
    of(&columns, cells)
}

/// Memory, predicted and measured.
pub(super) fn memory(cells: &[CellSummary]) -> Table {
    let predicted = |it: &CellSummary| it.predicted_above_base_bytes.map(|bytes| bytes as f64);
    let off = move |it: &CellSummary| {
        let off = predicted(it)? / it.above_base_bytes.median - 1.0;
        off.is_finite().then(|| format!("{:+.0}%", 100.0 * off))
    };
    let mut columns = Vec::from(setting());
    columns.extend([
        column("predicted", move |it| or_none(predicted(it).map(mb))),
        column("measured", |it| mb(it.above_base_bytes.median)),
        column("off by", move |it| or_none(off(it))),
    ]);
    of(&columns, cells)
}

/// What each part of the way gives alone.
pub(super) fn ceilings(ceilings: &[Ceiling]) -> Table {
    let rows = ceilings.iter().map(|ceiling| {
        let rate = or_none(ceiling.samples_per_s.map(whole));
        [ceiling.part.name().to_owned(), rate, ceiling.how.clone()]
    });
    table::markdown(["part", "samples/s at most", "how"], rows)
}

/// The winner under each objective.
///
/// # Errors
/// If the summary does not hold one of them.
pub(super) fn objectives(summary: &Summary) -> Result<Table, TunerError> {
    let mut columns = Vec::from(setting());
    columns.extend([
        column("samples/s (95%)", |it| sure(&it.samples_per_s, whole)),
        column("score", |it| tenths(it.score.median)),
        column("memory", |it| mb(it.rss_mean_bytes.median)),
    ]);
    let rows = summary.objectives.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        let mut row = vec![choice.objective.to_string()];
        row.extend(columns.iter().map(|(_, say)| say(cell)));
        Ok(row)
    });
    let rows = rows.collect::<Result<Vec<_>, TunerError>>()?;
    let mut header = vec!["objective"];
    header.extend(columns.iter().map(|(head, _)| *head));
    Ok(table::markdown(header, rows))
}

/// The terms of each setting's score.
pub(super) fn scores(cells: &[CellSummary]) -> Table {
    let found = |cell: &CellSummary| {
        let names = cell.bottlenecks.iter().map(|(found, &trials)| match trials == cell.trials {
            true => found.name().to_owned(),
            false => format!("{} ({trials} of {} trials)", found.name(), cell.trials),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    let mut columns = Vec::from(setting());
    columns.extend([
        column("score", |it| tenths(it.score.median)),
        column("batches", |it| format!("{:+.1}", it.score_terms.batches)),
        column("memory", |it| format!("{:+.1}", it.score_terms.memory)),
        column("GPU memory", |it| {
            or_none(it.score_terms.gpu_memory.map(|term| format!("{term:+.1}")))
        }),
        column("CPU", |it| format!("{:+.1}", it.score_terms.cpu)),
        column("bottlenecks", |it| format!("{:+.1}", it.score_terms.bottlenecks)),
        column("with workers", |it| format!("{:+.0}", it.score_terms.workers)),
        column("pinned", |it| format!("{:+.0}", it.score_terms.pin_memory)),
        column("bottlenecks found", found),
    ]);
    of(&columns, cells)
}
