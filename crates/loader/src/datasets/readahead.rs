//! Bytes of a file brought into memory before they are needed.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

/// Waits until `len` bytes of `file` from `offset` are in the page cache, without copying them:
/// asks for all of them, and reads the last one. What goes wrong goes wrong again when they are
/// read.
pub(super) fn wait_for(file: &File, offset: u64, len: u64) {
    let Some(len) = NonZeroU64::new(len) else { return };
    let _ = fadvise(file, offset, Some(len), Advice::WillNeed);
    let _ = file.read_at(&mut [0], offset + len.get() - 1);
}
