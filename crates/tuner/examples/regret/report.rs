//! From recordings to a table.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Serialize;
use tuner::sweep::grid::Cell;
use tuner::sweep::strategy::Strategy;

use crate::recording::{Recording, STRATEGIES, SWEEPS};
use crate::truth::{BLOCKS, MEASURE_S, Truth};

/// A sweep that ends so near to the best counts as one that found it.
const NEAR: f64 = 0.03;
/// So many of them must.
const ENOUGH: f64 = 0.9;

/// One line of the table.
#[derive(Serialize)]
struct Row {
    workload: String,
    strategy: Strategy,
    /// Whether enough sweeps ended near the best, in the time that the strategy may take; absent for
    /// the grid, which the others are held against.
    holds: Option<bool>,
    sweeps: usize,
    /// Sweeps that ended within 3% of the best.
    near: usize,
    /// 1 less samples a second of the pick by the best's.
    mean_regret: f64,
    worst_regret: f64,
    /// Of the time of the grid, the mean: ceilings, all runs, and those to confirm.
    cost: f64,
    /// Of one sweep that was run.
    real: Option<Real>,
    /// What the sweeps ended with, the most frequent first.
    picks: Vec<Pick>,
}

#[derive(Serialize)]
struct Pick {
    setting: Cell,
    sweeps: usize,
    /// Absent where it was not measured again; that counts as not near.
    regret: Option<f64>,
}

#[derive(Serialize)]
struct Real {
    setting: Cell,
    regret: Option<f64>,
    cost: f64,
}

impl Row {
    fn new(
        recording: &Recording,
        truth: &Truth,
        strategy: Strategy,
    ) -> Result<Self, Box<dyn Error>> {
        let replayed: Vec<(Cell, f64)> = (0..SWEEPS)
            .filter_map(|seed| {
                let replayed = recording.replay(strategy, seed);
                Some((replayed.pick?, replayed.spent_s / recording.grid_s()))
            })
            .collect();
        let regrets: Vec<f64> =
            replayed.iter().map(|(pick, _)| truth.regret(*pick).unwrap_or(1.0)).collect();
        let near = regrets.iter().filter(|regret| **regret <= NEAR).count();
        let sweeps = SWEEPS as usize;
        let cost =
            replayed.iter().map(|(_, cost)| cost).sum::<f64>() / replayed.len().max(1) as f64;
        let mut counts: BTreeMap<Cell, usize> = BTreeMap::new();
        replayed.iter().for_each(|(pick, _)| *counts.entry(*pick).or_default() += 1);
        let pick = |(setting, sweeps)| Pick { setting, sweeps, regret: truth.regret(setting) };
        let mut picks: Vec<Pick> = counts.into_iter().map(pick).collect();
        picks.sort_by_key(|pick| Reverse(pick.sweeps));
        let enough = near as f64 >= ENOUGH * sweeps as f64 && cost <= strategy.share();
        let real = recording.real_sweep(strategy)?.map(|(setting, spent_s)| Real {
            setting,
            regret: truth.regret(setting),
            cost: spent_s / recording.grid_s(),
        });
        Ok(Self {
            workload: recording.workload.clone(),
            strategy,
            holds: (strategy != Strategy::Grid).then_some(enough),
            sweeps,
            near,
            mean_regret: regrets.iter().sum::<f64>() / regrets.len().max(1) as f64,
            worst_regret: regrets.iter().copied().fold(0.0, f64::max),
            cost,
            real,
            picks,
        })
    }
}

/// Writes `regret.md` and `regret.json` to `out`. Whether all strategies hold what they promise.
pub(crate) fn write(recordings: &[Recording], out: &Path) -> Result<bool, Box<dyn Error>> {
    let settings =
        |it: &Recording| (it.plan.config.sweep.max_repeats, it.plan.config.sweep.measure_s);
    let first = recordings.first().ok_or("no workload was recorded")?;
    if let Some(other) = recordings.iter().find(|it| settings(it) != settings(first)) {
        let (a, b) = (&first.workload, &other.workload);
        return Err(format!("{a} and {b} were recorded with different settings").into());
    }
    let (mut rows, mut again) = (Vec::new(), Vec::new());
    for recording in recordings {
        let truth = Truth::read(recording)?;
        again.push(format!("{} {}", recording.workload, truth.settings()));
        for strategy in STRATEGIES {
            rows.push(Row::new(recording, &truth, strategy)?);
        }
    }
    let holds = rows.iter().all(|row| row.holds != Some(false));
    let text = text(&rows, recordings, &again.join(", "), holds)?;
    fs::create_dir_all(out)?;
    fs::write(out.join("regret.json"), serde_json::to_vec_pretty(&rows)?)?;
    fs::write(out.join("regret.md"), &text)?;
    print!("{text}");
    Ok(holds)
}

fn text(
    rows: &[Row],
    recordings: &[Recording],
    again: &str,
    holds: bool,
) -> Result<String, Box<dyn Error>> {
    let mut text = String::from(
        "# Regret\n\nHow far from the best setting the strategies of `tuner sweep` end, in samples/s at batch \
         size 32 over 48 settings (1 to 16 workers, depth 1 to 8), and what they cost. Every setting was \
         measured in interleaved blocks; the sweeps of the table draw their runs from those, so that runs \
         differ as they did, and `real` is one sweep that was run by itself. Then what they picked, and \
         the five best settings of the grid, were measured again, in interleaved blocks: that \
         is the truth, so no pick is judged by the run that made it one. All runs were measured in turn with \
         the default, and their rates taken at the machine's usual speed. The best is the best of one half of the \
         blocks, judged by the other half; a pick may come out better than that. Time is that of all that \
         a sweep runs, ceilings and the pairs that confirm the winner among it, by that of the grid's. A \
         workload holds where nine of ten sweeps end within 3% of the best, in a quarter of the time by \
         `race` and a tenth by `model`. `scripts/regret` repeats it; what it measured is in \
         [regret](regret), from which `scripts/regret --report` makes this table.\n\n",
    );
    let machine = |it: &Recording| {
        let machine = &it.summary.machine;
        format!("{}, {} usable cores", machine.cpu, machine.usable_cores)
    };
    let machines: BTreeSet<String> = recordings.iter().map(machine).collect();
    let machines = Vec::from_iter(machines).join("; ");
    let begun = recordings.iter().map(|it| format!("{} {}", it.workload, it.summary.started));
    let begun = Vec::from_iter(begun).join(", ");
    if let Some(sweep) = recordings.first().map(|it| &it.plan.config.sweep) {
        writeln!(
            text,
            "Recorded on {machines}; begun: {begun}; {} runs of each setting of {} s each. Measured again, \
             in {BLOCKS} blocks of runs of {MEASURE_S} s, settings: {again}.\n",
            sweep.repeats, sweep.measure_s
        )?;
    }
    text += "| workload | strategy | within 3% | mean regret | worst | time | real: regret | real: time | \
             |\n|---|---|--:|--:|--:|--:|--:|--:|---|\n";
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let or_none = |share: Option<f64>| share.map_or("n/a".to_owned(), percent);
    for row in rows {
        writeln!(
            text,
            "| {} | {} | {} of {} | {} | {} | {} | {} | {} | {} |",
            row.workload,
            row.strategy.name(),
            row.near,
            row.sweeps,
            percent(row.mean_regret),
            percent(row.worst_regret),
            percent(row.cost),
            or_none(row.real.as_ref().and_then(|real| real.regret)),
            or_none(row.real.as_ref().map(|real| real.cost)),
            match row.holds {
                Some(true) => "holds",
                Some(false) => "does not hold",
                None => "",
            }
        )?;
    }
    for strategy in STRATEGIES {
        let of_strategy = rows.iter().filter(|row| row.strategy == strategy);
        let (near, all) =
            of_strategy.fold((0, 0), |(near, all), row| (near + row.near, all + row.sweeps));
        writeln!(text, "\n`{}`: {near} of {all} within 3%.", strategy.name())?;
    }
    writeln!(text, "\nAll of it {}.", if holds { "holds" } else { "does not hold" })?;
    Ok(text)
}
