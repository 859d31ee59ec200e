//! What can go wrong while data is made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why no data was made.
#[derive(Debug, Error)]
pub enum DataError {
    /// A set of no images was asked for.
    #[error("there is nothing to make: `images` is 0\nhint: ask for at least 1")]
    NoImages,
    /// The folder of photographs cannot be listed.
    #[error(
        "cannot read the folder of photographs `{path}`\nhint: run from the project's top folder, \
         or say where the photographs are"
    )]
    Photos {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The folder of photographs holds none.
    #[error("no photograph (`.jpg`, `.jpeg` or `.png`) in `{path}`\nhint: put at least one there")]
    NoPhotos {
        /// The folder.
        path: PathBuf,
    },
    /// A photograph cannot be decoded.
    #[error("cannot read the photograph `{path}`\nhint: replace or remove it")]
    Photo {
        /// The file.
        path: PathBuf,
        /// What its decoder, or the system, said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing can be cut from a photograph.
    #[error(
        "the photograph `{path}` has only {width}x{height} pixels\nhint: it needs at least \
         {least}x{least}; replace or remove it"
    )]
    SmallPhoto {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
        /// The least width and height.
        least: u32,
    },
    /// Two photographs would give their images to the same class.
    #[error(
        "the photographs `{first}` and `{second}` would share the class `{class}`\nhint: rename one"
    )]
    SameClass {
        /// A file.
        first: PathBuf,
        /// Another.
        second: PathBuf,
        /// The name both would have.
        class: String,
    },
    /// Something is there already, and nothing is ever overwritten.
    #[error(
        "`{path}` is there already, and nothing is overwritten\nhint: choose another folder, or \
         remove what is there"
    )]
    Exists {
        /// What is there: a folder that holds something, or a file.
        path: PathBuf,
    },
    /// The path ends in no name that a folder could have.
    #[error("`{path}` names no folder that could be made\nhint: give a path that ends in a name")]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// Another process is making the same set.
    #[error("another process is writing `{path}`\nhint: wait until it is done, or end it")]
    Busy {
        /// The folder it writes into.
        path: PathBuf,
    },
    /// No right to write.
    #[error("cannot write `{path}`\nhint: choose a folder that you may write to")]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full, or the user's share of it.
    #[error(
        "no room on the disk for `{path}`\nhint: 1,000 images take about 110 MB; make room, ask \
         for fewer or choose a folder on another disk"
    )]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be written for another reason.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Resampling was refused.
    #[error("cannot resize image {index}")]
    Resize {
        /// The image's number.
        index: usize,
        /// What the resampler said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// libjpeg-turbo could not encode an image.
    #[error("cannot encode image {index}")]
    Encode {
        /// The image's number.
        index: usize,
        /// What libjpeg-turbo said.
        #[source]
        source: turbojpeg::Error,
    },
    /// The description of a set that was made cannot be read.
    #[error("cannot read `{path}`\nhint: remove the folder it is in and make the set again")]
    Description {
        /// The file.
        path: PathBuf,
        /// What the system, or the JSON parser, said.
        #[source]
        source: io::Error,
    },
}

impl DataError {
    /// The error of a failed write to `path`, with the advice that fits it.
    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            _ => Self::Write { path, source },
        }
    }
}
