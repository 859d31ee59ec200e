//! What is run, in which order, and when that is enough: blocks until the best setting is known, then pairs
//! that hold it against the default. Runs are made by processes or in virtual time, as the [`Runner`] has it.

use std::collections::BTreeSet;

use super::grid::{self, Cell, Planned};
use super::headline::{Headline, LEAST_PAIRS, confirming};
use super::journal::{Phase, Status, TrialRecord};
use super::objective::choose;
use super::strategy::{Strategy, Task, in_time};
use super::summary::Ended;

/// What makes the runs.
pub(super) trait Runner {
    /// Why it cannot go on.
    type Error;

    /// The runs on record as they were measured, by phase, block and setting.
    fn measured(&self) -> &[TrialRecord];

    /// The same, [leveled](super::level).
    fn records(&self) -> &[TrialRecord];

    /// Seconds since the sweep was begun.
    fn spent_s(&self) -> f64;

    /// Whether a run has its figures, or would give none.
    fn is_done(&self, planned: Planned) -> bool;

    /// Makes a run and puts it on record.
    fn run(&mut self, planned: Planned) -> Result<(), Self::Error>;

    /// Told how many runs there will be in all, as far as that is known.
    fn expect(&mut self, runs: usize);
}

/// Decides what is run next, whatever makes the runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver<'a> {
    pub(super) strategy: Strategy,
    pub(super) task: Task<'a>,
    /// What the order within blocks is drawn from.
    pub(super) seed: u64,
    /// Seconds that all of it may take.
    pub(super) budget_s: Option<f64>,
    /// The place of the setting that goes before all others.
    pub(super) first: Option<usize>,
}

impl Driver<'_> {
    /// Makes all runs that are not on record yet, and tells why there are no more.
    pub(super) fn run<R: Runner>(&self, runner: &mut R) -> Result<Ended, R::Error> {
        let ended = self.explore(runner)?;
        self.confirm(runner)?;
        Ok(ended)
    }

    /// Blocks until enough is known.
    fn explore<R: Runner>(&self, runner: &mut R) -> Result<Ended, R::Error> {
        let Self { strategy, task, .. } = self;
        let mut number = 0;
        loop {
            let places = strategy.block(task, runner.measured(), number);
            if places.is_empty() {
                let known = strategy.known(task, runner.measured(), number);
                return Ok(if known { Ended::Known } else { Ended::RunsUsedUp });
            }
            // Blocks that are certain, or this one.
            let certain = if *strategy == Strategy::Grid { task.repeats } else { 1 };
            let ahead = certain.saturating_sub(number).max(1) * places.len();
            let before = runner.records().iter().filter(|record| record.repeat < number).count();
            runner.expect(before + ahead + task.confirming());
            let mut block = grid::block(Phase::Sweep, &places, number, self.seed);
            if number == 0 {
                block.sort_by_key(|planned| self.first != Some(planned.cell));
            }
            if !self.block(runner, &block, task.confirming())? {
                return Ok(Ended::OutOfTime);
            }
            number += 1;
        }
    }

    /// Makes those runs of a block that are not done; false if time was up before its end. The time for
    /// `reserved` more runs is left over.
    pub(super) fn block<R: Runner>(
        &self,
        runner: &mut R,
        block: &[Planned],
        reserved: usize,
    ) -> Result<bool, R::Error> {
        for &planned in block {
            if runner.is_done(planned) {
                continue;
            }
            if let Some(budget_s) = self.budget_s {
                // A run of the default alone, which may not be chosen, would be in vain.
                let records = runner.records().iter();
                let of_grid = records.filter(|record| record.cell < self.task.cells.grid);
                let times: Vec<f64> = of_grid.filter_map(|record| record.duration_s).collect();
                if !in_time(budget_s, runner.spent_s(), &times, reserved) {
                    return Ok(false);
                }
            }
            runner.run(planned)?;
        }
        Ok(true)
    }

    /// Holds the winner against the default. Where a run of it fails then, another setting has won, and that
    /// is held against the default.
    fn confirm<R: Runner>(&self, runner: &mut R) -> Result<(), R::Error> {
        // What failed then in an earlier call may be mended.
        let failed = runner.records().iter();
        let failed = failed.filter(|it| it.phase == Phase::Confirm && it.status == Status::Failed);
        let failed: Vec<Planned> = failed.map(TrialRecord::planned).collect();
        if !self.block(runner, &failed, 0)? {
            return Ok(());
        }
        while let Some(winner) = self.winner(runner) {
            let cells = self.task.cells;
            let places = (cells.place(winner), cells.default_of(winner.batch_size));
            let (Some(place), Some(default)) = places else { break };
            if place == default || !self.hold(runner, [place, default])? {
                break;
            }
            if self.winner(runner) == Some(winner) {
                break;
            }
        }
        Ok(())
    }

    fn winner(&self, runner: &impl Runner) -> Option<Cell> {
        let cells = self.strategy.cells(&self.task, runner.measured(), runner.records());
        choose(self.task.objective, &cells).map(|choice| choice.winner)
    }

    /// Runs the winner and the default in turn, each pair in random order, until that is enough, or a run of
    /// the winner or two of the default give no figures; false if time was up.
    fn hold<R: Runner>(&self, runner: &mut R, pair: [usize; 2]) -> Result<bool, R::Error> {
        let [winner, default] = pair.map(|place| self.task.cells.cells[place]);
        let places: Vec<usize> = BTreeSet::from(pair).into_iter().collect();
        // Behind the pairs of those that won before.
        let of_others = runner.records().iter();
        let of_others =
            of_others.filter(|it| it.phase == Phase::Confirm && !places.contains(&it.cell));
        let first = of_others.map(|it| it.repeat + 1).max().unwrap_or(0);
        for number in 0.. {
            let so_far = Headline::of(Phase::Confirm, [winner, default], runner.records());
            if !confirming(so_far.as_ref(), number, self.task.confirm) {
                break;
            }
            let earlier = |it: &&TrialRecord| it.phase == Phase::Sweep || it.repeat < first;
            let before = runner.records().iter().filter(earlier).count();
            runner.expect(before + 2 * LEAST_PAIRS.max(number + 1).min(self.task.confirm));
            let block = grid::block(Phase::Confirm, &places, first + number, self.seed);
            if !self.block(runner, &block, 0)? {
                return Ok(false);
            }
            let without = runner.records().iter().filter(|it| {
                it.phase == Phase::Confirm && it.repeat >= first && it.status != Status::Ok
            });
            let failed = |place| without.clone().filter(|it| it.cell == place).count();
            if failed(pair[0]) > 0 || failed(pair[1]) > 1 {
                break;
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::figures;
    use super::super::grid::Cells;
    use super::super::headline::tests::{DEFAULT, WINNER};
    use super::super::model::Prior;
    use super::super::objective::Objective;
    use super::super::replay::Drawn;
    use super::*;

    /// Of a sweep whose runs take a second, the winner's twice as fast as the default's: runs of the default
    /// and of the winner that confirm, runs in all, and how it ended.
    fn sweep(budget_s: Option<f64>, fails: fn(Planned) -> bool) -> ([usize; 2], usize, Ended) {
        let cells = Cells { cells: vec![DEFAULT, WINNER], grid: 2, sentinel: 0 };
        let task = Task {
            cells: &cells,
            objective: Objective::SamplesPerSecond,
            weights: None,
            repeats: 2,
            max_repeats: 2,
            confirm: 9,
            prior: Prior::default(),
        };
        let strategy = Strategy::Grid;
        let driver = Driver { strategy, task, seed: 0, budget_s, first: Some(0) };
        let draw = |planned: Planned| {
            let cell = cells.cells[planned.cell];
            let rate = 100.0 * (1.0 + planned.cell as f64);
            let run = match fails(planned) {
                true => TrialRecord::without_figures(planned, cell, Status::Failed, String::new()),
                false => TrialRecord::new(planned, cell, Ok(&figures(rate, 8))),
            };
            TrialRecord { duration_s: Some(1.0), ..run }
        };
        let mut drawn = Drawn { records: Vec::new(), spent_s: 0.0, draw };
        let Ok(ended) = driver.run(&mut drawn);
        let confirming = |cell| {
            let of_cell = |it: &&TrialRecord| it.phase == Phase::Confirm && it.cell == cell;
            drawn.records.iter().filter(of_cell).count()
        };
        ([confirming(0), confirming(1)], drawn.records.len(), ended)
    }

    #[test]
    fn a_winner_is_held_against_the_default_until_that_is_known() {
        assert_eq!(sweep(None, |_| false), ([5, 5], 14, Ended::Known));
    }

    #[test]
    fn what_gives_no_figures_is_not_confirmed_to_the_end() {
        let default_fails = |run: Planned| run.phase == Phase::Confirm && run.cell == 0;
        assert_eq!(sweep(None, default_fails).0, [2, 2]);
        // Then the default has won, which is held against nothing.
        let winner_fails = |run: Planned| run.phase == Phase::Confirm && run.cell == 1;
        assert_eq!(sweep(None, winner_fails).0, [1, 1]);
    }

    #[test]
    fn time_is_left_for_the_runs_that_confirm() {
        // Two blocks of two, and five pairs.
        let (confirming, runs, ended) = sweep(Some(12.5), |_| false);
        assert_eq!(ended, Ended::OutOfTime);
        assert!(runs <= 12 && confirming[0] >= 4, "{runs} {confirming:?}");
    }
}
