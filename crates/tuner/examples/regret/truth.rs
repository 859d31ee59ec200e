//! What the settings that matter really give: measured again, side by side, after the recording, so that
//! no pick is judged by the run that made it one.

use std::collections::BTreeSet;
use std::error::Error;

use crossbeam::channel::never;
use profiler::statistics::median;
use tuner::sweep::grid::{self, Cell};
use tuner::sweep::journal::{Journal, Phase, TrialRecord};
use tuner::sweep::trial::{self, Job, TrialSpec};

use crate::recording::{Recording, STRATEGIES, SWEEPS};

/// Blocks of one run of each.
const BLOCKS: usize = 8;
/// The best by the recording, so many, are measured again beside the picks.
const TOP: usize = 5;

/// Measures what sweeps picked and the best of the recording; what is on record stays.
pub(crate) fn measure(recording: &Recording) -> Result<(), Box<dyn Error>> {
    let cells = &recording.plan.cells;
    let mut places: BTreeSet<usize> = recording.ranked().into_iter().take(TOP).collect();
    for strategy in STRATEGIES {
        let picks = (0..SWEEPS).filter_map(|seed| recording.replay(strategy, seed).pick);
        places.extend(picks.filter_map(|pick| cells.place(pick)));
        let real = recording.real_sweep(strategy)?;
        places.extend(real.and_then(|(pick, _)| cells.place(pick)));
    }
    let places: Vec<usize> = places.into_iter().collect();
    eprintln!("{}: {} settings, {BLOCKS} times", recording.workload, places.len());
    let mut journal = Journal::open(&recording.path.join("truth.jsonl"))?;
    for number in 0..BLOCKS {
        for planned in grid::block(Phase::Confirm, &places, number, 0) {
            if journal.records().iter().any(|record| record.planned() == planned) {
                continue;
            }
            let cell = cells.cells[planned.cell];
            let spec = TrialSpec {
                config: recording.plan.config.clone(),
                job: Job::Setting(cell),
                parent: rustix::process::getpid().as_raw_pid(),
                memory_limit_bytes: u64::MAX,
            };
            let figures = trial::run(&spec, &never())?.figures;
            journal.append(TrialRecord::new(planned, cell, Ok(&figures)))?;
        }
    }
    Ok(())
}

/// What settings really give.
pub(crate) struct Truth {
    records: Vec<TrialRecord>,
    /// Samples a second of the best setting.
    pub(crate) best: f64,
    pub(crate) settings: usize,
}

impl Truth {
    /// As it was measured.
    pub(crate) fn read(recording: &Recording) -> Result<Self, Box<dyn Error>> {
        let journal = Journal::open(&recording.path.join("truth.jsonl"))?;
        let records = journal.records().to_vec();
        let settings: BTreeSet<Cell> = records.iter().map(TrialRecord::setting).collect();
        if settings.is_empty() {
            let workload = &recording.workload;
            return Err(
                format!("{workload}: nothing was measured again\nhint: regret truth").into()
            );
        }
        // The highest of many medians is too high: the best of one half of the blocks is judged by the
        // other half.
        let half = |odd: usize, cell: Cell| {
            rate(records.iter().filter(|it| it.repeat % 2 == odd && it.setting() == cell))
        };
        let judged = |odd: usize| {
            let best = settings
                .iter()
                .max_by(|a, b| half(odd, **a).total_cmp(&half(odd, **b)))
                .map(|best| half(1 - odd, *best));
            best.unwrap_or(0.0)
        };
        let best = (judged(0) + judged(1)) / 2.0;
        Ok(Self { best, settings: settings.len(), records })
    }

    /// 1 less its samples a second by the best's; `None` of what was not measured.
    pub(crate) fn regret(&self, cell: Cell) -> Option<f64> {
        let rate = rate(self.records.iter().filter(|record| record.setting() == cell));
        rate.is_finite().then(|| 1.0 - rate / self.best)
    }
}

fn rate<'a>(records: impl Iterator<Item = &'a TrialRecord>) -> f64 {
    median(&records.filter_map(|record| record.samples_per_s).collect::<Vec<f64>>())
        .unwrap_or(f64::NAN)
}
