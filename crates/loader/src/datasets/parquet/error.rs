//! What can go wrong with Parquet files.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::datasets::error::DatasetError;
use crate::datasets::files::FilesError;

/// Why Parquet files cannot be used.
#[derive(Debug, Error)]
pub enum ParquetError {
    /// The files cannot be found.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no Parquet file, or damaged.
    #[error("`{path}` cannot be used as a Parquet file")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        source: parquet::errors::ParquetError,
    },
    /// The decoder panicked, which damaged files may make it do.
    #[error("`{path}` cannot be used as a Parquet file: its decoder panicked: {message}")]
    Panic {
        /// The file.
        path: PathBuf,
        /// What was said.
        message: String,
    },
    /// The pages of a column do not hold the rows that its row group should have.
    #[error(
        "`{path}` is damaged: row group {group} has {expected} rows, its column `{column}` has {got}"
    )]
    Rows {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row group.
        group: usize,
        /// Rows that the file says it has.
        expected: i64,
        /// Rows of the column.
        got: u64,
    },
    /// No column is asked for.
    #[error("no column is asked for; `{path}` has {known}")]
    NoColumns {
        /// The first file.
        path: PathBuf,
        /// The columns it has.
        known: String,
    },
    /// There is no such column.
    #[error("`{path}` has no column `{column}`, only {known}{}", meant(.near.as_deref()))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The columns it has.
        known: String,
        /// The one that may be meant.
        near: Option<String>,
    },
    /// A column holds something else.
    #[error("the column `{column}` of `{path}` holds {got}, not {expected}")]
    Type {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds.
        got: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A value is missing.
    #[error("the column `{column}` of `{path}` has no value in row {row}")]
    Null {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row of the file.
        row: usize,
    },
    /// A list is longer or shorter than those before.
    #[error(
        "the column `{column}` of `{path}` has a list of {got} in row {row}, but lists of {expected} before"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row of the file.
        row: usize,
        /// Length of the list.
        got: usize,
        /// Length of the lists before.
        expected: usize,
    },
    /// A number is larger than an int64.
    #[error("the column `{column}` of `{path}` has {got} in row {row}, which is no int64")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The row of the file.
        row: usize,
        /// The number.
        got: u64,
    },
    /// The columns make no data set.
    #[error(transparent)]
    Arrays(#[from] DatasetError),
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!("\nhint: did you mean `{near}`?")).unwrap_or_default()
}
