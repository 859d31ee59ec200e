//! The sweep.
//!
//! Its way: [`grid`] lists the settings to try; [`output`] opens the folder; [`fingerprint`] tells
//! the data from other data; [`ceiling`] says what the parts of the data's way give on their own. A
//! [`strategy`] decides from what is on record, runs that are taken over from an earlier sweep ([`reuse`])
//! among it, which settings are run in the next block, helped by a [`model`] or not; the `driver` has it run,
//! by `processes` or, to try strategies, in virtual time by [`replay`]. Each
//! [`trial`] is a process of its own, in random order within its block, so that whatever drifts hits
//! all settings alike; its figures are scored by [`score`], appended to the [`journal`] at once, and
//! taken at the machine's usual speed ([`level`]).
//! [`cell`] takes the runs of a setting together, with intervals ([`estimate`]); [`objective`] says
//! which is best, and [`headline`] holds that against the default on fresh runs; [`drift`] says how the
//! machine changed, [`timelines`] what single runs used; [`summary`] holds all that was found; [`recommend`] writes the settings file,
//! [`report`], [`page`] and [`charts`] say it to people, in the words of [`explain`], [`limit`] and [`closing`];
//! [`export`] writes tables of it.

pub mod cache;
pub mod ceiling;
pub mod cell;
pub mod charts;
pub(crate) mod clock;
pub mod closing;
pub mod drift;
mod driver;
pub mod dry_run;
pub mod estimate;
pub mod explain;
pub mod export;
pub mod fingerprint;
pub(crate) mod gaussian_process;
pub mod grid;
pub mod headline;
pub mod journal;
pub mod level;
pub mod limit;
pub mod memory;
mod method;
pub mod model;
pub mod objective;
pub mod output;
pub mod page;
pub mod plan;
mod processes;
mod progress;
pub mod recommend;
pub mod replay;
pub mod report;
pub mod reuse;
mod run;
pub mod score;
mod search;
pub mod strategy;
pub mod summary;
mod tables;
pub mod timelines;
pub mod trial;
pub(crate) mod words;

pub use run::{Finished, Options, run};
