//! Operations that take a good part of the session's time.

use std::collections::BTreeMap;

use super::evidence::{CROWDED, Evidence, LOST, Storage};
use super::{duration, percent};
use crate::attribution::Verdict;
use crate::bottleneck::{Bottleneck, BottleneckType};
use crate::extend::Detector;
use crate::faults;
use crate::resources::ResourceSample;
use crate::session::{OperationStats, ProfilingSession};

/// Finds the operations that take most of a program's time, each by what it takes itself: what
/// is spent in operations inside counts for those.
///
/// Operations that wait for data are left out where a pipeline's stages explain the waiting.
#[derive(Clone, Copy, Debug, Default)]
pub struct OperationDetector;

impl Detector for OperationDetector {
    fn name(&self) -> &str {
        "operations"
    }

    fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck> {
        let duration_s = session.duration_s;
        if duration_s.is_nan() || duration_s <= 0.0 {
            return Vec::new();
        }
        let metrics = &session.performance_metrics;
        let explained = metrics.pipelines.iter().any(|pipeline| {
            let verdict = pipeline.attribution.as_ref().map(|attribution| attribution.verdict);
            verdict.is_some_and(|verdict| verdict != Verdict::NotInputBound)
        });
        let mut names = BTreeMap::<&str, usize>::new();
        for operation in &metrics.operations {
            *names.entry(operation.name()).or_default() += 1;
        }
        metrics
            .operations
            .iter()
            .filter(|operation| !(explained && operation.kind == BottleneckType::DataLoading))
            .filter(|operation| share(operation, duration_s) >= session.config.bottleneck_threshold)
            .map(|operation| {
                let alone = names[operation.name()] == 1;
                let name =
                    if alone { operation.name().to_owned() } else { operation.path.join(" > ") };
                found(name, operation, session)
            })
            .collect()
    }
}

/// The part of the session for which the operation itself held up a thread: of several threads
/// each its part, for they run side by side.
fn share(operation: &OperationStats, duration_s: f64) -> f64 {
    (operation.self_s / operation.threads.max(1) as f64 / duration_s).clamp(0.0, 1.0)
}

fn found(name: String, operation: &OperationStats, session: &ProfilingSession) -> Bottleneck {
    let share = share(operation, session.duration_s);
    let evidence = evidence(operation, session);
    let (kind, reason) = evidence.judge();
    let calls = operation.calls.max(1);
    let others = evidence.lost_share() * share;
    let others = (evidence.lost_share() >= LOST).then(|| {
        format!(
            "end other programs that compute, or give this one cores of its own: {} of the time \
             would be saved",
            percent(others)
        )
    });
    let cause = format!(
        "`{name}` itself takes {} of the session: {} in {} calls, {} each; {reason}.",
        percent(share),
        duration(operation.self_s),
        operation.calls,
        duration(operation.self_s / calls as f64),
    );
    Bottleneck {
        suggestions: others
            .into_iter()
            .chain([suggestion(
                &name,
                operation,
                (&kind, &evidence),
                (share, session.machine.usable_cores),
            )])
            .collect(),
        name,
        kind,
        // It was timed in full, not sampled: there is nothing to be unsure of.
        severity: share,
        frequency: operation.calls,
        total_time_s: operation.self_s,
        optimization_potential: Some(share),
        cause,
    }
}

fn evidence(operation: &OperationStats, session: &ProfilingSession) -> Evidence {
    let others_read = session.performance_metrics.operations.iter().any(|other| {
        other.path != operation.path
            && other.kind == BottleneckType::IoOperation
            && other.self_s > 0.0
    });
    let seen = operation.evidence.unwrap_or_default();
    let measured = Some(seen).filter(|seen| seen.wall_s > 0.0);
    let wall_s = operation.self_s.max(f64::MIN_POSITIVE);
    Evidence {
        declared: operation.kind.clone(),
        wall_s: operation.self_s,
        cpu_share: operation.self_cpu_s.map(|cpu_s| cpu_s / wall_s),
        run_delay_share: measured.and_then(|seen| Some(seen.run_delay_s? / seen.wall_s)),
        others_share: others_share(session),
        storage: Storage::between(&session.resources).filter(|_| !others_read),
        fault_share: measured.map(|seen| {
            faults::share_of_cpu(seen.minor_faults as f64, seen.kernel_cpu_s, seen.cpu_s)
        }),
        looks: seen.looks,
    }
}

/// The share of the process's time without a core that other programs cause: what is beyond the share
/// that so many threads on so many cores cause themselves. 0 where that is not known.
fn others_share(session: &ProfilingSession) -> f64 {
    let known = |sample: &ResourceSample| {
        let cpu = sample.cpu?;
        Some((sample.at_s, cpu.process_cpu_s, cpu.run_delay_s?))
    };
    let mut known = session.resources.iter().filter_map(known);
    let (Some(first), Some(last)) = (known.next(), known.next_back()) else { return 0.0 };
    let seconds = (last.0 - first.0).max(f64::MIN_POSITIVE);
    let running = (last.1 - first.1).max(0.0) / seconds;
    let waiting = (last.2 - first.2).max(0.0) / seconds;
    if waiting <= 0.0 {
        return 0.0;
    }
    let own = (1.0 - session.machine.usable_cores / (running + waiting)).max(0.0);
    let measured = waiting / (running + waiting);
    (1.0 - own / measured).max(0.0)
}

fn suggestion(
    name: &str,
    operation: &OperationStats,
    (kind, evidence): (&BottleneckType, &Evidence),
    (share, cores): (f64, f64),
) -> String {
    let calls = operation.calls.max(1) as f64;
    let each = duration(operation.self_s / calls);
    let delay = evidence.crowded_share();
    let all = format!("up to {} of the time would be saved", percent(share));
    let half = format!("at half of it {} of the time would be saved", percent(0.5 * share));
    match kind {
        BottleneckType::DataLoading => format!(
            "make batches while the program computes (workers, a prefetch queue), so that no call \
             waits its {each}: {all}"
        ),
        BottleneckType::Preprocessing => {
            format!("move `{name}` to worker threads, or store its result: {all}")
        }
        BottleneckType::MemoryAllocation => {
            format!(
                "reuse buffers in `{name}` instead of allocating for {each} in each call: {half}"
            )
        }
        BottleneckType::GpuTransfer => format!(
            "pin the memory that `{name}` copies and copy while the GPU computes, which hides {each} \
             a call, or send narrower types: {all}"
        ),
        BottleneckType::CpuComputation => {
            format!("make `{name}`, {each} a call, cheaper or spread it over threads: {half}")
        }
        BottleneckType::IoOperation => format!(
            "read or write ahead on another thread, which hides {each} a call, or keep the data in \
             memory: {all}"
        ),
        BottleneckType::NetworkLatency => format!(
            "ask for several things at once: with 4 requests in flight `{name}` would take {} a \
             call, and {} of the time would be saved",
            duration(operation.self_s / calls / 4.0),
            percent(0.75 * share)
        ),
        BottleneckType::Synchronization if delay >= CROWDED => format!(
            "run no more threads that compute than the {cores:.1} cores that the process may use: \
             {} of the time would be saved",
            percent((evidence.run_delay_share.unwrap_or(0.0) - evidence.lost_share()) * share)
        ),
        BottleneckType::Synchronization => {
            format!("hold what `{name}` waits for, {each} a call, for less, or share less: {all}")
        }
        BottleneckType::Undeclared | BottleneckType::Custom(_) => {
            format!("make `{name}`, {each} a call, cheaper: {half}")
        }
    }
}
