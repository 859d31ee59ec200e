//! The chart: time of a sample by batch size, a line for each transform; PNG and SVG.

use std::path::Path;

use preproc::benchmark::{PreprocessingProfile, seconds};

use crate::TunerError;
use crate::drawing::{self, Anchor, Drawing, Ground, Ink, Style};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 95.0;
/// Of the lines; their labels stand behind it.
const RIGHT: f64 = WIDTH - 230.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = HEIGHT - 65.0;
/// Between two labels at the ends of lines.
const LINE: f64 = 19.0;

/// A transform's line: places on the axis of batch sizes, and seconds of a sample.
struct Series<'a> {
    name: &'a str,
    points: Vec<(usize, f64)>,
}

/// Writes `preproc.png` and `preproc.svg` to `folder`.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write(rows: &[PreprocessingProfile], folder: &Path) -> Result<(), TunerError> {
    let mut sizes: Vec<usize> = rows.iter().map(|row| row.batch_size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut series: Vec<Series<'_>> = Vec::new();
    for row in rows {
        let (Some(measured), Ok(place)) = (row.measured(), sizes.binary_search(&row.batch_size))
        else {
            continue;
        };
        let point = (place, measured.sample_s);
        match series.iter_mut().find(|line| line.name == row.transform) {
            Some(line) => line.points.push(point),
            None => series.push(Series { name: &row.transform, points: vec![point] }),
        }
    }
    series.iter_mut().for_each(|line| line.points.sort_unstable_by_key(|point| point.0));
    drawing::write(&draw(&sizes, &series), folder, "preproc")
}

fn draw(sizes: &[usize], series: &[Series<'_>]) -> String {
    let mut drawing = Drawing::new(Ground::Paper);
    let about = "Time of a sample by batch size, for each transform";
    if series.is_empty() {
        let style = Style::new(18.0, Ink::Muted, Anchor::Middle);
        drawing.text("nothing could be measured", (WIDTH / 2.0, HEIGHT / 2.0), style);
        return drawing.finish((WIDTH, HEIGHT), about);
    }
    let times = || series.iter().flat_map(|line| &line.points).map(|point| point.1);
    // A whole power of ten at each end.
    let least = times().fold(f64::INFINITY, f64::min).max(1e-9).log10().floor();
    let most = times().fold(1e-9, f64::max).log10().ceil().max(least + 1.0);
    let y = |time: f64| BOTTOM - (time.max(1e-9).log10() - least) / (most - least) * (BOTTOM - TOP);
    let x = |place: usize| LEFT + (place as f64 + 0.5) * (RIGHT - LEFT) / sizes.len() as f64;

    let label = |anchor| Style::new(14.0, Ink::Muted, anchor);
    let middle = (LEFT + RIGHT) / 2.0;
    let title = Style::new(18.0, Ink::Title, Anchor::Middle).bold();
    drawing.text("Time of a sample by batch size", (middle, TOP / 2.0), title);
    drawing.text("batch size", (middle, BOTTOM + 44.0), label(Anchor::Middle));
    for (place, size) in sizes.iter().enumerate() {
        drawing.text(&size.to_string(), (x(place), BOTTOM + 18.0), label(Anchor::Middle));
    }
    for decade in least as i32..=most as i32 {
        for step in [1.0, 2.0, 5.0] {
            let time = step * 10f64.powi(decade);
            if time.log10() > most + 1e-9 {
                continue;
            }
            let is_whole = step == 1.0;
            let stroke = if is_whole { 1.5 } else { 0.75 };
            drawing.line(&[(LEFT, y(time)), (RIGHT, y(time))], Ink::Grid, stroke);
            if is_whole || most - least < 3.0 {
                drawing.text(&tick(time), (LEFT - 8.0, y(time)), label(Anchor::End));
            }
        }
    }

    // Labels stand at the ends of their lines, lowest first, none on another.
    let mut ends: Vec<(usize, f64)> = Vec::new();
    for (number, of) in series.iter().enumerate() {
        let points: Vec<_> = of.points.iter().map(|&(place, s)| (x(place), y(s))).collect();
        drawing.line(&points, Ink::Line(number), 2.0);
        for point in &points {
            drawing.dot(*point, 3.5, Ink::Line(number), true, "");
        }
        ends.extend(points.last().map(|point| (number, point.1)));
    }
    ends.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut above = BOTTOM + LINE;
    for (number, end) in ends {
        above = end.min(above - LINE);
        let of = &series[number];
        let time = of.points.last().map(|point| seconds(point.1)).unwrap_or_default();
        let style = Style::new(14.0, Ink::Line(number), Anchor::Start);
        drawing.text(&format!("{} {time}", of.name), (RIGHT + 10.0, above), style);
    }
    drawing.finish((WIDTH, HEIGHT), about)
}

/// A round time.
fn tick(time_s: f64) -> String {
    seconds(time_s).replace(".00", "").replace(".0", "")
}
