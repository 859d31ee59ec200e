//! Makes each kind of bottleneck happen on this machine, in a session each, and prints what is named.
//!
//! `cargo run --release -p profiler --example bottleneck_zoo [-- NAME..]`; exit code 1 if another kind
//! is named for any of them. Each session is a real one, of a profiler with its defaults. Most
//! operations are not declared: their kind is told from what the kernel says of their threads. Data
//! loading, preprocessing and names of one's own are roles in a program, which no measurement can
//! tell: these are declared, and what is told from evidence is why they take their time. Transfers
//! to a GPU need one: n/a without.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use profiler::bottleneck::BottleneckType;
use profiler::config::ProfilerConfig;
use profiler::machine::usable_cores;
use profiler::profiler::BottleneckProfiler;
use profiler::session::ProfilingSession;
use rustix::fs::{Advice, fadvise};

/// How long each is made to last: some looks of the monitor at 0.1 s.
const LASTS: Duration = Duration::from_millis(2500);

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
type Made = Outcome<Arc<ProfilingSession>>;

/// One of them: what is made, what is declared, what must be named, and how to make it.
struct Case {
    name: &'static str,
    what: &'static str,
    declared: BottleneckType,
    expected: BottleneckType,
    make: fn(&str, BottleneckType) -> Made,
}

fn cases() -> Vec<Case> {
    use BottleneckType::*;
    let of = |name, what, declared, expected, make| Case { name, what, declared, expected, make };
    let custom = || Custom("tokenizer".to_owned());
    vec![
        of(
            "next_batch",
            "waiting for batches from a slow thread",
            DataLoading,
            DataLoading,
            batches,
        ),
        of("augment", "transforming images", Preprocessing, Preprocessing, compute),
        of("touch", "allocating and touching 64 MiB", Undeclared, MemoryAllocation, allocate),
        of("forward", "computing", Undeclared, CpuComputation, compute),
        of("read", "reading a file that is not in the page cache", Undeclared, IoOperation, read),
        of(
            "cached",
            "reading a file that is in the page cache",
            IoOperation,
            CpuComputation,
            cached,
        ),
        of("fetch", "asking a server that answers after 5 ms", Undeclared, NetworkLatency, fetch),
        of("remote", "a file that is a socket", IoOperation, NetworkLatency, fetch),
        of("guarded", "under a lock that another holds", Undeclared, Synchronization, locked),
        of("tokenize", "preprocessing, but under a lock", Preprocessing, Synchronization, locked),
        of(
            "crowded",
            "among four times as many threads as cores",
            Undeclared,
            Synchronization,
            crowd,
        ),
        of("asleep", "sleeping among as many", Undeclared, Synchronization, sleep_in_crowd),
        of("own", "something that has a name of its own", custom(), custom(), compute),
    ]
}

fn main() -> Outcome<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut wrong = 0;
    for case in cases() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == case.name) {
            continue;
        }
        let session = (case.make)(case.name, case.declared.clone())?;
        let named = session.bottlenecks.iter().find(|found| found.name == case.name);
        let right = named.is_some_and(|found| found.kind == case.expected);
        wrong += usize::from(!right);
        println!("{}", case.what);
        println!("  operation `{}`, declared: {}", case.name, case.declared);
        println!("  expected: {}{}", case.expected, if right { "" } else { "  WRONG" });
        for one in &session.bottlenecks {
            println!("  named:    {} ({}), severity {:.2}", one.kind, one.name, one.severity);
            println!("            {}", one.cause);
            if one.name == case.name {
                one.suggestions.iter().for_each(|advice| println!("            -> {advice}"));
            }
        }
        println!();
    }
    println!("copying to a GPU\n  n/a: needs a GPU");
    println!("\nwrong: {wrong}");
    Ok(ExitCode::from(u8::from(wrong > 0)))
}

/// A session in which `work` is done again and again as one operation.
fn record(name: &str, kind: BottleneckType, mut work: impl FnMut()) -> Made {
    let profiler = BottleneckProfiler::new(ProfilerConfig::default())?;
    profiler.start_session(name)?;
    let start = Instant::now();
    while start.elapsed() < LASTS {
        let _operation = profiler.operation(name, kind.clone());
        work();
    }
    Ok(profiler.stop_session()?)
}

fn compute(name: &str, kind: BottleneckType) -> Made {
    record(name, kind, || spin(2_000_000))
}

fn batches(name: &str, kind: BottleneckType) -> Made {
    let (send, receive) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            while send.send(()).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        record(name, kind, move || {
            let _ = receive.recv();
        })
    })
}

fn allocate(name: &str, kind: BottleneckType) -> Made {
    record(name, kind, || {
        let mut memory = vec![0u8; 64 << 20];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        std::hint::black_box(&memory);
    })
}

fn read(name: &str, kind: BottleneckType) -> Made {
    let mut file = scratch(64)?;
    let mut buffer = vec![0; 1 << 20];
    record(name, kind, move || {
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        let _ = read_all(&mut file, &mut buffer);
    })
}

fn cached(name: &str, kind: BottleneckType) -> Made {
    let mut file = scratch(16)?;
    let mut buffer = vec![0; 1 << 20];
    read_all(&mut file, &mut buffer)?;
    record(name, kind, move || drop(read_all(&mut file, &mut buffer)))
}

fn fetch(name: &str, kind: BottleneckType) -> Made {
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
        record(name, kind, move || {
            let mut byte = [1];
            let _ = stream.write_all(&byte).and_then(|()| stream.read_exact(&mut byte));
        })
    })
}

fn locked(name: &str, kind: BottleneckType) -> Made {
    let lock = Mutex::new(());
    let hold = || {
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(Duration::from_millis(5));
    };
    beside(1, hold, || {
        record(name, kind, || {
            let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
            spin(1000);
        })
    })
}

fn crowd(name: &str, kind: BottleneckType) -> Made {
    beside(4 * usable_cores().ceil() as usize, || spin(1000), || compute(name, kind))
}

fn sleep_in_crowd(name: &str, kind: BottleneckType) -> Made {
    let asleep = || record(name, kind, || thread::sleep(Duration::from_millis(50)));
    beside(4 * usable_cores().ceil() as usize, || spin(1000), asleep)
}

/// What `work` makes while so many threads do `other` again and again.
fn beside(threads: usize, other: impl Fn() + Sync, work: impl FnOnce() -> Made) -> Made {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    other();
                }
            });
        }
        let made = work();
        stop.store(true, Relaxed);
        made
    })
}

fn spin(times: u64) {
    let mut sum = 1u64;
    for i in 0..times {
        sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
    }
}

fn read_all(file: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    while file.read(buffer)? > 0 {}
    Ok(())
}

/// A file of so many MiB, gone with the program.
fn scratch(mib: usize) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(".")?;
    let block = vec![7; 1 << 20];
    for _ in 0..mib {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}
