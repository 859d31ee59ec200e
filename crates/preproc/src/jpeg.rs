//! JPEG through libjpeg-turbo: the header, and any rectangle of the pixels.
//!
//! The accurate inverse DCT and smooth ("fancy") chroma upsampling are on, as in PIL. Decoding a
//! rectangle gives exactly the pixels that decoding everything would: the rectangle is widened to
//! whole MCUs and by one more to each side, since the upsampling of a pixel looks at its
//! neighbours. What lies below the rectangle is not decoded at all.

#![expect(unsafe_code, reason = "libjpeg-turbo is a C library")]

use std::ffi::CStr;
use std::ptr::NonNull;

use libc::{c_int, c_void};
use turbojpeg_sys as tj;

use crate::{ImageError, Pixels, Region};

/// Scans of a progressive file beyond which it is taken for an attack: the value that
/// libjpeg-turbo's own fuzzers and browsers use.
const MAX_SCANS: c_int = 500;

/// What the header says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JpegHeader {
    pub(crate) width: u32,
    pub(crate) height: u32,
    subsampling: c_int,
    cmyk: bool,
    lossless: bool,
}

/// One decoder, for one thread at a time.
#[derive(Debug)]
pub(crate) struct JpegDecoder {
    handle: NonNull<c_void>,
    cmyk: Vec<u8>,
}

// SAFETY: a handle holds no thread-local state; the library only asks that it is not used by two
// threads at once, which `&mut self` in every method that touches it ensures.
unsafe impl Send for JpegDecoder {}

impl Drop for JpegDecoder {
    fn drop(&mut self) {
        // SAFETY: the handle came from `tj3Init` and is destroyed once.
        unsafe { tj::tj3Destroy(self.handle.as_ptr()) }
    }
}

impl JpegDecoder {
    pub(crate) fn new() -> Result<Self, ImageError> {
        // SAFETY: no preconditions; null is handled.
        let handle = unsafe { tj::tj3Init(tj::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let handle = NonNull::new(handle)
            .ok_or_else(|| ImageError::Jpeg("out of memory for a decoder".into()))?;
        let mut decoder = Self { handle, cmyk: Vec::new() };
        decoder.set(tj::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        Ok(decoder)
    }

    /// Reads the header of the file in `bytes`.
    pub(crate) fn header(&mut self, bytes: &[u8]) -> Result<JpegHeader, ImageError> {
        // SAFETY: the handle is live; pointer and length describe `bytes`.
        let status = unsafe {
            tj::tj3DecompressHeader(self.handle.as_ptr(), bytes.as_ptr(), bytes.len() as tj::size_t)
        };
        self.check(status)?;
        let side = |n: c_int| u32::try_from(n).unwrap_or(0);
        let colours = self.get(tj::TJPARAM_TJPARAM_COLORSPACE);
        Ok(JpegHeader {
            width: side(self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH)),
            height: side(self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT)),
            subsampling: self.get(tj::TJPARAM_TJPARAM_SUBSAMP),
            cmyk: colours == tj::TJCS_TJCS_CMYK as c_int || colours == tj::TJCS_TJCS_YCCK as c_int,
            lossless: self.get(tj::TJPARAM_TJPARAM_LOSSLESS) == 1,
        })
    }

    /// Decodes at least `region` of the file whose header was read last, and returns where it
    /// lies in `into`.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        header: JpegHeader,
        region: Region,
        into: &mut Pixels,
    ) -> Result<Region, ImageError> {
        let whole = Region::whole(header.width, header.height);
        let decoded = match mcu_size(header.subsampling) {
            Some((width, height)) if !header.lossless && region != whole => {
                widen(region, width, height, whole)
            }
            _ => whole,
        };
        let tj_region = if decoded == whole {
            tj::tjregion { x: 0, y: 0, w: 0, h: 0 }
        } else {
            tj::tjregion {
                x: decoded.left as c_int,
                y: decoded.top as c_int,
                w: decoded.width as c_int,
                h: decoded.height as c_int,
            }
        };
        // SAFETY: the handle is live and has read a header.
        let status = unsafe { tj::tj3SetCroppingRegion(self.handle.as_ptr(), tj_region) };
        self.check(status)?;

        let rgb = into.reset(decoded.width, decoded.height);
        if header.cmyk {
            let pixels = rgb.len() / 3;
            self.cmyk.resize(4 * pixels, 0);
            let cmyk = self.cmyk.as_mut_ptr();
            // SAFETY: `cmyk` has room for 4 bytes for each pixel of the region set above.
            unsafe { self.decompress(bytes, cmyk, tj::TJPF_TJPF_CMYK) }?;
            cmyk_to_rgb(&self.cmyk, rgb);
        } else {
            // SAFETY: `rgb` has room for 3 bytes for each pixel of the region set above.
            unsafe { self.decompress(bytes, rgb.as_mut_ptr(), tj::TJPF_TJPF_RGB) }?;
        }
        Ok(Region { left: region.left - decoded.left, top: region.top - decoded.top, ..region })
    }

    /// # Safety
    /// `into` must have room for the cropping region in `format`, rows without padding.
    unsafe fn decompress(
        &mut self,
        bytes: &[u8],
        into: *mut u8,
        format: tj::TJPF,
    ) -> Result<(), ImageError> {
        // SAFETY: the handle is live, pointer and length describe `bytes`, the caller vouches
        // for `into`, and pitch 0 means rows without padding.
        let status = unsafe {
            tj::tj3Decompress8(
                self.handle.as_ptr(),
                bytes.as_ptr(),
                bytes.len() as tj::size_t,
                into,
                0,
                format as c_int,
            )
        };
        self.check(status)
    }

    fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: the handle is live.
        unsafe { tj::tj3Get(self.handle.as_ptr(), parameter as c_int) }
    }

    fn set(&mut self, parameter: tj::TJPARAM, value: c_int) -> Result<(), ImageError> {
        // SAFETY: the handle is live.
        let status = unsafe { tj::tj3Set(self.handle.as_ptr(), parameter as c_int, value) };
        self.check(status)
    }

    /// Warnings pass, as they do in PIL: many real files have stray bytes between their segments.
    /// A missing end is found by [`is_complete`].
    fn check(&self, status: c_int) -> Result<(), ImageError> {
        // SAFETY: the handle is live.
        let code = unsafe { tj::tj3GetErrorCode(self.handle.as_ptr()) };
        if status == 0 || code == tj::TJERR_TJERR_WARNING as c_int {
            return Ok(());
        }
        // SAFETY: the library returns a NUL-terminated string that lives in the handle.
        let message = unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.handle.as_ptr())) };
        let message = message.to_string_lossy();
        Err(ImageError::Jpeg(message.split_once("(): ").map_or(&*message, |m| m.1).to_owned()))
    }
}

/// Width and height of an MCU; `None` for chroma layouts of which no part can be decoded.
fn mcu_size(subsampling: c_int) -> Option<(u32, u32)> {
    match subsampling as tj::TJSAMP {
        tj::TJSAMP_TJSAMP_444 | tj::TJSAMP_TJSAMP_GRAY => Some((8, 8)),
        tj::TJSAMP_TJSAMP_422 => Some((16, 8)),
        tj::TJSAMP_TJSAMP_420 => Some((16, 16)),
        tj::TJSAMP_TJSAMP_440 => Some((8, 16)),
        tj::TJSAMP_TJSAMP_411 => Some((32, 8)),
        tj::TJSAMP_TJSAMP_441 => Some((8, 32)),
        _ => None,
    }
}

/// `region` with an MCU more on each side, its left edge on an MCU's.
fn widen(region: Region, mcu_width: u32, mcu_height: u32, whole: Region) -> Region {
    let left = (region.left / mcu_width).saturating_sub(1) * mcu_width;
    let top = region.top.saturating_sub(mcu_height);
    let right = (region.left + region.width + mcu_width).min(whole.width);
    let bottom = (region.top + region.height + mcu_height).min(whole.height);
    Region { left, top, width: right - left, height: bottom - top }
}

/// PIL's conversion: the file holds inverted inks, as Adobe writes them, and each colour is what
/// its ink leaves of what black leaves.
fn cmyk_to_rgb(cmyk: &[u8], rgb: &mut [u8]) {
    for (from, to) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let black = u32::from(from[3]);
        for (colour, ink) in to.iter_mut().zip(from) {
            let taken = (255 - u32::from(*ink)) * black + 128;
            *colour = (black - ((taken >> 8) + taken >> 8)) as u8;
        }
    }
}

/// Whether the image data is followed by the end-of-image marker; an embedded thumbnail's does
/// not count.
///
/// Checked before decoding since a rectangle near the top can be decoded from a truncated file:
/// whether a file is good must not depend on the draw of a crop.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    let Some(scan) = scan_start(bytes) else { return false };
    memchr::memmem::rfind(&bytes[scan..], &[0xFF, 0xD9]).is_some()
}

/// Where the entropy-coded data begins: the segments before it state their lengths.
fn scan_start(bytes: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        at += memchr::memchr(0xFF, bytes.get(at..)?)?;
        match *bytes.get(at + 1)? {
            0xFF => at += 1,
            0x00 | 0x01 | 0xD0..=0xD9 => at += 2,
            marker => {
                let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
                at += 2 + usize::from(length);
                if marker == 0xDA {
                    return (at <= bytes.len()).then_some(at);
                }
            }
        }
    }
}
