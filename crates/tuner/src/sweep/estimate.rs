//! What the runs of a setting say of it: median, range, and how sure that is.

use profiler::bootstrap::{Scatter, median};
use serde::{Deserialize, Serialize};

/// A figure of a setting over its runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The middle; of an even number, the mean of the middle two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// 95% bootstrap interval of the median, see [`Scatter`]: lower and upper end. Absent where too
    /// few runs were repeated to know how much they differ.
    pub interval: Option<[f64; 2]>,
}

impl Estimate {
    /// Of at least one run; `scatter` was made from the runs of all settings.
    pub fn of(runs: &[f64], scatter: &Scatter) -> Option<Self> {
        let fold = |pick: fn(f64, f64) -> f64| runs.iter().copied().reduce(pick);
        Some(Self {
            median: median(runs)?,
            min: fold(f64::min)?,
            max: fold(f64::max)?,
            interval: scatter.interval(runs),
        })
    }

    /// Half the interval's width by the median; `None` without an interval, or of a median of 0.
    pub fn half_width(&self) -> Option<f64> {
        let [low, high] = self.interval?;
        let width = (high - low) / 2.0 / self.median.abs();
        width.is_finite().then_some(width)
    }

    /// With the other sign, so that less becomes more.
    pub(crate) fn negated(self) -> Self {
        Self {
            median: -self.median,
            min: -self.max,
            max: -self.min,
            interval: self.interval.map(|[low, high]| [-high, -low]),
        }
    }
}
