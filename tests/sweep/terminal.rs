//! What a sweep shows: on a terminal, without one, and quietly.

use std::path::Path;
use std::process::Command;

use crate::common::{assert_success, stderr, stdout};
use crate::synthetic::synthetic;
use crate::{edit, sweep};

/// What stands on a terminal of so many columns, with all that moves its cursor.
fn on_terminal(columns: usize, variables: &str, folder: &Path) -> String {
    let (tuner, folder) = (env!("CARGO_BIN_EXE_tuner"), folder.display());
    let sweep = format!("'{tuner}' sweep --config '{folder}/small.toml' --out '{folder}/out'");
    let command = format!("stty cols {columns} rows 24; exec env {variables} {sweep}");
    let output = Command::new("script").args(["-qec", &command, "/dev/null"]).output().unwrap();
    assert_success(&output);
    stdout(&output)
}

/// Whether it holds a sequence that sets colours.
fn is_coloured(text: &str) -> bool {
    let mut sequences = text.split("\x1b[").skip(1);
    sequences.any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

#[test]
fn on_a_terminal_the_leaders_are_shown_and_what_stays_fits_it() {
    for (variables, coloured) in [("NO_COLOR=1", false), ("-u NO_COLOR", true)] {
        let folder = synthetic();
        // It has no effect here, of which is warned.
        edit(folder.path(), "[loader]", "[loader]\npin_memory = true");
        let said = on_terminal(60, variables, folder.path());
        assert!(said.contains("batch workers depth  samples/s (95%)"), "{said}");
        assert!(said.contains("trials, ") && said.contains(" left; "), "{said}");
        assert_eq!(is_coloured(&said), coloured && tch::Cuda::device_count() == 0, "{said:?}");
        let stays = said.rsplit("\x1b[2K").next().unwrap();
        let table: Vec<&str> = stays.lines().filter(|line| line.starts_with('|')).collect();
        assert!(table.len() >= 4 && table.iter().all(|line| line.chars().count() <= 60), "{stays}");
        assert!(stays.contains("Use:   batch size 8"), "{stays}");
    }
}

#[test]
fn without_a_terminal_each_run_is_a_line_and_quietly_the_files_are_all_that_is_said() {
    let folder = synthetic();
    let output = sweep(folder.path(), "plain", &[]).output().unwrap();
    assert_success(&output);
    let lines = stderr(&output);
    assert!(lines.contains("1/6: batch size 8") && lines.contains("6/6: "), "{lines}");
    assert!(!lines.contains('\x1b') && !stdout(&output).contains('\x1b'));

    let output = sweep(folder.path(), "quiet", &["--quiet"]).output().unwrap();
    assert_success(&output);
    assert_eq!(stderr(&output), "");
    let said = stdout(&output);
    assert!(said.starts_with("Files: ") && said.lines().count() == 1, "{said}");
}
