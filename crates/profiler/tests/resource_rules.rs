//! Recorded ticks in virtual time: each rule names exactly what is short, and calm names nothing.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::ProfilerConfig;
use profiler::gpu::GpuReading;
use profiler::resources::{CpuSample, IoSample, MemorySample, ResourceSample};
use profiler::rules::ResourceRules;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const TICK_S: f64 = 0.1;
const CORES: f64 = 4.0;

/// A program that is well: counters grow by what a second of `Rates` brings.
#[derive(Clone)]
struct Program {
    sample: ResourceSample,
    /// Cores kept busy, and of that in the kernel.
    cores: f64,
    kernel: f64,
    /// Threads that wait for a core, and for storage.
    waiting: f64,
    blocked: f64,
    /// Share of time that something of the machine is stalled.
    pressure: f64,
    faults_per_s: f64,
    storage_bytes_per_s: f64,
    faults: f64,
}

fn calm() -> Program {
    let sample = ResourceSample {
        at_s: 0.0,
        memory: Some(MemorySample {
            resident_bytes: 2 * GIB,
            peak_resident_bytes: Some(2 * GIB),
            system_used_percent: Some(30.0),
            system_available_bytes: Some(11 * GIB),
            system_total_bytes: Some(16 * GIB),
            limit_bytes: Some(4 * GIB),
            limit_used_bytes: Some(2 * GIB),
        }),
        cpu: Some(CpuSample {
            process_cpu_s: 100.0,
            kernel_cpu_s: Some(10.0),
            process_percent: Some(60.0),
            system_percent: Some(65.0),
            run_delay_s: Some(3.0),
            minor_faults: Some(1000),
            threads: Some(6),
            mhz: Some(2700.0),
        }),
        gpus: Some(vec![GpuReading {
            index: 0,
            name: "Fake One".into(),
            memory_used_bytes: Some(20 * GIB),
            memory_total_bytes: Some(40 * GIB),
            utilization_percent: Some(80),
            process_bytes: Some(19 * GIB),
            pcie_rx_bytes_per_s: Some(2_000_000_000),
            pcie_tx_bytes_per_s: Some(100_000_000),
            pcie_limit_bytes_per_s: Some(15_753_600_000),
        }]),
        io: Some(IoSample {
            read_calls: 1000,
            read_call_bytes: 100 * MIB,
            blocked_s: Some(1.0),
            pressure_s: Some(5.0),
            ..IoSample::default()
        }),
        metrics: Default::default(),
    };
    Program {
        sample,
        cores: 2.4,
        kernel: 0.2,
        waiting: 0.1,
        blocked: 0.05,
        pressure: 0.05,
        faults_per_s: 2000.0,
        storage_bytes_per_s: 5e6,
        faults: 1000.0,
    }
}

impl Program {
    /// Runs for `dt_s`.
    fn run(&mut self, dt_s: f64) -> &ResourceSample {
        self.sample.at_s += dt_s;
        self.faults += self.faults_per_s * dt_s;
        if let Some(cpu) = &mut self.sample.cpu {
            cpu.process_cpu_s += self.cores * dt_s;
            cpu.kernel_cpu_s = cpu.kernel_cpu_s.map(|s| s + self.kernel * dt_s);
            cpu.run_delay_s = cpu.run_delay_s.map(|s| s + self.waiting * dt_s);
            cpu.minor_faults = cpu.minor_faults.map(|_| self.faults as u64);
        }
        if let Some(io) = &mut self.sample.io {
            io.storage_read_bytes += (self.storage_bytes_per_s * dt_s) as u64;
            io.read_call_bytes += (self.storage_bytes_per_s * dt_s) as u64;
            io.read_calls += 10;
            io.blocked_s = io.blocked_s.map(|s| s + self.blocked * dt_s);
            io.pressure_s = io.pressure_s.map(|s| s + self.pressure * dt_s);
        }
        &self.sample
    }

    fn memory(&mut self) -> &mut MemorySample {
        self.sample.memory.as_mut().unwrap()
    }

    fn gpu(&mut self) -> &mut GpuReading {
        &mut self.sample.gpus.as_mut().unwrap()[0]
    }
}

fn rules() -> ResourceRules {
    ResourceRules::new(&ProfilerConfig::default(), CORES)
}

fn ticks(rules: &mut ResourceRules, program: &mut Program, seconds: f64) {
    for _ in 0..(seconds / TICK_S).round() as usize {
        rules.tick(program.run(TICK_S));
    }
}

/// What is found in 40 s of `program`.
fn found(mut program: Program) -> Vec<Bottleneck> {
    let mut rules = rules();
    ticks(&mut rules, &mut program, 40.0);
    rules.finish()
}

/// What is found where calm has been changed: one thing only.
fn only(change: impl FnOnce(&mut Program)) -> Bottleneck {
    let mut program = calm();
    change(&mut program);
    let found = found(program);
    let names: Vec<_> = found.iter().map(|found| &found.name).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let found = found.into_iter().next().unwrap();
    assert_eq!(found.frequency, 1);
    assert!(found.total_time_s > 35.0 && found.total_time_s <= 40.0, "{found:?}");
    assert!(found.severity > 0.4 && found.severity <= 1.0, "{found:?}");
    assert_eq!(found.optimization_potential, None);
    let has_digit = |text: &String| text.contains(|c: char| c.is_ascii_digit());
    assert!(has_digit(&found.cause) && found.suggestions.iter().any(has_digit), "{found:?}");
    found
}

#[test]
fn a_calm_program_has_no_bottleneck() {
    assert_eq!(found(calm()), []);
    assert_eq!(rules().finish(), []);
}

#[test]
fn memory_near_the_control_groups_limit() {
    let found = only(|program| {
        program.memory().resident_bytes = 7 * GIB / 2;
        program.memory().limit_used_bytes = Some(36 * GIB / 10);
    });
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("high_memory_usage", &BottleneckType::MemoryAllocation)
    );
    // Half way from the mark at 80% to the limit, all the time.
    assert!((found.severity - 0.75).abs() < 1e-6, "{}", found.severity);
    let advice = found.suggestions.join("\n");
    for words in ["batch size", "gradient checkpointing", "mixed precision", "410 MB", "12%"] {
        assert!(advice.contains(words), "{words} in {advice}");
    }
}

#[test]
fn memory_of_the_machine_where_no_limit_is_set() {
    let found = only(|program| {
        *program.memory() = MemorySample {
            resident_bytes: 3 * GIB,
            system_used_percent: Some(95.0),
            system_available_bytes: Some(GIB * 8 / 10),
            system_total_bytes: Some(16 * GIB),
            ..MemorySample::default()
        };
    });
    assert_eq!(found.name, "high_memory_usage");
    assert!(found.suggestions[0].contains("other programs"), "{:?}", found.suggestions);
}

#[test]
fn memory_of_a_gpu() {
    let found = only(|program| program.gpu().memory_used_bytes = Some(38 * GIB));
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("high_gpu_memory_usage", &BottleneckType::GpuTransfer)
    );
    assert!(found.suggestions.join("\n").contains("gradient checkpointing"));
    assert!(found.cause.contains("GPU 0 (Fake One)"), "{}", found.cause);
}

#[test]
fn the_link_to_a_gpu() {
    let found = only(|program| program.gpu().pcie_rx_bytes_per_s = Some(12_600_000_000));
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("pcie_saturation", &BottleneckType::GpuTransfer)
    );
    assert!(
        found.cause.contains("80%") && found.cause.contains("to the device"),
        "{}",
        found.cause
    );
    let found = only(|program| program.gpu().pcie_tx_bytes_per_s = Some(12_600_000_000));
    assert!(found.cause.contains("from the device"), "{}", found.cause);
}

#[test]
fn cores_that_are_all_busy() {
    let found = only(|program| program.cores = 3.9);
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("cpu_saturation", &BottleneckType::CpuComputation)
    );
    assert!(found.cause.contains("3.9 of its 4.0 cores"), "{}", found.cause);
}

#[test]
fn more_threads_than_cores() {
    let found = only(|program| (program.cores, program.waiting) = (3.5, 7.0));
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("run_queue_delay", &BottleneckType::Synchronization)
    );
    assert!(
        found.suggestions[0].contains("4 busy would do, and 11 want"),
        "{:?}",
        found.suggestions
    );
    let crowded = only(|program| (program.cores, program.waiting) = (1.0, 3.0));
    assert!(crowded.suggestions[0].contains("other programs hold 3.0 of the 4.0"), "{crowded:?}");
}

#[test]
fn threads_that_are_read_at_every_fifteenth_tick_only() {
    let (mut rules, mut program) = (rules(), calm());
    program.waiting = 3.0;
    for tick in 0..400 {
        let mut sample = program.run(TICK_S).clone();
        if tick % 15 != 0 {
            sample.cpu.as_mut().unwrap().run_delay_s = None;
            sample.io.as_mut().unwrap().blocked_s = None;
        }
        rules.tick(&sample);
    }
    let found = rules.finish();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].frequency), ("run_queue_delay", 1));
    assert!(found[0].total_time_s > 35.0);
}

#[test]
fn waiting_for_storage_by_the_kernels_account() {
    let found = only(|program| program.blocked = 1.5);
    assert_eq!((found.name.as_str(), &found.kind), ("io_wait", &BottleneckType::IoOperation));
    assert!(found.cause.starts_with("1.5 threads were blocked"), "{}", found.cause);
    // The account is of this process: what stalls others does not count.
    let mut others = calm();
    others.pressure = 0.9;
    assert_eq!(self::found(others), []);
}

#[test]
fn waiting_for_storage_by_pressure() {
    let unaccounted = |program: &mut Program, storage| {
        program.sample.io.as_mut().unwrap().blocked_s = None;
        (program.pressure, program.storage_bytes_per_s) = (0.7, storage);
    };
    let found = only(|program| unaccounted(program, 50e6));
    assert_eq!(found.name, "io_wait");
    assert!(found.cause.contains("70% of the time"), "{}", found.cause);
    // Without traffic of this process it is the others' trouble.
    let mut idle = calm();
    unaccounted(&mut idle, 0.0);
    assert_eq!(self::found(idle), []);
}

#[test]
fn fresh_memory_all_the_time() {
    let found = only(|program| (program.kernel, program.faults_per_s) = (1.2, 2_000_000.0));
    assert_eq!(
        (found.name.as_str(), &found.kind),
        ("allocation_churn", &BottleneckType::MemoryAllocation)
    );
    // The kernel's time bounds what the faults can have cost.
    let mut cheap = calm();
    (cheap.kernel, cheap.faults_per_s) = (0.1, 2_000_000.0);
    assert_eq!(self::found(cheap), []);
}

/// Where other programs use the caches, a fault takes some microseconds and there are fewer.
#[test]
fn memory_taken_again_and_again_on_a_busy_machine() {
    let found = only(|program| (program.kernel, program.faults_per_s) = (0.6, 150_000.0));
    assert_eq!(found.name, "allocation_churn");
    // A kernel that is busy with something else.
    let mut other = calm();
    (other.kernel, other.faults_per_s) = (0.6, 50_000.0);
    assert_eq!(self::found(other), []);
}

/// Resident memory over 300 s, by its size in MB after so many seconds.
fn grown(megabytes: impl Fn(f64) -> f64) -> Vec<Bottleneck> {
    let (mut rules, mut program) = (rules(), calm());
    for _ in 0..3000 {
        program.run(TICK_S);
        let bytes = (megabytes(program.sample.at_s) * MIB as f64) as u64;
        program.memory().resident_bytes = bytes;
        program.memory().limit_used_bytes = Some(bytes);
        rules.tick(&program.sample);
    }
    rules.finish()
}

#[test]
fn memory_that_leaks() {
    // Batches come and go on top of it.
    let found = grown(|s| 500.0 + 4.0 * s + 100.0 * (s * 7.0).sin());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].name.as_str(), found[0].frequency), ("memory_growth", 1));
    assert_eq!(found[0].kind, BottleneckType::MemoryAllocation);
    assert!(found[0].total_time_s > 200.0, "{found:?}");
    // 4 MB a second, but for the blocks' noise.
    assert!(found[0].cause.contains("MB a minute"), "{}", found[0].cause);
}

#[test]
fn memory_that_does_not_leak() {
    let level = |s: f64| 1500.0 + 200.0 * (s * 3.1).sin();
    let filling = |s: f64| 500.0 + 1000.0 * (1.0 - (-s / 5.0).exp());
    let epochs = |s: f64| 500.0 + 10.0 * (s % 60.0);
    let shrinking = |s: f64| 2500.0 - 5.0 * s;
    for (name, megabytes) in [
        ("level", &level as &dyn Fn(f64) -> f64),
        ("filling", &filling),
        ("epochs", &epochs),
        ("shrinking", &shrinking),
    ] {
        assert_eq!(grown(megabytes), [], "{name}");
    }
}

#[test]
fn noise_round_the_threshold_is_one_episode() {
    let (mut rules, mut program) = (rules(), calm());
    for tick in 0..600 {
        program.run(TICK_S);
        // 79 to 81% of the limit, and now and then a dip for a second.
        let share = if tick % 100 > 90 { 0.5 } else { 0.8 + 0.01 * f64::from(tick % 3 - 1) };
        program.memory().limit_used_bytes = Some((share * (4 * GIB) as f64) as u64);
        rules.tick(&program.sample);
    }
    let found = rules.finish();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].frequency, 1, "{found:?}");
}

#[test]
fn what_ends_and_comes_again_is_counted() {
    let (mut rules, mut program) = (rules(), calm());
    for _ in 0..3 {
        program.memory().limit_used_bytes = Some(39 * GIB / 10);
        ticks(&mut rules, &mut program, 5.0);
        let active = rules.active();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].name, "high_memory_usage");
        assert!(program.sample.at_s - active[0].since_s > 4.8);
        program.memory().limit_used_bytes = Some(GIB);
        ticks(&mut rules, &mut program, 5.0);
        assert_eq!(rules.active(), []);
    }
    assert_eq!(rules.found()[0].frequency, 3);
    let found = rules.finish();
    assert_eq!(found[0].frequency, 3);
    assert!((found[0].total_time_s - 15.0).abs() < 0.3, "{found:?}");
}

#[test]
fn a_condition_that_hardly_ever_held_is_left_out_unless_it_is_memory() {
    let (mut rules, mut program) = (rules(), calm());
    ticks(&mut rules, &mut program, 100.0);
    program.cores = 4.0;
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 3.0);
    let names: Vec<_> = rules.finish().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["high_memory_usage"]);
}

#[test]
fn time_without_samples_is_neither_observed_nor_a_spike() {
    let (mut rules, mut program) = (rules(), calm());
    ticks(&mut rules, &mut program, 10.0);
    // Stopped for ten minutes, in which the counters of the rest of the machine ran on.
    program.pressure = 1.0;
    program.sample.io.as_mut().unwrap().blocked_s = None;
    program.waiting = 50.0;
    rules.tick(program.run(600.0));
    (program.pressure, program.waiting) = (0.05, 0.1);
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 10.0);
    let found = rules.finish();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].total_time_s < 11.0 && found[0].severity > 0.4, "{found:?}");
}

#[test]
fn trackers_that_are_missing_find_nothing_and_hide_nothing() {
    let strip: [fn(&mut ResourceSample); 5] = [
        |sample| sample.memory = None,
        |sample| sample.cpu = None,
        |sample| sample.gpus = None,
        |sample| sample.io = None,
        |sample| *sample = ResourceSample { at_s: sample.at_s, ..Default::default() },
    ];
    for strip in strip {
        let mut program = calm();
        strip(&mut program.sample);
        assert_eq!(found(program), []);
    }
    // One that goes in the midst of an episode.
    let (mut rules, mut program) = (rules(), calm());
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 10.0);
    program.sample.memory = None;
    ticks(&mut rules, &mut program, 10.0);
    let found = rules.finish();
    assert!((found[0].total_time_s - 10.0).abs() < 0.2, "{found:?}");
}

#[test]
fn a_long_session_takes_no_more_room() {
    let (mut rules, mut program) = (rules(), calm());
    let mut sizes = Vec::new();
    for tick in 0..1_000_000 {
        program.cores = if tick % 200 < 100 { 4.0 } else { 1.0 };
        rules.tick(program.run(TICK_S));
        if tick == 10_000 || tick == 999_999 {
            sizes.push(format!("{rules:?}").len());
        }
    }
    assert!(sizes[1] < sizes[0] + 1000, "{sizes:?}");
    assert_eq!(rules.found()[0].frequency, 5000);
}

proptest! {
    #[test]
    fn whatever_the_samples_figures_are_sane(
        ticks in prop::collection::vec(
            (-1.0..20.0f64, any::<u64>(), any::<u64>(), any::<f64>(), any::<bool>()),
            0..60,
        ),
    ) {
        let (mut rules, mut program) = (rules(), calm());
        for (dt_s, used, limit, seconds, gone) in ticks {
            program.run(dt_s);
            program.memory().limit_used_bytes = Some(used);
            program.memory().limit_bytes = Some(limit);
            program.memory().resident_bytes = used;
            program.sample.cpu.as_mut().unwrap().process_cpu_s = seconds;
            program.gpu().pcie_rx_bytes_per_s = (!gone).then_some(used);
            rules.tick(&program.sample);
        }
        for found in rules.finish() {
            prop_assert!((0.0..=1.0).contains(&found.severity), "{found:?}");
            prop_assert!(found.total_time_s >= 0.0 && found.total_time_s.is_finite());
            prop_assert!(found.frequency > 0);
            prop_assert!(!found.cause.contains("NaN"), "{}", found.cause);
        }
    }
}
