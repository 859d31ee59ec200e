//! From header to header through a tar archive, jumping over what members hold.
//!
//! Nothing in a header is believed before it is compared with the file: a member ends where the
//! file does or before, and the next header lies at least one block on. Long names and extended
//! headers are read up to [`MAX_EXTENSION`].

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use tar::{EntryType, Header};

use super::error::TarError;

/// Bytes of a long name or an extended header, at most.
pub(super) const MAX_EXTENSION: u64 = 1 << 20;

const BLOCK: u64 = 512;

/// What is read at a time: a header, and the small members and headers after it.
const WINDOW: usize = 4096;

/// First bytes of compressed files, what they are called and what unpacks them.
const COMPRESSED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "gzip -d"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d --rm"),
    (b"\xfd7zXZ\0", "xz", "xz -d"),
    (b"BZh", "bzip2", "bzip2 -d"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -d --rm"),
];

/// A regular file in an archive.
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    /// Where its bytes begin.
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// An archive, read through a small window.
pub(super) struct Archive<'a> {
    pub(super) path: &'a Path,
    file: &'a File,
    len: u64,
    /// Where the next header is.
    next: u64,
    window: Vec<u8>,
    /// Where the window begins, and how much of it is filled.
    at: u64,
    filled: usize,
}

impl<'a> Archive<'a> {
    /// The archive in `file`.
    ///
    /// # Errors
    /// If it cannot be read or is compressed.
    pub(super) fn new(path: &'a Path, file: &'a File) -> Result<Self, TarError> {
        let read = |source| TarError::Read { shard: path.to_owned(), source };
        let len = file.metadata().map_err(read)?.len();
        let window = vec![0; WINDOW];
        let mut archive = Self { path, file, len, next: 0, window, at: 0, filled: 0 };
        let first = archive.read(0, len.min(8) as usize)?;
        for (magic, format, command) in COMPRESSED {
            if first.starts_with(magic) {
                let shard = path.to_owned();
                return Err(TarError::Compressed { shard, format, command });
            }
        }
        Ok(archive)
    }

    /// `len` bytes at `offset`, both of which the caller has compared with the file's length.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn read(&mut self, offset: u64, len: usize) -> Result<&[u8], TarError> {
        let inside = |at: u64, filled: usize| {
            let start = usize::try_from(offset.checked_sub(at)?).ok()?;
            (start.checked_add(len)? <= filled).then_some(start)
        };
        if inside(self.at, self.filled).is_none() {
            if self.window.len() < len {
                self.window.resize(len, 0);
            }
            (self.at, self.filled) = (offset, 0);
            while self.filled < len {
                let into = &mut self.window[self.filled..];
                match self.file.read_at(into, offset + self.filled as u64) {
                    Ok(0) => return Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
                    Ok(read) => self.filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(self.failed(error)),
                }
            }
        }
        let start = (offset - self.at) as usize;
        Ok(&self.window[start..start + len])
    }

    fn failed(&self, source: io::Error) -> TarError {
        TarError::Read { shard: self.path.to_owned(), source }
    }

    /// The next regular file; `None` at the end of the archive.
    ///
    /// # Errors
    /// If a header is damaged or the file ends too early.
    pub(super) fn next(&mut self) -> Result<Option<Member>, TarError> {
        let mut extended = Extended::default();
        loop {
            let at = self.next;
            if at == self.len && at > 0 {
                // Other programs take such a file without a word.
                tracing::warn!(
                    "the shard `{}` has no end mark: it may have been cut short",
                    self.path.display()
                );
                return Ok(None);
            }
            if self.len - at < BLOCK {
                return Err(if at == 0 {
                    TarError::NotTar { shard: self.path.to_owned() }
                } else {
                    self.truncated("a header".to_owned(), at + BLOCK)
                });
            }
            let block: &[u8; BLOCK as usize] = match self.read(at, BLOCK as usize)?.try_into() {
                Ok(block) => block,
                Err(_) => return Err(self.damaged(at, "no header")),
            };
            if *block == [0; BLOCK as usize] {
                return Ok(None);
            }
            let header = Header::from_byte_slice(block);
            if !checksum_is_right(block, header) {
                return Err(if at == 0 {
                    TarError::NotTar { shard: self.path.to_owned() }
                } else {
                    self.damaged(at, "the checksum of a header is wrong")
                });
            }
            let kind = header.entry_type();
            let name = header.path_bytes().into_owned();
            let regular = matches!(kind, EntryType::Regular | EntryType::Continuous)
                || matches!(kind.as_byte(), b'\0');
            let extension =
                kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
            let without_bytes = kind.is_hard_link()
                || kind.is_symlink()
                || kind.is_dir()
                || kind.is_character_special()
                || kind.is_block_special()
                || kind.is_fifo();
            let size = match extended.size {
                // Whatever their header says.
                _ if without_bytes => 0,
                Some(size) if regular => size,
                _ => match header.entry_size() {
                    Ok(size) => size,
                    Err(_) => {
                        return Err(self.damaged(at, "the size in a header is not a number"));
                    }
                },
            };
            let name = match extended.name.take() {
                Some(long) if !extension => long,
                long => {
                    extended.name = long;
                    name
                }
            };
            let offset = at + BLOCK;
            let end = offset.saturating_add(size);
            // The last member may lack the bytes that would fill up its block.
            let next = end.checked_next_multiple_of(BLOCK).filter(|_| end <= self.len);
            let Some(next) = next else { return Err(self.truncated(lossy(&name), end)) };
            self.next = next.min(self.len);
            if extension {
                self.extension(at, kind, &name, offset, size, &mut extended)?;
                continue;
            }
            if kind.is_gnu_sparse() || extended.sparse {
                let shard = self.path.to_owned();
                return Err(TarError::Sparse { shard, member: lossy(&name) });
            }
            // Very old archives have no other mark of a folder.
            if regular && !name.ends_with(b"/") {
                return Ok(Some(Member { name, offset, size }));
            }
            extended = Extended::default();
        }
    }

    /// Reads what a long name or an extended header says of the next member.
    fn extension(
        &mut self,
        at: u64,
        kind: EntryType,
        name: &[u8],
        offset: u64,
        size: u64,
        extended: &mut Extended,
    ) -> Result<(), TarError> {
        if size > MAX_EXTENSION {
            let (shard, member) = (self.path.to_owned(), lossy(name));
            return Err(TarError::TooLarge { shard, member, bytes: size, limit: MAX_EXTENSION });
        }
        let bytes = self.read(offset, size as usize)?;
        if kind.is_gnu_longname() {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            extended.name = Some(bytes[..end].to_vec());
        } else if kind.is_pax_local_extensions() && extended.records(bytes).is_none() {
            return Err(self.damaged(at, "an extended header makes no sense"));
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, why: &'static str) -> TarError {
        TarError::Damaged { shard: self.path.to_owned(), offset, why }
    }

    fn truncated(&self, member: String, end: u64) -> TarError {
        TarError::Truncated { shard: self.path.to_owned(), member, end, len: self.len }
    }
}

/// A name for messages.
pub(super) fn lossy(name: &[u8]) -> String {
    // Hostile names may be long.
    String::from_utf8_lossy(&name[..name.len().min(1000)]).into_owned()
}

/// Some old programs added up signed bytes.
fn checksum_is_right(block: &[u8; BLOCK as usize], header: &Header) -> bool {
    let Ok(expected) = header.cksum() else { return false };
    let counted = |at: usize, byte: u8| if (148..156).contains(&at) { b' ' } else { byte };
    let bytes = || block.iter().enumerate().map(|(at, byte)| counted(at, *byte));
    let unsigned: u32 = bytes().map(u32::from).sum();
    let signed: i32 = bytes().map(|byte| i32::from(byte.cast_signed())).sum();
    unsigned == expected || signed.cast_unsigned() == expected
}

/// What extended headers say of the next member.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl Extended {
    /// Takes what is wanted from records `length key=value\n`; `None` if they are none.
    fn records(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() && bytes[0] != 0 {
            let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
            let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
            let record = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
            bytes = &bytes[len..];
        }
        Some(())
    }
}

/// Key and extension of a member by WebDataset's rule: the base name is parted at its first dot.
/// `None` for what belongs to no sample: names without an extension, hidden files (as the `._x`
/// that macOS adds), and what lies under a name such as `__meta__`.
pub(super) fn key_and_extension(name: &[u8]) -> Option<(&[u8], Cow<'_, str>)> {
    let first = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    if first.len() >= 4 && first.starts_with(b"__") && first.ends_with(b"__") {
        return None;
    }
    let base = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].iter().position(|byte| *byte == b'.')?;
    if dot == base {
        return None;
    }
    Some((&name[..dot], String::from_utf8_lossy(&name[dot + 1..])))
}
