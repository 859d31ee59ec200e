//! A training loop that becomes faster half-way, and a loader whose workers and depth follow it.
//!
//! `cargo run --release --example autotune -- datasets/imagenet/train [seconds]`

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use loader::{ImageFolder, Loader};
use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};

/// What a step takes, as on a GPU: this thread waits meanwhile and leaves the cores to the workers.
const STEPS: [Duration; 2] = [Duration::from_millis(80), Duration::from_millis(30)];

fn main() -> Result<()> {
    // The moves are logged as they are made.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("usage: autotune FOLDER [SECONDS]")?;
    let seconds: u64 = arguments.next().map_or(Ok(20), |seconds| seconds.parse())?;

    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let dataset = ImageFolder::open(folder, Compose::new(transforms, DecodeOptions::default())?)?;
    let builder = Loader::builder(dataset).batch_size(32).shuffle(true);
    let mut loader = builder.num_workers(4).prefetch_depth(4).build()?;
    loader.autotune()?;

    let mut epoch = 0;
    for step in STEPS {
        let (begin, before) = (Instant::now(), loader.stats());
        while begin.elapsed() < Duration::from_secs(seconds) {
            for batch in loader.epoch(epoch) {
                drop(batch?);
                std::thread::sleep(step);
                if begin.elapsed() >= Duration::from_secs(seconds) {
                    break;
                }
            }
            epoch += 1;
        }
        let settings = loader.settings();
        println!(
            "steps of {step:?}: {} workers at depth {}; the loop waited {:.0}% of the time",
            settings.num_workers,
            settings.prefetch_depth,
            100.0 * loader.stats().since(&before).wait_share(),
        );
    }
    println!("moves:");
    for made in loader.moves() {
        println!("  {made}");
    }
    Ok(())
}
