//! EXIF orientations, for every value and format.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Jpeg, decode, decode_with, picture, tiff, with_exif};
use image::{ImageEncoder, RgbImage, imageops};
use preproc::decode::Decoder;
use preproc::{DecodeOptions, Pixels, Region};

const TURNED: DecodeOptions = DecodeOptions { max_pixels: 1_000_000, exif_orientation: true };

fn turned(file: &[u8], region: Option<Region>) -> RgbImage {
    decode_with(&mut Decoder::default(), &mut Pixels::default(), file, &TURNED, region).unwrap()
}

/// As the EXIF standard words it: where the stored first row and first column are seen.
fn upright(stored: &RgbImage, orientation: u16) -> RgbImage {
    let mirrored = imageops::flip_horizontal(stored);
    match orientation {
        2 => mirrored,
        3 => imageops::rotate180(stored),
        4 => imageops::rotate180(&mirrored),
        5 => imageops::rotate270(&mirrored),
        6 => imageops::rotate90(stored),
        7 => imageops::rotate90(&mirrored),
        8 => imageops::rotate270(stored),
        _ => stored.clone(),
    }
}

#[test]
fn every_orientation_is_turned_upright_if_asked_for() {
    let file = Jpeg::PLAIN.file(&picture(50, 33, 0));
    let stored = decode(&file).unwrap();
    // 0 and 9 are no orientations.
    for orientation in 0..=9 {
        let file = with_exif(&file, orientation, &[]);
        assert_eq!(decode(&file).unwrap(), stored, "{orientation}");
        let expected = upright(&stored, orientation);
        assert_eq!(turned(&file, None), expected, "{orientation}");
        let region = Region { left: 7, top: 11, width: 20, height: 13 };
        let part = imageops::crop_imm(&expected, 7, 11, 20, 13).to_image();
        assert_eq!(turned(&file, Some(region)), part, "{orientation}");
    }
}

#[test]
fn an_unreadable_exif_segment_is_no_orientation() {
    let file = Jpeg::PLAIN.file(&picture(50, 33, 0));
    let stored = decode(&file).unwrap();
    let whole = with_exif(&file, 6, &[]);
    for damaged in 6..36 {
        let mut file = whole.clone();
        file[damaged] ^= 0xA5;
        let decoded = turned(&file, None);
        assert!(decoded == stored || decoded == upright(&stored, 6), "{damaged}");
    }
}

#[test]
fn a_png_with_an_orientation_is_turned_too() {
    let picture = picture(20, 10, 0);
    let mut file = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut file);
    encoder.set_exif_metadata(tiff(6)).unwrap();
    encoder
        .write_image(&picture, picture.width(), picture.height(), image::ColorType::Rgb8.into())
        .unwrap();
    assert_eq!(decode(&file).unwrap(), picture);
    assert_eq!(turned(&file, None), imageops::rotate90(&picture));
}
