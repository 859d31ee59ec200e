//! A panel of lines over time, in numbers of the page: `chart.html` shows it.

use std::fmt::Write as _;

use super::Prose;
use crate::report::human;
use crate::report::palette::LINES;
use crate::report::panels::{self, Line, Panel, Points};

/// Lines over time.
pub struct PanelView {
    /// What it shows.
    pub title: String,
    /// Of the values.
    pub unit: String,
    /// For whoever cannot see it.
    pub about: String,
    /// The lines.
    pub lines: Vec<LineView>,
    /// Height of 100, and name.
    pub limit: Option<(f64, String)>,
    /// A limit that lies above all.
    pub above: Option<String>,
    /// Ticks: place of 100, and text.
    pub x: Vec<(f64, String)>,
    /// Ticks: place of 100, and text.
    pub y: Vec<(f64, String)>,
    /// Where the axis ends, in seconds.
    pub x_max: f64,
    /// Where the axis ends.
    pub y_max: f64,
    /// Why nothing is drawn, where nothing is.
    pub absent: Option<Prose>,
}

/// One of its lines.
pub struct LineView {
    /// What it is.
    pub name: String,
    /// Of its colour.
    pub ink: usize,
    /// The line, as the `d` of an SVG path.
    pub path: String,
    /// Points between gaps, which are lines of no length with round ends.
    pub dots: String,
    /// The ground under it, where it is the only line.
    pub ground: String,
    /// `seconds,value` of each point, for the reader's pointer.
    pub points: String,
}

/// Of the drawing, which is stretched to the room that there is.
pub(super) const WIDTH: f64 = 1000.0;
pub(super) const HEIGHT: f64 = 300.0;

impl PanelView {
    /// Of lines, each with its name and its points: seconds, and the value where it is known. `why`
    /// is told where there are none.
    pub fn of_lines(title: &str, unit: &str, lines: Vec<(&str, Points)>, why: &str) -> Self {
        let lines = lines.into_iter().map(|(name, points)| Line::new(name, points)).collect();
        Self::of(panels::over_seconds(0.0, (title, unit), lines, None, || why.to_owned()))
    }

    pub(super) fn of(panel: Panel) -> Self {
        let limit = panel.limit.as_ref();
        let (inside, above): (Vec<_>, Vec<_>) =
            limit.into_iter().partition(|(limit, _)| *limit <= panel.y.max);
        let alone = panel.lines.len() == 1;
        let lines = panel.lines.iter();
        Self {
            about: about(&panel),
            lines: lines.map(|line| LineView::of(line, &panel, alone)).collect(),
            limit: inside
                .first()
                .map(|(limit, name)| (100.0 * panel.y.share(*limit), name.clone())),
            above: above.first().map(|(_, name)| name.clone()),
            x: panel
                .x
                .ticks
                .iter()
                .map(|(at, text)| (100.0 * panel.x.share(*at), text.clone()))
                .collect(),
            y: panel
                .y
                .ticks
                .iter()
                .map(|(at, text)| (100.0 * panel.y.share(*at), text.clone()))
                .collect(),
            x_max: panel.x.max,
            y_max: panel.y.max,
            absent: panel.absent.as_deref().map(Prose::new),
            title: panel.title,
            unit: panel.unit,
        }
    }
}

impl LineView {
    fn of(line: &Line, panel: &Panel, alone: bool) -> Self {
        let x = |seconds: f64| WIDTH * panel.x.share(seconds);
        let y = |value: f64| HEIGHT * (1.0 - panel.y.share(value));
        let (mut path, mut dots, mut ground) = (String::new(), String::new(), String::new());
        for run in line.runs() {
            let mut stretch = String::new();
            for (step, (seconds, value)) in run.iter().enumerate() {
                let letter = if step == 0 { 'M' } else { 'L' };
                let _ = write!(stretch, "{letter}{:.1} {:.1}", x(*seconds), y(*value));
            }
            if let ([first, .., last], true) = (run.as_slice(), alone) {
                let (from, to) = (x(first.0), x(last.0));
                let _ = write!(ground, "{stretch}L{to:.1} {HEIGHT}L{from:.1} {HEIGHT}Z");
            }
            match run.len() {
                1 => dots += &(stretch + "h0"),
                _ => path += &stretch,
            }
        }
        let known = line.points.iter().filter_map(|(at, value)| Some((at, (*value)?)));
        let points = known.map(|(at, value)| format!("{at:.3},{value:.4}"));
        Self {
            name: line.name.clone(),
            ink: line.place % LINES.len(),
            path,
            dots,
            ground,
            points: points.collect::<Vec<_>>().join(" "),
        }
    }
}

/// For whoever cannot see it: least and greatest value of each line.
fn about(panel: &Panel) -> String {
    let lines = panel.lines.iter().filter_map(|line| {
        let known = || line.points.iter().filter_map(|(_, value)| *value);
        let (least, most) = (known().reduce(f64::min)?, known().reduce(f64::max)?);
        Some(format!("{} {} to {}", line.name, human::figures(least), human::figures(most)))
    });
    let lines = lines.collect::<Vec<_>>().join("; ");
    format!("{} in {} over {}: {lines}", panel.title, panel.unit, human::duration(panel.x.max))
}
