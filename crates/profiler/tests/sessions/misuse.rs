//! Programs that do what they should not.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use profiler::bottleneck::BottleneckType;
use profiler::config::ProfilingLevel;
use profiler::profiler::SessionError;

use crate::monitoring::Asked;
use crate::{CPU, at_level, detailed, operation};

#[test]
fn guards_that_are_misused_lose_their_call_and_no_more() {
    let profiler = detailed();
    profiler.start_session("misuse").unwrap();
    let outer = profiler.operation("outer", CPU);
    let inner = profiler.operation("inner", CPU);
    drop(outer);
    drop(inner);
    std::mem::forget(profiler.operation("forgotten", CPU));
    let late = profiler.operation("late", CPU);
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["outer"]).calls, 1);
    assert_eq!(operation(&session, &["outer", "inner"]).calls, 0);
    assert_eq!(operation(&session, &["forgotten", "late"]).calls, 0);
    let notes = session.notes.join("\n");
    assert!(notes.contains("1 calls of operations outlived"), "{notes}");
    assert!(notes.contains("`forgotten > late` had not ended on 1 thread(s)"), "{notes}");

    profiler.start_session("next").unwrap();
    drop(late);
    drop(profiler.operation("work", CPU));
    let session = profiler.stop_session().unwrap();
    assert_eq!(session.performance_metrics.operations.len(), 1);
    assert!(session.notes.is_empty(), "{:?}", session.notes);
}

#[test]
fn no_name_commands_a_terminal() {
    let profiler = detailed();
    profiler.start_session("names").unwrap();
    let kind = BottleneckType::Custom("my\u{1b}[31m\u{202e}".to_owned());
    profiler.profile_operation("a/b\u{7}\n", kind, || thread::sleep(Duration::from_millis(50)));
    drop(profiler.operation("", CPU));
    profiler.register_pipeline("p\u{1b}", Arc::new(Asked(Arc::default()))).unwrap();
    profiler.attribute("data\n", "\u{9b}0m").unwrap();
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["a/b\u{fffd}\u{fffd}"]).calls, 1);
    assert_eq!(operation(&session, &["(no name)"]).calls, 1);
    let shown = profiler.summary() + &format!("{:?}", session.attributes);
    assert!(shown.contains("a/b") && shown.contains("my\u{fffd}[31m"), "{shown}");
    assert!(!shown.replace('\n', "").contains(char::is_control), "{shown}");
    assert!(!shown.contains('\u{202e}'), "{shown}");
}

#[test]
fn a_panic_ends_its_operations() {
    let profiler = detailed();
    profiler.start_session("panic").unwrap();
    let thread = thread::spawn({
        let profiler = profiler.clone();
        move || profiler.profile_operation("decode", CPU, || panic!("damaged file"))
    });
    assert!(thread.join().is_err());
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["decode"]).calls, 1);
}

#[test]
fn a_session_takes_bounded_room() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    profiler.start_session("endless").unwrap();
    for number in 0..200 {
        let profiler = profiler.clone();
        let thread = thread::spawn(move || {
            for call in 0..500 {
                drop(profiler.operation(&format!("image {}", number * 500 + call), CPU));
            }
        });
        thread.join().unwrap();
    }
    for _ in 0..100 {
        // All but the first 64 are refused.
        let _ = profiler.register_pipeline("loader", Arc::new(Asked(Arc::default())));
    }
    let error = profiler.register_pipeline("loader", Arc::new(Asked(Arc::default())));
    assert!(matches!(error, Err(SessionError::Pipelines { .. })));
    let session = profiler.stop_session().unwrap();
    let metrics = &session.performance_metrics;
    assert_eq!((metrics.operations.len(), metrics.pipelines.len()), (1000, 64));
    assert!(session.timeline.len() <= 1 << 16);
    assert!(session.notes.len() < 40);
    assert!(session.notes.iter().any(|note| note.contains("not told apart")));
}
