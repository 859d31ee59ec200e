//! Open files, shared by all workers, a limited number of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Files that are open at a time, at most. A process may usually have 1,024.
const MOST: usize = 512;

/// An open file and its number.
type Handle = (usize, Arc<File>);

/// Files, opened when first asked for. They are read with `pread`, so that threads can share one.
#[derive(Debug)]
pub(super) struct Handles {
    paths: Vec<PathBuf>,
    /// Place `n % MOST` is that of file `n`: up to [`MOST`] files are never closed, and with more
    /// of them a run of neighbours stays open.
    open: Box<[Mutex<Option<Handle>>]>,
}

impl Handles {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let open = paths.iter().take(MOST).map(|_| Mutex::new(None)).collect();
        Self { paths, open }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub(super) fn path(&self, file: usize) -> &Path {
        &self.paths[file]
    }

    /// File number `file`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn get(&self, file: usize) -> io::Result<Arc<File>> {
        let place = &self.open[file % MOST];
        let lock = || place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((number, handle)) = &*lock()
            && *number == file
        {
            return Ok(handle.clone());
        }
        // Not under the lock: opening takes long on a network.
        let handle = Arc::new(File::open(&self.paths[file])?);
        *lock() = Some((file, handle.clone()));
        Ok(handle)
    }
}
