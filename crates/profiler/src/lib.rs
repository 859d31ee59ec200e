//! What took the time?
//!
//! [`stage`] counts, in each worker, the time spent in every stage of the data's way.
//! [`monitor`] samples the process while it runs: memory, CPU and, through [`gpu`], the device.
//! [`machine`] says what it runs on. [`rules`] names the documented data-loading bottlenecks.
//!
//! The crate knows no libtorch: any program can use it.

mod cgroup;
pub mod gpu;
pub mod machine;
pub mod monitor;
mod process;
pub mod rules;
pub mod stage;
mod sums;
