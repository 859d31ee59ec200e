//! Files as memory.
//!
//! A mapped file is read by the system, page by page, when its bytes are first used, and what was
//! read stays in the system's cache and not in the program's memory. The price: such a file must
//! stay as it is while a data set uses it. If another program writes to it, samples change; if it
//! cuts the file off, the next use of a page beyond the new end ends the program (`SIGBUS`). To
//! replace a file safely, write a new one and rename it over the old: the map goes on showing the
//! old one. Where the storage fails, reading ends the same way.

#![expect(unsafe_code, reason = "a mapped file may be changed by others")]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use super::error::DatasetError;

/// A file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Mapped(Mmap);

impl Mapped {
    /// Maps the file at `path`. Nothing is read yet.
    ///
    /// # Errors
    /// If it cannot be opened or mapped.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::read(path))?;
        // SAFETY: the map is read-only, and its bytes are copied out through slices, never kept
        // as values that must not change. That nobody else changes the file is asked of the user,
        // in the documentation of this module and of each data set that maps files.
        let map = unsafe { Mmap::map(&file) }.map_err(DatasetError::read(path))?;
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
