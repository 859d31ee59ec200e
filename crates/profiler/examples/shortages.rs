//! Makes resources short, one after the other, and prints what the monitor names.
//!
//! `cargo run --release -p profiler --example shortages [-- NAME..]`, a minute and a half in all; exit
//! code 1 if a shortage that was made is not named. (Others may be named too, if other programs run.)
//! A GPU's memory and its link are left to programs that have one.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use profiler::config::ProfilerConfig;
use profiler::machine::usable_cores;
use profiler::monitor::{Monitor, MonitorOptions};
use profiler::rules::ResourceRules;
use profiler::trackers::Trackers;

type Outcome = Result<(), Box<dyn Error>>;
type Shortage = fn(Until) -> Outcome;

/// When to end.
#[derive(Clone, Copy)]
struct Until(Instant);

impl Until {
    fn goes_on(self) -> bool {
        Instant::now() < self.0
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut missed = 0;
    let shortages: [(&str, u64, Shortage); 7] = [
        ("none", 8, calm),
        ("high_memory_usage", 8, calm),
        ("memory_growth", 40, leak),
        ("allocation_churn", 8, churn),
        ("cpu_saturation", 8, |until| busy(until, usable_cores().ceil() as usize)),
        ("run_queue_delay", 8, |until| busy(until, 4 * usable_cores().ceil() as usize)),
        ("io_wait", 8, read_storage),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for (name, seconds, make) in shortages {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let mut config = ProfilerConfig::default();
        if name == "high_memory_usage" {
            // Taking most of the machine's memory would be rude: the limit is lowered to what is
            // in use anyway.
            config.memory_threshold = 0.001;
        }
        let monitor = Monitor::start(MonitorOptions {
            trackers: Trackers::open(&config, Vec::new()),
            rules: Some(ResourceRules::new(&config, usable_cores())),
            ..MonitorOptions::default()
        })?;
        make(Until(Instant::now() + Duration::from_secs(seconds)))?;
        let found = monitor.finish().bottlenecks;
        let named = name == "none" || found.iter().any(|found| found.name == name);
        missed += usize::from(!named);
        println!("made: {name}{}", if named { "" } else { "  NOT NAMED" });
        for found in found {
            println!("  named: {} ({}), severity {:.2}", found.name, found.kind, found.severity);
            println!("    {}", found.cause);
            found.suggestions.iter().for_each(|suggestion| println!("    - {suggestion}"));
        }
    }
    println!("\nnot named: {missed}");
    Ok(ExitCode::from(u8::from(missed > 0)))
}

fn calm(until: Until) -> Outcome {
    while until.goes_on() {
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn leak(until: Until) -> Outcome {
    let mut kept = Vec::new();
    while until.goes_on() {
        kept.push(vec![1u8; 1 << 20]);
        thread::sleep(Duration::from_millis(100));
    }
    black_box(kept);
    Ok(())
}

fn churn(until: Until) -> Outcome {
    while until.goes_on() {
        black_box(vec![1u8; 64 << 20]);
    }
    Ok(())
}

fn busy(until: Until, threads: usize) -> Outcome {
    let spin = move || {
        let mut sum = 0u64;
        while until.goes_on() {
            sum = (0..10_000).fold(sum, |sum, x| black_box(sum ^ x));
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(spin))));
    Ok(())
}

/// Reads a file past the page cache.
fn read_storage(until: Until) -> Outcome {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: u64 = 64;
    const O_DIRECT: i32 = 0o40000;
    let path = std::env::current_dir()?.join(format!("shortages-{}.bin", std::process::id()));
    let mut file = File::create(&path)?;
    (0..BLOCKS).try_for_each(|_| file.write_all(&[7; BLOCK]))?;
    file.sync_all()?;
    let file = OpenOptions::new().read(true).custom_flags(O_DIRECT).open(&path)?;
    std::fs::remove_file(&path)?;
    // Direct reads ask for memory on a page's boundary.
    let mut memory = vec![0u8; 2 * BLOCK];
    let start = memory.as_ptr().align_offset(4096);
    let buffer = &mut memory[start..start + BLOCK];
    while until.goes_on() {
        for block in 0..BLOCKS {
            file.read_exact_at(buffer, block * BLOCK as u64)?;
        }
    }
    Ok(())
}
