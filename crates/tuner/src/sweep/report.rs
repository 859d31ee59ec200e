//! What a sweep found, for people: the table on the terminal and `report.md`.

use std::fmt::Write;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use profiler::report::human::{duration, moment};

use super::ceiling::{self, Ceiling};
use super::cell::CellSummary;
use super::closing::Closing;
use super::estimate::Estimate;
use super::explain;
use super::summary::Summary;
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

/// What is said at the end on a terminal: the best settings, what is to be known of them, and what it
/// comes to in four lines.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn terminal(summary: &Summary) -> Result<String, TunerError> {
    const SHOWN: usize = 12;
    let best = summary.cells.iter().take(SHOWN);
    let recommended = summary.cells.iter().skip(SHOWN).filter(|c| c.cell == summary.recommended);
    let shown: Vec<&CellSummary> = best.chain(recommended).collect();
    let mut shown_table = table(summary, shown.iter().copied());
    let room = shown_table.width().map_or(usize::MAX, usize::from);
    if shown_table.lines().any(|line| line.chars().count() > room) {
        shown_table = narrow_table(summary, &shown);
    }
    let mut text = format!("{shown_table}\n* recommended\n\n");
    if let Some(last) = summary.failed.last() {
        let _ = writeln!(
            text,
            "{} gave no figures; the last, {}, said: {}\n",
            count(summary.failed.len(), "trial"),
            last.setting(),
            last.error.as_deref().unwrap_or("nothing")
        );
    }
    Ok(text + &remarks(summary)? + &Closing::of(summary)?.lines())
}

/// For a terminal that has no room for the whole table.
fn narrow_table(summary: &Summary, cells: &[&CellSummary]) -> Table {
    let header = ["", "batch", "workers", "depth", "samples/s"];
    let rows = cells.iter().map(|cell| {
        let star = if cell.cell == summary.recommended { "*" } else { "" };
        [
            star.to_owned(),
            cell.cell.batch_size.to_string(),
            cell.cell.num_workers.to_string(),
            depth(cell),
            format!("{:.0}", cell.samples_per_s.median),
        ]
    });
    markdown_table(&header, rows)
}

/// What is to be known beside the recommendation: warnings first.
fn remarks(summary: &Summary) -> Result<String, TunerError> {
    let mut text = String::new();
    for warning in explain::warnings(summary)? {
        let _ = writeln!(text, "Warning: {warning}.");
    }
    for note in explain::notes(summary)? {
        let _ = writeln!(text, "{}.", capitalized(&note));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    Ok(text)
}

/// The recommendation in words: what to use, how it compares, what limits it, what would help.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn verdict(summary: &Summary) -> Result<String, TunerError> {
    let Closing { recommended, gain, limit, next } = Closing::of(summary)?;
    let remarks = remarks(summary)?;
    Ok(format!(
        "Use {recommended}.\n\n- Beside the default: {gain}.\n- What limits it: {limit}.\n- Next: \
         {next}.\n\n{remarks}"
    ))
}

pub(super) fn capitalized(text: &str) -> String {
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
    let Summary { data, machine, .. } = summary;
    let mut text = format!("# Sweep of `{}`\n\n{}\n", line(&data.root), verdict(summary)?);
    text += "![Samples per second and score by batch size, workers and depth](heatmap.png)\n\n";

    let best = summary.by_batch_size.iter().map(|choice| summary.find(choice.winner));
    let best = best.collect::<Result<Vec<_>, _>>()?;
    text += "## Best for each batch size\n\n";
    text += "Batch size changes the training; workers and depth do not. The recommended setting \
             has a star.\n\n";
    let _ = writeln!(text, "{}", table(summary, best));

    text += "\n## The winner under each objective\n\n";
    let _ = writeln!(text, "{}", objectives_table(summary)?);

    text += "\n## Speed and memory, and where the time goes\n\n\
             ![Samples per second against memory](pareto.png)\n\n\
             ![Where the threads' time goes, for each setting](stages.png)\n";
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

    text += "\n## How it was measured, and how to repeat it\n\n";
    let _ =
        writeln!(text, "```sh\n{}\ntuner explain recommended.toml\n```\n", line(&summary.command));
    for (name, value) in method_lines(summary) {
        let _ = writeln!(text, "- {name}: {}", line(&value));
    }
    let _ = writeln!(
        text,
        "- Machine: {}, {} usable cores, {}, {}; libtorch {}",
        machine.cpu,
        machine.usable_cores,
        mebibytes(machine.memory_bytes as f64),
        if machine.gpus.is_empty() { "no GPU".to_owned() } else { machine.gpus.join(", ") },
        machine.libtorch,
    );
    let _ = writeln!(
        text,
        "- Data: {} samples{}{}, fingerprint `{}`",
        data.samples,
        match data.classes {
            0 => String::new(),
            classes => format!(" in {classes} classes"),
        },
        if data.stand_in { " (a stand-in for real data)" } else { "" },
        data.fingerprint,
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

/// How it was measured: what, and in words.
pub(super) fn method_lines(summary: &Summary) -> Vec<(&'static str, String)> {
    let method = &summary.method;
    let mut lines = vec![
        ("Time", format!("{} to {}", moment(&summary.started), moment(&summary.finished))),
        ("Strategy", method.strategy.name().to_owned()),
        ("Objective", method.objective.to_string()),
        ("Consumer", method.consumer.to_string()),
        ("Page cache", method.cache.state.to_string()),
        (
            "Processes",
            format!(
                "{}, one for each run, in {} blocks in random order; {} of it in all",
                method.trials,
                method.blocks,
                duration(method.trials_s)
            ),
        ),
        (
            "Runs",
            format!(
                "{} of each setting, those that could still be the best up to {}; at least {} s \
                 each, after warming up until the rate is steady",
                method.repeats, method.max_repeats, method.measure_s
            ),
        ),
        (
            "Intervals",
            "95%, from a bootstrap of the runs; settings whose figure lies within the interval of \
             the leader's, and at most 0.5% below it, are its equals: of these fewer workers win, then \
             less memory, then smaller depth; settings of which a run failed rank below all others"
                .to_owned(),
        ),
    ];
    if let Some(budget_s) = method.time_budget_s {
        let ended = if method.out_of_time { "ended by it" } else { "not used up" };
        lines.push(("Time budget", format!("{}, {ended}", duration(budget_s))));
    }
    if let Some(drift) = &summary.drift {
        lines.push((
            "Drift",
            format!(
                "{}, run in every block: samples/s of the last block {:+.1}% of the first's, highest \
                 to lowest {:.1}% of the median",
                drift.cell,
                100.0 * drift.change,
                100.0 * drift.spread
            ),
        ));
    }
    lines
}

fn objectives_table(summary: &Summary) -> Result<Table, TunerError> {
    let header = ["objective", "batch", "workers", "depth", "samples/s (95%)", "score", "memory"];
    let rows = summary.objectives.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        Ok([
            choice.objective.to_string(),
            cell.cell.batch_size.to_string(),
            cell.cell.num_workers.to_string(),
            depth(cell),
            with_interval(&cell.samples_per_s),
            format!("{:.1}", cell.score.median),
            mebibytes(cell.rss_mean_bytes.median),
        ])
    });
    let rows = rows.collect::<Result<Vec<_>, TunerError>>()?;
    Ok(markdown_table(&header, rows.into_iter()))
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
