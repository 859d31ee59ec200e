//! Antialiased bilinear resampling, as PIL's: two passes in 8 bits with SIMD.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};

pub use fast_image_resize::Resizer;

use crate::error::ResampleError;
use crate::pixels::KEPT_BYTES;
use crate::{Pixels, Region};

/// `from`, a rectangle of an image, resampled to `width` x `height`, and of that the `window`.
///
/// Only the window is computed, from only the pixels that it [`needs`](Self::needs): what is cut
/// off after resizing costs nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    from: Region,
    width: u32,
    height: u32,
    window: Region,
}

impl Resampling {
    /// Leaves `from` as it is.
    pub fn none(from: Region) -> Self {
        Self::new(from, from.width, from.height)
    }

    /// Resamples all of `from` to `width` x `height`. No pixel outside of `from` counts.
    pub fn new(from: Region, width: u32, height: u32) -> Self {
        Self { from, width, height, window: Region::whole(width, height) }
    }

    /// Keeps only `part` of what is there now.
    pub fn crop(&mut self, part: Region) {
        if self.is_none() {
            *self = Self::none(self.from.part(part));
        } else {
            self.window = self.window.part(part);
        }
    }

    /// Whether nothing is to be resampled.
    pub fn is_none(&self) -> bool {
        (self.width, self.height) == (self.from.width, self.from.height)
    }

    /// Width of the result.
    pub fn width(&self) -> u32 {
        self.window.width
    }

    /// Height of the result.
    pub fn height(&self) -> u32 {
        self.window.height
    }

    /// The part of the image that the result depends on.
    pub fn needs(&self) -> Region {
        let Region { left, top, width, height } = self.from;
        let [columns, rows] = self.spans();
        let (first_column, end_column) = columns.support(width);
        let (first_row, end_row) = rows.support(height);
        Region {
            left: left + first_column,
            top: top + first_row,
            width: end_column - first_column,
            height: end_row - first_row,
        }
    }

    /// Writes the result to `to`. `at` is where in `pixels` the rectangle that this
    /// [`needs`](Self::needs) lies.
    ///
    /// # Errors
    /// If `at` does not lie in `pixels`.
    pub fn run(
        &self,
        resizer: &mut Resizer,
        pixels: &Pixels,
        at: Region,
        to: &mut Pixels,
    ) -> Result<(), ResampleError> {
        // Typed: `resize` would be compiled for every type of pixel there is, which takes minutes.
        let source: TypedImageRef<U8x3> =
            TypedImageRef::from_buffer(pixels.width(), pixels.height(), pixels.data())?;
        let source = TypedCroppedImage::from_ref(&source, at.left, at.top, at.width, at.height)?;
        let (width, height) = (self.width(), self.height());
        let mut target: TypedImage<U8x3> =
            TypedImage::from_buffer(width, height, to.reset(width, height))?;
        let [columns, rows] = self.spans();
        let (left, columns) = columns.within(columns.support(self.from.width).0, at.width);
        let (top, rows) = rows.within(rows.support(self.from.height).0, at.height);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
            .crop(left, top, columns, rows)
            .use_alpha(false);
        resizer.resize_typed(&source, &mut target, &options)?;
        if resizer.size_of_internal_buffers() > KEPT_BYTES {
            resizer.reset_internal_buffers();
        }
        Ok(())
    }

    /// What the window's columns and rows are in `from`.
    fn spans(&self) -> [Span; 2] {
        let Self { from, width, height, window } = self;
        [
            Span::new(from.width, *width, window.left, window.width),
            Span::new(from.height, *height, window.top, window.height),
        ]
    }
}

/// A row or column of pixels seen from before resampling.
#[derive(Clone, Copy)]
struct Span {
    start: f64,
    length: f64,
    /// How far from its middle a resampled pixel looks.
    radius: f64,
}

impl Span {
    /// Where the `length` pixels from `start` of `target` ones are among `source` pixels.
    fn new(source: u32, target: u32, start: u32, length: u32) -> Self {
        // Multiplied first: the span of all pixels has to be exact.
        let place = |pixels: u32| f64::from(source) * f64::from(pixels) / f64::from(target);
        Self { start: place(start), length: place(length), radius: place(1).max(1.0) }
    }

    /// The first pixel that counts and the one after the last, of `source` pixels.
    fn support(self, source: u32) -> (u32, u32) {
        let first = (self.start - self.radius).floor().max(0.0);
        let end = (self.start + self.length + self.radius).ceil();
        (first as u32, (end as u32).min(source))
    }

    /// Start and length counted from pixel `origin`, in no more than `available` pixels.
    fn within(self, origin: u32, available: u32) -> (f64, f64) {
        let start = self.start - f64::from(origin);
        (start, self.length.min(f64::from(available) - start))
    }
}
