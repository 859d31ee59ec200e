//! How fast memory is: the floor of whatever reads its input and writes its output.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use profiler::statistics::median;

/// How fast one thread copies memory, measured where it is asked for.
#[derive(Debug, Default)]
pub(super) struct CopySpeed {
    /// By the power of two of bytes read and written.
    bytes_per_s: BTreeMap<u32, f64>,
}

/// More bytes are no slower to copy: they are in no cache already.
const LARGEST: u64 = 128 << 20;

impl CopySpeed {
    /// Seconds in which `bytes`, half of them read and half written, can be copied again and again:
    /// as many bytes at once, so from the same level of the caches.
    pub(super) fn seconds(&mut self, bytes: u64) -> f64 {
        let level = bytes.clamp(64, LARGEST).ilog2();
        let rate = *self.bytes_per_s.entry(level).or_insert_with(|| measure(1 << level));
        bytes as f64 / rate
    }

    /// Bytes a second, read and written, beyond all caches.
    pub(super) fn memory_bytes_per_s(&mut self) -> f64 {
        LARGEST as f64 / self.seconds(LARGEST)
    }
}

fn measure(bytes: usize) -> f64 {
    const ROUNDS: usize = 7;
    let from = vec![1_u8; bytes / 2];
    let mut to = vec![2_u8; bytes / 2];
    // Many copies in a round, where one is too short to be timed.
    let copies = (1 << 22) / bytes + 1;
    let rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..copies {
                to.copy_from_slice(black_box(&from));
                black_box(&mut to);
            }
            start.elapsed().as_secs_f64() / copies as f64
        })
        .collect();
    bytes as f64 / median(&rounds).unwrap_or(f64::NAN).max(1e-12)
}
