//! The pipelines of a session: asked for their counters at each tick of the monitor.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::notes::{calmly, printable};
use crate::pipeline::{PipelineSnapshot, PipelineSource};
use crate::session::PipelineProfile;
use crate::thinned::Thinned;

/// Pipelines of one session.
pub(crate) const MAX_PIPELINES: usize = 64;
/// Snapshots that are kept of each.
const MAX_SNAPSHOTS: usize = 512;

#[derive(Debug)]
pub(crate) struct Pipelines {
    began: Instant,
    watched: Mutex<Vec<Watched>>,
    /// For want of room.
    refused: AtomicU64,
}

struct Watched {
    name: String,
    source: Arc<dyn PipelineSource>,
    /// What it said when it panicked: it is asked no more.
    failed: Option<String>,
    snapshots: Thinned<PipelineSnapshot>,
}

impl Pipelines {
    pub(crate) fn new(began: Instant) -> Self {
        Self { began, watched: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// Watches one more, from now on. A name that is taken gets a number. Says whether there was
    /// room.
    pub(crate) fn watch(&self, name: &str, source: Arc<dyn PipelineSource>) -> bool {
        let mut watched = self.lock();
        let name = printable(name);
        if watched.len() >= MAX_PIPELINES {
            self.refused.fetch_add(1, Relaxed);
            return false;
        }
        let taken = |name: &str| watched.iter().any(|other| other.name == name);
        let numbered = (2..).map(|number| format!("{name} {number}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
        let snapshots = Thinned::new(MAX_SNAPSHOTS);
        let name = name.unwrap_or_default();
        let mut new = Watched { name, source, failed: None, snapshots };
        new.ask(self.began);
        watched.push(new);
        true
    }

    /// Takes a snapshot of each.
    pub(crate) fn ask(&self) {
        self.lock().iter_mut().for_each(|pipeline| pipeline.ask(self.began));
    }

    /// What they told so far, not attributed yet.
    pub(crate) fn profiles(&self) -> Vec<PipelineProfile> {
        let profile = |pipeline: &Watched| PipelineProfile {
            name: pipeline.name.clone(),
            snapshots: pipeline.snapshots.iter().cloned().collect(),
            attribution: None,
        };
        self.lock().iter().map(profile).collect()
    }

    /// A line on each that failed, and one on those that were refused.
    pub(crate) fn notes(&self) -> Vec<String> {
        let note = |pipeline: &Watched| {
            let words = pipeline.failed.as_ref()?;
            Some(format!("the pipeline `{}` is asked no more: {words}", pipeline.name))
        };
        let refused = match self.refused.load(Relaxed) {
            0 => None,
            refused => Some(format!(
                "{refused} pipelines were not watched: there is room for {MAX_PIPELINES}"
            )),
        };
        self.lock().iter().filter_map(note).chain(refused).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn ask(&mut self, began: Instant) {
        if self.failed.is_some() {
            return;
        }
        match calmly(|| self.source.snapshot()) {
            Ok(snapshot) => {
                let at_s = began.elapsed().as_secs_f64();
                self.snapshots.push(PipelineSnapshot { at_s, ..snapshot });
            }
            Err(words) => self.failed = Some(words),
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("name", &self.name).finish_non_exhaustive()
    }
}
