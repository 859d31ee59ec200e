//! Recorded ticks in virtual time: each rule names exactly what is short, and calm names nothing.

#![expect(clippy::unwrap_used, reason = "a failure ends the test")]

mod episodes;
mod kinds;
mod program;
