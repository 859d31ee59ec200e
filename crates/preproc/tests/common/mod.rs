//! Images made for tests and benchmarks, and how they are decoded.

#![expect(dead_code, reason = "no program uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot make its input fails")]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageFormat, RgbImage};
use preproc::decode::Decoder;
use preproc::{
    Compose, DecodeOptions, ImageError, Pixels, Region, SampleRng, TransformError, Worker,
};
use profiler::stage::{Stage, StageClock, StageCounters};
use rand::{Rng, RngExt};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// A path in the repository.
pub(crate) fn repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The bytes of a file of the repository.
pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = repository(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Colours that change slowly, and noise: every frequency is in it.
pub(crate) fn picture(width: u32, height: u32, seed: u64) -> RgbImage {
    let mut rng = SampleRng::new(seed, 0, 0);
    let phase: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.0..6.0));
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb(std::array::from_fn(|c| {
            let wave = (phase[c] + 0.13 * x as f32 + 0.09 * (c + 1) as f32 * y as f32).sin();
            (128.0 + 90.0 * wave + rng.random_range(-30.0..30.0)) as u8
        }))
    })
}

/// A file of `picture`.
pub(crate) fn file(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// How a JPEG file is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Jpeg {
    pub(crate) subsampling: Option<Subsamp>,
    pub(crate) progressive: bool,
    pub(crate) cmyk: bool,
    pub(crate) arithmetic: bool,
    pub(crate) lossless: bool,
    /// Written over each component's sampling factors, which garbles the image.
    pub(crate) factors: Option<[u8; 3]>,
}

impl Jpeg {
    pub(crate) const PLAIN: Self = Self {
        subsampling: Some(Subsamp::Sub2x2),
        progressive: false,
        cmyk: false,
        arithmetic: false,
        lossless: false,
        factors: None,
    };

    pub(crate) fn file(self, picture: &RgbImage) -> Vec<u8> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let (format, pixels) = if self.cmyk {
            let inks = picture.pixels().flat_map(|p| [p[0], p[1], p[2], 255 - p[1] / 2]);
            (PixelFormat::CMYK, inks.collect())
        } else {
            (PixelFormat::RGB, picture.as_raw().clone())
        };
        let image = Image { pixels, width, pitch: width * format.size(), height, format };
        let mut compressor = Compressor::new().unwrap();
        compressor.set_quality(94).unwrap();
        compressor.set_subsamp(self.subsampling.unwrap_or(Subsamp::None)).unwrap();
        compressor.set_progressive(self.progressive).unwrap();
        compressor.set_arithmetic(self.arithmetic).unwrap();
        compressor.set_lossless(self.lossless).unwrap();
        let mut file = compressor.compress_to_vec(image.as_deref()).unwrap();
        if let Some(factors) = self.factors {
            let frame = frame_header(&file);
            for (component, factor) in factors.into_iter().enumerate() {
                file[frame + 11 + 3 * component] = factor;
            }
        }
        file
    }
}

/// Where the frame header (SOF) begins.
pub(crate) fn frame_header(jpeg: &[u8]) -> usize {
    let is_frame = |pair: &[u8]| pair[0] == 0xFF && matches!(pair[1], 0xC0..=0xC2);
    jpeg.windows(2).position(is_frame).unwrap()
}

/// A typical file of ImageNet's: 500x375 pixels, quality 94, 4:2:0, about 110 KB. The photograph
/// is too clean for that size: noise as a sensor's brings it there.
pub(crate) fn imagenet_like() -> Vec<u8> {
    let china = read("datasets/photos/china.jpg");
    let photo = turbojpeg::decompress(&china, PixelFormat::RGB).unwrap();
    let mut rng = SampleRng::new(0, 0, 0);
    let picture = RgbImage::from_fn(500, 375, |x, y| {
        let pixel = photo.pitch * y as usize + 3 * x as usize;
        let noise = rng.random_range(-9_i16..=9);
        let noisy = |c| (i16::from(photo.pixels[pixel + c]) + noise).clamp(0, 255) as u8;
        image::Rgb([noisy(0), noisy(1), noisy(2)])
    });
    Jpeg::PLAIN.file(&picture)
}

/// `jpeg` with an EXIF segment of that orientation and, if given, a thumbnail.
pub(crate) fn with_exif(jpeg: &[u8], orientation: u16, thumbnail: &[u8]) -> Vec<u8> {
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(tiff(orientation));
    exif.extend(thumbnail);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

/// A TIFF header and one directory with one entry, the orientation.
pub(crate) fn tiff(orientation: u16) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    tiff.extend(orientation.to_le_bytes());
    tiff.extend([0; 6]);
    tiff
}

/// Decodes `region`, or everything, with the memory that is there already.
pub(crate) fn decode_with(
    decoder: &mut Decoder,
    pixels: &mut Pixels,
    file: &[u8],
    options: &DecodeOptions,
    region: Option<Region>,
) -> Result<RgbImage, ImageError> {
    let encoded = decoder.open(file, options)?;
    let region = region.unwrap_or(Region::whole(encoded.width(), encoded.height()));
    let at = decoder.decode(encoded, region, pixels)?;
    assert_eq!((at.width, at.height), (region.width, region.height));
    let rows = (0..at.height).flat_map(|y| pixels.row(at, y).as_flattened());
    Ok(RgbImage::from_raw(at.width, at.height, rows.copied().collect()).unwrap())
}

/// Decodes everything, from scratch.
pub(crate) fn decode(file: &[u8]) -> Result<RgbImage, ImageError> {
    let options = DecodeOptions::default();
    decode_with(&mut Decoder::default(), &mut Pixels::default(), file, &options, None)
}

pub(crate) fn clock() -> StageClock {
    StageClock::new(Arc::new(StageCounters::default()), Stage::Other)
}

/// Runs `compose`; sample 0 of epoch 0 with seed 0.
pub(crate) fn apply(
    compose: &Compose,
    worker: &mut Worker,
    file: &[u8],
) -> Result<Vec<f32>, TransformError> {
    let mut out = vec![f32::NAN; compose.shape().iter().product()];
    compose.apply(file, &mut SampleRng::new(0, 0, 0), worker, &mut clock(), &mut out)?;
    Ok(out)
}

/// A picture as a sample, `[3, H, W]` from 0 to 1.
pub(crate) fn tensor(picture: &RgbImage) -> Vec<f32> {
    let channel = |c: usize| picture.pixels().map(move |pixel| f32::from(pixel[c]) / 255.0);
    (0..3).flat_map(channel).collect()
}

/// Whether no two values are further apart than `tolerance` of 255.
pub(crate) fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance / 255.0 + 1e-6)
}

/// `n` bytes of noise.
pub(crate) fn noise(n: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; n];
    SampleRng::new(seed, 1, 0).fill_bytes(&mut bytes);
    bytes
}
