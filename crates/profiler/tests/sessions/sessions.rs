//! Sessions one after another, open ones, and those of several profilers.

use std::thread;

use profiler::bottleneck::BottleneckType;
use profiler::config::ProfilingLevel;
use profiler::profiler::SessionError;
use profiler::session::ProfilingSession;

use crate::{CPU, at_level, detailed, operation};

#[test]
fn sessions_come_one_after_another() {
    let profiler = detailed();
    assert!(matches!(profiler.stop_session(), Err(SessionError::NoneOpen)));
    assert!(matches!(profiler.attribute("a", "b"), Err(SessionError::NoneOpen)));
    drop(profiler.operation("before", CPU));
    for round in 1..=3 {
        let id = profiler.start_session("round").unwrap();
        match profiler.start_session("again").unwrap_err() {
            SessionError::AlreadyOpen { open } => assert_eq!(open, id),
            other => panic!("{other}"),
        }
        (0..round).for_each(|_| drop(profiler.operation("work", CPU)));
        let session = profiler.stop_session().unwrap();
        assert_eq!(session.performance_metrics.operations.len(), 1);
        assert_eq!(operation(&session, &["work"]).calls, round);
    }
    for name in ["", "  ", "a\nb", "\u{1b}[31m"] {
        assert!(matches!(profiler.start_session(name), Err(SessionError::Name { .. })), "{name:?}");
    }
    let id = profiler.start_session("../runs/ä").unwrap();
    assert!(id.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{id}");
}

#[test]
fn an_open_session_is_reported_as_such() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    assert_eq!(profiler.summary(), "There was no session yet.\n");
    assert!(profiler.session().is_none());
    profiler.start_session("open").unwrap();
    let _epoch = profiler.operation("epoch", CPU);
    drop(profiler.operation("step", CPU));
    let so_far = profiler.session().unwrap();
    assert_eq!(so_far.finished, None);
    assert_eq!(operation(&so_far, &["epoch"]).calls, 0);
    assert_eq!(operation(&so_far, &["epoch", "step"]).calls, 1);
    assert!(profiler.summary().contains("is still open"));
    drop(profiler.operation("step", CPU));
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["epoch", "step"]).calls, 2);
    assert_eq!(session.timeline.len(), 2);
    let step = &session.timeline[1];
    assert_eq!(step.name, "step");
    assert!(step.start_s >= session.timeline[0].start_s + session.timeline[0].duration_s);
    let summary = profiler.summary();
    assert!(summary.contains("epoch > step") && !summary.contains("is still open"), "{summary}");
    assert!(session.notes.iter().any(|note| note.contains("`epoch` had not ended")), "{summary}");
}

#[test]
fn two_profilers_do_not_mix() {
    let (one, two) = (detailed(), detailed());
    one.start_session("one").unwrap();
    two.start_session("two").unwrap();
    let _outer = one.operation("outer", CPU);
    drop(two.operation("inner", CPU));
    let two = two.stop_session().unwrap();
    assert_eq!(operation(&two, &["inner"]).calls, 1);
}

#[test]
fn a_session_survives_a_file() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    profiler.start_session("file").unwrap();
    drop(profiler.operation("work", BottleneckType::Custom("mine".to_owned())));
    let session = profiler.stop_session().unwrap();
    let json = serde_json::to_string(&*session).unwrap();
    let back: ProfilingSession = serde_json::from_str(&json).unwrap();
    assert_eq!(back.config, session.config);
    assert_eq!(back.performance_metrics.operations[0].kind.name(), "mine");
    assert_eq!(back.timeline.len(), 1);
}

#[test]
fn a_program_may_ask_from_any_thread_while_others_work() {
    let profiler = detailed();
    profiler.start_session("asked").unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let profiler = profiler.clone();
            thread::spawn(move || {
                for _ in 0..50_000 {
                    drop(profiler.operation("work", CPU));
                }
            })
        })
        .collect();
    let mut calls = vec![0];
    while workers.iter().any(|worker| !worker.is_finished()) {
        let session = profiler.session().unwrap();
        calls.push(session.performance_metrics.operations.iter().map(|work| work.calls).sum());
        assert!(profiler.summary().contains("is still open"));
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(calls.is_sorted());
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["work"]).calls, 100_000);
}
