//! What a run will take of memory, said before it is run.

use profiler::machine;

use super::grid::Cell;
use crate::dataset::Opened;

/// Resident memory of a process with libtorch before it loads anything, about.
const BASE_BYTES: u64 = 300 << 20;

/// What a run of `cell` will hold at its peak beyond what the process holds before the loader is
/// built: batches that are ready or being filled, and the one that the consumer has.
pub fn above_base_bytes(cell: Cell, data: &Opened) -> u64 {
    let sample: usize = data.fields.iter().map(loader::Field::bytes).sum();
    let batches = if cell.num_workers == 0 { 1 } else { cell.prefetch_depth + 1 };
    (cell.batch_size as u64).saturating_mul(sample as u64).saturating_mul(batches as u64)
}

/// What a run may take: the limit that was given, or what the machine or the control group has left,
/// if that is less.
pub fn limit_bytes(given: Option<u64>) -> u64 {
    machine::available_memory().min(given.unwrap_or(u64::MAX))
}

/// Why a run that is predicted to take `above_base_bytes` cannot be tried within `limit_bytes`.
pub fn over(above_base_bytes: u64, limit_bytes: u64) -> Option<String> {
    let needed = above_base_bytes.saturating_add(BASE_BYTES);
    (needed > limit_bytes).then(|| {
        format!(
            "needs about {} MiB of memory, of which it may take {} MiB",
            needed >> 20,
            limit_bytes >> 20
        )
    })
}
