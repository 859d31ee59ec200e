//! `tuner bench`.

use std::thread;
use std::time::Duration;

use clap::Args;

use super::{SettingArgs, SourceArgs, print, print_json};
use crate::sweep::words::count;
use crate::{TunerError, bench, progress_bar};

/// The arguments of `tuner bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Epochs to measure, after one for warming up.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: u64,
    /// Wait so long after each batch, as if training on it.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    step_ms: u64,
    /// Measure instead how fast libjpeg-turbo alone decodes the same files in full, on as many
    /// threads as there are workers.
    #[arg(long)]
    decode_only: bool,
}

pub(super) fn run(args: BenchArgs) -> Result<(), TunerError> {
    let config = args.source.read()?;
    let settings = args.setting.over(&config.loader)?;
    args.source.prepare(&config)?;
    if args.decode_only {
        let workers = args.setting.num_workers.unwrap_or(0);
        let report = bench::decode_only(&config, workers, args.epochs)?;
        if args.source.json {
            return print_json(&report);
        }
        return print(&format!(
            "{:.0} images/s: libjpeg-turbo alone, {} files decoded in full from memory on {}",
            report.samples_per_s,
            report.samples / args.epochs as usize,
            count(report.num_workers, "thread")
        ));
    }
    let bar = progress_bar::spinner(args.source.quiet);
    let on_batch = || {
        bar.inc(1);
        thread::sleep(Duration::from_millis(args.step_ms));
    };
    let report = bench::run(&config, settings, args.epochs, on_batch)?;
    bar.finish_and_clear();
    if args.source.json {
        return print_json(&report);
    }
    let bench::BenchReport { samples_per_s, batches_per_s, wall_s, stages, .. } = report;
    let memory = match report.peak_rss_bytes {
        Some(bytes) => format!(", peak memory {} MiB", bytes >> 20),
        None => String::new(),
    };
    print(&format!(
        "{samples_per_s:.0} samples/s, {batches_per_s:.1} batches/s over {wall_s:.1} s; first \
         batch after {:.0} ms\n\
         batch size {}, {}, prefetch depth {}; {:.2} CPU-seconds{memory}\n\
         thread-seconds: read {:.2}, decode {:.2}, transform {:.2}, write {:.2}, other {:.2}, \
         wait for room {:.2}",
        1e3 * report.first_batch_s,
        report.batch_size,
        count(report.num_workers, "worker"),
        report.prefetch_depth,
        report.cpu_s,
        stages.read_s,
        stages.decode_s,
        stages.transform_s,
        stages.write_s,
        stages.other_s,
        stages.wait_room_s
    ))
}
