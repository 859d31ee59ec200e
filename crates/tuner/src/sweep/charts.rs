//! The heat map.

use std::collections::BTreeMap;
use std::path::Path;

use plotters::coord::Shift;
use plotters::element::Rectangle;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::cell::CellSummary;
use crate::TunerError;
use crate::picture::{self, Picture};

/// A table of values by batch size (across) and worker count (up).
struct Heat {
    title: &'static str,
    batch_sizes: Vec<usize>,
    num_workers: Vec<usize>,
    /// By place in both lists; settings without figures are missing.
    values: BTreeMap<(usize, usize), f64>,
    decimals: usize,
}

impl Heat {
    /// Of the settings that differ in depth alone, the best counts.
    fn new(
        title: &'static str,
        decimals: usize,
        cells: &[CellSummary],
        value: impl Fn(&CellSummary) -> f64,
    ) -> Self {
        let list = |axis: &dyn Fn(&CellSummary) -> usize| {
            let mut list: Vec<usize> = cells.iter().filter(|cell| cell.in_grid).map(axis).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        let batch_sizes = list(&|cell| cell.cell.batch_size);
        let num_workers = list(&|cell| cell.cell.num_workers);
        let mut values = BTreeMap::new();
        for cell in cells.iter().filter(|cell| cell.in_grid) {
            let across = batch_sizes.binary_search(&cell.cell.batch_size);
            let up = num_workers.binary_search(&cell.cell.num_workers);
            if let (Ok(across), Ok(up)) = (across, up) {
                let best = values.entry((across, up)).or_insert(f64::NEG_INFINITY);
                *best = value(cell).max(*best);
            }
        }
        Self { title, batch_sizes, num_workers, values, decimals }
    }

    /// 0 for the least value, 1 for the greatest.
    fn height(&self, value: f64) -> f64 {
        let least = self.values.values().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.values().copied().fold(f64::NEG_INFINITY, f64::max);
        if most > least { (value - least) / (most - least) } else { 1.0 }
    }
}

/// Writes `heatmap.png` and `heatmap.svg` to `folder`: samples a second and score by batch size
/// and worker count, the best depth of each.
///
/// # Errors
/// If a file cannot be written.
pub fn heat_map(cells: &[CellSummary], folder: &Path) -> Result<(), TunerError> {
    let heats = [
        Heat::new("Samples per second, best depth", 0, cells, |cell| cell.samples_per_s.median),
        Heat::new("Score, best depth", 1, cells, |cell| cell.score.median),
    ];
    let columns = heats[0].batch_sizes.len() as u32;
    let rows = heats[0].num_workers.len() as u32;
    // Two panels side by side, with cells of a readable size and room for the titles.
    let width = 2 * ((LEFT + RIGHT) as u32 + columns.max(3) * 90);
    let height = (TOP + BOTTOM) as u32 + rows.max(2) * 70;
    picture::write(folder, "heatmap", (width, height), &heats)
}

impl Picture for [Heat; 2] {
    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>) -> Result<(), String> {
        let (left, right) = area.split_horizontally((area.dim_in_pixel().0 / 2) as i32);
        panel(&left, &self[0])?;
        panel(&right, &self[1])
    }
}

/// Around the cells of a panel: titles and labels.
const LEFT: i32 = 70;
const RIGHT: i32 = 20;
const TOP: i32 = 55;
const BOTTOM: i32 = 65;

/// Drawn in pixels: the axes are lists of names, of one name maybe, and have no scale.
fn panel<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, heat: &Heat) -> Result<(), String> {
    let (width, height) = area.dim_in_pixel();
    let (columns, rows) = (heat.batch_sizes.len() as i32, heat.num_workers.len() as i32);
    let (right, bottom) = (width as i32 - RIGHT, height as i32 - BOTTOM);
    // Rows go up. The left edge of a column, the lower edge of a row:
    let x = |column: i32| LEFT + column * (right - LEFT) / columns.max(1);
    let y = |row: i32| bottom - row * (bottom - TOP) / rows.max(1);
    let (middle_x, middle_y) = ((LEFT + right) / 2, (TOP + bottom) / 2);

    let style = |size: u32, colour: &'static RGBColor| {
        let style = TextStyle::from(("sans-serif", size).into_font());
        style.color(colour).pos(Pos::new(HPos::Center, VPos::Center))
    };
    let write = |text: &str, at: (i32, i32), style: TextStyle<'_>| {
        area.draw(&Text::new(text.to_owned(), at, style)).map_err(|e| e.to_string())
    };
    write(heat.title, (middle_x, TOP / 2), style(22, &BLACK))?;
    write("batch size", (middle_x, bottom + 44), style(16, &BLACK))?;
    let upwards = style(16, &BLACK).transform(FontTransform::Rotate270);
    write("num_workers", (18, middle_y), upwards)?;
    for (column, batch_size) in (0..).zip(&heat.batch_sizes) {
        let at = ((x(column) + x(column + 1)) / 2, bottom + 18);
        write(&batch_size.to_string(), at, style(16, &BLACK))?;
    }
    for (row, num_workers) in (0..).zip(&heat.num_workers) {
        let at = (LEFT - 20, (y(row) + y(row + 1)) / 2);
        write(&num_workers.to_string(), at, style(16, &BLACK))?;
    }
    for (&(across, up), &value) in &heat.values {
        let (column, row) = (across as i32, up as i32);
        let height = heat.height(value);
        let corners = [(x(column), y(row + 1)), (x(column + 1), y(row))];
        let colour = ViridisRGB.get_color(height);
        area.draw(&Rectangle::new(corners, colour.filled())).map_err(|e| e.to_string())?;
        // Viridis is dark at its low end.
        let ink = if height < 0.6 { &WHITE } else { &BLACK };
        let middle = ((corners[0].0 + corners[1].0) / 2, (corners[0].1 + corners[1].1) / 2);
        write(&format!("{value:.*}", heat.decimals), middle, style(18, ink))?;
    }
    let frame = Rectangle::new([(LEFT, TOP), (right, bottom)], BLACK.stroke_width(1));
    area.draw(&frame).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::super::cell::tests::cell;
    use super::*;

    fn is_dark(image: &RgbImage, across: std::ops::Range<u32>, up: std::ops::Range<u32>) -> bool {
        let mut places = across.flat_map(|x| up.clone().map(move |y| (x, y)));
        places.any(|(x, y)| image.get_pixel(x, y).0.iter().all(|channel| *channel < 90))
    }

    #[test]
    fn every_cell_lies_between_its_labels_in_grids_of_any_shape() {
        for (columns, rows) in [(1, 1), (1, 3), (4, 1), (3, 2)] {
            let cells: Vec<CellSummary> = (0..columns * rows)
                .map(|at| {
                    let mut cell = cell(at / columns, 1, f64::from(at as u32));
                    cell.cell.batch_size = 8 + at % columns;
                    cell
                })
                .collect();
            let folder = tempfile::tempdir().unwrap();
            heat_map(&cells, folder.path()).unwrap();
            let image = image::open(folder.path().join("heatmap.png")).unwrap().to_rgb8();
            let (panel, bottom) = (image.width() / 2, image.height() - BOTTOM as u32);
            let (left, top) = (LEFT as u32, TOP as u32);
            let width = (panel - left - RIGHT as u32) / columns as u32;
            let height = (bottom - top) / rows as u32;
            for first in [0, panel] {
                assert!(is_dark(&image, first..first + panel, 0..top - 5), "title");
                assert!(is_dark(&image, first..first + 30, top..bottom), "name of the rows");
                assert!(
                    is_dark(&image, first + left..first + panel, bottom + 32..image.height()),
                    "name of the columns"
                );
                for at in 0..columns * rows {
                    let (column, row) = ((at % columns) as u32, (at / columns) as u32);
                    let (x, y) = (first + left + column * width, bottom - (row + 1) * height);
                    assert!(is_dark(&image, x..x + width, bottom + 5..bottom + 32), "column");
                    assert!(
                        is_dark(&image, first + 35..first + left - 2, y..y + height),
                        "label of a row"
                    );
                    // Beside the number, which is in the middle.
                    let share = match columns * rows {
                        1 => 1.0,
                        cells => at as f64 / (cells - 1) as f64,
                    };
                    let RGBColor(r, g, b) = ViridisRGB.get_color(share);
                    let beside = image.get_pixel(x + 6, y + 6).0;
                    assert_eq!(beside, [r, g, b], "{columns}x{rows}, cell {at}");
                }
            }
        }
    }
}
