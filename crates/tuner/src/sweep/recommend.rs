//! `recommended.toml`: the settings that the loader reads, and why.

use loader::Settings;
use loader::settings::{BatchSizeSettings, SCHEMA, SettingsFile};
use toml::{Table, Value};

use super::cell::CellSummary;
use super::closing::Closing;
use super::explain;
use super::fingerprint::config_hash;
use super::grid::Cell;
use super::summary::Summary;
use crate::{Config, TunerError};

/// The file's text.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn settings_file(config: &Config, summary: &Summary) -> Result<String, TunerError> {
    let (winner, method) = (summary.winner()?, &summary.method);
    let best = summary.by_batch_size.iter().map(|choice| summary.find(choice.winner));
    let rows = best.collect::<Result<Vec<_>, _>>()?.into_iter().map(|best| BatchSizeSettings {
        batch_size: best.cell.batch_size,
        num_workers: best.cell.num_workers,
        prefetch_depth: best.cell.prefetch_depth,
        pin_memory: best.pin_memory,
        samples_per_s: rounded(best.samples_per_s.median),
        score: rounded(best.score.median),
    });
    let ended = Value::try_from(method.ended).map_err(|e| TunerError::Bug(e.to_string()))?;
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
        evidence: evidence(winner, summary)?,
        machine: Some(summary.machine.clone()),
        data: Table::try_from(&summary.data).map_err(|e| TunerError::Bug(e.to_string()))?,
        sweep: Table::from_iter([
            ("command".to_owned(), Value::from(summary.command.as_str())),
            ("config_hash".to_owned(), Value::from(config_hash(config)?)),
            ("seed".to_owned(), seed(config.sweep.seed)),
            ("trials".to_owned(), Value::from(method.trials as i64)),
            ("failed".to_owned(), Value::from(summary.failed.len() as i64)),
            ("strategy".to_owned(), Value::from(method.strategy.name())),
            ("repeats".to_owned(), Value::from(method.repeats as i64)),
            ("ended".to_owned(), ended),
            ("measure_s".to_owned(), Value::from(method.measure_s)),
            ("cache_state".to_owned(), Value::from(method.cache.name())),
            ("consumer".to_owned(), Value::from(method.consumer.to_string())),
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

fn evidence(winner: &CellSummary, summary: &Summary) -> Result<Table, TunerError> {
    let closing = Closing::of(summary)?;
    let pair = |pair: [f64; 2]| Value::from(pair.map(rounded).to_vec());
    let mut table = Table::from_iter([
        ("objective".to_owned(), Value::from(summary.method.objective.name())),
        ("score".to_owned(), Value::from(rounded(winner.score.median))),
        ("samples_per_s".to_owned(), Value::from(rounded(winner.samples_per_s.median))),
        ("first_batch_s".to_owned(), Value::from(rounded(winner.first_batch_s.median))),
        ("rss_mean_bytes".to_owned(), Value::from(winner.rss_mean_bytes.median as i64)),
        ("cpu_percent".to_owned(), Value::from(rounded(winner.cpu_percent.median))),
        ("trials".to_owned(), Value::from(winner.trials as i64)),
        ("limit".to_owned(), Value::from(closing.limit)),
        ("next".to_owned(), Value::from(closing.next)),
    ]);
    if let Some(limit) = &winner.limit {
        table.insert("bottleneck".to_owned(), Value::from(limit.stage.as_str()));
        let potential = rounded(limit.potential.median);
        table.insert("bottleneck_potential".to_owned(), Value::from(potential));
    }
    if let Some(wait) = winner.wait_share {
        table.insert("wait_share".to_owned(), Value::from(rounded(wait.median)));
    }
    for (key, estimate) in [
        ("score_interval", Some(winner.score)),
        ("samples_per_s_interval", Some(winner.samples_per_s)),
        ("bottleneck_potential_interval", winner.limit.as_ref().map(|limit| limit.potential)),
        ("wait_share_interval", winner.wait_share),
    ] {
        if let Some(interval) = estimate.and_then(|it| it.interval) {
            table.insert(key.to_owned(), pair(interval));
        }
    }
    // The setting that the recommended one was held against, or the one that it stands in for.
    let held = [
        ("against_default", summary.against_default().map(|it| (it, it.default))),
        ("refuted", summary.refuted().map(|it| (it, it.winner))),
    ];
    for (key, held) in held {
        let Some((headline, cell)) = held else { continue };
        let mut fresh = setting(cell);
        let pairs = headline.winner_samples_per_s.len() as i64;
        fresh.insert("ratio".to_owned(), Value::from(rounded(headline.ratio)));
        fresh.insert("pairs".to_owned(), Value::from(pairs));
        if let Some(interval) = headline.interval {
            fresh.insert("ratio_interval".to_owned(), pair(interval));
        }
        if let Some(rate) = headline.fresh_samples_per_s() {
            fresh.insert("winner_samples_per_s".to_owned(), Value::from(rounded(rate)));
        }
        table.insert(key.to_owned(), fresh.into());
    }
    if let Some(reason) = explain::equal_to_leader(winner, summary) {
        table.insert("equal".to_owned(), Value::from(reason));
    }
    if let Some(runner_up) = summary.cells.iter().find(|it| it.in_grid && it.cell != winner.cell) {
        let mut next = setting(runner_up.cell);
        next.insert("score".to_owned(), Value::from(rounded(runner_up.score.median)));
        table.insert("runner_up".to_owned(), next.into());
    }
    if !summary.could_have_won.is_empty() {
        let settings = summary.could_have_won.iter().map(|cell| Value::from(cell.to_string()));
        table.insert("could_have_won".to_owned(), Value::Array(settings.collect()));
    }
    Ok(table)
}

/// TOML has no integers beyond 63 bits.
fn seed(seed: u64) -> Value {
    i64::try_from(seed).map_or_else(|_| Value::from(seed.to_string()), Value::from)
}

fn setting(cell: Cell) -> Table {
    let Cell { batch_size, num_workers, prefetch_depth } = cell;
    let keys = [
        ("batch_size", batch_size),
        ("num_workers", num_workers),
        ("prefetch_depth", prefetch_depth),
    ];
    keys.into_iter().map(|(key, number)| (key.to_owned(), Value::from(number as i64))).collect()
}

/// Four digits after the point: more would pretend.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
