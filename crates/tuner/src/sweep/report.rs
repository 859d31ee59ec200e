//! What a sweep found, for people: the table on the terminal and `report.md`.

use std::fmt::Write;

use profiler::report::human::mb;

use super::cell::CellSummary;
use super::closing::Closing;
use super::summary::Summary;
use super::words::count;
use super::{ceiling, explain, method, tables};
use crate::TunerError;

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
    let mut table = tables::settings(summary, shown.iter().copied());
    let room = table.width().map_or(usize::MAX, usize::from);
    if table.lines().any(|line| line.chars().count() > room) {
        table = tables::narrow(summary, shown);
    }
    let mut text = format!("{table}\n* recommended\n\n");
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
    let _ = writeln!(text, "{}", tables::settings(summary, best));

    text += "\n## The winner under each objective\n\n";
    let _ = writeln!(text, "{}", tables::objectives(summary)?);

    text += "\n## Speed and memory, and where the time goes\n\n\
             ![Samples per second against memory](pareto.png)\n\n\
             Settings that no other beats in both samples/s and memory:\n\n";
    let front = summary.pareto.iter().map(|cell| summary.find(*cell));
    let front = front.collect::<Result<Vec<_>, _>>()?;
    let _ = writeln!(text, "{}", tables::settings(summary, front));
    text += "\n![Where the threads' time goes, for each setting](stages.png)\n";
    let drift = summary.drift.as_ref().filter(|drift| !drift.at_s.is_empty());
    if !summary.timelines.is_empty() || drift.is_some() {
        text += "\n## Resource use over time\n";
    }
    if !summary.timelines.is_empty() {
        text += "\nOne run of each setting, of the middle pair of fresh runs where there are such; 100% of CPU is one core.\n\n\
                 ![Rate, CPU, memory and reading over time](timeline.png)\n";
    }
    if drift.is_some() {
        text += "\nThe default, run in every block: where its rate changes, the machine did.\n\n\
                 ![Samples per second of the default over the sweep](drift.png)\n";
    }
    text += "\n## All settings, by rank\n\n";
    let _ = writeln!(text, "{}", tables::settings(summary, &summary.cells));

    if let Some(lowest) = ceiling::lowest(&summary.ceilings) {
        text += "\n## Ceilings\n\n";
        let _ = writeln!(text, "{}", tables::ceilings(&summary.ceilings));
        let _ = writeln!(
            text,
            "\nWhat each part of the way gives on its own, measured before the trials. `of ceiling` is \
             samples/s by the lowest of them, `{}`{}; `limited by` is the stage without which most time \
             would be saved, by the profiler.",
            lowest.part.name(),
            match summary.method.consumer.is_some() {
                true => ", or by what the training loop takes at that batch size",
                false => "",
            }
        );
        if let Some(exceeded) = ceiling::exceeded(&summary.cells) {
            let _ = writeln!(text, "\n{}.", capitalized(&exceeded));
        }
    }

    text += "\n## Memory above the base\n\n";
    let _ = writeln!(text, "{}", tables::memory(&summary.cells));
    text += "\nWhat a process holds at its peak beyond what it held before the loader was built: batches \
             x bytes of a batch, and what threads that load take beside them, which was measured before \
             the trials.\n";

    text += "\n## Where the score comes from\n\n";
    let _ = writeln!(text, "{}", tables::scores(&summary.cells));
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
    for (name, value) in method::lines(summary) {
        let _ = writeln!(text, "- {name}: {}", line(&value));
    }
    let _ = writeln!(
        text,
        "- Machine: {}, {} usable cores, {}, {}; libtorch {}",
        machine.cpu,
        machine.usable_cores,
        mb(machine.memory_bytes as f64),
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
