//! From recordings to a table.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use preproc::SampleRng;
use rand::RngExt;
use serde::Serialize;
use tuner::sweep::ceiling::Ceilings;
use tuner::sweep::grid::Cell;
use tuner::sweep::journal::{Status, TrialRecord};
use tuner::sweep::model::Prior;
use tuner::sweep::output::Plan;
use tuner::sweep::replay::replay;
use tuner::sweep::strategy::{Strategy, Task};
use tuner::sweep::summary::Summary;

use crate::workloads::WORKLOADS;

/// Sweeps in virtual time of each workload and strategy.
const SWEEPS: u64 = 100;
/// What counts as the best.
const NEAR: f64 = 0.97;

/// What a strategy may take of the time of the grid with all its repeats.
pub(crate) fn share(strategy: Strategy) -> f64 {
    match strategy {
        Strategy::Grid => 1.0,
        Strategy::Race => 0.25,
        Strategy::Model => 0.1,
    }
}

/// A sweep of all settings, on disk.
pub(crate) struct Recording {
    plan: Plan,
    ceilings: Ceilings,
    /// Of each setting.
    runs: Vec<Vec<TrialRecord>>,
}

impl Recording {
    /// The one in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let plan: Plan = serde_json::from_slice(&fs::read(folder.join("plan.json"))?)?;
        let ceilings = serde_json::from_slice(&fs::read(folder.join("ceilings.json"))?)?;
        let mut runs = vec![Vec::new(); plan.cells.cells.len()];
        for line in fs::read_to_string(folder.join("trials.jsonl"))?.lines() {
            let record: TrialRecord = serde_json::from_str(line)?;
            if record.status == Status::Ok {
                runs[record.cell].push(record);
            }
        }
        if let Some(place) = runs.iter().position(Vec::is_empty) {
            return Err(
                format!("{}: no run of {}", folder.display(), plan.cells.cells[place]).into()
            );
        }
        Ok(Self { plan, ceilings, runs })
    }

    /// Seconds that all runs of the grid took.
    pub(crate) fn grid_s(&self) -> f64 {
        self.runs.iter().flatten().filter_map(|run| run.duration_s).sum()
    }

    /// Samples a second of a setting, the median of its runs.
    fn truth(&self, cell: Cell) -> Option<f64> {
        let place = self.plan.cells.place(cell)?;
        let rates: Vec<f64> = self.runs[place].iter().filter_map(|run| run.samples_per_s).collect();
        profiler::bootstrap::median(&rates)
    }

    /// Samples a second of the best setting.
    fn best(&self) -> f64 {
        self.plan.cells.cells.iter().filter_map(|cell| self.truth(*cell)).fold(0.0, f64::max)
    }

    /// Samples a second of a sweep's pick by the best's, and the share of the grid's time it took.
    fn sweep(&self, strategy: Strategy, seed: u64) -> (f64, f64) {
        let sweep = &self.plan.config.sweep;
        let prior = Prior::new(&self.ceilings, &sweep.consumer, 0);
        let mut task = Task::new(&self.plan.cells, sweep, prior);
        if strategy != Strategy::Grid {
            task.repeats = 1;
        }
        let mut noise = SampleRng::of_order(seed, 1);
        let budget_s = share(strategy) * self.grid_s();
        // A grid of drawn runs takes now more, now less than the one that was recorded.
        let budget_s = if strategy == Strategy::Grid { f64::INFINITY } else { budget_s };
        let ended = replay(strategy, &task, seed, budget_s, |place| {
            let runs = &self.runs[place];
            runs[noise.random_range(0..runs.len())].clone()
        });
        let truth = ended.pick.and_then(|pick| self.truth(pick)).unwrap_or(0.0);
        (truth / self.best(), ended.spent_s / self.grid_s())
    }
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    workload: &'static str,
    strategy: &'static str,
    sweeps: u64,
    /// Sweeps that ended within 3% of the best.
    near: usize,
    /// Of the regrets, 1 less samples a second of the pick by the best's.
    mean_regret: f64,
    worst_regret: f64,
    /// Of the time of the grid, the mean.
    cost: f64,
    /// Of one sweep that was run.
    real: Option<Real>,
    /// Samples a second of each pick by the best's.
    ratios: Vec<f64>,
}

#[derive(Serialize)]
struct Real {
    pick: Cell,
    regret: f64,
    cost: f64,
}

/// Writes `regret.md` and `regret.json` to `out`.
pub(crate) fn write(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for workload in WORKLOADS {
        let path = folder.join(workload);
        if !path.join("summary.json").exists() {
            eprintln!("{workload}: not recorded");
            continue;
        }
        let recording = Recording::read(&path)?;
        for strategy in [Strategy::Grid, Strategy::Race, Strategy::Model] {
            let outcomes: Vec<(f64, f64)> =
                (0..SWEEPS).map(|seed| recording.sweep(strategy, seed)).collect();
            let real = folder.join(format!("{workload}-{}", strategy.name())).join("summary.json");
            let real = match fs::read(&real) {
                Ok(bytes) => {
                    let summary: Summary = serde_json::from_slice(&bytes)?;
                    let truth = recording.truth(summary.recommended).unwrap_or(0.0);
                    Some(Real {
                        pick: summary.recommended,
                        regret: 1.0 - truth / recording.best(),
                        cost: summary.method.trials_s / recording.grid_s(),
                    })
                }
                Err(_) => None,
            };
            let mean =
                |of: fn(&(f64, f64)) -> f64| outcomes.iter().map(of).sum::<f64>() / SWEEPS as f64;
            rows.push(Row {
                workload,
                strategy: strategy.name(),
                sweeps: SWEEPS,
                near: outcomes.iter().filter(|(ratio, _)| *ratio >= NEAR).count(),
                mean_regret: 1.0 - mean(|it| it.0),
                worst_regret: 1.0 - outcomes.iter().map(|it| it.0).fold(1.0, f64::min),
                cost: mean(|it| it.1),
                real,
                ratios: outcomes.iter().map(|it| it.0).collect(),
            });
        }
    }
    fs::create_dir_all(out)?;
    fs::write(out.join("regret.json"), serde_json::to_vec_pretty(&rows)?)?;
    fs::write(out.join("regret.md"), text(&rows, folder)?)?;
    print!("{}", text(&rows, folder)?);
    Ok(())
}

fn text(rows: &[Row], folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut text = String::from(
        "# Regret\n\nHow far from the best setting the strategies of `tuner sweep` end, in samples/s at batch \
         size 32 over 48 settings (1 to 16 workers, depth 1 to 8), and what they cost. Every setting was \
         measured in interleaved blocks; the truth is the median of its runs. The sweeps of the table draw \
         their runs from those, so that runs differ as they did; `real` is one sweep that was run by itself, \
         judged by the same truth. Within 3% counts as the best. `scripts/regret` repeats it.\n\n",
    );
    if let Some(workload) = rows.first() {
        let recording = Recording::read(&folder.join(workload.workload))?;
        let sweep = &recording.plan.config.sweep;
        let machine = profiler::machine::Machine::detect();
        writeln!(
            text,
            "{}, {} usable cores; {} runs of each setting of {} s each.\n",
            machine.cpu_model, machine.usable_cores, sweep.repeats, sweep.measure_s
        )?;
    }
    text += "| workload | strategy | within 3% | mean regret | worst | time of the grid's | real: regret | \
             real: time |\n|---|---|--:|--:|--:|--:|--:|--:|\n";
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    for row in rows {
        let real = |of: fn(&Real) -> f64| {
            row.real.as_ref().map_or("n/a".to_owned(), |real| percent(of(real)))
        };
        writeln!(
            text,
            "| {} | {} | {} of {} | {} | {} | {} | {} | {} |",
            row.workload,
            row.strategy,
            row.near,
            row.sweeps,
            percent(row.mean_regret),
            percent(row.worst_regret),
            percent(row.cost),
            real(|real| real.regret),
            real(|real| real.cost)
        )?;
    }
    for strategy in ["grid", "race", "model"] {
        let (near, all) = rows
            .iter()
            .filter(|row| row.strategy == strategy)
            .fold((0, 0), |(near, all), row| (near + row.near as u64, all + row.sweeps));
        writeln!(text, "\n`{strategy}`: {near} of {all} within 3%.")?;
    }
    Ok(text)
}
