//! Twelve pipelines of threads: what attribution says of each, and what is really gained when the
//! stage that it names is taken out.
//!
//! Stages spin, sleep, or read a file that is not in the page cache. Each pipeline runs with and
//! without its stage in turn, several times, so that whatever else the machine does falls on both.
//! `cargo run --release -p profiler --example real_pipelines`

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::bounded;
use profiler::attribution::{Attribution, Surroundings, attribute};
use profiler::machine::usable_cores;
use profiler::monitor::process_cpu;
use profiler::pipeline::{PipelineSnapshot, Room};
use profiler::stage::{Stage, StageClock, StageCounters, workers_station};
use rustix::fs::{Advice, fadvise};

const ITEMS: u64 = 1500;
const BATCH: u64 = 8;
const ROUNDS: usize = 3;
const TICK: Duration = Duration::from_millis(10);
/// Of the file that stages read from.
const FILE_BYTES: u64 = 64 << 20;

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Nothing,
    /// Microseconds of computing.
    Spin(u64),
    /// Microseconds of waiting.
    Sleep(u64),
    /// Kilobytes from storage.
    Read(usize),
}

/// Stages in the order of the clock's: read, decode, transform; threads; and the consumer.
struct Pipeline {
    threads: usize,
    stages: [Work; 3],
    /// Batches that may be ready.
    depth: usize,
    consumer: Work,
}

const STAGES: [Stage; 3] = [Stage::Read, Stage::Decode, Stage::Transform];

const PIPELINES: [Pipeline; 12] = {
    use Work::{Nothing, Read, Sleep, Spin};
    const fn of(threads: usize, stages: [Work; 3], depth: usize, consumer: Work) -> Pipeline {
        Pipeline { threads, stages, depth, consumer }
    }
    [
        of(1, [Nothing, Spin(400), Spin(100)], 2, Sleep(100)),
        of(1, [Sleep(300), Spin(100), Nothing], 2, Sleep(100)),
        of(4, [Sleep(1500), Spin(50), Nothing], 2, Sleep(150)),
        of(2, [Sleep(200), Spin(300), Spin(100)], 4, Sleep(120)),
        of(4, [Nothing, Spin(600), Spin(100)], 2, Sleep(100)),
        of(4, [Nothing, Spin(200), Sleep(800)], 2, Spin(100)),
        of(1, [Read(64), Spin(100), Nothing], 2, Sleep(50)),
        of(4, [Read(256), Spin(100), Nothing], 4, Sleep(50)),
        of(1, [Nothing, Spin(100), Nothing], 2, Sleep(400)),
        of(2, [Sleep(500), Sleep(400), Sleep(300)], 1, Sleep(200)),
        of(0, [Sleep(100), Spin(300), Nothing], 1, Sleep(200)),
        of(0, [Nothing, Spin(150), Spin(250)], 1, Spin(300)),
    ]
};

fn main() -> io::Result<()> {
    let file = scratch()?;
    println!(
        "{:<44} {:>6}  {:<10} {:>9} {:>13}  {:>12} {:>6}",
        "workers: read, decode, transform; consumer",
        "waits",
        "named",
        "predicted",
        "interval",
        "true (spread)",
        "error"
    );
    let mut errors = Vec::new();
    for pipeline in &PIPELINES {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let mut attributions: Vec<Attribution> = Vec::new();
        for _ in 0..ROUNDS {
            let before = busy();
            let (snapshots, seconds) = run(pipeline, None, &file);
            let other_cores = busy().zip(before).map(|(now, before)| (now - before) / seconds);
            with.push(seconds);
            let surroundings = Surroundings {
                usable_cores: usable_cores(),
                storage: None,
                other_cores,
                pipelines: 1,
            };
            let Some(attribution) = attribute(&snapshots, &surroundings) else { continue };
            let named = attribution.limiting().1.name.clone();
            let freed = STAGES.iter().position(|stage| stage.name() == named);
            without.push(run(pipeline, freed, &file).1);
            attributions.push(attribution);
        }
        attributions.sort_by(|a, b| {
            let of = |it: &Attribution| it.limiting().1.optimization_potential;
            of(a).total_cmp(&of(b))
        });
        let middle = &attributions[attributions.len() / 2];
        let stage = middle.limiting().1;
        let mut gains: Vec<f64> =
            with.iter().zip(&without).map(|(with, without)| 1.0 - without / with).collect();
        gains.sort_by(f64::total_cmp);
        let gain = gains[gains.len() / 2];
        let error = stage.optimization_potential - gain;
        errors.push(error.abs());
        let interval = stage.interval.map_or("-".to_owned(), |[low, high]| {
            format!("{:.0} to {:.0}%", 100.0 * low, 100.0 * high)
        });
        println!(
            "{:<44} {:>5.0}%  {:<10} {:>8.1}% {interval:>13}  {:>6.1}% ({:.1}) {:>+6.1}",
            describe(pipeline),
            100.0 * middle.wait_share,
            stage.name,
            100.0 * stage.optimization_potential,
            100.0 * gain,
            100.0 * (gains[gains.len() - 1] - gains[0]),
            100.0 * error,
        );
    }
    errors.sort_by(f64::total_cmp);
    println!(
        "\nerror of the predicted gain: median {:.1} points, largest {:.1} ({} runs each way, in turn)",
        100.0 * errors[errors.len() / 2],
        100.0 * errors[errors.len() - 1],
        ROUNDS
    );
    Ok(())
}

fn describe(pipeline: &Pipeline) -> String {
    let of = |work: &Work| match work {
        Work::Nothing => "-".to_owned(),
        Work::Spin(us) => format!("spin {us}"),
        Work::Sleep(us) => format!("sleep {us}"),
        Work::Read(kb) => format!("file {kb}K"),
    };
    let stages: Vec<_> = pipeline.stages.iter().map(of).collect();
    format!("{}: {}; {}", pipeline.threads, stages.join(", "), of(&pipeline.consumer))
}

/// Runs it, without the stage `freed`; its snapshots and the seconds that it took.
fn run(pipeline: &Pipeline, freed: Option<usize>, file: &File) -> (Vec<PipelineSnapshot>, f64) {
    let mut stages = pipeline.stages;
    if let Some(freed) = freed {
        stages[freed] = Work::Nothing;
    }
    let workers = pipeline.threads.max(1);
    let counters: Vec<_> = (0..workers).map(|_| Arc::new(StageCounters::default())).collect();
    let own = Arc::new(StageCounters::default());
    let (items, batches) = (AtomicU64::new(0), AtomicU64::new(0));
    let next = AtomicU64::new(0);
    let (send, receive) = bounded::<()>(pipeline.depth * BATCH as usize);
    let mut snapshots = Vec::new();
    let start = Instant::now();
    let mut seconds = 0.0;
    thread::scope(|scope| {
        for counters in counters.iter().take(pipeline.threads) {
            let (send, next) = (send.clone(), &next);
            let mut file = file;
            scope.spawn(move || {
                let mut clock = StageClock::new(counters.clone(), Stage::Other);
                loop {
                    let item = next.fetch_add(1, Relaxed);
                    if item >= ITEMS {
                        break;
                    }
                    make(&mut clock, &stages, item, &mut file);
                    clock.enter(Stage::WaitRoom);
                    if send.send(()).is_err() {
                        break;
                    }
                    clock.enter(Stage::Other);
                }
            });
        }
        drop(send);
        let (own, items, batches) = (&own, &items, &batches);
        let consumer = scope.spawn(move || {
            let mut clock = StageClock::new(own.clone(), Stage::Other);
            let mut file = file;
            for batch in 0..ITEMS / BATCH {
                for item in 0..BATCH {
                    if pipeline.threads == 0 {
                        make(&mut clock, &stages, batch * BATCH + item, &mut file);
                    } else {
                        clock.enter(Stage::WaitBatch);
                        let _ = receive.recv();
                    }
                }
                clock.enter(Stage::Consume);
                items.fetch_add(BATCH, Relaxed);
                batches.fetch_add(1, Relaxed);
                for item in 0..BATCH {
                    work(pipeline.consumer, item, &mut file);
                }
                clock.enter(Stage::Other);
            }
            clock.enter(Stage::WaitBatch);
        });
        loop {
            let done = consumer.is_finished();
            let times = own.times();
            let on_consumer = pipeline.threads == 0;
            let of = if on_consumer { std::slice::from_ref(own) } else { &counters[..] };
            let mut station = workers_station(
                "workers",
                workers,
                Some(Room::Items(pipeline.depth * BATCH as usize)),
                of,
            );
            station.on_consumer = on_consumer;
            let kernel = own.thread_times().filter(|_| !on_consumer);
            snapshots.push(PipelineSnapshot {
                at_s: start.elapsed().as_secs_f64(),
                items: items.load(Relaxed),
                batches: batches.load(Relaxed),
                since_batch_s: None,
                consumer_wait_s: times.wait_batch_s,
                consumer_busy_s: times.consume_s,
                consumer_cpu_s: kernel.map(|times| times.cpu_s),
                consumer_run_delay_s: kernel.and_then(|times| times.run_delay_s),
                consumer_visits: own.visits(Stage::Consume),
                queue_empty_s: None,
                stations: vec![station],
            });
            if done {
                break;
            }
            thread::sleep(TICK);
        }
        seconds = start.elapsed().as_secs_f64();
    });
    (snapshots, seconds)
}

/// The stages of one item.
fn make(clock: &mut StageClock, stages: &[Work; 3], item: u64, file: &mut &File) {
    clock.item();
    for (stage, it) in STAGES.into_iter().zip(stages) {
        clock.enter(stage);
        work(*it, item, file);
    }
    clock.enter(Stage::Other);
}

fn work(work: Work, item: u64, file: &mut &File) {
    match work {
        Work::Nothing => {}
        Work::Spin(us) => {
            // Computing, not time that passes: who loses the core computes no less.
            let spins = us * spins_per_us();
            let mut sum = item;
            for i in 0..spins {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
            }
        }
        Work::Sleep(us) => thread::sleep(Duration::from_micros(us)),
        Work::Read(kb) => {
            let bytes = (kb << 10) as u64;
            let at = (item * 7919 % (FILE_BYTES / bytes)) * bytes;
            let mut buffer = vec![0; kb << 10];
            let _ = fadvise(*file, at, std::num::NonZero::new(bytes), Advice::DontNeed);
            // Threads share the file's position: it does not matter which part is read.
            let _ = file.seek(SeekFrom::Start(at)).and_then(|_| file.read(&mut buffer));
        }
    }
}

/// Measured once.
fn spins_per_us() -> u64 {
    static SPINS: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SPINS.get_or_init(|| {
        let fastest = (0..20).map(|_| {
            let start = Instant::now();
            let mut sum = 1u64;
            for i in 0..1_000_000u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(i));
            }
            start.elapsed()
        });
        let fastest = fastest.min().unwrap_or_default();
        (1_000_000.0 / (fastest.as_secs_f64() * 1e6)).max(1.0) as u64
    })
}

/// Seconds for which other programs had a core so far, all cores together.
fn busy() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        text.lines().next()?.split_whitespace().skip(1).map_while(|n| n.parse().ok()).collect();
    // User, nice, system, (idle, waiting,) interrupts; Linux counts in hundredths of a second.
    let all = [0, 1, 2, 5, 6].iter().map(|i| ticks.get(*i)).sum::<Option<f64>>()? / 100.0;
    Some(all - process_cpu().as_secs_f64())
}

/// A file to read from, gone with the program.
fn scratch() -> io::Result<File> {
    let mut file = tempfile::tempfile_in(".")?;
    let block = vec![7; 1 << 20];
    for _ in 0..FILE_BYTES >> 20 {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    Ok(file)
}
