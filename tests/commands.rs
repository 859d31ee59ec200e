//! The commands `data make`, `bench` and `show-batch`, and what bad input gets, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{assert_refused, assert_success, repository, stderr, stdout, tuner, workspace};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The configuration in a [`workspace`] with `from` replaced by `to`, in a file of its own.
fn changed_config(folder: &Path, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(folder.join("small.toml")).unwrap();
    assert!(text.contains(from), "`{from}` is not in the configuration");
    let path = folder.join("changed.toml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

/// Path below `root` and content of every file.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_same_seed_makes_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let make = |out: &str, seed: &str, threads: &str| {
        let made = tuner()
            .args(["data", "make", "imagenet-like", "--images", "40", "--json"])
            .args(["--seed", seed, "--out"])
            .arg(folder.path().join(out))
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert_success(&made);
        let report: Value = serde_json::from_str(&stdout(&made)).unwrap();
        assert_eq!(report["images"], 40);
        tree(&folder.path().join(out))
    };
    let one = make("one", "5", "1");
    assert_eq!(one, make("two", "5", "2"));
    assert_ne!(one, make("other", "6", "2"));

    let again = tuner()
        .args(["data", "make", "imagenet-like", "--images", "40", "--out"])
        .arg(folder.path().join("one"))
        .output()
        .unwrap();
    assert_refused(&again, &["one"]);
    assert_eq!(one, tree(&folder.path().join("one")));
}

#[test]
fn bench_prints_the_documented_keys() {
    let folder = workspace(40);
    let config = folder.path().join("small.toml");
    let output = tuner()
        .args(["bench", "--batch-size", "8", "--num-workers", "2", "--prefetch-depth", "3"])
        .args(["--epochs", "2", "--json", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_success(&output);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1);
    let report: Value = serde_json::from_str(&text).unwrap();
    for key in ["samples_per_s", "batches_per_s", "first_batch_s", "wall_s", "cpu_s"] {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(report["samples"], 80);
    assert_eq!(report["batch_size"], 8);
    assert_eq!(report["num_workers"], 2);
    assert_eq!(report["prefetch_depth"], 3);
    assert_eq!(report["pin_memory"], false);
    assert_eq!(report["libtorch"], "2.11.0");
    assert!(report["peak_rss_bytes"].as_u64().unwrap() > 10 << 20);
    for stage in ["read_s", "decode_s", "transform_s", "write_s"] {
        assert!(report["stages"][stage].as_f64().unwrap() > 0.0, "{stage}");
    }
}

#[test]
fn bench_decodes_alone() {
    let folder = workspace(20);
    let output = tuner()
        .args(["bench", "--decode-only", "--num-workers", "2", "--json", "--config"])
        .arg(folder.path().join("small.toml"))
        .output()
        .unwrap();
    assert_success(&output);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["samples"], 20);
    assert_eq!(report["num_workers"], 2);
    assert!(report["samples_per_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn show_batch_writes_what_training_gets_whatever_the_workers() {
    let folder = workspace(40);
    let show = |workers: &str, depth: &str| {
        let out = folder.path().join(format!("batch-{workers}-{depth}.safetensors"));
        let output = tuner()
            .args(["show-batch", "--batches", "2", "--num-workers", workers])
            .args(["--prefetch-depth", depth, "--config"])
            .arg(folder.path().join("small.toml"))
            .arg("--out")
            .arg(&out)
            .arg("--png")
            .arg(out.with_extension("png"))
            .output()
            .unwrap();
        assert_success(&output);
        (fs::read(&out).unwrap(), image::open(out.with_extension("png")).unwrap())
    };
    let (bytes, sheet) = show("0", "1");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let images = tensors.tensor("images").unwrap();
    assert_eq!((images.dtype(), images.shape()), (Dtype::F32, &[16, 3, 32, 32][..]));
    for name in ["labels", "indices"] {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::I64, &[16][..]));
    }
    assert_eq!((sheet.width(), sheet.height()), (8 * 36 + 4, 2 * 36 + 4));
    for (workers, depth) in [("1", "1"), ("2", "3"), ("5", "2")] {
        assert!(show(workers, depth).0 == bytes, "{workers} workers, depth {depth}");
    }
}

#[test]
fn a_config_that_makes_no_sense_is_refused() {
    let folder = workspace(10);
    let refused = |from: &str, to: &str, parts: &[&str]| {
        let config = changed_config(folder.path(), from, to);
        let out = folder.path().join("sweep");
        let output =
            tuner().arg("sweep").arg("--config").arg(config).arg("--out").arg(&out).output();
        assert_refused(&output.unwrap(), parts);
        assert!(!out.exists(), "nothing is written");
    };
    refused("repeats = 2", "repeat = 2", &["line 2", "`repeat`", "did you mean `repeats`?"]);
    refused("[sweep]", "[sweeps]", &["`sweeps`", "did you mean `sweep`?"]);
    refused("horizontal_flip", "horizontal_flop", &["did you mean `horizontal_flip`?"]);
    refused("size = 32", "size = 0", &["`random_resized_crop`", "`size`"]);
    refused("batch_size = [4, 8]", "batch_size = [0]", &["`sweep.batch_size`", "1 to 16777216"]);
    refused("batch_size = [4, 8]", "batch_size = []", &["`sweep.batch_size`"]);
    refused("measure_s = 0.05", "measure_s = nan", &["`sweep.measure_s`"]);
    refused("batch_size = [4, 8]", "batch_size = [4, 11]", &["batch_size", "11", "drop_last"]);
    refused("seed = 3", "seed = -3", &["line 18", "-3"]);
    refused("kind = \"image-folder\"", "kind = \"image-folders\"", &["image-folder"]);
    refused("\"to_tensor\",", "", &["`normalize` must come after `to_tensor`"]);
    refused("[loader]", "[loader", &["line 13"]);
    let root = folder.path().join("train").display().to_string();
    refused(&root, "/nowhere/at/all", &["/nowhere/at/all", "--root"]);

    let missing = tuner().args(["sweep", "--config", "no.toml"]).output().unwrap();
    assert_refused(&missing, &["`no.toml`"]);
    let flag = tuner().args(["sweep", "--confg", "x"]).output().unwrap();
    assert_refused(&flag, &["--config"]);
}

#[test]
fn data_that_cannot_be_used_is_named() {
    let folder = workspace(10);
    let config = folder.path().join("small.toml");
    let bench = |root: &Path| {
        let output = tuner()
            .args(["bench", "--batch-size", "1", "--quiet", "--config"])
            .arg(&config)
            .arg("--root")
            .arg(root)
            .output();
        output.unwrap()
    };
    let data = folder.path().join("data");
    assert_refused(&bench(&data), &["no data in", "data"]);
    fs::create_dir(&data).unwrap();
    assert_refused(&bench(&data), &["no class folders"]);
    let class = data.join("cat");
    fs::create_dir(&class).unwrap();
    assert_refused(&bench(&data), &["no images in", "cat"]);

    let good = walkdir::WalkDir::new(folder.path().join("train"))
        .into_iter()
        .map(Result::unwrap)
        .find(|entry| entry.path().extension().is_some_and(|e| e == "JPEG"))
        .unwrap();
    let good = fs::read(good.path()).unwrap();
    let file = class.join("one.jpg");
    let with = |bytes: &[u8], parts: &[&str]| {
        fs::write(&file, bytes).unwrap();
        assert_refused(&bench(&data), &[&["one.jpg", "sample 0"], parts].concat());
    };
    with(b"", &["empty"]);
    with(b"hello", &["not an image"]);
    with(&good[..good.len() / 2], &["truncated"]);
    with(&good[..20], &["truncated"]);
    fs::write(&file, &good).unwrap();
    assert_success(&bench(&data));

    let decode = tuner()
        .args(["bench", "--decode-only", "--quiet", "--config"])
        .arg(changed_config(
            folder.path(),
            "[loader]",
            "[dataset.decode]\nmax_pixels = 100\n[loader]",
        ))
        .output()
        .unwrap();
    assert_refused(&decode, &["JPEG", "limit of 100", "max_pixels"]);
}

#[test]
fn nothing_is_left_where_nothing_can_be_written() {
    let folder = workspace(10);
    let show = |out: &Path| {
        tuner()
            .args(["show-batch", "--config"])
            .arg(folder.path().join("small.toml"))
            .arg("--out")
            .arg(out)
            .output()
            .unwrap()
    };
    let missing = folder.path().join("no/such/folder/x.safetensors");
    assert_refused(&show(&missing), &["cannot write", "x.safetensors"]);
    // Not even root may make files there.
    assert_refused(&show(Path::new("/proc/x.safetensors")), &["cannot write"]);
    let sweep = tuner()
        .args(["sweep", "--out", "/proc/sweep", "--config"])
        .arg(folder.path().join("small.toml"))
        .output()
        .unwrap();
    assert_refused(&sweep, &["/proc/sweep"]);
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["sweep", "--help"], &["--version"]] {
        let output = tuner().args(arguments).output().unwrap();
        assert_success(&output);
        assert!(stderr(&output).is_empty());
        assert!(stdout(&output).contains("tuner"));
    }
}

#[test]
fn the_readme_shows_the_training_example_as_it_is() {
    let example = fs::read_to_string(repository().join("crates/loader/examples/train.rs")).unwrap();
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.contains(example.trim()), "copy crates/loader/examples/train.rs to README.md");
    assert!(example.lines().count() <= 80);
}

/// A configuration of `dataset` that loads all of it in batches of `batch_size`.
fn config_of(folder: &Path, dataset: &str, batch_size: usize) -> PathBuf {
    let path = folder.join("config.toml");
    let loader = format!("[loader]\nbatch_size = {batch_size}\nnum_workers = 1\n");
    fs::write(&path, format!("[dataset]\n{dataset}\n{loader}")).unwrap();
    path
}

#[test]
fn every_kind_of_data_is_measured_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.safetensors");
    let shown = |dataset: &str, batch_size: usize| {
        let config = config_of(folder.path(), dataset, batch_size);
        let bench = tuner().args(["bench", "--json", "--quiet", "--config"]).arg(&config).output();
        let bench = bench.unwrap();
        assert_success(&bench);
        let report: serde_json::Value = serde_json::from_slice(&bench.stdout).unwrap();
        assert!(report["samples"].as_u64().unwrap() >= batch_size as u64, "{report}");
        let show = tuner()
            .args(["show-batch", "--json", "--quiet", "--config"])
            .arg(&config)
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        assert_success(&show);
        let bytes = fs::read(&out).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let mut shapes: Vec<_> = tensors
            .iter()
            .map(|(name, tensor)| format!("{name} {:?} {:?}", tensor.dtype(), tensor.shape()))
            .collect();
        shapes.sort_unstable();
        shapes
    };
    let root = |name: &str| format!("root = \"tests/reference/arrays/{name}\"");
    let cifar10 = shown(
        &format!(
            "kind = \"cifar10\"\n{}\nto_float32.images = {{ mean = [0.5, 0.4, 0.3] }}",
            root("cifar-10-batches-bin")
        ),
        5,
    );
    assert_eq!(cifar10, ["images F32 [5, 3, 32, 32]", "indices I64 [5]", "labels I64 [5]"]);
    let cifar100 = format!("kind = \"cifar100\"\n{}\nsplit = \"test\"", root("cifar-100-binary"));
    assert_eq!(
        shown(&cifar100, 1),
        ["coarse_labels I64 [1]", "images U8 [1, 3, 32, 32]", "indices I64 [1]", "labels I64 [1]"]
    );
    let mnist = shown(&format!("kind = \"mnist\"\n{}", root("mnist")), 3);
    assert_eq!(mnist, ["images U8 [3, 1, 28, 28]", "indices I64 [3]", "labels I64 [3]"]);
    let npy = format!(
        "kind = \"npy\"\n{}\nfiles = {{ a = \"int16.npy\", b = \"bool.npy\" }}\n\
         to_float32 = {{ a = {{ scale = 0.5 }} }}",
        root("npy")
    );
    assert_eq!(shown(&npy, 4), ["a F32 [4, 2, 3]", "b BOOL [4, 2, 3]", "indices I64 [4]"]);
    let tensors = format!(
        "kind = \"safetensors\"\n{}\nfile = \"all.safetensors\"\nnames = [\"bfloat16\"]",
        root("")
    );
    assert_eq!(shown(&tensors, 4), ["bfloat16 BF16 [4, 2, 3]", "indices I64 [4]"]);
    let tokens = format!(
        "kind = \"tokens\"\n{}\nfile = \"tokens_u32.bin\"\nwidth = \"u32\"\nlength = 20\n\
         stride = 10",
        root("")
    );
    assert_eq!(shown(&tokens, 8), ["indices I64 [8]", "inputs I64 [8, 20]", "targets I64 [8, 20]"]);
    let transforms =
        "transforms = [\"decode\", { random_resized_crop = { size = 32 } }, \"to_tensor\"]";
    let images = ["images F32 [8, 3, 32, 32]", "indices I64 [8]", "labels I64 [8]"];
    let shards = "root = \"tests/reference/shards/train-{000000..000001}.tar\"";
    let tar = format!("kind = \"tar\"\n{shards}\njson_label = \"meta.a.b\"\n{transforms}");
    assert_eq!(shown(&tar, 8), images);
    let table = "root = \"tests/reference/shards/images-huggingface.parquet\"";
    assert_eq!(shown(&format!("kind = \"parquet\"\n{table}\n{transforms}"), 8), images);
    let synthetic = "kind = \"synthetic\"\nsamples = 10\ncpu_s = 0.0001\nio_delay_s = 0.001\n\
                     fields = [{ name = \"x\", shape = [2], dtype = \"float16\" }, \
                     { name = \"y\", dtype = \"int64\" }]";
    assert_eq!(shown(synthetic, 10), ["indices I64 [10]", "x F16 [10, 2]", "y I64 [10]"]);
}

#[test]
fn a_key_of_another_kind_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |dataset: &str, args: &[&str], parts: &[&str]| {
        let config = config_of(folder.path(), dataset, 1);
        let bench = tuner().args(["bench", "--quiet", "--config"]).arg(&config).args(args).output();
        assert_refused(&bench.unwrap(), parts);
    };
    let mnist = "kind = \"mnist\"\nroot = \"tests/reference/arrays/mnist\"\n";
    refused(&format!("{mnist}length = 3"), &[], &["line 4", "`length`", "`to_float32`"]);
    refused(&format!("{mnist}splitt = \"test\""), &[], &["line 4", "did you mean `split`?"]);
    refused(&format!("{mnist}split = \"tes\""), &[], &["line 4", "`test`"]);
    refused(&format!("{mnist}to_float32.image = {{}}"), &[], &["no array `image`", "images"]);
    refused(&format!("{mnist}to_float32.images.mean = [1, 2]"), &[], &["`mean`", "2 values"]);
    refused("kind = \"tokens\"\nroot = \".\"\nfile = \"x\"", &[], &["`length`"]);
    refused("root = \".\"", &[], &["line 1", "`kind`"]);
    let tar = "kind = \"tar\"\nroot = \"nowhere/{0..3}.tar\"\ntransforms = ";
    refused(&format!("{tar}[]"), &[], &["`decode` must be the first"]);
    let transforms = "[\"decode\", { random_resized_crop = { size = 8 } }, \"to_tensor\"]";
    refused(&format!("{tar}{transforms}"), &[], &["`nowhere/0.tar`, the first of 4 of 4"]);
    refused("kind = \"cifar11\"", &[], &["line 2", "did you mean `cifar10`?"]);
    let synthetic = "kind = \"synthetic\"\nsamples = 1\nfields = []";
    refused(synthetic, &["--root", "x"], &["`root`", "no folder"]);
    refused(&format!("{synthetic}\ncpu_s = -1.0"), &[], &["`dataset.cpu_s`"]);
    refused(mnist, &["--decode-only"], &["no files to decode", "`image-folder`"]);
    refused(mnist, &["--root", "/nowhere/at/all"], &["no data in", "`--root`"]);
}

#[test]
fn cifar10_has_a_stand_in_that_is_named_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("made");
    let dataset = format!(
        "kind = \"cifar10\"\nroot = \"{}\"\nstand_in = {{ kind = \"cifar10-like\", seed = 3 }}",
        root.display()
    );
    let config = config_of(folder.path(), &dataset, 16);
    for what in ["making a stand-in there", "is a stand-in, 50000 images of random pixels"] {
        let png = folder.path().join("sheet.png");
        let show = tuner()
            .args(["show-batch", "--config"])
            .arg(&config)
            .arg("--out")
            .arg(folder.path().join("out.safetensors"))
            .arg("--png")
            .arg(&png)
            .output()
            .unwrap();
        assert_success(&show);
        assert!(stderr(&show).contains(what), "{}", stderr(&show));
        assert!(fs::metadata(png).unwrap().len() > 0);
    }
}
