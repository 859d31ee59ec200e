//! Waiting for storage.

use super::episodes::{Band, Seen};
use super::{Rates, Rule, Worst, size};
use crate::bottleneck::BottleneckType;
use crate::resources::ResourceSample;

/// Threads are blocked on storage. Where the kernel does not account for that, tasks of the
/// control group or the machine are stalled on I/O while this process reads or writes storage.
#[derive(Debug, Default)]
pub(super) struct IoWait {
    blocked: Rates<5>,
    pressure: Rates<5>,
    /// Whether the kernel tells of this process's own threads.
    accounted: bool,
    worst: Worst<Traffic>,
}

/// By the second.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    /// By the kernel's account of this process.
    accounted: bool,
    read: f64,
    written: f64,
    call_bytes: f64,
    calls: f64,
    available_bytes: Option<u64>,
}

impl IoWait {
    const SHARE: f64 = 0.2;
    /// Bytes a second from and to storage under which a stall is not put down to this process:
    /// 16 pages, a slow disk's worth of random reads.
    const LEAST_TRAFFIC: f64 = 65536.0;
}

impl Rule for IoWait {
    fn name(&self) -> &'static str {
        "io_wait"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::IoOperation
    }

    fn band(&self) -> Band {
        Band::new(Self::SHARE, 1.0)
    }

    fn look(&mut self, sample: &ResourceSample, _: f64) -> Option<Seen> {
        let io = sample.io.as_ref()?;
        self.accounted |= io.blocked_s.is_some();
        let counters = |stalled_s: f64| {
            let of_storage = [io.storage_read_bytes as f64, io.storage_write_bytes as f64];
            let of_calls = [io.read_call_bytes as f64, io.read_calls as f64];
            [stalled_s, of_storage[0], of_storage[1], of_calls[0], of_calls[1]]
        };
        let blocked = self.blocked.over(sample.at_s, io.blocked_s.map(counters));
        let pressure = self.pressure.over(sample.at_s, io.pressure_s.map(counters));
        let (span_s, [stalled, read, written, call_bytes, calls]) =
            if self.accounted { blocked } else { pressure }?;
        let ours = self.accounted || read + written >= Self::LEAST_TRAFFIC;
        let value = if ours { stalled } else { 0.0 };
        let available_bytes = sample.memory.and_then(|memory| memory.system_available_bytes);
        let accounted = self.accounted;
        let traffic = Traffic { accounted, read, written, call_bytes, calls, available_bytes };
        self.worst.see(value, traffic);
        Some(Seen { span_s, value })
    }

    fn skip(&mut self) {
        self.blocked.skip();
        self.pressure.skip();
    }

    fn cause(&self) -> String {
        let Traffic { accounted, read, written, .. } = self.worst.figures;
        let stalled = if accounted {
            format!("{:.1} threads were blocked on storage on the average", self.worst.value)
        } else {
            format!("tasks were stalled on I/O for {:.0}% of the time", 100.0 * self.worst.value)
        };
        format!(
            "{stalled}, while the process read {} and wrote {} a second from and to storage",
            size(read),
            size(written)
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let Traffic { read, written, call_bytes, calls, available_bytes, .. } = self.worst.figures;
        if written > read {
            return vec![format!(
                "write less, or elsewhere: {} a second go to storage, {} come from it",
                size(written),
                size(read)
            )];
        }
        let keep = available_bytes.map(|bytes| {
            format!(
                "keep the data in memory if it fits: {} are available, and at {} a second they are \
                 full after {:.0} s",
                size(bytes as f64),
                size(read),
                bytes as f64 / read.max(1.0)
            )
        });
        // From there on a disk hardly gains by larger ones.
        const LARGE: f64 = 256.0 * 1024.0;
        let larger = (call_bytes < LARGE * calls).then(|| {
            format!(
                "read in larger pieces: {calls:.0} calls a second bring {:.1} KB each on the average",
                call_bytes / calls / 1024.0
            )
        });
        let more = format!(
            "read ahead with more workers: storage gives {} a second now, and many disks give more \
             to several readers",
            size(read)
        );
        keep.into_iter().chain(larger).chain([more]).collect()
    }
}
