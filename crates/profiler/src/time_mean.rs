//! The mean over time of a value that is known now and then.

/// Trapezoids between neighbours: between two moments the value is taken to change evenly.
#[derive(Debug, Default)]
pub(crate) struct TimeMean {
    /// When it was known last, unless it was unknown since, and what it was.
    before: Option<(f64, f64)>,
    latest: Option<f64>,
    area: f64,
    seconds: f64,
}

impl TimeMean {
    /// The value at `at_s` seconds; `None` where it is not known. Time that runs back is left out.
    pub(crate) fn add(&mut self, at_s: f64, value: Option<f64>) {
        if let (Some((before_s, before)), Some(value)) = (self.before, value)
            && at_s > before_s
        {
            self.area += 0.5 * (before + value) * (at_s - before_s);
            self.seconds += at_s - before_s;
        }
        self.before = value.map(|value| (at_s, value));
        self.latest = value.or(self.latest);
    }

    /// `None` if no value was ever known; the latest one if it never was for a stretch of time.
    pub(crate) fn value(&self) -> Option<f64> {
        if self.seconds > 0.0 { Some(self.area / self.seconds) } else { self.latest }
    }
}
