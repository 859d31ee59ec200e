//! Huge pages for arrays that are held in memory.
//!
//! Samples are read in random order, each from a page that the processor's table of pages does not
//! hold; with pages of 2 MB in place of 4 KB it holds most of them. Memory that comes from the
//! allocator has small pages, and they are gathered once the array is complete.

#![expect(unsafe_code, reason = "the system is told about memory by its address")]

use std::ffi::c_void;

use rustix::param::page_size;

/// Bytes of a huge page on x86-64 and, with pages of 4 KB, on AArch64. Where they are larger, the
/// system finds none to gather in a small array.
const HUGE_PAGE: usize = 2 << 20;

/// Asks the system to put `bytes`, as they are, into huge pages. Where it has none, or is older than
/// Linux 6.1, small ones serve.
pub(crate) fn gather(bytes: &[u8]) {
    let begin = bytes.as_ptr().addr();
    let first = begin.next_multiple_of(page_size());
    let end = (begin + bytes.len()) & !(page_size() - 1);
    let length = end.saturating_sub(first);
    if length < HUGE_PAGE {
        return;
    }
    let pages = bytes.as_ptr().wrapping_add(first - begin).cast_mut().cast::<c_void>();
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
        // SAFETY: these are whole pages of `bytes`, mapped for as long as they are borrowed, and
        // neither advice changes what they hold or what may be done with them.
        let _ = unsafe { libc::madvise(pages, length, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_stays_as_it_was() {
        let bytes: Vec<u8> = (0..3 * HUGE_PAGE + 17).map(|i| (i % 251) as u8).collect();
        for part in [&bytes[..], &bytes[5..], &bytes[7..HUGE_PAGE], &bytes[..0]] {
            let before = part.to_vec();
            gather(part);
            assert!(part == before);
        }
    }
}
