//! `trace.json`: the timeline for <https://ui.perfetto.dev> and `chrome://tracing`.
//!
//! The JSON trace event format: spans are complete events (`X`), the trackers and pipelines are
//! counters (`C`), names are metadata (`M`). Times are whole and broken microseconds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};

use crate::extend::{PluginError, ReportFormat};
use crate::report::rates::{io_rates, windows};
use crate::report::verdict::Verdict;
use crate::session::ProfilingSession;

/// `trace.json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace;

/// One process is in the trace; what the system called it says nothing later.
const PID: u32 = 1;

#[derive(Serialize)]
struct Event<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'static str,
    pid: u32,
    tid: i32,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    trace_events: Vec<Event<'a>>,
    display_time_unit: &'static str,
    other_data: BTreeMap<&'static str, String>,
}

impl ReportFormat for Trace {
    fn file_name(&self, _session: &ProfilingSession) -> String {
        "trace.json".to_owned()
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        let mut events = names(session);
        let from = events.len();
        spans(session, &mut events);
        counters(session, &mut events);
        // By time; of spans that begin together the longer holds the shorter.
        events[from..].sort_by(|a, b| {
            let longer = b.dur.unwrap_or(0.0).total_cmp(&a.dur.unwrap_or(0.0));
            a.ts.total_cmp(&b.ts).then(longer)
        });
        let file = File {
            trace_events: events,
            display_time_unit: "ms",
            other_data: BTreeMap::from([
                ("session_id", session.session_id.clone()),
                ("name", session.name.clone()),
                ("started", session.started.clone()),
                ("verdict", Verdict::of(session).sentence),
            ]),
        };
        serde_json::to_writer(&mut *out, &file)?;
        Ok(out.write_all(b"\n")?)
    }
}

fn names(session: &ProfilingSession) -> Vec<Event<'_>> {
    let event = |name: &'static str, tid, args| Event {
        name: name.into(),
        cat: None,
        ph: "M",
        pid: PID,
        tid,
        ts: 0.0,
        dur: None,
        args: Some(args),
    };
    let mut events = vec![event("process_name", 0, json!({ "name": session.name }))];
    for thread in &session.threads {
        events.push(event("thread_name", thread.tid, json!({ "name": thread.name })));
    }
    events
}

fn spans<'a>(session: &'a ProfilingSession, events: &mut Vec<Event<'a>>) {
    let known = session.timeline.iter().filter(|span| {
        span.start_s.is_finite() && span.duration_s.is_finite() && span.duration_s >= 0.0
    });
    events.extend(known.map(|span| Event {
        name: span.name.as_str().into(),
        cat: Some(span.kind.name()),
        ph: "X",
        pid: PID,
        tid: span.tid,
        ts: span.start_s * 1e6,
        dur: Some(span.duration_s * 1e6),
        args: None,
    }));
}

fn counters<'a>(session: &'a ProfilingSession, events: &mut Vec<Event<'a>>) {
    let mut count = |name: Cow<'a, str>, at_s: f64, values: &[(&str, Option<f64>)]| {
        let known = values.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        let known = known.filter(|(_, value)| value.is_finite());
        let args: serde_json::Map<String, Value> =
            known.map(|(name, value)| (name.to_owned(), json!(value))).collect();
        if !args.is_empty() && at_s.is_finite() {
            let args = Some(Value::Object(args));
            let (ph, ts) = ("C", at_s * 1e6);
            events.push(Event { name, cat: None, ph, pid: PID, tid: 0, ts, dur: None, args });
        }
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for sample in &session.resources {
        let at = sample.at_s;
        let resident = sample.memory.map(|memory| mib(memory.resident_bytes));
        count("memory MB".into(), at, &[("resident", resident)]);
        let process = sample.cpu.and_then(|cpu| cpu.process_percent);
        count("CPU %".into(), at, &[("process", process)]);
        for gpu in sample.gpus.iter().flatten() {
            let name = |what| Cow::Owned(format!("GPU {} {what}", gpu.index));
            count(name("%"), at, &[("busy", gpu.utilization_percent.map(f64::from))]);
            count(name("memory MB"), at, &[("in use", gpu.memory_used_bytes.map(mib))]);
        }
        for (name, value) in &sample.metrics {
            count(name.as_str().into(), at, &[("value", Some(*value))]);
        }
    }
    for (at, rates) in io_rates(&session.resources) {
        let (read, written) = (rates.as_ref().map(|r| r.read_mb), rates.map(|r| r.written_mb));
        count("I/O MB/s".into(), at, &[("read", read), ("written", written)]);
    }
    for pipeline in &session.performance_metrics.pipelines {
        for window in windows(&pipeline.snapshots) {
            let percent = |share: f64| Some(share * 100.0);
            // A track has one scale: rates and shares go on tracks of their own.
            let name = |what| Cow::Owned(format!("{} {what}", pipeline.name));
            count(name("samples/s"), window.at_s, &[("delivered", Some(window.items_per_s))]);
            let shares = [
                ("consumer waits", percent(window.wait_share)),
                ("queue empty", window.empty_share.and_then(percent)),
            ];
            count(name("wait %"), window.at_s, &shares);
        }
    }
}
