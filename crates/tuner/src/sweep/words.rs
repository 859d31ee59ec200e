//! Figures with how sure they are, written alike wherever they stand: in tables, charts and sentences.

use profiler::report::human::number;

use super::estimate::Estimate;

/// `1 worker`, `2 workers`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A figure with its 95% interval, such as `1,319 (1,204 to 1,445)`.
pub(crate) fn sure(estimate: &Estimate, write: impl Fn(f64) -> String) -> String {
    let median = write(estimate.median);
    match estimate.interval {
        Some(_) => median + &between(estimate.interval, write),
        None => median + " (no interval)",
    }
}

/// An interval behind a figure, such as ` (0.98 to 1.04)`; nothing where there is none.
pub(crate) fn between(interval: Option<[f64; 2]>, write: impl Fn(f64) -> String) -> String {
    let between = interval.map(|[low, high]| format!(" ({} to {})", write(low), write(high)));
    between.unwrap_or_default()
}

/// A whole number, as rates are written.
pub(crate) fn whole(value: f64) -> String {
    number(value, 0)
}

/// With one decimal, as scores are written.
pub(crate) fn tenths(value: f64) -> String {
    number(value, 1)
}

/// With two decimals, as ratios are written.
pub(crate) fn hundredths(value: f64) -> String {
    number(value, 2)
}
