//! What is shown while a sweep runs: a bar on a terminal, else a line for each trial.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;

use super::journal::{Status, TrialRecord};
use crate::dataset;

pub(super) struct Progress {
    bar: ProgressBar,
    lines: bool,
    /// Warnings that were shown: the next trial has the same.
    warned: BTreeSet<String>,
}

impl Progress {
    /// With `done` trials on record.
    pub(super) fn new(done: usize, quiet: bool) -> Self {
        let bar = dataset::progress_bar(done as u64, quiet);
        bar.set_style(dataset::style("{bar:30} {pos}/{len} trials, {eta} left; {wide_msg}"));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        let lines = !quiet && !std::io::stderr().is_terminal();
        Self { bar, lines, warned: BTreeSet::new() }
    }

    /// So many trials will be run in all, for what is known now.
    pub(super) fn expect(&self, trials: usize) {
        self.bar.set_length((trials as u64).max(self.bar.position()));
    }

    pub(super) fn expected(&self) -> usize {
        self.bar.length().unwrap_or(0) as usize
    }

    pub(super) fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.insert(warning.clone()) {
                self.bar.suspend(|| tracing::warn!("{warning}"));
            }
        }
    }

    pub(super) fn trial(&self, record: &TrialRecord, best: Option<String>) {
        self.bar.inc(1);
        let setting = record.setting();
        let outcome = match (record.score, &record.error) {
            (Some(score), _) => {
                format!("score {score:.1}, {:.0} samples/s", record.samples_per_s.unwrap_or(0.0))
            }
            (None, error) => error.clone().unwrap_or_default(),
        };
        if self.lines {
            let (at, of) = (self.bar.position(), self.expected());
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{at}/{of}: {setting}: {outcome}");
        } else if record.status != Status::Ok {
            self.bar.println(format!("{setting}: {outcome}"));
        }
        if let Some(best) = best {
            self.bar.set_message(format!("best so far: {best}"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
