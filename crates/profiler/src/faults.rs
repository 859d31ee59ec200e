//! What page faults that need no storage cost: memory used for the first time.
//!
//! The kernel counts them and does not tell what they took. It takes 0.5 microseconds at least,
//! clearing the page included, and in a virtual machine several: `benches/trackers.rs` (`page_fault`)
//! shows 1.3 on a quiet Xeon, and more where neighbours use its caches. So where a program's time in
//! the kernel is no more than its faults may have taken, they took it; else they took what they take at
//! least.

/// The least CPU time of one, in seconds.
const LEAST_S: f64 = 0.5e-6;
/// The most, as seen in a busy virtual machine.
const MOST_S: f64 = 5e-6;

/// The share of `cpu_s` that so many faults took, of `kernel_s` of it in the kernel; of rates as well
/// as of sums.
pub(crate) fn share_of_cpu(faults: f64, kernel_s: f64, cpu_s: f64) -> f64 {
    let took_s = if kernel_s <= MOST_S * faults { kernel_s } else { LEAST_S * faults };
    took_s.min(kernel_s).max(0.0) / cpu_s.max(f64::MIN_POSITIVE)
}
