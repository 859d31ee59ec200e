//! Which batch size, how many workers, how much prefetch?
//!
//! The sweep's way: a [`config`] names data and settings to try, [`dataset`] opens (or makes) the
//! data, [`sweep`] measures each setting in a process of its own, scores it, and writes what it
//! found. [`bench`](mod@bench) measures one setting, [`profile`] says what it spends its time on,
//! [`preprocessing`] measures the transforms one by one, [`compare`] holds two measurements beside
//! each other, [`explain`](mod@explain) says why settings are what they are, [`verify`] measures
//! whether they still stand, [`history`] lists past sweeps, [`predict`] says what they expect of other
//! settings, [`apply`] installs settings, [`show_batch`] writes what training would get, [`data`]
//! makes data to try it all on. [`cli`] is what the program `tuner` does. [`Sweep`] measures data that
//! only a program of one's own can open.

pub mod apply;
pub mod bench;
pub mod cli;
pub mod compare;
pub mod config;
pub mod consumer;
pub mod data;
pub mod dataset;
mod drawing;
pub mod error;
pub mod explain;
mod files;
pub mod history;
pub mod measure;
mod own_sweep;
pub mod predict;
pub mod preprocessing;
pub mod profile;
mod progress_bar;
mod residency;
pub mod show_batch;
pub mod sweep;
mod table;
mod tensors;
pub mod timeline;
pub mod verify;

pub use config::Config;
pub use error::TunerError;
pub use own_sweep::Sweep;
