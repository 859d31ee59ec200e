//! Reports of sessions made by hand: what stands in them, and what they do with bad ones.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod files;
mod folder;
#[path = "../gallery/mod.rs"]
mod gallery;
mod pages;

use profiler::bottleneck::BottleneckType;
use profiler::extend::ReportFormat;
use profiler::session::ProfilingSession;

pub(crate) fn text(format: &dyn ReportFormat, session: &ProfilingSession) -> String {
    String::from_utf8(bytes(format, session)).unwrap()
}

pub(crate) fn bytes(format: &dyn ReportFormat, session: &ProfilingSession) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(session, &mut out).unwrap();
    out
}

/// Names that mean something to HTML, Markdown, SVG or a path.
pub(crate) fn hostile() -> ProfilingSession {
    let evil = "</script></style><script>alert(1)</script>|`x`\u{7}\"'&";
    let mut session = gallery::training();
    session.name = evil.to_owned();
    session.notes.push(evil.to_owned());
    session.attributes.insert(evil.to_owned(), evil.to_owned());
    session.bottlenecks[0].name = evil.to_owned();
    session.bottlenecks[0].cause = evil.to_owned();
    session.bottlenecks[0].suggestions = vec![evil.to_owned()];
    session.bottlenecks[0].kind = BottleneckType::Custom(evil.to_owned());
    session.performance_metrics.operations[0].path = vec![evil.to_owned()];
    session.performance_metrics.pipelines[0].name = evil.to_owned();
    session.performance_metrics.pipelines[0].snapshots[420].stations[0].name = evil.to_owned();
    session.threads[0].name = evil.to_owned();
    session.trackers[0].name = evil.to_owned();
    session.resources[3].metrics.insert(evil.to_owned(), 1.0);
    session
}

/// Numbers that are none, and moments out of order.
pub(crate) fn broken() -> ProfilingSession {
    let mut session = gallery::training();
    session.duration_s = f64::NAN;
    session.started = "not a time".to_owned();
    for sample in &mut session.resources {
        sample.at_s = -sample.at_s;
        sample.metrics.insert("nan".to_owned(), f64::NAN);
    }
    session.bottlenecks[0].severity = f64::NAN;
    session.bottlenecks[1].optimization_potential = Some(f64::INFINITY);
    for operation in &mut session.performance_metrics.operations {
        operation.total_s = f64::INFINITY;
        operation.self_s = f64::NAN;
        operation.calls = 0;
    }
    for snapshot in &mut session.performance_metrics.pipelines[0].snapshots {
        snapshot.consumer_wait_s = f64::NAN;
        snapshot.stations[0].threads = 0;
        snapshot.stations[0].stages[0].busy_s = -1.0;
    }
    let pipeline = &mut session.performance_metrics.pipelines[0];
    pipeline.snapshots[0].stations.clear();
    pipeline.attribution.as_mut().unwrap().limiting_station = 99;
    session
}
