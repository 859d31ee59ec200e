//! A sheet to draw on: text that fits, bars, lines, in the style of all our charts.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::use_own_font;
use crate::extend::PluginError;
use crate::report::palette::{Ink, Rgb};

/// `plotters` places things at whole pixels: drawn so many times larger, and shown at its size,
/// lines are smooth.
const FINE: f64 = 4.0;

pub(super) const TITLE: Rgb = [0x16, 0x1d, 0x29];
pub(super) const TEXT: Rgb = [0x3a, 0x44, 0x53];
pub(super) const MUTED: Rgb = [0x69, 0x75, 0x86];
pub(super) const GRID: Rgb = [0xe6, 0xe9, 0xef];
pub(super) const TRACK: Rgb = [0xf1, 0xf3, 0xf7];
pub(super) const LIMIT: Rgb = [0xc4, 0x3d, 0x3d];
/// Of time in which nothing was done.
pub(super) const IDLE: Rgb = [0xd3, 0xd9, 0xe2];

/// Which end of a text its place is.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) ink: Rgb,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
}

impl Style {
    pub(super) fn new(size: f64, ink: Rgb) -> Self {
        Self { size, ink, bold: false, anchor: Anchor::Left }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    fn font(self) -> FontDesc<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        // `plotters` takes the height of a line for the size of a font.
        FontDesc::new(FontFamily::SansSerif, self.size * 1.24 * FINE, style)
    }

    /// How wide `text` is.
    pub(super) fn width(self, text: &str) -> f64 {
        let size = self.font().box_size(text).map_or(0, |(width, _)| width);
        // It measures with the size for the height of a line, which in this font is 1.164 em.
        f64::from(size) / FINE / 1.24 * 1.164
    }

    /// As much of `text` as fits, with dots where something was cut.
    pub(super) fn fit(self, text: &str, width: f64) -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if self.width(&text) <= width {
            return text;
        }
        let mut kept: Vec<char> = text.chars().take(200).collect();
        while !kept.is_empty() {
            kept.pop();
            let cut: String = kept.iter().chain(['…'].iter()).collect();
            if self.width(&cut) <= width {
                return cut;
            }
        }
        String::new()
    }

    /// Lines of at most `width`, broken between words.
    pub(super) fn wrap(self, text: &str, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer.filter(|longer| self.width(longer) <= width) {
                Some(longer) => {
                    lines.pop();
                    lines.push(longer);
                }
                None => lines.push(self.fit(word, width)),
            }
        }
        lines
    }
}

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    pub(super) fn new(left: f64, top: f64, right: f64, bottom: f64) -> Self {
        Self { left, top, right, bottom }
    }

    pub(super) fn width(self) -> f64 {
        self.right - self.left
    }

    pub(super) fn height(self) -> f64 {
        self.bottom - self.top
    }
}

type Drawn = Result<(), PluginError>;

/// The sheet.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

/// The SVG of what `draw` draws on a white sheet of that size.
pub(super) fn draw(
    (width, height): (f64, f64),
    draw: impl FnOnce(&Canvas<'_>) -> Drawn,
) -> Result<String, PluginError> {
    use_own_font();
    let fine = |length: f64| (length * FINE).round() as u32;
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (fine(width), fine(height)));
        let canvas = Canvas { area: backend.into_drawing_area() };
        canvas.area.fill(&WHITE)?;
        draw(&canvas)?;
        canvas.area.present()?;
    }
    let drawn = format!("width=\"{}\" height=\"{}\" viewBox", fine(width), fine(height));
    let shown = format!("width=\"{width}\" height=\"{height}\" viewBox");
    Ok(svg.replacen(&drawn, &shown, 1))
}

impl Canvas<'_> {
    /// `text` with the middle of its height at `y`.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), style: Style) -> Drawn {
        let anchor = match style.anchor {
            Anchor::Left => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let ink = colour(style.ink);
        let font = TextStyle::from(style.font()).color(&ink).pos(Pos::new(anchor, VPos::Center));
        Ok(self.area.draw(&Text::new(text, place((x, y)), font))?)
    }

    pub(super) fn fill(&self, frame: Frame, ink: Rgb) -> Drawn {
        let corners = [place((frame.left, frame.top)), place((frame.right, frame.bottom))];
        Ok(self.area.draw(&Rectangle::new(corners, colour(ink).filled()))?)
    }

    pub(super) fn line(&self, points: &[(f64, f64)], ink: Rgb, width: f64) -> Drawn {
        let points: Vec<_> = points.iter().copied().map(place).collect();
        let style = colour(ink).stroke_width((width * FINE).round() as u32);
        Ok(self.area.draw(&PathElement::new(points, style))?)
    }

    pub(super) fn dashes(&self, from: f64, to: f64, y: f64, ink: Rgb) -> Drawn {
        let mut x = from;
        while x < to {
            self.line(&[(x, y), ((x + 6.0).min(to), y)], ink, 1.25)?;
            x += 10.0;
        }
        Ok(())
    }

    pub(super) fn dot(&self, at: (f64, f64), ink: Rgb, radius: f64) -> Drawn {
        let radius = (radius * FINE).round() as i32;
        Ok(self.area.draw(&Circle::new(place(at), radius, colour(ink).filled()))?)
    }

    /// The ground under a line, from `bottom` up.
    pub(super) fn under(&self, points: &[(f64, f64)], bottom: f64, ink: Rgb) -> Drawn {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        let ground = [(last.0, bottom), (first.0, bottom)];
        let corners: Vec<_> = points.iter().chain(&ground).copied().map(place).collect();
        Ok(self.area.draw(&Polygon::new(corners, colour(ink).mix(0.1)))?)
    }

    /// Title of the whole sheet, and beside it what it is about.
    pub(super) fn heading(&self, title: &str, about: &str, width: f64) -> Drawn {
        let style = Style::new(20.0, TITLE).bold();
        self.text(title, (32.0, 36.0), style)?;
        let about_style = Style::new(13.0, MUTED).at(Anchor::Right);
        let room = width - 96.0 - style.width(title);
        self.text(&about_style.fit(about, room), (width - 32.0, 36.0), about_style)
    }

    /// In the middle of an empty frame, why it is empty.
    pub(super) fn nothing(&self, frame: Frame, why: &str) -> Drawn {
        self.fill(frame, TRACK)?;
        let style = Style::new(13.0, MUTED).at(Anchor::Middle);
        let lines = style.wrap(why, frame.width() - 40.0);
        let middle = ((frame.left + frame.right) / 2.0, (frame.top + frame.bottom) / 2.0);
        let first = middle.1 - (lines.len().saturating_sub(1)) as f64 * 10.0;
        for (at, line) in lines.iter().enumerate() {
            self.text(line, (middle.0, first + 20.0 * at as f64), style)?;
        }
        Ok(())
    }

    /// A square of `ink` and its meaning, and where the next one may begin.
    pub(super) fn key(&self, ink: Rgb, name: &str, (x, y): (f64, f64)) -> Result<f64, PluginError> {
        let style = Style::new(11.5, TEXT);
        self.fill(Frame::new(x, y - 5.0, x + 10.0, y + 5.0), ink)?;
        self.text(name, (x + 16.0, y), style)?;
        Ok(x + 16.0 + style.width(name) + 18.0)
    }
}

/// The colour for white paper.
pub(super) fn paper(ink: Ink) -> Rgb {
    ink.light
}

fn colour([r, g, b]: Rgb) -> RGBColor {
    RGBColor(r, g, b)
}

fn place((x, y): (f64, f64)) -> (i32, i32) {
    ((x * FINE).round() as i32, (y * FINE).round() as i32)
}
