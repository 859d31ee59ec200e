//! `recommended.toml`: the settings that the loader reads, and why.

use loader::Settings;
use loader::settings::{BatchSizeSettings, SCHEMA, SettingsFile};
use toml::{Table, Value};

use super::explain;
use super::grid::Cell;
use super::summary::{self, CellSummary, Summary};
use crate::{Config, TunerError};

/// The best cell of each batch size, by score, in the order of batch sizes.
pub fn by_batch_size(cells: &[CellSummary]) -> Vec<&CellSummary> {
    let mut sizes: Vec<usize> = cells.iter().map(|cell| cell.cell.batch_size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let of_size = |size| cells.iter().filter(move |cell| cell.cell.batch_size == size);
    sizes.into_iter().filter_map(|size| summary::best(of_size(size))).collect()
}

/// The file's text.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn settings_file(config: &Config, summary: &Summary) -> Result<String, TunerError> {
    let winner = summary.winner()?;
    let rows = by_batch_size(&summary.cells).into_iter().map(|best| BatchSizeSettings {
        batch_size: best.cell.batch_size,
        num_workers: best.cell.num_workers,
        prefetch_depth: best.cell.prefetch_depth,
        pin_memory: best.pin_memory,
        samples_per_s: rounded(best.samples_per_s.median),
        score: rounded(best.score.median),
    });
    let file = SettingsFile {
        schema: SCHEMA,
        loader: Settings {
            batch_size: winner.cell.batch_size,
            num_workers: winner.cell.num_workers,
            prefetch_depth: winner.cell.prefetch_depth,
            pin_memory: winner.pin_memory,
            ..config.loader.clone()
        },
        by_batch_size: rows.collect(),
        evidence: evidence(winner, summary),
        machine: Some(summary.machine.clone()),
        data: Table::try_from(&summary.data).map_err(|e| TunerError::Bug(e.to_string()))?,
        sweep: Table::from_iter([
            ("command".to_owned(), Value::from(summary.command.as_str())),
            ("trials".to_owned(), Value::from(trials(summary))),
            ("failed".to_owned(), Value::from(summary.failed.len() as i64)),
            ("repeats".to_owned(), Value::from(summary.repeats as i64)),
            ("measure_s".to_owned(), Value::from(summary.measure_s)),
            ("cache_state".to_owned(), Value::from("as-is")),
            ("started".to_owned(), Value::from(summary.started.as_str())),
            ("finished".to_owned(), Value::from(summary.finished.as_str())),
        ]),
    };
    let text = toml::to_string(&file).map_err(|e| TunerError::Bug(e.to_string()))?;
    let warning = match explain::rivals_that_failed(summary) {
        Some(warning) => format!("# WARNING: {warning}\n"),
        None => String::new(),
    };
    Ok(format!(
        "# Settings for `loader::Loader::from_settings`, found by `tuner sweep`.\n\
         # What follows `[loader]` says why, and is not needed.\n{warning}\n{text}"
    ))
}

fn trials(summary: &Summary) -> i64 {
    summary.cells.iter().map(|cell| cell.trials as i64).sum()
}

fn evidence(winner: &CellSummary, summary: &Summary) -> Table {
    let limit = explain::limit(winner, summary.machine.usable_cores);
    let range =
        |spread: &summary::Spread| Value::from(vec![rounded(spread.min), rounded(spread.max)]);
    let mut table = Table::from_iter([
        ("objective".to_owned(), Value::from("documented")),
        ("score".to_owned(), Value::from(rounded(winner.score.median))),
        ("score_range".to_owned(), range(&winner.score)),
        ("samples_per_s".to_owned(), Value::from(rounded(winner.samples_per_s.median))),
        ("samples_per_s_range".to_owned(), range(&winner.samples_per_s)),
        ("first_batch_s".to_owned(), Value::from(rounded(winner.first_batch_s.median))),
        ("rss_mean_bytes".to_owned(), Value::from(winner.rss_mean_bytes.median as i64)),
        ("cpu_percent".to_owned(), Value::from(rounded(winner.cpu_percent.median))),
        ("trials".to_owned(), Value::from(winner.trials as i64)),
        ("bottleneck".to_owned(), Value::from(limit.stage)),
        ("bottleneck_share".to_owned(), Value::from(rounded(limit.share))),
        ("limit".to_owned(), Value::from(limit.sentence)),
    ]);
    if let Some(reason) = explain::equal_to_leader(winner, summary) {
        table.insert("equal".to_owned(), Value::from(reason));
    }
    if let Some(runner_up) = summary.cells.iter().find(|cell| cell.cell != winner.cell) {
        let Cell { batch_size, num_workers, prefetch_depth } = runner_up.cell;
        let cell = Table::from_iter([
            ("batch_size".to_owned(), Value::from(batch_size as i64)),
            ("num_workers".to_owned(), Value::from(num_workers as i64)),
            ("prefetch_depth".to_owned(), Value::from(prefetch_depth as i64)),
            ("score".to_owned(), Value::from(rounded(runner_up.score.median))),
        ]);
        table.insert("runner_up".to_owned(), cell.into());
    }
    if !summary.could_have_won.is_empty() {
        let settings = summary.could_have_won.iter().map(|cell| Value::from(cell.to_string()));
        table.insert("could_have_won".to_owned(), Value::Array(settings.collect()));
    }
    table
}

/// Four digits after the point: more would pretend.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
