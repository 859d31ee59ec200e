//! Spans of programs that use `tracing`.

use std::sync::Barrier;
use std::thread;

use profiler::bottleneck::BottleneckType;
use profiler::layer::ProfilerLayer;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{detailed, operation};

#[test]
fn spans_of_tracing_become_operations() {
    let profiler = detailed();
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("before").in_scope(|| ());
        profiler.start_session("tracing").unwrap();
        let epoch = tracing::info_span!(target: "program::train", "epoch", number = 3).entered();
        for kind in ["preprocessing", "i_o_operation"] {
            tracing::debug_span!("step", kind).in_scope(|| {
                drop(profiler.operation("decode", BottleneckType::Preprocessing));
            });
        }
        // A span may be entered many times, as that of a future is.
        let polled = tracing::info_span!("polled", kind = %BottleneckType::NetworkLatency);
        (0..4).for_each(|_| polled.in_scope(|| ()));
        drop(epoch);
    });
    let session = profiler.stop_session().unwrap();
    let epoch = operation(&session, &["epoch"]);
    assert_eq!(epoch.calls, 1);
    assert_eq!(epoch.kind, BottleneckType::Undeclared);
    let step = operation(&session, &["epoch", "step"]);
    assert_eq!((step.calls, &step.kind), (2, &BottleneckType::Preprocessing));
    assert_eq!(operation(&session, &["epoch", "step", "decode"]).calls, 2);
    let polled = operation(&session, &["epoch", "polled"]);
    assert_eq!((polled.calls, &polled.kind), (4, &BottleneckType::NetworkLatency));
    assert!(session.notes.is_empty(), "{:?}", session.notes);
}

#[test]
fn spans_that_are_left_out_of_order_or_entered_on_two_threads_do_no_harm() {
    let profiler = detailed();
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
    let dispatch = tracing::Dispatch::new(subscriber);
    profiler.start_session("tracing").unwrap();
    let span = tracing::dispatcher::with_default(&dispatch, || {
        let (outer, inner) = (tracing::info_span!("outer"), tracing::info_span!("inner"));
        let (outer_entered, inner_entered) = (outer.enter(), inner.enter());
        drop(outer_entered);
        drop(inner_entered);
        tracing::info_span!("shared")
    });
    let inside = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                span.in_scope(|| inside.wait());
            });
        }
    });
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["outer"]).calls, 1);
    assert_eq!(operation(&session, &["outer", "inner"]).calls, 0);
    assert_eq!(operation(&session, &["shared"]).threads, 2);
    assert_eq!(session.notes.len(), 1);
}
