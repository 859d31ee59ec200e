//! What is shown while a sweep runs: on a terminal the settings that lead, with intervals, and a bar with
//! the time left; else a line for each trial.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use profiler::report::human::percent;

use super::cell::CellSummary;
use super::journal::{Status, TrialRecord};
use super::words::{sure, tenths, whole};
use crate::progress_bar::style;

/// So many settings are shown.
const LEADERS: usize = 5;

pub(super) struct Progress {
    all: MultiProgress,
    /// A line for each setting that leads, cut to the width of the terminal.
    leaders: Vec<ProgressBar>,
    bar: ProgressBar,
    lines: bool,
    /// Warnings that were shown: the next trial has the same.
    warned: BTreeSet<String>,
}

impl Progress {
    /// With `done` trials on record.
    pub(super) fn new(done: usize, quiet: bool) -> Self {
        // Where it is no terminal nothing is drawn.
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let all = MultiProgress::with_draw_target(target);
        let line = |_| {
            let line = all.add(ProgressBar::new_spinner());
            line.set_style(style("{wide_msg}"));
            line
        };
        let leaders = (0..=LEADERS).map(line).collect();
        // A bar of nothing is drawn full.
        let bar = all.add(ProgressBar::new(done.max(1) as u64));
        bar.set_style(style("{bar:30} {pos}/{len} trials, {eta} left; {wide_msg}"));
        bar.set_position(done as u64);
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(500));
        let lines = !quiet && !std::io::stderr().is_terminal();
        Self { all, leaders, bar, lines, warned: BTreeSet::new() }
    }

    /// So many runs more are on record, which took no time.
    pub(super) fn taken_over(&self, runs: usize) {
        self.bar.inc(runs as u64);
        self.bar.reset_eta();
    }

    /// So many trials will be run in all, for what is known now.
    pub(super) fn expect(&self, trials: usize) {
        self.bar.set_length((trials as u64).max(self.bar.position()));
    }

    pub(super) fn expected(&self) -> usize {
        self.bar.length().unwrap_or(0) as usize
    }

    /// What is measured before the trials.
    pub(super) fn before_trials(&self) {
        self.bar.set_message("measuring what the parts of the pipeline give alone");
    }

    /// This share of the data was read into memory.
    pub(super) fn reading(&self, share: f64) {
        self.bar.set_message(format!("reading the data into memory: {}", percent(share)));
    }

    pub(super) fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.insert(warning.clone()) {
                self.all.suspend(|| tracing::warn!("{warning}"));
            }
        }
    }

    /// A trial has ended; of what is on record `leaders` are the best settings, the first above all.
    /// To find them takes many intervals: nobody is asked for what nobody sees.
    pub(super) fn trial(&self, record: &TrialRecord, leaders: impl FnOnce() -> Vec<CellSummary>) {
        self.bar.inc(1);
        let setting = record.setting();
        let outcome = match (record.score, &record.error) {
            (Some(score), _) => {
                format!("score {score:.1}, {:.0} samples/s", record.samples_per_s.unwrap_or(0.0))
            }
            (None, error) => error.clone().unwrap_or_default(),
        };
        if self.lines {
            let at = self.bar.position();
            let of = at.max(self.expected() as u64);
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{at}/{of}: {setting}: {outcome}");
        } else if record.status != Status::Ok {
            // Where it is hidden this does nothing.
            let _ = self.all.println(format!("{setting}: {outcome}"));
        }
        self.bar.set_message(format!("last: {setting}"));
        if !self.bar.is_hidden() {
            for (line, text) in self.leaders.iter().zip(table(&leaders())) {
                line.set_message(text);
            }
        }
    }
}

/// A head, and a line for each of the first settings: the narrower the terminal, the less of it is seen.
fn table(leaders: &[CellSummary]) -> Vec<String> {
    let head = "batch workers depth  samples/s (95%)                 score (95%)";
    let line = |cell: &CellSummary| {
        let depth = cell.cell.depth();
        format!(
            "{:>5} {:>7} {depth:>5}  {:<30}  {}{}",
            cell.cell.batch_size,
            cell.cell.num_workers,
            sure(&cell.samples_per_s, whole),
            sure(&cell.score, tenths),
            match cell.wait_share {
                Some(wait) => format!(", waiting {}", sure(&wait, percent)),
                None => String::new(),
            }
        )
    };
    std::iter::once(head.to_owned()).chain(leaders.iter().take(LEADERS).map(line)).collect()
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        for line in &self.leaders {
            line.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::cell;
    use super::*;

    #[test]
    fn the_leaders_stand_under_their_head_with_intervals() {
        let cells = [cell(0, 1, 1000.0), cell(2, 4, 999.0)];
        let lines = table(&cells);
        assert_eq!(
            lines,
            [
                "batch workers depth  samples/s (95%)                 score (95%)",
                "   32       0     -  1,000 (995 to 1,005)            1,000.0 (995.0 to 1,005.0)",
                "   32       2     4  999 (994 to 1,004)              999.0 (994.0 to 1,004.0)",
            ]
        );
        let many: Vec<CellSummary> = (0..9).map(|workers| cell(workers, 1, 1.0)).collect();
        assert_eq!(table(&many).len(), 1 + LEADERS);
    }
}
