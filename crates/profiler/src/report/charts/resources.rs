//! Four panels: memory, CPU, GPU and I/O over time.

use super::canvas::{self, Anchor, Canvas, Frame, GRID, LIMIT, MUTED, Style, TITLE, paper};
use crate::extend::{Chart, PluginError};
use crate::report::human;
use crate::report::palette::LINES;
use crate::report::panels::{self, Panel};
use crate::session::ProfilingSession;

/// `{session_id}_visualizations`: memory, CPU, GPU and I/O over time.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceChart;

const SIZE: (f64, f64) = (1280.0, 860.0);

impl Chart for ResourceChart {
    fn name(&self, session: &ProfilingSession) -> String {
        format!("{}_visualizations", session.session_id)
    }

    fn title(&self) -> &str {
        "Resources over time"
    }

    fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError> {
        canvas::draw(SIZE, |canvas| {
            let about = format!("{} · {}", session.name, human::duration(session.duration_s));
            canvas.heading(self.title(), &about, SIZE.0)?;
            let (width, height) = (SIZE.0 / 2.0, (SIZE.1 - 64.0) / 2.0);
            for (at, panel) in panels::resources(session).iter().enumerate() {
                let (left, top) = ((at % 2) as f64 * width, 64.0 + (at / 2) as f64 * height);
                draw(canvas, Frame::new(left, top, left + width, top + height), panel)?;
            }
            Ok(())
        })
    }
}

fn draw(canvas: &Canvas<'_>, frame: Frame, panel: &Panel) -> Result<(), PluginError> {
    let title = Style::new(15.0, TITLE).bold();
    let (left, y) = (frame.left + 32.0, frame.top + 22.0);
    canvas.text(&panel.title, (left, y), title)?;
    let unit = (left + title.width(&panel.title) + 10.0, y);
    canvas.text(&panel.unit, unit, Style::new(12.5, MUTED))?;

    let plot = Frame::new(left + 44.0, frame.top + 66.0, frame.right - 32.0, frame.bottom - 44.0);
    if let Some(why) = &panel.absent {
        let whole = Frame::new(left, frame.top + 44.0, frame.right - 32.0, frame.bottom - 24.0);
        return canvas.nothing(whole, &format!("No figures: {why}"));
    }
    let x = |seconds: f64| plot.left + plot.width() * panel.x.share(seconds);
    let y = |value: f64| plot.bottom - plot.height() * panel.y.share(value);
    let small = Style::new(11.5, MUTED);
    for (value, text) in &panel.y.ticks {
        canvas.line(&[(plot.left, y(*value)), (plot.right, y(*value))], GRID, 1.0)?;
        canvas.text(text, (plot.left - 10.0, y(*value)), small.at(Anchor::Right))?;
    }
    for (seconds, text) in &panel.x.ticks {
        canvas.line(&[(x(*seconds), plot.bottom), (x(*seconds), plot.bottom + 5.0)], GRID, 1.0)?;
        canvas.text(text, (x(*seconds), plot.bottom + 17.0), small.at(Anchor::Middle))?;
    }
    let mut key = left;
    for line in &panel.lines {
        let ink = paper(LINES[line.place % LINES.len()]);
        key = canvas.key(ink, &line.name, (key, frame.top + 46.0))?;
        for run in line.runs() {
            let run: Vec<_> = run.into_iter().map(|(at, value)| (x(at), y(value))).collect();
            match run.as_slice() {
                [alone] => canvas.dot(*alone, ink, 2.5)?,
                _ if panel.lines.len() == 1 => {
                    canvas.under(&run, plot.bottom, ink)?;
                    canvas.line(&run, ink, 1.75)?;
                }
                _ => canvas.line(&run, ink, 1.75)?,
            }
        }
    }
    if let Some((limit, name)) = &panel.limit {
        if *limit <= panel.y.max {
            canvas.dashes(plot.left, plot.right, y(*limit), LIMIT)?;
            canvas.key(LIMIT, name, (key, frame.top + 46.0))?;
        } else {
            canvas.text(&format!("{name}, above"), (key, frame.top + 46.0), small)?;
        }
    }
    Ok(())
}
