//! Severity, frequency and optimization potential of each bottleneck.

use super::canvas::{self, Anchor, Canvas, Frame, GRID, MUTED, Style, TEXT, TITLE, TRACK, paper};
use crate::bottleneck::Bottleneck;
use crate::extend::{Chart, PluginError};
use crate::report::{digest, human, palette};
use crate::session::ProfilingSession;

/// `{session_id}_bottlenecks`: severity, frequency and optimization potential of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct BottleneckChart;

const WIDTH: f64 = 1280.0;
const TOP: f64 = 112.0;
const ROW: f64 = 52.0;
/// More cannot be taken in at once; the report names all.
const SHOWN: usize = 12;
const COLUMNS: [(&str, &str); 3] = [
    ("Severity", "0 to 1"),
    ("Frequency", "times that it began"),
    ("Optimization potential", "% of the time"),
];

impl Chart for BottleneckChart {
    fn name(&self, session: &ProfilingSession) -> String {
        format!("{}_bottlenecks", session.session_id)
    }

    fn title(&self) -> &str {
        "Bottlenecks"
    }

    fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError> {
        let shown = &session.bottlenecks[..session.bottlenecks.len().min(SHOWN)];
        let height = TOP + ROW * shown.len().max(3) as f64 + 48.0;
        canvas::draw((WIDTH, height), |canvas| {
            let about = format!("{} · {}", session.name, human::duration(session.duration_s));
            canvas.heading(self.title(), &about, WIDTH)?;
            if shown.is_empty() {
                let frame = Frame::new(32.0, 72.0, WIDTH - 32.0, height - 32.0);
                return canvas.nothing(frame, "No bottleneck was found.");
            }
            heads(canvas, height)?;
            let most = shown.iter().map(|b| b.frequency).max().unwrap_or(1).max(1) as f64;
            for (at, bottleneck) in shown.iter().enumerate() {
                row(canvas, bottleneck, TOP + ROW * at as f64, most)?;
            }
            let more = session.bottlenecks.len() - shown.len();
            if more > 0 {
                let text = format!("and {more} more in the report");
                canvas.text(&text, (32.0, height - 24.0), Style::new(12.0, MUTED))?;
            }
            Ok(())
        })
    }
}

/// The columns' bars: from where to where.
fn column(at: usize) -> (f64, f64) {
    let (first, width) = (352.0, (WIDTH - 352.0 - 32.0) / 3.0);
    let left = first + at as f64 * width;
    (left, left + width - 96.0)
}

fn heads(canvas: &Canvas<'_>, height: f64) -> Result<(), PluginError> {
    for (at, (title, unit)) in COLUMNS.iter().enumerate() {
        let style = Style::new(13.5, TITLE).bold();
        let left = column(at).0;
        canvas.text(title, (left, 78.0), style)?;
        let unit_at = left + style.width(title) + 8.0;
        canvas.text(unit, (unit_at, 78.0), Style::new(12.0, MUTED))?;
    }
    canvas.line(&[(32.0, 98.0), (WIDTH - 32.0, 98.0)], GRID, 1.0)?;
    canvas.line(&[(32.0, height - 44.0), (WIDTH - 32.0, height - 44.0)], GRID, 1.0)
}

fn row(canvas: &Canvas<'_>, found: &Bottleneck, top: f64, most: f64) -> Result<(), PluginError> {
    let ink = paper(palette::of(&found.kind));
    let name = Style::new(13.5, TITLE).bold();
    canvas.fill(Frame::new(32.0, top + 10.0, 36.0, top + ROW - 8.0), ink)?;
    canvas.text(&name.fit(&found.name, 280.0), (48.0, top + 18.0), name)?;
    let kind = Style::new(12.0, MUTED);
    let label = kind.fit(digest::kind_label(&found.kind), 280.0);
    canvas.text(&label, (48.0, top + 36.0), kind)?;

    let bars = [
        (Some(found.severity), human::number(found.severity, 2)),
        (Some(found.frequency as f64 / most), human::count(found.frequency)),
        (
            found.optimization_potential,
            match found.optimization_potential {
                Some(share) => human::percent(share),
                None => "cannot be said".to_owned(),
            },
        ),
    ];
    for (at, (share, text)) in bars.iter().enumerate() {
        let ((left, right), middle) = (column(at), top + ROW / 2.0);
        let style = Style::new(12.5, TEXT).at(Anchor::Left);
        let Some(share) = share.filter(|share| share.is_finite()) else {
            canvas.text(text, (left, middle), Style::new(12.5, MUTED))?;
            continue;
        };
        let bar = Frame::new(left, middle - 9.0, right, middle + 9.0);
        canvas.fill(bar, TRACK)?;
        let full = left + (right - left) * share.clamp(0.0, 1.0);
        canvas.fill(Frame { right: full.max(left + 1.0), ..bar }, ink)?;
        canvas.text(text, (right + 10.0, middle), style)?;
    }
    Ok(())
}
