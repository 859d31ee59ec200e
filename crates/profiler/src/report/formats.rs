//! The files of every report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use super::html::Html;
pub use super::markdown::Markdown;
pub use super::session_json::SessionJson;
pub use super::tensorboard::TensorBoard;
pub use super::trace::Trace;
use super::{ReportError, charts, write};
use crate::extend::{Chart, ReportFormat};
use crate::session::ProfilingSession;

/// What every report has: [`formats`] with the [standard charts](charts::standard).
pub fn standard_formats() -> Vec<Arc<dyn ReportFormat>> {
    formats(&[])
}

/// The formats of every report with `more` charts beside the standard ones: as SVG and PNG, on the
/// page, and as images in TensorBoard.
pub fn formats(more: &[Arc<dyn Chart>]) -> Vec<Arc<dyn ReportFormat>> {
    let charts: Vec<_> = charts::standard().into_iter().chain(more.iter().cloned()).collect();
    let mut formats: Vec<Arc<dyn ReportFormat>> = vec![
        Arc::new(Markdown),
        Arc::new(Html(more.to_vec())),
        Arc::new(SessionJson),
        Arc::new(Trace),
        Arc::new(TensorBoard(charts.clone())),
    ];
    for chart in charts {
        formats.push(Arc::new(charts::SvgFile(chart.clone())));
        formats.push(Arc::new(charts::PngFile(chart)));
    }
    formats
}

/// Writes the [standard formats](standard_formats) to the folder `dir`, which is made if it is not
/// there, and says which files it wrote.
///
/// # Errors
/// As [`write()`].
pub fn write_all(session: &ProfilingSession, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    write(session, dir, &standard_formats())
}
