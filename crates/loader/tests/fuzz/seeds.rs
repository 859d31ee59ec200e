//! Good files to start from: those of `tests/reference`, and small ones of every other kind that
//! the decoders know.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder, ImageFormat, RgbImage};
use tar::{Builder, Header};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use crate::formats::Format;
use crate::mutate::Seed;

/// Files above this size make slow cases.
const MAX_BYTES: u64 = 8_000;

/// The files of a folder of `tests/reference` that are not too large.
fn reference(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    reference_up_to(folder, MAX_BYTES)
}

fn reference_up_to(folder: &str, max_bytes: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let small = entries.filter(|entry| {
        let metadata = entry.metadata().unwrap();
        metadata.is_file() && metadata.len() <= max_bytes
    });
    let mut paths: Vec<PathBuf> = small.map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

fn of(format: Format, bytes: impl IntoIterator<Item = Vec<u8>>) -> impl Iterator<Item = Seed> {
    bytes.into_iter().map(move |bytes| Seed { format, bytes })
}

pub(crate) fn npy() -> Vec<Seed> {
    of(Format::Npy, reference("arrays/npy").into_iter().map(|(_, bytes)| bytes)).collect()
}

pub(crate) fn safetensors() -> Vec<Seed> {
    let header = br#"{"x":{"dtype":"U8","shape":[2,3],"data_offsets":[0,6]}}"#;
    let small = [&(header.len() as u64).to_le_bytes()[..], header, b"abcdef"].concat();
    let all = reference("arrays").into_iter().find(|(path, _)| path.ends_with("all.safetensors"));
    of(Format::Safetensors, [small, all.unwrap().1]).collect()
}

pub(crate) fn tokens() -> Vec<Seed> {
    let files = reference("arrays").into_iter();
    let tokens = files.filter(|(path, _)| path.extension().is_some_and(|end| end == "bin"));
    of(Format::Tokens, tokens.map(|(_, bytes)| bytes)).collect()
}

/// Shards in each dialect of tar.
pub(crate) fn tar() -> Vec<Seed> {
    let files = reference_up_to("shards", 64 << 10).into_iter();
    let shards = files.filter(|(path, _)| path.extension().is_some_and(|end| end == "tar"));
    let small =
        [(Header::new_ustar(), false), (Header::new_gnu(), false), (Header::new_gnu(), true)]
            .map(|(header, extended)| tar_of(header, extended));
    of(Format::Tar, small.into_iter().chain(shards.map(|(_, bytes)| bytes))).collect()
}

fn tar_of(header: Header, extended: bool) -> Vec<u8> {
    let image = encode(&picture(2, 2).into(), ImageFormat::Png);
    let mut builder = Builder::new(Vec::new());
    let folder = if header.as_gnu().is_some() { "long/".repeat(30) } else { "f/".to_owned() };
    for key in ["a", "b", "c"] {
        let members: [(_, &[u8]); 3] =
            [("png", &image), ("cls", b"7\n"), ("json", br#"{"label": 7}"#)];
        for (extension, bytes) in members {
            let name = format!("{folder}{key}.{extension}");
            if extended {
                let size = bytes.len().to_string();
                let records = [("path", name.as_bytes()), ("size", size.as_bytes())];
                builder.append_pax_extensions(records).unwrap();
            }
            let mut header = header.clone();
            header.set_size(bytes.len() as u64);
            let name = if extended { "x" } else { &name };
            builder.append_data(&mut header, name, bytes).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

/// Images of MNIST's format, plain and packed.
pub(crate) fn idx() -> Vec<Seed> {
    let plain = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5][..], &[7; 60]].concat();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&plain).unwrap();
    let packed = Seed { format: Format::Gzip, bytes: packed.finish().unwrap() };
    vec![Seed { format: Format::Idx, bytes: plain }, packed]
}

pub(crate) fn images() -> Vec<Seed> {
    let format = |path: &Path| match path.extension().unwrap().to_str().unwrap() {
        "jpg" => Format::Jpeg,
        "png" => Format::Png,
        "webp" => Format::WebP,
        _ => Format::Bmp,
    };
    let files = reference("inputs").into_iter();
    let mut seeds: Vec<Seed> =
        files.map(|(path, bytes)| Seed { format: format(&path), bytes }).collect();
    seeds.extend(of(Format::Jpeg, jpegs()));
    seeds.extend(of(Format::Png, pngs()));
    seeds.extend(of(Format::WebP, webps()));
    seeds.extend(of(Format::Bmp, bmps()));
    seeds
}

/// Colours that change slowly, with some noise.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 7919 + y * 104_729) % 31;
        image::Rgb([x * 5, y * 6, (x + y) * 3].map(|value| (value + noise) as u8))
    })
}

/// Every kind of compression that libjpeg-turbo knows.
fn jpegs() -> Vec<Vec<u8>> {
    let picture = picture(44, 35);
    let subsamplings = [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub4x1];
    let mut jpegs = Vec::new();
    for (format, subsampling) in subsamplings
        .map(|subsampling| (PixelFormat::RGB, subsampling))
        .into_iter()
        .chain([(PixelFormat::GRAY, Subsamp::Gray), (PixelFormat::CMYK, Subsamp::Sub2x2)])
    {
        for (progressive, arithmetic) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let mut compressor = Compressor::new().unwrap();
            compressor.set_quality(60).unwrap();
            compressor.set_subsamp(subsampling).unwrap();
            compressor.set_progressive(progressive).unwrap();
            compressor.set_arithmetic(arithmetic).unwrap();
            jpegs.push(compress(&mut compressor, &picture, format));
        }
    }
    let mut compressor = Compressor::new().unwrap();
    compressor.set_lossless(true).unwrap();
    jpegs.push(compress(&mut compressor, &picture, PixelFormat::RGB));
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../preproc/tests/files");
    for name in ["restart_rows.jpg", "restart_blocks.jpg"] {
        jpegs.push(fs::read(files.join(name)).unwrap());
    }
    jpegs
}

fn compress(compressor: &mut Compressor, picture: &RgbImage, format: PixelFormat) -> Vec<u8> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels: Vec<u8> =
        picture.pixels().flat_map(|p| [p[0], p[1], p[2], 200][..format.size()].to_vec()).collect();
    let image = Image { pixels: &pixels[..], width, pitch: width * format.size(), height, format };
    compressor.compress_to_vec(image).unwrap()
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn pngs() -> Vec<Vec<u8>> {
    let image = DynamicImage::from(picture(23, 17));
    let kinds = [
        image.clone(),
        image.to_rgba8().into(),
        image.to_luma8().into(),
        image.to_luma_alpha8().into(),
        image.to_rgb16().into(),
        image.to_rgba16().into(),
        image.to_luma16().into(),
        image.to_luma_alpha16().into(),
    ];
    let mut pngs: Vec<_> = kinds.iter().map(|image| encode(image, ImageFormat::Png)).collect();
    let mut profile = Vec::new();
    let mut encoder = PngEncoder::new(&mut profile);
    encoder.set_icc_profile(vec![0; 100_000]).unwrap();
    encoder.write_image(image.as_bytes(), 23, 17, image.color().into()).unwrap();
    pngs.push(profile);
    pngs
}

/// A chunk of the RIFF format.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = [&name[..], &(data.len() as u32).to_le_bytes(), data].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"RIFF", &[&b"WEBP"[..], &chunks.concat()].concat())
}

/// Lossless ones, plain, with metadata and as an animation.
fn webps() -> Vec<Vec<u8>> {
    let plain = encode(&picture(23, 17).into(), ImageFormat::WebP);
    let image = plain[12..].to_vec();
    let size = [22, 0, 0, 16, 0, 0];
    let header = |flags| chunk(b"VP8X", &[&[flags, 0, 0, 0][..], &size].concat());
    let exif = chunk(b"EXIF", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
    let frame = |at| {
        let frame = [&[at, 0, 0, 0, 0, 0][..], &size, &[40, 0, 0, 0], &image].concat();
        chunk(b"ANMF", &frame)
    };
    let animation = chunk(b"ANIM", &[0xff, 0xff, 0xff, 0xff, 0, 0]);
    let metadata = riff(&[header(0x2C), chunk(b"ICCP", &[1; 50]), image.clone(), exif]);
    vec![plain.clone(), metadata, riff(&[header(2), animation, frame(0), frame(0)])]
}

/// Of every depth and packing, 4x4 pixels.
fn bmps() -> Vec<Vec<u8>> {
    let bmp = |bits: u16, packing: u32, colours: usize, data: &[u8]| {
        let colours = vec![0x5A; 4 * colours];
        let start = 14 + 40 + colours.len() as u32;
        let file = [
            &b"BM"[..],
            &(start + data.len() as u32).to_le_bytes(),
            &[0; 4],
            &start.to_le_bytes(),
            &[40, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1, 0],
            &bits.to_le_bytes(),
            &packing.to_le_bytes(),
            &[0; 20],
            &colours,
            data,
        ];
        file.concat()
    };
    vec![
        bmp(1, 0, 2, &[0x50; 16]),
        bmp(4, 0, 16, &[0x12; 16]),
        bmp(8, 0, 256, &[1, 2, 3, 250].repeat(4)),
        bmp(8, 1, 256, &[4, 7, 0, 0, 0, 4, 1, 2, 3, 4, 0, 2, 1, 1, 2, 9, 0, 0, 4, 5, 0, 1]),
        bmp(4, 2, 16, &[4, 0x12, 0, 0, 0, 4, 0x12, 0x34, 0, 0, 4, 0x56, 0, 0, 4, 0x78, 0, 1]),
        bmp(16, 0, 0, &[0x34; 32]),
        bmp(16, 3, 3, &[0x34; 32]),
        bmp(24, 0, 0, &[0x56; 48]),
        bmp(32, 0, 0, &[0x78; 64]),
        bmp(32, 3, 3, &[0x78; 64]),
    ]
}
