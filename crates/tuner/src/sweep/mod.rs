//! The sweep.
//!
//! Its way: [`grid`] lists the settings to try; [`output`] opens the folder; [`fingerprint`] tells
//! the data from other data; each [`trial`] is a
//! process of its own, in random order within a block of one repeat each, so that whatever drifts
//! hits all settings alike; its figures are scored by [`score`] and appended to the [`journal`]
//! at once; [`summary`] takes medians and ranks; [`recommend`] writes the settings file,
//! [`report`] and [`charts`] say it to people.

pub mod charts;
pub mod explain;
pub mod fingerprint;
pub mod grid;
pub mod journal;
pub mod output;
pub mod recommend;
pub mod report;
mod run;
pub mod score;
pub mod summary;
pub mod trial;

pub use run::{Finished, Options, run};
