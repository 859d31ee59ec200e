//! The benchmark: what a profile holds, and what becomes of transforms and batches that cannot be
//! measured.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its input fails")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use preproc::benchmark::image::{Image, Step};
use preproc::benchmark::{
    BATCH_ITERATIONS, BatchFit, Findings, ITERATIONS, PreprocessingProfile, PreprocessingProfiler,
    Sample,
};
use preproc::transform::{
    Custom, HorizontalFlip, Normalize, RandomResizedCrop, ToTensor, from_fn, tensor,
};
use preproc::{Compose, DecodeOptions, ImageTransform, Pixels, Transform};
use tch::{Device, Kind, Tensor};

mod common;

fn sample() -> Tensor {
    Tensor::arange(3 * 8 * 8, (Kind::Float, Device::Cpu)).reshape([3, 8, 8])
}

fn kind(profile: &PreprocessingProfile) -> Option<&'static str> {
    profile.failure().map(|failure| failure.kind())
}

fn double() -> impl Transform<Tensor> {
    tensor::from_fn("double", |x: &Tensor| Ok(x.f_mul_scalar(2)?))
}

#[test]
fn a_profile_has_all_figures() {
    let profile = PreprocessingProfiler::new().profile(&double(), &sample(), ITERATIONS);
    assert_eq!((profile.name.as_str(), profile.batch_size), ("double", 1));
    assert_eq!((&profile.shape[..], profile.dtype), (&[3, 8, 8][..], Kind::Float));
    let measured = profile.measured().unwrap();
    let time = &measured.execution;
    assert_eq!(time.raw_s.len(), 10);
    assert!(time.raw_s.iter().all(|call| *call > 0.0 && *call < 10.0));
    let least = time.raw_s.iter().copied().fold(f64::INFINITY, f64::min);
    let most = time.raw_s.iter().copied().fold(0.0, f64::max);
    for figure in [time.mean_s, time.median_s, time.p95_s] {
        assert!((least..=most).contains(&figure), "{figure} of {time:?}");
    }
    assert!(time.standard_deviation_s.is_some() && time.p95_s >= time.median_s);
    let bytes = 4 * 3 * 8 * 8;
    assert_eq!((measured.memory.input_bytes, measured.memory.output_bytes), (bytes, bytes));
    let calls = measured.throughput.calls_per_s;
    assert!((calls * time.mean_s - 1.0).abs() < 1e-9);
    let moved = measured.throughput.bytes_per_s / calls;
    assert!((moved - 2.0 * bytes as f64).abs() < 1e-3, "{moved}");
    assert!(measured.memory.resident_bytes > Some(1 << 20));
    assert!((0.0..=100.0).contains(&measured.cpu.percent));
    assert!(measured.copy_s > 0.0 && !measured.bottlenecks.is_empty());
    assert_eq!((measured.cache.as_ref(), measured.output_dtype), (None, Kind::Float));
    assert_eq!(measured.output_shape, [3, 8, 8]);
    // Absent where there is no GPU, never 0.
    assert_ne!(measured.gpu_memory_bytes, Some(0));
    let json = serde_json::to_value(&profile).unwrap();
    assert_eq!(
        (json["status"].as_str(), json["dtype"].as_str()),
        (Some("measured"), Some("Float"))
    );
    assert_eq!(json["execution"]["raw_s"].as_array().map(Vec::len), Some(10));
}

#[test]
fn batches_are_of_distinct_samples_and_named() {
    let seen = Mutex::new(Vec::new());
    let look = tensor::from_fn("look", |x: &Tensor| {
        let rows = (0..x.size()[0]).map(|at| Vec::<f32>::try_from(x.get(at).flatten(0, -1)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        seen.lock().unwrap().push((x.size(), rows));
        Ok(x.shallow_clone())
    });
    let rows = PreprocessingProfiler::new().profile_batches(&look, &sample(), &[1, 3]);
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["look_batch_1", "look_batch_3"]);
    for row in &rows {
        assert_eq!(row.measured().unwrap().execution.raw_s.len(), BATCH_ITERATIONS);
    }
    let seen = seen.into_inner().unwrap();
    let mut of_three = seen.iter().filter(|(shape, _)| *shape == [3, 3, 8, 8]);
    let (_, samples) = of_three.next().unwrap();
    assert!(samples[0] != samples[1] && samples[1] != samples[2] && samples[0] != samples[2]);
    for sample in samples {
        let mut sorted = sample.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        assert_eq!(sorted, (0..192).map(|value| value as f32).collect::<Vec<_>>());
    }
    assert!(of_three.all(|(_, again)| again == samples));
}

#[test]
fn transforms_in_place_get_a_fresh_copy_each_time() {
    let seen = Mutex::new(Vec::new());
    let count_up = from_fn("count_up", |pixels: &mut Pixels, _| {
        seen.lock().unwrap().push(pixels.data()[0]);
        pixels.data_mut()[0] += 1;
        Ok(())
    });
    let mut pixels = Pixels::default();
    pixels.reset(4, 4).fill(7);
    let profile = PreprocessingProfiler::new().profile(&count_up, &pixels, ITERATIONS);
    assert!(profile.measured().is_some() && pixels.data()[0] == 7);
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() > ITERATIONS && seen.iter().all(|first| *first == 7));

    let in_place = tensor::from_fn("in_place", |x: &Tensor| {
        let mut x = x.shallow_clone();
        let _ = x.f_add_scalar_(1)?;
        Ok(x)
    });
    let sample = Tensor::zeros([4], (Kind::Float, Device::Cpu));
    assert!(PreprocessingProfiler::new().profile(&in_place, &sample, 10).measured().is_some());
    assert_eq!(f64::try_from(sample.sum(Kind::Float)).unwrap(), 0.0);
}

#[test]
fn what_cannot_be_measured_is_a_row_with_the_reason() {
    let calls = AtomicUsize::new(0);
    let number = || calls.fetch_add(1, Ordering::Relaxed) as i64;
    let fails = tensor::from_fn("fails", |x: &Tensor| Ok(x.f_reshape([5])?));
    let panics = tensor::from_fn("panics", |_: &Tensor| panic!("on purpose"));
    let grows = tensor::from_fn("grows", |x: &Tensor| {
        Ok(Tensor::f_zeros([1 + number()], (x.kind(), x.device()))?)
    });
    let types = tensor::from_fn("types", |x: &Tensor| {
        let kinds = [Kind::Float, Kind::Double];
        Ok(x.f_to_kind(kinds[number() as usize % 2])?)
    });
    let nan = tensor::from_fn("nan", |x: &Tensor| Ok(x.f_sub(x)?.f_div(&x.f_sub(x)?)?));
    let transforms: [(&dyn Transform<Tensor>, _, _); 5] = [
        (&fails, "failed", "shape '[5]' is invalid"),
        (&panics, "panicked", "on purpose"),
        (&grows, "other_shape", "another shape each time: [1], then [2]"),
        (&types, "other_type", "another type each time: Float, then Double"),
        (&nan, "nan", "NaN"),
    ];
    for (transform, expected, words) in transforms {
        calls.store(0, Ordering::Relaxed);
        let profile = PreprocessingProfiler::new().profile(transform, &sample(), ITERATIONS);
        assert_eq!(kind(&profile), Some(expected), "{profile:?}");
        let json = serde_json::to_value(&profile).unwrap();
        assert_eq!(json["status"], "failed");
        let reason = json["failure"]["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn samples_that_hold_nothing_or_no_numbers_are_refused() {
    let mut profiler = PreprocessingProfiler::new();
    let empty = Tensor::zeros([3, 0, 8], (Kind::Float, Device::Cpu));
    assert_eq!(kind(&profiler.profile(&double(), &empty, 10)), Some("no_elements"));
    assert_eq!(kind(&profiler.profile_batches(&double(), &empty, &[2])[0]), Some("no_elements"));
    let nan = Tensor::full([3], f64::NAN, (Kind::Float, Device::Cpu));
    assert_eq!(kind(&profiler.profile(&double(), &nan, 10)), Some("nan_input"));
    let pixels = Pixels::default();
    let flip = HorizontalFlip { p: 0.5 };
    assert_eq!(kind(&profiler.profile(&flip, &pixels, 10)), Some("no_elements"));
    assert_eq!(kind(&profiler.profile_samples(&flip, &[], &[1])[0]), Some("few_samples"));
}

#[test]
fn a_batch_size_that_fails_leaves_the_others() {
    let small = tensor::from_fn("small", |x: &Tensor| match x.size()[0] {
        4.. => Ok(x.f_reshape([1])?),
        _ => Ok(x.f_neg()?),
    });
    // A sample takes 768 bytes: 3 are a copy, an output and one in between.
    let mut profiler = PreprocessingProfiler::new().memory_limit(768 * 4 * 50);
    let rows = profiler.profile_batches(&small, &sample(), &[1, 4, 2, 0, 51, usize::MAX]);
    let kinds: Vec<_> = rows.iter().map(kind).collect();
    let skipped = Some("does_not_fit");
    assert_eq!(kinds, [None, Some("failed"), None, Some("empty_batch"), skipped, skipped]);
    let reason = rows[5].failure().unwrap().reason();
    assert!(reason.contains("MiB") && reason.contains("smaller batch size"), "{reason}");
    let findings = Findings::of(&rows);
    assert!(findings.fit.is_some() && [1, 2].contains(&findings.best.unwrap().batch_size));
    let none = Findings::of(&rows[3..]);
    assert_eq!((none.fit, none.best, none.bound), (None, None, None));
}

#[test]
fn hits_and_misses_are_told_apart_and_are_not_the_transform() {
    let calls = AtomicUsize::new(0);
    let slow = tensor::from_fn("slow", |x: &Tensor| {
        calls.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(std::time::Duration::from_millis(5));
        Ok(x.f_neg()?)
    });
    let mut profiler = PreprocessingProfiler::new().enable_caching(Some(2));
    let rows = profiler.profile_batches(&slow, &sample(), &[1, 2, 3]);
    for row in &rows {
        let measured = row.measured().unwrap();
        assert!(measured.execution.raw_s.iter().all(|call| *call >= 0.005), "a hit among them");
        let cache = measured.cache.as_ref().unwrap();
        assert_eq!((cache.hits, cache.misses), (BATCH_ITERATIONS as u64 - 1, 1));
        let (hit, miss) = (cache.hit.as_ref().unwrap(), cache.miss.as_ref().unwrap());
        assert!(miss.median_s >= 0.005 && hit.median_s < miss.median_s);
        assert_eq!((hit.raw_s.len(), miss.raw_s.len()), (BATCH_ITERATIONS - 1, 1));
    }
    // Room for two: the first batch size was thrown out, the last is still there.
    let stats = profiler.cache_stats().unwrap();
    assert_eq!((stats.entries, stats.evictions, stats.misses), (2, 1, 3));
    let again = profiler.profile_batches(&slow, &sample(), &[1, 3]);
    let misses = again.iter().map(|row| row.measured().unwrap().cache.as_ref().unwrap().misses);
    assert_eq!(misses.collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn parameters_tell_transforms_of_one_name_apart() {
    let mut pixels = Pixels::default();
    pixels.reset(16, 16).fill(9);
    let mut profiler = PreprocessingProfiler::new().enable_caching(None);
    let cached = |profiler: &mut PreprocessingProfiler, size| {
        let crop = RandomResizedCrop::new(size);
        let profile = profiler.profile(&crop, &pixels, 3);
        profile.measured().unwrap().cache.clone().unwrap()
    };
    assert_eq!(cached(&mut profiler, 4).misses, 1);
    assert_eq!(cached(&mut profiler, 8).misses, 1);
    assert_eq!(cached(&mut profiler, 4).misses, 0);
}

fn imagenet(steps: Vec<ImageTransform>) -> Compose {
    let all = [
        vec![ImageTransform::Decode],
        steps,
        vec![
            ImageTransform::ToTensor(ToTensor::default()),
            ImageTransform::Normalize(Normalize::IMAGENET),
        ],
    ];
    Compose::new(all.concat(), DecodeOptions::default()).unwrap()
}

#[test]
fn every_step_of_a_compose_is_measured_on_what_the_steps_before_it_make() {
    let compose = imagenet(vec![
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(32)),
        ImageTransform::HorizontalFlip(HorizontalFlip { p: 0.5 }),
    ]);
    let file = common::imagenet_like();
    let mut images: Vec<Image> =
        (0..3).map(|_| Image::open(file.clone(), &compose).unwrap()).collect();
    let mut profiler = PreprocessingProfiler::new();
    let whole = Step::whole(&compose);
    let row = &profiler.profile_samples(&whole, &images, &[2])[0];
    assert_eq!(
        (row.name.as_str(), &row.shape[..]),
        ("compose_batch_2", &[2, file.len() as i64][..])
    );
    let planned = row.measured().unwrap().clone();
    assert_eq!((&planned.output_shape[..], planned.output_dtype), (&[3, 32, 32][..], Kind::Float));
    let stages = whole.stages();
    assert!(stages.decode_s > 0.0 && stages.transform_s > 0.0 && stages.write_s > 0.0);

    let steps = Step::all(&compose);
    let names: Vec<&str> = steps.iter().map(Transform::name).collect();
    let expected = ["decode", "random_resized_crop", "horizontal_flip", "to_tensor+normalize"];
    assert_eq!(names, expected);
    assert!(steps[3].is_named("normalize") && steps[3].is_named("to_tensor+normalize"));
    let mut shapes = Vec::new();
    for step in &steps {
        let row = &profiler.profile_samples(step, &images, &[1])[0];
        shapes.push(row.shape.clone());
        assert!(row.measured().is_some(), "{row:?}");
        for (index, image) in images.iter_mut().enumerate() {
            let mut rng = preproc::SampleRng::new(0, 0, index as u64);
            step.apply(image, &mut rng, &mut Default::default()).unwrap();
        }
    }
    assert_eq!(shapes[1..], [vec![1, 375, 500, 3], vec![1, 32, 32, 3], vec![1, 32, 32, 3]]);
    // The last step made the samples that the plan makes, up to the resampling of a crop.
    assert_eq!((images[0].shape(), images[0].dtype()), (vec![3, 32, 32], Kind::Float));
    let scaling = profiler.scaling(&whole, &[Image::open(file, &compose).unwrap()], 2).unwrap();
    assert!(scaling.threads == 2 && scaling.one_samples_per_s > 0.0 && scaling.speedup() > 0.1);
}

#[test]
fn batches_of_images_take_as_many_distinct_ones() {
    let seen = Mutex::new(Vec::new());
    let look = from_fn("look", |pixels: &mut Pixels, _| {
        seen.lock().unwrap().push(pixels.data()[0]);
        Ok(())
    });
    let images: Vec<Pixels> = (0..6)
        .map(|number| {
            let mut pixels = Pixels::default();
            pixels.reset(2, 2).fill(number);
            pixels
        })
        .collect();
    let rows = PreprocessingProfiler::new().profile_samples(&look, &images, &[1, 3, 6, 7]);
    let calls: Vec<_> =
        rows.iter().map(|row| row.measured().map(|row| row.execution.raw_s.len())).collect();
    assert_eq!(calls, [Some(6), Some(5), Some(5), None]);
    assert_eq!(kind(&rows[3]), Some("few_samples"));
    // The last row that was measured: five times all six, in order.
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[seen.len() - 12..], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]);
}

#[test]
fn thread_cpu_time_does_not_count_waiting() {
    let wait = std::time::Duration::from_millis(20);
    let slow = tensor::from_fn("slow", move |x: &Tensor| {
        std::thread::sleep(wait);
        Ok(x.shallow_clone())
    });
    let least = |profiler: PreprocessingProfiler| {
        let profile = { profiler }.profile(&slow, &sample(), 3);
        profile.measured().unwrap().execution.raw_s.iter().copied().fold(f64::INFINITY, f64::min)
    };
    assert!(least(PreprocessingProfiler::new()) >= 0.99 * wait.as_secs_f64());
    assert!(least(PreprocessingProfiler::new().thread_cpu_time()) < 0.5 * wait.as_secs_f64());
}

#[test]
fn custom_steps_that_fail_are_rows_too() {
    let bad = from_fn("bad", |_: &mut Pixels, _| panic!("no such colour"));
    let compose = imagenet(vec![
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(8)),
        ImageTransform::Custom(Custom::new(bad)),
        ImageTransform::RandomResizedCrop(RandomResizedCrop::new(8)),
    ]);
    let images = [Image::open(common::imagenet_like(), &compose).unwrap()];
    let row =
        &PreprocessingProfiler::new().profile_samples(&Step::whole(&compose), &images, &[1])[0];
    assert_eq!(kind(row), Some("panicked"));
    assert!(Image::open(vec![1, 2, 3], &compose).is_err());
}

#[test]
fn a_fit_finds_fixed_cost_and_cost_of_a_sample() {
    let line = |size: usize| (size, 3e-3 + 2e-5 * size as f64);
    let fit = BatchFit::of(&[1, 8, 32, 128].map(line)).unwrap();
    assert!((fit.fixed_s - 3e-3).abs() < 1e-9 && (fit.sample_s - 2e-5).abs() < 1e-9, "{fit:?}");
    assert!(fit.worst_error < 1e-6 && (fit.fixed_share(150) - 0.5).abs() < 1e-6);
    // A negative fixed cost is noise.
    let fit = BatchFit::of(&[(1, 1.0e-3), (8, 8.1e-3), (32, 33e-3)]).unwrap();
    assert!(fit.fixed_s == 0.0 && (fit.sample_s - 1.02e-3).abs() < 2e-5, "{fit:?}");
    // No cost of a sample: all batches take the same.
    let fit = BatchFit::of(&[(1, 2e-3), (8, 1.9e-3)]).unwrap();
    assert!(fit.sample_s == 0.0 && (fit.fixed_s - 1.95e-3).abs() < 1e-5, "{fit:?}");
    assert_eq!(BatchFit::of(&[line(4)]), None);
    assert_eq!(BatchFit::of(&[line(4), line(4)]), None);
    assert_eq!(BatchFit::of(&[]), None);
}
