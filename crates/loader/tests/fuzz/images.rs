//! Image files, through every way of a `Compose`.

use std::path::Path;
use std::sync::Arc;

use preproc::transform::{
    CenterCrop, HorizontalFlip, Normalize, RandomResizedCrop, Resize, ResizeSize, Size, ToTensor,
};
use preproc::{Compose, DecodeOptions, ImageTransform, SampleRng, TransformError, Worker};
use profiler::stage::{Stage, StageClock, StageCounters};
use rand::RngExt;

use crate::mutate::pick;
use crate::runner::State;

/// Low, so that files are refused for it, and that the limit on memory says something.
pub(crate) const MAX_PIXELS: u64 = 1 << 16;

pub(crate) struct Images {
    composes: Vec<Compose>,
    /// Used from case to case, as by a loader.
    worker: Worker,
    clock: StageClock,
}

impl State for Images {
    fn new(_: &Path) -> Self {
        let clock = StageClock::new(Arc::new(StageCounters::default()), Stage::Other);
        Self { composes: composes(), worker: Worker::default(), clock }
    }

    fn check(&mut self, file: &[u8], rng: &mut SampleRng) -> bool {
        let compose = pick(&self.composes, rng);
        let seed = rng.random();
        let first = apply(compose, file, seed, &mut self.worker, &mut self.clock);
        if rng.random_range(0..4) == 0 {
            // What a worker did before must not show.
            let fresh = apply(compose, file, seed, &mut Worker::default(), &mut self.clock);
            match (&first, &fresh) {
                (Ok(first), Ok(fresh)) => assert!(first == fresh, "pixels of another image"),
                (Err(first), Err(fresh)) => assert_eq!(first.to_string(), fresh.to_string()),
                _ => panic!("{:?}, but then {:?}", first.err(), fresh.err()),
            }
        } else if rng.random_range(0..3) == 0 {
            // Nor may the draw of a crop decide whether a file is good.
            let other = apply(compose, file, !seed, &mut self.worker, &mut self.clock);
            assert_eq!(first.is_ok(), other.is_ok(), "{:?} {:?}", first.err(), other.err());
        }
        match first {
            Ok(sample) => {
                assert!(sample.iter().all(|value| (-4.0..=4.0).contains(value)), "{sample:?}");
                true
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                false
            }
        }
    }
}

/// Runs `compose`; what it does not write is left as NaN.
fn apply(
    compose: &Compose,
    file: &[u8],
    seed: u64,
    worker: &mut Worker,
    clock: &mut StageClock,
) -> Result<Vec<f32>, TransformError> {
    let mut sample = vec![f32::NAN; compose.shape().iter().product()];
    compose.apply(file, &mut SampleRng::new(seed, 0, 0), worker, clock, &mut sample)?;
    Ok(sample)
}

fn composes() -> Vec<Compose> {
    let options = |max_pixels, exif_orientation| DecodeOptions { max_pixels, exif_orientation };
    let compose = |steps: &[ImageTransform], options| {
        let end = [
            ImageTransform::ToTensor(ToTensor::default()),
            ImageTransform::Normalize(Normalize::IMAGENET),
        ];
        Compose::new([&[ImageTransform::Decode], steps, &end].concat(), options).unwrap()
    };
    let training = [
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(24)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
    ];
    let evaluation = [
        ImageTransform::Resize(Resize { size: ResizeSize::Short(20) }),
        ImageTransform::CenterCrop(CenterCrop { size: Size::Square(16) }),
    ];
    let cut = [ImageTransform::CenterCrop(CenterCrop { size: Size::Sides([9, 30]) })];
    vec![
        compose(&training, options(MAX_PIXELS, false)),
        compose(&training, options(MAX_PIXELS, true)),
        compose(&training, options(1_000, false)),
        compose(&evaluation, options(MAX_PIXELS, false)),
        compose(&evaluation, options(MAX_PIXELS, true)),
        compose(&cut, options(MAX_PIXELS, true)),
    ]
}
