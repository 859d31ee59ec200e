//! `recommended.toml`, written by a sweep or by hand.

use std::path::PathBuf;

use loader::settings::{BatchSizeSettings, MachineTable, SCHEMA, SettingsFile};
use loader::{Loader, LoaderBuilder, Settings};

use crate::common::{chain, numbers, warnings_of};

/// A folder with a settings file in it, gone when dropped.
struct OnDisk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn on_disk(text: &str) -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recommended.toml");
    std::fs::write(&path, text).unwrap();
    OnDisk { _folder: folder, path }
}

/// The settings in effect after `change`, and the warnings.
fn in_effect(
    text: &str,
    change: impl FnOnce(loader::LoaderBuilder) -> loader::LoaderBuilder,
) -> (Settings, String) {
    let file = on_disk(text);
    warnings_of(|| {
        let builder = Loader::from_settings(&file.path, numbers(1000)).unwrap();
        change(builder).build().unwrap().settings().clone()
    })
}

/// The error of reading a file with this text.
fn error(text: &str) -> String {
    let file = on_disk(text);
    let error = SettingsFile::read(&file.path).unwrap_err();
    let display = error.to_string();
    assert!(display.contains(&*file.path.to_string_lossy()), "the file is named: {display}");
    let text = chain(&error);
    let first = text.lines().last().unwrap();
    assert_eq!(text.matches(first).count(), 1, "said once: {text}");
    text
}

const SWEPT: &str = "
    schema = 1
    [loader]
    batch_size = 64
    num_workers = 2
    prefetch_depth = 3
    pin_memory = false
    shuffle = true
    seed = 9
    [[by_batch_size]]
    batch_size = 16
    num_workers = 1
    prefetch_depth = 4
    pin_memory = false
    samples_per_s = 900.0
    score = 40.0
    [[by_batch_size]]
    batch_size = 64
    num_workers = 2
    prefetch_depth = 3
    pin_memory = false
    samples_per_s = 1100.0
    score = 50.0
";

#[test]
fn what_is_written_is_read_again() {
    let mut evidence = toml::Table::new();
    evidence.insert("samples_per_s".into(), 1234.5.into());
    let file = SettingsFile {
        schema: SCHEMA,
        loader: Settings { batch_size: 64, seed: 3, shuffle: true, ..Settings::default() },
        by_batch_size: vec![BatchSizeSettings {
            batch_size: 64,
            num_workers: 2,
            prefetch_depth: 2,
            pin_memory: true,
            samples_per_s: 1234.5,
            score: 77.25,
        }],
        evidence: evidence.clone(),
        machine: Some(MachineTable::here()),
        data: evidence.clone(),
        sweep: evidence,
    };
    let written = on_disk(&toml::to_string(&file).unwrap());
    assert_eq!(SettingsFile::read(&written.path).unwrap(), file);
    // Measured here, read here: nothing to warn of.
    let (_, warnings) = warnings_of(|| Loader::from_settings(&written.path, numbers(1)).unwrap());
    assert_eq!(warnings, "");
}

#[test]
fn a_file_written_by_hand_needs_little() {
    let (settings, warnings) =
        in_effect("schema = 1\n[loader]\nbatch_size = 8\nnum_workers = 1\n", |builder| builder);
    assert_eq!(settings, Settings { batch_size: 8, num_workers: 1, ..Settings::default() });
    assert_eq!(warnings, "");
    let (settings, _) = in_effect("schema = 1\n[loader]\n", |builder| builder);
    assert_eq!(settings, Settings::default());
}

#[test]
fn settings_for_a_batch_size_are_taken_from_its_row() {
    let (settings, warnings) = in_effect(SWEPT, |builder| builder);
    assert_eq!((settings.batch_size, settings.num_workers, settings.prefetch_depth), (64, 2, 3));
    assert!(settings.shuffle && settings.seed == 9);
    assert_eq!(warnings, "");

    let (settings, warnings) = in_effect(SWEPT, |builder| builder.batch_size(16));
    assert_eq!((settings.batch_size, settings.num_workers, settings.prefetch_depth), (16, 1, 4));
    assert!(settings.shuffle && settings.seed == 9);
    assert_eq!(warnings, "");
}

#[test]
fn without_a_row_the_nearest_is_taken_with_a_warning() {
    for (batch_size, row) in [(1, 16), (24, 16), (40, 64), (500, 64)] {
        let (settings, warnings) = in_effect(SWEPT, |builder| builder.batch_size(batch_size));
        assert_eq!(settings.batch_size, batch_size);
        assert_eq!(settings.num_workers, if row == 16 { 1 } else { 2 });
        let text = format!("for batch size {batch_size}: taking those for {row}");
        assert!(warnings.contains("WARN") && warnings.contains(&text), "{warnings}");
    }
}

#[test]
fn the_loader_tables_own_batch_size_needs_no_row() {
    let text = SWEPT.replacen("batch_size = 64", "batch_size = 48", 1);
    let (settings, warnings) = in_effect(&text, |builder| builder.batch_size(48).prefetch_depth(1));
    assert_eq!((settings.num_workers, settings.prefetch_depth), (2, 1));
    assert_eq!(warnings, "");
}

#[test]
fn what_is_set_by_hand_wins_in_any_order() {
    let (first, _) = in_effect(SWEPT, |b| b.num_workers(3).prefetch_depth(7).batch_size(16));
    let (last, _) = in_effect(SWEPT, |b| b.batch_size(16).prefetch_depth(7).num_workers(3));
    assert_eq!((first.num_workers, first.prefetch_depth), (3, 7));
    assert_eq!(first, last);
    let (settings, _) = in_effect(SWEPT, |b| b.shuffle(false).seed(1).drop_last(true));
    assert!(!settings.shuffle && settings.drop_last && settings.seed == 1);

    // Before and after all others at once, from a file or not.
    let by_hand = |builder: LoaderBuilder| {
        let builder = builder.batch_size(16).num_workers(3).prefetch_depth(7).pin_memory(false);
        let builder = builder.shuffle(false).drop_last(true).seed(1);
        builder.io_threads(2).pin_workers(true)
    };
    let expected = Settings {
        batch_size: 16,
        num_workers: 3,
        prefetch_depth: 7,
        pin_memory: false,
        shuffle: false,
        drop_last: true,
        seed: 1,
        io_threads: 2,
        pin_workers: true,
    };
    let file = on_disk(SWEPT);
    let new = || Loader::builder(numbers(1000));
    let others = || Settings { shuffle: true, pin_memory: true, ..Settings::default() };
    let (settings, _) = warnings_of(|| {
        let builders = [
            by_hand(new()).settings_file(&file.path).unwrap(),
            by_hand(new().settings_file(&file.path).unwrap()),
            by_hand(new()).settings(others()),
            by_hand(new().settings(others())),
        ];
        builders.map(|builder| builder.build().unwrap().settings().clone())
    });
    for settings in settings {
        assert_eq!(settings, expected);
    }
}

#[test]
fn another_machine_is_warned_of() {
    let mut machine = MachineTable::here();
    machine.cpu = "a faster one".into();
    machine.usable_cores += 6.0;
    let table = toml::to_string(&machine).unwrap();
    let (_, warnings) = in_effect(&format!("{SWEPT}\n[machine]\n{table}"), |builder| builder);
    assert!(warnings.contains("recommended.toml` were measured on another machine"), "{warnings}");
    assert!(warnings.contains("not `a faster one`") && warnings.contains("usable cores, not"));
}

#[test]
fn another_schema_is_refused_before_its_keys_are_looked_at() {
    let text = error("schema = 2\n[loading]\nworkers = 3\n");
    assert!(text.contains("has schema 2, but this version reads schema 1"), "{text}");
    assert!(text.contains("hint: make it again with `tuner sweep`"), "{text}");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_near_one() {
    let text = error("schema = 1\n[loader]\nbatch_size = 8\nnum_worker = 2\n");
    assert!(text.contains("line 4, column 1"), "{text}");
    assert!(text.contains("unknown field `num_worker`"), "{text}");
    assert!(text.ends_with("hint: did you mean `num_workers`?"), "{text}");

    let text = error("schema = 1\n[loadr]\nbatch_size = 8\n");
    assert!(text.contains("line 2") && text.ends_with("hint: did you mean `loader`?"), "{text}");

    let text = error("schema = 1\n[loader]\nzzz = 8\n");
    assert!(text.contains("unknown field `zzz`") && !text.contains("hint"), "{text}");

    let row = SWEPT.replacen("num_workers = 1", "num_workers = 1\n    prefetch_dept = 1", 1);
    let text = error(&row);
    assert!(text.ends_with("hint: did you mean `prefetch_depth`?"), "{text}");
}

#[test]
fn what_is_no_settings_file_is_refused() {
    for (text, expected) in [
        ("", "missing field `schema`"),
        ("[loader]\nbatch_size = 8\n", "missing field `schema`"),
        ("schema = 1\n", "missing field `loader`"),
        ("schema = \"1\"\n[loader]\n", "line 1, column 10"),
        ("schema = 1\n[loader]\nbatch_size = -8\n", "line 3, column 14"),
        ("schema = 1\n[loader]\nbatch_size = 8.5\n", "line 3, column 14"),
        ("schema = 1\n[loader\n", "line 2"),
        ("schema = 1\n[loader]\nseed = 1\nseed = 2\n", "line 4"),
    ] {
        let got = error(text);
        assert!(got.contains(expected), "{got}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.toml");
    let error = Loader::from_settings(&missing, numbers(1)).err().unwrap();
    let text = chain(&error);
    assert!(text.starts_with(&format!("cannot read `{}`: No such file", missing.display())));
    assert_eq!(text.matches("No such file").count(), 1, "{text}");

    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xFF, 0xFE, 0]).unwrap();
    let text = chain(&SettingsFile::read(&binary).unwrap_err());
    assert!(text.contains("binary.toml") && text.contains("UTF-8"), "{text}");
}

#[test]
fn without_a_gpu_pinning_is_off_with_a_warning() {
    if loader::cuda::load().is_ok() {
        return;
    }
    let (settings, warnings) =
        in_effect("schema = 1\n[loader]\npin_memory = true\n", |builder| builder.num_workers(1));
    assert!(!settings.pin_memory);
    assert!(warnings.contains("`pin_memory = true` has no effect"), "{warnings}");
}

#[test]
fn a_value_out_of_range_is_named_with_its_file() {
    let text = error("schema = 1\n[loader]\nnum_workers = 5000\n");
    assert!(text.contains("`num_workers` is 5000, but must be 0 to 1024"), "{text}");
    let text = error(&SWEPT.replace("batch_size = 16", "batch_size = 0"));
    assert!(text.contains("`batch_size` is 0"), "{text}");

    let file = on_disk("schema = 1\n[loader]\nbatch_size = 0\n");
    let error = Loader::from_settings(&file.path, numbers(1)).err().unwrap();
    assert!(chain(&error).contains("`batch_size` is 0, but must be 1 to 16777216"), "{error:?}");
}
