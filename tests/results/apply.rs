//! `tuner apply`.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::{assert_refused, assert_success, stdout, tuner};
use loader::settings::SettingsFile;
use serde_json::Value;

const SWEPT: &str = r#"# found by a sweep
schema = 1

[loader]
batch_size = 64
num_workers = 2
prefetch_depth = 3
pin_memory = false
shuffle = false
drop_last = false
seed = 0

[[by_batch_size]]
batch_size = 64
num_workers = 2
prefetch_depth = 3
pin_memory = false
samples_per_s = 1100.0
score = 50.0

[evidence]
samples_per_s = 1100.0
"#;

fn apply(folder: &Path, more: &[&str]) -> Output {
    tuner().current_dir(folder).arg("apply").args(more).output().unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn applied_settings_are_taken_back_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("recommended.toml"), SWEPT).unwrap();
    // A file of the program's own, with comments and tables that are not ours.
    let own = "# mine\n[model]\nname = \"resnet\"  # big\n\n[loader]\n# so many\nbatch_size = 8 # \
               samples\nshuffle = true\nio_threads = 4\n\n[after]\nkey = 1\n";
    fs::write(here.join("train.toml"), own).unwrap();

    let output = apply(here, &["recommended.toml", "--to", "train.toml"]);
    assert_success(&output);
    let said = stdout(&output);
    for part in
        ["batch_size = 64 (was 8)", "shuffle = true stays", "io_threads = not set", "--rollback"]
    {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let text = read(here, "train.toml");
    for part in ["# mine\n[model]", "# so many\nbatch_size = 64 # samples", "[after]\nkey = 1"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let table: toml::Table = text.parse().unwrap();
    let loader = table["loader"].as_table().unwrap();
    assert_eq!(loader["num_workers"].as_integer(), Some(2));
    // Which samples come when is the training's own.
    assert_eq!(loader["shuffle"].as_bool(), Some(true));
    assert!(!loader.contains_key("io_threads"));
    assert_eq!(table.len(), 3, "{text}");
    assert_eq!(read(here, "train.toml.bak.1"), own);

    // The same again changes nothing and makes no backup.
    let again = apply(here, &["recommended.toml", "--to", "train.toml", "--json"]);
    assert_success(&again);
    let done: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!((&done["backup"], done["changes"].as_array().unwrap().len()), (&Value::Null, 0));
    assert!(!here.join("train.toml.bak.2").exists());

    fs::write(here.join("other.toml"), SWEPT.replace("num_workers = 2", "num_workers = 7"))
        .unwrap();
    assert_success(&apply(here, &["other.toml", "--to", "train.toml"]));
    assert!(read(here, "train.toml").contains("num_workers = 7"));
    assert_success(&apply(here, &["--rollback", "--to", "train.toml"]));
    assert_eq!(read(here, "train.toml"), text);
    assert!(read(here, "train.toml.undone").contains("num_workers = 7"));
    assert_success(&apply(here, &["--rollback", "--to", "train.toml"]));
    assert_eq!(read(here, "train.toml"), own);
    let none = apply(here, &["--rollback", "--to", "train.toml"]);
    assert_refused(&none, &["`train.toml` has no backup", "hint: "]);
}

#[test]
fn a_settings_file_gets_all_that_goes_with_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("recommended.toml"), SWEPT).unwrap();
    // Not there yet: it becomes the same.
    assert_success(&apply(here, &["recommended.toml", "--to", "new.toml"]));
    assert_eq!(read(here, "new.toml"), SWEPT);

    // What another sweep said of its settings does not stay beside these.
    let earlier = "schema = 1\n[loader]\n# by hand\nbatch_size = 8\nseed = 5\n\
                   [[by_batch_size]]\nbatch_size = 8\nnum_workers = 1\nprefetch_depth = 1\n\
                   pin_memory = false\nsamples_per_s = 1.0\nscore = 1.0\n[data]\nsamples = 3\n";
    fs::write(here.join("loader.toml"), earlier).unwrap();
    assert_success(&apply(here, &["recommended.toml", "--to", "loader.toml"]));
    let file = SettingsFile::read(here.join("loader.toml")).unwrap();
    let swept = SettingsFile::read(here.join("recommended.toml")).unwrap();
    assert_eq!(file.loader, loader::Settings { seed: 5, ..swept.loader });
    assert_eq!(file.by_batch_size, swept.by_batch_size);
    assert_eq!(file.evidence, swept.evidence);
    assert!(file.data.is_empty());
    assert!(read(here, "loader.toml").contains("# by hand\nbatch_size = 64"));
}

#[test]
fn what_cannot_be_applied_is_refused_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("recommended.toml"), SWEPT).unwrap();
    fs::write(here.join("bad.toml"), "loader = 3\n").unwrap();
    fs::write(here.join("none.toml"), "[loader\n").unwrap();
    fs::write(here.join("range.toml"), SWEPT.replace("batch_size = 64", "batch_size = 0")).unwrap();
    for (args, parts) in [
        (
            &["recommended.toml", "--to", "bad.toml"][..],
            &["`loader` in `bad.toml` is no table"][..],
        ),
        (&["recommended.toml", "--to", "none.toml"], &["none.toml", "line 1"]),
        (&["recommended.toml", "--to", "recommended.toml"], &["is the file that the settings"]),
        (&["recommended.toml", "--to", "no/such.toml"], &["no/such.toml", "hint: "]),
        (&["missing.toml", "--to", "new.toml"], &["cannot read `missing.toml`"]),
        (&["range.toml", "--to", "new.toml"], &["`batch_size` is 0"]),
    ] {
        assert_refused(&apply(here, args), parts);
    }
    assert_eq!(read(here, "bad.toml"), "loader = 3\n");
    assert_eq!(fs::read_dir(here).unwrap().count(), 4, "no file was made");
    assert_eq!(apply(here, &["recommended.toml"]).status.code(), Some(1));
}
