//! Heat maps: for each depth, samples a second and score by batch size (across) and workers (up).

use profiler::report::human::number;

use super::{about, why_missing};
use crate::drawing::{Anchor, Drawing, Ground, Ink, Style};
use crate::sweep::cell::CellSummary;
use crate::sweep::grid::Cell;
use crate::sweep::report::capitalized;
use crate::sweep::summary::Summary;

/// Around the cells of a panel: titles and labels.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 22.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 56.0;
const CELL: (f64, f64) = (92.0, 44.0);
/// Panels are at least so wide that their titles fit.
const LEAST_WIDTH: f64 = 300.0;
/// Wider drawings have their panels one below the other.
const MOST_WIDTH: f64 = 1240.0;

/// A figure with a scale of its own, the same for every depth.
struct Figure {
    name: &'static str,
    value: fn(&CellSummary) -> f64,
    decimals: usize,
    least: f64,
    most: f64,
}

impl Figure {
    fn new(
        name: &'static str,
        decimals: usize,
        summary: &Summary,
        value: fn(&CellSummary) -> f64,
    ) -> Self {
        let values = || summary.cells.iter().filter(|cell| cell.in_grid).map(value);
        let least = values().fold(f64::INFINITY, f64::min);
        Self { name, value, decimals, least, most: values().fold(f64::NEG_INFINITY, f64::max) }
    }

    /// 0 for the least value, 1 for the greatest.
    fn share(&self, value: f64) -> f64 {
        let range = self.most - self.least;
        if range > 0.0 { (value - self.least) / range } else { 1.0 }
    }
}

/// The lists that the grid is made of, each ascending.
struct Axes {
    batch_sizes: Vec<usize>,
    num_workers: Vec<usize>,
    /// Without workers there is none.
    depths: Vec<usize>,
    /// What settings without workers have for one.
    least_depth: usize,
}

impl Axes {
    fn of(summary: &Summary) -> Self {
        let tried = summary.cells.iter().filter(|cell| cell.in_grid).map(|cell| cell.cell);
        let tried: Vec<Cell> =
            tried.chain(summary.failed.iter().map(|trial| trial.setting())).collect();
        let list = |value: &dyn Fn(&Cell) -> Option<usize>| {
            let mut list: Vec<usize> = tried.iter().filter_map(value).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        let alone = tried.iter().filter(|cell| cell.num_workers == 0);
        let mut depths = list(&|cell| (cell.num_workers > 0).then_some(cell.prefetch_depth));
        let least_depth = alone.map(|cell| cell.prefetch_depth).min().unwrap_or(1);
        if depths.is_empty() {
            depths.push(least_depth);
        }
        Self {
            batch_sizes: list(&|cell| Some(cell.batch_size)),
            num_workers: list(&|cell| Some(cell.num_workers)),
            depths,
            least_depth,
        }
    }
}

/// The drawing.
pub(crate) fn draw(summary: &Summary, ground: Ground) -> String {
    let axes = Axes::of(summary);
    let figures = [
        Figure::new("samples/s", 0, summary, |cell| cell.samples_per_s.median),
        Figure::new("score", 1, summary, |cell| cell.score.median),
    ];
    let columns = axes.batch_sizes.len() as f64;
    let width = (LEFT + columns * CELL.0 + RIGHT).max(LEAST_WIDTH);
    let height = TOP + axes.num_workers.len() as f64 * CELL.1 + BOTTOM;
    let beside = 2.0 * width <= MOST_WIDTH;
    let mut drawing = Drawing::new(ground);
    for (row, &depth) in axes.depths.iter().enumerate() {
        for (column, figure) in figures.iter().enumerate() {
            let at = match beside {
                true => (column as f64 * width, row as f64 * height),
                false => (0.0, (2 * row + column) as f64 * height),
            };
            panel(&mut drawing, summary, &axes, figure, depth, at);
        }
    }
    let panels = 2.0 * axes.depths.len() as f64;
    let size = match beside {
        true => (2.0 * width, panels / 2.0 * height),
        false => (width, panels * height),
    };
    drawing.finish(size, "Samples per second and score by batch size, workers and prefetch depth")
}

fn panel(
    drawing: &mut Drawing,
    summary: &Summary,
    axes: &Axes,
    figure: &Figure,
    depth: usize,
    (left, top): (f64, f64),
) {
    let (columns, rows) = (axes.batch_sizes.len() as f64, axes.num_workers.len() as f64);
    let (x0, y1) = (left + LEFT, top + TOP + rows * CELL.1);
    let label = Style::new(12.5, Ink::Muted, Anchor::Middle);
    let of_depth = match axes.num_workers.as_slice() {
        [0] => String::new(),
        _ => format!(", prefetch depth {depth}"),
    };
    let title = format!("{}{of_depth}", capitalized(figure.name));
    drawing.text(&title, (x0, top + 32.0), Style::new(15.0, Ink::Title, Anchor::Start).bold());
    drawing.text("batch size", (x0 + columns * CELL.0 / 2.0, y1 + 38.0), label);
    drawing.upwards("num_workers", (left + 18.0, (top + TOP + y1) / 2.0), label);
    for (row, &num_workers) in axes.num_workers.iter().enumerate() {
        let y = y1 - (row + 1) as f64 * CELL.1;
        let end = Style { anchor: Anchor::End, ..label };
        drawing.text(&num_workers.to_string(), (x0 - 10.0, y + CELL.1 / 2.0), end);
        for (column, &batch_size) in axes.batch_sizes.iter().enumerate() {
            let x = x0 + column as f64 * CELL.0;
            let prefetch_depth = if num_workers == 0 { axes.least_depth } else { depth };
            let cell = Cell { batch_size, num_workers, prefetch_depth };
            square(drawing, summary, figure, cell, (x, y));
        }
    }
    for (column, batch_size) in axes.batch_sizes.iter().enumerate() {
        let x = x0 + (column as f64 + 0.5) * CELL.0;
        drawing.text(&batch_size.to_string(), (x, y1 + 16.0), label);
    }
}

fn square(
    drawing: &mut Drawing,
    summary: &Summary,
    figure: &Figure,
    cell: Cell,
    (x, y): (f64, f64),
) {
    let inner = [x + 1.0, y + 1.0, x + CELL.0 - 1.0, y + CELL.1 - 1.0];
    let middle = (x + CELL.0 / 2.0, y + CELL.1 / 2.0);
    let found = summary.cells.iter().find(|found| found.cell == cell && found.in_grid);
    let Some(found) = found else {
        drawing.fill(inner, Ink::Grid, &why_missing(summary, cell));
        drawing.text("n/a", middle, Style::new(12.5, Ink::Muted, Anchor::Middle));
        return;
    };
    let value = (figure.value)(found);
    let share = figure.share(value);
    drawing.fill(inner, Ink::Scale(share), &about(found));
    let style = Style::new(14.0, Ink::OnScale(share), Anchor::Middle);
    drawing.text(&number(value, figure.decimals), middle, style);
    if cell == summary.recommended {
        drawing.outline([x + 2.5, y + 2.5, x + CELL.0 - 2.5, y + CELL.1 - 2.5], Ink::Best, 3.0);
    }
}
