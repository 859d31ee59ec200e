//! Memory: of this process, of the machine, of its control groups.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::source::{EACH_TICK, Figure, MACHINE_S, SLOW_S, Tick, named, rubbish};
use crate::cgroup::MemoryLimit;
use crate::resources::MemorySample;

/// The file that [`ResidentMemory`] reads, below the root.
const STATM: &str = "proc/self/statm";

/// Resident memory of this process, again and again, from any thread.
///
/// `/proc/self/statm` is kept open and read in place: a reading is one system call, under a
/// microsecond, with nothing allocated. `sysinfo` would open and parse several files for the same
/// number, and `smaps_rollup` walks the page tables, milliseconds in a large process.
#[derive(Debug)]
pub(crate) struct ResidentMemory {
    statm: File,
    page_bytes: u64,
}

impl ResidentMemory {
    fn open(root: &Path) -> io::Result<Self> {
        let statm = File::open(root.join(STATM)).map_err(|error| named(&STATM, &error))?;
        Ok(Self { statm, page_bytes: rustix::param::page_size() as u64 })
    }

    /// Resident bytes now.
    pub(crate) fn read(&self) -> io::Result<u64> {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0).map_err(|error| named(&STATM, &error))?;
        std::str::from_utf8(&text[..length])
            .ok()
            .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
            .and_then(|pages| pages.checked_mul(self.page_bytes))
            .ok_or_else(|| rubbish(&STATM))
    }
}

#[derive(Clone, Copy, Debug)]
struct Machine {
    total_bytes: u64,
    available_bytes: u64,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) resident: Arc<ResidentMemory>,
    /// The kernel's own mark, and never under what was seen here.
    peak: Figure<u64>,
    highest_bytes: u64,
    machine: Figure<Machine>,
    group: Figure<(u64, u64)>,
}

impl Memory {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let resident = ResidentMemory::open(root)?;
        resident.read()?;
        let limit = MemoryLimit::find(root);
        Ok(Self {
            resident: Arc::new(resident),
            peak: Figure::of(root.join("proc/self/status"), SLOW_S, |text| kib(text, "VmHWM:")),
            highest_bytes: 0,
            machine: Figure::of(root.join("proc/meminfo"), MACHINE_S, |text| {
                Some(Machine {
                    total_bytes: kib(text, "MemTotal:").filter(|&total| total > 0)?,
                    available_bytes: kib(text, "MemAvailable:")?,
                })
            }),
            group: Figure::new(
                limit.map(|limit| -> Box<dyn FnMut() -> _ + Send> {
                    Box::new(move || limit.read())
                }),
                EACH_TICK,
            ),
        })
    }

    pub(super) fn read(&mut self, tick: Tick) -> io::Result<MemorySample> {
        let resident_bytes = self.resident.read()?;
        self.highest_bytes = self.highest_bytes.max(resident_bytes);
        let machine = self.machine.held(tick);
        // A limit above the machine's memory limits nothing.
        let group = self.group.held(tick);
        let group = group.filter(|(limit, _)| machine.is_none_or(|m| *limit < m.total_bytes));
        Ok(MemorySample {
            resident_bytes,
            peak_resident_bytes: self.peak.held(tick).map(|peak| peak.max(self.highest_bytes)),
            system_used_percent: machine.map(|machine| {
                let free = machine.available_bytes as f64 / machine.total_bytes as f64;
                100.0 * (1.0 - free.min(1.0))
            }),
            system_available_bytes: machine.map(|machine| machine.available_bytes),
            system_total_bytes: machine.map(|machine| machine.total_bytes),
            limit_bytes: group.map(|(limit, _)| limit),
            limit_used_bytes: group.map(|(_, used)| used),
        })
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = &str> {
        [self.peak.lost(), self.machine.lost(), self.group.lost()].into_iter().flatten()
    }
}

/// The bytes on the line of `text` that begins with `key`.
fn kib(text: &str, key: &str) -> Option<u64> {
    let figure = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = figure.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
