//! What is allocated: in steady state nothing that grows with the images, and for a hostile file
//! no more than the limits say. libjpeg-turbo's own memory, which it frees after each image, is
//! not seen here.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use allocation_counter::{AllocationInfo, measure};
use common::{Jpeg, apply, file, picture};
use image::{ImageEncoder, ImageFormat, RgbImage};
use preproc::transform::{
    CenterCrop, HorizontalFlip, Normalize, RandomResizedCrop, Size, ToTensor,
};
use preproc::{Compose, DecodeOptions, ImageTransform, Pixels, Region, SampleRng, Worker};

fn compose(steps: &[ImageTransform]) -> Compose {
    let end = [
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let list = [&[ImageTransform::Decode], steps, &end].concat();
    Compose::new(list, DecodeOptions::default()).unwrap()
}

fn jpegs() -> Vec<Vec<u8>> {
    let sizes = [(500, 375), (375, 500), (300, 300), (64, 64)];
    sizes.iter().map(|(width, height)| Jpeg::PLAIN.file(&picture(*width, *height, 0))).collect()
}

/// What running `compose` on `files` once more allocates.
fn again(compose: &Compose, files: &[Vec<u8>]) -> AllocationInfo {
    let mut worker = Worker::default();
    let mut out = vec![0.0; compose.shape().iter().product()];
    let mut clock = common::clock();
    let mut pass = || {
        for file in files {
            let mut rng = SampleRng::new(0, 0, 0);
            compose.apply(file, &mut rng, &mut worker, &mut clock, &mut out).unwrap();
        }
    };
    pass();
    measure(pass)
}

#[test]
fn decoding_cropping_and_writing_allocate_nothing() {
    let flip = ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 });
    let crop = ImageTransform::Crop(Region { left: 3, top: 5, width: 50, height: 40 });
    let pad = ImageTransform::CenterCrop(CenterCrop { size: Size::Square(70) });
    let mut files = jpegs();
    files.push(Jpeg { cmyk: true, ..Jpeg::PLAIN }.file(&picture(80, 60, 0)));
    for steps in [vec![flip.clone(), crop.clone()], vec![crop, pad, flip]] {
        assert_eq!(again(&compose(&steps), &files).count_total, 0);
    }
}

/// The resampler makes its coefficients anew for each image: a few small vectors for each row and
/// column, no image.
#[test]
fn resampling_allocates_no_images() {
    let crop = ImageTransform::RandomResizedCrop(RandomResizedCrop::new(224));
    let info = again(&compose(&[crop]), &jpegs());
    assert_eq!(info.count_current, 0);
    assert!(info.bytes_max < 64 << 10, "{info:?}");
}

#[test]
fn what_a_huge_image_took_is_given_back() {
    let compose = compose(&[ImageTransform::RandomResizedCrop(RandomResizedCrop {
        scale: [1.0, 1.0],
        ratio: [0.1, 10.0],
        ..RandomResizedCrop::new(8)
    })]);
    let huge = RgbImage::new(4_200, 4_100);
    let huge = [
        Jpeg::PLAIN.file(&huge),
        Jpeg { cmyk: true, ..Jpeg::PLAIN }.file(&huge),
        file(&huge, ImageFormat::Bmp),
    ];
    let small = [
        Jpeg::PLAIN.file(&picture(40, 30, 0)),
        Jpeg { cmyk: true, ..Jpeg::PLAIN }.file(&picture(40, 30, 0)),
    ];
    for huge in huge {
        let mut worker = Worker::default();
        let kept = measure(|| {
            for file in [&huge, &small[0], &small[1], &small[0]] {
                apply(&compose, &mut worker, file).unwrap();
            }
        });
        assert!(kept.bytes_max > 40 << 20, "{kept:?}");
        assert!(kept.bytes_current < 1 << 20, "{kept:?}");
    }
}

#[test]
fn an_image_keeps_its_memory_for_the_next() {
    let mut pixels = Pixels::default();
    pixels.reset(100, 100);
    let place = pixels.data().as_ptr();
    for (width, height) in [(10, 1_000), (3, 3), (100, 100)] {
        assert_eq!(pixels.reset(width, height).len(), 3 * width as usize * height as usize);
        assert_eq!(pixels.data().as_ptr(), place);
        assert_eq!((pixels.width(), pixels.height()), (width, height));
    }
}

/// A colour profile of 500 MB zeros, packed to half a megabyte.
#[test]
fn a_bomb_in_a_colour_profile_does_not_go_off() {
    let picture = picture(4, 4, 0);
    let mut bomb = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bomb);
    encoder.set_icc_profile(vec![0; 500 << 20]).unwrap();
    encoder.write_image(&picture, 4, 4, image::ColorType::Rgb8.into()).unwrap();
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    let opened = measure(|| {
        // Whether it is refused or read without the profile, it must not be unpacked.
        _ = common::decode(&bomb);
    });
    assert!(opened.bytes_max < 200 << 20, "{opened:?}");
}
