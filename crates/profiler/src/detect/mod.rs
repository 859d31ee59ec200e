//! Rules that find bottlenecks of work in what a session recorded: stages of pipelines and
//! operations. (Resources that run short are the monitor's to find.)
//!
//! What a finding is called by kind follows the evidence, see [`evidence`]; what it says to do
//! follows its cause and carries the figures that the model of the pipeline predicts.

mod advice;
pub mod evidence;
mod operations;
mod pipelines;

pub use self::operations::OperationDetector;
pub use self::pipelines::PipelineDetector;

/// A duration for people: `1.2 s`, `34 ms`, `5.6 us`.
fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (1e3 * s, "ms"),
        s => (1e6 * s, "us"),
    };
    if value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A share for people.
fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}
