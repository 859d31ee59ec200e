//! This process's own figures, read at one moment: memory and CPU time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The file that [`ResidentMemory`] reads.
pub(crate) const STATM: &str = "/proc/self/statm";

/// CPU time, user and system, of all threads of this process since it began, dead threads
/// included; the kernel counts it in nanoseconds.
pub fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most bytes that were ever resident since this process began; `None` where the kernel does
/// not tell (no `/proc`).
///
/// From `VmHWM`, which begins anew with each program; `getrusage`'s peak is handed down from the
/// parent and would show a large parent's memory in its small child.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Resident memory of this process, again and again.
///
/// `/proc/self/statm` is kept open and read in place: a reading is one system call, under a
/// microsecond, with nothing allocated. `sysinfo` would open and parse several files for the same
/// number, and `smaps_rollup` walks the page tables, milliseconds in a large process.
#[derive(Debug)]
pub(crate) struct ResidentMemory {
    statm: File,
    page_bytes: u64,
    last_bytes: AtomicU64,
}

impl ResidentMemory {
    /// Opens the file and reads it once.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, read or understood.
    pub(crate) fn open() -> io::Result<Self> {
        let statm = File::open(STATM)?;
        let memory = Self {
            statm,
            page_bytes: rustix::param::page_size() as u64,
            last_bytes: AtomicU64::new(0),
        };
        memory.last_bytes.store(memory.read()?, Relaxed);
        Ok(memory)
    }

    /// Resident bytes now. A reading that fails repeats the one before.
    pub(crate) fn bytes(&self) -> u64 {
        match self.read() {
            Ok(bytes) => {
                self.last_bytes.store(bytes, Relaxed);
                bytes
            }
            Err(_) => self.last_bytes.load(Relaxed),
        }
    }

    fn read(&self) -> io::Result<u64> {
        let mut text = [0; 128];
        let length = self.statm.read_at(&mut text, 0)?;
        std::str::from_utf8(&text[..length])
            .ok()
            .and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok())
            .map(|pages| pages * self.page_bytes)
            .ok_or_else(|| io::Error::other("no resident size where one should be"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn memory_in_use_is_resident_and_the_peak_keeps_it() {
        const SIZE: u64 = 64 << 20;
        let memory = ResidentMemory::open().unwrap();
        let block = std::hint::black_box(vec![1u8; SIZE as usize]);
        assert!(memory.bytes() >= SIZE * 3 / 4);
        drop(block);
        assert!(peak_rss_bytes().unwrap() >= SIZE * 3 / 4);
    }

    #[test]
    fn cpu_time_is_of_work_and_of_every_thread() {
        let before = process_cpu();
        let spin = || {
            let (start, mut x) = (process_cpu(), 0u64);
            while process_cpu() - start < Duration::from_millis(20) {
                x = std::hint::black_box(x + 1);
            }
        };
        let start = Instant::now();
        std::thread::spawn(spin).join().unwrap();
        let spent = process_cpu() - before;
        assert!(spent >= Duration::from_millis(20), "{spent:?} in {:?}", start.elapsed());
    }
}
