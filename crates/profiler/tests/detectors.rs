//! Recorded sessions in each of which one thing holds the program up: exactly that one is named.

use std::collections::BTreeMap;

use profiler::attribution::{Surroundings, attribute};
use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::ProfilerConfig;
use profiler::detect::{OperationDetector, PipelineDetector};
use profiler::extend::Detector;
use profiler::machine::Machine;
use profiler::pipeline::{PipelineSnapshot, Room, StageSnapshot, StationSnapshot, Visits};
use profiler::resources::{CpuSample, IoSample, ResourceSample};
use profiler::session::{
    Looks, OperationEvidence, OperationStats, PerformanceMetrics, PipelineProfile,
    ProfilingSession, SCHEMA,
};

const DURATION_S: f64 = 20.0;

fn session() -> ProfilingSession {
    ProfilingSession {
        schema: SCHEMA.to_owned(),
        session_id: "test".to_owned(),
        name: "test".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        finished: None,
        duration_s: DURATION_S,
        config: ProfilerConfig::default(),
        machine: Machine {
            cpu_model: "test".to_owned(),
            cores: 8,
            usable_cores: 8.0,
            memory_bytes: 1 << 34,
            memory_limit_bytes: None,
            available_memory_bytes: 1 << 33,
            gpus: Vec::new(),
            os: "test".to_owned(),
        },
        attributes: BTreeMap::new(),
        performance_metrics: PerformanceMetrics::default(),
        bottlenecks: Vec::new(),
        memory_profile: None,
        gpu_profile: None,
        threads: Vec::new(),
        resources: Vec::new(),
        resources_dropped: 0,
        trackers: Vec::new(),
        timeline: Vec::new(),
        timeline_dropped: 0,
        notes: Vec::new(),
    }
}

fn found(session: &ProfilingSession) -> Vec<Bottleneck> {
    let detectors: [&dyn Detector; 2] = [&PipelineDetector, &OperationDetector];
    detectors.into_iter().flat_map(|detector| detector.detect(session)).collect()
}

/// The only finding, of that name and kind.
fn only(session: &ProfilingSession, name: &str, kind: BottleneckType) -> Bottleneck {
    let mut found = found(session);
    assert_eq!(found.len(), 1, "{found:#?}");
    let only = found.remove(0);
    assert_eq!((only.name.as_str(), &only.kind), (name, &kind), "{}", only.cause);
    assert!((0.0..=1.0).contains(&only.severity));
    assert!(only.suggestions.iter().all(|advice| advice.contains(|c: char| c.is_ascii_digit())));
    only
}

/// How a stage spends its time.
#[derive(Clone)]
struct Work {
    name: &'static str,
    declared: BottleneckType,
    cpu_share: f64,
    run_delay_share: f64,
}

fn work(name: &'static str, declared: BottleneckType, cpu_share: f64) -> Work {
    Work { name, declared, cpu_share, run_delay_share: 0.0 }
}

/// A loader of 2 workers whose `work` takes 19.5 ms of 20 ms an item, for a consumer of 4 ms.
fn loader(work: &Work) -> ProfilingSession {
    let stage = |name: &str, kind: BottleneckType, busy_s: f64, cpu_share: f64| StageSnapshot {
        name: name.to_owned(),
        kind,
        busy_s,
        visits: Visits::default(),
        timed_cpu_s: cpu_share * busy_s,
        timed_wall_s: busy_s,
    };
    let snapshots: Vec<_> = (0..=40u32)
        .map(|tick| {
            let items = f64::from(50 * tick);
            PipelineSnapshot {
                at_s: 0.01 * items,
                items: items as u64,
                batches: items as u64 / 10,
                consumer_wait_s: 0.006 * items,
                consumer_busy_s: 0.004 * items,
                queue_empty_s: Some(0.008 * items),
                stations: vec![StationSnapshot {
                    name: "workers".to_owned(),
                    threads: 2,
                    room: Some(Room::Batches(2)),
                    cpu_s: Some((0.0195 * work.cpu_share + 0.0005) * items),
                    run_delay_s: Some(0.0195 * work.run_delay_share * items),
                    stages: vec![
                        stage(work.name, work.declared.clone(), 0.0195 * items, work.cpu_share),
                        stage("other", BottleneckType::CpuComputation, 0.0005 * items, 1.0),
                    ],
                    ..StationSnapshot::default()
                }],
                ..PipelineSnapshot::default()
            }
        })
        .collect();
    let mut session = session();
    if work.run_delay_share > 0.0 {
        session.machine.usable_cores = 1.0;
    }
    let attribution = attribute(&snapshots, &Surroundings::of(&session));
    let profile = PipelineProfile { name: "loader".to_owned(), snapshots, attribution };
    session.performance_metrics.pipelines.push(profile);
    session
}

fn with_io(mut session: ProfilingSession, bytes: u64, blocked_s: Option<f64>) -> ProfilingSession {
    let at = |at_s: f64, share: f64| ResourceSample {
        at_s,
        io: Some(IoSample {
            storage_read_bytes: (share * bytes as f64) as u64,
            blocked_s: blocked_s.map(|seconds| share * seconds),
            ..IoSample::default()
        }),
        ..ResourceSample::default()
    };
    session.resources = vec![at(0.0, 0.0), at(DURATION_S, 1.0)];
    session
}

fn operation(path: &[&str], kind: BottleneckType, self_s: f64, cpu_share: f64) -> OperationStats {
    OperationStats {
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        kind,
        calls: 100,
        total_s: self_s,
        self_s,
        min_s: self_s / 200.0,
        max_s: self_s / 50.0,
        self_cpu_s: Some(cpu_share * self_s),
        evidence: None,
        threads: 1,
        resident_bytes: None,
        gpu_bytes: None,
        cpu_percent: None,
    }
}

/// A training loop in which one operation takes 80% of the time.
fn training(it: OperationStats) -> ProfilingSession {
    let mut session = session();
    let mut epoch = operation(&["epoch"], BottleneckType::Custom("epoch".to_owned()), 0.3, 1.0);
    epoch.total_s = DURATION_S;
    let small = operation(&["epoch", "small"], BottleneckType::CpuComputation, 0.5, 1.0);
    session.performance_metrics.operations = vec![epoch, it, small];
    session
}

#[test]
fn data_loading() {
    let wait = operation(&["epoch", "data_loading"], BottleneckType::DataLoading, 16.0, 0.1);
    let only = only(&training(wait), "data_loading", BottleneckType::DataLoading);
    assert!((only.optimization_potential.unwrap() - 0.8).abs() < 1e-9);
    assert!(only.suggestions[0].contains("80% of the time"), "{:?}", only.suggestions);
}

#[test]
fn preprocessing() {
    let only = only(
        &loader(&work("decode", BottleneckType::Preprocessing, 0.97)),
        "decode",
        BottleneckType::Preprocessing,
    );
    // 2 ms of the pool's 10 remain below the consumer's 4.
    assert!((only.optimization_potential.unwrap() - 0.6).abs() < 0.01);
    assert!(only.cause.contains("computes 97%"), "{}", only.cause);
    // 20 ms an item need 5 threads to keep up with 4 ms.
    assert!(only.suggestions[0].contains("5 threads (now 2)"), "{:?}", only.suggestions);
    assert!(only.suggestions[0].contains("250 items/s"), "{:?}", only.suggestions);
    let operation = operation(&["epoch", "augment"], BottleneckType::Preprocessing, 16.0, 0.95);
    self::only(&training(operation), "augment", BottleneckType::Preprocessing);
}

#[test]
fn memory_allocation() {
    let kind = BottleneckType::MemoryAllocation;
    only(&loader(&work("write", kind.clone(), 0.9)), "write", kind.clone());
    only(&training(operation(&["epoch", "allocate"], kind.clone(), 16.0, 0.9)), "allocate", kind);
}

#[test]
fn gpu_transfer() {
    let kind = BottleneckType::GpuTransfer;
    only(&loader(&work("transfer", kind.clone(), 0.05)), "transfer", kind.clone());
    only(&training(operation(&["epoch", "to_device"], kind.clone(), 16.0, 0.1)), "to_device", kind);
}

#[test]
fn cpu_computation() {
    let kind = BottleneckType::CpuComputation;
    only(
        &training(operation(&["epoch", "forward"], kind.clone(), 16.0, 0.99)),
        "forward",
        kind.clone(),
    );
    // A read that computes has its data in memory.
    only(&loader(&work("read", BottleneckType::IoOperation, 0.9)), "read", kind);
}

#[test]
fn i_o_operation() {
    let kind = BottleneckType::IoOperation;
    let reading = loader(&work("read", kind.clone(), 0.05));
    only(&with_io(reading.clone(), 4 << 30, None), "read", kind.clone());
    only(&with_io(reading.clone(), 4 << 30, Some(35.0)), "read", kind.clone());
    only(&reading, "read", kind.clone());
    // Pages of a file that was mapped come from storage too, whatever the stage was said to be.
    let mapped = loader(&work("decode", BottleneckType::Preprocessing, 0.1));
    only(&with_io(mapped, 4 << 30, Some(35.0)), "decode", kind.clone());
    let log = operation(&["epoch", "checkpoint"], kind.clone(), 16.0, 0.1);
    only(&with_io(training(log), 4 << 30, None), "checkpoint", kind);
}

#[test]
fn network_latency() {
    let kind = BottleneckType::NetworkLatency;
    only(&loader(&work("fetch", kind.clone(), 0.05)), "fetch", kind.clone());
    // A read that waits while hardly anything comes from storage.
    let remote = loader(&work("read", BottleneckType::IoOperation, 0.05));
    only(&with_io(remote, 1 << 20, None), "read", kind.clone());
    only(&training(operation(&["epoch", "fetch"], kind.clone(), 16.0, 0.02)), "fetch", kind);
}

#[test]
fn synchronization() {
    let kind = BottleneckType::Synchronization;
    // Neither computing nor reading: a lock.
    let locked = loader(&work("decode", BottleneckType::Preprocessing, 0.1));
    only(&with_io(locked.clone(), 1 << 20, None), "decode", kind.clone());
    only(&locked, "decode", kind.clone());
    let crowded =
        Work { run_delay_share: 0.5, ..work("decode", BottleneckType::Preprocessing, 0.5) };
    let found = only(&loader(&crowded), "decode", kind.clone());
    assert!(found.cause.contains("waits for a core 48%"), "{}", found.cause);
    assert!(found.suggestions[0].contains("fewer threads than 2"), "{:?}", found.suggestions);
    let mut alone = loader(&crowded);
    for snapshot in &mut alone.performance_metrics.pipelines[0].snapshots {
        snapshot.stations[0].threads = 1;
    }
    // No other program has a core.
    let machine = &alone.machine;
    let cpu = Some(CpuSample {
        process_percent: Some(100.0),
        system_percent: Some(100.0 * machine.usable_cores / machine.cores as f64),
        ..CpuSample::default()
    });
    let sample = |at_s| ResourceSample { at_s, cpu, ..ResourceSample::default() };
    alone.resources = [0.0, DURATION_S].map(sample).to_vec();
    let found = only(&alone, "decode", kind.clone());
    assert!(found.suggestions[0].contains("fewer threads beside it"), "{:?}", found.suggestions);
    let barrier = operation(&["epoch", "all_reduce"], kind.clone(), 16.0, 0.1);
    only(&training(barrier), "all_reduce", kind.clone());
    let starved = OperationEvidence { run_delay_s: Some(2.0), ..seen(Looks::default()) };
    let forward = operation(&["epoch", "forward"], BottleneckType::CpuComputation, 16.0, 0.4);
    let mut crowded = with_waits(training(with(starved, forward)), 8.0);
    let found = only(&crowded, "forward", kind.clone());
    assert!(found.cause.contains("waits for a core 50%"), "{}", found.cause);
    // Two threads would have had a core each: other programs have them.
    crowded = with_waits(crowded, 2.0);
    let found = only(&crowded, "forward", BottleneckType::CpuComputation);
    assert!(found.cause.contains("other programs keep it from one 50%"), "{}", found.cause);
    assert!(found.suggestions[0].contains("40% of the time"), "{:?}", found.suggestions);
    let held = seen(Looks { threads: 9, running: 1, ..Looks::default() });
    let guarded = operation(&["epoch", "guarded"], BottleneckType::Undeclared, 16.0, 0.1);
    only(&training(with(held, guarded)), "guarded", kind);
}

/// So many threads of the process had a core all the time, and as many had none.
fn with_waits(mut session: ProfilingSession, threads: f64) -> ProfilingSession {
    let cpu = |at_s: f64| CpuSample {
        process_cpu_s: threads * at_s,
        run_delay_s: Some(threads * at_s),
        ..CpuSample::default()
    };
    let sample =
        |at_s: f64| ResourceSample { at_s, cpu: Some(cpu(at_s)), ..ResourceSample::default() };
    session.resources = vec![sample(0.0), sample(DURATION_S)];
    session
}

/// Of 4 thread-seconds that were looked into.
fn seen(looks: Looks) -> OperationEvidence {
    let run_delay_s = Some(0.0);
    OperationEvidence { wall_s: 4.0, cpu_s: 0.4, run_delay_s, looks, ..Default::default() }
}

fn with(evidence: OperationEvidence, operation: OperationStats) -> OperationStats {
    OperationStats { evidence: Some(evidence), ..operation }
}

#[test]
fn an_operation_that_sleeps_is_not_starved_by_threads_that_are() {
    let asleep = seen(Looks { sleep: 20, ..Looks::default() });
    let pause = operation(&["epoch", "pause"], BottleneckType::CpuComputation, 16.0, 0.1);
    // Other threads of the process waited longer for a core than all operations took.
    let session = with_waits(training(with(asleep, pause)), 10.0);
    let found = only(&session, "pause", BottleneckType::Synchronization);
    assert!(found.cause.contains("asleep"), "{}", found.cause);
    assert!(!found.cause.contains("core"), "{}", found.cause);
}

#[test]
fn what_was_not_declared_is_told_from_its_threads() {
    use BottleneckType::*;
    let work = |cpu_share| operation(&["epoch", "work"], Undeclared, 16.0, cpu_share);
    let named = |evidence: OperationEvidence, cpu_share: f64, kind: BottleneckType| {
        only(&training(with(evidence, work(cpu_share))), "work", kind);
    };
    named(seen(Looks { network: 20, ..Looks::default() }), 0.1, NetworkLatency);
    named(seen(Looks { storage: 20, ..Looks::default() }), 0.1, IoOperation);
    named(seen(Looks { gpu: 15, other: 5, ..Looks::default() }), 0.1, GpuTransfer);
    named(seen(Looks { running: 20, ..Looks::default() }), 0.9, CpuComputation);
    // A million page faults take half a second.
    let fresh = OperationEvidence {
        cpu_s: 2.0,
        kernel_cpu_s: 1.5,
        minor_faults: 1_000_000,
        ..seen(Looks::default())
    };
    named(fresh, 0.9, MemoryAllocation);
    // As many in a program whose kernel time is another's.
    named(OperationEvidence { kernel_cpu_s: 0.2, ..fresh }, 0.9, CpuComputation);
    // Files that do not come from storage come from elsewhere.
    let files = with(seen(Looks { storage: 20, ..Looks::default() }), work(0.1));
    only(&with_io(training(files), 1 << 20, None), "work", NetworkLatency);
    // A few looks say nothing, and nothing is made up.
    named(seen(Looks { network: 2, ..Looks::default() }), 0.1, Undeclared);
    // Nor is it storage, whatever the process reads meanwhile.
    let reading = |looks| with_io(training(with(seen(looks), work(0.1))), 1 << 30, None);
    only(&reading(Looks { sleep: 2, ..Looks::default() }), "work", Undeclared);
    only(&reading(Looks { storage: 2, ..Looks::default() }), "work", IoOperation);
}

#[test]
fn custom() {
    let kind = BottleneckType::Custom("tokenize".to_owned());
    only(&loader(&work("tokenize", kind.clone(), 0.9)), "tokenize", kind.clone());
    only(&training(operation(&["epoch", "tokenize"], kind.clone(), 16.0, 0.2)), "tokenize", kind);
}

#[test]
fn a_consumer_that_wakes_late_is_synchronization() {
    let mut session = loader(&work("decode", BottleneckType::Preprocessing, 0.97));
    let profile = &mut session.performance_metrics.pipelines[0];
    for snapshot in &mut profile.snapshots {
        snapshot.queue_empty_s = Some(0.2 * snapshot.at_s);
    }
    profile.attribution = None;
    let found = only(&session, "late_consumer", BottleneckType::Synchronization);
    assert!((found.optimization_potential.unwrap() - 0.4).abs() < 1e-9);
}

#[test]
fn a_wait_that_a_pipeline_explains_is_not_counted_twice() {
    let mut session = loader(&work("decode", BottleneckType::Preprocessing, 0.97));
    let wait = operation(&["epoch", "data_loading"], BottleneckType::DataLoading, 12.0, 0.1);
    let forward = operation(&["epoch", "forward"], BottleneckType::CpuComputation, 7.5, 1.0);
    session.performance_metrics.operations = vec![wait, forward];
    let names: Vec<_> = found(&session).into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["decode", "forward"]);
}

#[test]
fn what_saves_less_than_the_threshold_is_left_out() {
    let mut session = loader(&work("decode", BottleneckType::Preprocessing, 0.97));
    session.config.bottleneck_threshold = 0.7;
    assert_eq!(found(&session), []);
    assert_eq!(found(&self::session()), []);
}
