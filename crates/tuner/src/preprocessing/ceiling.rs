//! How fast one worker can be at best.

use preproc::Compose;
use preproc::benchmark::PreprocessingProfiler;
use preproc::benchmark::image::{Image, Step};
use profiler::stage::StageTimes;
use profiler::statistics::{mean, standard_deviation};
use serde::{Deserialize, Serialize};

use super::images::ImageFiles;
use crate::{Config, TunerError};

/// What the planned transforms of a configuration cost, decoding included, and so how many samples
/// a worker can make in a second at most: one thread that always has a core, files in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComposeCeiling {
    /// Images that it was measured on, spread evenly over the data set.
    pub images: usize,
    /// Seconds of a sample, of the thread's CPU time, which other programs do not change much: the
    /// mean of the images, of each the least of [`ROUNDS`] times.
    pub sample_s: f64,
    /// Standard error of that, for the choice of the images; absent of one image.
    pub standard_error_s: Option<f64>,
    /// Samples a second of a worker, at most.
    pub samples_per_s: f64,
    /// Seconds of a sample by stage; its read is 0, as files were in memory.
    pub stages: StageTimes,
}

/// Times that each image is transformed.
pub const ROUNDS: usize = 3;
/// More images would make the figure no better than it is used for.
pub(super) const IMAGES: usize = 100;
const BYTES: u64 = 256 << 20;

impl ComposeCeiling {
    /// Measures it, in about a second; `None` if the data are no image files.
    ///
    /// # Errors
    /// If the data is not there, the transforms make no sense, or no image can be transformed.
    pub fn measure(config: &Config) -> Result<Option<Self>, TunerError> {
        let Some(files) = ImageFiles::open(config)? else { return Ok(None) };
        Self::of(&files).map(Some)
    }

    /// As [`measure`](Self::measure), of data that is open.
    ///
    /// # Errors
    /// If no image can be transformed.
    pub fn of(files: &ImageFiles) -> Result<Self, TunerError> {
        Self::with(&files.choose(IMAGES, BYTES).images, &files.compose)
    }

    /// Of `images`, which must have been opened for samples of this type and shape.
    pub(super) fn with(images: &[Image], compose: &Compose) -> Result<Self, TunerError> {
        let whole = Step::whole(compose);
        let mut profiler = PreprocessingProfiler::new().thread_cpu_time();
        let mut least = vec![f64::INFINITY; images.len()];
        for _ in 0..ROUNDS {
            let row = profiler.profile_samples(&whole, images, &[1]).swap_remove(0);
            let Some(measured) = row.measured() else {
                let reason = row.failure().map(|failure| failure.reason()).unwrap_or_default();
                return Err(TunerError::NoTransform { reason });
            };
            for (least, took) in least.iter_mut().zip(&measured.execution.raw_s) {
                *least = least.min(*took);
            }
        }
        let sample_s = mean(&least).unwrap_or(f64::INFINITY);
        let images = least.len();
        // Of the time by stage only the shares are taken: it is of all calls, warm-up included.
        let stages = whole.stages();
        let share = sample_s / (stages.decode_s + stages.transform_s + stages.write_s);
        Ok(Self {
            images,
            sample_s,
            standard_error_s: standard_deviation(&least).map(|s| s / (images as f64).sqrt()),
            samples_per_s: 1.0 / sample_s,
            stages: StageTimes {
                decode_s: stages.decode_s * share,
                transform_s: stages.transform_s * share,
                write_s: stages.write_s * share,
                ..StageTimes::default()
            },
        })
    }
}
