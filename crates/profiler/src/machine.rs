//! What this process runs on: cores, memory, GPUs, and how much of them it may use.
//!
//! The machine's own figures come from `sysinfo`; what a container or a batch system grants of
//! them from the affinity mask and the control groups (version 1 and 2).

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::cgroup::Limits;
use crate::gpu::Gpus;

/// A machine as one process sees it.
///
/// `available_memory_bytes` differs from one moment to the next, so two detections on one
/// machine are seldom equal as a whole: compare the fields that matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name as its maker writes it.
    pub cpu_model: String,
    /// Logical cores of the machine, whether this process may use them or not.
    pub cores: usize,
    /// See [`usable_cores`].
    pub usable_cores: f64,
    /// Physical memory of the machine in bytes.
    pub memory_bytes: u64,
    /// Bytes of memory that the control groups grant this process (with all that shares them),
    /// the smallest limit of its group and those above; `None` where there is no limit, or none
    /// below the machine's memory.
    pub memory_limit_bytes: Option<u64>,
    /// See [`available_memory`].
    pub available_memory_bytes: u64,
    /// Names of the NVIDIA GPUs in the driver's order; empty where there is none or no driver.
    pub gpus: Vec<String>,
    /// The system's name and version, and its kernel.
    pub os: String,
}

impl Machine {
    /// Looks at the machine that this process runs on.
    ///
    /// Takes some milliseconds; where there is an NVIDIA driver, as long as NVML takes to start.
    pub fn detect() -> Self {
        let cpus = system(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
        let cpus = cpus.as_ref().map(System::cpus).unwrap_or_default();
        let cpu_model = cpus
            .iter()
            .map(|cpu| cpu.brand().trim())
            .find(|brand| !brand.is_empty())
            .map_or_else(|| format!("unknown {} processor", System::cpu_arch()), String::from);
        let memory = Memory::read();
        Self {
            cpu_model,
            cores: cpus.len().max(affinity_cores()),
            usable_cores: usable_cores(),
            memory_bytes: memory.total_bytes,
            memory_limit_bytes: memory.limit_bytes,
            available_memory_bytes: memory.available_bytes,
            gpus: Gpus::open()
                .map(|gpus| gpus.names().map(String::from).collect())
                .unwrap_or_default(),
            os: operating_system(),
        }
    }
}

/// Cores that this process may keep busy, above 0 and not always whole: the smaller of its
/// affinity mask and the CPU quota of its control groups.
pub fn usable_cores() -> f64 {
    let mask = affinity_cores() as f64;
    Limits::read(Path::new("/")).cores.map_or(mask, |quota| mask.min(quota))
}

/// Bytes of memory that this process may still allocate without swapping or being killed: what
/// the kernel estimates for the machine (`MemAvailable`) or, where that is less, what is left of
/// the control groups' limit. Page cache counts as available.
pub fn available_memory() -> u64 {
    Memory::read().available_bytes
}

struct Memory {
    total_bytes: u64,
    limit_bytes: Option<u64>,
    available_bytes: u64,
}

impl Memory {
    fn read() -> Self {
        let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
        let (total_bytes, available_bytes) =
            system(kind).map_or((0, 0), |ram| (ram.total_memory(), ram.available_memory()));
        let limits = Limits::read(Path::new("/"));
        Self {
            total_bytes,
            limit_bytes: limits.memory_bytes.filter(|&limit| limit < total_bytes),
            available_bytes: available_bytes.min(limits.memory_left_bytes.unwrap_or(u64::MAX)),
        }
    }
}

fn operating_system() -> String {
    let parts = [System::long_os_version(), System::kernel_long_version()];
    let known: Vec<_> = parts.into_iter().flatten().collect();
    if known.is_empty() { std::env::consts::OS.to_owned() } else { known.join(", ") }
}

fn system(what: RefreshKind) -> Option<System> {
    System::new_with_specifics(what).ok()
}

/// Cores in the affinity mask of the process, that is of its first thread: a worker that has
/// been pinned to one core does not make the process smaller.
fn affinity_cores() -> usize {
    match rustix::thread::sched_getaffinity(Some(rustix::process::getpid())) {
        Ok(mask) => (mask.count() as usize).max(1),
        // More cores than the mask has bits.
        Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_makes_sense() {
        let machine = Machine::detect();
        assert!(!machine.cpu_model.is_empty() && !machine.os.is_empty());
        assert!(machine.cores >= 1);
        assert!(machine.usable_cores > 0.0 && machine.usable_cores <= machine.cores as f64);
        assert!(machine.memory_bytes > 64 << 20);
        assert!(machine.memory_limit_bytes.is_none_or(|limit| limit < machine.memory_bytes));
        assert!(machine.available_memory_bytes > 0);
        assert!(machine.available_memory_bytes <= machine.memory_bytes);
    }

    #[test]
    fn survives_a_file() {
        let mut machine = Machine::detect();
        for limit in [None, Some(1 << 30)] {
            machine.memory_limit_bytes = limit;
            let json = serde_json::to_string(&machine).unwrap();
            assert_eq!(serde_json::from_str::<Machine>(&json).unwrap(), machine);
        }
    }
}
