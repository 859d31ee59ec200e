//! Number of workers and prefetch depth, found while training runs.
//!
//! [`Loader::autotune`](crate::Loader::autotune) looks at how long the training loop waits for
//! batches, over windows of at least [`MIN_BATCHES`] batches and [`MIN_TIME`], and moves towards
//! the cheapest setting with which it waits at most [`MAY_WAIT`] of its time: fewest workers, then
//! least depth. Where no setting feeds it, towards the cheapest that is as fast as any. What
//! batches hold and their order does not depend on either, so nothing else changes.
//!
//! Every move is logged, by `tracing` and in [`Loader::moves`](crate::Loader::moves); the settings
//! in force are [`Loader::settings`](crate::Loader::settings), to be used in the next run.
//!
//! What to do is decided by an [`Autotuner`] from [`Window`]s alone, so that it can be tried without
//! a loader.

mod decide;

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use self::decide::{Autotuner, MAY_WAIT, Reason, Setting, Window};
use crate::engine::Engine;
use crate::error::Report;
use crate::settings::{check, usable_cores};
use crate::{LoaderError, Settings, Stats};

/// Batches in a window, at least.
pub const MIN_BATCHES: u64 = 20;
/// How long a window is, at least.
pub const MIN_TIME: Duration = Duration::from_millis(500);

/// How far settings may be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutotuneLimits {
    /// Most workers. Default: four for each core, for those that wait for storage.
    pub max_workers: usize,
    /// Most batches ready or being filled: `max_depth + 1` of them have to fit in memory.
    /// Default: 8.
    pub max_depth: usize,
    /// Cores for the workers: more workers than these slow each other down. Default: those that
    /// this process may use.
    pub cores: usize,
}

impl Default for AutotuneLimits {
    fn default() -> Self {
        let cores = usable_cores();
        Self { max_workers: (4 * cores).min(1024), max_depth: 8, cores }
    }
}

impl AutotuneLimits {
    pub(crate) fn validate(&self) -> Result<(), LoaderError> {
        let Self { max_workers, max_depth, cores } = *self;
        check((1..=1024).contains(&max_workers), "max_workers", max_workers, "1 to 1024")?;
        check((1..=1024).contains(&max_depth), "max_depth", max_depth, "1 to 1024")?;
        check(cores >= 1, "cores", cores, "1 or more")
    }
}

/// One change of settings, and what it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Move {
    /// Batches that had come out of the loader.
    pub batches: u64,
    /// What was seen before it.
    pub window: Window,
    /// What is in force after it.
    pub to: Setting,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batches, window, to, reason } = self;
        let from = window.setting;
        write!(
            f,
            "after {batches} batches, {from} to {to}: the training loop waited {:.0}% of its time \
             and the workers were busy {:.0}% of theirs; {reason}",
            100.0 * window.wait_share(),
            100.0 * window.busy_share(),
        )
    }
}

/// Watches a loader and moves its settings.
#[derive(Debug)]
pub(crate) struct Autotune {
    tuner: Autotuner,
    /// `None` until what is under way from before is through.
    begin: Option<Begin>,
    /// Batches until then.
    unsettled: usize,
    pub(crate) moves: Vec<Move>,
    /// Set when a move could not be made.
    is_over: bool,
}

/// Where a window begins.
#[derive(Debug)]
struct Begin {
    at: Instant,
    counted: Counted,
}

/// What the loader has counted.
#[derive(Debug)]
struct Counted {
    stats: Stats,
    /// Of the workers alone.
    busy_s: f64,
}

impl Counted {
    fn of(engine: &Engine) -> Self {
        let counters = engine.counters();
        Self { stats: counters.stats(), busy_s: counters.workers_busy_s() }
    }
}

impl Autotune {
    pub(crate) fn new(limits: AutotuneLimits, settings: &Settings) -> Self {
        Self {
            tuner: Autotuner::new(limits),
            begin: None,
            unsettled: settings.prefetch_depth + 1,
            moves: Vec::new(),
            is_over: false,
        }
    }

    /// Notes that the loop left an epoch half-way, who knows when, or paused it.
    pub(crate) fn interrupted(&mut self) {
        self.begin = None;
    }

    /// To be called after each batch. Where a window ends, may move what is in `settings`.
    pub(crate) fn after_batch(&mut self, engine: &mut Engine, settings: &mut Settings) {
        if self.is_over {
            return;
        }
        if self.unsettled > 0 {
            self.unsettled -= 1;
            return;
        }
        let Some(Begin { at, counted: before }) = &self.begin else {
            return self.begin_window(Counted::of(engine));
        };
        let batches = engine.counters().batches() - before.stats.batches;
        if batches < MIN_BATCHES || at.elapsed() < MIN_TIME {
            return;
        }
        let counted = Counted::of(engine);
        let stats = counted.stats.since(&before.stats);
        let samples_in_batch = stats.samples as f64 / stats.batches as f64;
        let window = Window {
            setting: Setting {
                num_workers: settings.num_workers,
                prefetch_depth: settings.prefetch_depth,
            },
            batches: stats.batches as f64,
            // No worker can take over what the consumer does to its batches itself.
            waited_s: stats.waited_s - stats.stages.delivery_s(),
            consumer_s: stats.consumer_s + stats.stages.delivery_s(),
            loaded: stats.loaded as f64 / samples_in_batch,
            busy_s: counted.busy_s - before.busy_s,
        };
        let batches = counted.stats.batches;
        self.begin_window(counted);
        let Some((to, reason)) = self.tuner.observe(&window) else { return };
        let from = window.setting;
        if let Err(error) = set(engine, to) {
            tracing::warn!("tuning ends, {to} cannot be had: {}", Report(&error));
            self.is_over = true;
            // It was in force before, and whatever is wrong with it comes up with the next batch.
            let _ = set(engine, from);
            return;
        }
        (settings.num_workers, settings.prefetch_depth) = (to.num_workers, to.prefetch_depth);
        self.unsettled = from.prefetch_depth.max(to.prefetch_depth) + 1;
        self.begin = None;
        let made = Move { batches, window, to, reason };
        tracing::info!("{made}");
        self.moves.push(made);
    }

    fn begin_window(&mut self, counted: Counted) {
        self.begin = Some(Begin { at: Instant::now(), counted });
    }
}

fn set(engine: &mut Engine, setting: Setting) -> Result<(), LoaderError> {
    engine.set_workers(setting.num_workers)?;
    engine.set_depth(setting.prefetch_depth)
}
