//! What is drawn of the resources over time: lines, scales, units, and why there are none.
//!
//! The charts and the page draw the same panels.

use crate::gpu::GpuReading;
use crate::report::axis::Axis;
use crate::report::digest;
use crate::report::human;
use crate::report::rates::{IoRates, Window, io_rates, windows};
use crate::resources::ResourceSample;
use crate::session::ProfilingSession;

const MIB: f64 = 1_048_576.0;

/// Values over time with one scale.
pub(crate) struct Panel {
    pub(crate) title: String,
    /// Of the values, such as `MB`.
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
    /// A height that means something, and its name.
    pub(crate) limit: Option<(f64, String)>,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Why nothing is drawn, where nothing is.
    pub(crate) absent: Option<String>,
}

/// Seconds since the beginning, and the value; `None` where it was not known.
pub type Points = Vec<(f64, Option<f64>)>;

/// One value over time.
pub(crate) struct Line {
    pub(crate) name: String,
    /// Its place in the panel, which gives its colour: the same if others are missing.
    pub(crate) place: usize,
    pub(crate) points: Points,
}

impl Line {
    pub(crate) fn new(name: &str, points: Points) -> Self {
        Self { name: name.to_owned(), place: 0, points: thin(finite(points.into_iter())) }
    }

    /// Stretches without a gap.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Vec<(f64, f64)>> {
        let runs = self.points.split(|(_, value)| value.is_none());
        let known =
            runs.map(|run| run.iter().filter_map(|&(at, value)| Some((at, value?))).collect());
        known.filter(|run: &Vec<_>| !run.is_empty())
    }

    fn max(&self) -> f64 {
        self.points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max)
    }
}

/// The four panels of every report: memory, CPU, GPU, I/O.
pub(crate) fn resources(session: &ProfilingSession) -> [Panel; 4] {
    [memory(session), cpu(session), gpu(session), io(session)]
}

/// Each pipeline's rate and wait, and each metric of the program's own.
pub(crate) fn others(session: &ProfilingSession) -> Vec<Panel> {
    let mut panels = Vec::new();
    for pipeline in &session.performance_metrics.pipelines {
        let windows = windows(&pipeline.snapshots);
        let line = |name: &str, of: fn(&Window) -> Option<f64>| Line {
            name: name.to_owned(),
            place: 0,
            points: thin(windows.iter().map(|window| (window.at_s, of(window))).collect()),
        };
        let why = || "the pipeline told of itself less than twice".to_owned();
        let rate = line("samples the consumer got", |window| Some(window.items_per_s));
        let title = format!("{}: samples a second", pipeline.name);
        panels.push(panel(session, &title, "samples/s", vec![rate], None, why));
        let wait = line("consumer waits", |window| Some(window.wait_share * 100.0));
        let queue = line("nothing ready", |w| w.empty_share.map(|share| share * 100.0));
        let title = format!("{}: wait for data", pipeline.name);
        panels.push(percent(panel(session, &title, "% of time", vec![wait, queue], None, why)));
    }
    let mut names: Vec<&String> = session.resources.iter().flat_map(|s| s.metrics.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let line = over_time(session, name, |sample| sample.metrics.get(name).copied());
        panels.push(panel(session, name, "", vec![line], None, || "no values".to_owned()));
    }
    panels
}

fn memory(session: &ProfilingSession) -> Panel {
    let resident = over_time(session, "resident", |s| Some(s.memory?.resident_bytes as f64 / MIB));
    let limit = session.memory_profile.and_then(|memory| memory.limit_bytes);
    let limit = limit.map(|bytes| bytes as f64 / MIB);
    let name = |limit: f64| format!("limit {} MB", human::number(limit, 0));
    let limit = limit.map(|limit| (limit, name(limit)));
    panel(session, "Memory", "MB", vec![resident], limit, || digest::why_absent(session, "memory"))
}

fn cpu(session: &ProfilingSession) -> Panel {
    let process = over_time(session, "this process", |s| s.cpu?.process_percent);
    let system = over_time(session, "whole machine", |s| s.cpu?.system_percent);
    let why = || digest::why_absent(session, "cpu");
    percent(panel(session, "CPU", "% of cores", vec![process, system], None, why))
}

fn gpu(session: &ProfilingSession) -> Panel {
    let mut devices: Vec<u32> =
        session.resources.iter().flat_map(|s| s.gpus.iter().flatten()).map(|g| g.index).collect();
    devices.sort_unstable();
    devices.dedup();
    let busy = |gpu: &GpuReading| gpu.utilization_percent.map(f64::from);
    let full = |gpu: &GpuReading| {
        let total = gpu.memory_total_bytes.filter(|total| *total > 0)?;
        Some(gpu.memory_used_bytes? as f64 / total as f64 * 100.0)
    };
    let lines = match devices.len() {
        // Many lines of as many colours say less than the mean and the fullest.
        3.. => {
            let known = |sample: &ResourceSample, of: &dyn Fn(&GpuReading) -> Option<f64>| {
                sample.gpus.iter().flatten().filter_map(of).collect::<Vec<f64>>()
            };
            vec![
                over_time(session, &format!("busy, mean of {}", devices.len()), |sample| {
                    let busy = known(sample, &busy);
                    (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64)
                }),
                over_time(session, &format!("memory, fullest of {}", devices.len()), |sample| {
                    known(sample, &full).into_iter().reduce(f64::max)
                }),
            ]
        }
        _ => devices
            .iter()
            .flat_map(|&index| {
                let prefix =
                    if devices.len() > 1 { format!("GPU {index} ") } else { String::new() };
                let line = |name: &str, of: &dyn Fn(&GpuReading) -> Option<f64>| {
                    over_time(session, &format!("{prefix}{name}"), |sample| {
                        of(sample.gpus.as_ref()?.iter().find(|gpu| gpu.index == index)?)
                    })
                };
                [line("busy", &busy), line("memory in use", &full)]
            })
            .collect(),
    };
    let why = || digest::why_absent(session, "gpu");
    percent(panel(session, "GPU", "%", lines, None, why))
}

fn io(session: &ProfilingSession) -> Panel {
    let rates = io_rates(&session.resources);
    let line = |name: &str, of: fn(&IoRates) -> f64| Line {
        name: name.to_owned(),
        place: 0,
        points: thin(finite(rates.iter().map(|(at, rates)| (*at, rates.as_ref().map(of))))),
    };
    let lines = vec![
        line("read", |rates| rates.read_mb),
        line("written", |rates| rates.written_mb),
        line("read from storage", |rates| rates.storage_read_mb),
    ];
    panel(session, "I/O", "MB/s", lines, None, || match session.resources.as_slice() {
        [alone] if alone.io.is_some() => "one sample makes no rate".to_owned(),
        _ => digest::why_absent(session, "io"),
    })
}

fn over_time(
    session: &ProfilingSession,
    name: &str,
    of: impl Fn(&ResourceSample) -> Option<f64>,
) -> Line {
    Line::new(name, session.resources.iter().map(|sample| (sample.at_s, of(sample))).collect())
}

/// A value that is no number is not known; a moment that is none did not happen.
fn finite(points: impl Iterator<Item = (f64, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
    let points = points.filter(|(at, _)| at.is_finite());
    points.map(|(at, value)| (at, value.filter(|value| value.is_finite()))).collect()
}

fn panel(
    session: &ProfilingSession,
    title: &str,
    unit: &str,
    lines: Vec<Line>,
    limit: Option<(f64, String)>,
    why: impl Fn() -> String,
) -> Panel {
    over_seconds(session.duration_s, (title, unit), lines, limit, why)
}

/// Over at least so many seconds.
pub(crate) fn over_seconds(
    duration_s: f64,
    (title, unit): (&str, &str),
    mut lines: Vec<Line>,
    limit: Option<(f64, String)>,
    why: impl Fn() -> String,
) -> Panel {
    (0..).zip(&mut lines).for_each(|(place, line)| line.place = place);
    lines.retain(|line| line.points.iter().any(|(_, value)| value.is_some()));
    let top = lines.iter().map(Line::max).fold(0.0, f64::max);
    // A limit far above would press the values flat: then its name alone is shown.
    let reach = limit.as_ref().map(|(limit, _)| *limit).filter(|limit| *limit <= top * 2.0);
    let last = lines.iter().filter_map(|line| line.points.last()).map(|(at, _)| *at);
    Panel {
        title: title.to_owned(),
        unit: unit.to_owned(),
        absent: lines.is_empty().then(why),
        x: Axis::of_time(last.fold(duration_s, f64::max)),
        y: Axis::up_to(reach.map_or(top, |limit| limit.max(top) * 1.02), 4),
        lines,
        limit,
    }
}

fn percent(mut panel: Panel) -> Panel {
    panel.y = Axis::up_to(100.0, 5);
    panel
}

/// More points than this on one line cannot be told apart.
const POINTS: usize = 800;

/// Of each stretch the least and the greatest value, where there are too many: peaks stay.
fn thin(points: Vec<(f64, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
    if points.len() <= POINTS {
        return points;
    }
    let chunk = (2 * points.len()).div_ceil(POINTS);
    let thinned = points.chunks(chunk).flat_map(|stretch| {
        let known = || stretch.iter().filter(|(_, value)| value.is_some());
        let order = |a: &&(f64, Option<f64>), b: &&(f64, Option<f64>)| {
            a.1.unwrap_or_default().total_cmp(&b.1.unwrap_or_default())
        };
        match (known().min_by(order), known().max_by(order)) {
            (Some(least), Some(most)) if least.0 < most.0 => vec![*least, *most],
            (Some(least), Some(most)) => vec![*most, *least],
            _ => stretch.first().copied().into_iter().collect(),
        }
    });
    thinned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks_order_and_gaps() {
        let points: Vec<_> = (0..100_000)
            .map(|at| {
                let value = match at {
                    50_000 => Some(99.0),
                    60_000..70_000 => None,
                    _ => Some(1.0),
                };
                (f64::from(at), value)
            })
            .collect();
        let line = Line { name: String::new(), place: 0, points: thin(points) };
        assert!(line.points.len() <= POINTS + 2);
        assert!(line.points.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(line.max(), 99.0);
        assert_eq!(line.runs().count(), 2);
    }
}
