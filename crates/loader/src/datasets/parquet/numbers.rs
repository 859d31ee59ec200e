//! Numeric columns, decoded into memory.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use rayon::prelude::*;

use super::error::ParquetError;
use super::source::{Source, guarded, known, metadata, no_column, of, schema};
use crate::Dtype;
use crate::datasets::handles::Handles;
use crate::datasets::{Array, Arrays, Files};

/// A file that was looked into. Not kept open: there may be more than a process may have open.
pub(super) struct Opened<'a> {
    handles: &'a Handles,
    number: usize,
    pub(super) path: &'a Path,
    pub(super) metadata: ArrowReaderMetadata,
}

impl<'a> Opened<'a> {
    /// All files, in order.
    ///
    /// # Errors
    /// If one is no Parquet file.
    pub(super) fn all(handles: &'a Handles) -> Result<Vec<Self>, ParquetError> {
        let open = |(number, path): (usize, &'a std::path::PathBuf)| {
            let metadata = metadata(path, &Source::open(handles, number)?)?;
            Ok(Opened { handles, number, path, metadata })
        };
        handles.paths().par_iter().enumerate().map(open).collect()
    }

    /// # Errors
    /// See [`Source::open`].
    pub(super) fn source(&self) -> Result<Source, ParquetError> {
        Source::open(self.handles, self.number)
    }
}

impl Arrays {
    /// Numeric columns of Parquet files, decoded into memory: a field for each. Integers, floats
    /// and bools keep their type, but for uint16 (int32), uint32 and uint64 (int64), which libtorch
    /// has not; lists must all have one length, and lists of lists too.
    ///
    /// The memory taken is that of the values: a million rows of ten float32 are 40 MB.
    ///
    /// # Errors
    /// If a file is missing or no Parquet file, a column is not there, not numeric or holds other
    /// types in other files, a value is missing, or lists have different lengths.
    ///
    /// # Example
    /// ```
    /// use loader::{Arrays, Loader};
    ///
    /// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/shards/numbers.parquet");
    /// # /*
    /// let file = "numbers.parquet";
    /// # */
    /// let data = Arrays::parquet(file, &["pair", "float32"])?;
    /// let mut loader = Loader::builder(data).batch_size(4).num_workers(1).build()?;
    /// let batch = loader.epoch(0).next().unwrap()?;
    /// assert_eq!(batch["pair"].size(), [4, 2]);
    /// assert_eq!(batch["float32"].size(), [4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parquet(files: impl Into<Files>, columns: &[&str]) -> Result<Self, ParquetError> {
        let handles = Handles::new(files.into().paths("parquet")?);
        let opened = Opened::all(&handles)?;
        if let ([], [first, ..]) = (columns, &opened[..]) {
            let (path, known) = (first.path.to_owned(), known(schema(first.metadata.metadata())));
            return Err(ParquetError::NoColumns { path, known });
        }
        let arrays = columns.par_iter().map(|name| Ok((*name, column(&opened, name)?)));
        Ok(Arrays::new(arrays.collect::<Result<Vec<_>, ParquetError>>()?)?)
    }
}

/// The values of one column of all files.
///
/// # Errors
/// See [`Arrays::parquet`].
pub(super) fn column(files: &[Opened<'_>], name: &str) -> Result<Array, ParquetError> {
    let mut column = Column { name, path: Path::new(""), rows: 0, sides: Vec::new(), found: None };
    let mut bytes = Vec::new();
    let mut total = 0;
    for file in files {
        let (path, metadata) = (file.path, &file.metadata);
        guarded(path, || {
            let schema = schema(metadata.metadata());
            let roots = schema.root_schema().get_fields();
            let Some(root) = roots.iter().position(|field| field.name() == name) else {
                return Err(no_column(path, schema, name));
            };
            let mask = ProjectionMask::roots(schema, [root]);
            let source = file.source()?;
            (column.path, column.rows) = (path, 0);
            for (group, of_group) in metadata.metadata().row_groups().iter().enumerate() {
                let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
                    source.clone(),
                    metadata.clone(),
                )
                .with_projection(mask.clone())
                .with_row_groups(vec![group])
                .build();
                let before = column.rows;
                for batch in reader.map_err(|cause| of(path, cause))? {
                    let batch = batch.map_err(|cause| of(path, cause.into()))?;
                    column.append(batch.column(0), 0, &mut bytes)?;
                    column.rows += batch.num_rows();
                }
                // Of each alone: one too short and one too long would move all rows between them.
                let (expected, got) = (of_group.num_rows(), (column.rows - before) as u64);
                if u64::try_from(expected) != Ok(got) {
                    let (path, column) = (path.to_owned(), name.to_owned());
                    return Err(ParquetError::Rows { path, column, group, expected, got });
                }
            }
            total += column.rows;
            Ok(())
        })?;
    }
    let dtype = column.found.as_ref().map_or(Dtype::Float32, |(dtype, _)| *dtype);
    let shape = [total].into_iter().chain(column.sides).collect();
    Array::from_bytes(bytes, shape, dtype).map_err(|error| ParquetError::Arrays(error.into()))
}

/// What is known of a column while it is read.
struct Column<'a> {
    name: &'a str,
    /// The file, and rows of it that are done.
    path: &'a Path,
    rows: usize,
    /// Lengths of the lists, from the outermost in.
    sides: Vec<usize>,
    /// Type of the numbers here and in the file.
    found: Option<(Dtype, DataType)>,
}

impl Column<'_> {
    /// Adds values, which lie in `depth` lists.
    fn append(
        &mut self,
        values: &ArrayRef,
        depth: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ParquetError> {
        if let Some(nulls) = values.nulls().filter(|nulls| nulls.null_count() > 0) {
            let place = nulls.iter().position(|there| !there).unwrap_or(0);
            let (path, column) = (self.path.to_owned(), self.name.to_owned());
            return Err(ParquetError::Null { path, column, row: self.row(place, depth) });
        }
        if let Some(list) = values.as_list_opt::<i32>() {
            for (place, ends) in list.offsets().windows(2).enumerate() {
                let got = (ends[1] - ends[0]) as usize;
                if self.sides.len() == depth && self.found.is_none() {
                    self.sides.push(got);
                }
                let expected = self.sides.get(depth).copied().unwrap_or(0);
                if got != expected {
                    let (path, column) = (self.path.to_owned(), self.name.to_owned());
                    let row = self.row(place, depth);
                    return Err(ParquetError::Length { path, column, row, got, expected });
                }
            }
            let (first, last) = (list.offsets()[0], list.offsets()[list.len()]);
            let inner = list.values().slice(first as usize, (last - first) as usize);
            return self.append(&inner, depth + 1, bytes);
        }
        let dtype = self.dtype(values.data_type(), depth)?;
        self.numbers(values, dtype, depth, bytes)
    }

    /// The row of the file in which value `place` of the current batch stands.
    fn row(&self, place: usize, depth: usize) -> usize {
        self.rows + place / self.sides[..depth].iter().product::<usize>().max(1)
    }

    /// The type to keep numbers as, if they are some, and of the type seen before.
    fn dtype(&mut self, got: &DataType, depth: usize) -> Result<Dtype, ParquetError> {
        let wrong = |expected| ParquetError::Type {
            path: self.path.to_owned(),
            column: self.name.to_owned(),
            got: got.to_string(),
            expected,
        };
        if let Some((dtype, before)) = &self.found {
            let same = before == got && depth == self.sides.len();
            return if same { Ok(*dtype) } else { Err(wrong("what it holds in other files")) };
        }
        let dtype = match got {
            DataType::Boolean => Dtype::Bool,
            DataType::UInt8 => Dtype::Uint8,
            DataType::Int8 => Dtype::Int8,
            DataType::Int16 => Dtype::Int16,
            DataType::Int32 | DataType::UInt16 => Dtype::Int32,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Dtype::Int64,
            DataType::Float16 => Dtype::Float16,
            DataType::Float32 => Dtype::Float32,
            DataType::Float64 => Dtype::Float64,
            _ => return Err(wrong("numbers or lists of them")),
        };
        self.found = Some((dtype, got.clone()));
        Ok(dtype)
    }

    fn numbers(
        &self,
        values: &ArrayRef,
        dtype: Dtype,
        depth: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ParquetError> {
        macro_rules! raw {
            ($kind:ty) => {
                bytes.extend_from_slice(values.as_primitive::<$kind>().values().inner())
            };
        }
        match (values.data_type(), dtype) {
            (DataType::Boolean, _) => {
                bytes.extend(values.as_boolean().values().iter().map(u8::from));
            }
            (DataType::UInt16, _) => {
                let values = values.as_primitive::<UInt16Type>().values().iter();
                bytes.extend(values.flat_map(|n| i32::from(*n).to_le_bytes()));
            }
            (DataType::UInt32, _) => {
                let values = values.as_primitive::<UInt32Type>().values().iter();
                bytes.extend(values.flat_map(|n| i64::from(*n).to_le_bytes()));
            }
            (DataType::UInt64, _) => {
                for (place, n) in values.as_primitive::<UInt64Type>().values().iter().enumerate() {
                    let n = i64::try_from(*n).map_err(|_| ParquetError::OutOfRange {
                        path: self.path.to_owned(),
                        column: self.name.to_owned(),
                        row: self.row(place, depth),
                        got: *n,
                    })?;
                    bytes.extend_from_slice(&n.to_le_bytes());
                }
            }
            (_, Dtype::Uint8) => raw!(UInt8Type),
            (_, Dtype::Int8) => raw!(Int8Type),
            (_, Dtype::Int16) => raw!(Int16Type),
            (_, Dtype::Int32) => raw!(Int32Type),
            (_, Dtype::Int64) => raw!(Int64Type),
            (_, Dtype::Float16) => raw!(Float16Type),
            (_, Dtype::Float32) => raw!(Float32Type),
            (_, Dtype::Float64) => raw!(Float64Type),
            (_, Dtype::Bool | Dtype::BFloat16) => {}
        }
        Ok(())
    }
}

/// The labels of a column of integers, of whatever size in each file.
///
/// # Errors
/// As [`column`], and if it holds something else than one integer for each row.
pub(super) fn labels(files: &[Opened<'_>], name: &str) -> Result<Vec<i64>, ParquetError> {
    let of_file = |file: &Opened<'_>| {
        let array = column(std::slice::from_ref(file), name)?;
        if array.is_empty() {
            // As Spark writes them. Of no values the type is not known.
            return Ok(Vec::new());
        }
        array.integers().ok_or_else(|| ParquetError::Type {
            path: file.path.to_owned(),
            column: name.to_owned(),
            got: format!("{} {:?}", array.dtype(), &array.shape()[1..]),
            expected: "one integer for each row",
        })
    };
    let all: Vec<_> = files.par_iter().map(of_file).collect::<Result<_, ParquetError>>()?;
    Ok(all.concat())
}
