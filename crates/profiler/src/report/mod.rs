//! From a session to files: for people, for other tools, and for the next comparison.
//!
//! [`write_all`] writes what every report has. Formats and charts of one's own
//! ([`crate::extend`]) join them through [`formats`] and [`write()`].

mod axis;
pub mod charts;
mod digest;
mod html;
pub mod human;
mod markdown;
pub mod page;
mod palette;
mod panels;
mod rates;
pub mod session_json;
mod tensorboard;
mod trace;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::html::Html;
pub use self::markdown::Markdown;
pub use self::session_json::SessionJson;
pub use self::tensorboard::TensorBoard;
pub use self::trace::Trace;
use crate::extend::{Chart, PluginError, ReportFormat};
pub use crate::folder::{ReportError, write};
use crate::notes::calmly;
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

/// A chart of someone else's, drawn once for all files that show it.
struct Drawn {
    name: String,
    title: String,
    svg: String,
}

impl Chart for Drawn {
    fn name(&self, _: &ProfilingSession) -> String {
        self.name.clone()
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn svg(&self, _: &ProfilingSession) -> Result<String, PluginError> {
        Ok(self.svg.clone())
    }
}

/// Those of `charts` that can be drawn, and a note on each of the others.
pub(crate) fn drawn(
    charts: &[Arc<dyn Chart>],
    session: &ProfilingSession,
) -> (Vec<Arc<dyn Chart>>, Vec<String>) {
    let (mut drawn, mut notes) = (Vec::<Arc<dyn Chart>>::new(), Vec::new());
    for chart in charts {
        let draw = || -> Result<Drawn, PluginError> {
            let svg = chart.svg(session)?;
            charts::png(&svg, 1.0)?;
            Ok(Drawn { name: chart.name(session), title: chart.title().to_owned(), svg })
        };
        match calmly(draw).unwrap_or_else(|words| Err(words.into())) {
            Ok(chart) => drawn.push(Arc::new(chart)),
            Err(error) => {
                let name = calmly(|| chart.name(session)).unwrap_or_default();
                notes.push(format!("the chart `{name}` is not in this report: {error}"));
            }
        }
    }
    (drawn, notes)
}

/// Writes the [standard formats](standard_formats) to the folder `dir`, which is made if it is not
/// there, and says which files it wrote.
///
/// # Errors
/// As [`write()`].
pub fn write_all(session: &ProfilingSession, dir: &Path) -> Result<Vec<PathBuf>, ReportError> {
    write(session, dir, &standard_formats())
}
