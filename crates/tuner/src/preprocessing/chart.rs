//! The chart: time of a sample by batch size, a line for each transform; PNG and SVG.

use std::path::Path;

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use preproc::benchmark::{PreprocessingProfile, seconds};

use crate::TunerError;
use crate::picture;

const WIDTH: u32 = 900;
const HEIGHT: u32 = 520;
const LEFT: i32 = 95;
const RIGHT: i32 = 230;
const TOP: i32 = 60;
const BOTTOM: i32 = 65;
/// Dark enough to be read as text on white.
const INKS: [RGBColor; 8] = [
    RGBColor(31, 84, 160),
    RGBColor(192, 57, 43),
    RGBColor(30, 125, 70),
    RGBColor(142, 68, 173),
    RGBColor(175, 96, 10),
    RGBColor(14, 116, 125),
    RGBColor(200, 50, 120),
    RGBColor(85, 85, 85),
];
/// Between two labels at the ends of lines.
const LINE: i32 = 19;

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
    picture::write(folder, "preproc", (WIDTH, HEIGHT), &Lines { sizes, series })
}

struct Lines<'a> {
    sizes: Vec<usize>,
    series: Vec<Series<'a>>,
}

impl picture::Picture for Lines<'_> {
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Result<(), String> {
        let Self { sizes, series } = self;
        let (right, bottom) = (WIDTH as i32 - RIGHT, HEIGHT as i32 - BOTTOM);
        let times = || series.iter().flat_map(|line| &line.points).map(|point| point.1);
        // A whole power of ten at each end.
        let least = times().fold(f64::INFINITY, f64::min).max(1e-9).log10().floor();
        let most = times().fold(1e-9, f64::max).log10().ceil().max(least + 1.0);
        let y = |time: f64| {
            let share = (time.max(1e-9).log10() - least) / (most - least);
            bottom - (share * f64::from(bottom - TOP)).round() as i32
        };
        let columns = sizes.len() as i32;
        let x = |place: usize| LEFT + (2 * place as i32 + 1) * (right - LEFT) / (2 * columns);

        let style = |size: u32, at: HPos| {
            let style = TextStyle::from(("sans-serif", size).into_font()).color(&BLACK);
            style.pos(Pos::new(at, VPos::Center))
        };
        let write = |text: &str, at: (i32, i32), style: TextStyle<'_>| {
            area.draw(&Text::new(text.to_owned(), at, style)).map_err(|e| e.to_string())
        };
        let line = |points: Vec<(i32, i32)>, style: ShapeStyle| {
            area.draw(&PathElement::new(points, style)).map_err(|e| e.to_string())
        };
        let middle = (LEFT + right) / 2;
        write("Time of a sample by batch size", (middle, TOP / 2), style(22, HPos::Center))?;
        write("batch size", (middle, bottom + 44), style(16, HPos::Center))?;
        for (place, size) in sizes.iter().enumerate() {
            write(&size.to_string(), (x(place), bottom + 18), style(16, HPos::Center))?;
        }
        for decade in least as i32..=most as i32 {
            for step in [1.0, 2.0, 5.0] {
                let time = step * 10f64.powi(decade);
                if time.log10() > most + 1e-9 {
                    continue;
                }
                let grey =
                    if step == 1.0 { RGBColor(170, 170, 170) } else { RGBColor(225, 225, 225) };
                line(vec![(LEFT, y(time)), (right, y(time))], grey.stroke_width(1))?;
                if step == 1.0 || most - least < 3.0 {
                    write(&tick(time), (LEFT - 8, y(time)), style(14, HPos::Right))?;
                }
            }
        }
        let frame = Rectangle::new([(LEFT, TOP), (right, bottom)], BLACK.stroke_width(1));
        area.draw(&frame).map_err(|e| e.to_string())?;

        // Labels stand at the ends of their lines, lowest first, none on another.
        let mut ends: Vec<(usize, i32)> = Vec::new();
        for (number, of) in series.iter().enumerate() {
            let colour = INKS[number % INKS.len()];
            let points: Vec<_> = of.points.iter().map(|&(place, s)| (x(place), y(s))).collect();
            line(points.clone(), colour.stroke_width(2))?;
            for point in &points {
                let dot = Circle::new(*point, 4, colour.filled());
                area.draw(&dot).map_err(|e| e.to_string())?;
            }
            ends.extend(points.last().map(|point| (number, point.1)));
        }
        ends.sort_by_key(|end| -end.1);
        let mut above = bottom + LINE;
        for (number, end) in ends {
            let at = end.min(above - LINE);
            above = at;
            let colour = INKS[number % INKS.len()];
            let text = style(15, HPos::Left).color(&colour);
            let of = &series[number];
            let time = of.points.last().map(|point| seconds(point.1)).unwrap_or_default();
            write(&format!("{} {time}", of.name), (right + 10, at), text)?;
        }
        Ok(())
    }
}

/// A round time.
fn tick(time_s: f64) -> String {
    seconds(time_s).replace(".00", "").replace(".0", "")
}
