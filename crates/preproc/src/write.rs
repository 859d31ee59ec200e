//! The last step, fused: bytes `[H, W, 3]` to float32 `[3, H, W]`, mirrored, scaled and
//! normalised on the way into the batch's memory.

use multiversion::multiversion;

use crate::transform::Normalize;
use crate::{Pixels, Region};

/// What happens to a byte of each channel: `scale * byte + offset`.
#[derive(Clone, Debug)]
pub struct Writer {
    scale: [f32; 3],
    offset: [f32; 3],
}

impl Writer {
    /// Writes `(byte / 255 - mean) / std`.
    pub fn new(normalize: &Normalize) -> Self {
        let Normalize { mean, std } = normalize;
        Self {
            scale: std::array::from_fn(|c| 1.0 / (255.0 * std[c])),
            offset: std::array::from_fn(|c| -mean[c] / std[c]),
        }
    }

    /// Writes `region` of `pixels` to `out`, `[3, region.height, region.width]`; `mirrored` left
    /// to right.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn write(&self, pixels: &Pixels, region: Region, mirrored: bool, out: &mut [f32]) {
        let width = region.width as usize;
        let plane = width * region.height as usize;
        assert_eq!(out.len(), 3 * plane, "a slot of another shape");
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let rows = red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width));
        for (y, ((red, green), blue)) in rows.zip(blue.chunks_exact_mut(width)).enumerate() {
            write_row(self, pixels.row(region, y as u32), mirrored, [red, green, blue]);
        }
    }
}

/// Compiled once more for processors with AVX2. The results are the same: a multiplication and an
/// addition stay two roundings.
#[multiversion(targets("x86_64+avx2"))]
fn write_row(writer: &Writer, row: &[[u8; 3]], mirrored: bool, planes: [&mut [f32]; 3]) {
    for (channel, plane) in planes.into_iter().enumerate() {
        let (scale, offset) = (writer.scale[channel], writer.offset[channel]);
        for (value, pixel) in plane.iter_mut().zip(row) {
            *value = f32::from(pixel[channel]) * scale + offset;
        }
        if mirrored {
            plane.reverse();
        }
    }
}
