//! What is done with the results of a sweep, and sweeps in programs of one's own, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/synthetic.rs"]
mod synthetic;

mod apply;
mod misbehaving;
mod own_sweep;
mod past;
mod predict;
mod refuted;
mod said;
mod verify;

use std::fs;
use std::path::Path;

use serde_json::Value;

/// `summary.json` of the sweep in `out`.
fn summary(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap()
}
