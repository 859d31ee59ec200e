//! The segments of a JPEG file, walked without decoding anything.

use crate::ImageError;

/// Checks that the file has its end, and before it no marker that libjpeg-turbo would stop at.
/// Returns whether there are segments behind the scan that completes the image: the library reads
/// them only after the last row, so only whoever decodes that far learns whether they are good.
///
/// Looked at before decoding, since a rectangle near the top can be decoded from a truncated
/// file: whether a file is good must not depend on the draw of a crop. The end-of-image marker
/// of an embedded thumbnail does not count; what follows the image's own is not looked at.
///
/// # Errors
/// [`ImageError::Truncated`] if the file ends before the image does, [`ImageError::Jpeg`] if
/// there is a marker in the image data that may not be there.
pub(super) fn check(bytes: &[u8]) -> Result<bool, ImageError> {
    let mut at = 2;
    let mut in_image = false;
    // Whether the first scan holds all components: else the library reads to the end of the file
    // before it gives the first row.
    let mut complete = false;
    let mut components = None;
    let mut segments_behind = false;
    while let Some((marker, after)) = next_marker(bytes, at) {
        at = match marker {
            // A stuffed byte of image data, TEM, RST0 to RST7: no length follows.
            0x00 | 0x01 | 0xD0..=0xD7 => after,
            // EOI. Before any image data it leaves the file without an image, which the library
            // says best.
            0xD9 => return Ok(segments_behind),
            // In the header anything that states its length is the library's to judge; after it
            // only DHT, DAC, SOS, DQT, DNL, DRI, APPn and COM.
            0xC4 | 0xCC | 0xDA..=0xDD | 0xE0..=0xEF | 0xFE => after + length(bytes, after)?,
            _ if !in_image => after + length(bytes, after)?,
            _ => {
                return Err(ImageError::Jpeg(format!(
                    "unexpected marker 0x{marker:02x} in the image data"
                )));
            }
        };
        match marker {
            0x00 | 0x01 | 0xD0..=0xD7 => {}
            _ if complete => segments_behind = true,
            // Frames whose components one scan completes: no progressive ones.
            0xC0 | 0xC1 | 0xC3 | 0xC9 | 0xCB => components = bytes.get(after + 7),
            0xDA if !in_image => {
                complete = components.is_some() && bytes.get(after + 2) == components;
            }
            _ => {}
        }
        in_image |= marker == 0xDA;
    }
    Err(ImageError::Truncated)
}

/// The first marker at or behind `at`, and where it ends; fill bytes belong to it.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut at = at + memchr::memchr(0xFF, bytes.get(at..)?)? + 1;
    while *bytes.get(at)? == 0xFF {
        at += 1;
    }
    Some((bytes[at], at + 1))
}

/// Length of the segment whose marker ends at `at`, the two bytes that state it included.
fn length(bytes: &[u8], at: usize) -> Result<usize, ImageError> {
    let stated = bytes.get(at..at + 2).ok_or(ImageError::Truncated)?;
    Ok(usize::from(u16::from_be_bytes([stated[0], stated[1]])))
}
