//! A program that is well, of which a test changes one thing, and what is found in it.

use profiler::bottleneck::Bottleneck;
use profiler::config::ProfilerConfig;
use profiler::gpu::GpuReading;
use profiler::resources::{CpuSample, IoSample, MemorySample, ResourceSample};
use profiler::rules::ResourceRules;

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const TICK_S: f64 = 0.1;
const CORES: f64 = 4.0;

/// A program that is well: counters grow by what a second of `Rates` brings.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) sample: ResourceSample,
    /// Cores kept busy, and of that in the kernel.
    pub(crate) cores: f64,
    pub(crate) kernel: f64,
    /// Threads that wait for a core, and for storage.
    pub(crate) waiting: f64,
    pub(crate) blocked: f64,
    /// Share of time that something of the machine is stalled.
    pub(crate) pressure: f64,
    pub(crate) faults_per_s: f64,
    pub(crate) storage_bytes_per_s: f64,
    pub(crate) faults: f64,
}

pub(crate) fn calm() -> Program {
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
    pub(crate) fn run(&mut self, dt_s: f64) -> &ResourceSample {
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

    pub(crate) fn memory(&mut self) -> &mut MemorySample {
        self.sample.memory.as_mut().unwrap()
    }

    pub(crate) fn gpu(&mut self) -> &mut GpuReading {
        &mut self.sample.gpus.as_mut().unwrap()[0]
    }
}

pub(crate) fn rules() -> ResourceRules {
    ResourceRules::new(&ProfilerConfig::default(), CORES)
}

pub(crate) fn ticks(rules: &mut ResourceRules, program: &mut Program, seconds: f64) {
    for _ in 0..(seconds / TICK_S).round() as usize {
        rules.tick(program.run(TICK_S));
    }
}

/// What is found in 40 s of `program`.
pub(crate) fn found(mut program: Program) -> Vec<Bottleneck> {
    let mut rules = rules();
    ticks(&mut rules, &mut program, 40.0);
    rules.finish()
}

/// What is found where calm has been changed: one thing only.
pub(crate) fn only(change: impl FnOnce(&mut Program)) -> Bottleneck {
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
