//! Each condition from the counters that show it: exactly that one is found.

use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::resources::MemorySample;

use crate::program::{GIB, MIB, Program, TICK_S, calm, found, only, rules};

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
