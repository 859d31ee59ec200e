//! A condition over time: when it began, how often, how long, how bad.

/// From where on a value is too high.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    /// Over this the condition begins.
    pub(super) threshold: f64,
    /// Under this it ends.
    pub(super) release: f64,
    /// From here on it is as bad as can be.
    pub(super) full: f64,
}

impl Band {
    /// A condition ends a tenth under the threshold at which it began.
    pub(super) fn new(threshold: f64, full: f64) -> Self {
        Self { threshold, release: 0.9 * threshold, full: full.max(threshold) }
    }

    /// How far above the threshold, 0 to 1.
    fn excess(&self, value: f64) -> f64 {
        let room = self.full - self.threshold;
        if room > 0.0 { ((value - self.threshold) / room).clamp(0.0, 1.0) } else { 1.0 }
    }
}

/// The value of a condition over the last `span_s` seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) span_s: f64,
    pub(super) value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Begins,
    Ends,
}

/// The episodes of one condition, summed up.
///
/// A value under [`Band::release`] for less than [`LINGER_S`] does not end an episode, so noise
/// round the threshold makes one and not many.
#[derive(Clone, Debug)]
pub(super) struct Episodes {
    band: Band,
    /// When the one that goes on began.
    since_s: Option<f64>,
    /// For how long the value has been under the band since.
    below_s: f64,
    count: u64,
    time_s: f64,
    /// Excess times its seconds.
    excess_s: f64,
}

/// For how long a value must be low before an episode has ended.
pub(super) const LINGER_S: f64 = 2.0;

impl Episodes {
    pub(super) fn new(band: Band) -> Self {
        Self { band, since_s: None, below_s: 0.0, count: 0, time_s: 0.0, excess_s: 0.0 }
    }

    /// Takes a value that was seen at `at_s`.
    pub(super) fn see(&mut self, at_s: f64, seen: Seen) -> Option<Edge> {
        let Seen { span_s, value } = seen;
        let (Band { threshold, release, .. }, active) = (self.band, self.since_s.is_some());
        if !active && value > threshold {
            self.since_s = Some(at_s - span_s);
            self.count += 1;
        } else if active && value < release {
            self.below_s += span_s;
            if self.below_s <= LINGER_S {
                return None;
            }
            (self.since_s, self.below_s) = (None, 0.0);
            return Some(Edge::Ends);
        } else if !active {
            return None;
        }
        self.time_s += span_s + std::mem::take(&mut self.below_s);
        self.excess_s += span_s * self.band.excess(value);
        (!active).then_some(Edge::Begins)
    }

    pub(super) fn since_s(&self) -> Option<f64> {
        self.since_s
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn time_s(&self) -> f64 {
        self.time_s
    }

    /// The share of `observed_s` that the condition was true.
    pub(super) fn share_of(&self, observed_s: f64) -> f64 {
        let share = if observed_s > 0.0 { self.time_s / observed_s } else { 1.0 };
        if self.count > 0 { share.min(1.0) } else { 0.0 }
    }

    /// See [`ResourceRules`](super::ResourceRules).
    pub(super) fn severity(&self, observed_s: f64) -> f64 {
        let excess = if self.time_s > 0.0 { self.excess_s / self.time_s } else { 0.0 };
        self.share_of(observed_s) * (0.5 + 0.5 * excess)
    }
}
