//! A session in a screenful of text.

use std::fmt::{self, Write as _};

use crate::session::{OperationStats, ProfilingSession};

/// Operations and bottlenecks that are listed.
const MOST: usize = 10;
const MB: f64 = (1 << 20) as f64;

/// What took the time: the verdict on each pipeline, bottlenecks, operations by their own time,
/// memory, and what a reader should know.
pub(crate) fn summary(session: &ProfilingSession) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(session, &mut text);
    text
}

fn write(session: &ProfilingSession, out: &mut String) -> fmt::Result {
    let metrics = &session.performance_metrics;
    let state = if session.finished.is_some() { "took" } else { "is still open, so far" };
    writeln!(
        out,
        "Session {} {state} {:.1} s, {:.0}% of {} usable cores",
        session.session_id, session.duration_s, metrics.cpu_percent, session.machine.usable_cores
    )?;
    for pipeline in &metrics.pipelines {
        if let Some(attribution) = &pipeline.attribution {
            writeln!(out, "{}: {}", pipeline.name, attribution.sentence)?;
        }
    }

    if !session.bottlenecks.is_empty() {
        writeln!(out, "\nBottlenecks, worst first")?;
    }
    for bottleneck in session.bottlenecks.iter().take(MOST) {
        let severity = 100.0 * bottleneck.severity;
        writeln!(out, "  {} ({}), severity {severity:.0}%", bottleneck.name, bottleneck.kind)?;
        writeln!(out, "    {}", bottleneck.cause)?;
        if let Some(advice) = bottleneck.suggestions.first() {
            writeln!(out, "    -> {advice}")?;
        }
    }
    rest(session.bottlenecks.len(), out)?;

    let mut operations: Vec<&OperationStats> = metrics.operations.iter().collect();
    operations.sort_by(|a, b| b.self_s.total_cmp(&a.self_s));
    if !operations.is_empty() {
        writeln!(out, "\n  {:>9}  {:>9}  {:>9}  operation", "own time", "total", "calls")?;
    }
    for operation in operations.iter().take(MOST) {
        let OperationStats { self_s, total_s, calls, path, .. } = operation;
        let path = path.join(" > ");
        writeln!(out, "  {self_s:>7.3} s  {total_s:>7.3} s  {calls:>9}  {path}")?;
    }
    rest(operations.len(), out)?;

    if let Some(memory) = &session.memory_profile {
        let (peak, mean) = (memory.peak_bytes as f64 / MB, memory.mean_bytes as f64 / MB);
        writeln!(out, "\nMemory: {peak:.0} MB at most, {mean:.0} MB on average")?;
    }
    for tracker in &session.trackers {
        if let Some(reason) = &tracker.unavailable {
            writeln!(out, "Without {}: {reason}", tracker.name)?;
        }
    }
    for note in &session.notes {
        writeln!(out, "Note: {note}")?;
    }
    Ok(())
}

fn rest(length: usize, out: &mut String) -> fmt::Result {
    match length.saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more"),
    }
}
