//! `preproc`, and the types and layouts of images, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{assert_refused, assert_success, stderr, stdout, tuner, workspace};
use image::RgbImage;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn preproc(folder: &Path, config: &str, more: &[&str]) -> Output {
    tuner()
        .args(["preproc", "--config"])
        .arg(folder.join(config))
        .arg("--out")
        .arg(folder.join("out"))
        .args(more)
        .output()
        .unwrap()
}

fn report(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("out/preproc.json")).unwrap()).unwrap()
}

fn row<'r>(report: &'r Value, name: &str) -> &'r Value {
    let rows = report["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn every_transform_at_every_batch_size() {
    let folder = workspace(20);
    let done = preproc(folder.path(), "small.toml", &["--batch-sizes", "1,8", "--enable-caching"]);
    assert_success(&done);
    let text = stdout(&done);
    assert!(text.contains("One worker makes at most"), "{text}");
    let report = report(folder.path());
    assert_eq!((&report["schema"], &report["images"]), (&"tuner-preproc-1".into(), &20.into()));
    let steps =
        ["compose", "decode", "random_resized_crop", "horizontal_flip", "to_tensor+normalize"];
    assert_eq!(report["rows"].as_array().unwrap().len(), 2 * steps.len());
    let mut shares = 0.0;
    for (step, findings) in steps.iter().zip(report["transforms"].as_array().unwrap()) {
        assert_eq!(&findings["transform"], step);
        assert!(findings["fit"]["sample_s"].is_number(), "{findings}");
        assert!([1, 8].contains(&findings["best"]["batch_size"].as_u64().unwrap()));
        shares += findings["share"].as_f64().unwrap_or(0.0);
        for batch in [1, 8] {
            let row = row(&report, &format!("{step}_batch_{batch}"));
            assert_eq!((&row["status"], &row["batch_size"]), (&"measured".into(), &batch.into()));
            assert!(row["execution"]["raw_s"].as_array().unwrap().len() >= 5, "{row}");
            // Absent, not 0, where there is no GPU.
            assert_ne!(row["gpu_memory_bytes"], 0);
            let cache = &row["cache"];
            let calls = cache["hits"].as_u64().unwrap() + cache["misses"].as_u64().unwrap();
            assert!(calls >= 20 && cache["hit"] != cache["miss"], "{cache}");
            assert!(text.contains(step), "{step} is not in: {text}");
        }
    }
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    let ceiling = &report["ceiling"];
    let (rate, sample) = (&ceiling["samples_per_s"], &ceiling["sample_s"]);
    assert!((rate.as_f64().unwrap() * sample.as_f64().unwrap() - 1.0).abs() < 1e-6);
    let of = |stage: &str| ceiling["stages"][stage].as_f64().unwrap();
    let sum = of("decode_s") + of("transform_s") + of("write_s");
    assert!((sum / sample.as_f64().unwrap() - 1.0).abs() < 1e-6);
    assert!(report["cache"]["misses"].as_u64().unwrap() > 0);

    let page = fs::read_to_string(folder.path().join("out/preproc.md")).unwrap();
    for part in ["preproc.png", "What could be gained", "The cache of results", "tuner preproc"] {
        assert!(page.contains(part), "{part}");
    }
    let svg = fs::read_to_string(folder.path().join("out/preproc.svg")).unwrap();
    assert!(svg.contains("random_resized_crop") && svg.contains("batch size"));
    let png = fs::read(folder.path().join("out/preproc.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // Nothing half-written is left.
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 4);
}

#[test]
fn what_cannot_be_measured_is_said_and_the_rest_goes_on() {
    let folder = workspace(12);
    let config = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    // No image of the stand-in has so many pixels.
    let crop = "{ crop = { left = 9000, top = 0, width = 32, height = 32 } }";
    let changed = config.replacen("{ random_resized_crop = { size = 32 } }", crop, 1);
    assert_ne!(changed, config);
    fs::write(folder.path().join("crop.toml"), changed).unwrap();
    let mut images: Vec<_> = walkdir::WalkDir::new(folder.path().join("train"))
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.path().extension().is_some_and(|kind| kind == "JPEG"))
        .map(walkdir::DirEntry::into_path)
        .collect();
    images.sort();
    fs::write(&images[0], b"no image").unwrap();

    let done = preproc(folder.path(), "crop.toml", &["--batch-sizes", "2,400"]);
    assert_success(&done);
    let report = report(folder.path());
    for (name, status) in [
        ("compose_batch_2", "failed"),
        ("crop_batch_2", "failed"),
        ("decode_batch_2", "measured"),
        ("decode_batch_400", "failed"),
        ("horizontal_flip_batch_2", "measured"),
    ] {
        assert_eq!(row(&report, name)["status"], status, "{name}");
    }
    let failure = &row(&report, "crop_batch_2")["failure"];
    let reason = failure["reason"].as_str().unwrap();
    assert!(failure["kind"] == "failed" && reason.contains("does not lie in it"), "{failure}");
    assert_eq!(row(&report, "decode_batch_400")["failure"]["kind"], "few_samples");
    let bad = report["bad_files"].as_array().unwrap();
    assert_eq!(bad.len(), 1);
    assert!(bad[0]["file"].as_str().unwrap().ends_with(".JPEG"), "{bad:?}");
    assert!(report["ceiling"].is_null(), "no sample was made");
    let text = stdout(&done);
    for part in
        ["does not lie in it", "`decode_batch_400`, ", " were not measured: ", "passed over"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn why_nothing_was_measured_is_kept() {
    let folder = workspace(4);
    let done = preproc(folder.path(), "small.toml", &["--batch-sizes", "400"]);
    assert_refused(&done, &["no transform could be measured", "too few for a batch of 400"]);
    let report = report(folder.path());
    assert_eq!(row(&report, "decode_batch_400")["failure"]["kind"], "few_samples");
}

#[test]
fn what_would_not_fit_in_memory_is_skipped_and_recorded() {
    let folder = workspace(20);
    let mut config = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    assert!(config.contains("\n[sweep]\n"));
    // A few of the images with their pixels, and never sixteen.
    config = config.replacen("\n[sweep]\n", "\n[sweep]\nmemory_limit_bytes = 8_000_000\n", 1);
    fs::write(folder.path().join("limited.toml"), config).unwrap();
    let done = preproc(folder.path(), "limited.toml", &["--batch-sizes", "1,16"]);
    assert_success(&done);
    let report = report(folder.path());
    assert_eq!(row(&report, "compose_batch_1")["status"], "measured");
    for step in ["compose", "decode", "random_resized_crop", "to_tensor+normalize"] {
        let failure = &row(&report, &format!("{step}_batch_16"))["failure"];
        assert_eq!(failure["kind"], "does_not_fit", "{failure}");
    }
    let text = stdout(&done);
    assert!(text.contains("`compose_batch_16`"), "{text}");
}

#[test]
fn some_transforms_and_json() {
    let folder = workspace(8);
    let more = ["--batch-sizes", "2", "--transforms", "normalize,decode", "--json", "--quiet"];
    let done = preproc(folder.path(), "small.toml", &more);
    assert_success(&done);
    assert_eq!(stderr(&done), "");
    let printed: Value = serde_json::from_str(&stdout(&done)).unwrap();
    assert_eq!(printed, report(folder.path()));
    let names = printed["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
    let expected = ["decode_batch_2", "to_tensor+normalize_batch_2"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    assert!(printed["cache"].is_null());
}

#[test]
fn bad_flags_and_data_are_refused() {
    let folder = workspace(4);
    let refused = |more: &[&str], parts: &[&str]| {
        assert_refused(&preproc(folder.path(), "small.toml", more), parts);
        assert!(!folder.path().join("out").exists());
    };
    refused(&["--transforms", "sharpen"], &["`sharpen`", "hint: there are `compose`, `decode`"]);
    fs::write(folder.path().join("file"), "").unwrap();
    let inside = folder.path().join("file/out");
    let out = inside.to_str().unwrap();
    let args = ["preproc", "--config"];
    let config = folder.path().join("small.toml");
    let done = tuner().args(args).arg(&config).args(["--out", out]).output().unwrap();
    assert_refused(&done, &["file/out"]);
    for sizes in ["0", "1,x", "", "-3"] {
        let done = preproc(folder.path(), "small.toml", &["--batch-sizes", sizes]);
        assert_eq!(done.status.code(), Some(1), "{sizes}: {}", stderr(&done));
    }
    fs::write(
        folder.path().join("made-up.toml"),
        "[dataset]\nkind = \"synthetic\"\nsamples = 10\nfields = [{ name = \"x\", shape = [4], \
         dtype = \"float32\" }]\n",
    )
    .unwrap();
    let done = preproc(folder.path(), "made-up.toml", &[]);
    assert_refused(&done, &["no transforms of images", "hint: it takes data of kind"]);
    let bad = walkdir::WalkDir::new(folder.path().join("train")).into_iter().map(Result::unwrap);
    for image in bad.filter(|entry| entry.file_type().is_file()) {
        if image.path().extension().is_some_and(|kind| kind == "JPEG") {
            fs::write(image.path(), b"no image").unwrap();
        }
    }
    refused(&[], &["no transform could be measured", "not an image"]);
}

#[test]
fn batches_are_mixed_as_the_configuration_says() {
    let folder = workspace(40);
    let text = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    let mixed = |table: &str| {
        let config = folder.path().join("mixed.toml");
        fs::write(&config, format!("{text}\n[[batch_transforms]]\n{table}\n")).unwrap();
        config
    };
    let show = |config: &Path, workers: &str| {
        let out = folder.path().join("out.safetensors");
        let mut show = tuner();
        show.args(["show-batch", "--quiet", "--num-workers", workers, "--config"]).arg(config);
        assert_success(&show.arg("--out").arg(&out).output().unwrap());
        fs::read(&out).unwrap()
    };
    for name in ["mix_up", "cut_mix"] {
        let config = mixed(&format!("{name} = {{ alpha = 1.0, num_classes = 1_000 }}"));
        let bytes = show(&config, "0");
        assert_eq!(show(&config, "2"), bytes);
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let labels = tensors.tensor("labels").unwrap();
        assert_eq!((labels.dtype(), labels.shape()), (Dtype::F32, &[8, 1_000][..]));
        let plain = show(&folder.path().join("small.toml"), "0");
        let plain = SafeTensors::deserialize(&plain).unwrap();
        let [images, plain] = [&tensors, &plain].map(|it| it.tensor("images").unwrap());
        assert_ne!(images.data(), plain.data());
    }
    for (table, part) in [
        ("mix_up = { alpha = 0.0, num_classes = 10 }", "`alpha`"),
        ("cut_mix = { alpha = 1.0, num_classes = 0 }", "`num_classes`"),
        ("mix = { alpha = 1.0, num_classes = 10 }", "`mix`"),
    ] {
        let bench = tuner().args(["bench", "--config"]).arg(mixed(table)).output().unwrap();
        assert_refused(&bench, &[part]);
    }
}

/// What `show-batch` writes: type, shape, values in units of 0 to 255, and the contact sheet.
struct Shown {
    dtype: Dtype,
    shape: Vec<usize>,
    values: Vec<f32>,
    sheet: RgbImage,
}

#[test]
fn every_type_and_layout_holds_the_same_picture() {
    let folder = workspace(40);
    let text = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    let normalize = "{ normalize = { mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] } },";
    let show = |dtype: &str, layout: &str| {
        let to_tensor =
            format!("{{ to_tensor = {{ dtype = \"{dtype}\", layout = \"{layout}\" }} }}");
        let config = folder.path().join("changed.toml");
        fs::write(&config, text.replace("\"to_tensor\"", &to_tensor).replace(normalize, ""))
            .unwrap();
        let bench =
            tuner().args(["bench", "--json", "--quiet", "--config"]).arg(&config).output().unwrap();
        assert_success(&bench);
        let (out, png) = (folder.path().join("out.safetensors"), folder.path().join("out.png"));
        let mut show = tuner();
        show.args(["show-batch", "--quiet", "--config"]).arg(&config);
        assert_success(&show.arg("--out").arg(&out).arg("--png").arg(&png).output().unwrap());
        let bytes = fs::read(&out).unwrap();
        let images = SafeTensors::deserialize(&bytes).unwrap().tensor("images").unwrap();
        let bytes = images.data();
        let values = match images.dtype() {
            Dtype::U8 => bytes.iter().map(|value| f32::from(*value)).collect(),
            // The upper half of a float.
            Dtype::BF16 => {
                let halves = bytes.as_chunks().0.iter().map(|it| u16::from_le_bytes(*it));
                halves.map(|it| 255.0 * f32::from_bits(u32::from(it) << 16)).collect()
            }
            _ => bytes.as_chunks().0.iter().map(|it| 255.0 * f32::from_le_bytes(*it)).collect(),
        };
        let shape = images.shape().to_vec();
        let sheet = image::open(&png).unwrap().to_rgb8();
        Shown { dtype: images.dtype(), shape, values, sheet }
    };
    let expected = show("uint8", "nchw");
    for (dtype, name, tolerance) in [
        (Dtype::U8, "uint8", 0.0),
        (Dtype::F32, "float32", 1e-3),
        // Eight bits of the value.
        (Dtype::BF16, "bfloat16", 0.5),
    ] {
        for layout in ["nchw", "channels_last"] {
            let shown = show(name, layout);
            assert_eq!((shown.dtype, &shown.shape), (dtype, &vec![8, 3, 32, 32]), "{layout}");
            for (value, expected) in shown.values.iter().zip(&expected.values) {
                assert!(
                    (value - expected).abs() <= tolerance,
                    "{name}, {layout}: {value} {expected}"
                );
            }
            let both = shown.sheet.as_raw().iter().zip(expected.sheet.as_raw());
            let most = both.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(most <= 1, "{name}, {layout}: {most}");
        }
    }
}
