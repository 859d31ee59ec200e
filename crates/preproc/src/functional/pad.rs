//! Borders.

use serde::{Deserialize, Serialize};

use crate::Pixels;
use crate::transform::Scratch;

/// What a border is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// A colour.
    #[default]
    Constant,
    /// The last pixel.
    Edge,
    /// The image mirrored, without its last pixel: `cb|abc|ba`.
    Reflect,
    /// The image mirrored, with its last pixel: `ba|abc|cb`.
    Symmetric,
}

/// Adds a border of `left`, `top`, `right` and `bottom` pixels; `fill` is for
/// [`PaddingMode::Constant`]. A border wider than the image repeats what it mirrors; one around an
/// empty image is of `fill`.
pub fn pad(
    pixels: &mut Pixels,
    [left, top, right, bottom]: [u32; 4],
    fill: [u8; 3],
    mode: PaddingMode,
    scratch: &mut Scratch,
) {
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let (left, top) = (left as usize, top as usize);
    let (new_width, new_height) = (left + width + right as usize, top + height + bottom as usize);
    let is_empty = width == 0 || height == 0;
    let mode = if is_empty { PaddingMode::Constant } else { mode };
    let padded = scratch.back.reset(new_width as u32, new_height as u32);
    let rows = padded.as_chunks_mut::<3>().0;
    let source = pixels.data().as_chunks::<3>().0;
    // Rows of the image first: mirrored rows are copies of them.
    for y in 0..height {
        let row = &mut rows[(top + y) * new_width..][..new_width];
        let from = &source[y * width..][..width];
        row[left..left + width].copy_from_slice(from);
        let (before, rest) = row.split_at_mut(left);
        let after = &mut rest[width..];
        match mode {
            PaddingMode::Constant => {
                before.fill(fill);
                after.fill(fill);
            }
            PaddingMode::Edge => {
                before.fill(from[0]);
                after.fill(from[width - 1]);
            }
            PaddingMode::Reflect | PaddingMode::Symmetric => {
                for (x, pixel) in before.iter_mut().enumerate() {
                    *pixel = from[inside(x as i64 - left as i64, width, mode)];
                }
                for (x, pixel) in after.iter_mut().enumerate() {
                    *pixel = from[inside((width + x) as i64, width, mode)];
                }
            }
        }
    }
    for y in (0..top).chain(top + height..new_height) {
        if mode == PaddingMode::Constant {
            rows[y * new_width..][..new_width].fill(fill);
        } else {
            let from = top + inside(y as i64 - top as i64, height, mode);
            rows.copy_within(from * new_width..(from + 1) * new_width, y * new_width);
        }
    }
    std::mem::swap(pixels, &mut scratch.back);
}

/// Which of `length` pixels stands for the one at `at`, outside.
fn inside(at: i64, length: usize, mode: PaddingMode) -> usize {
    let length = length as i64;
    let at = match mode {
        PaddingMode::Constant | PaddingMode::Edge => at.clamp(0, length - 1),
        PaddingMode::Symmetric => {
            let at = at.rem_euclid(2 * length);
            at.min(2 * length - 1 - at)
        }
        PaddingMode::Reflect if length == 1 => 0,
        PaddingMode::Reflect => {
            let at = at.rem_euclid(2 * (length - 1));
            at.min(2 * (length - 1) - at)
        }
    };
    at as usize
}
