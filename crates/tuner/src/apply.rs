//! Installs a sweep's settings into the file that a training program reads, and takes them back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use loader::settings::{SettingsFile, parse_toml};
use serde::Serialize;
use toml_edit::{DocumentMut, Item, Table, Value};

use crate::{TunerError, files};

/// What a sweep does not decide: these change what a training sees. Where the file says them, they
/// stay as they are.
const KEPT: [&str; 3] = ["shuffle", "drop_last", "seed"];

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// The file.
    pub to: PathBuf,
    /// What it was before, in a file beside it; `None` if there was none, or nothing changed.
    pub backup: Option<PathBuf>,
    /// What the `[loader]` table says now that it did not.
    pub changes: Vec<Change>,
    /// Keys of the `[loader]` table that stay as the file has them, though the sweep had others.
    pub kept: Vec<Change>,
}

/// A key of the `[loader]` table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name.
    pub key: String,
    /// Its value in the file before, as TOML; `None` if it had none.
    pub before: Option<String>,
    /// Its value in the sweep's settings, as TOML; `None` if it has none.
    pub swept: Option<String>,
}

/// Puts the `[loader]` table of the settings file `recommended` into the TOML file `to`, whose other
/// tables and comments stay. If `to` is a settings file as well, or is not there yet, it gets the
/// tables that go with `[loader]` too: `[[by_batch_size]]`, and where and how they were measured.
///
/// What the file was before is copied beside it first.
///
/// # Errors
/// If `recommended` is no settings file, or `to` is no TOML, has something else than a table
/// `[loader]`, or cannot be written.
pub fn apply(recommended: &Path, to: &Path) -> Result<Applied, TunerError> {
    // Checks it whole, values included.
    SettingsFile::read(recommended)?;
    if files::same(recommended, to) {
        return Err(TunerError::ApplyToItself { path: to.to_owned() });
    }
    let swept = document(recommended)?.unwrap_or_default();
    let before = document(to)?;
    let is_settings = before.as_ref().is_none_or(|document| document.contains_key("schema"));
    let is_new = before.is_none();
    let mut document = before.unwrap_or_default();
    let before = document.to_string();

    let (changes, kept) = install_loader(&swept, &mut document, to)?;
    if is_settings {
        for (key, item) in swept.iter().filter(|(key, _)| *key != "loader") {
            let mut item = item.clone();
            place_last(&mut item);
            document.insert(key, item);
        }
        let stale: Vec<String> = document.iter().map(|(key, _)| key.to_owned()).collect();
        stale.iter().filter(|key| !swept.contains_key(key)).for_each(|key| {
            document.remove(key);
        });
    }
    let text = if is_new { read(recommended)?.unwrap_or_default() } else { document.to_string() };
    let backup = match text == before {
        true => None,
        false => {
            let backup = if is_new { None } else { Some(back_up(to)?) };
            files::write(to, text.as_bytes())?;
            backup
        }
    };
    Ok(Applied { to: to.to_owned(), backup, changes, kept })
}

/// Merges the `[loader]` tables; says what changed, and what did not though it differs.
fn install_loader(
    swept: &DocumentMut,
    document: &mut DocumentMut,
    path: &Path,
) -> Result<(Vec<Change>, Vec<Change>), TunerError> {
    let empty = Table::new();
    let swept = swept.get("loader").and_then(Item::as_table).unwrap_or(&empty);
    let item = document.entry("loader").or_insert_with(|| Item::Table(Table::new()));
    let loader = item
        .as_table_like_mut()
        .ok_or_else(|| TunerError::ApplyNoTable { path: path.to_owned() })?;
    let mut keys: Vec<String> = swept.iter().map(|(key, _)| key.to_owned()).collect();
    let more = loader.iter().map(|(key, _)| key.to_owned());
    keys.extend(more.filter(|key| !swept.contains_key(key)).collect::<Vec<_>>());
    let (mut changes, mut kept) = (Vec::new(), Vec::new());
    for key in keys {
        let new = swept.get(&key).and_then(Item::as_value);
        let old = loader.get(&key).and_then(Item::as_value);
        let change = Change { key, before: old.map(shown), swept: new.map(shown) };
        if change.before == change.swept {
            continue;
        }
        if change.before.is_some() && KEPT.contains(&change.key.as_str()) {
            kept.push(change);
            continue;
        }
        match new {
            // In place, so that the comment behind the value stays.
            Some(new) => match loader.get_mut(&change.key).and_then(Item::as_value_mut) {
                Some(value) => {
                    let decor = value.decor().clone();
                    *value = new.clone();
                    *value.decor_mut() = decor;
                }
                None => {
                    loader.insert(&change.key, Item::Value(new.clone()));
                }
            },
            None => {
                loader.remove(&change.key);
            }
        }
        changes.push(change);
    }
    Ok((changes, kept))
}

/// Has tables be written after those of the file, not where they stood in their own.
fn place_last(item: &mut Item) {
    match item {
        Item::Table(table) => table.set_position(None),
        Item::ArrayOfTables(tables) => {
            tables.iter_mut().for_each(|table| table.set_position(None));
        }
        _ => {}
    }
}

/// Without the space and the comments around it.
fn shown(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// What was undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolledBack {
    /// The file, which is as it was.
    pub to: PathBuf,
    /// What it was till now, in a file beside it.
    pub undone: PathBuf,
}

/// Makes the file at `to` what it was before settings were last applied to it; called again, what it
/// was before that. What it is now is kept beside it.
///
/// # Errors
/// If there is no backup, or a file cannot be renamed.
pub fn roll_back(to: &Path) -> Result<RolledBack, TunerError> {
    let none = || TunerError::NoBackup { path: to.to_owned() };
    let number = last_backup(to)?.ok_or_else(none)?;
    let backup = beside(to, &format!("bak.{number}"));
    let undone = beside(to, "undone");
    match fs::copy(to, &undone) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(TunerError::file("write", &undone)(error));
        }
        _ => {}
    }
    let bytes = fs::read(&backup).map_err(TunerError::file("read", &backup))?;
    // Not renamed: `to` may be a link.
    files::write(to, &bytes)?;
    fs::remove_file(&backup).map_err(TunerError::file("remove", &backup))?;
    Ok(RolledBack { to: to.to_owned(), undone })
}

fn back_up(path: &Path) -> Result<PathBuf, TunerError> {
    let number = last_backup(path)?.unwrap_or(0) + 1;
    let backup = beside(path, &format!("bak.{number}"));
    let bytes = fs::read(path).map_err(TunerError::file("read", path))?;
    files::write(&backup, &bytes)?;
    Ok(backup)
}

/// The number of the last backup of the file at `path`.
fn last_backup(path: &Path) -> Result<Option<u32>, TunerError> {
    let folder = files::folder_of(path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(TunerError::file("read", folder))?,
    };
    let number = |entry: fs::DirEntry| {
        let entry = entry.file_name().to_string_lossy().into_owned();
        entry.strip_prefix(&name)?.strip_prefix(".bak.")?.parse().ok()
    };
    Ok(entries.flatten().filter_map(number).max())
}

/// `loader.toml` and `bak.1`: `loader.toml.bak.1`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// The file's text; `None` if there is none.
fn read(path: &Path) -> Result<Option<String>, TunerError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(TunerError::file("read", path)),
    }
}

fn document(path: &Path) -> Result<Option<DocumentMut>, TunerError> {
    let Some(text) = read(path)? else { return Ok(None) };
    // Says what is wrong as it is said of every other TOML file.
    let _: toml::Table = parse_toml(path, &text)?;
    let parsed: Result<DocumentMut, toml_edit::TomlError> = text.parse();
    Ok(Some(parsed.map_err(|error| TunerError::Bug(error.to_string()))?))
}
