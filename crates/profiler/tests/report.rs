//! Reports of sessions made by hand: what stands in them, and what they do with bad ones.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use profiler::bottleneck::BottleneckType;
use profiler::config::ProfilerConfig;
use profiler::extend::{Chart, PluginError, ReportFormat};
use profiler::profiler::BottleneckProfiler;
use profiler::report::session_json::{self, SessionFileError};
use profiler::report::{
    self, Html, Markdown, ReportError, SessionJson, TensorBoard, Trace, charts,
};
use profiler::session::ProfilingSession;
use proptest::prelude::*;

mod gallery;

fn text(format: &dyn ReportFormat, session: &ProfilingSession) -> String {
    String::from_utf8(bytes(format, session)).unwrap()
}

fn bytes(format: &dyn ReportFormat, session: &ProfilingSession) -> Vec<u8> {
    let mut out = Vec::new();
    format.write(session, &mut out).unwrap();
    out
}

/// Names that mean something to HTML, Markdown, SVG or a path.
fn hostile() -> ProfilingSession {
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
fn broken() -> ProfilingSession {
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

#[test]
fn every_file_is_written_of_every_session() {
    let mut one_sample = gallery::training();
    one_sample.resources.truncate(1);
    let mut gaps = gallery::training();
    for (at, sample) in gaps.resources.iter_mut().enumerate() {
        if at % 2 == 0 {
            (sample.memory, sample.cpu, sample.io, sample.gpus) = (None, None, None, None);
        }
    }
    let sessions = [gallery::training(), gallery::empty(), hostile(), one_sample, gaps];
    for session in sessions {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        let files = report::write_all(&session, &dir).unwrap();
        assert_eq!(files.len(), 11, "{files:?}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), files.len(), "nothing is left beside");
        for name in ["visualizations", "bottlenecks", "time"] {
            let png = dir.join(format!("{}_{name}.png", session.session_id));
            let image = image::open(&png).unwrap().to_rgb8();
            assert_eq!(image.width(), 2560);
            let dark = image.pixels().filter(|pixel| pixel.0.iter().all(|c| *c < 120)).count();
            assert!(dark > 2000, "{name} has text: {dark} dark pixels");
        }
    }
}

#[test]
fn numbers_that_are_none_spoil_one_file_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = report::write_all(&broken(), folder.path()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot make the report's file `session.json`: a number"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 10);
}

#[test]
fn markdown_has_the_sections_verdict_first() {
    let report = text(&Markdown, &gallery::training());
    let sections = [
        "# Bottleneck Profiling Report\n\nWritten 2",
        "Session ID: `20261122T211230-resnet50-imagenet-7f3a`",
        "**Highly input-bound.** `decode` limits the loader",
        "## Session Summary",
        "- **Start**: 2026-11-22 21:12:30 UTC",
        "- **End**: 2026-11-22 21:13:12 UTC",
        "- **Duration**: 42.0 s",
        "## Performance Metrics",
        "- **Memory**: mean 2,311 MB, peak 2,812 MB, 8.6% of the 32,768 MB limit",
        "| `epoch › data_loading` | data_loading | 840 | 13,200 | 12,100 | 29% | 15.7 |",
        "## Bottleneck Analysis\n\nTotal bottlenecks: 3",
        "### preprocessing (1)\n\n#### `loader.decode`\n\n- Severity: 0.29\n- Frequency: 53,760\n",
        "- Time: 1 min 32 s",
        "Suggestions:\n\n- use 6 workers",
        "### gpu_transfer (1)",
        "## Stages",
        "| `workers` | 4 | `decode` **limits** | preprocessing | 1.72 | 55% | 99% | 31% |",
        "## Machine",
        "AMD EPYC 9334",
        "## Notes",
        "- 12,418 spans found no room",
        "## Trackers",
        "| `allocator` | unavailable: libtorch was built without CUDA |",
    ];
    let mut from = 0;
    for section in sections {
        let at = report[from..].find(section);
        from += at.unwrap_or_else(|| panic!("`{section}` is missing or out of order:\n{report}"));
    }
}

#[test]
fn an_empty_session_says_so_everywhere() {
    let session = gallery::empty();
    let report = text(&Markdown, &session);
    assert!(report.contains("Total bottlenecks: 0\n\nNone was found."));
    assert!(report.contains("**Too little recorded.**"));
    assert!(report.contains("`libnvidia-ml.so.1` could not be loaded |"), "{report}");
    let page = text(&Html(Vec::new()), &session);
    assert!(page.contains("None was found."));
    assert!(page.contains("No operation ended and no pipeline reported"));
    for chart in charts::standard() {
        let svg = chart.svg(&session).unwrap();
        assert!(svg.contains("No "), "{}: {svg}", chart.title());
    }
}

#[test]
fn an_open_session_is_said_to_be_open() {
    let mut session = gallery::training();
    session.finished = None;
    assert!(text(&Markdown, &session).contains("- **End**: still open"));
    assert!(text(&Html(Vec::new()), &session).contains("still open"));
}

#[test]
fn the_page_needs_nothing_else_and_escapes_everything() {
    let clean = text(&Html(Vec::new()), &gallery::training());
    let page = text(&Html(Vec::new()), &hostile());
    for tag in ["<script", "</script", "<style", "</style", "<img"] {
        let count = |page: &str| page.matches(tag).count();
        assert_eq!(count(&page), count(&clean), "{tag}");
    }
    assert!(page.contains("&#60;script&#62;alert(1)"));
    for outside in ["http:", "https:", "src=\"/", "url(", "@import", "fetch("] {
        assert!(!clean.contains(outside), "{outside}");
    }
}

#[test]
fn markdown_tables_keep_their_shape() {
    let report = text(&Markdown, &hostile());
    assert!(!report.contains("\u{7}"));
    let mut lines = report.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(next) = lines.peek().filter(|next| line.starts_with('|') && next.starts_with('|'))
        else {
            continue;
        };
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert_eq!(cells(line), cells(next), "{line}\n{next}");
    }
}

#[test]
fn gaps_are_gaps_in_charts() {
    let count = |session: &ProfilingSession| {
        charts::ResourceChart.svg(session).unwrap().matches("<polyline").count()
    };
    let mut session = gallery::training();
    let before = count(&session);
    session.resources[200].memory = None;
    assert_eq!(count(&session), before + 1);
    // Two samples with a gap on either side of each are dots.
    let alone = gallery::training().resources[..5].to_vec();
    session.resources = alone;
    for at in [0, 2, 4] {
        session.resources[at].memory = None;
    }
    let svg = charts::ResourceChart.svg(&session).unwrap();
    assert_eq!(svg.matches("<circle").count(), 2);
}

#[test]
fn a_folder_or_a_name_that_does_not_do_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "here").unwrap();
    let error = report::write_all(&gallery::empty(), &file).unwrap_err();
    assert!(matches!(&error, ReportError::Folder { dir, .. } if dir == &file), "{error}");
    assert!(error.to_string().contains("hint: "));

    struct Named(&'static str);
    impl ReportFormat for Named {
        fn file_name(&self, _: &ProfilingSession) -> String {
            self.0.to_owned()
        }
        fn write(&self, _: &ProfilingSession, out: &mut dyn io::Write) -> Result<(), PluginError> {
            Ok(out.write_all(b"x")?)
        }
    }
    let dir = folder.path().join("reports");
    for names in [["../up", "a"], ["", "a"], ["a", "a"], ["a/b", "c"], ["/tmp/x", "c"]] {
        let formats = names.map(|name| Arc::new(Named(name)) as Arc<dyn ReportFormat>);
        let error = report::write(&gallery::empty(), &dir, &formats).unwrap_err();
        assert!(matches!(error, ReportError::FileName { .. }), "{names:?}: {error}");
    }
    assert!(!dir.exists());
}

#[test]
fn a_format_that_fails_keeps_the_others() {
    struct Fails;
    impl ReportFormat for Fails {
        fn file_name(&self, _: &ProfilingSession) -> String {
            "fails.txt".to_owned()
        }
        fn write(&self, _: &ProfilingSession, out: &mut dyn io::Write) -> Result<(), PluginError> {
            out.write_all(b"half")?;
            Err("out of ideas".into())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fails.txt"), "of last time").unwrap();
    let formats: [Arc<dyn ReportFormat>; 2] = [Arc::new(Fails), Arc::new(Markdown)];
    let error = report::write(&gallery::empty(), folder.path(), &formats).unwrap_err();
    assert_eq!(error.to_string(), "cannot make the report's file `fails.txt`: out of ideas");
    assert_eq!(fs::read(folder.path().join("fails.txt")).unwrap(), b"of last time");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_chart_of_ones_own_is_a_file_and_on_the_page() {
    struct Square;
    impl Chart for Square {
        fn name(&self, _: &ProfilingSession) -> String {
            "square".to_owned()
        }
        fn title(&self) -> &str {
            "A <square>"
        }
        fn svg(&self, _: &ProfilingSession) -> Result<String, PluginError> {
            Ok("<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>\
                <image href='/etc/hostname' width='8' height='8'/>\
                <rect width='8' height='8' fill='#ff0000'/></svg>"
                .to_owned())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let formats = report::formats(&[Arc::new(Square)]);
    report::write(&gallery::empty(), folder.path(), &formats).unwrap();
    let image = image::open(folder.path().join("square.png")).unwrap().to_rgb8();
    assert_eq!((image.width(), image.get_pixel(8, 8).0), (16, [255, 0, 0]));
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("A &#60;square&#62;") && page.contains("data:image/png;base64,"));
}

#[test]
fn what_panics_in_a_report_takes_nothing_else_with_it() {
    struct Breaks;
    impl Chart for Breaks {
        fn name(&self, _: &ProfilingSession) -> String {
            "breaks".to_owned()
        }
        fn title(&self) -> &str {
            "never seen"
        }
        fn svg(&self, _: &ProfilingSession) -> Result<String, PluginError> {
            panic!("out of ink")
        }
    }
    impl ReportFormat for Breaks {
        fn file_name(&self, _: &ProfilingSession) -> String {
            "breaks.txt".to_owned()
        }
        fn write(&self, _: &ProfilingSession, _: &mut dyn io::Write) -> Result<(), PluginError> {
            panic!("out of paper")
        }
    }
    let config = ProfilerConfig::default().with_real_time_monitoring(false);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.register_chart(Arc::new(Breaks));
    profiler.start_session("breaks").unwrap();
    profiler.stop_session().unwrap();
    let folder = tempfile::tempdir().unwrap();
    profiler.write_report(folder.path()).unwrap();
    for file in ["report.md", "report.html", "session.json"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains("not in this report: it panicked: out of ink"), "{file}");
    }
    assert!(!folder.path().join("breaks.svg").exists());

    profiler.register_report_format(Arc::new(Breaks));
    let folder = tempfile::tempdir().unwrap();
    let error = profiler.write_report(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`breaks.txt`") && error.contains("out of paper"), "{error}");
    assert!(folder.path().join("report.html").exists());
}

#[test]
fn a_session_survives_its_file() {
    for session in [gallery::training(), gallery::empty(), hostile()] {
        let folder = tempfile::tempdir().unwrap();
        report::write(&session, folder.path(), &[Arc::new(SessionJson)]).unwrap();
        let read = session_json::read(&folder.path().join("session.json")).unwrap();
        assert!(read == session, "{}", session.name);
    }
}

#[test]
fn a_file_that_is_no_session_says_why() {
    let whole = bytes(&SessionJson, &gallery::training());
    let parse = |bytes: &[u8]| session_json::parse(bytes, Path::new("s.json")).unwrap_err();
    for length in [0, 1, 40, whole.len() / 2, whole.len() - 3] {
        let error = parse(&whole[..length]);
        assert!(matches!(error, SessionFileError::CutShort { .. }), "{length}: {error}");
    }
    for rubbish in [&b"<html>"[..], b"{]", b"\xff\xfe"] {
        let error = parse(rubbish);
        assert!(matches!(error, SessionFileError::NotJson { .. }), "{error}");
    }
    for (other, schema) in [
        ("[1, 2]", "none"),
        ("{}", "none"),
        (r#"{"schema": "tuner-sweep-1", "cells": []}"#, "tuner-sweep-1"),
        (r#"{"schema": "profiler-session/99"}"#, "profiler-session/99"),
    ] {
        match parse(other.as_bytes()) {
            SessionFileError::OtherSchema { found, .. } => assert_eq!(found, schema),
            error => panic!("{error}"),
        }
    }
    let damaged = parse(br#"{"schema": "profiler-session/1", "session_id": 7}"#);
    assert!(matches!(damaged, SessionFileError::Damaged { .. }), "{damaged}");
    let missing = session_json::read(Path::new("/nowhere/session.json")).unwrap_err();
    assert!(
        missing.to_string().contains("/nowhere/session.json")
            && missing.to_string().contains("hint: ")
    );
}

proptest! {
    #[test]
    fn any_session_survives_its_file(
        name in ".*",
        duration_s in 0.0..1e9f64,
        severity in 0.0..=1.0f64,
        potential in proptest::option::of(-1.0..=1.0f64),
        values in proptest::collection::vec(any::<i32>().prop_map(|n| f64::from(n) / 7.0), 0..20),
        drop in any::<u64>(),
    ) {
        let mut session = gallery::training();
        session.name = name.clone();
        session.duration_s = duration_s;
        session.bottlenecks[0].severity = severity;
        session.bottlenecks[0].optimization_potential = potential;
        session.bottlenecks[0].kind = name.clone().into();
        session.resources.truncate(values.len());
        for (sample, value) in session.resources.iter_mut().zip(&values) {
            sample.metrics.insert(name.clone(), *value);
        }
        session.resources_dropped = drop;
        session.timeline.truncate(3);
        session.performance_metrics.pipelines[0].snapshots.truncate(4);
        let json = bytes(&SessionJson, &session);
        let read = session_json::parse(&json, Path::new("s.json")).unwrap();
        prop_assert!(read == session, "it reads otherwise than it was written");
    }
}

#[test]
fn the_trace_keeps_the_formats_rules() {
    for session in [gallery::training(), gallery::empty(), hostile(), broken()] {
        let trace: serde_json::Value = serde_json::from_slice(&bytes(&Trace, &session)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let mut last = f64::NEG_INFINITY;
        let mut open: std::collections::HashMap<i64, Vec<f64>> = Default::default();
        for event in events {
            assert!(event["name"].is_string() && event["pid"].is_u64(), "{event}");
            let (tid, at) = (event["tid"].as_i64().unwrap(), event["ts"].as_f64().unwrap());
            match event["ph"].as_str().unwrap() {
                "M" => assert!(event["args"]["name"].is_string(), "{event}"),
                "C" => {
                    let args = event["args"].as_object().unwrap();
                    assert!(!args.is_empty() && args.values().all(|value| value.is_f64()));
                }
                "X" => {
                    // Spans of a thread lie one in the other, or apart.
                    let end = at + event["dur"].as_f64().unwrap();
                    let stack = open.entry(tid).or_default();
                    stack.retain(|outer| *outer > at + 1e-3);
                    assert!(stack.iter().all(|outer| end <= outer + 1e-3), "{event}");
                    stack.push(end);
                }
                other => panic!("{other}"),
            }
            if event["ph"] != "M" {
                assert!(at >= last, "in order of time");
                last = at;
            }
        }
    }
    let trace = text(&Trace, &gallery::training());
    for name in ["thread_name", "memory MB", "GPU 0 %", "loader wait %", "I/O MB/s", "\"loss\""] {
        assert!(trace.contains(name), "{name}");
    }
}

/// CRC-32C by its definition, bit by bit.
fn crc32c_by_bits(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

#[test]
fn event_files_are_records_with_checksums() {
    let session = gallery::training();
    let format = TensorBoard(charts::standard());
    assert!(format.file_name(&session).starts_with("events.out.tfevents.1795381950."));
    let file = bytes(&format, &session);
    let masked = |data: &[u8]| crc32c_by_bits(data).rotate_right(15).wrapping_add(0xa282_ead8);
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut records) = (0, Vec::new());
    while at < file.len() {
        let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(word(at + 8), masked(&file[at..at + 8]));
        let data = &file[at + 12..at + 12 + length];
        assert_eq!(word(at + 12 + length), masked(data));
        records.push(data);
        at += 16 + length;
    }
    // wall_time is field 1, a double: 9; file_version is field 3, a string of 13 bytes.
    assert_eq!(records[0][0], 9);
    assert!(records[0].ends_with(b"\x1a\x0dbrain.Event:2"));
    let has = |tag: &[u8]| records.iter().any(|data| data.windows(tag.len()).any(|w| w == tag));
    assert!(has(b"resources/memory_resident_mb"));
    assert!(has(b"bottlenecks/loader.decode/severity"));
    assert!(has(b"\x89PNG"));
    assert!(records.len() > 420);
}
