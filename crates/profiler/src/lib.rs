//! What took the time?
//!
//! A [`config`] says what to measure. [`stage`] counts, in each worker, the time spent in every
//! stage of the data's way, and a [`pipeline`] tells its counters. [`monitor`] samples the process
//! while it runs: [`resources`] and, through [`gpu`], the device. [`machine`] says what it runs on.
//! [`attribution`] says what limits a pipeline, [`detect`] finds stages and operations that hold the
//! program up, [`rules`] names the documented data-loading bottlenecks, and a [`bottleneck`] says
//! what to do. A [`session`] holds all of it. [`report`] writes it to files, [`compare`] holds two
//! beside each other. [`extend`] is where code of one's own comes in.
//!
//! The crate knows no libtorch: any program can use it.

pub mod attribution;
pub mod bottleneck;
mod cgroup;
pub mod compare;
pub mod config;
pub mod detect;
pub mod extend;
pub mod gpu;
pub mod machine;
pub mod monitor;
pub mod pipeline;
mod process;
pub mod report;
pub mod resources;
pub mod rules;
pub mod session;
pub mod stage;
mod sums;
pub mod thread;
