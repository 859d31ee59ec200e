//! The data that is swept: six things that limit a loader.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use loader::datasets::{Array, compute_for};
use loader::{Arrays, Dataset, Dtype, Field, ImageFolder, SampleError, Settings, Slot, Synthetic};
use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use tuner::Sweep;
use tuner::config::SweepConfig;
use tuner::consumer::Consumer;
use tuner::data::ImagenetLike;
use tuner::sweep::Finished;
use tuner::sweep::objective::Objective;
use tuner::sweep::strategy::Strategy;

/// Their names.
pub(crate) const WORKLOADS: [&str; 6] = [
    "decode-bound",
    "io-delay-bound",
    "memory-bound",
    "tiny-in-memory",
    "consumer-bound",
    "uneven-costs",
];
/// All of them: one batch size, 48 settings.
pub(crate) const BATCH_SIZE: usize = 32;
const WORKERS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
const DEPTHS: [usize; 6] = [1, 2, 3, 4, 6, 8];
const IMAGES: usize = 300;

/// How a workload is swept.
pub(crate) struct How<'a> {
    pub(crate) strategy: Strategy,
    pub(crate) repeats: usize,
    pub(crate) measure_s: f64,
    pub(crate) time_budget_s: Option<f64>,
    pub(crate) out: &'a Path,
}

/// Sweeps a workload for samples a second; goes on where an earlier sweep in the folder stopped. In a
/// process started for a trial it does not return.
pub(crate) fn sweep(
    workload: &str,
    images: &Path,
    how: &How<'_>,
) -> Result<Finished, Box<dyn Error>> {
    let step = if workload == "consumer-bound" { Consumer::StepMs(5.0) } else { Consumer::None };
    let config = SweepConfig {
        batch_size: vec![BATCH_SIZE],
        num_workers: WORKERS.to_vec(),
        prefetch_depth: DEPTHS.to_vec(),
        repeats: if how.strategy == Strategy::Grid { how.repeats } else { 1 },
        max_repeats: how.repeats,
        confirm: 5,
        strategy: how.strategy,
        objective: Some(Objective::SamplesPerSecond),
        consumer: step,
        time_budget_s: how.time_budget_s,
        warmup_s: 0.1,
        measure_s: how.measure_s,
        ..SweepConfig::default()
    };
    let loader = Settings { batch_size: BATCH_SIZE, shuffle: true, ..Settings::default() };
    let resume = how.out.join("plan.json").exists();
    let sweep = Sweep::new(config).loader(loader).out(how.out).resume(resume);
    let numbers = || Synthetic::new([Field::new("x", [256], Dtype::Float32)], 8192);
    Ok(match workload {
        "decode-bound" => {
            let images = images.to_owned();
            if !images.exists() {
                let (out, photos) = (images.clone(), "datasets/photos".into());
                ImagenetLike { images: IMAGES, seed: 0, out, photos }.make(|| {})?;
            }
            sweep.try_run(move || ImageFolder::open(&images, compose()))?
        }
        "io-delay-bound" => sweep.run(move || numbers().io_delay(Duration::from_millis(2)))?,
        "memory-bound" => sweep.try_run(|| arrays(128, 256 << 10))?,
        "tiny-in-memory" => sweep.try_run(|| arrays(4096, 3 * 32 * 32))?,
        "consumer-bound" => sweep.run(move || numbers().cpu(Duration::from_micros(200)))?,
        "uneven-costs" => sweep.run(|| Uneven { samples: 8192 })?,
        other => return Err(format!("no workload `{other}`; there are {WORKLOADS:?}").into()),
    })
}

fn compose() -> Compose {
    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    Compose::new(transforms, DecodeOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// So many samples of so many float32 numbers in memory.
fn arrays(samples: usize, elements: usize) -> Result<Arrays, loader::error::DatasetError> {
    let x = Array::from_values(&vec![1.0_f32; samples * elements], &[samples, elements])?;
    Arrays::new([("x", x)])
}

/// Samples of which most cost little and few cost much: 100 us on average, one in 32 takes 40 times
/// what the others do.
struct Uneven {
    samples: usize,
}

impl Dataset for Uneven {
    type Worker = ();

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("x", [256], Dtype::Float32)]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        let dear = index.is_multiple_of(32);
        compute_for(Duration::from_micros(if dear { 1800 } else { 45 }));
        slot.fields.get_mut::<f32>(0).fill(index as f32);
        Ok(())
    }
}
