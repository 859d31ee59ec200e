//! What is told of operations from what their own threads really do.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::ProfilerConfig;
use profiler::machine::usable_cores;
use profiler::profiler::BottleneckProfiler;
use profiler::session::OperationStats;

/// Held by the test that runs: what others do beside it is evidence too.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A session in which `work` is done as the operation `work` until the monitor has looked at it
/// some times; that operation, and what was found about it.
fn session(kind: BottleneckType, mut work: impl FnMut()) -> (OperationStats, Bottleneck) {
    const LOOKS: u64 = 20;
    let config = ProfilerConfig::default().with_sampling_interval(0.01).with_gpu_tracking(false);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.start_session("evidence").unwrap();
    let looks = |session: &profiler::session::ProfilingSession| {
        let work = session.performance_metrics.operations.first()?;
        let looks = work.evidence?.looks;
        Some(looks.running + looks.network + looks.sleep + looks.storage + looks.threads)
    };
    let mut done = false;
    while !done {
        for _ in 0..10 {
            let _work = profiler.operation("work", kind.clone());
            work();
        }
        let session = profiler.session().unwrap();
        // Where the kernel does not tell what threads wait for, a second must do.
        done = looks(&session).unwrap_or(0) >= LOOKS || session.duration_s > 10.0;
    }
    let session = profiler.stop_session().unwrap();
    let found = session.bottlenecks.iter().find(|found| found.name == "work").unwrap();
    (session.performance_metrics.operations[0].clone(), found.clone())
}

#[test]
fn who_sleeps_beside_busy_threads_waits_for_no_core() {
    let _alone = alone();
    let stop = AtomicBool::new(false);
    let (pause, found) = thread::scope(|scope| {
        for _ in 0..4 * usable_cores().ceil() as usize {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let found = session(BottleneckType::CpuComputation, || {
            thread::sleep(Duration::from_millis(50));
        });
        stop.store(true, Relaxed);
        found
    });
    let evidence = pause.evidence.unwrap();
    assert!(evidence.wall_s > 0.5 * pause.self_s, "{pause:?}");
    assert!(!found.cause.contains("for a core"), "{}", found.cause);
}

#[test]
fn who_waits_for_a_peer_is_told_so() {
    let _alone = alone();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (mut peer, _) = server.accept().unwrap();
    let answering = thread::spawn(move || {
        let mut byte = [0];
        while peer.read_exact(&mut byte).is_ok() {
            thread::sleep(Duration::from_millis(10));
            peer.write_all(&byte).unwrap();
        }
    });
    let (fetch, found) = session(BottleneckType::Undeclared, move || {
        stream.write_all(&[1]).unwrap();
        stream.read_exact(&mut [0]).unwrap();
    });
    answering.join().unwrap();
    if fetch.evidence.unwrap().looks.network > 0 {
        assert_eq!(found.kind, BottleneckType::NetworkLatency, "{}", found.cause);
    }
}

#[test]
fn who_takes_fresh_memory_is_told_so() {
    let _alone = alone();
    let (touch, found) = session(BottleneckType::Undeclared, || {
        let mut memory = vec![0u8; 16 << 20];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        std::hint::black_box(&memory);
    });
    let evidence = touch.evidence.unwrap();
    // With huge pages there are few faults.
    if evidence.minor_faults as f64 * 0.5e-6 >= 0.3 * evidence.cpu_s {
        assert_eq!(found.kind, BottleneckType::MemoryAllocation, "{}", found.cause);
    }
}
