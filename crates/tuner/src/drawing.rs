//! A small SVG: text, boxes, lines and dots, in the colours of the page or of white paper; and the
//! PNG of it.

use std::fmt::Write;
use std::path::Path;

use askama::filters::{self, Html};
use plotters::style::RGBColor;
use plotters::style::colors::colormaps::{ColorMap, ViridisRGB};
use profiler::report::charts::png;

use crate::{TunerError, files};

/// Writes `svg` to `folder` as `name.svg`, and as `name.png` with twice as many pixels each way.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(svg: &str, folder: &Path, name: &str) -> Result<(), TunerError> {
    files::write(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
    let path = folder.join(format!("{name}.png"));
    let picture = png(svg, 2.0)
        .map_err(|error| TunerError::Chart { path: path.clone(), message: error.to_string() })?;
    files::write(&path, &picture.bytes)
}

/// What a drawing is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    /// A file: white, with colours of its own.
    Paper,
    /// The page: nothing, with the page's colours, which differ by day and by night.
    Page,
}

/// A colour by what it is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ink {
    /// Titles.
    Title,
    /// Labels.
    Muted,
    /// Lines to read by.
    Grid,
    /// What is best.
    Best,
    /// One of several.
    Line(usize),
    /// Time in which nothing is done.
    Idle,
    /// Of a scale, 0 to 1.
    Scale(f64),
    /// Readable on that place of the scale.
    OnScale(f64),
}

/// Of the lines, on paper: the first as the page has them by day. Dark enough to be read as text.
const LINES: [&str; 8] =
    ["#2f6fdf", "#c75a10", "#0b8073", "#7f56d9", "#c2337a", "#3d7a1f", "#8a6d00", "#5b6472"];
/// Lines that the page has colours for.
const PAGE_LINES: usize = 4;

impl Ink {
    fn on(self, ground: Ground) -> String {
        let name = match (self, ground) {
            (Self::Title, Ground::Paper) => "#151b26",
            (Self::Title, Ground::Page) => "var(--ink)",
            (Self::Muted, Ground::Paper) => "#667082",
            (Self::Muted, Ground::Page) => "var(--muted)",
            (Self::Grid, Ground::Paper) => "#e2e5eb",
            (Self::Grid, Ground::Page) => "var(--line)",
            (Self::Best, Ground::Paper) => "#c43d3d",
            (Self::Best, Ground::Page) => "var(--limit)",
            (Self::Idle, Ground::Paper) => "#c9d0da",
            (Self::Idle, Ground::Page) => "var(--idle)",
            (Self::Line(at), Ground::Paper) => LINES[at % LINES.len()],
            (Self::Line(at), Ground::Page) => return format!("var(--l{})", at % PAGE_LINES),
            // Viridis is dark at its low end.
            (Self::OnScale(share), _) if share < 0.6 => "#fff",
            (Self::OnScale(_), _) => "#0c1119",
            (Self::Scale(share), _) => {
                let RGBColor(r, g, b) = ViridisRGB.get_color(share.clamp(0.0, 1.0));
                return format!("#{r:02x}{g:02x}{b:02x}");
            }
        };
        name.to_owned()
    }
}

/// Which end of a text its place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) size: f64,
    pub(crate) ink: Ink,
    pub(crate) bold: bool,
    pub(crate) anchor: Anchor,
}

impl Style {
    pub(crate) fn new(size: f64, ink: Ink, anchor: Anchor) -> Self {
        Self { size, ink, bold: false, anchor }
    }

    pub(crate) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// A drawing under way.
pub(crate) struct Drawing {
    ground: Ground,
    body: String,
}

impl Drawing {
    pub(crate) fn new(ground: Ground) -> Self {
        Self { ground, body: String::new() }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.body.write_fmt(element);
    }

    /// `text` with the middle of its height at `y`.
    pub(crate) fn text(&mut self, text: &str, (x, y): (f64, f64), style: Style) {
        self.turned(text, (x, y), style, "");
    }

    /// Likewise, from below to above.
    pub(crate) fn upwards(&mut self, text: &str, (x, y): (f64, f64), style: Style) {
        let turn = format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"");
        self.turned(text, (x, y), style, &turn);
    }

    fn turned(&mut self, text: &str, (x, y): (f64, f64), style: Style, turn: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
        let (ink, size) = (style.ink.on(self.ground), style.size);
        // The middle of small letters and digits lies about a third of the size above their foot.
        let y = y + 0.35 * size;
        let text = escaped(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\"{weight} \
             fill=\"{ink}\"{turn}>{text}</text>\n"
        ));
    }

    /// A box from corner to corner, which says `about` when pointed at.
    pub(crate) fn fill(&mut self, [x, y, right, bottom]: [f64; 4], ink: Ink, about: &str) {
        let (width, height, ink) =
            ((right - x).max(0.0), (bottom - y).max(0.0), ink.on(self.ground));
        let tip = tip(about);
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{ink}\"{tip}/>\n"
        ));
    }

    /// The outline of a box.
    pub(crate) fn outline(&mut self, [x, y, right, bottom]: [f64; 4], ink: Ink, stroke: f64) {
        let (width, height, ink) = (right - x, bottom - y, ink.on(self.ground));
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"none\" stroke=\"{ink}\" stroke-width=\"{stroke}\" pointer-events=\"none\"/>\n"
        ));
    }

    /// Through all `points`; nothing with less than two.
    pub(crate) fn line(&mut self, points: &[(f64, f64)], ink: Ink, stroke: f64) {
        if points.len() < 2 {
            return;
        }
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (points, ink) = (points.join(" "), ink.on(self.ground));
        self.add(format_args!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"{stroke}\" \
             pointer-events=\"none\"/>\n"
        ));
    }

    /// A dot, which says `about` when pointed at; hollow unless `full`.
    pub(crate) fn dot(
        &mut self,
        (x, y): (f64, f64),
        radius: f64,
        ink: Ink,
        full: bool,
        about: &str,
    ) {
        let (ink, tip) = (ink.on(self.ground), tip(about));
        let fill = match (full, self.ground) {
            (true, _) => ink.as_str(),
            (false, Ground::Paper) => "#fff",
            (false, Ground::Page) => "var(--sheet)",
        };
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{ink}\" \
             stroke-width=\"1.5\"{tip}/>\n"
        ));
    }

    /// The whole SVG, of that size; `about` is for whoever cannot see it.
    pub(crate) fn finish(self, (width, height): (f64, f64), about: &str) -> String {
        let paper = match self.ground {
            Ground::Paper => {
                format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n")
            }
            Ground::Page => String::new(),
        };
        let font = match self.ground {
            Ground::Paper => " font-family=\"DejaVu Sans, sans-serif\"",
            Ground::Page => "",
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\"{font}>\n{paper}{}</svg>\n",
            escaped(about),
            self.body
        )
    }
}

fn tip(about: &str) -> String {
    if about.is_empty() { String::new() } else { format!(" data-tip=\"{}\"", escaped(about)) }
}

fn escaped(text: &str) -> String {
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    filters::escape(&shown, Html).map(|escaped| escaped.to_string()).unwrap_or_default()
}
