//! Files that are damaged, hostile or no images: an error or pixels, never a crash, a hang, or
//! pixels of another file.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::time::{Duration, Instant};

use common::{Jpeg, decode, decode_with, file, noise, picture, with_exif};
use image::ImageFormat;
use preproc::decode::Decoder;
use preproc::{DecodeOptions, ImageError, Pixels, Region};
use proptest::prelude::*;
use turbojpeg::Subsamp;

fn truncated(file: &[u8]) -> impl Iterator<Item = (usize, Result<image::RgbImage, ImageError>)> {
    (0..file.len()).map(|length| (length, decode(&file[..length])))
}

#[test]
fn a_truncated_jpeg_is_an_error_wherever_it_ends() {
    let picture = picture(50, 41, 0);
    let plain = Jpeg::PLAIN.file(&picture);
    let progressive = Jpeg { progressive: true, ..Jpeg::PLAIN }.file(&picture);
    let cmyk = Jpeg { cmyk: true, ..Jpeg::PLAIN }.file(&picture);
    let restarts = common::read("crates/preproc/tests/files/restart_rows.jpg");
    // The thumbnail has an end marker, and a scan, of its own.
    let thumbnail = Jpeg::PLAIN.file(&common::picture(9, 8, 0));
    let exif = with_exif(&plain, 1, &thumbnail);
    for file in [plain, progressive, cmyk, restarts, exif] {
        decode(&file).unwrap();
        for (length, result) in truncated(&file) {
            match (length, result) {
                (0, Err(ImageError::Empty)) | (1 | 2, Err(ImageError::UnknownFormat)) => {}
                (3.., Err(ImageError::Truncated)) => {}
                (_, other) => panic!("{length} of {}: {other:?}", file.len()),
            }
        }
    }
}

#[test]
fn an_end_marker_inside_a_segment_is_not_the_end() {
    // A comment between two scans holds one; the file ends in the second scan.
    let file = Jpeg { progressive: true, ..Jpeg::PLAIN }.file(&picture(50, 41, 0));
    let scans: Vec<usize> = memchr::memmem::find_iter(&file, &[0xFF, 0xDA]).collect();
    let comment = [0xFF, 0xFE, 0, 4, 0xFF, 0xD9];
    let commented = [&file[..scans[1]], &comment, &file[scans[1]..]].concat();
    assert_eq!(decode(&commented).unwrap(), decode(&file).unwrap());
    assert!(matches!(decode(&commented[..scans[1] + 40]), Err(ImageError::Truncated)));
}

#[test]
fn what_follows_the_end_of_a_jpeg_does_not_matter() {
    let file = Jpeg::PLAIN.file(&picture(50, 41, 0));
    let second = Jpeg::PLAIN.file(&picture(20, 20, 1));
    for tail in [vec![0; 100], noise(1_000, 0), second[..300].to_vec(), vec![0xFF; 9]] {
        assert_eq!(decode(&[&file[..], &tail].concat()).unwrap(), decode(&file).unwrap());
    }
}

#[test]
fn stray_bytes_between_segments_are_skipped() {
    let file = Jpeg::PLAIN.file(&picture(50, 41, 0));
    let frame = common::frame_header(&file);
    let stray = [&file[..frame], &[1, 2, 3], &file[frame..]].concat();
    assert_eq!(decode(&stray).unwrap(), decode(&file).unwrap());
}

#[test]
fn a_truncated_file_of_another_format_is_an_error_or_complete() {
    let picture = picture(30, 21, 0);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let file = file(&picture, format);
        assert_eq!(decode(&file).unwrap(), picture);
        let mut bad = 0;
        for (length, result) in truncated(&file) {
            match result {
                Ok(decoded) => assert_eq!(decoded, picture, "{format:?} {length}"),
                Err(ImageError::Empty) => assert_eq!(length, 0),
                Err(ImageError::UnknownFormat) => assert!(length < 12, "{format:?} {length}"),
                Err(_) => bad += 1,
            }
        }
        // Only a PNG's end marker can be missed.
        assert!(bad >= file.len() - 24, "{format:?}: {bad} of {}", file.len());
    }
}

#[test]
fn what_is_no_image_is_said_to_be_none() {
    let unknown: [&[u8]; 8] = [
        b"\0",
        &[0; 5_000],
        b"A text, not a picture.\n",
        b"<html><body>404 Not Found</body></html>",
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF!\xF9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
        b"II*\0\x08\0\0\0\0\0",
        b"%PDF-1.7",
        &[0xFF, 0xD8],
    ];
    for file in unknown {
        assert!(matches!(decode(file), Err(ImageError::UnknownFormat)), "{file:?}");
    }
    assert!(matches!(decode(b""), Err(ImageError::Empty)));
    assert!(matches!(decode(b"BM is how a bitmap begins"), Err(ImageError::Decode(_))));
    assert!(matches!(decode(&[0xFF, 0xD8, 0xFF, 0xD9]), Err(ImageError::Jpeg(_))));
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// A PNG whose header claims that size.
fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let mut png = file(&picture(1, 1, 0), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let mut jpeg = Jpeg::PLAIN.file(&picture(8, 8, 0));
    let frame = common::frame_header(&jpeg);
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF, 0xDC, 0xFF, 0xDC]);
    let mut bmp = file(&picture(8, 8, 0), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000_i32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000_i32.to_le_bytes());
    let png = png_claiming(60_000, 60_000);
    for (file, side) in [(jpeg, 65_500), (bmp, 60_000), (png, 60_000)] {
        match decode(&file) {
            Err(ImageError::TooLarge { width, height, limit: 178_956_970 }) => {
                assert_eq!((width, height), (side, side));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(decode(&png_claiming(u32::MAX, u32::MAX)).is_err());
}

#[test]
fn the_pixel_limit_is_exact() {
    let limited = |max_pixels, file: &[u8]| {
        let options = DecodeOptions { max_pixels, ..DecodeOptions::default() };
        decode_with(&mut Decoder::default(), &mut Pixels::default(), file, &options, None)
    };
    let picture = picture(30, 20, 0);
    for file in [Jpeg::PLAIN.file(&picture), file(&picture, ImageFormat::Png)] {
        assert!(limited(600, &file).is_ok());
        let error = limited(599, &file).unwrap_err();
        assert!(error.to_string().contains("30x20 pixels"), "{error}");
        assert!(error.to_string().contains("hint: raise `max_pixels`"), "{error}");
    }
}

#[test]
fn a_jpeg_of_endless_scans_is_refused() {
    let file = Jpeg { progressive: true, ..Jpeg::PLAIN }.file(&picture(64, 64, 0));
    let last = memchr::memmem::rfind(&file, &[0xFF, 0xDA]).unwrap();
    let (body, end) = file.split_at(file.len() - 2);
    let bomb = [body, &body[last..].repeat(600), end].concat();
    match decode(&bomb) {
        Err(ImageError::Jpeg(message)) => assert!(message.contains("scans"), "{message}"),
        other => panic!("{other:?}"),
    }
}

/// The library finds these only if it decodes to the end.
#[test]
fn what_is_wrong_behind_the_image_is_found_whatever_is_cut() {
    let file = Jpeg::PLAIN.file(&picture(64, 64, 0));
    let scan = memchr::memmem::rfind(&file, &[0xFF, 0xDA]).unwrap();
    let (body, end) = file.split_at(file.len() - 2);
    let no_table = [&[0xFF, 0xC4, 0, 19, 0][..], &[200; 16]].concat();
    for behind in [&body[scan..], &no_table, &[0xFF, 0xDD, 0, 3, 0]] {
        let file = [body, behind, end].concat();
        for region in [None, Some(Region { left: 16, top: 0, width: 20, height: 9 })] {
            let options = DecodeOptions::default();
            let mut pixels = Pixels::default();
            match decode_with(&mut Decoder::default(), &mut pixels, &file, &options, region) {
                Err(ImageError::Jpeg(_)) => {}
                other => panic!("{behind:?} {region:?}: {:?}", other.map(drop)),
            }
        }
    }
    let comment = [body, &[0xFF, 0xFE, 0, 4, 1, 2], end].concat();
    assert_eq!(decode(&comment).unwrap(), decode(&file).unwrap());
}

/// The decoder of the `image` crate panics on these.
#[test]
fn a_palette_that_is_none_is_an_error() {
    let file = common::read("tests/reference/inputs/png_palette.png");
    let at = memchr::memmem::find(&file, b"PLTE").unwrap();
    let length = u32::from_be_bytes(*file[at - 4..].first_chunk().unwrap()) as usize;
    let old = &file[at + 4..][..length];
    let with_palette = |palette: &[u8]| {
        let length = (palette.len() as u32).to_be_bytes();
        let chunk = [b"PLTE", palette].concat();
        let sum = crc(&chunk).to_be_bytes();
        let rest = &file[at + 4 + old.len() + 4..];
        [&file[..at - 4], &length, &chunk, &sum, rest].concat()
    };
    for bytes in [1, 2, 3 * 10 + 1, 3 * 257] {
        match decode(&with_palette(&vec![9; bytes])) {
            Err(ImageError::Decode(_)) => {}
            other => panic!("{bytes}: {:?}", other.map(drop)),
        }
    }
    assert!(decode(&with_palette(old)).is_ok());
}

/// JPEG files of every kind, for damage.
fn jpegs() -> impl Strategy<Value = Jpeg> {
    let subsampling = prop::sample::select(vec![Subsamp::Sub2x2, Subsamp::None, Subsamp::Gray]);
    (subsampling, any::<bool>(), any::<bool>()).prop_map(|(subsampling, progressive, cmyk)| {
        let cmyk = cmyk && subsampling != Subsamp::Gray;
        Jpeg { subsampling: Some(subsampling), progressive, cmyk, ..Jpeg::default() }
    })
}

/// Bits to flip: where, and which.
fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..8)
}

fn flip(bytes: &mut [u8], flips: Vec<(prop::sample::Index, u8)>) {
    for (place, bit) in flips {
        *place.get_mut(bytes) ^= 1 << bit;
    }
}

/// Decodes a damaged file with a decoder and memory in use, and from scratch: the results must be
/// the same, hold nothing of the image before, and leave the decoder well.
fn check(damaged: &[u8]) -> Result<Option<image::RgbImage>, TestCaseError> {
    let start = Instant::now();
    let good = Jpeg { subsampling: Some(Subsamp::Sub2x1), ..Jpeg::PLAIN };
    let good = good.file(&picture(90, 60, 7));
    // Small, so that a damaged size cannot make this slow.
    let options = DecodeOptions { max_pixels: 1_000_000, ..DecodeOptions::default() };
    let (mut decoder, mut pixels) = (Decoder::default(), Pixels::default());
    let mut decode = |file: &[u8]| decode_with(&mut decoder, &mut pixels, file, &options, None);
    let before = decode(&good).unwrap();
    let used = decode(damaged);
    prop_assert!(decode(&good).unwrap() == before);
    let fresh =
        decode_with(&mut Decoder::default(), &mut Pixels::default(), damaged, &options, None);
    prop_assert!(start.elapsed() < Duration::from_secs(10));
    match (used, fresh) {
        (Ok(used), Ok(fresh)) => {
            prop_assert!(used == fresh);
            Ok(Some(fresh))
        }
        (Err(used), Err(fresh)) => {
            prop_assert_eq!(used.to_string(), fresh.to_string());
            Ok(None)
        }
        (used, fresh) => Err(TestCaseError::fail(format!("{:?} {:?}", used.err(), fresh.err()))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn garbage_behind_a_header(jpeg in jpegs(), length in 0..3_000_usize, seed in any::<u64>()) {
        let file = jpeg.file(&picture(70, 50, seed));
        let scan = memchr::memmem::find(&file, &[0xFF, 0xDA]).unwrap() + 14;
        check(&[&file[..scan], &noise(length, seed), &[0xFF, 0xD9]].concat())?;
    }

    #[test]
    fn garbage_behind_any_signature(
        signature in prop::sample::select(vec![
            &b"\xFF\xD8\xFF"[..], b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR", b"BM", b"RIFF\xFF\0\0\0WEBPVP8 ",
            b"RIFF\xFF\0\0\0WEBPVP8L",
        ]),
        length in 0..300_usize,
        seed in any::<u64>(),
    ) {
        check(&[signature, &noise(length, seed)].concat())?;
    }

    #[test]
    fn flipped_bits_of_a_jpeg(jpeg in jpegs(), flips in flips(), seed in any::<u64>()) {
        let mut damaged = jpeg.file(&picture(70, 50, seed));
        flip(&mut damaged, flips);
        check(&damaged)?;
    }

    #[test]
    fn flipped_bits_of_other_formats(
        format in prop::sample::select(vec![ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp]),
        flips in flips(),
        seed in any::<u64>(),
    ) {
        let mut damaged = file(&picture(40, 30, seed), format);
        flip(&mut damaged, flips);
        check(&damaged)?;
    }

    /// Whether a file is good does not depend on the draw of a crop.
    #[test]
    fn a_damaged_jpeg_is_as_good_in_part_as_whole(
        jpeg in jpegs(),
        flips in flips(),
        top in 0..50_u32,
        left in 0..70_u32,
        seed in any::<u64>(),
    ) {
        let mut damaged = jpeg.file(&picture(70, 50, seed));
        let scan = memchr::memmem::find(&damaged, &[0xFF, 0xDA]).unwrap() + 14;
        flip(&mut damaged[scan..], flips);
        let region = Region { left, top, width: 70 - left, height: (50 - top).div_ceil(2) };
        let part = decode_with(
            &mut Decoder::default(),
            &mut Pixels::default(),
            &damaged,
            &DecodeOptions::default(),
            Some(region),
        );
        match (check(&damaged)?, part) {
            // What is missing of a progressive file is smoothed over, which looks further around.
            (Some(_), Ok(_)) if jpeg.progressive => {}
            (Some(whole), Ok(part)) => {
                let Region { left, top, width, height } = region;
                let expected = image::imageops::crop_imm(&whole, left, top, width, height);
                prop_assert!(part == expected.to_image());
            }
            (None, Err(_)) => {}
            (whole, part) => prop_assert!(false, "{} {:?}", whole.is_some(), part.err()),
        }
    }
}
