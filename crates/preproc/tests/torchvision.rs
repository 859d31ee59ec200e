//! The transforms against recorded outputs of the real torchvision (`tests/reference`).

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::path::PathBuf;

use common::{apply, read, repository};
use preproc::transform::{
    CenterCrop, HorizontalFlip, Normalize, RandomResizedCrop, Resize, ResizeSize, Size, ToTensor,
};
use preproc::{Compose, DecodeOptions, ImageTransform, Region, SampleRng, Worker};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    tolerance: Tolerance,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Tolerance {
    mean_abs: f64,
    within: f64,
    share_within: f64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    input: PathBuf,
    ops: Vec<Op>,
    compare: bool,
    output: PathBuf,
    shape: [usize; 3],
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    ExifTranspose,
    ResizeShort {
        size: u32,
    },
    Resize {
        height: u32,
        width: u32,
    },
    CenterCrop {
        height: u32,
        width: u32,
    },
    ResizedCrop {
        top: u32,
        left: u32,
        height: u32,
        width: u32,
        out_height: u32,
        out_width: u32,
    },
    #[serde(rename = "hflip")]
    HorizontalFlip,
    ToTensorNormalize {
        mean: [f32; 3],
        std: [f32; 3],
    },
}

/// The same operations as a `Compose`. An exact resize to the expected size ends those whose
/// shape depends on the image; it changes nothing.
fn compose(case: &Case, height: usize, width: usize) -> (Compose, Normalize) {
    let mut transforms = vec![ImageTransform::Decode];
    let mut options = DecodeOptions::default();
    let mut normalize = Normalize::IDENTITY;
    let exact =
        |height, width| ImageTransform::Resize(Resize { size: ResizeSize::Exact([height, width]) });
    for op in &case.ops {
        match *op {
            Op::ExifTranspose => options.exif_orientation = true,
            Op::ResizeShort { size } => {
                transforms.push(ImageTransform::Resize(Resize { size: ResizeSize::Short(size) }));
            }
            Op::Resize { height, width } => transforms.push(exact(height, width)),
            Op::CenterCrop { height, width } => {
                let size = Size::Sides([height, width]);
                transforms.push(ImageTransform::CenterCrop(CenterCrop { size }));
            }
            Op::ResizedCrop { top, left, height, width, out_height, out_width } => {
                transforms.push(ImageTransform::Crop(Region { left, top, width, height }));
                transforms.push(exact(out_height, out_width));
            }
            Op::HorizontalFlip => {
                transforms.push(ImageTransform::HorizontalFlip(HorizontalFlip { p: 1.0 }));
            }
            Op::ToTensorNormalize { mean, std } => normalize = Normalize { mean, std },
        }
    }
    transforms.push(exact(height as u32, width as u32));
    transforms.push(ImageTransform::ToTensor(ToTensor::default()));
    transforms.push(ImageTransform::Normalize(normalize.clone()));
    (Compose::new(transforms, options).unwrap(), normalize)
}

/// `[3, H, W]`, in units of 0 to 255 before normalisation.
fn expected(case: &Case, height: usize, width: usize, normalize: &Normalize) -> Vec<f32> {
    let plane = height * width;
    if case.output.extension().is_some_and(|extension| extension == "npy") {
        let bytes = read(&case.output);
        let floats = bytes[bytes.len() - 4 * 3 * plane..].chunks_exact(4);
        let values = floats.map(|b| f32::from_le_bytes(b.try_into().unwrap())).enumerate();
        let undo = |(i, v): (usize, f32)| {
            (v * normalize.std[i / plane] + normalize.mean[i / plane]) * 255.0
        };
        return values.map(undo).collect();
    }
    let image = image::open(repository(&case.output)).unwrap().into_rgb8();
    assert_eq!((image.height() as usize, image.width() as usize), (height, width));
    (0..3 * plane).map(|i| f32::from(image.as_raw()[3 * (i % plane) + i / plane])).collect()
}

#[test]
fn every_recorded_case_agrees() {
    let manifest = read("tests/reference/manifest.json");
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    let mut worker = Worker::default();
    let mut compared = 0;
    let mut failures = Vec::new();
    for case in manifest.cases.iter().filter(|case| case.compare) {
        let (height, width) = match case.shape {
            [3, height, width] | [height, width, 3] => (height, width),
            _ => panic!("{}: shape {:?}", case.name, case.shape),
        };
        let (compose, normalize) = compose(case, height, width);
        let bytes = read(&case.input);
        let ours = apply(&compose, &mut worker, &bytes).unwrap();
        let theirs = expected(case, height, width, &normalize);
        let plane = height * width;
        let differences: Vec<f64> = ours
            .iter()
            .zip(&theirs)
            .enumerate()
            .map(|(i, (a, b))| {
                let a = (a * normalize.std[i / plane] + normalize.mean[i / plane]) * 255.0;
                f64::from((a - b).abs())
            })
            .collect();
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        // Half a thousandth for the rounding of normalised values.
        let limit = manifest.tolerance.within + 5e-4;
        let within = differences.iter().filter(|d| **d <= limit).count() as f64 / n;
        compared += 1;
        if mean > manifest.tolerance.mean_abs || within < manifest.tolerance.share_within {
            failures.push(format!("{}: mean {mean:.3}, within 4: {within:.5}", case.name));
        }
    }
    assert!(compared > 100, "only {compared} cases");
    assert!(failures.is_empty(), "{} of {compared}:\n{}", failures.len(), failures.join("\n"));
}

#[derive(Deserialize)]
struct Draws {
    quantile_levels: Vec<f64>,
    sizes: Vec<SizeDraws>,
    fallback_boxes: Vec<FallbackBox>,
}

#[derive(Deserialize)]
struct SizeDraws {
    width: u32,
    height: u32,
    fallback_share: f64,
    drawn: Option<Drawn>,
}

#[derive(Deserialize)]
struct Drawn {
    area_fraction: Option<Statistics>,
    aspect_ratio: Option<Statistics>,
    relative_top: Option<Statistics>,
    relative_left: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    mean: f64,
    std: f64,
    quantiles: Vec<f64>,
}

#[derive(Deserialize)]
struct FallbackBox {
    image: [u32; 2],
    top: u32,
    left: u32,
    height: u32,
    width: u32,
}

fn draws() -> Draws {
    serde_json::from_slice(&read("tests/reference/random_resized_crop.json")).unwrap()
}

#[test]
fn random_resized_crops_are_distributed_as_torchvisions() {
    const N: u64 = 100_000;
    let crop = RandomResizedCrop::new(224);
    let Draws { quantile_levels, sizes, .. } = draws();
    for SizeDraws { width, height, drawn, fallback_share } in sizes {
        let Some(drawn) = drawn.filter(|_| fallback_share < 0.001) else { continue };
        let ours: Vec<Region> =
            (0..N).map(|i| crop.draw(width, height, &mut SampleRng::new(1, 0, i))).collect();
        let check = |what: &str, theirs: &Statistics, value: &dyn Fn(&Region) -> Option<f64>| {
            let mut values: Vec<f64> = ours.iter().filter_map(value).collect();
            values.sort_unstable_by(f64::total_cmp);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            // Six standard errors of the difference of two means of so many draws.
            let error = 6.0 * theirs.std * (2.0 / n).sqrt() + 1e-6;
            let text = format!("{what} of {width}x{height}");
            assert!((mean - theirs.mean).abs() <= error, "{text}: {mean} {}", theirs.mean);
            for (level, theirs_at) in quantile_levels.iter().zip(&theirs.quantiles) {
                // The tails hold few draws, and a small image few values.
                if !(0.04..0.96).contains(level) || width < 100 {
                    continue;
                }
                let ours_at = values[(level * (n - 1.0)) as usize];
                let near = (ours_at - theirs_at).abs() <= 0.04 * theirs.std;
                assert!(near, "{text}, quantile {level}: {ours_at} {theirs_at}");
            }
        };
        let sides = |r: &Region| (f64::from(r.width), f64::from(r.height));
        let area = f64::from(width) * f64::from(height);
        let relative =
            |start: u32, free: u32| (free > 0).then(|| f64::from(start) / f64::from(free));
        if let Some(theirs) = &drawn.area_fraction {
            check("area", theirs, &|r| Some(sides(r).0 * sides(r).1 / area));
        }
        if let Some(theirs) = &drawn.aspect_ratio {
            check("ratio", theirs, &|r| Some(sides(r).0 / sides(r).1));
        }
        if let Some(theirs) = &drawn.relative_top {
            check("top", theirs, &|r| relative(r.top, height - r.height));
        }
        if let Some(theirs) = &drawn.relative_left {
            check("left", theirs, &|r| relative(r.left, width - r.width));
        }
    }
}

#[test]
fn crops_that_cannot_fit_fall_back_to_torchvisions_box() {
    // A hundred times the image's area never fits.
    let crop = RandomResizedCrop { scale: [100.0, 100.0], ..RandomResizedCrop::new(224) };
    for FallbackBox { image: [width, height], top, left, height: h, width: w } in
        draws().fallback_boxes
    {
        let drawn = crop.draw(width, height, &mut SampleRng::new(0, 0, 0));
        assert_eq!(drawn, Region { left, top, width: w, height: h }, "{width}x{height}");
    }
}
