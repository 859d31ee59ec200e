//! Parquet files: how they are read, and what they say of themselves.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError as Cause;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescriptor;
use profiler::thread::panic_message;

use super::error::ParquetError;
use crate::datasets::handles::Handles;

/// A file read with `pread`, so that threads can share it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    len: u64,
    /// Where reading was begun, if that is to be known.
    begun: Option<Arc<Mutex<Vec<u64>>>>,
}

impl Source {
    /// File number `file` of `handles`. Not to be kept: it stays open as long.
    ///
    /// # Errors
    /// If it cannot be opened, or its length not be had.
    pub(super) fn open(handles: &Handles, file: usize) -> Result<Self, ParquetError> {
        let path = handles.path(file);
        let read = |source| ParquetError::Read { path: path.to_owned(), source };
        let file = handles.get(file).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        Ok(Self { file, len, begun: None })
    }

    /// The same file; the list gets each offset at which something is looked at.
    pub(super) fn watched(&self) -> (Self, Arc<Mutex<Vec<u64>>>) {
        let begun = Arc::new(Mutex::new(Vec::new()));
        (Self { begun: Some(begun.clone()), ..self.clone() }, begun)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Source {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T, Cause> {
        if let Some(begun) = &self.begun {
            begun.lock().unwrap_or_else(PoisonError::into_inner).push(start);
        }
        Ok(BufReader::with_capacity(4096, At { file: self.file.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, Cause> {
        // Before memory is taken for it.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            let error = format!("{length} bytes at {start} end beyond the file's {}", self.len);
            return Err(Cause::EOF(error));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A reader from some place on.
pub(super) struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// What a file says of itself, with the places of pages if it knows them.
///
/// # Errors
/// If it is no Parquet file.
pub(super) fn metadata(path: &Path, source: &Source) -> Result<ArrowReaderMetadata, ParquetError> {
    guarded(path, || {
        // Hints for Arrow only make more types of the same values.
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        ArrowReaderMetadata::load(source, options).map_err(|cause| of(path, cause))
    })
}

/// Runs what may panic on a damaged file.
///
/// # Errors
/// Those of `work`, and a panic.
pub(super) fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(ParquetError::Panic {
            path: path.to_owned(),
            message: panic_message(&*panic).to_owned(),
        })
    })
}

/// An error of the decoder, without its wrapper around input and output.
pub(super) fn of(path: &Path, cause: Cause) -> ParquetError {
    let path = path.to_owned();
    match cause {
        Cause::External(cause) => match cause.downcast::<io::Error>() {
            Ok(source) => ParquetError::Read { path, source: *source },
            Err(cause) => ParquetError::Parquet { path, source: Cause::External(cause) },
        },
        source => ParquetError::Parquet { path, source },
    }
}

/// The schema of a file.
pub(super) fn schema(metadata: &ParquetMetaData) -> &SchemaDescriptor {
    metadata.file_metadata().schema_descr()
}

/// Names of a file's columns, for messages.
pub(super) fn known(schema: &SchemaDescriptor) -> String {
    let names: Vec<_> =
        schema.root_schema().get_fields().iter().map(|f| format!("`{}`", f.name())).collect();
    names.join(", ")
}

/// That `column` is not there.
pub(super) fn no_column(path: &Path, schema: &SchemaDescriptor, column: &str) -> ParquetError {
    let names = schema.root_schema().get_fields().iter().map(|field| field.name());
    let near = names
        .map(|name| (strsim::damerau_levenshtein(name, column), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name.to_owned());
    let (path, column) = (path.to_owned(), column.to_owned());
    ParquetError::NoColumn { path, column, known: known(schema), near }
}
