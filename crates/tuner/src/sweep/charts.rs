//! Pictures: PNG and SVG of the same drawing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Once;

use image::RgbImage;
use plotters::coord::Shift;
use plotters::element::Rectangle;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::summary::CellSummary;
use crate::{TunerError, files};

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
            let mut list: Vec<usize> = cells.iter().map(axis).collect();
            list.sort_unstable();
            list.dedup();
            list
        };
        let batch_sizes = list(&|cell| cell.cell.batch_size);
        let num_workers = list(&|cell| cell.cell.num_workers);
        let mut values = BTreeMap::new();
        for cell in cells {
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
    // Two panels side by side; room for axes and titles around cells of a readable size.
    let (width, height) = (2 * (110 + columns.max(3) * 90), 150 + rows.max(2) * 70);
    use_own_font();

    let path = folder.join("heatmap.svg");
    let mut svg = String::new();
    draw(SVGBackend::with_string(&mut svg, (width, height)), &heats).map_err(chart_error(&path))?;
    files::write(&path, svg.as_bytes())?;

    let path = folder.join("heatmap.png");
    let mut rgb = vec![0; (3 * width * height) as usize];
    draw(BitMapBackend::with_buffer(&mut rgb, (width, height)), &heats)
        .map_err(chart_error(&path))?;
    let image = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| TunerError::Bug("a picture of another size".into()))?;
    files::write_with(&path, |beside| {
        image.save_with_format(beside, image::ImageFormat::Png).map_err(io::Error::other)
    })
}

fn chart_error(path: &Path) -> impl FnOnce(String) -> TunerError {
    let path = path.to_owned();
    move |message| TunerError::Chart { path, message }
}

/// Text looks the same on every machine, with or without fonts installed.
fn use_own_font() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If the font that is built in were broken, drawing would say so.
        let _ = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
    });
}

fn draw<DB: DrawingBackend>(backend: DB, heats: &[Heat; 2]) -> Result<(), String> {
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(|e| e.to_string())?;
    let (left, right) = area.split_horizontally((area.dim_in_pixel().0 / 2) as i32);
    panel(&left, &heats[0])?;
    panel(&right, &heats[1])?;
    area.present().map_err(|e| e.to_string())
}

fn panel<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, heat: &Heat) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (columns, rows) = (heat.batch_sizes.len(), heat.num_workers.len());
    let mut chart = ChartBuilder::on(area)
        .caption(heat.title, ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(50)
        .y_label_area_size(55)
        .build_cartesian_2d((0..columns - 1).into_segmented(), (0..rows - 1).into_segmented())
        .map_err(|e| text(&e))?;
    let label = |list: &[usize], at: &SegmentValue<usize>| match at {
        SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => {
            list.get(*at).map(usize::to_string).unwrap_or_default()
        }
        SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_mesh()
        .x_labels(columns)
        .y_labels(rows)
        .x_desc("batch size")
        .y_desc("num_workers")
        .x_label_formatter(&|at| label(&heat.batch_sizes, at))
        .y_label_formatter(&|at| label(&heat.num_workers, at))
        .label_style(("sans-serif", 16))
        .draw()
        .map_err(|e| text(&e))?;
    for (&(across, up), &value) in &heat.values {
        let height = heat.height(value);
        let colour = ViridisRGB.get_color(height);
        let corner = |at: usize| {
            move |list: usize| if at < list { SegmentValue::Exact(at) } else { SegmentValue::Last }
        };
        let corners = [
            (corner(across)(columns), corner(up)(rows)),
            (corner(across + 1)(columns), corner(up + 1)(rows)),
        ];
        chart.draw_series([Rectangle::new(corners, colour.filled())]).map_err(|e| text(&e))?;
        // Viridis is dark at its low end.
        let ink = if height < 0.6 { WHITE } else { BLACK };
        let style = TextStyle::from(("sans-serif", 18).into_font())
            .color(&ink)
            .pos(Pos::new(HPos::Center, VPos::Center));
        let middle = (SegmentValue::CenterOf(across), SegmentValue::CenterOf(up));
        let number = format!("{value:.*}", heat.decimals);
        chart.draw_series([Text::new(number, middle, style)]).map_err(|e| text(&e))?;
    }
    Ok(())
}
