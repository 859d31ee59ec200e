//! The commands `data make`, `bench` and `show-batch`, and what bad input gets, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{assert_refused, assert_success, stderr, stdout, tuner, workspace};
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
    refused("measure_s = 0.05", "measure_s = 30.0", &["`sweep.timeout_s`", "at least five times"]);
    refused("measure_s = 0.05", "timeout_s = 0.5", &["`sweep.timeout_s`", "from 1 to 86400"]);
    let no_pixels = "[dataset.decode]\nmax_pixels = 0\n[loader]";
    refused("[loader]", no_pixels, &["`decode`", "`max_pixels` is 0"]);
    refused("seed = 3", "seed = -3", &["line 18", "-3"]);
    refused("kind = \"image-folder\"", "kind = \"image-folders\"", &["image-folder"]);
    refused("\"to_tensor\",", "", &["`normalize` must come after `to_tensor`"]);
    refused("[loader]", "[loader", &["line 13"]);
    let root = folder.path().join("train").display().to_string();
    refused(&root, "/nowhere/at/all", &["/nowhere/at/all", "--root"]);

    let missing = tuner().args(["sweep", "--config", "no.toml"]).output().unwrap();
    assert_refused(&missing, &["`no.toml`", "hint: there is no such file"]);
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
    with(b"", &["empty", "hint: replace or remove"]);
    with(b"hello", &["not an image", "hint: replace, convert or remove"]);
    with(&good[..good.len() / 2], &["truncated", "hint: replace or remove"]);
    with(&good[..20], &["truncated"]);
    // Its header says 2^31 x 2^31 pixels.
    let side = [0x80, 0, 0, 0];
    let bomb = [&b"\x89PNG\r\n\x1a\n\0\0\0\x0DIHDR"[..], &side, &side, &[8, 2, 0, 0, 0]].concat();
    with(&bomb, &["2147483648x2147483648", "max_pixels"]);
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
fn only_files_are_images_and_links_do_not_lead_in_circles() {
    let folder = workspace(10);
    let train = folder.path().join("train");
    let class = fs::read_dir(&train).unwrap().map(|entry| entry.unwrap().path());
    let class = class.filter(|path| path.is_dir()).min().unwrap();
    let bench = || {
        let output = tuner()
            .args(["bench", "--batch-size", "1", "--num-workers", "1", "--json", "--config"])
            .arg(folder.path().join("small.toml"))
            .output();
        output.unwrap()
    };
    // Opening a pipe to which nobody writes would take for ever.
    let pipe = std::process::Command::new("mkfifo").arg(class.join("pipe.jpg")).status();
    assert!(pipe.unwrap().success());
    let output = bench();
    assert_success(&output);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["samples"], 10);

    symlink("..", class.join("loop")).unwrap();
    assert_refused(&bench(), &["loop", "hint: remove the link"]);
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
    let no_folder = show(&missing);
    assert_refused(&no_folder, &["cannot write", "x.safetensors", "hint: make its folder"]);
    assert!(!stderr(&no_folder).contains(".writing"), "{}", stderr(&no_folder));
    assert_refused(&show(folder.path()), &["hint: this is a folder"]);
    // Not even root may make files there.
    assert_refused(&show(Path::new("/proc/x.safetensors")), &["cannot write"]);
    let sweep = |out: &Path| {
        let config = folder.path().join("small.toml");
        tuner().arg("sweep").arg("--config").arg(config).arg("--out").arg(out).output().unwrap()
    };
    assert_refused(&sweep(Path::new("/proc/sweep")), &["/proc/sweep"]);
    let file = folder.path().join("small.toml");
    assert_refused(&sweep(&file), &["small.toml", "hint: a file is where a folder should be"]);
}

#[test]
fn what_is_refused_is_refused_before_data_is_made() {
    let folder = workspace(10);
    let root = folder.path().join("train").display().to_string();
    let missing = folder.path().join("missing");
    let stand_in = "[dataset.stand_in]\nkind = \"imagenet-like\"\nimages = 10\n[loader]";
    let config = changed_config(folder.path(), &root, &missing.display().to_string());
    let text = fs::read_to_string(&config).unwrap().replacen("[loader]", stand_in, 1);
    fs::write(&config, text).unwrap();
    let refused = |arguments: &[&str], parts: &[&str]| {
        let output = tuner().args(arguments).arg("--config").arg(&config).output().unwrap();
        assert_refused(&output, parts);
        assert!(!missing.exists(), "no data was made for `{}`", arguments.join(" "));
    };
    refused(&["bench", "--batch-size", "0"], &["`batch_size` is 0"]);
    refused(&["bench", "--num-workers", "99999"], &["`num_workers` is 99999", "0 to 1024"]);
    let decode = ["bench", "--decode-only", "--num-workers", "99999"];
    refused(&decode, &["`num_workers` is 99999", "0 to 1024"]);
    refused(&["show-batch", "--prefetch-depth", "0", "--out", "x"], &["`prefetch_depth` is 0"]);
    refused(&["show-batch", "--out", "/no/such/x.safetensors"], &["/no/such/x.safetensors"]);
    refused(&["sweep", "--out", "/proc/sweep"], &["/proc/sweep"]);
    let other = folder.path().join("other");
    refused(&["sweep", "--resume", "--out", other.to_str().unwrap()], &["no sweep to resume"]);
    fs::create_dir(&other).unwrap();
    fs::write(other.join("plan.json"), "{}").unwrap();
    refused(&["sweep", "--out", other.to_str().unwrap()], &["already holds a sweep"]);

    let made = tuner().args(["bench", "--batch-size", "2", "--config"]).arg(&config).output();
    assert_success(&made.unwrap());
    assert!(missing.exists());
}

#[test]
fn a_path_that_is_no_text_is_refused_where_text_is_needed() {
    let folder = workspace(10);
    let root = folder.path().join(OsStr::from_bytes(b"caf\xE9"));
    fs::rename(folder.path().join("train"), &root).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = tuner();
        command.args(arguments).arg("--config").arg(folder.path().join("small.toml"));
        command.arg("--root").arg(&root).output().unwrap()
    };
    assert_success(&run(&["bench", "--batch-size", "2"]));
    assert_refused(&run(&["sweep"]), &["`--root`", "not UTF-8", "hint: rename it"]);
}

#[test]
fn nobody_need_listen_to_stderr() {
    let folder = workspace(10);
    let full = || File::options().write(true).open("/dev/full").unwrap();
    // A note that the data is a stand-in and a warning that there is no GPU are lost.
    let config = changed_config(folder.path(), "[loader]", "[loader]\npin_memory = true");
    let mut bench = tuner();
    bench.args(["bench", "--batch-size", "2", "--config"]).arg(config).stderr(full());
    assert_success(&bench.output().unwrap());
    let mut refused = tuner();
    refused.args(["bench", "--config", "no.toml"]).stderr(full());
    assert_eq!(refused.output().unwrap().status.code(), Some(1));
}

#[test]
fn links_and_devices_stay_what_they_are() {
    let folder = workspace(20);
    let show = |out: &Path, png: &Path| {
        let config = folder.path().join("small.toml");
        let mut command = tuner();
        command.arg("show-batch").arg("--config").arg(config);
        command.arg("--out").arg(out).arg("--png").arg(png).output().unwrap()
    };
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("far")).unwrap();
    fs::write(path("far/old"), "old").unwrap();
    symlink("far/old", path("old")).unwrap();
    symlink("far/new", path("new")).unwrap();
    assert_success(&show(&path("old"), &path("new")));
    assert!(path("old").is_symlink() && path("new").is_symlink());
    assert!(SafeTensors::deserialize(&fs::read(path("far/old")).unwrap()).is_ok());
    assert!(fs::read(path("far/new")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(fs::read_dir(path("far")).unwrap().count(), 2, "nothing is left beside them");

    // Through links, so that a mistake here replaces a link and no device.
    symlink("/dev/null", path("null")).unwrap();
    symlink("/dev/full", path("full")).unwrap();
    assert_success(&show(&path("null"), &path("null")));
    assert!(path("null").is_symlink());
    let full = show(&path("full"), &path("sheet.png"));
    assert_refused(&full, &["full`", "No space left", "hint: make room"]);

    let twice = ["--out", "--png", "same file"];
    assert_refused(&show(&path("x"), &path("far/../x")), &twice);
    assert_refused(&show(&path("old"), &path("far/old")), &twice);
    assert!(!path("x").exists());
}

#[test]
fn more_batches_than_an_epoch_has_are_refused() {
    let folder = workspace(20);
    let show = |batches: &str| {
        let output = tuner()
            .args(["show-batch", "--batches", batches, "--batch-size", "9", "--config"])
            .arg(folder.path().join("small.toml"))
            .arg("--out")
            .arg(folder.path().join("x"))
            .output();
        output.unwrap()
    };
    assert_refused(&show("3"), &["`--batches` is 3", "an epoch has 2 of 9"]);
    assert!(!folder.path().join("x").exists());
    assert_success(&show("2"));
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

#[test]
fn the_program_finds_libtorch_through_the_link() {
    // Not where the link led when it was built: `scripts/libtorch` may change that any time.
    let library = Path::new(env!("LIBTORCH")).join("lib").display().to_string();
    let program = fs::read(env!("CARGO_BIN_EXE_tuner")).unwrap();
    let mut strings = program.split(|byte| *byte == 0);
    assert!(strings.any(|string| string.split(|b| *b == b':').any(|p| p == library.as_bytes())));
}
