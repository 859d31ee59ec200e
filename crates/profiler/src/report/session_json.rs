//! `session.json`: all that a session holds, for other programs and for later.
//!
//! Bytes and seconds. Its `schema` says which version of the shape it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::extend::{PluginError, ReportFormat};
use crate::session::{ProfilingSession, SCHEMA};

/// `session.json`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionJson;

impl ReportFormat for SessionJson {
    fn file_name(&self, _session: &ProfilingSession) -> String {
        "session.json".to_owned()
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        let mut json = serde_json::to_vec(session)?;
        // JSON has no infinity and no NaN: what a plugin gave may have become a file that nobody can
        // read.
        if let Err(error) = serde_json::from_slice::<ProfilingSession>(&json) {
            return Err(format!("a number of the session is not finite: {error}").into());
        }
        json.push(b'\n');
        Ok(out.write_all(&json)?)
    }
}

/// Why a file is no session.
#[derive(Debug, Error)]
pub enum SessionFileError {
    /// It cannot be read at all.
    #[error(
        "cannot read the session `{path}`\n\
         hint: a report's folder holds it as `session.json`", path = path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ends before the session does.
    #[error(
        "the session `{path}` is cut short: it ends in line {line}, column {column}\n\
         hint: copy it again, or write the report again", path = path.display()
    )]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Where it ends, from 1.
        line: usize,
        /// See `line`.
        column: usize,
    },
    /// It is something else than JSON.
    #[error(
        "the session `{path}` is not JSON\n\
         hint: a report's folder holds the session as `session.json`", path = path.display()
    )]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is JSON of another shape, or of another version of this one.
    #[error(
        "`{path}` has the schema `{found}`, expected `{SCHEMA}`\n\
         hint: read it with the version that wrote it, or profile again", path = path.display()
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// What its `schema` says; `none` where there is none.
        found: String,
    },
    /// It says that it is a session, and is not.
    #[error(
        "the session `{path}` was changed or damaged\n\
         hint: write the report again", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// Reads a `session.json`.
///
/// # Errors
/// If there is no such file, or it is cut short, no JSON, of another schema or damaged.
pub fn read(path: &Path) -> Result<ProfilingSession, SessionFileError> {
    let bytes = fs::read(path)
        .map_err(|source| SessionFileError::Read { path: path.to_owned(), source })?;
    parse(&bytes, path)
}

/// Reads a session from what `path` held.
///
/// # Errors
/// As [`read()`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<ProfilingSession, SessionFileError> {
    /// What every file of ours begins with.
    #[derive(Deserialize)]
    struct Head {
        schema: Option<String>,
    }

    let path = || path.to_owned();
    let explain = |error: serde_json::Error| {
        use serde_json::error::Category;
        match error.classify() {
            Category::Eof => SessionFileError::CutShort {
                path: path(),
                line: error.line(),
                column: error.column(),
            },
            Category::Syntax | Category::Io => {
                SessionFileError::NotJson { path: path(), source: error }
            }
            Category::Data => SessionFileError::Damaged { path: path(), source: error },
        }
    };
    let found = match serde_json::from_slice::<Head>(bytes) {
        Ok(head) => head.schema.unwrap_or_else(|| "none".to_owned()),
        // A list or a number: JSON, and no file of ours.
        Err(error) if error.is_data() => "none".to_owned(),
        Err(error) => return Err(explain(error)),
    };
    if found != SCHEMA {
        return Err(SessionFileError::OtherSchema { path: path(), found });
    }
    serde_json::from_slice(bytes).map_err(explain)
}
