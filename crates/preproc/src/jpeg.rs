//! JPEG through libjpeg-turbo: the header, and any rectangle of the pixels.
//!
//! The accurate inverse DCT and smooth ("fancy") chroma upsampling are on, as in PIL. Decoding a
//! rectangle gives exactly the pixels that decoding everything would: it is widened, since the
//! upsampling of a pixel looks at the chroma beside it; above and below, the library sees to that.
//! What lies below the rectangle is not decoded at all.

mod library;
mod markers;

use self::library::{Failure, Handle, Warnings};
use crate::pixels::fit;
use crate::{ImageError, Pixels, Region};

pub(crate) use self::library::JpegHeader;

/// Reads the header of the file in `bytes`.
///
/// # Errors
/// If it cannot be read, or the file's end is missing.
pub(crate) fn read_header(bytes: &[u8]) -> Result<JpegHeader, ImageError> {
    let segments_behind = markers::check(bytes)?;
    let mut header = attempt(|handle| handle.read_header(bytes))?.header();
    header.segments_behind = segments_behind;
    if header.width == 0 || header.height == 0 {
        return Err(ImageError::Jpeg("there is no image in it".into()));
    }
    Ok(header)
}

/// Decodes at least `region` of the file in `bytes` with that `header`, and returns where the
/// region lies in `into`. `cmyk` is memory for files of four components.
///
/// # Errors
/// If the data behind the header cannot be decoded.
pub(crate) fn decode(
    bytes: &[u8],
    header: JpegHeader,
    region: Region,
    into: &mut Pixels,
    cmyk: &mut Vec<u8>,
) -> Result<Region, ImageError> {
    let whole = Region::whole(header.width, header.height);
    let mut decoded = header.mcu_width().map_or(whole, |mcu| widen(region, mcu, whole));
    let mut result = decode_exactly(bytes, header, decoded, into, cmyk);
    if result.is_err() && decoded != whole {
        // A layout of which the library decodes no part, or a damaged file: whether it is
        // accepted must not depend on the draw of a crop.
        decoded = whole;
        result = decode_exactly(bytes, header, decoded, into, cmyk);
    }
    result?;
    Ok(Region { left: region.left - decoded.left, top: region.top - decoded.top, ..region })
}

fn decode_exactly(
    bytes: &[u8],
    header: JpegHeader,
    region: Region,
    into: &mut Pixels,
    cmyk: &mut Vec<u8>,
) -> Result<(), ImageError> {
    let rgb = into.reset(region.width, region.height);
    if header.inks {
        let cmyk = fit(cmyk, rgb.len() / 3 * 4);
        attempt(|handle| handle.decode(bytes, header, region, cmyk))?;
        cmyk_to_rgb(cmyk, rgb);
    } else {
        attempt(|handle| handle.decode(bytes, header, region, rgb))?;
    }
    Ok(())
}

/// Makes a `call`, and lets warnings pass as PIL does: many real files have stray bytes between
/// their segments.
///
/// After a warning the library does not say whether an error followed. Its message does: it is
/// the first warning, or else the error. So a handle that stops at the first warning is asked for
/// that one: if the messages are the same, there was no error.
///
/// Each call has a handle of its own, which costs a microsecond: a used one decodes a file that
/// lacks tables with those of the file before, and is of no use after a bad header.
fn attempt(mut call: impl FnMut(&mut Handle) -> Result<(), Failure>) -> Result<Handle, ImageError> {
    let mut handle = Handle::new(Warnings::Pass)?;
    if let Err(failure) = call(&mut handle) {
        let only_warned = failure.warned && {
            let first = call(&mut Handle::new(Warnings::Stop)?);
            first.is_err_and(|first| first.message == failure.message)
        };
        if !only_warned {
            return Err(failure.into());
        }
    }
    Ok(handle)
}

/// `region` with the columns of one more chroma sample on each side, and its left edge on an
/// MCU's, where the library can begin.
fn widen(region: Region, mcu_width: u32, whole: Region) -> Region {
    let margin = mcu_width / 8;
    let left = region.left.saturating_sub(margin) / mcu_width * mcu_width;
    let right = (region.left + region.width + margin).min(whole.width);
    Region { left, width: right - left, ..region }
}

/// PIL's conversion: the file holds inverted inks, as Adobe writes them, and each colour is what
/// its ink leaves of what black leaves.
fn cmyk_to_rgb(cmyk: &[u8], rgb: &mut [u8]) {
    for ([inks @ .., black], to) in cmyk.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let black = u32::from(*black);
        *to = inks.map(|ink| {
            let taken = (255 - u32::from(ink)) * black + 128;
            (black - (((taken >> 8) + taken) >> 8)) as u8
        });
    }
}
