//! The last step, fused: bytes `[H, W, 3]` to float32 `[3, H, W]`, mirrored, scaled and
//! normalised on the way into the batch's memory.

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
            let row = pixels.row(region, y as u32);
            self.write_row(row, [&mut *red, &mut *green, &mut *blue]);
            if mirrored {
                for channel in [red, green, blue] {
                    channel.reverse();
                }
            }
        }
    }

    fn write_row(&self, row: &[u8], [red, green, blue]: [&mut [f32]; 3]) {
        let Self { scale, offset } = self;
        let pixels = row.as_chunks::<3>().0;
        for (((pixel, r), g), b) in pixels.iter().zip(red).zip(green).zip(blue) {
            *r = f32::from(pixel[0]) * scale[0] + offset[0];
            *g = f32::from(pixel[1]) * scale[1] + offset[1];
            *b = f32::from(pixel[2]) * scale[2] + offset[2];
        }
    }
}
