//! Turning, shearing and moving.

use serde::{Deserialize, Serialize};

use crate::Pixels;
use crate::transform::Scratch;

/// How a pixel is made of those it falls between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest one.
    #[default]
    Nearest,
    /// The mean of four, by distance.
    Bilinear,
}

/// Which place of an image the place `(x, y)` of the result comes from:
/// `(a x + b y + c, d x + e y + f)` for `[a, b, c, d, e, f]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Turned by `angle` degrees counter-clockwise about the middle of `width` x `height`.
    pub fn rotation(angle: f64, width: u32, height: u32) -> Self {
        // PIL rounds, so that quarter turns are exact.
        let rounded = |value: f64| (value * 1e15).round() / 1e15;
        let (sin, cos) = (-angle.to_radians()).sin_cos();
        let (sin, cos) = (rounded(sin), rounded(cos));
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        Self([cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
    }

    /// Sheared by `x`: every row is moved left by `x` times its distance from the top.
    pub fn shear_x(x: f64) -> Self {
        Self([1.0, x, 0.0, 0.0, 1.0, 0.0])
    }

    /// Sheared by `y`: every column is moved up by `y` times its distance from the left.
    pub fn shear_y(y: f64) -> Self {
        Self([1.0, 0.0, 0.0, y, 1.0, 0.0])
    }

    /// Moved right and down by whole pixels.
    pub fn translation(x: i32, y: i32) -> Self {
        Self([1.0, 0.0, -f64::from(x), 0.0, 1.0, -f64::from(y)])
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }
}

/// Turns the image by `angle` degrees counter-clockwise about its middle. With `expand` the result
/// is as large as the turned image; else it keeps its size. What comes from outside is `fill`.
pub fn rotate(
    pixels: &mut Pixels,
    angle: f64,
    interpolation: Interpolation,
    expand: bool,
    fill: [u8; 3],
    scratch: &mut Scratch,
) {
    let angle = angle.rem_euclid(360.0);
    let (width, height) = (pixels.width(), pixels.height());
    if angle == 0.0 {
        return;
    }
    if angle == 180.0 {
        pixels.mirror();
        pixels.flip();
        return;
    }
    let mut turn = Affine::rotation(angle, width, height);
    let (mut new_width, mut new_height) = (width, height);
    if expand {
        let (w, h) = (f64::from(width), f64::from(height));
        let corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].map(|(x, y)| turn.at(x, y));
        let side = |values: [f64; 4]| {
            let (low, high) = values
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
            high.ceil() - low.floor()
        };
        // Of a quarter turn, rounding would add a pixel.
        let (w2, h2) = if angle == 90.0 || angle == 270.0 {
            (h, w)
        } else {
            (side(corners.map(|(x, _)| x)), side(corners.map(|(_, y)| y)))
        };
        (turn.0[2], turn.0[5]) = turn.at(-(w2 - w) / 2.0, -(h2 - h) / 2.0);
        (new_width, new_height) = (w2 as u32, h2 as u32);
    }
    affine(pixels, &turn, [new_width, new_height], interpolation, fill, scratch);
}

/// A step of one pixel in fixed-point coordinates.
const ONE: i64 = 1 << 16;

/// Makes an image of `width` x `height` whose pixels come from where `map` says; `fill` where that
/// is outside.
pub fn affine(
    pixels: &mut Pixels,
    map: &Affine,
    [width, height]: [u32; 2],
    interpolation: Interpolation,
    fill: [u8; 3],
    scratch: &mut Scratch,
) {
    let fixed = |value: f64| (value * ONE as f64 + 0.5).floor() as i64;
    let [a, b, _, d, e, _] = map.0;
    let (start_x, start_y) = map.at(0.5, 0.5);
    let source = Source::new(pixels);
    let (step_x, step_y) = (fixed(a), fixed(d));
    let target = scratch.back.reset(width, height);
    if width > 0 {
        let rows = target.as_chunks_mut::<3>().0.chunks_exact_mut(width as usize);
        for (y, row) in (0..).zip(rows) {
            let line = Line {
                x: fixed(start_x) + fixed(b) * y,
                y: fixed(start_y) + fixed(e) * y,
                step_x,
                step_y,
            };
            let inside = line.inside(&source, row.len());
            row[..inside.start].fill(fill);
            row[inside.end..].fill(fill);
            let line = line.from(inside.start as i64);
            match interpolation {
                Interpolation::Nearest => source.nearest(line, &mut row[inside]),
                Interpolation::Bilinear => source.bilinear(line, &mut row[inside]),
            }
        }
    }
    std::mem::swap(pixels, &mut scratch.back);
}

/// Where the pixels of a row come from, in fixed point: the first, and a step.
#[derive(Clone, Copy)]
struct Line {
    x: i64,
    y: i64,
    step_x: i64,
    step_y: i64,
}

impl Line {
    fn from(self, n: i64) -> Self {
        Self { x: self.x + n * self.step_x, y: self.y + n * self.step_y, ..self }
    }

    /// Which of the first `length` pixels come from inside `source`.
    fn inside(self, source: &Source<'_>, length: usize) -> std::ops::Range<usize> {
        let (mut first, mut end) = (0, length as i64);
        for (start, step, side) in
            [(self.x, self.step_x, source.width), (self.y, self.step_y, source.height)]
        {
            let limit = side as i64 * ONE;
            // 0 <= start + n * step < limit
            match step {
                0 if (0..limit).contains(&start) => {}
                0 => end = 0,
                1.. => {
                    first = first.max(div_ceil(-start, step));
                    end = end.min(div_ceil(limit - start, step));
                }
                _ => {
                    first = first.max((start - limit).div_euclid(-step) + 1);
                    end = end.min(start.div_euclid(-step) + 1);
                }
            }
        }
        let end = end.max(0);
        first.min(end) as usize..end as usize
    }
}

fn div_ceil(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

struct Source<'a> {
    pixels: &'a [[u8; 3]],
    width: usize,
    height: usize,
}

impl<'a> Source<'a> {
    fn new(pixels: &'a Pixels) -> Self {
        let (width, height) = (pixels.width() as usize, pixels.height() as usize);
        Self { pixels: pixels.data().as_chunks().0, width, height }
    }

    fn nearest(&self, line: Line, row: &mut [[u8; 3]]) {
        let place = |x: i64, y: i64| (y >> 16) as usize * self.width + (x >> 16) as usize;
        if (line.step_x, line.step_y) == (ONE, 0) && !row.is_empty() {
            let start = place(line.x, line.y);
            row.copy_from_slice(&self.pixels[start..start + row.len()]);
            return;
        }
        let Line { mut x, mut y, step_x, step_y } = line;
        for pixel in row {
            *pixel = self.pixels[place(x, y)];
            x += step_x;
            y += step_y;
        }
    }

    /// Weighs in 256ths, all three channels at once in 16 bits each.
    fn bilinear(&self, line: Line, row: &mut [[u8; 3]]) {
        let Line { mut x, mut y, step_x, step_y } = line;
        let (last_x, last_y) = (self.width as i64 - 1, self.height as i64 - 1);
        for pixel in row {
            // Pixels are at their middles.
            let (middle_x, middle_y) = (x - ONE / 2, y - ONE / 2);
            let (left, top) = (middle_x >> 16, middle_y >> 16);
            let (dx, dy) = ((middle_x >> 8) as u64 & 255, (middle_y >> 8) as u64 & 255);
            let column = |x: i64| x.clamp(0, last_x) as usize;
            let line = |y: i64| y.clamp(0, last_y) as usize * self.width;
            let (x0, x1) = (column(left), column(left + 1));
            let (y0, y1) = (line(top), line(top + 1));
            let both = (dx * dy) >> 8;
            let sum = spread(self.pixels[y0 + x0]) * (256 - dx - dy + both)
                + spread(self.pixels[y0 + x1]) * (dx - both)
                + spread(self.pixels[y1 + x0]) * (dy - both)
                + spread(self.pixels[y1 + x1]) * both;
            *pixel = [(sum >> 8) as u8, (sum >> 24) as u8, (sum >> 40) as u8];
            x += step_x;
            y += step_y;
        }
    }
}

/// The channels 16 bits apart.
fn spread([r, g, b]: [u8; 3]) -> u64 {
    u64::from(r) | u64::from(g) << 16 | u64::from(b) << 32
}
