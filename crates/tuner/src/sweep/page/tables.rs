//! The tables of the page.

use profiler::report::human::{self, mb, percent};
use profiler::report::page::{self, Cell as Shown, Table, figure, name, text};

use crate::TunerError;
use crate::sweep::cell::CellSummary;
use crate::sweep::estimate::Estimate;
use crate::sweep::summary::Summary;
use crate::sweep::words::{sure, tenths, whole};

fn with_interval(estimate: Option<&Estimate>, write: impl Fn(f64) -> String) -> Shown {
    let known = estimate.map(|it| (it.median, sure(it, write)));
    let words = known.as_ref().map_or("n/a", |(_, words)| words);
    Shown { order: Some(known.as_ref().map_or(f64::MIN, |(value, _)| *value)), ..text(words) }
}

fn figure_of(value: Option<f64>, write: impl Fn(f64) -> String) -> Shown {
    page::number(value, write)
}

fn counted(value: usize) -> Shown {
    page::number(Some(value as f64), whole)
}

/// The three numbers of a setting.
fn setting(summary: &Summary, cell: &CellSummary) -> [Shown; 3] {
    let refuted = summary.refuted().is_some_and(|refuted| refuted.winner == cell.cell);
    let recommended = (cell.cell == summary.recommended).then_some("recommended");
    let mark = recommended.or_else(|| refuted.then_some("refuted"));
    let depth = (cell.cell.num_workers > 0).then_some(cell.cell.prefetch_depth as f64);
    [
        Shown { mark, ..counted(cell.cell.batch_size) },
        counted(cell.cell.num_workers),
        figure_of(depth, whole),
    ]
}

/// Without a consumer it is left out.
const WAITING: (&str, &str) = ("Waiting (95%)", "share of the training loop's time without data");

const SETTING: [(&str, &str); 3] =
    [("Batch size", ""), ("Workers", ""), ("Depth", "batches ready or being filled")];

fn head(more: &[(&'static str, &'static str)]) -> Vec<page::Head> {
    SETTING.iter().chain(more).map(|(name, meaning)| figure(name, meaning)).collect()
}

pub(super) fn by_batch_size(summary: &Summary) -> Result<Table, TunerError> {
    let rows = summary.by_batch_size.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        let mut row = Vec::from(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.samples_per_s), whole),
            with_interval(Some(&cell.score), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
            counted(choice.equals.len()),
            counted(choice.undecided.len()),
        ]);
        Ok(row)
    });
    Ok(page::without_empty(Table {
        title: "Best for each batch size",
        about: "Batch size changes the training; workers and depth do not.",
        head: head(&[
            ("Samples/s (95%)", "median of the runs, with its interval"),
            ("Score (95%)", ""),
            WAITING,
            ("Memory", "resident, mean"),
            ("Equals", "settings within 0.5% of the best, this one among them"),
            ("Undecided", "others that may be as good for all that is known"),
        ]),
        rows: rows.collect::<Result<_, TunerError>>()?,
    }))
}

pub(super) fn objectives(summary: &Summary) -> Result<Table, TunerError> {
    let rows = summary.objectives.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        let mut row = vec![text(choice.objective.name())];
        row.extend(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.samples_per_s), whole),
            figure_of(Some(cell.score.median), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.first_batch_s.median), human::duration),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
        ]);
        Ok(row)
    });
    let mut heads = vec![name("Objective", "what the setting is chosen for")];
    heads.extend(head(&[
        ("Samples/s (95%)", ""),
        ("Score", ""),
        WAITING,
        ("First batch", "time to it"),
        ("Memory", "resident, mean"),
    ]));
    Ok(page::without_empty(Table {
        title: "The winner under each objective",
        about: "Of settings within 0.5% of the best, fewer workers win, then less memory, then \
                smaller depth.",
        head: heads,
        rows: rows.collect::<Result<_, TunerError>>()?,
    }))
}

pub(super) fn ceilings(summary: &Summary) -> Table {
    let rows = summary.ceilings.iter().map(|ceiling| {
        let rate = figure_of(ceiling.samples_per_s, whole);
        vec![text(ceiling.part.name()), rate, text(&ceiling.how)]
    });
    Table {
        title: "What each part gives alone",
        about: match summary.method.consumer.is_some() {
            true => {
                "What no setting should exceed; the training loop takes so many batches a second, \
                     whatever their size."
            }
            false => "What no setting should exceed.",
        },
        head: vec![name("Part", ""), figure("Samples/s", ""), name("How it was measured", "")],
        rows: rows.collect(),
    }
}

pub(super) fn all(summary: &Summary) -> Table {
    let rows = summary.cells.iter().enumerate().map(|(at, cell)| {
        let limit = cell.limit.as_ref();
        let mut row = vec![Shown {
            before: if cell.in_grid { String::new() } else { "not in the grid ".to_owned() },
            ..counted(at + 1)
        }];
        row.extend(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.score), tenths),
            with_interval(Some(&cell.samples_per_s), whole),
            figure_of(cell.ceiling_share, percent),
            with_interval(cell.custom_score.as_ref(), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.first_batch_s.median), human::duration),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
            figure_of(Some(cell.above_base_bytes.median), mb),
            figure_of(cell.predicted_above_base_bytes.map(|bytes| bytes as f64), mb),
            figure_of(cell.gpu_mean_bytes.map(|it| it.median), mb),
            figure_of(Some(cell.cpu_percent.median / 100.0), percent),
            text(limit.map_or("n/a", |limit| &limit.stage)),
            with_interval(limit.map(|limit| &limit.potential), percent),
            counted(cell.trials),
            counted(cell.failed),
        ]);
        row
    });
    let mut heads = vec![figure("Rank", "under the objective")];
    heads.extend(head(&[
        ("Score (95%)", "median of the runs, with its bootstrap interval"),
        ("Samples/s (95%)", ""),
        ("Ceiling", "share of its lowest ceiling"),
        ("Custom score", "with the weights of the configuration"),
        WAITING,
        ("First batch", "time to it"),
        ("Memory", "resident, mean"),
        ("Peak", "of memory, above what the process held before the loader was built"),
        ("Predicted", "what that was predicted to be"),
        ("GPU memory", ""),
        ("CPU", "of the usable cores"),
    ]));
    heads.push(name("Limit", "the stage that limits, by attribution of most of its runs"));
    heads.extend([
        figure("Without it (95%)", "share of the time that would be saved without that stage"),
        figure("Runs", "with figures"),
        figure("Failed", "runs without"),
    ]);
    page::without_empty(Table {
        title: "All settings",
        about: "The recommended one is marked. The same as a file: `cells.csv`, and run by run \
                `trials.csv`.",
        head: heads,
        rows: rows.collect(),
    })
}
