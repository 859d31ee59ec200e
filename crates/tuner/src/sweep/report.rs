//! What a sweep found, for people: the table on the terminal and `report.md`.

use std::fmt::Write;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::ceiling::{self, Ceiling};
use super::cell::CellSummary;
use super::estimate::Estimate;
use super::explain;
use super::summary::{Headline, Summary};
use crate::TunerError;

/// Settings as a table, in Markdown, which reads well on a terminal too. The recommended one has
/// a star.
fn table<'a>(summary: &Summary, cells: impl IntoIterator<Item = &'a CellSummary>) -> Table {
    let header = [
        "rank",
        "batch",
        "workers",
        "depth",
        "score",
        "samples/s (95%)",
        "of ceiling",
        "limited by",
        "first batch",
        "memory",
        "CPU",
    ];
    let rows = cells.into_iter().map(|cell| {
        let place = summary.cells.iter().position(|ranked| ranked.cell == cell.cell);
        let star = if cell.cell == summary.recommended { "* " } else { "" };
        row(format!("{star}{}", place.map_or(0, |place| place + 1)), cell)
    });
    markdown_table(&header, rows)
}

pub(crate) fn markdown_table<const N: usize>(
    header: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(rank: String, summary: &CellSummary) -> [String; 11] {
    let cell = summary.cell;
    [
        rank,
        cell.batch_size.to_string(),
        cell.num_workers.to_string(),
        depth(summary),
        format!("{:.1}", summary.score.median),
        with_interval(&summary.samples_per_s),
        or_none(summary.ceiling_share.map(|share| format!("{:.0}%", 100.0 * share))),
        or_none(summary.limit.as_ref().map(|limit| limit.stage.clone())),
        format!("{:.0} ms", 1e3 * summary.first_batch_s.median),
        mebibytes(summary.rss_mean_bytes.median),
        format!("{:.0}%", summary.cpu_percent.median),
    ]
}

fn depth(summary: &CellSummary) -> String {
    match summary.cell.num_workers {
        0 => "-".to_owned(),
        _ => summary.cell.prefetch_depth.to_string(),
    }
}

/// What is absent is said to be.
fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "n/a".to_owned())
}

fn with_interval(estimate: &Estimate) -> String {
    match estimate.interval {
        Some([low, high]) => format!("{:.0} ({low:.0} to {high:.0})", estimate.median),
        None => format!("{:.0} (one run)", estimate.median),
    }
}

pub(super) fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

/// What is said at the end on a terminal: the best settings, and the recommendation in words.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn terminal(summary: &Summary) -> Result<String, TunerError> {
    const SHOWN: usize = 12;
    let best = summary.cells.iter().take(SHOWN);
    let recommended = summary.cells.iter().skip(SHOWN).filter(|c| c.cell == summary.recommended);
    let mut text = format!("{}\n* recommended\n\n", table(summary, best.chain(recommended)));
    if let Some(last) = summary.failed.last() {
        let _ = writeln!(
            text,
            "{} gave no figures; the last, {}, said: {}\n",
            count(summary.failed.len(), "trial"),
            last.setting(),
            last.error.as_deref().unwrap_or("nothing")
        );
    }
    Ok(text + &verdict(summary)?)
}

/// The recommendation in words: what to use, how it compares, what limits it.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn verdict(summary: &Summary) -> Result<String, TunerError> {
    let winner = summary.winner()?;
    let fastest = summary.find(summary.fastest)?;
    let mut text = format!(
        "Use {}: score {:.1}, {:.0} samples/s",
        winner.cell, winner.score.median, winner.samples_per_s.median
    );
    if let Some(headline) = &summary.headline {
        let _ = write!(text, ", {}", against_default(headline));
    }
    let _ = writeln!(text, ".");
    if let Some(rivals) = explain::rivals_that_failed(summary) {
        let _ = writeln!(text, "Warning: {rivals}.");
    }
    if winner.failed > 0 {
        let _ = writeln!(
            text,
            "Warning: {} of it failed too, as of every setting.",
            count(winner.failed, "trial")
        );
    }
    let _ = writeln!(
        text,
        "What limits it: {}.",
        explain::limit(winner, summary.machine.usable_cores).sentence
    );
    if let (Some(share), Some(lowest)) = (winner.ceiling_share, ceiling::lowest(&summary.ceilings))
    {
        let rate = lowest.samples_per_s.unwrap_or_default();
        let _ = writeln!(
            text,
            "It reaches {:.0}% of the lowest ceiling: {} alone gives {rate:.0} samples/s.",
            100.0 * share,
            lowest.part.name()
        );
    }
    if let Some(reason) = explain::equal_to_leader(winner, summary) {
        let _ = writeln!(text, "{}.", capitalized(&reason));
    }
    if fastest.cell != winner.cell {
        let rate = fastest.samples_per_s.median;
        let _ = write!(text, "Most samples/s: {}, {rate:.0} samples/s", fastest.cell);
        if let Some(reason) = explain::why_not_fastest(fastest, winner, summary) {
            let _ = write!(text, "; {reason}");
        }
        let _ = writeln!(text, ".");
    }
    Ok(text)
}

/// How much better than the default it is, in words.
fn against_default(headline: &Headline) -> String {
    let Headline { default, winner, ratio, interval, .. } = headline;
    if winner == default {
        return "which is the default".to_owned();
    }
    let sure = interval.map(|[low, high]| format!(" ({low:.2} to {high:.2})"));
    format!("{ratio:.2}{} times the default, {default}", sure.unwrap_or_default())
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().to_string() + chars.as_str())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// On one line, as Markdown has paragraphs and lists: line ends in a path or an error are shown.
fn line(text: &str) -> String {
    let escape = |c: char| match c {
        '\n' => " ".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// `report.md`.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn markdown(summary: &Summary) -> Result<String, TunerError> {
    let Summary { data, machine, method, .. } = summary;
    let mut text = format!("# Sweep of `{}`\n\n{}\n", line(&data.root), verdict(summary)?);
    text += "![Samples per second and score by batch size and workers](heatmap.png)\n\n";

    let best = summary.by_batch_size.iter().map(|choice| summary.find(choice.winner));
    let best = best.collect::<Result<Vec<_>, _>>()?;
    text += "## Best for each batch size\n\n";
    text += "Batch size changes the training; workers and depth do not. The recommended setting \
             has a star.\n\n";
    let _ = writeln!(text, "{}", table(summary, best));

    text += "\n## All settings, by rank\n\n";
    let _ = writeln!(text, "{}", table(summary, &summary.cells));

    if let Some(lowest) = ceiling::lowest(&summary.ceilings) {
        text += "\n## Ceilings\n\n";
        let _ = writeln!(text, "{}", ceiling_table(&summary.ceilings));
        let _ = writeln!(
            text,
            "\nWhat each part of the way gives on its own, measured before the trials. `of ceiling` is \
             samples/s by the lowest of them, `{}`; `limited by` is the stage without which most time \
             would be saved, by the profiler.",
            lowest.part.name()
        );
    }

    text += "\n## Memory above the base\n\n";
    let _ = writeln!(text, "{}", memory_table(&summary.cells));
    text += "\nWhat a process holds at its peak beyond what it held before the loader was built: batches \
             x bytes of a batch, and what threads that load take beside them, which was measured before \
             the trials.\n";

    text += "\n## Where the score comes from\n\n";
    let _ = writeln!(text, "{}", score_table(&summary.cells));
    text += "\nThe score is 10 x batches/s - resident MB / 100 - GPU MB / 100 - CPU percent / 10 \
             - 5 x bottlenecks, + 2 with workers, + 1 with pinned memory. A setting's score, and \
             each term here, is the median of its trials'; each trial's are in `trials.jsonl`.\n";

    if !summary.failed.is_empty() {
        text += "\n## Trials without figures\n\n";
        for trial in &summary.failed {
            let error = trial.error.as_deref().unwrap_or("no reason given");
            let _ =
                writeln!(text, "- {}, repeat {}: {}", trial.setting(), trial.repeat, line(error));
        }
    }

    text += "\n## How it was measured\n\n";
    let _ = writeln!(
        text,
        "`{}`\n\n- {} to {}\n- {}, {} usable cores, {}{}\n- libtorch {}\n- {} samples{}{}\n\
         - strategy `{}`, objective `{}`, consumer: {}, page cache {}\n\
         - {} processes, one for each run, in {} blocks in random order; {} runs of each setting, \
         those that could still be the best up to {}; at least {} s each, after warming up until the \
         rate is steady\n\
         - 95% intervals are from a bootstrap of the runs; settings whose figure lies within the \
         interval of the leader's, and at most 0.5% below it, are its equals: of these fewer workers \
         win, then less memory, then smaller depth; settings of which a run failed rank below all \
         others",
        line(&summary.command),
        summary.started,
        summary.finished,
        machine.cpu,
        machine.usable_cores,
        mebibytes(machine.memory_bytes as f64),
        if machine.gpus.is_empty() {
            ", no GPU".to_owned()
        } else {
            format!(", {}", machine.gpus.join(", "))
        },
        machine.libtorch,
        data.samples,
        match data.classes {
            0 => String::new(),
            classes => format!(" in {classes} classes"),
        },
        if data.stand_in { " (a stand-in for real data)" } else { "" },
        method.strategy.name(),
        method.objective,
        method.consumer,
        method.cache.state,
        method.trials,
        method.blocks,
        method.repeats,
        method.max_repeats,
        method.measure_s,
    );
    Ok(text)
}

fn memory_table(cells: &[CellSummary]) -> Table {
    let rows = cells.iter().map(|summary| {
        let measured = summary.above_base_bytes.median;
        let predicted = summary.predicted_above_base_bytes.map(|bytes| bytes as f64);
        let off = predicted.map(|predicted| 100.0 * (predicted / measured - 1.0));
        [
            summary.cell.batch_size.to_string(),
            summary.cell.num_workers.to_string(),
            depth(summary),
            or_none(predicted.map(mebibytes)),
            mebibytes(measured),
            or_none(off.filter(|off| off.is_finite()).map(|off| format!("{off:+.0}%"))),
        ]
    });
    let header = ["batch", "workers", "depth", "predicted", "measured", "off by"];
    markdown_table(&header, rows)
}

fn ceiling_table(ceilings: &[Ceiling]) -> Table {
    let rows = ceilings.iter().map(|ceiling| {
        let rate = ceiling.samples_per_s.map(|rate| format!("{rate:.0}"));
        [ceiling.part.name().to_owned(), or_none(rate), ceiling.how.clone()]
    });
    markdown_table(&["part", "samples/s at most", "how"], rows)
}

fn score_table(cells: &[CellSummary]) -> Table {
    let header = [
        "batch",
        "workers",
        "depth",
        "score",
        "batches",
        "memory",
        "GPU memory",
        "CPU",
        "bottlenecks",
        "with workers",
        "pinned",
        "bottlenecks found",
    ];
    let rows = cells.iter().map(|summary| {
        let terms = &summary.score_terms;
        let names: Vec<String> = summary
            .bottlenecks
            .iter()
            .map(|(found, &trials)| match trials == summary.trials {
                true => found.name().to_owned(),
                false => format!("{} ({trials} of {} trials)", found.name(), summary.trials),
            })
            .collect();
        [
            summary.cell.batch_size.to_string(),
            summary.cell.num_workers.to_string(),
            depth(summary),
            format!("{:.1}", summary.score.median),
            format!("{:+.1}", terms.batches),
            format!("{:+.1}", terms.memory),
            terms.gpu_memory.map_or("n/a".to_owned(), |term| format!("{term:+.1}")),
            format!("{:+.1}", terms.cpu),
            format!("{:+.1}", terms.bottlenecks),
            format!("{:+.0}", terms.workers),
            format!("{:+.0}", terms.pin_memory),
            names.join(", "),
        ]
    });
    markdown_table(&header, rows)
}
