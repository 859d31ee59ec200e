//! Files that appear whole or not at all.

use std::io;
use std::path::Path;

use crate::TunerError;

/// Writes `bytes` to the file at `path` in one step: whoever reads it sees the old or the new.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), TunerError> {
    write_with(path, |beside| std::fs::write(beside, bytes))
}

/// As [`write()`], with what `fill` writes to the path it is given.
pub(crate) fn write_with(
    path: &Path,
    fill: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), TunerError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let written = (|| {
        // With the rights of a file made as usual, not the private ones of a temporary file.
        let file = tempfile::Builder::new()
            .prefix(".writing-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)?;
        fill(file.path())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    })();
    written.map_err(TunerError::file("write", path))
}
