//! Two measurements side by side: sessions of `tuner profile`, or summaries of sweeps.

use std::collections::BTreeMap;
use std::path::Path;

use profiler::compare::{Comparable, CompareOptions, Comparison, Metric, compare};
use profiler::report::session_json;
use serde::Deserialize;

use crate::TunerError;
use crate::sweep::cell::CellSummary;
use crate::sweep::summary::{self, Summary};

/// Compares the file `b`, the later one, with the file `a`.
///
/// # Errors
/// If a file cannot be read or is neither of the two, if they do not go together, or the machine or
/// the data differ and that is not forced.
pub fn files(a: &Path, b: &Path, options: CompareOptions) -> Result<Comparison, TunerError> {
    Ok(compare(&read(a)?, &read(b)?, options)?)
}

/// What every file says of its kind.
#[derive(Deserialize)]
struct Kind {
    schema: String,
}

fn read(path: &Path) -> Result<Comparable, TunerError> {
    let bytes = std::fs::read(path).map_err(TunerError::file("read", path))?;
    let is_sweep =
        serde_json::from_slice::<Kind>(&bytes).is_ok_and(|kind| kind.schema == summary::SCHEMA);
    if !is_sweep {
        return Ok(Comparable::from(&session_json::parse(&bytes, path)?));
    }
    Ok(of_sweep(&Summary::read(path)?))
}

/// The rate of each setting, one value for each of its trials.
fn of_sweep(summary: &Summary) -> Comparable {
    let machine = &summary.machine;
    let text = |name: &str, value: String| (name.to_owned(), value);
    let metric = |cell: &CellSummary| Metric {
        name: cell.cell.to_string(),
        unit: "samples/s".to_owned(),
        higher_is_better: true,
        values: cell.trial_rates.clone(),
    };
    Comparable {
        schema: summary.schema.clone(),
        machine: BTreeMap::from([
            text("cpu", machine.cpu.clone()),
            text("usable cores", machine.usable_cores.to_string()),
            text("memory", format!("{} GiB", machine.memory_bytes >> 30)),
            text("gpus", machine.gpus.join(", ")),
        ]),
        data: BTreeMap::from([
            text("fingerprint", summary.data.fingerprint.clone()),
            text("consumer", summary.method.consumer.to_string()),
            text("page cache", summary.method.cache.name()),
        ]),
        metrics: summary.cells.iter().map(metric).collect(),
    }
}
