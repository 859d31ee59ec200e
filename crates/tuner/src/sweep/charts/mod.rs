//! Pictures: SVG, and PNG of the same drawing. On the page they have its colours and say their
//! figures when pointed at.

mod drift;
mod heat;
mod pareto;
mod stages;
mod timeline;

use std::path::Path;

use profiler::report::human::{mb, percent};
use profiler::report::page::Axis;

use super::cell::CellSummary;
use super::grid::Cell;
use super::summary::Summary;
use super::words::{count, sure, tenths, whole};
use crate::TunerError;
use crate::drawing::{self, Anchor, Drawing, Ground, Ink, Style};

/// A chart of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chart {
    /// Samples a second and score by batch size, workers and depth.
    HeatMap,
    /// Samples a second against memory.
    Pareto,
    /// Where the time goes.
    Stages,
    /// What single runs used over time.
    Timeline,
    /// How the machine changed.
    Drift,
}

/// A file shows so many settings, the best; the page shows all.
const BARS: usize = 24;

impl Chart {
    const ALL: [(Self, &'static str); 5] = [
        (Self::HeatMap, "heatmap"),
        (Self::Pareto, "pareto"),
        (Self::Stages, "stages"),
        (Self::Timeline, "timeline"),
        (Self::Drift, "drift"),
    ];

    /// The drawing; `None` where there is nothing to draw.
    fn draw(self, summary: &Summary, ground: Ground) -> Option<String> {
        let bars = if ground == Ground::Paper { BARS } else { usize::MAX };
        match self {
            Self::HeatMap => Some(heat::draw(summary, ground)),
            Self::Pareto => Some(pareto::draw(summary, ground)),
            Self::Stages => Some(stages::draw(summary, ground, bars)),
            Self::Timeline => timeline::draw(summary, ground),
            Self::Drift => drift::draw(summary, ground),
        }
    }

    /// For the page; empty where there is nothing to draw.
    pub(crate) fn inline(self, summary: &Summary) -> String {
        self.draw(summary, Ground::Page).unwrap_or_default()
    }
}

/// Writes `heatmap`, `pareto`, `stages`, `timeline` and `drift` to `folder`, each as SVG and as PNG.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, folder: &Path) -> Result<(), TunerError> {
    for (chart, name) in Chart::ALL {
        if let Some(svg) = chart.draw(summary, Ground::Paper) {
            drawing::write(&svg, folder, name)?;
        }
    }
    Ok(())
}

/// The lines of a plot from corner to corner, by which values are read, and what is written at them.
fn scale(drawing: &mut Drawing, axis: &Axis, [left, top, right, bottom]: [f64; 4]) {
    let label = Style::new(12.5, Ink::Muted, Anchor::End);
    for (value, text) in &axis.ticks {
        let y = bottom - (bottom - top) * axis.share(*value);
        drawing.line(&[(left, y), (right, y)], Ink::Grid, 1.0);
        drawing.text(text, (left - 10.0, y), label);
    }
}

/// What a setting's place in a chart says when pointed at.
fn about(cell: &CellSummary) -> String {
    let mut text = format!(
        "{}: {} samples/s, score {}, {}, CPU {}, {}",
        cell.cell,
        sure(&cell.samples_per_s, whole),
        sure(&cell.score, tenths),
        mb(cell.rss_mean_bytes.median),
        percent(cell.cpu_percent.median / 100.0),
        count(cell.trials, "run"),
    );
    if let Some(limit) = &cell.limit {
        text += &format!("; limited by {}", limit.stage);
    }
    text
}

/// Why there is nothing of a setting.
fn why_missing(summary: &Summary, cell: Cell) -> String {
    let failed = summary.failed.iter().find(|trial| trial.setting() == cell);
    match failed.and_then(|trial| trial.error.as_deref()) {
        Some(error) => format!("{cell}: {error}"),
        None => format!("{cell}: not run"),
    }
}
