//! A whole sweep: its files, its data, its plan.

use std::fs;
use std::path::Path;

use loader::{ImageFolder, Loader};
use preproc::Compose;
use serde_json::Value;
use tch::{Device, nn, nn::OptimizerConfig};
use tuner::Config;
use tuner::config::DatasetConfig;
use tuner::sweep::fingerprint::DataTable;

use crate::common::{assert_success, stderr, stdout, tuner, workspace};
use crate::{edit, some_image, summary, sweep, trials};

#[test]
fn a_sweep_ends_in_settings_that_a_training_program_loads() {
    let folder = workspace(60);
    let out = folder.path().join("out");
    let output = sweep(folder.path(), "out", &["--json", "--measure-s", "0.2"]).output().unwrap();
    assert_success(&output);
    let mut summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary.as_object_mut().unwrap().remove("out"), Some(out.to_str().into()));
    assert_eq!(summary, crate::summary(&out));

    // Two batch sizes, each without workers and with 2 at two depths; two repeats.
    let trials = trials(&out);
    assert_eq!(trials.len(), 12);
    let mut measured = 0;
    for trial in &trials {
        assert_eq!(trial["status"], "ok");
        assert_eq!(trial["error"], Value::Null);
        assert_eq!(trial["gpu_mean_bytes"], Value::Null);
        for key in ["samples_per_s", "batches_per_s", "first_batch_s", "cpu_percent"] {
            assert!(trial[key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert!(trial["rss_peak_bytes"].as_u64() >= trial["rss_mean_bytes"].as_u64());
        let terms = trial["score_terms"].as_object().unwrap();
        let sum: f64 = terms.values().filter_map(Value::as_f64).sum();
        assert!((sum - trial["score"].as_f64().unwrap()).abs() < 1e-9);
        let batches = 10.0 * trial["batches_per_s"].as_f64().unwrap();
        assert!((terms["batches"].as_f64().unwrap() - batches).abs() < 1e-9);
        // A machine that stands still for a while takes no samples.
        let timeline = &trial["timeline"];
        if timeline.is_null() {
            continue;
        }
        let column = |name: &str| timeline[name].as_array().map_or(0, Vec::len);
        let points = column("at_s");
        assert!((2..=40).contains(&points), "{trial}");
        let columns = ["samples_per_s", "cpu_percent", "rss_bytes"];
        assert!(columns.iter().all(|name| column(name) == points), "{timeline}");
        let [begin, end] = ["warmup_s", "wall_s"].map(|key| trial[key].as_f64().unwrap());
        let last = timeline["at_s"][points - 1].as_f64().unwrap();
        assert!(last <= begin + end + 1e-3, "{timeline}");
        measured += usize::from(begin < last);
    }
    assert!(measured > 0);
    // In the sweep's own time, one after the other.
    let started = trials.iter().map(|trial| trial["started_s"].as_f64().unwrap());
    let ends = trials.iter().map(|trial| trial["duration_s"].as_f64().unwrap());
    let spans: Vec<(f64, f64)> = started.zip(ends).collect();
    assert!(spans.windows(2).all(|pair| pair[1].0 >= pair[0].0 + pair[0].1 - 1e-9), "{spans:?}");
    assert_eq!(summary["cells"].as_array().unwrap().len(), 6);

    // All parts of the way but the copies to a GPU are there, and the settings beside the lowest.
    let ceilings = summary["ceilings"].as_array().unwrap();
    let rate = |part: &str| {
        let of_part = ceilings.iter().find(|ceiling| ceiling["part"] == part).unwrap();
        of_part["samples_per_s"].as_f64()
    };
    let parts = ["read", "decode", "transform", "work", "memory"];
    let lowest = parts.map(|part| rate(part).unwrap()).into_iter().fold(f64::INFINITY, f64::min);
    assert_eq!(rate("host-to-device"), None);
    for cell in summary["cells"].as_array().unwrap() {
        let share = cell["samples_per_s"]["median"].as_f64().unwrap() / lowest;
        assert!((cell["ceiling_share"].as_f64().unwrap() - share).abs() < 1e-9);
    }

    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(
        report.contains("## Ceilings")
            && report.contains("heatmap.png")
            && !report.contains("Z UTC")
    );
    let starred = |line: &str| line.starts_with('|') && line.contains("* ");
    // In the table of batch sizes, in that of all, and maybe in that of the Pareto front.
    let on_front = summary["pareto"].as_array().unwrap().contains(&summary["recommended"]);
    let stars = 2 + usize::from(on_front);
    assert_eq!(report.lines().filter(|line| starred(line)).count(), stars, "{report}");
    let settings = fs::read_to_string(out.join("recommended.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    assert_eq!(settings["sweep"]["config_hash"].as_str().map(str::len), Some(64));
    assert_eq!(settings["sweep"]["seed"].as_integer(), Some(0));
    for name in ["heatmap", "pareto", "stages", "timeline", "drift"] {
        let picture = image::open(out.join(format!("{name}.png"))).unwrap();
        assert!(picture.width() > 400 && picture.height() > 200, "{name}");
        let svg = fs::read_to_string(out.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg"), "{name}");
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("<h1>Use batch size") && page.contains("recommended.toml"));
    let lines = |name: &str| fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!((lines("cells.csv"), lines("trials.csv")), (1 + 6, 1 + 12));

    let config = Config::read(&folder.path().join("small.toml")).unwrap();
    let settings = out.join("recommended.toml");
    let open = || {
        let DatasetConfig::ImageFolder(folder) = &config.dataset else { panic!("{config:?}") };
        let compose = Compose::new(folder.transforms.clone(), Default::default()).unwrap();
        ImageFolder::open(&folder.root, compose).unwrap()
    };
    let classes = open().classes().len() as i64;
    let mut loader = Loader::from_settings(&settings, open()).unwrap().build().unwrap();
    let recommended = &summary["recommended"];
    assert_eq!(recommended["batch_size"], loader.settings().batch_size);
    assert_eq!(recommended["num_workers"], loader.settings().num_workers);
    assert!(loader.settings().shuffle);
    assert_eq!(loader.settings().seed, 3);
    train(&mut loader, classes);

    // Each batch size has a row of its own, which the loader takes.
    let other = Loader::from_settings(&settings, open()).unwrap().batch_size(8).build().unwrap();
    assert_eq!(other.settings().batch_size, 8);
}

/// Three epochs of a linear model: the loss falls.
fn train(loader: &mut Loader, classes: i64) {
    tch::manual_seed(0);
    let store = nn::VarStore::new(Device::Cpu);
    let model = nn::linear(store.root(), 3 * 32 * 32, classes, Default::default());
    let mut optimizer = nn::Adam::default().build(&store, 1e-3).unwrap();
    let mut losses = Vec::new();
    for epoch in 0..3 {
        let mut sum = 0.0;
        for batch in loader.epoch(epoch) {
            let batch = batch.unwrap();
            let loss = batch["images"]
                .flatten(1, -1)
                .apply(&model)
                .cross_entropy_for_logits(&batch["labels"]);
            optimizer.backward_step(&loss);
            sum += loss.double_value(&[]);
        }
        losses.push(sum);
    }
    assert!(losses[2] < losses[0], "{losses:?}");
}

/// The samples a second of each run, by setting and block: of the default's turns, of its own as measured,
/// and those that the summary has of it.
fn rates(out: &Path) -> Vec<(Option<f64>, f64, f64)> {
    let summary = summary(out);
    let of_trial = |trial: &Value| {
        let of_setting = |cell: &&Value| {
            let same = |key: &str| cell[key] == trial[key];
            ["batch_size", "num_workers", "prefetch_depth"].into_iter().all(same)
        };
        let cell = summary["cells"].as_array().unwrap().iter().find(of_setting).unwrap();
        let block = trial["repeat"].as_u64().unwrap() as usize;
        (
            trial["reference_samples_per_s"].as_f64(),
            trial["samples_per_s"].as_f64().unwrap(),
            cell["trial_rates"][block].as_f64().unwrap(),
        )
    };
    trials(out).iter().map(of_trial).collect()
}

#[test]
fn runs_take_turns_with_the_default_and_count_at_the_usual_speed() {
    let folder = workspace(30);
    let few = ["--batch-size", "4", "--turn-s", "0.02"];
    assert_success(&sweep(folder.path(), "in-turn", &few).output().unwrap());
    let in_turn = rates(&folder.path().join("in-turn"));
    let references: Vec<f64> = in_turn.iter().map(|(reference, ..)| reference.unwrap()).collect();
    let usual = profiler::statistics::median(&references).unwrap();
    for (reference, measured, taken) in in_turn {
        assert!((taken / (measured * usual / reference.unwrap()) - 1.0).abs() < 1e-9);
    }
    let report = fs::read_to_string(folder.path().join("in-turn/report.md")).unwrap();
    assert!(report.contains("in turns of 0.02 s with the default"), "{report}");

    let alone = ["--batch-size", "4", "--turn-s", "0"];
    assert_success(&sweep(folder.path(), "alone", &alone).output().unwrap());
    for (reference, measured, taken) in rates(&folder.path().join("alone")) {
        assert_eq!((reference, measured), (None, taken));
    }
    let report = fs::read_to_string(folder.path().join("alone/report.md")).unwrap();
    assert!(!report.contains("in turns"), "{report}");
}

#[test]
fn pinning_that_has_no_effect_is_said_once() {
    let folder = workspace(20);
    edit(folder.path(), "[loader]", "[loader]\npin_memory = true");
    let output = sweep(folder.path(), "out", &["--batch-size", "4", "--repeats", "1"]);
    let output = { output }.output().unwrap();
    assert_success(&output);
    let pinned = trials(&folder.path().join("out"))[0]["pin_memory"] == true;
    let warnings = stderr(&output).matches("`pin_memory = true` has no effect").count();
    assert_eq!(warnings, usize::from(!pinned), "{}", stderr(&output));
}

/// The table that a sweep has for the data at `root` with `config`.
fn data_table(config: &Config, root: &Path) -> DataTable {
    let mut config = config.clone();
    config.dataset.set_root(root.to_owned()).unwrap();
    DataTable::new(&config, &tuner::dataset::open(&config).unwrap()).unwrap()
}

#[test]
fn other_data_has_another_fingerprint() {
    let (folder, other) = (workspace(20), tempfile::tempdir().unwrap());
    let root = folder.path().join("train");
    let config = Config::read(&folder.path().join("small.toml")).unwrap();
    let print = || data_table(&config, &root).fingerprint;
    let before = print();
    assert_eq!(print(), before);

    // It does not depend on where the data lies.
    let moved = other.path().join("elsewhere");
    fs::rename(&root, &moved).unwrap();
    assert_eq!(data_table(&config, &moved).fingerprint, before);
    fs::rename(&moved, &root).unwrap();

    // The names of seed 8 are those of seed 7; the files are not.
    let made = tuner()
        .args(["data", "make", "imagenet-like", "--quiet", "--seed", "8", "--images", "20"])
        .arg("--out")
        .arg(&moved)
        .output()
        .unwrap();
    assert_success(&made);
    assert_ne!(data_table(&config, &moved).fingerprint, before);

    let mut changed = config.clone();
    let DatasetConfig::ImageFolder(images) = &mut changed.dataset else { panic!("{changed:?}") };
    images.decode.max_pixels -= 1;
    assert_ne!(data_table(&changed, &root).fingerprint, before);

    let image = some_image(folder.path());
    fs::rename(&image, image.with_file_name("renamed.jpg")).unwrap();
    assert_ne!(print(), before);
    fs::rename(image.with_file_name("renamed.jpg"), &image).unwrap();
    assert_eq!(print(), before);
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, [&bytes[..], b"more"].concat()).unwrap();
    assert_ne!(print(), before);
}

#[test]
fn a_dry_run_says_what_would_be_run_and_writes_nothing() {
    let folder = workspace(20);
    let dry = |more: &[&str]| {
        let mut command = tuner();
        command.current_dir(folder.path()).args(["sweep", "--config", "small.toml", "--dry-run"]);
        command.args(more).output().unwrap()
    };
    let output = dry(&["--json", "--max-repeats", "4", "--confirm", "3"]);
    assert_success(&output);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // Six settings, two to four times, and pairs to confirm the best.
    assert_eq!(plan["processes"], serde_json::json!([12, 24 + 6]));
    let settings = plan["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 6);
    for setting in settings {
        for key in ["predicted_s", "predicted_bytes", "predicted_samples_per_s"] {
            assert!(setting[key].as_f64().unwrap() > 0.0, "{key}: {setting}");
        }
        assert_eq!(setting["skipped"], Value::Null);
    }
    let [short, long] = [0, 1].map(|at| plan["predicted_s"][at].as_f64().unwrap());
    assert!(0.0 < short && short < long);

    let output = dry(&["--strategy", "model"]);
    assert_success(&output);
    assert!(stdout(&output).contains("Nothing was written"), "{}", stdout(&output));
    assert!(!folder.path().join("sweeps").exists());
}
