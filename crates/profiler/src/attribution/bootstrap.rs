//! How sure a potential is: resampling of the stretches between snapshots.
//!
//! A replicate is the sum of as many stretches, drawn with replacement. What the pipeline loses
//! beyond its bounds is taken from the model and held fixed, so that no replicate is replayed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{Change, Model, StageId};
use super::window;
use crate::bootstrap;
use crate::pipeline::PipelineSnapshot;

/// Fewer stretches say nothing about how much they scatter.
const LEAST: usize = 8;
const REPLICATES: usize = 1000;
/// What the model itself may be off by, of which resampling knows nothing: with this much at each end
/// the interval holds the truth in 96% of the pipelines of the example `simulated_pipelines`, without
/// it in 87%.
const MODEL_ERROR: f64 = 0.01;
/// Fixed: the same snapshots give the same interval.
const SEED: u64 = 0;

/// The replicates; none of too few stretches.
pub(super) struct Bootstrap {
    whole: Option<Model>,
    replicates: Vec<Model>,
}

impl Bootstrap {
    pub(super) fn of(stretches: &[PipelineSnapshot], cores: f64) -> Self {
        let whole = window::sum(&stretches.iter().collect::<Vec<_>>());
        let whole = whole.and_then(|sum| Model::of(&sum, cores));
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let wanted = if stretches.len() < LEAST { 0 } else { REPLICATES };
        let replicates = (0..wanted)
            .filter_map(|_| {
                let any = |_| &stretches[rng.random_range(0..stretches.len())];
                let drawn: Vec<_> = stretches.iter().map(any).collect();
                Model::of(&window::sum(&drawn)?, cores)
            })
            .collect();
        Self { whole, replicates }
    }

    /// The 95% interval of a stage's potential, widened by [`MODEL_ERROR`].
    pub(super) fn interval(&self, stage: StageId, potential: f64) -> Option<[f64; 2]> {
        if self.replicates.is_empty() {
            return None;
        }
        let ratio = |model: &Model| model.bound_if(Change::Demand(stage, 0.0)).1 / model.interval_s;
        // What is left of the time, over what the bounds leave of it.
        let beyond = (1.0 - potential) / ratio(self.whole.as_ref()?).max(f64::MIN_POSITIVE);
        let potential = |model| (1.0 - beyond * ratio(model)).clamp(0.0, 1.0);
        let [low, high] =
            bootstrap::interval(&self.replicates.iter().map(potential).collect::<Vec<_>>())?;
        Some([(low - MODEL_ERROR).max(0.0), (high + MODEL_ERROR).min(1.0)])
    }
}
