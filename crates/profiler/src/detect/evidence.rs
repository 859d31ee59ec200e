//! What kind some work really is: what it was declared to be, set against what was measured.
//!
//! Work either computes, or waits for a core, or waits for something else. CPU time against wall
//! time tells the first, run-queue delay the second; what the process read from storage meanwhile
//! tells something of the third.

use serde::{Deserialize, Serialize};

use crate::bottleneck::BottleneckType;
use crate::resources::ResourceSample;

/// From this share of its time on, work computes.
const COMPUTING: f64 = 0.5;
/// From this share of its time on, waiting for a core is what it does.
pub(super) const CROWDED: f64 = 0.3;
/// Who waits for storage gets at least so many bytes in each second of waiting: a hard disk's 125
/// random reads of 4 KiB.
const STORAGE_BYTES_PER_S: f64 = 125.0 * 4096.0;
/// The share of waiting that must be blocked on storage for storage to be its cause.
const BLOCKED: f64 = 0.5;

/// What the process did with storage over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storage {
    /// Bytes fetched from storage or sent there.
    pub bytes: u64,
    /// Thread-seconds blocked on it; `None` where the kernel does not account for delays.
    pub blocked_s: Option<f64>,
}

impl Storage {
    /// Between the first and the last of these samples that have figures; `None` without two.
    pub fn between(samples: &[ResourceSample]) -> Option<Self> {
        let mut with_io = samples.iter().filter_map(|sample| sample.io);
        let first = with_io.next()?;
        let last = with_io.next_back()?;
        let bytes = last.storage_read_bytes.saturating_sub(first.storage_read_bytes)
            + last.storage_write_bytes.saturating_sub(first.storage_write_bytes);
        // A kernel that accounts for no delays may write zeros.
        let blocked = |sample: Option<f64>| sample.filter(|seconds| *seconds > 0.0);
        let blocked_s = blocked(last.blocked_s).map(|s| s - first.blocked_s.unwrap_or(0.0));
        Some(Self { bytes, blocked_s })
    }

    /// Whether it explains `waiting_s` thread-seconds of waiting.
    fn explains(&self, waiting_s: f64) -> bool {
        match self.blocked_s {
            Some(blocked_s) => blocked_s >= BLOCKED * waiting_s,
            None => self.bytes as f64 >= STORAGE_BYTES_PER_S * waiting_s,
        }
    }
}

/// What is known of some work.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What it was said to be.
    pub declared: BottleneckType,
    /// Thread-seconds.
    pub wall_s: f64,
    /// Share of them in which a thread computed.
    pub cpu_share: Option<f64>,
    /// Share of them in which a thread was ready and had no core.
    pub run_delay_share: Option<f64>,
    /// What the process did with storage, where no other work claims it.
    pub storage: Option<Storage>,
}

impl Evidence {
    /// Its kind, and why: a clause with figures.
    ///
    /// Names of one's own, and the wait for data, stay what they were declared to be.
    pub fn judge(&self) -> (BottleneckType, String) {
        use BottleneckType::*;
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        let delay = self.run_delay_share.unwrap_or(0.0).clamp(0.0, 1.0);
        let Some(cpu) = self.cpu_share.map(|share| share.clamp(0.0, 1.0)) else {
            return (self.declared.clone(), "its CPU time is not known".to_owned());
        };
        let (kind, reason) = if delay >= CROWDED {
            let reason = format!(
                "it waits for a core {} of its time: more threads than cores",
                percent(delay)
            );
            (Synchronization, reason)
        } else if cpu >= COMPUTING {
            let computes = format!("it computes {} of its time", percent(cpu));
            match self.declared {
                IoOperation => (
                    CpuComputation,
                    format!("{computes}: its data comes from memory, not from storage"),
                ),
                NetworkLatency => {
                    (CpuComputation, format!("{computes} and hardly waits for a peer"))
                }
                _ => (self.declared.clone(), computes),
            }
        } else {
            self.judge_waiting((1.0 - cpu - delay).max(0.0))
        };
        match self.declared {
            Custom(_) | DataLoading => (self.declared.clone(), reason),
            _ => (kind, reason),
        }
    }

    /// Of work that waits `share` of its time, not for a core.
    fn judge_waiting(&self, share: f64) -> (BottleneckType, String) {
        use BottleneckType::*;
        let waits = format!("it waits {:.0}% of its time", 100.0 * share);
        let from_storage = self.storage.map(|storage| storage.explains(share * self.wall_s));
        match (&self.declared, from_storage) {
            (IoOperation, Some(false)) => (
                NetworkLatency,
                format!(
                    "{waits}, and hardly anything came from storage: a file system or a peer elsewhere"
                ),
            ),
            (IoOperation, _) => (IoOperation, format!("{waits} for storage")),
            (NetworkLatency, _) => (NetworkLatency, format!("{waits} for a peer")),
            (GpuTransfer, _) => (GpuTransfer, format!("{waits} for copies to or from the GPU")),
            (DataLoading, _) => (DataLoading, format!("{waits}, for data")),
            (Synchronization, _) => (Synchronization, format!("{waits} for other threads")),
            (_, Some(true)) => {
                (IoOperation, format!("{waits}, while the process reads from storage"))
            }
            _ => (
                Synchronization,
                format!("{waits}, neither for storage nor for a core: a lock or another thread"),
            ),
        }
    }
}
