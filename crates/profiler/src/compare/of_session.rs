//! What of a session can be compared, and in which pieces.
//!
//! Samples that follow each other are alike, which would make intervals too narrow: a session is cut
//! in at most [`WINDOWS`] sub-windows, and the mean of each is one value.

use std::collections::BTreeMap;

use super::{Comparable, Metric};
use crate::pipeline::PipelineSnapshot;
use crate::resources::ResourceSample;
use crate::session::{PipelineProfile, ProfilingSession};

/// Sub-windows of a session: enough for an interval, and each long enough to stand for itself.
const WINDOWS: usize = 20;

/// The metrics are: each pipeline's samples a second, share of time that its consumer did not wait,
/// and CPU time of the process for each sample; time of each operation's calls (its mean where the
/// timeline does not have the calls); resident memory, and GPU memory of the process.
///
/// The data's identity is what the attribute `data.fingerprint` says, or else `data` and `data.*`.
impl From<&ProfilingSession> for Comparable {
    fn from(session: &ProfilingSession) -> Self {
        let machine = &session.machine;
        let gib = |bytes: u64| format!("{:.0} GiB", bytes as f64 / f64::from(1 << 30));
        // The same data may lie elsewhere.
        let print = "data.fingerprint";
        let is_data = |name: &str| match session.attributes.contains_key(print) {
            true => name == print,
            false => name == "data" || name.starts_with("data."),
        };
        let data = session.attributes.iter().filter(|(name, _)| is_data(name));
        let mut metrics = Vec::new();
        for pipeline in &session.performance_metrics.pipelines {
            of_pipeline(session, pipeline, &mut metrics);
        }
        operations(session, &mut metrics);
        memory(session, &mut metrics);
        Self {
            schema: session.schema.clone(),
            machine: BTreeMap::from([
                ("cpu".to_owned(), machine.cpu_model.clone()),
                ("usable cores".to_owned(), machine.usable_cores.to_string()),
                (
                    "memory".to_owned(),
                    gib(machine.memory_limit_bytes.unwrap_or(machine.memory_bytes)),
                ),
                ("gpus".to_owned(), machine.gpus.join(", ")),
            ]),
            data: data.map(|(name, value)| (name.clone(), value.clone())).collect(),
            metrics,
        }
    }
}

fn of_pipeline(session: &ProfilingSession, pipeline: &PipelineProfile, metrics: &mut Vec<Metric>) {
    let mut rates = Vec::new();
    let mut working = Vec::new();
    let mut cpu = Vec::new();
    for (before, now) in sub_windows(&pipeline.snapshots) {
        // From batch to batch: what is cut where time is cut has one batch more or less.
        let (from_s, to_s) = (before.batch_at_s(), now.batch_at_s());
        let seconds = to_s - from_s;
        let items = now.items.saturating_sub(before.items) as f64;
        rates.push(items / seconds);
        working.push(1.0 - (now.input_s() - before.input_s()) / seconds);
        let cpu_s = cpu_between(&session.resources, from_s, to_s);
        cpu.extend(cpu_s.filter(|_| items > 0.0).map(|cpu_s| cpu_s * 1e3 / items));
    }
    let mut add = |what: &str, unit: &str, higher_is_better, values: Vec<f64>| {
        let (name, unit) = (format!("{}: {what}", pipeline.name), unit.to_owned());
        if !values.is_empty() {
            metrics.push(Metric { name, unit, higher_is_better, values });
        }
    };
    add("samples a second", "samples/s", true, rates);
    // The share that it waits would double from 0.1% to 0.2%; this one hardly moves.
    add("time not waiting", "of 1", true, working);
    add("CPU time a sample", "ms", false, cpu);
}

/// Pairs of snapshots, each the end of the one before, of about the same length; without those
/// between which no batch came.
fn sub_windows(
    snapshots: &[PipelineSnapshot],
) -> impl Iterator<Item = (&PipelineSnapshot, &PipelineSnapshot)> {
    let windows = snapshots.len().saturating_sub(1).min(WINDOWS);
    let (first, last) = match snapshots {
        [first, .., last] => (first.at_s, last.at_s),
        _ => (0.0, 0.0),
    };
    // The snapshot that is first at or after each cut.
    let cuts = (0..=windows).filter_map(move |cut| {
        let at = first + (last - first) * cut as f64 / windows.max(1) as f64;
        let place = snapshots.partition_point(|snapshot| snapshot.at_s < at - 1e-9);
        (windows > 0).then(|| place.min(snapshots.len() - 1))
    });
    let mut cuts: Vec<usize> = cuts.collect();
    cuts.dedup();
    let pairs: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let pairs = pairs.into_iter().map(|(a, b)| (&snapshots[a], &snapshots[b]));
    pairs.filter(|(before, now)| now.batch_at_s() > before.batch_at_s())
}

/// CPU time of the process between two moments, evenly between samples; `None` where there are no
/// samples for half of it.
fn cpu_between(samples: &[ResourceSample], from_s: f64, to_s: f64) -> Option<f64> {
    let known: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|sample| Some((sample.at_s, sample.cpu?.process_cpu_s)))
        .collect();
    let (first, last) = (known.first()?, known.last()?);
    let cpu_at = |at_s: f64| {
        let after = known.partition_point(|(sample_s, _)| *sample_s < at_s);
        let (before, after) = (known[after.max(1) - 1], known[after.min(known.len() - 1)]);
        let share = (at_s - before.0) / (after.0 - before.0).max(f64::MIN_POSITIVE);
        before.1 + share.clamp(0.0, 1.0) * (after.1 - before.1)
    };
    let (start_s, end_s) = (from_s.clamp(first.0, last.0), to_s.clamp(first.0, last.0));
    let covered = end_s - start_s;
    let enough = covered > 0.0 && covered >= 0.5 * (to_s - from_s);
    enough.then(|| (cpu_at(end_s) - cpu_at(start_s)) * (to_s - from_s) / covered)
}

fn operations(session: &ProfilingSession, metrics: &mut Vec<Metric>) {
    let mut calls: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for span in &session.timeline {
        calls.entry(&span.name).or_default().push(span.duration_s * 1e3);
    }
    let mut means: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for operation in &session.performance_metrics.operations {
        let (total_s, calls) = means.entry(operation.name()).or_default();
        *total_s += operation.total_s;
        *calls += operation.calls;
    }
    for (name, (total_s, count)) in means.into_iter().filter(|(_, (_, count))| *count > 0) {
        let values = match calls.get(name) {
            Some(calls) => means_of(calls),
            None => vec![total_s * 1e3 / count as f64],
        };
        let (name, unit) = (format!("{name}: time a call"), "ms".to_owned());
        metrics.push(Metric { name, unit, higher_is_better: false, values });
    }
}

fn memory(session: &ProfilingSession, metrics: &mut Vec<Metric>) {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let samples = session.resources.iter();
    let resident: Vec<f64> =
        samples.clone().filter_map(|s| Some(mib(s.memory?.resident_bytes))).collect();
    let on_gpus = samples.filter_map(|sample| {
        let held = sample.gpus.as_ref()?.iter().filter_map(|gpu| gpu.process_bytes);
        held.reduce(|a, b| a + b).map(mib)
    });
    let on_gpus: Vec<f64> = on_gpus.collect();
    for (name, values) in [("resident memory", resident), ("GPU memory", on_gpus)] {
        if !values.is_empty() {
            let (name, unit, values) = (name.to_owned(), "MB".to_owned(), means_of(&values));
            metrics.push(Metric { name, unit, higher_is_better: false, values });
        }
    }
}

/// Means of at most [`WINDOWS`] stretches of values that follow each other.
fn means_of(values: &[f64]) -> Vec<f64> {
    let stretch = values.len().div_ceil(WINDOWS).max(1);
    values
        .chunks(stretch)
        .map(|stretch| stretch.iter().sum::<f64>() / stretch.len() as f64)
        .collect()
}
