//! A folder that appears whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::DataError;

/// A folder in the making: a hidden sibling of the folder that it becomes.
///
/// Dropped unfinished, on an error or a panic, it removes itself. What a killed process left behind
/// is removed by the next one. The lock tells such a leftover from a folder that a living process
/// still writes; it is held on the folder itself, so it goes where the folder goes.
pub(super) struct PartialFolder {
    path: PathBuf,
    out: PathBuf,
    finished: bool,
    _lock: File,
}

impl PartialFolder {
    /// Starts the folder that is to become `out`.
    ///
    /// # Errors
    ///
    /// If `out` is there and is not an empty folder, if another process is making it, or if nothing
    /// can be written beside it.
    pub(super) fn create(out: &Path) -> Result<Self, DataError> {
        refuse_unless_free(out)?;
        // `.`, `a/..` and links to a folder get the name of what they stand for.
        let out = fs::canonicalize(out).unwrap_or_else(|_| out.to_path_buf());
        let name = out.file_name().ok_or_else(|| DataError::NoName { path: out.clone() })?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let path = out.with_file_name(hidden);

        let failed = |source| DataError::write(&path, source);
        fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::open(&path).map_err(failed)?;
        // Some network file systems lock no folders: there, one goes without.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            return Err(DataError::Busy { path });
        }
        remove_contents(&path).map_err(failed)?;
        Ok(Self { path, out, finished: false, _lock: lock })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows the folder under its own name.
    ///
    /// # Errors
    ///
    /// If the name was taken in the meantime, or if the system refuses; then the folder is removed.
    pub(super) fn finish(mut self) -> Result<(), DataError> {
        refuse_unless_free(&self.out)?;
        fs::rename(&self.path, &self.out).map_err(|e| DataError::write(&self.out, e))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.finished {
            // There may be no room or right to do it; the next run tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn refuse_unless_free(out: &Path) -> Result<(), DataError> {
    match fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(DataError::Exists { path: out.to_path_buf() }),
        },
        Err(_) if out.is_file() || out.is_symlink() => {
            Err(DataError::Exists { path: out.to_path_buf() })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(DataError::write(out, source)),
    }
}

fn remove_contents(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("a/b");
        let partial = PartialFolder::create(&out).unwrap();
        fs::write(partial.path().join("x"), "x").unwrap();
        assert!(!out.exists());
        partial.finish().unwrap();
        assert_eq!(fs::read(out.join("x")).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn dropped_it_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let partial = PartialFolder::create(&dir.path().join("set")).unwrap();
        fs::write(partial.path().join("x"), "x").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_leftover_of_a_killed_process_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".set.partial/old")).unwrap();
        fs::write(dir.path().join(".set.partial/old/x"), "x").unwrap();
        let partial = PartialFolder::create(&dir.path().join("set")).unwrap();
        assert_eq!(fs::read_dir(partial.path()).unwrap().count(), 0);
    }

    #[test]
    fn two_cannot_make_the_same_folder() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("set");
        let first = PartialFolder::create(&out).unwrap();
        assert!(matches!(PartialFolder::create(&out), Err(DataError::Busy { .. })));
        first.finish().unwrap();
    }

    #[test]
    fn an_empty_folder_is_filled_and_so_is_one_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (out, link) = (dir.path().join("set"), dir.path().join("link"));
        fs::create_dir(&out).unwrap();
        std::os::unix::fs::symlink(&out, &link).unwrap();
        let partial = PartialFolder::create(&link).unwrap();
        fs::write(partial.path().join("x"), "x").unwrap();
        partial.finish().unwrap();
        assert!(out.join("x").exists());

        fs::remove_dir_all(&out).unwrap();
        assert!(matches!(PartialFolder::create(&link), Err(DataError::Exists { .. })));
    }
}
