//! Which files: one pattern, or a list.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::braces;

/// The files of a data set, as a pattern or a list of paths.
///
/// A pattern may hold braces as in bash (`train-{000000..000146}.tar`, `{train,extra}-{0..9}.tar`),
/// `*`, `?` and `[a-z]`, and several patterns with `::` between them, as WebDataset's. Every file
/// that braces name must be there; what `*` finds is sorted. Paths are taken as they are. A folder,
/// in a pattern or a list, stands for the files in it with the right extension, sorted by name.
///
/// ```no_run
/// use std::path::PathBuf;
/// use loader::datasets::Files;
///
/// let range = Files::from("imagenet/train-{000000..000146}.tar");
/// let found = Files::from("imagenet/train-*.tar");
/// let list = Files::from(vec![PathBuf::from("a.tar"), PathBuf::from("b.tar")]);
/// # let _ = (range, found, list);
/// ```
#[derive(Clone, Debug)]
pub struct Files(Named);

#[derive(Clone, Debug)]
enum Named {
    Pattern(String),
    Paths(Vec<PathBuf>),
}

impl From<&str> for Files {
    fn from(pattern: &str) -> Self {
        Self(Named::Pattern(pattern.to_owned()))
    }
}

impl From<String> for Files {
    fn from(pattern: String) -> Self {
        Self(Named::Pattern(pattern))
    }
}

impl From<&Path> for Files {
    fn from(path: &Path) -> Self {
        Self(Named::Paths(vec![path.to_owned()]))
    }
}

impl From<PathBuf> for Files {
    fn from(path: PathBuf) -> Self {
        Self(Named::Paths(vec![path]))
    }
}

impl From<Vec<PathBuf>> for Files {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self(Named::Paths(paths))
    }
}

/// Why there is no list of files.
#[derive(Debug, Error)]
pub enum FilesError {
    /// A pattern makes no sense.
    #[error("`{pattern}` is no pattern of file names: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing matches a pattern.
    #[error("no file matches `{pattern}`")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// The list is empty.
    #[error("the list of files is empty")]
    None,
    /// A file that is named is not there.
    #[error("cannot read `{path}`{}", among(*missing, *named, path))]
    Missing {
        /// The file.
        path: PathBuf,
        /// Files that cannot be read.
        missing: usize,
        /// Files named in all.
        named: usize,
        /// Why.
        source: io::Error,
    },
    /// A path is something else than a file or a folder.
    #[error("`{path}` is not a file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A folder cannot be read.
    #[error("cannot read the folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder holds no file with the right extension.
    #[error("no `.{extension}` files in the folder `{path}`")]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The extension.
        extension: &'static str,
    },
}

/// Which part of the files is missing, and what may be behind it.
fn among(missing: usize, named: usize, path: &Path) -> String {
    if named > 1 {
        return format!(", the first of {missing} of {named} files named");
    }
    match path.to_string_lossy().contains(['*', '?', '[', '{']) {
        true => " (a path is taken as it is: give a pattern as text)".to_owned(),
        false => String::new(),
    }
}

impl Files {
    /// The files, all of them there; of folders those with `extension`.
    ///
    /// # Errors
    /// If a file is missing or none is named.
    pub fn paths(&self, extension: &'static str) -> Result<Vec<PathBuf>, FilesError> {
        let named = match &self.0 {
            Named::Paths(paths) => paths.clone(),
            Named::Pattern(pattern) => matches(pattern)?,
        };
        let (mut files, mut missing, mut first) = (Vec::new(), 0, None);
        for path in &named {
            match fs::metadata(path) {
                Ok(metadata) if metadata.is_dir() => files.append(&mut inside(path, extension)?),
                Ok(metadata) if metadata.is_file() => files.push(path.clone()),
                Ok(_) => return Err(FilesError::NotAFile { path: path.clone() }),
                Err(source) => {
                    missing += 1;
                    first.get_or_insert((path.clone(), source));
                }
            }
        }
        match first {
            Some((path, source)) => {
                Err(FilesError::Missing { path, missing, named: named.len(), source })
            }
            None if files.is_empty() => Err(FilesError::None),
            None => Ok(files),
        }
    }
}

/// The paths that `pattern` stands for.
fn matches(pattern: &str) -> Result<Vec<PathBuf>, FilesError> {
    let mut paths = Vec::new();
    for part in pattern.split("::") {
        for name in braces::expand(part)? {
            // A file may have such characters in its name.
            if !name.contains(['*', '?', '[']) || Path::new(&name).exists() {
                paths.push(PathBuf::from(name));
                continue;
            }
            let refused = |error: glob::PatternError| FilesError::Pattern {
                pattern: name.clone(),
                why: error.msg,
            };
            let before = paths.len();
            for found in glob::glob(&name).map_err(refused)? {
                paths.push(found.map_err(|error| FilesError::Folder {
                    path: error.path().to_owned(),
                    source: error.into(),
                })?);
            }
            if paths.len() == before {
                return Err(FilesError::NoMatch { pattern: name });
            }
            paths[before..].sort_unstable();
        }
    }
    Ok(paths)
}

/// The files in `folder` with `extension`, sorted.
fn inside(folder: &Path, extension: &'static str) -> Result<Vec<PathBuf>, FilesError> {
    let read = |source| FilesError::Folder { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension)) && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(FilesError::EmptyFolder { path: folder.to_owned(), extension });
    }
    Ok(files)
}
