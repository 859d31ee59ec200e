//! Lists of transforms: any order gives what the steps one by one would.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Jpeg, apply, file, near, picture, tensor};
use image::{ImageFormat, RgbImage, imageops};
use preproc::transform::{
    CenterCrop, HorizontalFlip, Normalize, RandomResizedCrop, Resize, ResizeSize, Size, ToTensor,
};
use preproc::{
    Compose, DecodeOptions, ImageError, ImageTransform, Region, SampleRng, TransformError, Worker,
};
use proptest::prelude::*;
use turbojpeg::Subsamp;

const FLIP: ImageTransform = ImageTransform::HorizontalFlip(HorizontalFlip { p: 1.0 });

fn crop(left: u32, top: u32, width: u32, height: u32) -> ImageTransform {
    ImageTransform::Crop(Region { left, top, width, height })
}

fn center_crop(height: u32, width: u32) -> ImageTransform {
    ImageTransform::CenterCrop(CenterCrop { size: Size::Sides([height, width]) })
}

fn resize(height: u32, width: u32) -> ImageTransform {
    ImageTransform::Resize(Resize { size: ResizeSize::Exact([height, width]) })
}

fn resize_short(side: u32) -> ImageTransform {
    ImageTransform::Resize(Resize { size: ResizeSize::Short(side) })
}

/// `decode`, `steps`, `to_tensor`.
fn compose_with(steps: &[ImageTransform], options: DecodeOptions) -> Compose {
    let list = [&[ImageTransform::Decode], steps, &[ImageTransform::ToTensor(ToTensor::default())]]
        .concat();
    Compose::new(list, options).unwrap()
}

fn compose(steps: &[ImageTransform]) -> Compose {
    compose_with(steps, DecodeOptions::default())
}

fn run(steps: &[ImageTransform], file: &[u8]) -> Vec<f32> {
    apply(&compose(steps), &mut Worker::default(), file).unwrap()
}

/// One step, as plainly as it can be written.
fn step(picture: &RgbImage, transform: &ImageTransform) -> RgbImage {
    match transform {
        ImageTransform::HorizontalFlip(_) => imageops::flip_horizontal(picture),
        ImageTransform::Crop(Region { left, top, width, height }) => {
            imageops::crop_imm(picture, *left, *top, *width, *height).to_image()
        }
        ImageTransform::CenterCrop(CenterCrop { size }) => {
            let [height, width] = size.sides().map(i64::from);
            let start = |side: u32, crop: i64| {
                let margin = i64::from(side) - crop;
                // Half to even where pixels are cut, the odd pixel to the right where they lack.
                if margin < 0 {
                    -(-margin / 2)
                } else {
                    (margin as f64 / 2.0).round_ties_even() as i64
                }
            };
            let (left, top) = (start(picture.width(), width), start(picture.height(), height));
            RgbImage::from_fn(width as u32, height as u32, |x, y| {
                let (x, y) = (i64::from(x) + left, i64::from(y) + top);
                let inside = u32::try_from(x).ok().zip(u32::try_from(y).ok());
                let pixel = inside.and_then(|(x, y)| picture.get_pixel_checked(x, y));
                pixel.copied().unwrap_or(image::Rgb([0; 3]))
            })
        }
        other => panic!("{other:?}"),
    }
}

/// Up to six flips, crops and centre crops, each valid for what the one before leaves; at least
/// one crop, so that the shape is known.
fn steps(width: u32, height: u32) -> impl Strategy<Value = Vec<ImageTransform>> {
    let choices = prop::collection::vec((0..3_u8, [0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0]), 1..6);
    choices.prop_map(move |choices| {
        let (mut width, mut height) = (width, height);
        let mut steps = Vec::new();
        let kinds = choices.into_iter().chain([(1, [0.1, 0.1, 0.9, 0.9])]);
        for (kind, [a, b, c, d]) in kinds {
            let part = |share: f64, of: u32| (share * f64::from(of)) as u32;
            match kind {
                0 => steps.push(FLIP),
                1 => {
                    let (left, top) = (part(a, width), part(b, height));
                    (width, height) = (1 + part(c, width - left), 1 + part(d, height - top));
                    (width, height) = (width.min(90 - left), height.min(90 - top));
                    steps.push(crop(left, top, width, height));
                }
                _ => {
                    // Smaller in one direction, larger in the other, or both.
                    (width, height) = (1 + part(2.0 * a, width), 1 + part(2.0 * b, height));
                    (width, height) = (width.min(90), height.min(90));
                    steps.push(center_crop(height, width));
                }
            }
        }
        steps
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn flips_and_crops_in_any_order(
        (width, height, steps) in (1..70_u32, 1..70_u32)
            .prop_flat_map(|(width, height)| (Just(width), Just(height), steps(width, height))),
        seed in any::<u64>(),
        jpeg in any::<bool>(),
    ) {
        let picture = picture(width, height, seed);
        let (file, picture) = if jpeg {
            let file = Jpeg { subsampling: Some(Subsamp::Sub2x2), ..Jpeg::default() }.file(&picture);
            let decoded = common::decode(&file).unwrap();
            (file, decoded)
        } else {
            (file(&picture, ImageFormat::Bmp), picture)
        };
        let expected = steps.iter().fold(picture, |picture, transform| step(&picture, transform));
        prop_assert!(near(&run(&steps, &file), &tensor(&expected), 0.0), "{steps:?}");
    }

    /// Only what is cut out is resampled, with coefficients that may be rounded otherwise: in one direction a
    /// value then differs by one at most, and by two where both add up.
    #[test]
    fn a_crop_after_resizing_is_the_crop_of_the_resized(
        (width, height) in (1..120_u32, 1..120_u32),
        (to_width, to_height) in (1..120_u32, 1..120_u32),
        [left, top, right, bottom] in [0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0],
        flip in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let jpeg = Jpeg::PLAIN.file(&picture(width, height, seed));
        let part = |share: f64, of: u32| (share * f64::from(of)) as u32;
        let (left, top) = (part(left, to_width), part(top, to_height));
        let (w, h) = (1 + part(right, to_width - left), 1 + part(bottom, to_height - top));
        let (w, h) = (w.min(to_width - left), h.min(to_height - top));
        let mut steps = vec![resize(to_height, to_width)];
        steps.extend(flip.then_some(FLIP));
        let whole = run(&steps, &jpeg);
        steps.push(crop(left, top, w, h));
        let cropped = run(&steps, &jpeg);
        let at = |i: u32| {
            let (channel, i) = (i / (w * h), i % (w * h));
            let (x, y) = (left + i % w, top + i / w);
            whole[((channel * to_height + y) * to_width + x) as usize]
        };
        let expected: Vec<f32> = (0..3 * w * h).map(at).collect();
        prop_assert!(near(&cropped, &expected, 2.0));
        let by_two = cropped.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 1.5 / 255.0);
        prop_assert!(by_two.count() <= 1 + expected.len() / 500);
    }

    /// What a worker did before leaves no trace: this is what makes runs repeatable.
    #[test]
    fn a_used_worker_gives_what_a_new_one_does(
        sizes in prop::collection::vec((1..150_u32, 1..150_u32, 0..4_u8), 1..8),
        seed in any::<u64>(),
    ) {
        let steps =
            [ImageTransform::RandomResizedCrop(RandomResizedCrop::new(32)), center_crop(40, 24), FLIP];
        let compose = compose(&steps);
        let mut worker = Worker::default();
        for (width, height, kind) in sizes {
            let picture = picture(width, height, seed);
            let file = match kind {
                0 => file(&picture, ImageFormat::Png),
                1 => Jpeg { cmyk: true, ..Jpeg::PLAIN }.file(&picture),
                2 => Jpeg { progressive: true, ..Jpeg::PLAIN }.file(&picture),
                _ => Jpeg::PLAIN.file(&picture),
            };
            let used = apply(&compose, &mut worker, &file).unwrap();
            prop_assert_eq!(used, apply(&compose, &mut Worker::default(), &file).unwrap());
        }
    }
}

#[test]
fn mirrored_rows_of_any_length_are_the_rows_mirrored() {
    for width in 1..70 {
        let picture = picture(width, 3, 0);
        let file = file(&picture, ImageFormat::Bmp);
        let plain = run(&[crop(0, 0, width, 3)], &file);
        let mirrored = run(&[crop(0, 0, width, 3), FLIP], &file);
        for (plain, mirrored) in plain.chunks(width as usize).zip(mirrored.chunks(width as usize)) {
            assert!(plain.iter().eq(mirrored.iter().rev()), "{width}");
        }
        assert_eq!(run(&[FLIP, crop(0, 0, width, 3), FLIP], &file), plain);
    }
}

#[test]
fn normalize_is_the_last_step_on_values_from_0_to_1() {
    let picture = picture(20, 10, 0);
    let file = file(&picture, ImageFormat::Png);
    let list = vec![
        ImageTransform::Decode,
        center_crop(10, 20),
        ImageTransform::ToTensor(ToTensor::default()),
        ImageTransform::Normalize(Normalize::IMAGENET),
    ];
    let compose = Compose::new(list, DecodeOptions::default()).unwrap();
    let sample = apply(&compose, &mut Worker::default(), &file).unwrap();
    let Normalize { mean, std } = Normalize::IMAGENET;
    for (i, (value, plain)) in sample.iter().zip(tensor(&picture)).enumerate() {
        let expected = (plain - mean[i / 200]) / std[i / 200];
        assert!((value - expected).abs() < 1e-5, "{value} {expected}");
    }
}

#[test]
fn one_pixel_passes_every_transform() {
    let picture = picture(1, 1, 0);
    let transforms = [
        resize(5, 7),
        resize_short(9),
        crop(0, 0, 1, 1),
        center_crop(4, 3),
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(8)),
        FLIP,
    ];
    let jpeg = Jpeg { subsampling: Some(Subsamp::None), ..Jpeg::PLAIN };
    for bytes in [jpeg.file(&picture), Jpeg::PLAIN.file(&picture), file(&picture, ImageFormat::Png)]
    {
        let pixel = tensor(&common::decode(&bytes).unwrap());
        for transform in &transforms {
            let sample = run(&[transform.clone(), resize(1, 1)], &bytes);
            let padded = matches!(transform, ImageTransform::CenterCrop(_));
            // Padding darkens the mean: 12 pixels, of which 11 are black.
            assert!(padded || near(&sample, &pixel, 1.0), "{transform:?}: {sample:?} {pixel:?}");
        }
        run(&transforms, &bytes);
    }
}

#[test]
fn a_fixed_crop_must_lie_in_the_image() {
    let file = file(&picture(20, 10, 0), ImageFormat::Png);
    for part in [crop(15, 0, 6, 1), crop(0, 10, 1, 1), crop(u32::MAX, 0, 2, 1)] {
        let error = apply(&compose(&[part]), &mut Worker::default(), &file).unwrap_err();
        assert!(
            matches!(error, TransformError::Image(ImageError::Crop { width: 20, height: 10, .. })),
            "{error}"
        );
    }
}

#[test]
fn an_image_a_pixel_wide_may_be_resized_far_if_little_of_it_is_wanted() {
    let thin = file(&picture(1, 5_000, 0), ImageFormat::Png);
    let steps = [resize_short(256), center_crop(224, 224)];
    assert_eq!(run(&steps, &thin).len(), 3 * 224 * 224);
    assert_eq!(run(&steps, &Jpeg::PLAIN.file(&picture(5_000, 1, 0))).len(), 3 * 224 * 224);
}

#[test]
fn what_resizing_would_blow_up_is_refused() {
    let options = DecodeOptions { max_pixels: 100_000, ..DecodeOptions::default() };
    let small = file(&picture(100, 100, 0), ImageFormat::Png);
    let thin = file(&picture(1, 5_000, 0), ImageFormat::Png);
    // All of 256 x 1,280,000 pixels, the largest part of them, and more than 32 bits can count.
    let random = ImageTransform::RandomResizedCrop(RandomResizedCrop {
        scale: [1.0, 1.0],
        ratio: [1e-9, 1e-3],
        ..RandomResizedCrop::new(8)
    });
    let cases = [
        (vec![resize(400, 400)], &small),
        (vec![center_crop(400, 400)], &small),
        (vec![resize_short(256), random.clone()], &thin),
        (vec![resize_short(16_384), resize_short(16_384), random, resize(8, 8)], &thin),
    ];
    for (steps, file) in cases {
        let compose = compose_with(&steps, options.clone());
        let error = apply(&compose, &mut Worker::default(), file).unwrap_err();
        assert!(
            matches!(error, TransformError::Image(ImageError::TooLarge { limit: 100_000, .. })),
            "{error}"
        );
    }
}

#[test]
#[should_panic(expected = "a slot of another shape")]
fn a_slot_must_have_the_shape() {
    let compose = compose(&[center_crop(4, 4)]);
    let file = file(&picture(4, 4, 0), ImageFormat::Png);
    let (mut rng, mut worker) = (SampleRng::new(0, 0, 0), Worker::default());
    let mut out = [0.0; 47];
    _ = compose.apply(&file, &mut rng, &mut worker, &mut common::clock(), &mut out);
}
