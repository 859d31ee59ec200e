//! What the rows of one transform mean.

use profiler::bottleneck::{Bottleneck, BottleneckType};
use serde::Serialize;
use tch::Kind;

use super::{BatchFit, BestBatch, Measured, PreprocessingProfile};

/// What limits a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Copying as many bytes takes at least [`MEMORY_BOUND`] of its time: fewer bytes, or fewer
    /// passes over them, are what helps.
    Memory,
    /// It takes more than twice as long as copying: less work for each byte is what helps.
    Compute,
    /// It is done sooner than as many bytes are copied that lie in no cache: its data does, and little
    /// is left to gain.
    Caches,
}

/// The share of a call's time that copying its bytes takes, from which memory limits it.
pub const MEMORY_BOUND: f64 = 0.5;

impl Bound {
    /// By the share of a call's time that copying its bytes takes.
    pub fn of(copy_share: f64) -> Self {
        match copy_share {
            share if share > 1.0 => Self::Caches,
            share if share >= MEMORY_BOUND => Self::Memory,
            _ => Self::Compute,
        }
    }
}

/// What the rows of one transform at several batch sizes mean together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Findings {
    /// The transform.
    pub transform: String,
    /// Fixed cost and cost of a sample; `None` where fewer than two sizes were measured.
    pub fit: Option<BatchFit>,
    /// Which batch size is worth it; `None` where nothing was measured.
    pub best: Option<BestBatch>,
    /// What limits it at the best batch size.
    pub bound: Option<Bound>,
    /// The share of its time there that copying as many bytes takes.
    pub copy_share: Option<f64>,
    /// What to do, with figures.
    pub suggestions: Vec<String>,
}

impl Findings {
    /// Of the rows of one transform, of which some may have no figures.
    pub fn of(profiles: &[PreprocessingProfile]) -> Self {
        let measured = || profiles.iter().filter_map(|row| Some((row.batch_size, row.measured()?)));
        let points: Vec<_> =
            measured().map(|(size, row)| (size, row.sample_s * size as f64)).collect();
        let (fit, best) = (BatchFit::of(&points), BestBatch::of(profiles));
        let at_best = best.and_then(|best| measured().find(|(size, _)| *size == best.batch_size));
        let copy_share = at_best.map(|(_, row)| row.copy_share());
        let mut suggestions = Vec::new();
        if let (Some(fit), Some(least)) = (fit, points.iter().map(|point| point.0).min())
            && fit.fixed_share(least) >= FIXED_MATTERS
        {
            suggestions.push(format!(
                "each call costs {} however small it is, {:.0}% of a batch of {least}: fewer calls \
                 with larger batches, or several such steps in one call",
                seconds(fit.fixed_s),
                100.0 * fit.fixed_share(least),
            ));
        }
        if let Some((_, row)) = at_best {
            let rows = row.bottlenecks.iter().flat_map(|bottleneck| &bottleneck.suggestions);
            suggestions.extend(rows.cloned());
        }
        Self {
            transform: profiles.first().map(|row| row.transform.clone()).unwrap_or_default(),
            fit,
            best,
            bound: copy_share.map(Bound::of),
            copy_share,
            suggestions,
        }
    }
}

/// The share of the smallest batch from which a fixed cost is worth a word.
const FIXED_MATTERS: f64 = 0.2;
/// A 95th percentile so many times the median is worth a word.
const UNSTEADY: f64 = 2.0;

/// What holds a transform up, worst first.
pub(super) fn bottlenecks(transform: &str, row: &Measured) -> Vec<Bottleneck> {
    let calls = row.execution.raw_s.len() as u64;
    let total_time_s = row.execution.raw_s.iter().sum();
    let (share, call) = (row.copy_share(), seconds(row.execution.mean_s));
    let copy = seconds(row.copy_s);
    let bytes = row.memory.input_bytes + row.memory.output_bytes;
    let moved = format!("{:.1} MB", bytes as f64 / 1e6);
    let bottleneck = |name: &str, kind, severity: f64, cause, suggestions| Bottleneck {
        name: name.to_owned(),
        kind,
        severity,
        frequency: calls,
        total_time_s,
        optimization_potential: None,
        cause,
        suggestions,
    };
    let limit = match Bound::of(share) {
        Bound::Memory => {
            let mut suggestions = vec![format!(
                "make `{transform}` one pass with the step before or after it: each pass over the \
                 data that is saved saves about {copy} of {call}"
            )];
            if matches!(row.output_dtype, Kind::Float | Kind::Double) {
                suggestions.push(format!(
                    "leave bytes as they are (uint8) and make floats of them at the end, or on the \
                     device: {:.1} MB of output become a quarter or less",
                    row.memory.output_bytes as f64 / 1e6
                ));
            }
            let cause = format!(
                "a call takes {call}, and copying the {moved} that it reads and writes {copy}: \
                 {:.0}%, so memory limits it",
                100.0 * share
            );
            let kind = BottleneckType::Preprocessing;
            Some(bottleneck("memory_bandwidth", kind, share, cause, suggestions))
        }
        Bound::Compute => {
            let cause = format!(
                "a call takes {call}, and copying the {moved} that it reads and writes only \
                 {copy}: {:.0}%, so the processor's work limits it",
                100.0 * share
            );
            let kind = BottleneckType::CpuComputation;
            Some(bottleneck("processor", kind, 1.0 - share, cause, Vec::new()))
        }
        Bound::Caches => None,
    };
    let mut found = Vec::from_iter(limit);
    let unsteady = row.execution.p95_s / row.execution.median_s;
    if unsteady > UNSTEADY && row.execution.raw_s.len() >= 5 {
        let cause = format!(
            "one call in twenty takes {} or more, {unsteady:.1} times the median",
            seconds(row.execution.p95_s)
        );
        let advice = "measure again while nothing else runs on this machine; if it stays, look for \
                      inputs that cost more than others";
        let (name, kind) = ("unsteady_time", BottleneckType::Preprocessing);
        found.push(bottleneck(name, kind, 1.0 - 1.0 / unsteady, cause, vec![advice.to_owned()]));
    }
    found.sort_by(|a, b| b.severity.total_cmp(&a.severity));
    found
}

/// A time as people write it.
pub fn seconds(time_s: f64) -> String {
    match time_s {
        t if t < 0.999_5e-6 => format!("{:.0} ns", 1e9 * t),
        t if t < 0.999_5e-3 => format!("{:.1} us", 1e6 * t),
        t if t < 0.999_5 => format!("{:.2} ms", 1e3 * t),
        t => format!("{t:.2} s"),
    }
}
