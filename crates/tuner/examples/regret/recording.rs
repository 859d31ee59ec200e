//! A sweep of all settings, on disk, and sweeps that are replayed from it.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use preproc::SampleRng;
use rand::RngExt;
use rand::seq::SliceRandom;
use tuner::sweep::ceiling::Ceilings;
use tuner::sweep::grid::Cell;
use tuner::sweep::journal::{Journal, Phase, Status, TrialRecord};
use tuner::sweep::level::leveled;
use tuner::sweep::model::Prior;
use tuner::sweep::plan::Plan;
use tuner::sweep::replay::{Replayed, replay};
use tuner::sweep::strategy::{Strategy, Task};
use tuner::sweep::summary::Summary;

/// Sweeps in virtual time of each workload and strategy.
pub(crate) const SWEEPS: u64 = 100;
/// Those that are held against each other.
pub(crate) const STRATEGIES: [Strategy; 3] = [Strategy::Grid, Strategy::Race, Strategy::Model];

/// A sweep of all settings.
pub(crate) struct Recording {
    pub(crate) workload: String,
    pub(crate) path: PathBuf,
    pub(crate) plan: Plan,
    pub(crate) summary: Summary,
    ceilings: Ceilings,
    /// Of each setting.
    runs: Vec<Vec<TrialRecord>>,
}

/// The plan of the sweep in `folder`.
pub(crate) fn plan(folder: &Path) -> Result<Plan, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs::read(folder.join("plan.json"))?)?)
}

impl Recording {
    /// That of `workload`.
    pub(crate) fn read(folder: &str, workload: &str) -> Result<Self, Box<dyn Error>> {
        let path = Path::new(folder).join(workload);
        let plan = plan(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let summary = Summary::read(&path.join("summary.json"))?;
        let ceilings = serde_json::from_slice(&fs::read(path.join("ceilings.json"))?)?;
        let mut runs = vec![Vec::new(); plan.cells.cells.len()];
        for record in leveled(&Journal::read(&path.join("trials.jsonl"))?) {
            if record.status == Status::Ok && record.phase == Phase::Sweep {
                runs[record.cell].push(record);
            }
        }
        if let Some(place) = runs.iter().position(Vec::is_empty) {
            return Err(format!("{}: no run of {}", path.display(), plan.cells.cells[place]).into());
        }
        Ok(Self { workload: workload.to_owned(), path, plan, summary, ceilings, runs })
    }

    /// The folder of the sweep that was run by `strategy`.
    pub(crate) fn real(&self, strategy: Strategy) -> PathBuf {
        self.path.with_file_name(format!("{}-{}", self.workload, strategy.name()))
    }

    /// Seconds that the whole sweep took: ceilings, all runs of the grid, and those to confirm.
    pub(crate) fn grid_s(&self) -> f64 {
        self.ceilings.duration_s + self.summary.method.trials_s
    }

    /// The settings with the most samples a second by the medians of their runs, the best first.
    pub(crate) fn ranked(&self) -> Vec<usize> {
        let rate = |place: usize| {
            let rates: Vec<f64> =
                self.runs[place].iter().filter_map(|run| run.samples_per_s).collect();
            profiler::statistics::median(&rates).unwrap_or(0.0)
        };
        let mut places: Vec<usize> = (0..self.plan.cells.grid).collect();
        places.sort_by(|&a, &b| rate(b).total_cmp(&rate(a)));
        places
    }

    /// A sweep whose runs are drawn from those that were recorded. The grid, which needs all of them,
    /// draws with replacement; the others take those of a setting in random order.
    pub(crate) fn replay(&self, strategy: Strategy, seed: u64) -> Replayed {
        let sweep = &self.plan.config.sweep;
        let prior = Prior::new(&self.ceilings, &sweep.consumer, 0);
        let mut task = Task::new(&self.plan.cells, sweep, prior);
        if strategy != Strategy::Grid {
            task.repeats = 1;
        }
        let mut random = SampleRng::of_order(seed, 1);
        let mut left: Vec<Vec<usize>> = vec![Vec::new(); self.runs.len()];
        // A grid of drawn runs takes now more, now less than the one that was recorded.
        let budget_s = match strategy {
            Strategy::Grid => f64::INFINITY,
            Strategy::Race | Strategy::Model => strategy.share() * self.grid_s(),
        };
        replay(strategy, &task, seed, (self.ceilings.duration_s, budget_s), |place| {
            let runs = &self.runs[place];
            if strategy == Strategy::Grid {
                return runs[random.random_range(0..runs.len())].clone();
            }
            if left[place].is_empty() {
                left[place] = (0..runs.len()).collect();
                left[place].shuffle(&mut random);
            }
            runs[left[place].pop().unwrap_or(0)].clone()
        })
    }

    /// The sweep that was run by `strategy`, if it was: what it picked, and the seconds that all of it
    /// took.
    pub(crate) fn real_sweep(
        &self,
        strategy: Strategy,
    ) -> Result<Option<(Cell, f64)>, Box<dyn Error>> {
        let path = self.real(strategy);
        if strategy == Strategy::Grid || !path.join("summary.json").exists() {
            return Ok(None);
        }
        let summary = Summary::read(&path.join("summary.json"))?;
        let ceilings: Ceilings = serde_json::from_slice(&fs::read(path.join("ceilings.json"))?)?;
        Ok(Some((summary.recommended, ceilings.duration_s + summary.method.trials_s)))
    }
}
