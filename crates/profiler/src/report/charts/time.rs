//! Where the time went: operations by their own time, and the threads of each pipeline.

use super::canvas::{self, Anchor, Canvas, Frame, IDLE, MUTED, Style, TEXT, TITLE, TRACK, paper};
use crate::extend::{Chart, PluginError};
use crate::report::digest::{Flow, Station};
use crate::report::palette::Rgb;
use crate::report::{human, palette};
use crate::session::{OperationStats, ProfilingSession};

/// `{session_id}_time`: operations by their own time, and the threads of each pipeline.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeChart;

const WIDTH: f64 = 1280.0;
const TOP: f64 = 112.0;
/// More bars cannot be taken in at once; the report has all.
const SHOWN: usize = 14;
const OPERATION: f64 = 34.0;
const LANE: f64 = 80.0;

impl Chart for TimeChart {
    fn name(&self, session: &ProfilingSession) -> String {
        format!("{}_time", session.session_id)
    }

    fn title(&self) -> &str {
        "Where the time went"
    }

    fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError> {
        let operations = &session.performance_metrics.operations;
        let mut longest: Vec<&OperationStats> =
            operations.iter().filter(|operation| operation.self_s > 0.0).collect();
        longest.sort_by(|a, b| b.self_s.total_cmp(&a.self_s));
        longest.truncate(SHOWN);
        let flows = Flow::all(session);
        let lanes: usize = flows.iter().map(|flow| flow.stations.len() + 1).sum();
        let tall = (OPERATION * longest.len() as f64).max(LANE * lanes as f64).max(180.0);
        let height = TOP + tall + 32.0;
        canvas::draw((WIDTH, height), |canvas| {
            let about = format!("{} · {}", session.name, human::duration(session.duration_s));
            canvas.heading(self.title(), &about, WIDTH)?;
            let (left, right) = (
                Frame::new(32.0, TOP, WIDTH / 2.0 - 24.0, height - 32.0),
                Frame::new(WIDTH / 2.0 + 24.0, TOP, WIDTH - 32.0, height - 32.0),
            );
            head(canvas, left, "Operations", "their own time, all threads")?;
            let recorded: f64 = operations.iter().map(|operation| operation.self_s).sum();
            self::operations(canvas, left, &longest, recorded)?;
            head(canvas, right, "Pipelines", "share of each station's thread time")?;
            pipelines(canvas, right, &flows)
        })
    }
}

fn head(canvas: &Canvas<'_>, frame: Frame, title: &str, about: &str) -> Result<(), PluginError> {
    let style = Style::new(15.0, TITLE).bold();
    canvas.text(title, (frame.left, 80.0), style)?;
    let about_at = frame.left + style.width(title) + 10.0;
    canvas.text(about, (about_at, 80.0), Style::new(12.5, MUTED))
}

fn operations(
    canvas: &Canvas<'_>,
    frame: Frame,
    longest: &[&OperationStats],
    recorded: f64,
) -> Result<(), PluginError> {
    let Some(most) = longest.first().map(|operation| operation.self_s) else {
        return canvas.nothing(frame, "No operation ended.");
    };
    let name = Style::new(12.5, TEXT);
    for (at, operation) in longest.iter().enumerate() {
        let middle = frame.top + OPERATION * at as f64 + OPERATION / 2.0;
        let label = name.at(Anchor::Right);
        canvas.text(&name.fit(operation.name(), 150.0), (frame.left + 150.0, middle), label)?;
        let (left, right) = (frame.left + 162.0, frame.right - 130.0);
        let full = left + ((right - left) * operation.self_s / most).max(1.0);
        let ink = paper(palette::of(&operation.kind));
        canvas.fill(Frame::new(left, middle - 10.0, full, middle + 10.0), ink)?;
        let share = human::percent(operation.self_s / recorded);
        let text = format!("{} · {share}", human::duration(operation.self_s));
        canvas.text(&text, (full + 8.0, middle), Style::new(12.0, MUTED))?;
    }
    Ok(())
}

/// A part of a bar: its share, colour and name.
type Part<'a> = (f64, Rgb, &'a str);

fn pipelines(canvas: &Canvas<'_>, frame: Frame, flows: &[Flow<'_>]) -> Result<(), PluginError> {
    if flows.is_empty() {
        return canvas.nothing(frame, "No pipeline reported often enough.");
    }
    let mut top = frame.top;
    for flow in flows {
        for station in &flow.stations {
            let threads = if station.threads == 1 { "thread" } else { "threads" };
            let title = format!("{} · {} · {} {threads}", flow.name, station.name, station.threads);
            lane(canvas, frame, top, &title, &parts(station))?;
            top += LANE;
        }
        let consumer = [
            (flow.consumer_wait_share, IDLE, "waits for data"),
            (flow.consumer_busy_share, [0x47, 0x55, 0x69], "own work"),
        ];
        lane(canvas, frame, top, &format!("{} · consumer", flow.name), &consumer)?;
        top += LANE;
    }
    Ok(())
}

fn parts<'a>(station: &Station<'a>) -> Vec<Part<'a>> {
    let stages = station.stages.iter();
    let mut parts: Vec<Part<'_>> =
        stages.map(|stage| (stage.share, paper(palette::of(stage.kind)), stage.name)).collect();
    parts.push((station.wait_share, IDLE, "waiting"));
    parts
}

fn lane(
    canvas: &Canvas<'_>,
    frame: Frame,
    top: f64,
    title: &str,
    parts: &[Part<'_>],
) -> Result<(), PluginError> {
    let heading = Style::new(12.5, TEXT);
    canvas.text(&heading.fit(title, frame.width()), (frame.left, top + 8.0), heading)?;
    let bar = Frame::new(frame.left, top + 20.0, frame.right, top + 46.0);
    canvas.fill(bar, TRACK)?;
    let whole: f64 = parts.iter().map(|(share, ..)| share).sum::<f64>().max(1.0);
    let mut left = bar.left;
    let mut below = Vec::new();
    for (share, ink, name) in parts {
        let right = left + bar.width() * share / whole;
        let text = format!("{name} {}", human::percent(*share));
        let written = if *ink == IDLE { TEXT } else { [255, 255, 255] };
        let style = Style::new(11.5, written);
        if right - left >= 1.0 {
            canvas.fill(Frame { left, right: right - 1.0, ..bar }, *ink)?;
        }
        if style.width(&text) <= right - left - 14.0 {
            canvas.text(&text, (left + 7.0, top + 33.0), style)?;
        } else {
            below.push(text);
        }
        left = right;
    }
    let small = Style::new(11.5, MUTED);
    let below = small.fit(&below.join(", "), frame.width());
    canvas.text(&below, (frame.left, top + 57.0), small)
}
