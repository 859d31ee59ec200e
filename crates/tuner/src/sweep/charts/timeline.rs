//! What runs used over time: a panel for each figure, one below the other, on one axis of time that
//! begins with the measurement.

use profiler::report::page::Axis;

use super::scale;
use crate::drawing::{Anchor, Drawing, Ground, Ink, Style};
use crate::sweep::summary::Summary;
use crate::sweep::timelines::CellTimeline;
use crate::timeline::Timeline;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
/// Of a panel's plot, and from one plot to the next, where its title stands.
const HEIGHT: f64 = 96.0;
const GAP: f64 = 44.0;
/// Of a line of the key.
const LINE: f64 = 20.0;
const BOTTOM: f64 = 56.0;
/// Room that a word takes.
const WORD: f64 = 60.0;
const MB: f64 = 1_048_576.0;

/// Points of a line: seconds since the measurement began, and the value.
type Points = Vec<(f64, f64)>;

/// A figure: its name with the unit, and its line.
type Figure = (&'static str, fn(&Timeline) -> Points);

const FIGURES: [Figure; 6] = [
    ("Samples/s", |it| rates(it, it.samples_per_s.iter().copied())),
    ("CPU, % of one core", |it| rates(it, it.cpu_percent.iter().copied())),
    ("Resident memory, MB", |it| levels(it, it.rss_bytes.iter().map(|bytes| Some(*bytes)))),
    ("Read from storage, MB/s", |it| {
        let rate = |bytes: &Option<f64>| bytes.map(|bytes| bytes / MB);
        rates(it, it.storage_read_bytes_per_s.iter().map(rate))
    }),
    ("Busiest GPU, % of time", |it| rates(it, it.gpu_percent.iter().copied())),
    ("GPU memory, MB", |it| levels(it, it.gpu_bytes.iter().copied())),
];

/// What holds since the point before stands in the middle between the two.
fn rates(line: &Timeline, values: impl Iterator<Item = Option<f64>>) -> Points {
    let before = std::iter::once(0.0).chain(line.at_s.iter().copied());
    let middles = before.zip(&line.at_s).map(|(before, at)| (before + at) / 2.0);
    let points = middles.zip(values);
    points.filter_map(|(at_s, value)| Some((at_s - line.measured_from_s, value?))).collect()
}

/// What holds at a point stands there.
fn levels(line: &Timeline, bytes: impl Iterator<Item = Option<u64>>) -> Points {
    let points = line.at_s.iter().zip(bytes);
    let place = |(at_s, bytes): (&f64, Option<u64>)| {
        Some((at_s - line.measured_from_s, bytes? as f64 / MB))
    };
    points.filter_map(place).collect()
}

/// A setting's lines: what they are called, and their colour.
struct Shown<'a> {
    name: String,
    ink: Ink,
    timeline: &'a Timeline,
}

impl<'a> Shown<'a> {
    fn new(summary: &Summary, it: &'a CellTimeline) -> Self {
        let recommended = it.cell == summary.recommended;
        let role = match recommended {
            true if it.cell == summary.default => "recommended, the default",
            true => "recommended",
            false if it.cell == summary.default => "the default",
            false => "refuted by fresh runs",
        };
        let ink = if recommended { Ink::Best } else { Ink::Line(0) };
        Self { name: format!("{role}: {}", it.cell), ink, timeline: &it.timeline }
    }
}

/// A figure's lines, and the scale they are drawn to.
struct Panel {
    title: &'static str,
    lines: Vec<(Ink, Points)>,
    scale: Axis,
}

impl Panel {
    /// `None` where nothing is known of the figure.
    fn new((title, figure): Figure, shown: &[Shown<'_>]) -> Option<Self> {
        let lines: Vec<(Ink, Points)> =
            shown.iter().map(|it| (it.ink, figure(it.timeline))).collect();
        let values = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
        let scale = Axis::up_to(values.reduce(f64::max)?, 3);
        Some(Self { title, lines, scale })
    }
}

/// The drawing; `None` where no run has a timeline.
pub(crate) fn draw(summary: &Summary, ground: Ground) -> Option<String> {
    let shown: Vec<Shown<'_>> =
        summary.timelines.iter().map(|it| Shown::new(summary, it)).collect();
    let longest = |seconds: fn(&Timeline) -> f64| {
        shown.iter().map(|it| seconds(it.timeline)).reduce(f64::max)
    };
    let warmup_s = longest(|it| it.measured_from_s)?;
    let measured_s = longest(|it| it.at_s.last().map_or(0.0, |last| last - it.measured_from_s))?;
    let mut drawing = Drawing::new(ground);
    let start = Style::new(12.5, Ink::Muted, Anchor::Start);
    for (number, it) in shown.iter().enumerate() {
        let y = 18.0 + number as f64 * LINE;
        drawing.line(&[(LEFT, y), (LEFT + 22.0, y)], it.ink, 2.0);
        drawing.text(&it.name, (LEFT + 30.0, y), start);
    }
    let right = WIDTH - RIGHT;
    let place =
        |at_s: f64| LEFT + (right - LEFT) * (at_s + warmup_s) / (warmup_s + measured_s).max(1e-9);
    let (begin, times) = (place(0.0), times(warmup_s, measured_s));
    let mut bottom = 10.0 + shown.len() as f64 * LINE;
    let panels = FIGURES.into_iter().filter_map(|figure| Panel::new(figure, &shown));
    for (number, panel) in panels.enumerate() {
        let top = bottom + GAP;
        bottom = top + HEIGHT;
        let title = Style { ink: Ink::Title, ..start }.bold();
        drawing.text(panel.title, (LEFT, top - 13.0), title);
        for (at_s, _) in &times {
            drawing.line(&[(place(*at_s), top), (place(*at_s), bottom)], Ink::Grid, 1.0);
        }
        scale(&mut drawing, &panel.scale, [LEFT, top, right, bottom]);
        drawing.line(&[(begin, top), (begin, bottom)], Ink::Muted, 1.5);
        if number == 0 && begin - LEFT > WORD {
            let end = Style { anchor: Anchor::End, ..start };
            drawing.text("warm-up", (begin - 7.0, bottom - 9.0), end);
            drawing.text("measured", (begin + 7.0, bottom - 9.0), start);
        }
        let height = |value: f64| bottom - HEIGHT * panel.scale.share(value);
        for (ink, points) in &panel.lines {
            let points: Points =
                points.iter().map(|(at_s, value)| (place(*at_s), height(*value))).collect();
            drawing.line(&points, *ink, 1.75);
        }
    }
    let middle = Style { anchor: Anchor::Middle, ..start };
    for (at_s, text) in &times {
        drawing.text(text, (place(*at_s), bottom + 16.0), middle);
    }
    let axis = "time since the measurement began";
    drawing.text(axis, ((LEFT + right) / 2.0, bottom + 40.0), middle);
    let about = "Rate, CPU, memory and reading of single runs over time";
    Some(drawing.finish((WIDTH, bottom + BOTTOM), about))
}

/// Round times from so long before the measurement to its end, with what is written there.
fn times(before_s: f64, after_s: f64) -> Vec<(f64, String)> {
    let ticks = Axis::of_time(before_s.max(after_s)).ticks;
    let before = ticks.iter().skip(1).filter(|(at_s, _)| *at_s <= before_s);
    let mut times: Vec<(f64, String)> =
        before.map(|(at_s, text)| (-at_s, format!("-{text}"))).collect();
    times.reverse();
    times.extend(ticks.into_iter().filter(|(at_s, _)| *at_s <= after_s));
    times
}

#[cfg(test)]
mod tests {
    use super::super::super::cell::tests::cell;
    use super::super::super::explain::tests::summary;
    use super::super::super::timelines::tests::timeline;
    use super::*;

    #[test]
    fn each_known_figure_has_a_panel_with_a_line_for_each_setting() {
        let mut summary = summary(vec![cell(1, 1, 100.0), cell(2, 2, 90.0)]);
        assert_eq!(draw(&summary, Ground::Page), None);
        let line = |place: usize, points, rate| CellTimeline {
            cell: summary.cells[place].cell,
            timeline: timeline(points, rate),
        };
        summary.timelines = vec![line(0, 12, 100.0), line(1, 15, 90.0)];
        let svg = draw(&summary, Ground::Page).unwrap();
        for part in [
            "recommended: batch size 32, 1 worker, prefetch depth 1",
            "the default: batch size 32, 2 workers, prefetch depth 2",
            "Samples/s",
            "CPU, % of one core",
            "Resident memory, MB",
            "Read from storage, MB/s",
            "time since the measurement began",
            ">warm-up<",
            ">-0.4 s<",
            ">0.0 s<",
        ] {
            assert!(svg.contains(part), "`{part}` is not in {svg}");
        }
        assert!(!svg.contains("GPU"), "there is none");
        let of =
            |ink: &str| svg.matches(&format!("stroke=\"{ink}\" stroke-width=\"1.75\"")).count();
        assert_eq!((of("var(--limit)"), of("var(--l0)")), (4, 4));
        summary.timelines[0].timeline.gpu_percent = vec![Some(50.0); 12];
        assert!(draw(&summary, Ground::Page).unwrap().contains("Busiest GPU"));
    }

    #[test]
    fn rates_stand_between_their_points_and_levels_at_them() {
        let line = timeline(6, 100.0);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let (rates, levels) = ((FIGURES[0].1)(&line), (FIGURES[2].1)(&line));
        // Two of six points lie in the warm-up.
        assert!(near(rates[0].0, 0.05 - 0.2) && near(levels[0].0, 0.1 - 0.2), "{rates:?}");
        assert!(near(rates[5].0, 0.55 - 0.2) && near(levels[5].0, 0.6 - 0.2), "{levels:?}");
        assert!(near(levels[0].1, 201.0), "{levels:?}");
    }
}
