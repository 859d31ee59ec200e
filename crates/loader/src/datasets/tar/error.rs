//! What can go wrong with tar shards.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::datasets::files::FilesError;

/// Why tar shards cannot be used.
#[derive(Debug, Error)]
pub enum TarError {
    /// The shards cannot be found.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A shard cannot be read.
    #[error("cannot read the shard `{shard}`")]
    Read {
        /// The shard.
        shard: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no tar archive.
    #[error("`{shard}` is not a tar archive")]
    NotTar {
        /// The file.
        shard: PathBuf,
    },
    /// A shard is compressed, so that no sample can be found without unpacking all before it.
    #[error(
        "the shard `{shard}` is compressed with {format}\nhint: unpack it once: `{command} '{shard}'`"
    )]
    Compressed {
        /// The shard.
        shard: PathBuf,
        /// With what.
        format: &'static str,
        /// The program that unpacks it.
        command: &'static str,
    },
    /// A header is damaged.
    #[error("the shard `{shard}` is damaged at byte {offset}: {why}")]
    Damaged {
        /// The shard.
        shard: PathBuf,
        /// Where the header begins.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A shard ends in the middle of a member.
    #[error(
        "the shard `{shard}` is cut short: `{member}` ends at byte {end}, the file at byte {len}"
    )]
    Truncated {
        /// The shard.
        shard: PathBuf,
        /// The member.
        member: String,
        /// Where the member ends.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// A shard holds no samples.
    #[error("the shard `{shard}` holds no samples")]
    Empty {
        /// The shard.
        shard: PathBuf,
    },
    /// A member is larger than its kind may be.
    #[error("`{member}` in `{shard}` has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The shard.
        shard: PathBuf,
        /// The member.
        member: String,
        /// Its size.
        bytes: u64,
        /// The limit of its kind.
        limit: u64,
    },
    /// A member's bytes do not lie in one piece.
    #[error(
        "`{member}` in `{shard}` is stored as a sparse file\nhint: make the shard without `--sparse`"
    )]
    Sparse {
        /// The shard.
        shard: PathBuf,
        /// The member.
        member: String,
    },
    /// Two members of a sample have the same extension.
    #[error("the sample `{key}` in `{shard}` has two members `.{extension}`")]
    DuplicateMember {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
        /// The extension.
        extension: String,
    },
    /// A key is there again after other samples.
    #[error(
        "the members of the sample `{key}` in `{shard}` do not stand together\nhint: sort them when making the shard: `tar --sort=name`"
    )]
    DuplicateKey {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
    },
    /// A sample has no image.
    #[error("the sample `{key}` in `{shard}` has no image, only {found} (looked for {wanted})")]
    NoImage {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
        /// The extensions it has.
        found: String,
        /// The extensions of images.
        wanted: String,
    },
    /// A sample has several images.
    #[error(
        "the sample `{key}` in `{shard}` has several images: {found}\nhint: say which in `TarOptions::image`"
    )]
    SeveralImages {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
        /// The extensions it has.
        found: String,
    },
    /// A sample has no label.
    #[error("the sample `{key}` in `{shard}` has no label `.{wanted}`, only {found}")]
    NoLabel {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
        /// The extensions it has.
        found: String,
        /// The label's extension.
        wanted: &'static str,
    },
    /// A sample's label makes no sense.
    #[error("the sample `{key}` in `{shard}` has no usable label")]
    Label {
        /// The shard.
        shard: PathBuf,
        /// The sample.
        key: String,
        /// What is wrong with it.
        source: LabelError,
    },
}

/// Why a member is no label.
#[derive(Debug, Error)]
pub enum LabelError {
    /// It is not an integer.
    #[error("`{got}` is not an integer")]
    NoInteger {
        /// What it is, or its beginning.
        got: String,
    },
    /// It is negative, or too large for an int64.
    #[error("{got} is not the number of a class")]
    OutOfRange {
        /// What it is.
        got: String,
    },
    /// It is not JSON.
    #[error("not valid JSON")]
    Json(#[source] serde_json::Error),
    /// The JSON does not have the key.
    #[error("the JSON has no `{path}` (at `{part}` there is only {found})")]
    NoKey {
        /// The path of keys asked for.
        path: String,
        /// The key that is not there.
        part: String,
        /// What is there.
        found: String,
    },
}
