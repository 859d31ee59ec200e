//! Makes each kind of bottleneck happen on this machine, and prints what is named.
//!
//! `cargo run --release -p profiler --example bottleneck_zoo`; exit code 1 if another kind is named
//! for any of them. Transfers to a GPU need one, and libtorch: see the example of `loader`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiler::bottleneck::BottleneckType;
use profiler::config::ProfilerConfig;
use profiler::detect::{OperationDetector, PipelineDetector};
use profiler::extend::Detector;
use profiler::machine::{Machine, usable_cores};
use profiler::resources::{CpuSample, IoSample, ResourceSample};
use profiler::session::{OperationStats, PerformanceMetrics, ProfilingSession, SCHEMA};
use profiler::thread::thread_times;
use rustix::fs::{Advice, fadvise};
use rustix::time::{ClockId, clock_gettime};

/// How long each is made to last.
const LASTS: Duration = Duration::from_millis(800);

fn main() -> io::Result<ExitCode> {
    use BottleneckType::*;
    let mut wrong = 0;
    let mut show = |what: &str, expected: BottleneckType, session: ProfilingSession| {
        let detectors: [&dyn Detector; 2] = [&PipelineDetector, &OperationDetector];
        let found: Vec<_> = detectors.into_iter().flat_map(|it| it.detect(&session)).collect();
        let right = matches!(&found[..], [one] if one.kind == expected);
        wrong += usize::from(!right);
        println!("{what}\n  expected: {expected}{}", if right { "" } else { "  WRONG" });
        for one in &found {
            println!("  named:    {} ({}), severity {:.2}", one.kind, one.name, one.severity);
            println!("            {}", one.cause);
            one.suggestions.iter().for_each(|advice| println!("            -> {advice}"));
        }
        println!();
    };

    show("a loop that waits for batches from a slow thread", DataLoading, {
        let (send, receive) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(move || {
                while send.send(()).is_ok() {
                    thread::sleep(Duration::from_millis(5));
                }
            });
            record("data_loading", DataLoading, move || {
                let _ = receive.recv();
            })
        })
    });
    show(
        "transforming images",
        Preprocessing,
        record("augment", Preprocessing, || spin(2_000_000)),
    );
    show("allocating and touching 64 MiB again and again", MemoryAllocation, {
        record("allocate", MemoryAllocation, || {
            let mut memory = vec![0u8; 64 << 20];
            memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            std::hint::black_box(&memory);
        })
    });
    println!("copying to a GPU\n  n/a: needs a GPU\n");
    show("computing", CpuComputation, record("forward", CpuComputation, || spin(2_000_000)));
    show("reading a file that is not in the page cache", IoOperation, {
        let mut file = scratch()?;
        let mut buffer = vec![0; 1 << 20];
        record("read", IoOperation, move || {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
            let mut read = || -> io::Result<()> {
                file.seek(SeekFrom::Start(0))?;
                while file.read(&mut buffer)? > 0 {}
                Ok(())
            };
            let _ = read();
        })
    });
    show("asking a server that answers after 5 ms", NetworkLatency, {
        let server = TcpListener::bind("127.0.0.1:0")?;
        let mut stream = TcpStream::connect(server.local_addr()?)?;
        let (mut peer, _) = server.accept()?;
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut byte = [0];
                while peer.read_exact(&mut byte).is_ok() {
                    thread::sleep(Duration::from_millis(5));
                    let _ = peer.write_all(&byte);
                }
            });
            record("fetch", NetworkLatency, move || {
                let mut byte = [1];
                let _ = stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte));
            })
        })
    });
    show("preprocessing under a lock that another thread holds", Synchronization, {
        let (lock, stop) = (Mutex::new(()), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let session = record("tokenize", Preprocessing, || {
                let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
                spin(1000);
            });
            stop.store(true, Relaxed);
            session
        })
    });
    show("computing beside four times as many threads as cores", Synchronization, {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 * usable_cores().ceil() as usize {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        spin(1000);
                    }
                });
            }
            let session = record("forward", CpuComputation, || spin(2_000_000));
            stop.store(true, Relaxed);
            session
        })
    });
    let custom = Custom("tokenizer".to_owned());
    show("something that has a name of its own", custom.clone(), {
        record("tokenize", custom, || spin(2_000_000))
    });
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

/// A session in which `work` is done again and again as one operation.
fn record(name: &str, kind: BottleneckType, mut work: impl FnMut()) -> ProfilingSession {
    let start = Instant::now();
    let before = sample(0.0);
    let (mut calls, mut self_s, mut cpu) = (0, 0.0, Duration::ZERO);
    while start.elapsed() < LASTS {
        let (began, cpu_began) = (Instant::now(), thread_cpu());
        work();
        cpu += thread_cpu().saturating_sub(cpu_began);
        self_s += began.elapsed().as_secs_f64();
        calls += 1;
    }
    let duration_s = start.elapsed().as_secs_f64();
    let operation = OperationStats {
        path: vec![name.to_owned()],
        kind,
        calls,
        total_s: self_s,
        self_s,
        min_s: 0.0,
        max_s: self_s,
        self_cpu_s: Some(cpu.as_secs_f64()),
        threads: 1,
        resident_bytes: None,
        gpu_bytes: None,
        cpu_percent: None,
    };
    ProfilingSession {
        schema: SCHEMA.to_owned(),
        session_id: "zoo".to_owned(),
        name: name.to_owned(),
        started: String::new(),
        finished: None,
        duration_s,
        config: ProfilerConfig::default(),
        machine: Machine::detect(),
        attributes: BTreeMap::new(),
        performance_metrics: PerformanceMetrics {
            operations: vec![operation],
            ..PerformanceMetrics::default()
        },
        bottlenecks: Vec::new(),
        memory_profile: None,
        gpu_profile: None,
        threads: Vec::new(),
        resources: vec![before, sample(duration_s)],
        resources_dropped: 0,
        trackers: Vec::new(),
        timeline: Vec::new(),
        timeline_dropped: 0,
        notes: Vec::new(),
    }
}

/// What the kernel tells of this process now.
fn sample(at_s: f64) -> ResourceSample {
    let io = fs::read_to_string("/proc/self/io").ok().map(|text| {
        let of = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            line.and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        IoSample {
            storage_read_bytes: of("read_bytes"),
            storage_write_bytes: of("write_bytes"),
            ..IoSample::default()
        }
    });
    let tids = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let delays =
        tids.filter_map(|task| thread_times(task.file_name().to_str()?.parse().ok()?)?.run_delay_s);
    let cpu = CpuSample { run_delay_s: Some(delays.sum()), ..CpuSample::default() };
    ResourceSample { at_s, io, cpu: Some(cpu), ..ResourceSample::default() }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn spin(times: u64) {
    let mut sum = 1u64;
    for i in 0..times {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
    }
}

/// A file of 64 MiB, gone with the program.
fn scratch() -> io::Result<File> {
    let mut file = tempfile::tempfile_in(".")?;
    let block = vec![7; 1 << 20];
    for _ in 0..64 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}
