//! What kind some work really is: what it was declared to be, set against what was measured.
//!
//! Work either computes, or waits for a core, or waits for something else. CPU time against wall
//! time tells the first, run-queue delay the second. Of the third tell the system calls in which the
//! monitor found its threads, and what the process read from storage meanwhile. Page faults tell
//! how much of the computing is the kernel's, which hands out fresh memory.

use serde::{Deserialize, Serialize};

use crate::bottleneck::BottleneckType;
use crate::resources::ResourceSample;
use crate::session::Looks;

/// From this share of its time on, work computes.
const COMPUTING: f64 = 0.5;
/// From this share of its time on, waiting for a core is what it does: there are 1.7 times as many
/// busy threads as cores.
pub(super) const CROWDED: f64 = 0.4;
/// From this share of its time on, it is worth a word that others keep it from a core.
pub(super) const LOST: f64 = 0.3;
/// Who waits for storage gets at least so many bytes in each second of waiting: a hard disk's 125
/// random reads of 4 KiB.
const STORAGE_BYTES_PER_S: f64 = 125.0 * 4096.0;
/// From this share of its CPU time on, taking memory from the kernel is what it does.
const ALLOCATING: f64 = 0.2;
/// Fewer looks at waiting threads say nothing.
const LEAST_LOOKS: u64 = 5;
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
    /// Share of that delay which is the doing of other programs, 0 to 1.
    pub others_share: f64,
    /// What the process did with storage, where no other work claims it.
    pub storage: Option<Storage>,
    /// Share of its CPU time that went on page faults, that is on memory used for the first time.
    pub fault_share: Option<f64>,
    /// What its threads were seen doing.
    pub looks: Looks,
}

/// What waiting threads were mostly seen to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Storage,
    Network,
    Threads,
    Sleep,
    Gpu,
}

/// `None` where too few looks, or none in particular, say so.
fn mostly(looks: &Looks) -> Option<Wait> {
    let Looks { running: _, storage, network, threads, sleep, gpu, other } = *looks;
    let waits = [
        (storage, Wait::Storage),
        (network, Wait::Network),
        (threads, Wait::Threads),
        (sleep, Wait::Sleep),
        (gpu, Wait::Gpu),
    ];
    let all = other + waits.iter().map(|(count, _)| count).sum::<u64>();
    let (most, wait) = waits.into_iter().max_by_key(|(count, _)| *count)?;
    (all >= LEAST_LOOKS && 2 * most > all).then_some(wait)
}

impl Evidence {
    /// Share of its time in which other programs kept it from a core.
    pub(super) fn lost_share(&self) -> f64 {
        (self.run_delay_share.unwrap_or(0.0) * self.others_share).clamp(0.0, 1.0)
    }

    /// Share of the time that others leave to it in which it waits for a core.
    pub(super) fn crowded_share(&self) -> f64 {
        let delay = self.run_delay_share.unwrap_or(0.0).clamp(0.0, 1.0);
        let lost = self.lost_share();
        (delay - lost).max(0.0) / (1.0 - lost).max(f64::MIN_POSITIVE)
    }

    /// Its kind, and why: a clause with figures.
    ///
    /// Names of one's own, and the wait for data, stay what they were declared to be. What was not
    /// declared is told from the figures alone.
    pub fn judge(&self) -> (BottleneckType, String) {
        use BottleneckType::*;
        let percent = |share: f64| format!("{:.0}%", 100.0 * share);
        let (lost, delay) = (self.lost_share(), self.crowded_share());
        let Some(cpu) = self.cpu_share.map(|share| share.clamp(0.0, 1.0)) else {
            return (self.declared.clone(), "its CPU time is not known".to_owned());
        };
        // What it does is told by the time that others left to it.
        let left = (1.0 - lost).max(f64::MIN_POSITIVE);
        let cpu = (cpu / left).min(1.0);
        let (kind, reason) = if delay >= CROWDED {
            let reason = format!(
                "it waits for a core {} of its time: more threads than cores",
                percent(delay)
            );
            (Synchronization, reason)
        } else if cpu >= COMPUTING {
            let computes = format!("it computes {} of its time", percent(cpu));
            let allocating = self.fault_share.filter(|share| *share >= ALLOCATING);
            match self.declared {
                Undeclared | CpuComputation | Preprocessing | MemoryAllocation
                    if allocating.is_some() =>
                {
                    let share = percent(allocating.unwrap_or(0.0));
                    let reason = format!(
                        "{computes}, of which about {share} goes on taking fresh memory from \
                         the kernel"
                    );
                    (MemoryAllocation, reason)
                }
                Undeclared => (CpuComputation, computes),
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
            self.judge_waiting((1.0 - cpu - delay).max(0.0), left)
        };
        let reason = match lost >= LOST {
            true => format!(
                "{reason} as far as it has a core; other programs keep it from one {} of its time",
                percent(lost)
            ),
            false => reason,
        };
        match self.declared {
            Custom(_) | DataLoading => (self.declared.clone(), reason),
            _ => (kind, reason),
        }
    }

    /// Of work that waits `share` of that part `left` of its time, not for a core.
    fn judge_waiting(&self, share: f64, left: f64) -> (BottleneckType, String) {
        use BottleneckType::*;
        let waits = format!("it waits {:.0}% of its time", 100.0 * share);
        let from_storage = self.storage.map(|storage| storage.explains(share * left * self.wall_s));
        let seen = mostly(&self.looks);
        match (&self.declared, from_storage) {
            (IoOperation, _) if seen == Some(Wait::Network) => {
                (NetworkLatency, format!("{waits}, for a peer: its files are sockets"))
            }
            (IoOperation, Some(false)) if seen.is_none_or(|seen| seen == Wait::Storage) => (
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
            _ => self.judge_by_looks(waits, seen, from_storage),
        }
    }

    /// Whether its threads were seen waiting, if only now and then, and mostly not for storage.
    fn seen_elsewhere(&self) -> bool {
        let Looks { running: _, storage, network, threads, sleep, gpu, other } = self.looks;
        network + threads + sleep + gpu + other > storage
    }

    /// Of waiting work of which it was not said what it waits for.
    fn judge_by_looks(
        &self,
        waits: String,
        seen: Option<Wait>,
        from_storage: Option<bool>,
    ) -> (BottleneckType, String) {
        use BottleneckType::*;
        match (seen, from_storage) {
            (Some(Wait::Network), _) => (NetworkLatency, format!("{waits}, for a peer")),
            (Some(Wait::Gpu), _) => (GpuTransfer, format!("{waits}, for the GPU's driver")),
            (Some(Wait::Threads), _) => {
                (Synchronization, format!("{waits}, for a lock or another thread"))
            }
            (Some(Wait::Sleep), _) => {
                (Synchronization, format!("{waits}, asleep until some time has passed"))
            }
            (Some(Wait::Storage), Some(false)) => (
                NetworkLatency,
                format!("{waits} for files that hardly come from storage: a file system elsewhere"),
            ),
            (Some(Wait::Storage), _) => (IoOperation, format!("{waits} for storage")),
            (None, Some(true)) if !self.seen_elsewhere() => {
                (IoOperation, format!("{waits}, while the process reads from storage"))
            }
            // Too little was seen of it.
            (None, _) if self.declared == Undeclared => (Undeclared, waits),
            (None, _) => (
                Synchronization,
                format!("{waits}, neither for storage nor for a core: a lock or another thread"),
            ),
        }
    }
}
