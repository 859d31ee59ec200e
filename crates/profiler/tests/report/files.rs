//! What programs read: `session.json`, the trace, TensorBoard's event files.

use std::path::Path;
use std::sync::Arc;

use profiler::extend::ReportFormat as _;
use profiler::report::session_json::{self, SessionFileError};
use profiler::report::{self, SessionJson, TensorBoard, Trace, charts};
use proptest::prelude::*;

use crate::{broken, bytes, gallery, hostile, text};

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
