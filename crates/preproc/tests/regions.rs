//! Any rectangle decoded alone is the rectangle of the whole image, byte for byte.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Jpeg, decode, decode_with, picture};
use preproc::decode::Decoder;
use preproc::{DecodeOptions, Pixels, Region};
use proptest::prelude::*;
use turbojpeg::Subsamp;

fn subsamplings() -> impl Strategy<Value = Subsamp> {
    use Subsamp::{Gray, None, Sub1x2, Sub1x4, Sub2x1, Sub2x2, Sub4x1};
    prop::sample::select(vec![None, Sub2x1, Sub2x2, Gray, Sub1x2, Sub4x1, Sub1x4])
}

fn jpegs() -> impl Strategy<Value = Jpeg> {
    // 4:4:4, 4:2:2 and 4:4:0 written in other ways, and layouts that have no name.
    let factors = [
        [0x21; 3],
        [0x12; 3],
        [0x22, 0x12, 0x12],
        [0x22, 0x21, 0x21],
        [0x31; 3],
        [0x22, 0x11, 0x21],
    ];
    prop_oneof![
        6 => (subsamplings(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(subsampling, progressive, arithmetic)| Jpeg {
                subsampling: Some(subsampling),
                progressive,
                arithmetic,
                ..Jpeg::default()
            }
        ),
        2 => (subsamplings(), any::<bool>())
            .prop_filter("grey has no inks", |(subsampling, _)| *subsampling != Subsamp::Gray)
            .prop_map(|(subsampling, progressive)| Jpeg {
                subsampling: Some(subsampling),
                progressive,
                cmyk: true,
                ..Jpeg::default()
            }),
        1 => Just(Jpeg { lossless: true, ..Jpeg::default() }),
        2 => prop::sample::select(factors.to_vec())
            .prop_map(|factors| Jpeg { factors: Some(factors), ..Jpeg::default() }),
    ]
}

/// A rectangle in `width` x `height`, from four numbers from 0 to 1.
fn rectangle(width: u32, height: u32, [left, top, right, bottom]: [f64; 4]) -> Region {
    let span = |from: f64, to: f64, side: u32| {
        let start = (from * f64::from(side)) as u32;
        (start, 1 + (to * f64::from(side - start)) as u32)
    };
    let (left, width) = span(left, right, width);
    let (top, height) = span(top, bottom, height);
    Region { left, top, width, height }
}

fn check(file: &[u8], corners: [f64; 4]) -> Result<(), TestCaseError> {
    let whole = decode(file).unwrap();
    let region = rectangle(whole.width(), whole.height(), corners);
    let Region { left, top, width, height } = region;
    let options = DecodeOptions::default();
    let part =
        decode_with(&mut Decoder::default(), &mut Pixels::default(), file, &options, Some(region))
            .unwrap();
    let expected = image::imageops::crop_imm(&whole, left, top, width, height).to_image();
    prop_assert!(part == expected, "{region:?} of {}x{}", whole.width(), whole.height());
    Ok(())
}

const UNIT: std::ops::Range<f64> = 0.0..1.0;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_part_is_the_part_of_the_whole(
        jpeg in jpegs(),
        width in 1_u32..150,
        height in 1_u32..150,
        corners in [UNIT, UNIT, UNIT, UNIT],
        seed in any::<u64>(),
    ) {
        check(&jpeg.file(&picture(width, height, seed)), corners)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// `files/restart_*.jpg`: 93x71 pixels, made with PIL's `restart_marker_rows=1` (4:2:0) and
    /// `restart_marker_blocks=3` (4:2:2).
    #[test]
    fn restart_markers_change_nothing(
        name in prop::sample::select(vec!["restart_rows", "restart_blocks"]),
        corners in [UNIT, UNIT, UNIT, UNIT],
    ) {
        check(&common::read(format!("crates/preproc/tests/files/{name}.jpg")), corners)?;
    }
}

#[test]
#[should_panic(expected = "of 20x10")]
fn a_part_must_lie_in_the_image() {
    let file = Jpeg::PLAIN.file(&picture(20, 10, 0));
    let region = Region { left: u32::MAX, top: 0, width: 2, height: 1 };
    let options = DecodeOptions::default();
    _ = decode_with(&mut Decoder::default(), &mut Pixels::default(), &file, &options, Some(region));
}
