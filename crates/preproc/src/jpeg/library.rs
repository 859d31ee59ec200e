//! The calls into libjpeg-turbo: the one place here that is `unsafe`.

#![expect(unsafe_code, reason = "libjpeg-turbo is a C library")]

use std::ffi::CStr;
use std::ptr::NonNull;

use libc::{c_int, c_void};
use turbojpeg_sys as tj;

use crate::{ImageError, Region};

/// Scans of a progressive file beyond which it is taken for an attack, since each is a pass over
/// the whole image. libjpeg-turbo's own fuzzers use this value; real files have about ten.
const MAX_SCANS: c_int = 500;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct JpegHeader {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Whether a pixel is four bytes, C, M, Y and K, and not three.
    pub(super) inks: bool,
    subsampling: c_int,
    lossless: bool,
    /// Whether [`check`](super::markers::check) found segments behind the image.
    pub(super) segments_behind: bool,
}

impl JpegHeader {
    /// Width of an MCU; `None` for files of which no part can be decoded, or should be: whether a
    /// file is accepted must not depend on how much of it is decoded.
    pub(super) fn mcu_width(self) -> Option<u32> {
        match self.subsampling as tj::TJSAMP {
            _ if self.lossless || self.segments_behind => None,
            tj::TJSAMP_TJSAMP_444 | tj::TJSAMP_TJSAMP_GRAY => Some(8),
            tj::TJSAMP_TJSAMP_440 | tj::TJSAMP_TJSAMP_441 => Some(8),
            tj::TJSAMP_TJSAMP_422 | tj::TJSAMP_TJSAMP_420 => Some(16),
            tj::TJSAMP_TJSAMP_411 => Some(32),
            _ => None,
        }
    }
}

/// Why a call did not simply succeed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the library says: the error, or the first warning if there was no error.
    pub(super) message: String,
    /// Whether there was a warning; an error may have followed it.
    pub(super) warned: bool,
}

impl From<Failure> for ImageError {
    fn from(failure: Failure) -> Self {
        ImageError::Jpeg(failure.message)
    }
}

/// What a warning does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Warnings {
    /// The call goes on, and says at its end that there was one.
    Pass,
    /// The call ends, as with an error.
    Stop,
}

/// A decompressor of the library.
#[derive(Debug)]
pub(super) struct Handle {
    pointer: NonNull<c_void>,
    warnings: Warnings,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `tj3Init` and is destroyed once.
        unsafe { tj::tj3Destroy(self.pointer.as_ptr()) }
    }
}

impl Handle {
    pub(super) fn new(warnings: Warnings) -> Result<Self, Failure> {
        // SAFETY: no preconditions; null is handled.
        let pointer = unsafe { tj::tj3Init(tj::TJINIT_TJINIT_DECOMPRESS as c_int) };
        let pointer = NonNull::new(pointer).ok_or_else(|| Failure {
            message: "out of memory for a decoder".into(),
            warned: false,
        })?;
        let mut handle = Self { pointer, warnings };
        let stop = c_int::from(warnings == Warnings::Stop);
        handle.set(tj::TJPARAM_TJPARAM_STOPONWARNING, stop)?;
        handle.set(tj::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS)?;
        // Nobody looks at colour profiles here.
        handle.set(tj::TJPARAM_TJPARAM_SAVEMARKERS, 0)?;
        Ok(handle)
    }

    /// Reads the header of the file in `bytes`.
    pub(super) fn read_header(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        // SAFETY: the handle is live; pointer and length describe `bytes`.
        let status = unsafe {
            tj::tj3DecompressHeader(
                self.pointer.as_ptr(),
                bytes.as_ptr(),
                bytes.len() as tj::size_t,
            )
        };
        self.check(status)
    }

    /// The header read last.
    pub(super) fn header(&self) -> JpegHeader {
        let side = |n: c_int| u32::try_from(n).unwrap_or(0);
        let colours = self.get(tj::TJPARAM_TJPARAM_COLORSPACE) as tj::TJCS;
        JpegHeader {
            width: side(self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH)),
            height: side(self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT)),
            inks: [tj::TJCS_TJCS_CMYK, tj::TJCS_TJCS_YCCK].contains(&colours),
            subsampling: self.get(tj::TJPARAM_TJPARAM_SUBSAMP),
            lossless: self.get(tj::TJPARAM_TJPARAM_LOSSLESS) == 1,
            segments_behind: false,
        }
    }

    /// Decodes `region` of the file in `bytes`, whose header is `header`, to `into`,
    /// `[region.height, region.width, 3 or 4]`. The left edge of the region must be on an MCU's.
    ///
    /// # Panics
    /// If `region` does not lie in the image, `into` does not have its size, or `header` is that
    /// of another file.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        header: JpegHeader,
        region: Region,
        into: &mut [u8],
    ) -> Result<(), Failure> {
        // Again, since the library checks the region against the header it read last.
        if let Err(failure) = self.read_header(bytes)
            && (self.warnings == Warnings::Stop || !failure.warned)
        {
            return Err(failure);
        }
        let read = JpegHeader { segments_behind: header.segments_behind, ..self.header() };
        assert_eq!(read, header, "the header of another file");
        assert!(region.lies_in(header.width, header.height), "{region:?} of {header:?}");
        let (format, channels) =
            if header.inks { (tj::TJPF_TJPF_CMYK, 4) } else { (tj::TJPF_TJPF_RGB, 3) };
        assert_eq!(into.len(), channels * region.width as usize * region.height as usize);

        let part = if region == Region::whole(header.width, header.height) {
            tj::tjregion { x: 0, y: 0, w: 0, h: 0 }
        } else {
            tj::tjregion {
                x: region.left as c_int,
                y: region.top as c_int,
                w: region.width as c_int,
                h: region.height as c_int,
            }
        };
        // SAFETY: the handle is live.
        let status = unsafe { tj::tj3SetCroppingRegion(self.pointer.as_ptr(), part) };
        self.check(status)?;
        // SAFETY: the handle is live; pointer and length describe `bytes`, whose header gives the
        // size of a whole image; `into` has room for the region set above in this format; pitch 0
        // means rows without padding.
        let status = unsafe {
            tj::tj3Decompress8(
                self.pointer.as_ptr(),
                bytes.as_ptr(),
                bytes.len() as tj::size_t,
                into.as_mut_ptr(),
                0,
                format as c_int,
            )
        };
        self.check(status)
    }

    fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: the handle is live.
        unsafe { tj::tj3Get(self.pointer.as_ptr(), parameter as c_int) }
    }

    fn set(&mut self, parameter: tj::TJPARAM, value: c_int) -> Result<(), Failure> {
        // SAFETY: the handle is live.
        let status = unsafe { tj::tj3Set(self.pointer.as_ptr(), parameter as c_int, value) };
        self.check(status)
    }

    fn check(&mut self, status: c_int) -> Result<(), Failure> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the handle is live.
        let code = unsafe { tj::tj3GetErrorCode(self.pointer.as_ptr()) };
        // SAFETY: the library returns a NUL-terminated string, alive until the next call on this
        // thread.
        let message = unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.pointer.as_ptr())) };
        let message = message.to_string_lossy();
        // The library puts the name of the C function before some of its messages.
        let message = message.split_once("(): ").map_or(&*message, |(_, message)| message);
        Err(Failure {
            message: message.to_owned(),
            warned: code == tj::TJERR_TJERR_WARNING as c_int,
        })
    }
}
