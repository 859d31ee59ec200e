//! What operations tell: times, nesting, threads.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use profiler::bottleneck::BottleneckType;
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::profiler::BottleneckProfiler;

use crate::{CPU, detailed, operation};

#[test]
fn a_session_tells_what_ran_and_how_it_nested() {
    let profiler = detailed();
    let id = profiler.start_session("train").unwrap();
    profiler.attribute("data", "imagenet").unwrap();
    for _ in 0..3 {
        let _epoch = profiler.operation("epoch", BottleneckType::DataLoading);
        let read = profiler.profile_operation("read", BottleneckType::IoOperation, || 7);
        assert_eq!(read, 7);
        profiler.profile_operation("forward", CPU, || {
            profiler.profile_operation("read", BottleneckType::IoOperation, || ());
        });
    }
    let session = profiler.stop_session().unwrap();

    assert_eq!(session.session_id, id.as_str());
    assert!(id.as_str().starts_with("train-2"));
    assert_eq!((session.name.as_str(), session.attributes["data"].as_str()), ("train", "imagenet"));
    let paths: Vec<_> =
        session.performance_metrics.operations.iter().map(|stats| stats.path.join("/")).collect();
    assert_eq!(paths, ["epoch", "epoch/read", "epoch/forward", "epoch/forward/read"]);
    let epoch = operation(&session, &["epoch"]);
    assert_eq!((epoch.calls, epoch.threads), (3, 1));
    assert_eq!(epoch.kind, BottleneckType::DataLoading);
    assert!(epoch.min_s <= epoch.max_s && epoch.max_s <= epoch.total_s);
    let inside = operation(&session, &["epoch", "read"]).total_s
        + operation(&session, &["epoch", "forward"]).total_s;
    assert!((epoch.total_s - inside - epoch.self_s).abs() < 1e-12);
    assert!(epoch.self_cpu_s.is_some() && epoch.total_s <= session.duration_s);
    assert!(session.finished.is_some() && session.timeline.is_empty());
    assert!(session.notes.is_empty(), "{:?}", session.notes);
    let memory = session.memory_profile.unwrap();
    assert!(memory.peak_bytes >= memory.mean_bytes && memory.mean_bytes > 0);
    assert!(operation(&session, &["epoch"]).resident_bytes.is_none_or(|bytes| bytes > 0));
}

#[test]
fn many_threads_count_together_even_those_that_ended() {
    let profiler = detailed();
    profiler.start_session("threads").unwrap();
    for _ in 0..3 {
        thread::scope(|scope| {
            for _ in 0..8 {
                let profiler = profiler.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        let _outer = profiler.operation("sample", CPU);
                        drop(profiler.operation("decode", BottleneckType::Preprocessing));
                    }
                });
            }
        });
    }
    let parked = Arc::new(Barrier::new(2));
    let thread = thread::spawn({
        let (profiler, parked) = (profiler.clone(), parked.clone());
        move || {
            drop(profiler.operation("sample", CPU));
            parked.wait();
            parked.wait();
        }
    });
    parked.wait();
    let session = profiler.stop_session().unwrap();
    parked.wait();
    thread.join().unwrap();
    let sample = operation(&session, &["sample"]);
    assert_eq!((sample.calls, sample.threads), (2401, 25));
    let decode = operation(&session, &["sample", "decode"]);
    assert_eq!((decode.calls, decode.threads), (2400, 24));
}

#[test]
fn a_synced_operation_waits_for_the_device_at_its_edges() {
    let profiler = detailed();
    let waits = Arc::new(AtomicUsize::new(0));
    let hook = waits.clone();
    profiler.register_sync(Arc::new(move || {
        hook.fetch_add(1, SeqCst);
    }));
    drop(profiler.synced_operation("forward", CPU));
    assert_eq!(waits.load(SeqCst), 0, "no session is open");
    profiler.start_session("sync").unwrap();
    let forward = profiler.synced_operation("forward", CPU);
    assert_eq!(waits.load(SeqCst), 1);
    drop(profiler.operation("other", CPU));
    assert_eq!(waits.load(SeqCst), 1);
    drop(forward);
    assert_eq!(waits.load(SeqCst), 2);
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["forward"]).calls, 1);
}

#[test]
fn a_device_that_fails_fails_no_program() {
    let profiler = detailed();
    profiler.register_sync(Arc::new(|| panic!("an illegal memory access")));
    profiler.start_session("sync").unwrap();
    // The program fails of its own accord while a guard is open, which waits for the device.
    let thread = thread::spawn({
        let profiler = profiler.clone();
        move || {
            let _forward = profiler.synced_operation("forward", CPU);
            panic!("the program's own");
        }
    });
    assert!(thread.join().is_err());
    drop(profiler.synced_operation("forward", CPU));
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["forward"]).calls, 2);
    assert_eq!(session.notes.len(), 1, "{:?}", session.notes);
    assert!(session.notes[0].contains("an illegal memory access"), "{:?}", session.notes);
}

#[test]
fn production_counts_all_and_says_what_it_estimates() {
    let config = ProfilerConfig::at_level(ProfilingLevel::Production);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.start_session("production").unwrap();
    (0..10_000).for_each(|_| drop(profiler.operation("decode", CPU)));
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["decode"]).calls, 10_000);
    assert!(session.notes.iter().any(|note| note.contains("estimates")), "{:?}", session.notes);
}
