//! What the kernel says of the calling thread beyond its clocks.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::stretches::Used;

thread_local! {
    /// The thread's `schedstat`, kept open: whoever opens a file anew each time is slow.
    static SCHEDSTAT: OnceCell<Option<File>> = const { OnceCell::new() };
}

/// `None` where the kernel does not tell.
pub(super) fn used_by_this_thread() -> Option<Used> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).ok()?;
    Some(Used {
        run_delay_ns: run_delay_ns(),
        kernel_ns: usage.system_time().num_nanoseconds().try_into().ok()?,
        minor_faults: usage.minor_page_faults().try_into().ok()?,
    })
}

/// The second number of `schedstat`.
fn run_delay_ns() -> Option<u64> {
    let open = || File::open("/proc/thread-self/schedstat").ok();
    let mut text = [0; 80];
    let read =
        |file: &OnceCell<Option<File>>| file.get_or_init(open).as_ref()?.read_at(&mut text, 0).ok();
    // Where the thread-locals are gone, nothing is measured any more.
    let length = SCHEDSTAT.try_with(read).ok()??;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_memory_is_seen() {
        let before = used_by_this_thread().unwrap();
        let mut memory = vec![0u8; 64 << 20];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        std::hint::black_box(&memory);
        let used = used_by_this_thread().unwrap().since(before);
        assert!(used.minor_faults >= 32, "{used:?}");
        assert!(used.run_delay_ns.is_some());
    }
}
