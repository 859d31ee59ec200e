//! Trains under the profiler, which says what each epoch's time went on.
//!
//! `cargo run --release --example profile_training -- datasets/imagenet/train report [epochs]`

use std::sync::Arc;

use anyhow::{Context, Result};
use loader::{ImageFolder, Loader};
use preproc::transform::{HorizontalFlip, Normalize, RandomResizedCrop, ToTensor};
use preproc::{Compose, DecodeOptions, ImageTransform};
use profiler::bottleneck::BottleneckType::{CpuComputation, DataLoading, Preprocessing};
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::profiler::BottleneckProfiler;
use tch::nn::{self, ModuleT, OptimizerConfig};

fn main() -> Result<()> {
    // First of all: libtorch asks once whether there is a GPU.
    let device = loader::cuda::device();
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: profile_training FOLDER REPORT [EPOCHS]";
    let (folder, report) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let epochs: u64 = arguments.next().map_or(Ok(2), |epochs| epochs.parse())?;

    let transforms = vec![
        ImageTransform::Decode,
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(96)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let dataset = ImageFolder::open(&folder, Compose::new(transforms, DecodeOptions::default())?)?;
    let classes = dataset.classes().len() as i64;
    let mut loader =
        Loader::builder(dataset).batch_size(32).num_workers(1).shuffle(true).build()?;

    let store = nn::VarStore::new(device);
    let model = net(&store.root(), classes);
    let mut optimizer = nn::Adam::default().build(&store, 1e-3)?;

    let profiler =
        BottleneckProfiler::new(ProfilerConfig::at_level(ProfilingLevel::Comprehensive))?;
    // A GPU works on while the program goes on: operations that ask for it wait for its work.
    profiler.register_sync(Arc::new(loader::cuda::synchronize));
    profiler.register_metric_source(Arc::new(loader::cuda::AllocatorMemory));
    profiler.start_session("training")?;
    profiler.register_pipeline("loader", loader.pipeline())?;
    profiler.attribute("data.root", &folder)?;
    for epoch in 0..epochs {
        let _epoch = profiler.operation("epoch", CpuComputation);
        let mut batches = loader.epoch(epoch);
        while let Some(batch) =
            profiler.profile_operation("data loading", DataLoading, || batches.next())
        {
            let batch = {
                let _operation = profiler.synced_operation("preprocessing", Preprocessing);
                batch?.to_device(device)
            };
            let loss = {
                let _operation = profiler.synced_operation("forward", CpuComputation);
                let logits = model.forward_t(&batch["images"], true);
                logits.cross_entropy_for_logits(&batch["labels"])
            };
            let _operation = profiler.synced_operation("backward", CpuComputation);
            optimizer.backward_step(&loss);
        }
    }
    profiler.stop_session()?;
    println!("{}", profiler.summary());
    for file in profiler.write_report(&report)? {
        println!("{}", file.display());
    }
    Ok(())
}

/// Three strided convolutions, `[N, 3, H, W]` to `[N, classes]`.
fn net(path: &nn::Path, classes: i64) -> impl ModuleT + use<> {
    let conv = |name: &str, from, to| {
        let config = nn::ConvConfig { stride: 2, padding: 1, ..Default::default() };
        nn::conv2d(path / name, from, to, 3, config)
    };
    nn::seq_t()
        .add(conv("conv1", 3, 32))
        .add_fn(|x| x.relu())
        .add(conv("conv2", 32, 64))
        .add_fn(|x| x.relu())
        .add(conv("conv3", 64, 64))
        .add_fn(|x| x.relu().adaptive_avg_pool2d([1, 1]).flatten(1, -1))
        .add(nn::linear(path / "linear", 64, classes, Default::default()))
}
