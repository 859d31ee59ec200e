//! Where the threads' time goes, for each setting: one bar each.

use profiler::report::human::{number, percent};

use crate::drawing::{Anchor, Drawing, Ground, Ink, Style};
use crate::sweep::cell::CellSummary;
use crate::sweep::summary::Summary;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 310.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 56.0;
const ROW: f64 = 26.0;

/// The stages of a setting in the order of the data's way: name, thread-seconds, colour.
fn stages(cell: &CellSummary) -> [(&'static str, f64, Ink); 7] {
    let times = &cell.stages;
    [
        ("read", times.read_s, Ink::Line(0)),
        ("decode", times.decode_s, Ink::Line(1)),
        ("transform", times.transform_s, Ink::Line(2)),
        ("write", times.write_s, Ink::Line(3)),
        ("other", times.other_s, Ink::Muted),
        ("delivery", times.delivery_s(), Ink::Title),
        ("waiting for room", times.wait_room_s, Ink::Idle),
    ]
}

/// The drawing, of at most `most` settings, the first by rank.
pub(crate) fn draw(summary: &Summary, ground: Ground, most: usize) -> String {
    let cells: Vec<&CellSummary> =
        summary.cells.iter().filter(|cell| cell.in_grid).take(most).collect();
    let mut drawing = Drawing::new(ground);
    let label = Style::new(12.5, Ink::Muted, Anchor::End);
    let mut x = LEFT;
    let all: Vec<_> = cells.iter().map(|cell| stages(cell)).collect();
    if let Some(first) = all.first() {
        let taking_time = |at: usize| all.iter().any(|stages| stages[at].1 > 0.0);
        for (at, (name, _, ink)) in first.iter().copied().enumerate() {
            if !taking_time(at) {
                continue;
            }
            drawing.fill([x, 19.0, x + 10.0, 29.0], ink, "");
            let start = Style { anchor: Anchor::Start, ..label };
            drawing.text(name, (x + 16.0, 24.0), start);
            x += 34.0 + 7.6 * name.len() as f64;
        }
    }
    drawing.text("samples/s", (WIDTH - 8.0, TOP - 12.0), label);
    for (row, cell) in cells.iter().enumerate() {
        let y = TOP + row as f64 * ROW;
        let middle = y + ROW / 2.0;
        let name = Style {
            ink: if cell.cell == summary.recommended { Ink::Best } else { Ink::Muted },
            ..label
        };
        drawing.text(&cell.cell.to_string(), (LEFT - 12.0, middle), name);
        let rate = number(cell.samples_per_s.median, 0);
        drawing.text(&rate, (WIDTH - 8.0, middle), Style { ink: Ink::Title, ..label });
        bar(&mut drawing, cell, [LEFT, y + 4.0, WIDTH - RIGHT, y + ROW - 4.0]);
    }
    let height = TOP + cells.len() as f64 * ROW + 16.0;
    drawing.finish((WIDTH, height), "Where the threads' time goes, for each setting")
}

fn bar(drawing: &mut Drawing, cell: &CellSummary, [left, top, right, bottom]: [f64; 4]) {
    let stages = stages(cell);
    let whole: f64 = stages.iter().map(|(_, seconds, _)| seconds).sum();
    let mut x = left;
    for (name, seconds, ink) in stages {
        let share = seconds / whole.max(f64::MIN_POSITIVE);
        let width = share * (right - left);
        if width >= 0.5 {
            let about = format!("{}: {name} {} of the threads' time", cell.cell, percent(share));
            drawing.fill([x, top, x + width, bottom], ink, &about);
        }
        x += width;
    }
}
