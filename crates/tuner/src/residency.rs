//! Which pages of a file are in memory.

#![expect(unsafe_code, reason = "a mapping whose pages the kernel is asked about")]

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use memmap2::Mmap;
use rustix::fs::{Access, access};
use rustix::process::geteuid;

/// Pages of the file at `path` that are in the page cache, and pages in all, by `mincore`; `None` where that is
/// not told: of a file that is another user's and may not be written, all pages would seem to be there.
pub(crate) fn resident_pages(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let owned = metadata.uid() == geteuid().as_raw();
    if !owned && access(path, Access::WRITE_OK).is_err() {
        return Ok(None);
    }
    let length = metadata.len() as usize;
    if length == 0 {
        return Ok(Some((0, 0)));
    }
    // SAFETY: nothing is read through the mapping, so that it does not matter whether another
    // program changes the file or cuts it off meanwhile.
    let mapping = unsafe { Mmap::map(&file)? };
    let mut resident = vec![0_u8; length.div_ceil(page_bytes()?)];
    // SAFETY: the mapping is of `length` bytes and begins at a page, and the vector has a byte for
    // each of its pages, which is what `mincore` writes.
    let asked =
        unsafe { libc::mincore(mapping.as_ptr().cast_mut().cast(), length, resident.as_mut_ptr()) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    let pages = resident.iter().filter(|page| **page & 1 == 1).count();
    Ok(Some((pages as u64, resident.len() as u64)))
}

fn page_bytes() -> io::Result<usize> {
    // SAFETY: it only reads a number that the kernel gave the process.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}
