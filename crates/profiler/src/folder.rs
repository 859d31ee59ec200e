//! The files of a report: all whole, or as they were.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::extend::{PluginError, ReportFormat};
use crate::notes::calmly;
use crate::session::ProfilingSession;

/// Why a report, or a file of it, was not written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The folder cannot be made or written to.
    #[error(
        "cannot write a report to the folder `{dir}`: {source}\n\
         hint: name another folder, or make room in this one", dir = dir.display()
    )]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A format asks for a file outside of the folder, or for one that another format writes.
    #[error(
        "`{file}` cannot be a file of a report\n\
         hint: a name of its own, without slashes, that no other format uses"
    )]
    FileName {
        /// The name.
        file: String,
    },
    /// A format could not write its file, or panicked; those of the other formats are in place.
    #[error("cannot make the report's file `{file}`: {source}")]
    Format {
        /// The name of the file.
        file: String,
        /// Why not.
        source: PluginError,
    },
}

/// Writes a file for each of `formats` to the folder `dir`, which is made if it is not there, and
/// says which files it wrote.
///
/// Files are written beside and renamed when all are complete: one that was there before is replaced
/// whole, or stays as it was.
///
/// # Errors
/// If the folder cannot be written to or a name does not do, before anything is replaced. If a
/// format fails, after the files of the others were put in place: the first that failed is named.
pub fn write(
    session: &ProfilingSession,
    dir: &Path,
    formats: &[Arc<dyn ReportFormat>],
) -> Result<Vec<PathBuf>, ReportError> {
    let folder = |source| ReportError::Folder { dir: dir.to_owned(), source };
    let mut names = BTreeSet::new();
    let mut files = Vec::new();
    for format in formats {
        let file = calmly(|| format.file_name(session)).unwrap_or_default();
        let mut parts = Path::new(&file).components();
        let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !plain || file.contains(['/', '\0']) || !names.insert(file.clone()) {
            return Err(ReportError::FileName { file });
        }
        files.push((file, format));
    }
    fs::create_dir_all(dir).map_err(folder)?;
    let mut failed = None;
    let mut complete = Vec::new();
    for (file, format) in files {
        let beside = tempfile::Builder::new()
            .prefix(".writing-")
            // The rights of a file made as usual, not the private ones of a temporary file.
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(folder)?;
        let mut out = io::BufWriter::new(&beside);
        // A panic is a failure of that file like any other.
        let written = calmly(|| format.write(session, &mut out))
            .unwrap_or_else(|words| Err(PluginError::from(words)));
        let flushed = out.flush();
        drop(out);
        match written {
            Ok(()) => {
                flushed.and_then(|()| beside.as_file().sync_all()).map_err(folder)?;
                complete.push((beside, dir.join(file)));
            }
            Err(source) => {
                failed.get_or_insert(ReportError::Format { file, source });
            }
        }
    }
    let mut files = Vec::new();
    for (beside, path) in complete {
        beside.persist(&path).map_err(|error| folder(error.error))?;
        files.push(path);
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(files),
    }
}
