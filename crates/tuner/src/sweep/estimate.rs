//! What the runs of a setting say of it: median, range, and how sure that is.

use profiler::bootstrap::{Runs, Scatter};
use profiler::statistics::median;
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
    /// What differences of it are held against, see [`Runs::size`]: the mean of rates, times and
    /// bytes, the sizes of the terms of a score.
    pub size: f64,
}

impl Estimate {
    /// Of at least one run; `scatter` was made from the runs of all settings.
    pub fn of(runs: Runs<'_>, scatter: &Scatter) -> Option<Self> {
        let fold = |pick: fn(f64, f64) -> f64| runs.values.iter().copied().reduce(pick);
        Some(Self {
            median: median(runs.values)?,
            min: fold(f64::min)?,
            max: fold(f64::max)?,
            interval: scatter.interval(runs),
            size: runs.size,
        })
    }

    /// About another middle, as sure as it was.
    pub(crate) fn moved(self, median: f64) -> Self {
        let by = median - self.median;
        let interval = self.interval.map(|ends| ends.map(|end| end + by));
        Self { median, min: self.min.min(median), max: self.max.max(median), interval, ..self }
    }

    /// With no end of the interval outside what the figure can be.
    pub(crate) fn within(self, least: f64, most: f64) -> Self {
        let interval = self.interval.map(|ends| ends.map(|end| end.clamp(least, most)));
        Self { interval, ..self }
    }

    /// Half the interval's width by the size; `None` without an interval, or of a size of 0.
    pub fn half_width(&self) -> Option<f64> {
        let [low, high] = self.interval?;
        let width = (high - low) / 2.0 / self.size;
        width.is_finite().then_some(width)
    }

    /// The upper end of the interval; without one nothing is known: infinity.
    pub(crate) fn high(&self) -> f64 {
        self.interval.map_or(f64::INFINITY, |[_, high]| high)
    }

    /// The lower end likewise.
    pub(crate) fn low(&self) -> f64 {
        self.interval.map_or(f64::NEG_INFINITY, |[low, _]| low)
    }

    /// With the other sign, so that less becomes more.
    pub(crate) fn negated(self) -> Self {
        Self {
            median: -self.median,
            min: -self.max,
            max: -self.min,
            interval: self.interval.map(|[low, high]| [-high, -low]),
            size: self.size,
        }
    }
}
