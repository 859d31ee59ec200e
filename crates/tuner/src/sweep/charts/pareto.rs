//! Samples a second against memory, with the settings that no other beats in both.

use profiler::report::page::Axis;

use super::{about, scale};
use crate::drawing::{Anchor, Drawing, Ground, Ink, Style};
use crate::sweep::cell::CellSummary;
use crate::sweep::summary::Summary;

const SIZE: (f64, f64) = (760.0, 420.0);
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
const MB: f64 = 1_048_576.0;

/// The drawing.
pub(crate) fn draw(summary: &Summary, ground: Ground) -> String {
    let memory = |cell: &CellSummary| cell.rss_mean_bytes.median / MB;
    let cells = || summary.cells.iter().filter(|cell| cell.in_grid);
    let x = Axis::up_to(cells().map(memory).fold(0.0, f64::max), 6);
    let y = Axis::up_to(cells().map(|cell| cell.samples_per_s.median).fold(0.0, f64::max), 5);
    let (right, bottom) = (SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
    let place = |memory: f64, rate: f64| {
        (LEFT + (right - LEFT) * x.share(memory), bottom - (bottom - TOP) * y.share(rate))
    };
    let mut drawing = Drawing::new(ground);
    let label = Style::new(12.5, Ink::Muted, Anchor::Middle);
    scale(&mut drawing, &y, [LEFT, TOP, right, bottom]);
    for (value, text) in &x.ticks {
        drawing.text(text, (place(*value, 0.0).0, bottom + 16.0), label);
    }
    drawing.text("resident memory, MB", ((LEFT + right) / 2.0, bottom + 40.0), label);
    drawing.upwards("samples/s", (20.0, (TOP + bottom) / 2.0), label);

    // A front goes up in steps: between two of its settings nothing is better than the first.
    let front = summary.pareto.iter().filter_map(|cell| summary.find(*cell).ok());
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for cell in front {
        let at = place(memory(cell), cell.samples_per_s.median);
        if let Some((_, y)) = steps.last() {
            steps.push((at.0, *y));
        }
        steps.push(at);
    }
    drawing.line(&steps, Ink::Line(0), 1.75);
    for cell in cells().filter(|cell| cell.cell != summary.recommended) {
        let at = place(memory(cell), cell.samples_per_s.median);
        drawing.dot(at, 5.0, Ink::Line(0), summary.pareto.contains(&cell.cell), &about(cell));
    }
    for cell in cells().filter(|cell| cell.cell == summary.recommended) {
        let at = place(memory(cell), cell.samples_per_s.median);
        let front = summary.pareto.contains(&cell.cell);
        drawing.dot(at, 7.0, Ink::Best, front, &about(cell));
    }
    key(&mut drawing);
    drawing.finish(SIZE, "Samples per second against memory of each setting")
}

fn key(drawing: &mut Drawing) {
    let style = Style::new(12.5, Ink::Muted, Anchor::Start);
    let entries = [
        (Ink::Line(0), true, "no other has more samples/s for less memory", 310.0),
        (Ink::Line(0), false, "another has", 120.0),
        (Ink::Best, true, "recommended", 0.0),
    ];
    let mut x = LEFT;
    for (ink, full, text, width) in entries {
        drawing.dot((x + 5.0, 24.0), 5.0, ink, full, "");
        drawing.text(text, (x + 16.0, 24.0), style);
        x += width;
    }
}
