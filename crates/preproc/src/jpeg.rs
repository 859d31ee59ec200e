//! JPEG through libjpeg-turbo: the header, and any rectangle of the pixels.
//!
//! The accurate inverse DCT and smooth ("fancy") chroma upsampling are on, as in PIL. Decoding a
//! rectangle gives exactly the pixels that decoding everything would: the rectangle is widened to
//! whole MCUs and by one more to each side, since the upsampling of a pixel looks at its
//! neighbours. What lies below the rectangle is not decoded at all.

mod library;
mod markers;

use self::library::Handle;
use crate::pixels::fit;
use crate::{ImageError, Pixels, Region};

pub(crate) use self::library::JpegHeader;

/// One decoder, for one thread at a time.
#[derive(Debug, Default)]
pub(crate) struct JpegDecoder {
    /// `None` before the first file and after a bad one, which leaves a handle unusable.
    handle: Option<Handle>,
    cmyk: Vec<u8>,
}

impl JpegDecoder {
    /// Reads the header of the file in `bytes`.
    ///
    /// # Errors
    /// If it cannot be read, or the file's end is missing.
    pub(crate) fn header(&mut self, bytes: &[u8]) -> Result<JpegHeader, ImageError> {
        markers::check(bytes)?;
        Ok(self.attempt(|handle| handle.read_header(bytes))?.header())
    }

    /// Decodes at least `region` of the file in `bytes` with that `header`, and returns where the
    /// region lies in `into`.
    ///
    /// # Errors
    /// If the data behind the header cannot be decoded.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        header: JpegHeader,
        region: Region,
        into: &mut Pixels,
    ) -> Result<Region, ImageError> {
        let whole = Region::whole(header.width, header.height);
        let mut decoded = header.mcu_size().map_or(whole, |mcu| widen(region, mcu, whole));
        let mut result = self.decode_exactly(bytes, header, decoded, into);
        if result.is_err() && decoded != whole {
            // A layout of which the library decodes no part, or a damaged file: whether it is
            // accepted must not depend on the draw of a crop.
            decoded = whole;
            result = self.decode_exactly(bytes, header, decoded, into);
        }
        result?;
        Ok(Region { left: region.left - decoded.left, top: region.top - decoded.top, ..region })
    }

    fn decode_exactly(
        &mut self,
        bytes: &[u8],
        header: JpegHeader,
        region: Region,
        into: &mut Pixels,
    ) -> Result<(), ImageError> {
        let rgb = into.reset(region.width, region.height);
        if header.inks {
            let mut memory = std::mem::take(&mut self.cmyk);
            let cmyk = fit(&mut memory, rgb.len() / 3 * 4);
            self.attempt(|handle| handle.decode(bytes, header, region, cmyk))?;
            cmyk_to_rgb(cmyk, rgb);
            self.cmyk = memory;
        } else {
            self.attempt(|handle| handle.decode(bytes, header, region, rgb))?;
        }
        Ok(())
    }

    /// Makes a `call`, and lets warnings pass as PIL does: many real files have stray bytes
    /// between their segments.
    ///
    /// After a warning the library does not say whether an error followed. Its message does: it
    /// is the first warning, or else the error. So a handle that stops at the first warning is
    /// asked for that one: if the messages are the same, there was no error.
    fn attempt(
        &mut self,
        mut call: impl FnMut(&mut Handle) -> Result<(), library::Failure>,
    ) -> Result<&Handle, ImageError> {
        let mut handle = self.handle.take().map_or_else(Handle::new, Ok)?;
        if let Err(failure) = call(&mut handle) {
            let only_warned = failure.warned && {
                let first = call(&mut Handle::stopping_at_warnings()?);
                first.is_err_and(|first| first.message == failure.message)
            };
            if !only_warned {
                return Err(ImageError::Jpeg(failure.message));
            }
        }
        Ok(self.handle.insert(handle))
    }
}

/// `region` with an MCU more on each side, its left edge on an MCU's.
fn widen(region: Region, (mcu_width, mcu_height): (u32, u32), whole: Region) -> Region {
    let left = (region.left / mcu_width).saturating_sub(1) * mcu_width;
    let top = region.top.saturating_sub(mcu_height);
    let right = (region.left + region.width + mcu_width).min(whole.width);
    let bottom = (region.top + region.height + mcu_height).min(whole.height);
    Region { left, top, width: right - left, height: bottom - top }
}

/// PIL's conversion: the file holds inverted inks, as Adobe writes them, and each colour is what
/// its ink leaves of what black leaves.
fn cmyk_to_rgb(cmyk: &[u8], rgb: &mut [u8]) {
    for ([inks @ .., black], to) in cmyk.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let black = u32::from(*black);
        *to = inks.map(|ink| {
            let taken = (255 - u32::from(ink)) * black + 128;
            (black - ((taken >> 8) + taken >> 8)) as u8
        });
    }
}
