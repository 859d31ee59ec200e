//! Twelve pipelines of threads: what attribution says of each, and what time is really saved when a
//! stage of it is taken out.
//!
//! Stages spin, sleep, or read a file that is not in the page cache, for milliseconds, as with
//! photographs. (A sleep of 0.1 ms takes twice as long, and how much longer depends on how deep the
//! cores sleep, which changes with what is taken out.) Each pipeline runs as it is and without each of
//! its stages in turn, several times, so that whatever else the machine does falls on all of them. The right stage is named if no other saves over 3 points more: what two stages that
//! are about equal save differs by as much from run to run.
//! `cargo run --release -p profiler --example real_pipelines [NUMBER..]`, all of them or those; exit
//! code 1 if the right one is named in fewer than 11 of the 12, or the median error of what is predicted
//! is over 3 points.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
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
use profiler::statistics;
use rustix::fs::{Advice, fadvise};

const ITEMS: u64 = 400;
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
        of(1, [Nothing, Spin(4000), Spin(1000)], 2, Sleep(1000)),
        of(1, [Sleep(3000), Spin(1000), Nothing], 2, Sleep(1000)),
        of(4, [Sleep(15_000), Spin(500), Nothing], 2, Sleep(1500)),
        of(2, [Sleep(2000), Spin(3000), Spin(1000)], 4, Sleep(1200)),
        of(4, [Nothing, Spin(6000), Spin(1000)], 2, Sleep(1000)),
        of(4, [Nothing, Spin(2000), Sleep(8000)], 2, Spin(1000)),
        of(1, [Read(4096), Spin(500), Nothing], 2, Spin(300)),
        of(4, [Read(2048), Spin(500), Nothing], 4, Spin(300)),
        of(1, [Nothing, Spin(1000), Nothing], 2, Sleep(4000)),
        of(2, [Sleep(5000), Sleep(4000), Sleep(3000)], 1, Sleep(2000)),
        of(0, [Sleep(1000), Spin(3000), Nothing], 1, Sleep(2000)),
        of(0, [Nothing, Spin(1500), Spin(2500)], 1, Spin(3000)),
    ]
};

/// Of two stages that are about equal either may be named.
const EQUAL: f64 = 0.03;
const LEAST_RIGHT: usize = 11;
const MOST_ERROR: f64 = 0.03;

fn main() -> io::Result<ExitCode> {
    let file = scratch()?;
    // Now, not while a pipeline runs.
    spins_per_us();
    println!(
        "{:<47} {:>5}  {:<10} {:>9} {:>13}  {:>5} {:>6}  {:<18} ",
        "workers: read, decode, transform; consumer (ms)",
        "waits",
        "named",
        "predicted",
        "interval",
        "true",
        "error",
        "most is saved by",
    );
    let (mut errors, mut right) = (Vec::new(), 0);
    let asked: Vec<usize> = env::args().skip(1).filter_map(|number| number.parse().ok()).collect();
    let is_asked = |number: usize| asked.is_empty() || asked.contains(&number);
    let pipelines = (1..).zip(&PIPELINES).filter(|(number, _)| is_asked(*number));
    for (_, pipeline) in pipelines.clone() {
        let Some(Seen { attribution, saved }) = measure(pipeline, &file) else { continue };
        let stage = attribution.limiting().1;
        let of_named = saved.iter().find(|(name, _)| *name == stage.name).map_or(0.0, |it| it.1);
        let (best, most) =
            saved.iter().fold(
                ("", f64::MIN),
                |most, (name, saved)| {
                    if *saved > most.1 { (*name, *saved) } else { most }
                },
            );
        let is_right = most - of_named <= EQUAL;
        right += usize::from(is_right);
        let error = stage.optimization_potential - of_named;
        errors.push(error.abs());
        let interval = stage.interval.map_or("-".to_owned(), |[low, high]| {
            format!("{:.0} to {:.0}%", 100.0 * low, 100.0 * high)
        });
        println!(
            "{:<47} {:>4.0}%  {:<10} {:>8.1}% {interval:>13}  {:>4.1}% {:>+6.1}  {:<9} {:>6.1}%{}",
            describe(pipeline),
            100.0 * attribution.wait_share,
            stage.name,
            100.0 * stage.optimization_potential,
            100.0 * of_named,
            100.0 * error,
            best,
            100.0 * most,
            if is_right { "" } else { "  WRONG" },
        );
    }
    errors.sort_by(f64::total_cmp);
    let Some(middle) = errors.get(errors.len() / 2).copied() else { return Ok(ExitCode::FAILURE) };
    let count = pipelines.count();
    let least_right = LEAST_RIGHT.min(count);
    println!(
        "\nright stage named: {right} of {count}; promise {least_right}\n\
         error of the predicted saving of the named stage: median {:.1} points, largest {:.1} \
         ({ROUNDS} runs each way, in turn); promise: median {:.0}",
        100.0 * middle,
        100.0 * errors[errors.len() - 1],
        100.0 * MOST_ERROR,
    );
    Ok(ExitCode::from(u8::from(right < least_right || middle > MOST_ERROR)))
}

/// What was said of a pipeline, and what is true.
struct Seen {
    /// The middle one by what it says could be saved.
    attribution: Attribution,
    /// Of each stage the share of the time that is saved without it, median of the rounds.
    saved: Vec<(&'static str, f64)>,
}

fn measure(pipeline: &Pipeline, file: &File) -> Option<Seen> {
    let mut attributions: Vec<Attribution> = Vec::new();
    let stages: Vec<usize> =
        (0..STAGES.len()).filter(|stage| pipeline.stages[*stage] != Work::Nothing).collect();
    let mut saved = vec![Vec::new(); stages.len()];
    for _ in 0..ROUNDS {
        let before = busy();
        let (snapshots, seconds) = run(pipeline, None, file);
        let other_cores = busy().zip(before).map(|(now, before)| (now - before) / seconds);
        let surroundings =
            Surroundings { usable_cores: usable_cores(), storage: None, other_cores, pipelines: 1 };
        attributions.extend(attribute(&snapshots, &surroundings));
        for (stage, saved) in stages.iter().zip(&mut saved) {
            saved.push(1.0 - run(pipeline, Some(*stage), file).1 / seconds);
        }
    }
    attributions.sort_by(|a, b| {
        let of = |it: &Attribution| it.limiting().1.optimization_potential;
        of(a).total_cmp(&of(b))
    });
    let attribution = attributions.get(attributions.len() / 2)?.clone();
    let median = |saved: &Vec<f64>| statistics::median(saved).unwrap_or(0.0);
    let names = stages.iter().map(|stage| STAGES[*stage].name());
    Some(Seen { attribution, saved: names.zip(saved.iter().map(median)).collect() })
}

fn describe(pipeline: &Pipeline) -> String {
    let of = |work: &Work| match work {
        Work::Nothing => "-".to_owned(),
        Work::Spin(us) => format!("spin {}", *us as f64 * 1e-3),
        Work::Sleep(us) => format!("sleep {}", *us as f64 * 1e-3),
        Work::Read(kb) => format!("read {} MB", kb >> 10),
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
            scope.spawn(move || {
                let mut clock = StageClock::new(counters.clone(), Stage::Other);
                loop {
                    let item = next.fetch_add(1, Relaxed);
                    if item >= ITEMS {
                        break;
                    }
                    make(&mut clock, &stages, item, file);
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
            for batch in 0..ITEMS / BATCH {
                for item in 0..BATCH {
                    if pipeline.threads == 0 {
                        make(&mut clock, &stages, batch * BATCH + item, file);
                    } else {
                        clock.enter(Stage::WaitBatch);
                        let _ = receive.recv();
                    }
                }
                clock.enter(Stage::Consume);
                items.fetch_add(BATCH, Relaxed);
                batches.fetch_add(1, Relaxed);
                for item in 0..BATCH {
                    work(pipeline.consumer, item, file);
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
                consumer_run_delay_s: own.consumer_run_delay_s(),
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
fn make(clock: &mut StageClock, stages: &[Work; 3], item: u64, file: &File) {
    clock.item();
    for (stage, it) in STAGES.into_iter().zip(stages) {
        clock.enter(stage);
        work(*it, item, file);
    }
    clock.enter(Stage::Other);
}

fn work(work: Work, item: u64, file: &File) {
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
            let _ = fadvise(file, at, std::num::NonZero::new(bytes), Advice::DontNeed);
            let _ = file.read_exact_at(&mut buffer, at);
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
    // Nothing is read ahead, so that what a read finds in the page cache was not put there by others.
    fadvise(&file, 0, None, Advice::Random)?;
    Ok(file)
}
