//! This process's own figures, read at one moment: peak memory and CPU time.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::trackers::parse_io;

/// CPU time, user and system, of all threads of this process since it began, dead threads
/// included; the kernel counts it in nanoseconds.
pub fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time, user and system, of the calling thread since it began; the kernel counts it in
/// nanoseconds.
pub fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most bytes that were ever resident since this process began, or since [`begin_peak_rss`]; `None`
/// where the kernel does not tell (no `/proc`).
///
/// From `VmHWM`, which begins anew with each program; `getrusage`'s peak is handed down from the
/// parent and would show a large parent's memory in its small child.
pub fn peak_rss_bytes() -> Option<u64> {
    status_bytes("VmHWM:")
}

/// Has [`peak_rss_bytes`] begin anew with what is resident now; false where the kernel refuses. There is
/// one peak of a process: whoever else asks for it sees this.
///
/// ```
/// use profiler::monitor::{begin_peak_rss, peak_rss_bytes};
///
/// drop(std::hint::black_box(vec![1_u8; 64 << 20]));
/// let before = peak_rss_bytes();
/// if begin_peak_rss() {
///     assert!(peak_rss_bytes() < before);
/// }
/// ```
pub fn begin_peak_rss() -> bool {
    // See proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The bytes that are resident now; `None` where the kernel does not tell.
pub fn rss_bytes() -> Option<u64> {
    status_bytes("VmRSS:")
}

/// Bytes that were fetched from storage for this process so far; `None` where the kernel does not tell.
pub fn storage_read_bytes() -> Option<u64> {
    Some(parse_io(&fs::read_to_string("/proc/self/io").ok()?)?.storage_read_bytes)
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let figure = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = figure.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_peak_keeps_what_is_free_again() {
        const SIZE: u64 = 64 << 20;
        drop(std::hint::black_box(vec![1u8; SIZE as usize]));
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
