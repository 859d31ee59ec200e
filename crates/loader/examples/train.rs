//! Trains a small convolutional net on images in class folders, with the settings of a sweep.
//!
//! `cargo run --release --example train -- recommended.toml datasets/imagenet/train [epochs]`

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use loader::{ImageFolder, Loader};
use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use tch::nn::{self, ModuleT, OptimizerConfig};

fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // First of all: libtorch asks once whether there is a GPU.
    let device = loader::cuda::device();
    let mut arguments = std::env::args().skip(1);
    let settings = arguments.next().context("usage: train SETTINGS.toml FOLDER [EPOCHS]")?;
    let folder = arguments.next().context("usage: train SETTINGS.toml FOLDER [EPOCHS]")?;
    let epochs: u64 = arguments.next().map_or(Ok(3), |epochs| epochs.parse())?;

    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(96)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let dataset = ImageFolder::open(folder, Compose::new(transforms, DecodeOptions::default())?)?;
    let classes = dataset.classes().len() as i64;
    let mut loader = Loader::from_settings(settings, dataset)?.shuffle(true).build()?;

    let store = nn::VarStore::new(device);
    let model = net(&store.root(), classes);
    let mut optimizer = nn::Adam::default().build(&store, 1e-3)?;

    let (mut waiting, mut computing) = (Duration::ZERO, Duration::ZERO);
    for epoch in 0..epochs {
        let (mut loss_sum, mut batches) = (0.0, 0);
        let mut since = Instant::now();
        for batch in loader.epoch(epoch) {
            let batch = batch?.to_device(device);
            waiting += since.elapsed();
            since = Instant::now();
            let logits = model.forward_t(&batch["images"], true);
            let loss = logits.cross_entropy_for_logits(&batch["labels"]);
            optimizer.backward_step(&loss);
            loss_sum += loss.double_value(&[]);
            batches += 1;
            computing += since.elapsed();
            since = Instant::now();
        }
        println!("epoch {epoch}: loss {:.3}", loss_sum / f64::from(batches));
    }
    let share = waiting.as_secs_f64() / (waiting + computing).as_secs_f64();
    println!(
        "waiting for data {waiting:.1?}, compute {computing:.1?}: {:.0}% waiting",
        100.0 * share
    );
    Ok(())
}

/// Three strided convolutions, `[N, 3, H, W]` to `[N, classes]`.
fn net(path: &nn::Path, classes: i64) -> impl ModuleT + use<> {
    let conv = |name: &str, from, to| {
        let config = nn::ConvConfig { stride: 2, padding: 1, ..Default::default() };
        nn::conv2d(path / name, from, to, 3, config)
    };
    nn::seq_t()
        .add(conv("conv1", 3, 16))
        .add_fn(|x| x.relu().max_pool2d_default(2))
        .add(conv("conv2", 16, 32))
        .add_fn(|x| x.relu())
        .add(conv("conv3", 32, 64))
        .add_fn(|x| x.relu().adaptive_avg_pool2d([1, 1]).flatten(1, -1))
        .add(nn::linear(path / "linear", 64, classes, Default::default()))
}
