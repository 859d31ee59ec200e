//! The last step, fused: bytes `[H, W, 3]` to the type and order of a sample, mirrored, flipped,
//! scaled and normalised on the way into the batch's memory.

use multiversion::multiversion;

use crate::transform::{Element, Layout, Normalize};
use crate::{Pixels, Region};

/// What happens to a byte of each channel, `scale * byte + offset`, and where it goes.
#[derive(Clone, Debug)]
pub struct Writer {
    scale: [f32; 3],
    offset: [f32; 3],
    layout: Layout,
}

impl Writer {
    /// Writes `(byte / 255 - mean) / std`; bytes as they are where the sample is of bytes.
    pub fn new(normalize: &Normalize, layout: Layout) -> Self {
        let Normalize { mean, std } = normalize;
        Self {
            scale: std::array::from_fn(|c| 1.0 / (255.0 * std[c])),
            offset: std::array::from_fn(|c| -mean[c] / std[c]),
            layout,
        }
    }

    /// Order of the values.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Writes `region` of `pixels` to `out`, `[3, region.height, region.width]` or, channels last,
    /// `[region.height, region.width, 3]`; `mirrored` left to right, and `flipped` upside down.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn write<T: Element>(
        &self,
        pixels: &Pixels,
        region: Region,
        [mirrored, flipped]: [bool; 2],
        out: &mut [T],
    ) {
        let (width, height) = (region.width as usize, region.height);
        let plane = width * height as usize;
        assert_eq!(out.len(), 3 * plane, "a slot of another shape");
        let row = |y: u32| pixels.row(region, if flipped { height - 1 - y } else { y });
        match self.layout {
            Layout::Nchw => {
                let (red, rest) = out.split_at_mut(plane);
                let (green, blue) = rest.split_at_mut(plane);
                let rows = red.chunks_exact_mut(width).zip(green.chunks_exact_mut(width));
                for (y, ((red, green), blue)) in (0..).zip(rows.zip(blue.chunks_exact_mut(width))) {
                    write_planes(self, row(y), mirrored, [red, green, blue]);
                }
            }
            Layout::ChannelsLast => {
                for (y, out) in (0..).zip(out.chunks_exact_mut(3 * width)) {
                    write_pixels(self, row(y), mirrored, out.as_chunks_mut().0);
                }
            }
        }
    }
}

/// Compiled once more for processors with AVX2. The results are the same: a multiplication and an
/// addition stay two roundings.
#[multiversion(targets("x86_64+avx2"))]
fn write_planes<T: Element>(
    writer: &Writer,
    row: &[[u8; 3]],
    mirrored: bool,
    planes: [&mut [T]; 3],
) {
    for (channel, plane) in planes.into_iter().enumerate() {
        let (scale, offset) = (writer.scale[channel], writer.offset[channel]);
        for (value, pixel) in plane.iter_mut().zip(row) {
            let byte = pixel[channel];
            *value = T::of(byte, f32::from(byte) * scale + offset);
        }
        if mirrored {
            plane.reverse();
        }
    }
}

/// As [`write_planes`], the values of a pixel side by side.
#[multiversion(targets("x86_64+avx2"))]
fn write_pixels<T: Element>(
    writer: &Writer,
    row: &[[u8; 3]],
    mirrored: bool,
    pixels: &mut [[T; 3]],
) {
    let Writer { scale, offset, .. } = writer;
    for (values, pixel) in pixels.iter_mut().zip(row) {
        *values =
            std::array::from_fn(|c| T::of(pixel[c], f32::from(pixel[c]) * scale[c] + offset[c]));
    }
    if mirrored {
        pixels.reverse();
    }
}
