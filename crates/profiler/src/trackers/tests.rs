//! Trackers on fed trees of files, some of which vanish, are cut short or hold rubbish.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::resources::{CpuSample, IoSample, MemorySample};

const MIB: u64 = 1 << 20;

const STATUS: &str = "Name:\tpython\nVmPeak:\t  999999 kB\nVmHWM:\t  204800 kB\nThreads:\t3\n";
const MEMINFO: &str = "MemTotal:        8388608 kB\nMemFree:          100000 kB\n\
                       MemAvailable:    6291456 kB\nCached:          5849460 kB\n";
/// A process whose name tries to look like the fields after it.
const STAT: &str = "42 (a) R 1 (b) S 1 2 3 0 -1 4194304 98765 0 5 0 200 50 0 0 20 0 3 0 2362180 \
                    3133440 360 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 7 0 0\n";
const CORES: &str = "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1 2 3\n";
const CPUINFO: &str =
    "processor\t: 0\ncpu MHz\t\t: 2000.000\n\nprocessor\t: 1\ncpu MHz\t\t: 3000.0\n";
const IO: &str = "rchar: 1000\nwchar: 200\nsyscr: 10\nsyscw: 2\nread_bytes: 4096\n\
                  write_bytes: 8192\ncancelled_write_bytes: 0\n";
const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.10 total=127046133\n\
                        full avg10=0.00 avg60=0.00 avg300=0.08 total=41326800\n";

/// A machine as its files show it.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let files = [
            ("proc/self/statm", "1000 512 376 5 0 123 0\n"),
            ("proc/self/status", STATUS),
            ("proc/self/stat", STAT),
            ("proc/self/io", IO),
            ("proc/meminfo", MEMINFO),
            ("proc/stat", CORES),
            ("proc/cpuinfo", CPUINFO),
            ("proc/pressure/io", PRESSURE),
            ("proc/sys/kernel/task_delayacct", "1\n"),
            ("proc/self/cgroup", "0::/job\n"),
            (
                "proc/self/mountinfo",
                "24 22 0:31 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/job/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/job/memory.current", "536870912\n"),
            ("sys/fs/cgroup/job/memory.stat", "anon 1\nactive_file 104857600\n"),
        ];
        files.iter().for_each(|(path, text)| machine.write(path, text));
        machine.thread(42, "main", 7, 1.5, 0.25, 10);
        machine.thread(43, "worker", 9, 3.0, 0.5, 0);
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.0.path().join(path)).unwrap();
    }

    fn thread(&self, tid: i32, name: &str, started: u64, cpu: f64, delay: f64, blocked: u64) {
        let fields = format!("R 1 42 42 0 -1 64 0 0 0 0 1 1 0 0 20 0 3 0 {started}");
        let rest = (23..42).map(|_| " 0").collect::<String>();
        let stat = format!("{tid} ({name}) {fields}{rest} {blocked} 0 0\n");
        self.write(&format!("proc/self/task/{tid}/stat"), &stat);
        let schedstat = format!("{} {} 9\n", (cpu * 1e9) as u64, (delay * 1e9) as u64);
        self.write(&format!("proc/self/task/{tid}/schedstat"), &schedstat);
    }

    fn ends(&self, tid: i32) {
        fs::remove_dir_all(self.0.path().join(format!("proc/self/task/{tid}"))).unwrap();
    }

    fn trackers(&self) -> Trackers {
        let config = ProfilerConfig { enable_gpu_tracking: false, ..ProfilerConfig::default() };
        Trackers::open_below(self.0.path(), &config, Vec::new())
    }
}

fn why(trackers: &Trackers, name: &str) -> Option<String> {
    trackers.statuses().into_iter().find(|status| status.name == name).unwrap().unavailable
}

#[test]
fn every_figure_is_read() {
    let machine = Machine::new();
    let mut trackers = machine.trackers();
    let first = trackers.tick_all(0.0);
    // 300 ticks more, half of them idle or waiting for I/O.
    machine.write("proc/stat", "cpu  200 0 150 800 150 0 0 0 0 0\n");
    let sample = trackers.tick_all(100.0);

    assert_eq!(
        sample.memory.unwrap(),
        MemorySample {
            resident_bytes: 512 * rustix::param::page_size() as u64,
            peak_resident_bytes: Some(200 * MIB),
            system_used_percent: Some(25.0),
            system_available_bytes: Some(6144 * MIB),
            system_total_bytes: Some(8192 * MIB),
            limit_bytes: Some(1024 * MIB),
            limit_used_bytes: Some(412 * MIB),
        }
    );
    let cpu = sample.cpu.unwrap();
    let tick_s = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    assert_eq!(cpu.kernel_cpu_s, Some(50.0 * tick_s));
    assert_eq!((cpu.minor_faults, cpu.threads), (Some(98765), Some(3)));
    assert_eq!((cpu.system_percent, cpu.mhz), (Some(50.0), Some(2500.0)));
    assert_eq!(cpu.run_delay_s, Some(0.75));
    assert!(cpu.process_percent.is_some());
    let first = first.cpu.unwrap();
    assert_eq!((first.process_percent, first.system_percent), (None, None));
    assert_eq!(
        sample.io.unwrap(),
        IoSample {
            read_call_bytes: 1000,
            write_call_bytes: 200,
            read_calls: 10,
            write_calls: 2,
            storage_read_bytes: 4096,
            storage_write_bytes: 8192,
            blocked_s: Some(10.0 * tick_s),
            pressure_s: Some(127.046133),
        }
    );
    for name in ["memory", "cpu", "io"] {
        assert_eq!(why(&trackers, name), None);
    }
    assert_eq!(trackers.notes(), Vec::<String>::new());
}

#[test]
fn an_empty_tree_makes_trackers_unavailable_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let mut trackers = Trackers::open_below(root.path(), &ProfilerConfig::default(), Vec::new());
    let sample = trackers.tick_all(0.0);
    assert_eq!((sample.memory, sample.io), (None, None));
    let memory = why(&trackers, "memory").unwrap();
    assert!(memory.starts_with("`proc/self/statm` cannot be read: "), "{memory}");
    assert!(why(&trackers, "io").unwrap().contains("/proc/self/io` cannot be read: "));
    // The clock of the process needs no file.
    let cpu = sample.cpu.unwrap();
    assert!(cpu.process_cpu_s > 0.0);
    let absent = CpuSample { process_cpu_s: cpu.process_cpu_s, ..CpuSample::default() };
    assert_eq!(cpu, absent);
}

#[test]
fn files_of_an_old_or_strange_kernel_leave_their_figures_absent() {
    let machine = Machine::new();
    for path in [
        "proc/pressure/io",
        "proc/self/status",
        "proc/cpuinfo",
        "proc/sys/kernel/task_delayacct",
        "proc/self/task/42/schedstat",
        "proc/self/task/43/schedstat",
        "sys/fs/cgroup/job/memory.max",
    ] {
        machine.remove(path);
    }
    machine.write("proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1 kB\n");
    let mut trackers = machine.trackers();
    trackers.tick_all(0.0);
    let sample = trackers.tick_all(10.0);
    let memory = sample.memory.unwrap();
    let resident_bytes = memory.resident_bytes;
    assert_eq!(memory, MemorySample { resident_bytes, ..MemorySample::default() });
    let (cpu, io) = (sample.cpu.unwrap(), sample.io.unwrap());
    assert_eq!((cpu.mhz, cpu.run_delay_s), (None, None));
    assert_eq!((io.blocked_s, io.pressure_s), (None, None));
    // Without `schedstat` a thread's CPU time is in ticks.
    assert!(trackers.threads().iter().all(|thread| thread.run_delay_s.is_none()));
    assert_eq!(trackers.threads().len(), 2);
}

#[test]
fn files_that_vanish_are_cut_short_or_hold_rubbish_are_told_with_the_time() {
    for rubbish in ["", "\n", "1000", "lots and lots", "\u{0}\u{0}", "1 99999999999999999999999\n"]
    {
        let machine = Machine::new();
        let mut trackers = machine.trackers();
        assert!(trackers.tick_all(0.0).memory.is_some());
        for file in ["self/statm", "self/io", "self/stat", "stat", "meminfo", "pressure/io"] {
            machine.write(&format!("proc/{file}"), rubbish);
        }
        machine.remove("sys/fs/cgroup/job/memory.max");
        let sample = trackers.tick_all(12.0);
        assert_eq!((sample.memory, sample.io), (None, None), "{rubbish:?}");
        let cpu = sample.cpu.unwrap();
        assert_eq!((cpu.minor_faults, cpu.system_percent), (None, None));
        assert_eq!(cpu.run_delay_s, Some(0.75), "the others go on");
        assert_eq!(trackers.tick_all(13.0).memory, None);
        for tracker in ["memory", "io"] {
            let why = why(&trackers, tracker).unwrap();
            assert!(why.starts_with("since 12.0 s: `"), "{why}");
        }
        let notes = trackers.notes();
        assert!(
            notes.iter().any(|note| {
                note.starts_with("tracker `cpu`: figures are missing since 12.0 s: `")
                    && note.contains("/proc/stat` does not hold the figures it should")
            }),
            "{notes:?}"
        );

        // They come back: so do the figures, and a note tells of the time between.
        machine.write("proc/self/statm", "1000 512 376 5 0 123 0\n");
        machine.write("proc/meminfo", MEMINFO);
        let memory = trackers.tick_all(20.0).memory.unwrap();
        assert_eq!(memory.system_total_bytes, Some(8192 * MIB));
        assert_eq!(memory.limit_bytes, None);
        assert_eq!(why(&trackers, "memory"), None);
        let notes = trackers.notes();
        assert!(notes[0].contains("`memory` had no figures since 12.0 s"), "{notes:?}");
        assert!(notes[0].ends_with("(until 20.0 s)"), "{notes:?}");
    }
}

#[test]
fn threads_that_end_are_kept_and_numbers_that_are_used_again_are_told_apart() {
    let machine = Machine::new();
    let mut trackers = machine.trackers();
    trackers.tick_all(0.0);
    // One goes on, one ends, one begins.
    machine.thread(42, "main", 7, 2.0, 0.25, 30);
    machine.thread(44, "late", 50, 0.5, 0.125, 0);
    machine.ends(43);
    let sample = trackers.tick_all(10.0);
    assert_eq!(sample.cpu.unwrap().run_delay_s, Some(0.25 + 0.5 + 0.125));
    // A number is used again.
    machine.thread(44, "other) x", 99, 0.25, 0.0, 0);
    let sample = trackers.tick_all(20.0);
    assert_eq!(sample.cpu.unwrap().run_delay_s, Some(0.25 + 0.5 + 0.125), "it never steps back");

    let usage = trackers.threads();
    let used: Vec<_> =
        usage.iter().map(|thread| (thread.tid, thread.name.as_str(), thread.cpu_s)).collect();
    // In the session only: what was used before it is left out.
    assert_eq!(
        used,
        [(42, "main", 0.5), (44, "late", 0.5), (44, "other) x", 0.25), (43, "worker", 0.0),]
    );
    assert_eq!(usage[0].run_delay_s, Some(0.0));

    // A thread that is in the midst of ending has no files any more.
    machine.remove("proc/self/task/44/stat");
    trackers.tick_all(30.0);
    assert_eq!(trackers.threads().len(), 4);
    // All of them unreadable: absent, with a note.
    fs::remove_dir_all(machine.0.path().join("proc/self/task")).unwrap();
    assert_eq!(trackers.tick_all(40.0).cpu.unwrap().run_delay_s, None);
    assert!(trackers.notes()[0].starts_with("tracker `threads`: figures are missing since 40.0 s"));
}

#[test]
fn threads_without_end_are_summed_up() {
    let machine = Machine::new();
    let mut trackers = machine.trackers();
    trackers.tick_all(0.0);
    let mut delay = None;
    for tid in 100..500 {
        machine.thread(tid, "short", 1, 1.0, 0.5, 0);
        delay = trackers.tick_all(f64::from(tid)).cpu.unwrap().run_delay_s;
        machine.ends(tid);
    }
    assert_eq!(delay, Some(0.75 + 400.0 * 0.5));
    trackers.tick_all(1000.0);
    let usage = trackers.threads();
    assert!(usage.len() < 300);
    let sum: f64 = usage.iter().map(|thread| thread.cpu_s).sum();
    assert_eq!(sum, 400.0);
    assert_eq!(usage[0].name, "(ended)");
}

#[test]
fn what_is_off_says_so() {
    let machine = Machine::new();
    let config = ProfilerConfig {
        profiling_level: ProfilingLevel::Basic,
        enable_gpu_tracking: false,
        ..ProfilerConfig::default()
    };
    let mut trackers = Trackers::open_below(machine.0.path(), &config, Vec::new());
    let sample = trackers.tick_all(0.0);
    assert!(sample.memory.is_some() && sample.cpu.is_none() && sample.io.is_none());
    assert_eq!(why(&trackers, "cpu").unwrap(), "off at level `basic`");
    assert_eq!(why(&trackers, "gpu").unwrap(), "off: `enable_gpu_tracking = false`");
    assert_eq!(trackers.threads(), []);
}
