//! One setting, measured in this process: `tuner bench`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loader::{LoaderError, Settings};
use preproc::decode::Decoder;
use preproc::{DecodeOptions, Pixels, Region};
use profiler::machine;
use profiler::monitor::{peak_rss_bytes, process_cpu};
use profiler::stage::StageTimes;
use serde::Serialize;

use crate::config::DatasetConfig;
use crate::{Config, TunerError, dataset};

/// What `tuner bench` prints.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Samples a second over the measured epochs.
    pub samples_per_s: f64,
    /// Batches a second over the measured epochs.
    pub batches_per_s: f64,
    /// From building the loader to the first batch of the warm-up epoch.
    pub first_batch_s: f64,
    /// Length of the measured epochs.
    pub wall_s: f64,
    /// Samples in the measured epochs.
    pub samples: usize,
    /// CPU time of the whole process in the measured epochs.
    pub cpu_s: f64,
    /// Highest resident memory of the process, from its start; `None` where the system does not
    /// tell.
    pub peak_rss_bytes: Option<u64>,
    /// The setting in effect.
    pub batch_size: usize,
    /// The setting in effect.
    pub num_workers: usize,
    /// The setting in effect.
    pub prefetch_depth: usize,
    /// The setting in effect.
    pub pin_memory: bool,
    /// libtorch's version.
    pub libtorch: &'static str,
    /// Thread-seconds by stage in the measured epochs.
    pub stages: StageTimes,
}

/// Loads `epochs` epochs after one for warming up; `on_batch` is called after each batch.
///
/// # Errors
/// If the data set cannot be opened or a sample cannot be loaded.
pub fn run(
    config: &Config,
    settings: Settings,
    epochs: u64,
    on_batch: impl Fn(),
) -> Result<BenchReport, TunerError> {
    let data = dataset::open(config)?;
    let start = Instant::now();
    let mut loader = data.builder().settings(settings).build()?;
    let mut first_batch_s = None;
    for batch in loader.epoch(0) {
        batch?;
        first_batch_s.get_or_insert_with(|| start.elapsed().as_secs_f64());
        on_batch();
    }
    let (start, cpu, times) = (Instant::now(), process_cpu(), loader.stats().stages);
    let (mut samples, mut batches) = (0, 0);
    for epoch in 1..=epochs {
        for batch in loader.epoch(epoch) {
            samples += batch?.len();
            batches += 1;
            on_batch();
        }
    }
    let wall_s = start.elapsed().as_secs_f64();
    let cpu_s = (process_cpu() - cpu).as_secs_f64();
    let settings = loader.settings();
    Ok(BenchReport {
        samples_per_s: samples as f64 / wall_s,
        batches_per_s: f64::from(batches) / wall_s,
        first_batch_s: first_batch_s.unwrap_or_default(),
        wall_s,
        samples,
        cpu_s,
        peak_rss_bytes: peak_rss_bytes(),
        batch_size: settings.batch_size,
        num_workers: settings.num_workers,
        prefetch_depth: settings.prefetch_depth,
        pin_memory: settings.pin_memory,
        libtorch: loader::libtorch_version(),
        stages: loader.stats().stages - times,
    })
}

/// What `tuner bench --decode-only` prints.
#[derive(Clone, Debug, Serialize)]
pub struct DecodeReport {
    /// Images a second.
    pub samples_per_s: f64,
    /// Length of the measurement.
    pub wall_s: f64,
    /// Images decoded.
    pub samples: usize,
    /// CPU time of the whole process.
    pub cpu_s: f64,
    /// Threads that decoded.
    pub num_workers: usize,
    /// Size of the files decoded in one pass.
    pub bytes: u64,
}

/// Files are held in memory up to this size: reading them must not count.
const HELD_BYTES: u64 = 1 << 30;

/// The rate at which libjpeg-turbo alone decodes the JPEG files of the data set in full, from
/// memory, on `num_workers` threads (all usable cores if 0): `epochs` passes after one for
/// warming up.
///
/// # Errors
/// If the data set cannot be opened or a file cannot be decoded.
pub fn decode_only(
    config: &Config,
    num_workers: usize,
    epochs: u64,
) -> Result<DecodeReport, TunerError> {
    let DatasetConfig::ImageFolder(folder) = &config.dataset else {
        let what = "there are no files to decode alone";
        return Err(TunerError::NoImages { what, expected: "data of kind `image-folder`" });
    };
    let data = dataset::open_folder(folder)?;
    let mut files = Vec::new();
    let mut bytes = 0;
    for (path, _) in data.images() {
        let file = std::fs::read(path).map_err(TunerError::file("read", path))?;
        if file.starts_with(&[0xFF, 0xD8]) {
            bytes += file.len() as u64;
            files.push((path.clone(), file));
        }
        if bytes > HELD_BYTES {
            break;
        }
    }
    if files.is_empty() {
        return Err(TunerError::NoJpegs { root: folder.root.clone() });
    }
    let threads = match num_workers {
        0 => (machine::usable_cores() as usize).max(1),
        threads => threads,
    };
    let options = &folder.decode;
    decode_pass(&files, options, threads)?;
    let (start, cpu) = (Instant::now(), process_cpu());
    for _ in 0..epochs {
        decode_pass(&files, options, threads)?;
    }
    let wall_s = start.elapsed().as_secs_f64();
    let samples = files.len() * epochs as usize;
    Ok(DecodeReport {
        samples_per_s: samples as f64 / wall_s,
        wall_s,
        samples,
        cpu_s: (process_cpu() - cpu).as_secs_f64(),
        num_workers: threads,
        bytes,
    })
}

fn decode_pass(
    files: &[(PathBuf, Vec<u8>)],
    options: &DecodeOptions,
    threads: usize,
) -> Result<(), TunerError> {
    let next = AtomicUsize::new(0);
    let decode = || {
        let (mut decoder, mut pixels) = (Decoder::default(), Pixels::default());
        while let Some((path, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let decoded = decoder.open(file, options).and_then(|encoded| {
                let whole = Region::whole(encoded.width(), encoded.height());
                decoder.decode(encoded, whole, &mut pixels)
            });
            decoded.map_err(|source| TunerError::Decode { path: path.clone(), source })?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let start = |number| {
            std::thread::Builder::new().spawn_scoped(scope, decode).map_err(|source| {
                // Those that have started find nothing more to do.
                next.store(files.len(), Ordering::Relaxed);
                LoaderError::Spawn { kind: "decode", number, source }
            })
        };
        let threads = (0..threads).map(start).collect::<Result<Vec<_>, _>>()?;
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(decoded) => decoded,
            Err(_) => Err(TunerError::Bug("a decoding thread panicked".into())),
        })
    })
}
