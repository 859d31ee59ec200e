//! The process of a trial: it reads its task, measures, and tells.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use loader::error::Report;
use loader::{LoaderError, Settings};
use profiler::monitor::{Monitor, MonitorOptions};
use rustix::io::Errno;
use serde::Serialize;

use super::{Job, REACHED, Told, TrialSpec};
use crate::config::SweepConfig;
use crate::measure::{
    Figures, LEAST_BATCHES, Measure, Moment, Reference, SAMPLING, StartReference, least_warmup_s,
    rss_bytes, warmup_batches,
};
use crate::sweep::cache::{Cache, evict_if_cold};
use crate::sweep::ceiling;
use crate::sweep::grid::Cell;
use crate::timeline::{self, Taken, Timeline};
use crate::{Config, TunerError, dataset};

/// The life of a trial process: reads its task, measures, prints the figures or why there are
/// none.
///
/// # Errors
/// If the task cannot be read or the result not be printed.
pub fn child_main() -> Result<(), TunerError> {
    let spec: TrialSpec = serde_json::from_reader(io::stdin())
        .map_err(|error| TunerError::Bug(format!("a trial without a task: {error}")))?;
    die_with(spec.parent);
    go_first();
    // Nobody listens where the parent is gone.
    let _ = writeln!(io::stdout(), "\n{REACHED}");
    match spec.job {
        Job::Setting(cell) => tell(measure(&spec.config, cell, spec.reference)),
        Job::Ceilings => tell(ceiling::measure(&spec.config)),
    }
}

/// Prints what was measured, or why it could not be.
fn tell<T: Serialize>(outcome: Result<T, TunerError>) -> Result<(), TunerError> {
    let told = match outcome {
        Ok(figures) => Told::Figures(figures),
        Err(error) => {
            Told::Error { message: Report(&error).to_string(), bad_sample: bad_sample(&error) }
        }
    };
    let line = serde_json::to_string(&told).map_err(|e| TunerError::Bug(e.to_string()))?;
    // On a line of its own, whatever was printed before.
    writeln!(io::stdout(), "\n{line}")
        .map_err(TunerError::file("write", Path::new("standard output")))
}

/// The sample that `error` is about, unless the machine was at its limits: a setting with fewer
/// workers may do then.
fn bad_sample(error: &TunerError) -> Option<String> {
    let TunerError::Loader(LoaderError::Sample { index, origin, source }) = error else {
        return None;
    };
    let source: &(dyn Error + 'static) = &**source;
    let mut causes = std::iter::successors(Some(source), |cause| (*cause).source());
    let at_limits = causes.any(|cause| {
        cause.downcast_ref::<io::Error>().and_then(Errno::from_io_error).is_some_and(|errno| {
            [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS].contains(&errno)
        })
    });
    if at_limits {
        return None;
    }
    Some(origin.path().map_or_else(|| format!("sample {index}"), str::to_owned))
}

/// Has the system end this process, and not the sweep or another, where memory runs out.
fn go_first() {
    // Where the system refuses, it chooses itself.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Has the system end this process when its parent ends, however that happens.
fn die_with(parent: i32) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    // Where the system refuses, a trial outlives a killed sweep by seconds.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // The parent may have ended before.
    if getppid().is_none_or(|now| now.as_raw_pid() != parent) {
        std::process::exit(1);
    }
}

fn measure(config: &Config, cell: Cell, reference: Option<Cell>) -> Result<Figures, TunerError> {
    let data = dataset::open(config)?;
    let consumer = &config.sweep.consumer;
    let mut step = consumer.start(data.classes.len().max(LEAST_CLASSES))?;
    let SweepConfig { warmup_s, measure_s, turn_s, .. } = config.sweep;
    let start = |cell: Cell| {
        // Another order, lest one read what the other has just brought into the page cache.
        let settings = cell.over(&config.loader);
        let settings = Settings { seed: settings.seed.wrapping_add(1), ..settings };
        let loader = data.builder().settings(settings).build()?;
        let warmup_s = warmup_s.min(least_warmup_s(measure_s));
        Reference::start(loader, consumer, warmup_s, [turn_s, measure_s])
    };
    let start = reference.map(|cell| move || start(cell));
    let start = start.as_ref().map(|start| start as &StartReference<'_>);
    let settings = cell.over(&config.loader);
    let measure = Measure {
        warmup_batches: warmup_batches(&settings),
        warmup_s,
        until_steady: true,
        consumer: consumer.is_some(),
        least_batches: LEAST_BATCHES,
        measure_s,
        rests: config.sweep.cache == Cache::Cold,
    };
    let taken = Arc::new(Taken::new());
    let options = MonitorOptions::windows(SAMPLING).metric_source(taken.clone());
    let monitor = Monitor::start(MonitorOptions { history: timeline::SAMPLES, ..options })?;
    let built = (Instant::now(), rss_bytes()?);
    let mut loader = data.builder().settings(settings).build()?;
    let open = || Ok(monitor.window());
    let on = |moment| {
        match moment {
            Moment::Ask => {}
            Moment::Batch(batch) => {
                taken.add(batch.len());
                step.take(batch)?;
            }
            Moment::Pause => taken.pause(),
            Moment::Resume(beside_bytes) => taken.resume(beside_bytes),
            Moment::EpochEnd => {
                // The next epoch reads the same files.
                taken.pause();
                evict_if_cold(config)?;
                taken.resume(0);
            }
        }
        Ok(())
    };
    let figures = measure.run(&mut loader, start, built, monitor.gpus(), open, on)?;
    // It was begun to count just before the loader was built.
    let measured = [figures.warmup_s, figures.warmup_s + figures.wall_s];
    let timeline = Timeline::of(&monitor.finish().samples, measured);
    Ok(Figures { timeline, ..figures })
}

/// Where the data does not name its classes, a model is told to expect as many as ImageNet has.
pub(in crate::sweep) const LEAST_CLASSES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bad_unless_the_machine_was_at_its_limits() {
        let failed = |source: io::Error| {
            let origin = Some("a/1.jpg".to_owned()).into();
            TunerError::Loader(LoaderError::Sample { index: 7, origin, source: source.into() })
        };
        let denied = failed(io::Error::from_raw_os_error(Errno::ACCESS.raw_os_error()));
        assert_eq!(bad_sample(&denied), Some("a/1.jpg".to_owned()));
        let files = failed(io::Error::from_raw_os_error(Errno::MFILE.raw_os_error()));
        assert_eq!(bad_sample(&files), None);
        assert_eq!(bad_sample(&LoaderError::NoSamples.into()), None);
    }
}
