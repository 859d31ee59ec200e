//! Bytes to pixels.
//!
//! The format is told by the first bytes, not by the file's name: ImageNet itself has a PNG named
//! `.JPEG`. JPEG goes through libjpeg-turbo, which can stop at the end of a rectangle; PNG, WebP
//! and BMP through the `image` crate, whole. Everything becomes 8-bit RGB as PIL's
//! `convert("RGB")` does it: grey is repeated, alpha dropped, CMYK converted; 16 bits are scaled.

use std::io::Cursor;

use image::error::{DecodingError, ImageFormatHint};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use serde::{Deserialize, Serialize};

use crate::jpeg::{self, JpegHeader};
use crate::{ImageError, Pixels, Region};

/// How files are decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeOptions {
    /// Pixels, width times height, beyond which an image is refused, as it is in the file and as
    /// transforms make it, so that a small file cannot take all memory: decoding takes up to 16
    /// bytes a pixel. Default: 178,956,970, where PIL refuses.
    pub max_pixels: u64,
    /// Turn the image as its EXIF orientation says. Default: off, as in torchvision.
    pub exif_orientation: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 178_956_970, exif_orientation: false }
    }
}

impl DecodeOptions {
    /// # Errors
    /// [`ImageError::TooLarge`] if an image of this size is over the limit.
    pub(crate) fn check_size(&self, width: u64, height: u64) -> Result<(), ImageError> {
        if width.saturating_mul(height) > self.max_pixels {
            return Err(ImageError::TooLarge { width, height, limit: self.max_pixels });
        }
        Ok(())
    }
}

/// What may be spent on anything but the pixels, which have a limit of their own: a few kilobytes
/// of a PNG's colour profile can unpack to gigabytes.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// Decodes images one after the other on one thread, and keeps its memory in between.
#[derive(Debug, Default)]
pub struct Decoder {
    /// For files of four components.
    cmyk: Vec<u8>,
}

/// An image of which the header is read.
pub struct Encoded<'b> {
    width: u32,
    height: u32,
    orientation: Orientation,
    format: Format<'b>,
}

enum Format<'b> {
    Jpeg { bytes: &'b [u8], header: JpegHeader },
    Other(Box<dyn ImageDecoder + 'b>),
}

impl Encoded<'_> {
    /// Width in pixels, after turning.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, after turning.
    pub fn height(&self) -> u32 {
        self.height
    }
}

impl Decoder {
    /// Reads the header of an image file's `bytes`.
    ///
    /// # Errors
    /// If the bytes are no image, are cut short, or hold more pixels than allowed.
    pub fn open<'b>(
        &self,
        bytes: &'b [u8],
        options: &DecodeOptions,
    ) -> Result<Encoded<'b>, ImageError> {
        let mut encoded = match bytes {
            [] => return Err(ImageError::Empty),
            [0xFF, 0xD8, 0xFF, ..] => open_jpeg(bytes, options)?,
            _ => open_other(bytes, options)?,
        };
        if is_sideways(encoded.orientation) {
            (encoded.width, encoded.height) = (encoded.height, encoded.width);
        }
        Ok(encoded)
    }

    /// Decodes at least `region` into `into`, and returns where in it the region lies.
    ///
    /// # Errors
    /// If the data behind the header is damaged.
    ///
    /// # Panics
    /// If `region` does not lie in the image.
    pub fn decode(
        &mut self,
        encoded: Encoded<'_>,
        region: Region,
        into: &mut Pixels,
    ) -> Result<Region, ImageError> {
        let Encoded { width, height, .. } = encoded;
        assert!(region.lies_in(width, height), "{region:?} of {width}x{height}");
        match encoded.format {
            Format::Jpeg { bytes, header } => {
                if encoded.orientation == Orientation::NoTransforms {
                    return jpeg::decode(bytes, header, region, into, &mut self.cmyk);
                }
                let whole = Region::whole(header.width, header.height);
                jpeg::decode(bytes, header, whole, into, &mut self.cmyk)?;
                let mut image = RgbImage::new(header.width, header.height);
                image.copy_from_slice(into.data());
                store(image.into(), encoded.orientation, into);
            }
            Format::Other(decoder) => {
                let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
                store(image, encoded.orientation, into);
            }
        }
        Ok(region)
    }
}

fn open_jpeg<'b>(bytes: &'b [u8], options: &DecodeOptions) -> Result<Encoded<'b>, ImageError> {
    let header = jpeg::read_header(bytes)?;
    options.check_size(header.width.into(), header.height.into())?;
    let orientation =
        if options.exif_orientation { exif_orientation(bytes) } else { Orientation::NoTransforms };
    let format = Format::Jpeg { bytes, header };
    Ok(Encoded { width: header.width, height: header.height, orientation, format })
}

fn open_other<'b>(bytes: &'b [u8], options: &DecodeOptions) -> Result<Encoded<'b>, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| damaged(e.into()))?;
    // Asked for by name: another crate of the program may have `image` know more formats.
    let known = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp];
    if !reader.format().is_some_and(|format| known.contains(&format)) {
        return Err(ImageError::UnknownFormat);
    }
    if reader.format() == Some(ImageFormat::Png) {
        check_palette(bytes)?;
    }
    // Before the decoder, which refuses rows that fit in no memory without saying how long.
    if let (Some(ImageFormat::Png), Some([width, height])) = (reader.format(), png_sides(bytes)) {
        options.check_size(width.into(), height.into())?;
    }
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(MAX_METADATA_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    options.check_size(width.into(), height.into())?;
    let orientation = if options.exif_orientation {
        decoder.orientation().unwrap_or(Orientation::NoTransforms)
    } else {
        Orientation::NoTransforms
    };
    Ok(Encoded { width, height, orientation, format: Format::Other(Box::new(decoder)) })
}

/// Refuses a PNG of a palette that holds no whole colours, or more than can be named: the decoder
/// does not look, and panics.
fn check_palette(png: &[u8]) -> Result<(), ImageError> {
    let mut rest = png.get(8..).unwrap_or_default();
    // Colours are numbers in it; in other images the palette is a suggestion nobody looks at.
    let is_indexed = png.get(25) == Some(&3);
    while is_indexed && let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [length @ .., _, _, _, _] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if head.ends_with(b"PLTE") && (length > 3 * 256 || !length.is_multiple_of(3)) {
            let format = ImageFormatHint::Exact(ImageFormat::Png);
            let why = format!("a palette of {length} bytes");
            return Err(ImageError::Decode(image::ImageError::Decoding(DecodingError::new(
                format, why,
            ))));
        }
        rest = length.checked_add(4).and_then(|skip| after.get(skip..)).unwrap_or_default();
    }
    Ok(())
}

/// Width and height of a PNG, from the chunk that each begins with.
fn png_sides(bytes: &[u8]) -> Option<[u32; 2]> {
    let header = bytes.get(8..24)?.strip_prefix(b"\0\0\0\x0DIHDR")?;
    let (width, height) = header.split_first_chunk()?;
    Some([u32::from_be_bytes(*width), u32::from_be_bytes(height.try_into().ok()?)])
}

/// A file whose header was read, or at least begun, but that is not good.
fn damaged(error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated
        }
        other => ImageError::Decode(other),
    }
}

/// Turns `image` and makes it 8-bit RGB.
fn store(mut image: DynamicImage, orientation: Orientation, into: &mut Pixels) {
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    into.reset(image.width(), image.height()).copy_from_slice(image.as_raw());
}

/// An unreadable EXIF segment means no orientation, as in PIL.
fn exif_orientation(bytes: &[u8]) -> Orientation {
    let field = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok();
    field
        .as_ref()
        .and_then(|exif| exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY))
        .and_then(|field| field.value.get_uint(0))
        .and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?))
        .unwrap_or(Orientation::NoTransforms)
}

fn is_sideways(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}
