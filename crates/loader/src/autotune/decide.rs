//! What to change, told from what was seen. No clock is read and nothing is done here.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Add;

use serde::Serialize;

use super::AutotuneLimits;

/// The share of its time that the training loop may wait and still counts as fed.
pub const MAY_WAIT: f64 = 0.05;
/// Rates that differ by less count as the same.
const SAME_RATE: f64 = 0.05;
/// Workers that are busy for less of their time do not limit the rate: that batches take unequal
/// time does.
const BUSY: f64 = 0.9;
/// Windows after which what was seen with other settings is tried again.
const REMEMBERED: u64 = 64;
/// If a batch costs the workers or the training loop so many times more or less than before,
/// with the same settings, nothing seen before holds.
const CHANGED: f64 = 1.25;

/// What is moved. Its order is by cost: fewer workers first, then less depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Setting {
    /// See [`Settings::num_workers`](crate::Settings::num_workers).
    pub num_workers: usize,
    /// See [`Settings::prefetch_depth`](crate::Settings::prefetch_depth).
    pub prefetch_depth: usize,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { num_workers, prefetch_depth } = self;
        let plural = if *num_workers == 1 { "" } else { "s" };
        write!(f, "{num_workers} worker{plural} at depth {prefetch_depth}")
    }
}

/// What was seen over some batches with one setting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// With which it was seen.
    pub setting: Setting,
    /// Batches that came out.
    pub batches: f64,
    /// Seconds that the training loop waited for them.
    pub waited_s: f64,
    /// Seconds that it was at its own work.
    pub consumer_s: f64,
    /// Batches whose worth of samples the workers loaded.
    pub loaded: f64,
    /// Thread-seconds that they took for them.
    pub busy_s: f64,
}

impl Window {
    /// The share of its time that the training loop waited, 0 to 1.
    pub fn wait_share(&self) -> f64 {
        self.waited_s / self.seconds()
    }

    /// The share of their time that workers were busy, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        (self.busy_s / (self.setting.num_workers as f64 * self.seconds())).min(1.0)
    }

    fn seconds(&self) -> f64 {
        (self.waited_s + self.consumer_s).max(f64::MIN_POSITIVE)
    }

    /// Batches a second.
    fn rate(&self) -> f64 {
        self.batches / self.seconds()
    }

    /// Seconds of the training loop for a batch; next to none counts as a hundredth of what a batch
    /// takes in all.
    fn consumer_cost(&self) -> f64 {
        self.consumer_s.max(0.01 * self.seconds()) / self.batches
    }

    /// Thread-seconds of the workers for a batch.
    fn worker_cost(&self) -> f64 {
        self.busy_s / self.loaded.max(f64::MIN_POSITIVE)
    }

    /// Workers that feed a training loop which waits no longer than it may.
    fn workers_needed(&self) -> usize {
        let needed = self.worker_cost() / (self.consumer_cost() / (1.0 - MAY_WAIT));
        needed.ceil().max(1.0) as usize
    }

    /// Whether a batch costs as much as in `other`.
    fn costs_as(&self, other: &Self) -> bool {
        let alike = |a: f64, b: f64| a <= CHANGED * b && b <= CHANGED * a;
        alike(self.consumer_cost(), other.consumer_cost())
            && alike(self.worker_cost(), other.worker_cost())
    }

    /// The same, counting for less.
    fn scaled(self, by: f64) -> Self {
        Self {
            setting: self.setting,
            batches: by * self.batches,
            waited_s: by * self.waited_s,
            consumer_s: by * self.consumer_s,
            loaded: by * self.loaded,
            busy_s: by * self.busy_s,
        }
    }
}

/// Both together, of one setting.
impl Add for Window {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            setting: self.setting,
            batches: self.batches + other.batches,
            waited_s: self.waited_s + other.waited_s,
            consumer_s: self.consumer_s + other.consumer_s,
            loaded: self.loaded + other.loaded,
            busy_s: self.busy_s + other.busy_s,
        }
    }
}

/// Why a setting is left for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The training loop waited, and the workers were busy: more of them may help.
    Starved,
    /// The training loop waited though workers had nothing to do: batches take unequal time, which
    /// more of them ahead may even out.
    Uneven,
    /// The training loop did not wait, or waits whatever is done: less may do as well.
    Cheaper,
    /// The setting that is left was tried and does not do, or does no more than the one gone back to.
    Back,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starved => "more workers may feed it",
            Self::Uneven => "more batches ahead may even that out",
            Self::Cheaper => "less may do as well",
            Self::Back => "another setting did as well for less, or better",
        })
    }
}

/// Finds the cheapest setting that feeds the training loop; where none does, the cheapest that is
/// as fast as any.
///
/// It remembers what was seen with each setting, as long as batches cost what they did. From the
/// cheapest one that is good enough it tries cheaper ones, halving the distance to the dearest
/// that is known not to be; where none is good enough it tries dearer ones, as long as they help. It does not add depth to save workers.
#[derive(Clone, Debug)]
pub struct Autotuner {
    limits: AutotuneLimits,
    /// By cost.
    seen: BTreeMap<Setting, Seen>,
    /// Windows so far.
    windows: u64,
    /// One that left open whether the training loop is fed.
    unsure: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    window: Window,
    /// Which window it was, from 1.
    at: u64,
}

impl Autotuner {
    /// One that has seen nothing.
    pub fn new(limits: AutotuneLimits) -> Self {
        Self { limits, seen: BTreeMap::new(), windows: 0, unsure: None }
    }

    /// What to change after `window`; `None` for nothing.
    pub fn observe(&mut self, window: &Window) -> Option<(Setting, Reason)> {
        self.windows += 1;
        let mut window = *window;
        let setting = window.setting;
        let before = self.seen.get(&setting).map(|seen| seen.window);
        if before.is_some_and(|before| !window.costs_as(&before)) {
            self.seen.clear();
            self.unsure = None;
        }
        let first = self.unsure.take().filter(|first| first.setting == setting);
        let is_clear = !(MAY_WAIT / 2.0..MAY_WAIT * 2.0).contains(&window.wait_share());
        match first {
            Some(first) => window = first + window,
            None if is_clear => {}
            None => {
                self.unsure = Some(window);
                return None;
            }
        }
        let before = self.seen.get(&setting).map(|seen| seen.window.scaled(0.5));
        window = before.map_or(window, |before| before + window);
        self.seen.insert(setting, Seen { window, at: self.windows });
        self.seen.retain(|_, seen| self.windows - seen.at < REMEMBERED);
        self.decide().filter(|(to, _)| *to != setting)
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        self.seen.values().map(|seen| &seen.window)
    }

    fn decide(&self) -> Option<(Setting, Reason)> {
        let best = self.windows().map(Window::rate).fold(0.0, f64::max);
        let is_fed = |window: &Window| window.wait_share() <= MAY_WAIT;
        let is_fast = |window: &Window| window.rate() >= (1.0 - SAME_RATE) * best;
        let (enough, cheaper) = if let Some(fed) = self.windows().find(|window| is_fed(window)) {
            (fed, self.cheaper_than(fed, is_fed))
        } else {
            let fast = self.windows().find(|window| is_fast(window))?;
            let dearer = self.dearer_than(fast);
            if dearer.is_some() {
                return dearer;
            }
            (fast, self.cheaper_than(fast, is_fast))
        };
        let cheaper = cheaper.map(|setting| (setting, Reason::Cheaper));
        Some(cheaper.unwrap_or((enough.setting, Reason::Back)))
    }

    /// A setting with more than the fastest has, unless that is known not to help.
    fn dearer_than(&self, fastest: &Window) -> Option<(Setting, Reason)> {
        let AutotuneLimits { max_workers, max_depth, .. } = self.limits;
        let now = fastest.setting;
        let workers = fastest.workers_needed().clamp(now.num_workers + 1, 2 * now.num_workers);
        let workers = Setting { num_workers: workers.min(max_workers), ..now };
        let workers_help = workers.num_workers > now.num_workers
            && !self.seen.keys().any(|seen| {
                seen.num_workers > now.num_workers && seen.prefetch_depth >= now.prefetch_depth
            });
        let depth = Setting { prefetch_depth: (2 * now.prefetch_depth).min(max_depth), ..now };
        let depth_helps = depth.prefetch_depth > now.prefetch_depth
            && !self.seen.keys().any(|seen| {
                seen.prefetch_depth > now.prefetch_depth && seen.num_workers >= now.num_workers
            });
        // Neither may help without the other.
        let both = Setting { prefetch_depth: depth.prefetch_depth, ..workers };
        let both_help = both.num_workers > now.num_workers
            && both.prefetch_depth > now.prefetch_depth
            && !self.seen.keys().any(|seen| {
                seen.num_workers > now.num_workers && seen.prefetch_depth > now.prefetch_depth
            });
        let workers = workers_help.then_some((workers, Reason::Starved));
        let depth = depth_helps.then_some((depth, Reason::Uneven));
        let both = both_help.then_some((both, Reason::Starved));
        let one = if fastest.busy_share() < BUSY { depth.or(workers) } else { workers.or(depth) };
        one.or(both)
    }

    /// A setting with less than `enough`, unless all of them are known not to be `good`.
    fn cheaper_than(&self, enough: &Window, good: impl Fn(&Window) -> bool) -> Option<Setting> {
        let Setting { num_workers, prefetch_depth } = enough.setting;
        let too_little = || self.windows().filter(|window| !good(window));
        let too_few = too_little()
            .filter(|it| it.setting.num_workers < num_workers)
            .filter(|it| it.setting.prefetch_depth >= prefetch_depth || it.busy_share() >= BUSY)
            .map(|it| it.setting.num_workers)
            .max();
        let fewer = match too_few {
            // More workers than cores slow each other down, so that what they cost tells little.
            None if num_workers <= self.limits.cores && enough.wait_share() <= MAY_WAIT => {
                enough.workers_needed()
            }
            _ => (too_few.unwrap_or(0) + num_workers).div_ceil(2),
        };
        if fewer < num_workers {
            return Some(Setting { num_workers: fewer, prefetch_depth });
        }
        let too_shallow = too_little()
            .filter(|it| it.setting.num_workers == num_workers)
            .map(|it| it.setting.prefetch_depth)
            .filter(|depth| *depth < prefetch_depth)
            .max();
        let shallower = (too_shallow.unwrap_or(0) + prefetch_depth).div_ceil(2);
        (shallower < prefetch_depth).then_some(Setting { num_workers, prefetch_depth: shallower })
    }
}
