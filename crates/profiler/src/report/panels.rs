//! What is drawn of the resources over time: lines, scales, units, and why there are none.
//!
//! The charts and the page draw the same panels.

use crate::gpu::GpuReading;
use crate::pipeline::PipelineSnapshot;
use crate::report::digest;
use crate::report::human;
use crate::resources::{IoSample, ResourceSample};
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

/// From 0 to `max`, with round numbers to read it by.
pub struct Axis {
    /// Where it ends.
    pub max: f64,
    /// Place on the axis, and what is written there.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Up to at least `top`, with about `count` ticks.
    pub fn up_to(top: f64, count: usize) -> Self {
        let step = step(top, count);
        let last = (top / step - 1e-9).ceil().max(1.0);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let ticks = (0..=last as usize)
            .map(|tick| tick as f64 * step)
            .map(|value| (value, human::number(value, decimals)));
        Self { max: last * step, ticks: ticks.collect() }
    }

    /// From 0 to `seconds` exactly, in seconds, minutes or hours.
    pub fn of_time(seconds: f64) -> Self {
        let seconds = if seconds > 0.0 && seconds.is_finite() { seconds } else { 1.0 };
        let (unit, name) = match seconds {
            s if s < 0.5 => (1e-3, "ms"),
            s if s <= 180.0 => (1.0, "s"),
            s if s <= 10_800.0 => (60.0, "min"),
            _ => (3600.0, "h"),
        };
        let step = step(seconds / unit, 6);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let count = (seconds / unit / step + 1e-9).floor() as usize;
        let ticks = (0..=count)
            .map(|tick| tick as f64 * step)
            .map(|value| (value * unit, format!("{} {name}", human::number(value, decimals))));
        Self { max: seconds, ticks: ticks.collect() }
    }

    /// The share of the axis at which `value` lies, 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        (value / self.max).clamp(0.0, 1.0)
    }
}

/// The round number (1, 2 or 5 times a power of ten) that cuts `top` in about `count` parts.
fn step(top: f64, count: usize) -> f64 {
    let rough = top / count.max(1) as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
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

/// Between one sample of the trackers and the next, in MB a second.
pub(crate) struct IoRates {
    /// By system calls, from cache or storage.
    pub(crate) read_mb: f64,
    pub(crate) written_mb: f64,
    pub(crate) storage_read_mb: f64,
}

/// At the end of each stretch between samples; `None` where an end of it has no figures.
pub(crate) fn io_rates(samples: &[ResourceSample]) -> Vec<(f64, Option<IoRates>)> {
    let rates = samples.windows(2).map(|pair| {
        let seconds = pair[1].at_s - pair[0].at_s;
        let both = pair[0].io.zip(pair[1].io).filter(|_| seconds > 0.0);
        let rates = both.map(|(before, now)| {
            let rate = |of: fn(&IoSample) -> u64| {
                of(&now).saturating_sub(of(&before)) as f64 / MIB / seconds
            };
            IoRates {
                read_mb: rate(|io| io.read_call_bytes),
                written_mb: rate(|io| io.write_call_bytes),
                storage_read_mb: rate(|io| io.storage_read_bytes),
            }
        });
        (pair[1].at_s, rates)
    });
    rates.collect()
}

/// Between one snapshot of a pipeline and the next.
pub(crate) struct Window {
    /// Its end.
    pub(crate) at_s: f64,
    pub(crate) items_per_s: f64,
    pub(crate) wait_share: f64,
    pub(crate) empty_share: Option<f64>,
}

/// At most so many, and so many batches in each, unless these are slow: in shorter ones it shows how
/// items come in batches, not how fast they come.
const WINDOWS: f64 = 60.0;
const BATCHES: u64 = 4;
/// From this part of the time on a window is long enough, whatever came in it.
const LONG: f64 = 0.1;

/// The snapshots at the ends of windows.
fn ends(snapshots: &[PipelineSnapshot]) -> Vec<&PipelineSnapshot> {
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else {
        return Vec::new();
    };
    let all_s = last.at_s - first.at_s;
    let mut ends = vec![first];
    let mut before = first;
    for now in snapshots {
        let (seconds, batches) =
            (now.at_s - before.at_s, now.batches.saturating_sub(before.batches));
        let long = seconds >= LONG * all_s;
        if seconds * WINDOWS >= all_s && (long || batches >= BATCHES || last.batches == 0) {
            ends.push(now);
            before = now;
        }
    }
    // What is left at the end is too short for a window of its own.
    if ends.len() > 1 {
        ends.pop();
    }
    ends.push(last);
    ends
}

pub(crate) fn windows(snapshots: &[PipelineSnapshot]) -> Vec<Window> {
    let ends = ends(snapshots);
    let windows = ends.windows(2).filter_map(|pair| {
        let (before, now) = (pair[0], pair[1]);
        let seconds = now.at_s - before.at_s;
        // From batch to batch, where it is told when they came.
        let of_batches_s = now.batch_at_s() - before.batch_at_s();
        let rate_s = if of_batches_s > 0.0 { of_batches_s } else { seconds };
        let share = |before: f64, now: f64| ((now - before) / seconds).clamp(0.0, 1.0);
        (seconds > 0.0).then(|| Window {
            at_s: now.at_s,
            items_per_s: now.items.saturating_sub(before.items) as f64 / rate_s,
            wait_share: share(before.input_s(), now.input_s()),
            empty_share: before.queue_empty_s.zip(now.queue_empty_s).map(|(a, b)| share(a, b)),
        })
    });
    windows
        .filter(|window| window.items_per_s.is_finite() && window.wait_share.is_finite())
        .collect()
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

    fn ticks(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(ticks(&Axis::up_to(100.0, 5)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(ticks(&Axis::up_to(0.0, 4)), ["0", "1"]);
        assert_eq!(ticks(&Axis::up_to(1830.0, 4)), ["0", "500", "1,000", "1,500", "2,000"]);
        assert_eq!(ticks(&Axis::up_to(0.37, 4)), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(ticks(&Axis::of_time(12.3)), ["0 s", "5 s", "10 s"]);
        assert_eq!(ticks(&Axis::of_time(600.0)).last(), Some(&"10 min"));
        assert_eq!(ticks(&Axis::of_time(f64::NAN)).first(), Some(&"0.0 s"));
    }

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
