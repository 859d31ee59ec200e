//! Runs cases in parallel and watches each: panics, what it allocates, how long it takes.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use preproc::SampleRng;
use rayon::ThreadPoolBuilder;
use rustix::time::{ClockId, clock_gettime};

use crate::mutate::{Seed, mutate};

/// What a case may take before it counts as a hang.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Failures after which a target is given up.
const MAX_FAILURES: usize = 20;

/// What is to be fuzzed.
pub(crate) struct Target<'a> {
    pub(crate) name: &'static str,
    pub(crate) seeds: &'a [Seed],
    /// Bytes that may be allocated at a time for a file of so many bytes.
    pub(crate) limit: fn(u64) -> u64,
}

/// What a thread keeps from case to case.
pub(crate) trait State: Sized {
    /// For files, `folder` is there.
    fn new(folder: &Path) -> Self;

    /// Reads `file`, and says whether it was accepted. Panics if something is wrong.
    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool;
}

#[derive(Default)]
struct Findings {
    failures: Vec<String>,
    /// Bytes, which case, and how many it might have taken.
    largest: (u64, u64, u64),
    slowest: (Duration, u64),
}

/// Runs the cases that the environment asks for: `FUZZ_CASES` of them, or number `FUZZ_CASE`.
/// A line about it is added to the file `FUZZ_LOG`.
pub(crate) fn run<S: State>(target: &Target<'_>) {
    // One at a time: the memory of the whole process is looked at.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let (first, end) = match number("FUZZ_CASE") {
        Some(case) => (case, case + 1),
        None => (0, number("FUZZ_CASES").unwrap_or(10_000)),
    };
    let threads =
        thread::available_parallelism().map_or(1, usize::from).min((end - first) as usize);
    let next = AtomicU64::new(first);
    let accepted = AtomicU64::new(0);
    let findings = Mutex::new(Findings::default());
    let done = AtomicBool::new(false);
    let at: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(u64::MAX)).collect();
    let saved = folder();
    let begun = Instant::now();
    // Sets back the peak, so that it is this target's.
    _ = fs::write("/proc/self/clear_refs", "5");
    let resident = resident("VmRSS:");
    thread::scope(|scope| {
        let workers: Vec<_> = at
            .iter()
            .enumerate()
            .map(|(thread, at)| {
                let (next, accepted, findings) = (&next, &accepted, &findings);
                let record = File::create(saved.join(format!("{}.{thread}", target.name))).unwrap();
                let saved = &saved;
                scope.spawn(move || {
                    // What is done in parallel is done on this thread, where it is counted.
                    let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                    let pool = pool.build().unwrap();
                    let memory = Path::new("/dev/shm");
                    let folder = match memory.is_dir() {
                        true => tempfile::tempdir_in(memory).unwrap(),
                        false => tempfile::tempdir().unwrap(),
                    };
                    let mut state = S::new(folder.path());
                    loop {
                        let case = next.fetch_add(1, Relaxed);
                        if case >= end || findings.lock().unwrap().failures.len() >= MAX_FAILURES {
                            break;
                        }
                        // Should the process die, the file tells of which case.
                        record.write_all_at(format!("{case:20}\n").as_bytes(), 0).unwrap();
                        at.store(case, Relaxed);
                        one(target, case, &mut state, accepted, findings, saved, folder.path());
                    }
                    at.store(u64::MAX, Relaxed);
                    drop(pool);
                })
            })
            .collect();
        let (at, done) = (&at, &done);
        let watchdog = scope.spawn(move || watch(target.name, at, done, (first, end)));
        let joined: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Relaxed);
        watchdog.thread().unpark();
        for worker in joined {
            worker.unwrap();
        }
    });
    let findings = findings.into_inner().unwrap();
    let cases = next.into_inner().min(end) - first;
    let grown = self::resident("VmHWM:").saturating_sub(resident);
    let mut line = format!(
        "{:12} {cases:>9} cases in {:>6.1} s, {:4.1}% of the files accepted, {} failures; ",
        target.name,
        begun.elapsed().as_secs_f64(),
        100.0 * accepted.into_inner() as f64 / cases as f64,
        findings.failures.len(),
    );
    write!(
        line,
        "at most {:.1} KiB allocated at a time (case {}, which may take {:.0} KiB), \
         slowest {:.1} ms of processor time (case {}), resident memory up by {:.1} MiB at most",
        findings.largest.0 as f64 / 1024.0,
        findings.largest.1,
        findings.largest.2 as f64 / 1024.0,
        findings.slowest.0.as_secs_f64() * 1e3,
        findings.slowest.1,
        grown as f64 / 1024.0,
    )
    .unwrap();
    log(&line);
    findings.failures.iter().for_each(|failure| log(failure));
    assert!(findings.failures.is_empty(), "{}", findings.failures.join("\n"));
    // What C code allocates is seen only here.
    let allowed = threads as u64 * ((target.limit)(1 << 16) >> 10) + (64 << 10);
    assert!(grown <= allowed, "resident memory grew by {grown} KiB, more than {allowed}");
}

fn one<S: State>(
    target: &Target<'_>,
    case: u64,
    state: &mut S,
    accepted: &AtomicU64,
    findings: &Mutex<Findings>,
    saved: &Path,
    folder: &Path,
) {
    let mut rng = SampleRng::new(0, 0, case);
    let file = mutate(target.seeds, &mut rng);
    let before = cpu_time();
    let mut result = None;
    let allocated = allocation_counter::measure(|| {
        result = Some(catch_unwind(AssertUnwindSafe(|| state.check(&file, &mut rng))));
    });
    let took = cpu_time().saturating_sub(before);
    let limit = (target.limit)(file.len() as u64);
    let mut findings = findings.lock().unwrap();
    findings.largest = findings.largest.max((allocated.bytes_max, case, limit));
    findings.slowest = findings.slowest.max((took, case));
    let what = match result {
        Some(Ok(_)) if allocated.bytes_max > limit => {
            format!("{} bytes were allocated, more than {limit}", allocated.bytes_max)
        }
        Some(Ok(good)) => {
            accepted.fetch_add(u64::from(good), Relaxed);
            return;
        }
        _ => {
            *state = S::new(folder);
            "it panicked".to_owned()
        }
    };
    let kept = saved.join(format!("{}-{case}", target.name));
    fs::write(&kept, &file).unwrap();
    let name = target.name;
    let failure = format!(
        "{name}, case {case}: {what}\nhint: FUZZ_CASE={case} cargo test --release -p loader --test fuzz {name} \
         (the file is `{}`)",
        kept.display()
    );
    findings.failures.push(failure);
}

/// Says how far the run is, and ends the process if a case takes too long.
fn watch(name: &str, at: &[AtomicU64], done: &AtomicBool, (first, end): (u64, u64)) {
    let begun = Instant::now();
    let mut said = begun;
    let mut seen = vec![(u64::MAX, begun); at.len()];
    while !done.load(Relaxed) {
        thread::park_timeout(Duration::from_millis(500));
        for (seen, at) in seen.iter_mut().zip(at) {
            let case = at.load(Relaxed);
            if seen.0 != case {
                *seen = (case, Instant::now());
            } else if case != u64::MAX && seen.1.elapsed() > TIME_LIMIT {
                log(&format!("{name}, case {case}: it takes more than {TIME_LIMIT:?}"));
                std::process::abort();
            }
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            let case = seen.iter().map(|seen| seen.0).filter(|case| *case != u64::MAX).max();
            let cases = case.unwrap_or(end) - first;
            let rate = cases as f64 / begun.elapsed().as_secs_f64();
            eprintln!("fuzz: {name}: {cases} of {} cases, {rate:.0}/s", end - first);
        }
    }
}

/// Where failing files are kept: `target/tmp/fuzz`.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn log(line: &str) {
    eprintln!("fuzz: {line}");
    if let Some(path) = env::var_os("FUZZ_LOG") {
        let mut log = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(log, "{line}").unwrap();
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Kibibytes of a line of the process's status; 0 where there is none.
fn resident(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
