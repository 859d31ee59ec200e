//! What the kernel tells of one thread of this process, and what a thread that panicked said.

use std::any::Any;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// CPU time of a thread, and how long it was ready to run and had no core, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ThreadTimes {
    /// User and system.
    pub cpu_s: f64,
    /// `None` where the kernel does not tell.
    pub run_delay_s: Option<f64>,
}

/// The times of thread `tid` of this process, from its `schedstat`; `None` where there is no such
/// thread or file. They lag behind by a tick of the scheduler, and are 0 where it keeps no
/// statistics.
pub fn thread_times(tid: i32) -> Option<ThreadTimes> {
    times_in(Path::new(&format!("/proc/self/task/{tid}")))
}

/// Those of the thread whose folder is `dir`.
pub(crate) fn times_in(dir: &Path) -> Option<ThreadTimes> {
    let text = fs::read_to_string(dir.join("schedstat")).ok()?;
    let mut nanos = text.split_ascii_whitespace().map(|number| number.parse::<u64>().ok());
    let cpu_s = nanos.next()?? as f64 * 1e-9;
    let run_delay_s = nanos.next().flatten().map(|nanos| nanos as f64 * 1e-9);
    Some(ThreadTimes { cpu_s, run_delay_s })
}

/// Tells the calling thread how long it was ready to run and had no core. Its file stays open: a
/// reading takes a few microseconds.
#[derive(Debug, Default)]
pub(crate) struct OwnDelay {
    /// Of the thread that read last, and its number.
    file: Option<(i32, File)>,
}

impl OwnDelay {
    /// Since the thread began; exact while it runs. `None` where the kernel does not tell.
    pub(crate) fn read(&mut self) -> Option<Duration> {
        let tid = current_tid();
        if self.file.as_ref().is_none_or(|(of, _)| *of != tid) {
            self.file = Some((tid, File::open("/proc/thread-self/schedstat").ok()?));
        }
        let (_, file) = self.file.as_ref()?;
        let mut text = [0; 80];
        let length = file.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let nanos = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }
}

/// The kernel's number of the calling thread.
pub fn current_tid() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// What a panic said, for `catch_unwind` and `join`.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
