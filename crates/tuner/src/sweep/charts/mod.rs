//! Pictures: SVG, and PNG of the same drawing. On the page they have its colours and say their
//! figures when pointed at.

mod heat;
mod pareto;
mod stages;

use std::path::Path;

use profiler::report::human::{mb, percent};

use super::cell::CellSummary;
use super::grid::Cell;
use super::summary::Summary;
use super::words::{sure, tenths, whole};
use crate::TunerError;
use crate::drawing::{self, Ground};

/// A chart of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chart {
    /// Samples a second and score by batch size, workers and depth.
    HeatMap,
    /// Samples a second against memory.
    Pareto,
    /// Where the time goes.
    Stages,
}

/// A file shows so many settings, the best; the page shows all.
const BARS: usize = 24;

impl Chart {
    const ALL: [(Self, &'static str); 3] =
        [(Self::HeatMap, "heatmap"), (Self::Pareto, "pareto"), (Self::Stages, "stages")];

    fn svg(self, summary: &Summary) -> String {
        match self {
            Self::HeatMap => heat::draw(summary, Ground::Paper),
            Self::Pareto => pareto::draw(summary, Ground::Paper),
            Self::Stages => stages::draw(summary, Ground::Paper, BARS),
        }
    }

    /// For the page.
    pub(crate) fn inline(self, summary: &Summary) -> String {
        match self {
            Self::HeatMap => heat::draw(summary, Ground::Page),
            Self::Pareto => pareto::draw(summary, Ground::Page),
            Self::Stages => stages::draw(summary, Ground::Page, usize::MAX),
        }
    }
}

/// Writes `heatmap`, `pareto` and `stages` to `folder`, each as SVG and as PNG.
///
/// # Errors
/// If a file cannot be written.
pub fn write(summary: &Summary, folder: &Path) -> Result<(), TunerError> {
    for (chart, name) in Chart::ALL {
        drawing::write(&chart.svg(summary), folder, name)?;
    }
    Ok(())
}

/// What a setting's place in a chart says when pointed at.
fn about(cell: &CellSummary) -> String {
    let mut text = format!(
        "{}: {} samples/s, score {}, {}, CPU {}, {} run{}",
        cell.cell,
        sure(&cell.samples_per_s, whole),
        sure(&cell.score, tenths),
        mb(cell.rss_mean_bytes.median),
        percent(cell.cpu_percent.median / 100.0),
        cell.trials,
        if cell.trials == 1 { "" } else { "s" },
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
