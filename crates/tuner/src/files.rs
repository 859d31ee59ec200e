//! Files that appear whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::TunerError;

/// Writes `bytes` to the file at `path` in one step: whoever reads it sees the old or the new.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TunerError> {
    write_with(path, |beside| fs::write(beside, bytes))
}

/// Writes `value` as JSON for people too.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TunerError> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| TunerError::Bug(e.to_string()))?;
    write(path, &bytes)
}

/// As [`write()`], with what `fill` writes to the path it is given.
pub(crate) fn write_with(
    path: &Path,
    fill: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), TunerError> {
    let written = (|| {
        let Some(file_path) = replaceable(path)? else { return fill(path) };
        // With the rights of the file that is there, or of one made as usual: not the private ones of
        // a temporary file.
        let rights = fs::metadata(&file_path).map(|there| there.permissions());
        let file = tempfile::Builder::new()
            .prefix(WRITING)
            .permissions(rights.unwrap_or_else(|_| fs::Permissions::from_mode(0o666)))
            .tempfile_in(folder_of(&file_path))
            .map_err(without_path)?;
        fill(file.path())?;
        file.as_file().sync_all()?;
        file.persist(file_path)?;
        Ok(())
    })();
    written.map_err(TunerError::file("write", path))
}

/// What the names of files begin with that are being written.
const WRITING: &str = ".writing-";

/// Removes from a folder what a program left half-written that was killed; none may write there now.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(WRITING) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a file can be written at `path`, asked before the work that it is for. Leaves nothing.
pub(crate) fn check(path: &Path) -> Result<(), TunerError> {
    let checked = replaceable(path).and_then(|path| match path {
        Some(path) => probe(folder_of(&path)),
        None => Ok(()),
    });
    checked.map_err(TunerError::file("write", path))
}

/// Whether files can be written to the folder `path`, which need not be there yet. Leaves nothing.
pub(crate) fn check_folder(path: &Path) -> Result<(), TunerError> {
    let there = path.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("."));
    let checked = match there.is_dir() {
        true => probe(there),
        false => Err(io::ErrorKind::NotADirectory.into()),
    };
    checked.map_err(TunerError::file("write to the folder", path))
}

/// Whether two paths are the same file, or would be.
pub(crate) fn same(a: &Path, b: &Path) -> bool {
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        return a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    let place = |path: &Path| {
        let path = replaceable(path).ok()??;
        Some(fs::canonicalize(folder_of(&path)).ok()?.join(path.file_name()?))
    };
    place(a).is_some_and(|a| Some(a) == place(b))
}

/// The path at which a file may be replaced: `path`, or where a link there leads. `None` if
/// something else than a file is there, such as a device: that is written to as it is.
fn replaceable(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => return Ok(None),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // A link may lead to a file that is not there yet; links in a circle were an error above.
    let mut path = path.to_owned();
    while let Ok(target) = fs::read_link(&path) {
        path = folder_of(&path).join(target);
    }
    Ok(Some(path))
}

/// The folder in which a file lies.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Writes a few bytes to a file without a name: on a full disk that fails.
fn probe(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::tempfile_in(folder).map_err(without_path)?;
    file.write_all(&[0; 4096])
}

/// The error without the temporary file's path, which says nothing to anybody.
fn without_path(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        None if error.kind() != io::ErrorKind::Other => error.kind().into(),
        _ => error,
    }
}
