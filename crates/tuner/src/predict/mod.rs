//! What a setting would give that was not measured, by past sweeps of this machine.
//!
//! The runs of those that measured the same thing as the newest are taken together (`pool.rs`), and how
//! fast the machine was in each sweep is taken off. The [model](crate::sweep::model) of the sweep is fitted
//! to what is left (`fitted.rs`). How far that can be trusted is measured: each setting is left out in turn,
//! with all of its runs, and predicted from the others (`cross.rs`); the errors are stated, and intervals are
//! as wide as they were.

mod cross;
mod fitted;
mod pool;

use std::path::{Path, PathBuf};

use loader::settings::MachineTable;
use serde::Serialize;

use self::cross::LeftOneOut;
use self::fitted::Fitted;
use self::pool::Pool;
use crate::TunerError;
use crate::sweep::grid::Cell;
use crate::sweep::summary::Summary;

/// With fewer settings nothing is predicted: three are left when one is left out.
pub const LEAST_SETTINGS: usize = 4;

/// What is predicted, and what that rests on.
#[derive(Clone, Debug, Serialize)]
pub struct Predictions {
    /// The folders of the sweeps that were taken, oldest first.
    pub sweeps: Vec<PathBuf>,
    /// Those that were not.
    pub left_out: Vec<LeftOut>,
    /// The data's folder, in the newest sweep; empty where it is in none.
    pub data: String,
    /// What stood in for the training loop.
    pub consumer: String,
    /// The state of the page cache.
    pub cache: String,
    /// Runs with figures.
    pub runs: usize,
    /// Settings that they are of.
    pub settings: usize,
    /// Samples a second of the slowest sweep and of the fastest by those of the middle one, on settings that
    /// they share; absent where no setting was in two sweeps.
    pub levels: Option<[f64; 2]>,
    /// So many of several sweeps share no setting with another: how fast the machine was then is not known.
    pub unlevelled: usize,
    /// How wrong predictions are.
    pub errors: Errors,
    /// In the order in which they were asked for.
    pub predictions: Vec<Predicted>,
}

/// A sweep that was not taken.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// Its folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// How wrong predictions were of settings that were left out, one at a time, with all of their runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// The median of `|predicted / measured - 1|`, of samples a second.
    pub median: f64,
    /// The 90th percentile of that.
    pub ninetieth: f64,
    /// So often an interval as wide as those of the predictions holds what is measured, 0 to 1.
    pub interval_share: f64,
    /// Settings whose limiting stage is known.
    pub limits: usize,
    /// So many of these were predicted to be limited by that stage.
    pub limits_right: usize,
}

/// What is predicted of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// Samples a second, with the machine as fast as in the middle one of the sweeps.
    pub samples_per_s: f64,
    /// As often as [`Errors::interval_share`] says, what as many runs would measure as the other settings had is
    /// between these.
    pub interval: [f64; 2],
    /// Whether it is far from all that was measured, so that this is hardly more than a guess.
    pub far: bool,
    /// What is expected to limit it; absent where that is not known of any setting.
    pub limit: Option<PredictedLimit>,
    /// What was measured of it, if anything.
    pub measured: Option<MeasuredSetting>,
}

/// A stage that is expected to limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PredictedLimit {
    /// Such as `decode`.
    pub stage: String,
    /// The share of runs that are expected to name it, 0 to 1.
    pub share: f64,
}

/// What was measured of a setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasuredSetting {
    /// Samples a second: the median of its runs, each with the machine as fast as in the middle one of the
    /// sweeps.
    pub samples_per_s: f64,
    /// Runs with figures.
    pub runs: usize,
    /// The stage that most of them name.
    pub limit: Option<String>,
}

/// What `cells` would give on this machine, by the sweeps in `folder`, which is one, or has them in
/// folders, or in folders of folders.
///
/// # Errors
/// If there is no finished sweep of this machine, or fewer than [`LEAST_SETTINGS`] settings were measured.
pub fn settings(folder: &Path, cells: &[Cell]) -> Result<Predictions, TunerError> {
    let pool = Pool::of(folder, &MachineTable::here())?;
    let (prior, runs, sweeps) = (pool.prior(), pool.runs(), pool.sweeps().count());
    let fitted = Fitted::new(&prior, &runs, sweeps);
    let settings = fitted.settings.len();
    if settings < LEAST_SETTINGS {
        let reason = format!(
            "settings measured: {settings}, and {LEAST_SETTINGS} are needed{}",
            pool::listed(&pool.left_out)
        );
        let hint = "sweep more settings, with `tuner sweep`";
        return Err(TunerError::CannotPredict { folder: folder.to_owned(), reason, hint });
    }
    let left_one_out = LeftOneOut::new(&prior, &runs, &fitted);
    let Summary { data, method, .. } = &pool.newest.summary;
    let alone = fitted.levels.iter().filter(|level| level.is_none()).count();
    Ok(Predictions {
        sweeps: pool.sweeps().map(|sweep| sweep.path.clone()).collect(),
        data: data.root.clone(),
        consumer: method.consumer.to_string(),
        cache: method.cache.name().to_owned(),
        runs: runs.len(),
        settings,
        levels: fitted.level_range(),
        unlevelled: if sweeps > 1 { alone } else { 0 },
        errors: left_one_out.errors(),
        predictions: cells.iter().map(|cell| left_one_out.predict(&fitted, *cell)).collect(),
        left_out: pool.left_out,
    })
}
