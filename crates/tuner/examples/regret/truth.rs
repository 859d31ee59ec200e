//! What the settings that matter really give: measured again, side by side, after the recording, so that
//! no pick is judged by the run that made it one.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use crossbeam::channel::never;
use profiler::statistics::median;
use tuner::sweep::grid::{self, Cell};
use tuner::sweep::journal::{Journal, Phase, TrialRecord};
use tuner::sweep::trial::{self, Job, TrialSpec};

use crate::recording::{Recording, STRATEGIES, SWEEPS};

/// Blocks of one run of each.
pub(crate) const BLOCKS: usize = 6;
/// Seconds of each run: of shorter ones so many do not tell picks apart that differ by 3%.
pub(crate) const MEASURE_S: f64 = 1.0;
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
            let mut config = recording.plan.config.clone();
            config.sweep.measure_s = MEASURE_S;
            let spec = TrialSpec::new(&config, Job::Setting(cell), u64::MAX)
                .in_turn_with(cells.default_cell());
            let figures = trial::run(&spec, &never())?.figures;
            journal.append([TrialRecord::new(planned, cell, Ok(&figures))])?;
        }
    }
    Ok(())
}

/// What settings really give.
pub(crate) struct Truth {
    /// Samples a second at the machine's usual speed, by the middle of the run's block, in each block: what
    /// hits a whole block alike is taken off.
    rates: BTreeMap<Cell, Vec<(usize, f64)>>,
    /// That of the best setting.
    pub(crate) best: f64,
}

impl Truth {
    /// As it was measured.
    pub(crate) fn read(recording: &Recording) -> Result<Self, Box<dyn Error>> {
        let journal = Journal::open(&recording.path.join("truth.jsonl"))?;
        let mut blocks: BTreeMap<usize, Vec<(Cell, f64)>> = BTreeMap::new();
        for record in journal.records() {
            let rate = record.samples_per_s.ok_or("a run without a rate")?;
            blocks.entry(record.repeat).or_default().push((record.setting(), rate));
        }
        let mut rates: BTreeMap<Cell, Vec<(usize, f64)>> = BTreeMap::new();
        for (number, block) in blocks {
            let all: Vec<f64> = block.iter().map(|(_, rate)| *rate).collect();
            let middle = median(&all).unwrap_or(f64::NAN);
            for (cell, rate) in block {
                rates.entry(cell).or_default().push((number, rate / middle));
            }
        }
        if rates.is_empty() {
            let workload = &recording.workload;
            return Err(
                format!("{workload}: nothing was measured again\nhint: regret truth").into()
            );
        }
        // The highest of many medians is too high: the best of one half of the blocks is judged by the
        // other half.
        let half = |odd: usize, cell: Cell| {
            middle(rates[&cell].iter().filter(|(number, _)| number % 2 == odd))
        };
        let judged = |odd: usize| {
            let best = rates.keys().max_by(|a, b| half(odd, **a).total_cmp(&half(odd, **b)));
            best.map_or(f64::NAN, |best| half(1 - odd, *best))
        };
        let best = (judged(0) + judged(1)) / 2.0;
        Ok(Self { best, rates })
    }

    /// How many settings were measured again.
    pub(crate) fn settings(&self) -> usize {
        self.rates.len()
    }

    /// 1 less its samples a second by the best's; `None` of what was not measured.
    pub(crate) fn regret(&self, cell: Cell) -> Option<f64> {
        let rate = middle(self.rates.get(&cell)?.iter());
        Some(1.0 - rate / self.best)
    }
}

fn middle<'a>(rates: impl Iterator<Item = &'a (usize, f64)>) -> f64 {
    median(&rates.map(|(_, rate)| *rate).collect::<Vec<f64>>()).unwrap_or(f64::NAN)
}
