//! What took the time?
//!
//! A [`config`] says what to measure. The [`profiler`] holds sessions, one after another: in one,
//! each [`operation`] that the program names is timed on its thread ([`layer`] takes those of
//! programs that use `tracing`), [`stage`] counts, in each worker, the time spent in every stage of
//! the data's way, and a [`pipeline`] tells its counters. A [`monitor`] samples [`resources`] while
//! the program runs: its [`trackers`] read the process, the machine and, through [`gpu`], the
//! devices. [`machine`] says what it runs on. [`attribution`] says what limits a pipeline, [`detect`]
//! finds stages and operations that hold the program up, [`rules`] find resources that are short and
//! the documented data-loading bottlenecks, and a [`bottleneck`] says what to do. A [`session`] holds
//! all of it; [`report`] writes it to files (feature `report`), and [`compare`] holds two beside each
//! other; [`statistics`] has the means and quantiles for it, [`bootstrap`] says how sure they are.
//! [`extend`] is where code of one's own comes in. [`self_test`] measures what all this costs.
//!
//! The crate knows no libtorch: any program can use it.

pub mod attribution;
pub mod bootstrap;
pub mod bottleneck;
mod cgroup;
pub mod compare;
pub mod config;
pub mod detect;
pub mod extend;
mod faults;
pub mod folder;
pub mod gpu;
pub mod layer;
pub mod machine;
pub mod monitor;
mod notes;
mod open;
pub mod operation;
pub mod pipeline;
mod pipelines;
mod plugins;
mod process;
pub mod profiler;
#[cfg(feature = "report")]
pub mod report;
pub mod resources;
pub mod rules;
pub mod self_test;
pub mod session;
pub mod stage;
pub mod statistics;
mod summary;
mod thinned;
pub mod thread;
mod time_mean;
pub mod trackers;
mod usage;
