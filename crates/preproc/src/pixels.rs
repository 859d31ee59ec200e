//! Decoded pixels and rectangles in them.

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// An RGB image: `height` rows of `width` pixels of three bytes, without padding.
///
/// Its memory is kept when the image is overwritten by another, so that a worker that decodes
/// one image after the other stops allocating; only what a huge image took is given back.
#[derive(Clone, Debug, Default)]
pub struct Pixels {
    /// At least `3 * width * height` bytes; what lies behind is left from an earlier image.
    memory: Vec<u8>,
    width: u32,
    height: u32,
}

/// Memory above this is not kept for the next image: 4,000 x 4,000 pixels.
pub(crate) const KEPT_BYTES: usize = 48 << 20;

impl Pixels {
    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, `[H, W, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.memory[..bytes(self.width, self.height)]
    }

    /// The bytes, `[H, W, 3]`, to change.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..bytes(self.width, self.height)]
    }

    /// The pixels of `region`'s row `y`.
    ///
    /// # Panics
    /// If there is no such row in the image.
    pub fn row(&self, region: Region, y: u32) -> &[[u8; 3]] {
        let start = (region.top + y) as usize * self.width as usize + region.left as usize;
        &self.data().as_chunks().0[start..][..region.width as usize]
    }

    /// Makes this an image of `width` x `height` with unspecified content, to be overwritten,
    /// and returns its bytes.
    pub fn reset(&mut self, width: u32, height: u32) -> &mut [u8] {
        self.width = width;
        self.height = height;
        fit(&mut self.memory, bytes(width, height))
    }

    /// Leaves only `region` of the image.
    ///
    /// # Panics
    /// If it does not lie in the image.
    pub fn keep(&mut self, region: Region) {
        assert!(region.lies_in(self.width, self.height), "{region:?} of {self:?}");
        let (from, to) = (3 * self.width as usize, 3 * region.width as usize);
        let start = region.top as usize * from + 3 * region.left as usize;
        if from == to {
            self.memory.copy_within(start..start + region.height as usize * to, 0);
        } else {
            for y in 0..region.height as usize {
                self.memory.copy_within(start + y * from..start + y * from + to, y * to);
            }
        }
        (self.width, self.height) = (region.width, region.height);
    }

    /// Mirrors left and right.
    pub fn mirror(&mut self) {
        let width = self.width as usize;
        if width > 0 {
            mirror_rows(self.data_mut().as_chunks_mut().0, width);
        }
    }

    /// Turns upside down.
    pub fn flip(&mut self) {
        let (row, height) = (3 * self.width as usize, self.height as usize);
        if row > 0 {
            let (upper, lower) = self.data_mut().split_at_mut(height / 2 * row);
            let lower = lower.rchunks_exact_mut(row);
            upper
                .chunks_exact_mut(row)
                .zip(lower)
                .for_each(|(upper, lower)| upper.swap_with_slice(lower));
        }
    }
}

/// Pixels that change places together: 48 bytes are three registers, in which they are shuffled.
const BLOCK: usize = 16;

#[multiversion(targets("x86_64+avx2"))]
fn mirror_rows(pixels: &mut [[u8; 3]], width: usize) {
    let half = width / 2;
    let done = half / BLOCK * BLOCK;
    for row in pixels.chunks_exact_mut(width) {
        // From both ends inwards, as far as whole blocks go.
        let (left, right) = row.split_at_mut(half);
        let left = left.as_flattened_mut().as_chunks_mut().0.iter_mut();
        let right = right.as_flattened_mut().as_rchunks_mut().1.iter_mut().rev();
        for (left, right) in left.zip(right) {
            (*left, *right) = (mirrored(right), mirrored(left));
        }
        row[done..width - done].reverse();
    }
}

#[inline(always)]
fn mirrored(block: &[u8; 3 * BLOCK]) -> [u8; 3 * BLOCK] {
    std::array::from_fn(|i| block[3 * (BLOCK - 1 - i / 3) + i % 3])
}

/// The first `length` bytes of `memory`, which becomes larger if need be, and smaller if it is
/// too large to keep. Their content is unspecified.
pub(crate) fn fit(memory: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if memory.len() < length || (memory.len() > KEPT_BYTES && length <= KEPT_BYTES) {
        // Not resized: nothing of the old content is worth copying, and fresh pages are zero.
        *memory = Vec::new();
        *memory = vec![0; length];
    }
    &mut memory[..length]
}

fn bytes(width: u32, height: u32) -> usize {
    3 * width as usize * height as usize
}

/// A rectangle of whole pixels inside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Distance from the image's left edge.
    pub left: u32,
    /// Distance from the image's top edge.
    pub top: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl Region {
    /// The whole of an image of `width` x `height`.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { left: 0, top: 0, width, height }
    }

    /// Whether it lies in an image of `width` x `height`.
    pub fn lies_in(self, width: u32, height: u32) -> bool {
        let fits = |start: u32, length: u32, side: u32| {
            start.checked_add(length).is_some_and(|end| end <= side)
        };
        fits(self.left, self.width, width) && fits(self.top, self.height, height)
    }

    /// The part of this region that `inner`, whose edges count from this region's, covers.
    pub fn part(self, inner: Region) -> Self {
        Self { left: self.left + inner.left, top: self.top + inner.top, ..inner }
    }

    /// The same rectangle in the mirror image of an image of `image_width`.
    pub fn mirrored(self, image_width: u32) -> Self {
        Self { left: image_width - self.left - self.width, ..self }
    }

    /// The same rectangle in an image of `image_height` turned upside down.
    pub fn flipped(self, image_height: u32) -> Self {
        Self { top: image_height - self.top - self.height, ..self }
    }
}
