//! Rows of Parquet files: [images in a column](ParquetImages), or
//! [numeric columns](crate::Arrays::parquet).

mod cache;
mod error;
mod numbers;
mod pages;
mod source;

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
    RowSelector,
};
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::SchemaDescriptor;
use preproc::Compose;
use profiler::stage::Stage;
use rayon::prelude::*;
use thiserror::Error;

pub use error::ParquetError;

use self::cache::{BATCH, Cache, Rows};
use self::numbers::Opened;
use self::source::{Source, guarded, no_column, of, schema};
use super::handles::Handles;
use super::{Files, ImageWorker, labelled};
use crate::{Dataset, Field, SampleError, Slot};

/// Bytes of decoded pages that are kept, if not said otherwise: 256 MiB.
pub const CACHE_BYTES: usize = 256 << 20;

/// Images in a column of Parquet files, with labels in another: `images`, `[3, H, W]`, uint8,
/// float32 or bfloat16 as the transforms leave them, and `labels`, int64.
///
/// The column holds the bytes of image files, by themselves or in a struct with a member `bytes` as
/// HuggingFace's data sets have it. Labels are integers, and read at opening.
///
/// **What order costs.** The least that can be decoded alone is a page. Opening finds all pages, by
/// the file's index or else by their headers; decoded pages are shared by the workers and kept up to
/// [`cache_bytes`](Self::cache_bytes). In order, a page is decoded once. Shuffled as a whole, nearly
/// every image costs the decoding of a page, unless all fit into the cache. Between the two lies
/// [`ShuffleBuffer`](crate::sampler::ShuffleBuffer) over [`row_groups`](Self::row_groups): it is cheap as
/// long as the pages of a buffer's images fit.
///
/// How large pages are is the writer's choice. pyarrow looks at their size only after 1,024 rows, so
/// that a whole row group of images becomes one page; written with `write_batch_size=1` (and
/// `compression="none"`, since images are compressed already) there is a page for each image, and
/// any order costs the same.
///
/// Of a damaged file, no more is read at a time than it holds; a page may claim to be 2 GiB when
/// decompressed.
///
/// ```
/// use loader::{Loader, ParquetImages};
/// use preproc::transform::{Resize, ResizeSize, ToTensor};
/// use preproc::{Compose, DecodeOptions, ImageTransform};
///
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/shards/images-huggingface.parquet");
/// # /*
/// let file = "images-huggingface.parquet";
/// # */
/// let resize = ImageTransform::Resize(Resize { size: ResizeSize::Exact([64, 64]) });
/// let transforms = vec![ImageTransform::Decode, resize, ImageTransform::ToTensor(ToTensor::default())];
/// let compose = Compose::new(transforms, DecodeOptions::default())?;
/// let dataset = ParquetImages::open(file, "image", "label", compose)?;
/// let mut loader = Loader::builder(dataset).batch_size(4).num_workers(1).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// assert_eq!(batch["images"].size(), [4, 3, 64, 64]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ParquetImages {
    handles: Handles,
    files: Vec<Columns>,
    pages: Vec<Page>,
    row_groups: Vec<Range<usize>>,
    labels: Vec<i64>,
    column: String,
    cache: Cache,
    compose: Compose,
}

/// A file with the places of its pages, and the leaf column of its images.
#[derive(Debug)]
struct Columns {
    metadata: ArrowReaderMetadata,
    leaf: usize,
    /// Number of its first row in the data set.
    start: usize,
}

/// Rows of one page.
#[derive(Debug)]
struct Page {
    /// Number of its first row in the data set.
    start: usize,
    file: u32,
    group: u32,
    /// First row in the row group, and how many.
    first: usize,
    rows: usize,
}

impl ParquetImages {
    /// Finds the images in the column `images` of `files`, and reads the column `labels`.
    ///
    /// # Errors
    /// If a file is missing, damaged or no Parquet file, or a column is not there or holds something
    /// else.
    pub fn open(
        files: impl Into<Files>,
        images: &str,
        labels: &str,
        compose: Compose,
    ) -> Result<Self, ParquetError> {
        let handles = Handles::new(files.into().paths("parquet")?);
        let opened = Opened::all(&handles)?;
        let found: Vec<_> = opened
            .par_iter()
            .map(|file| {
                let Opened { path, metadata, .. } = file;
                guarded(path, || {
                    let leaf = leaf(path, schema(metadata.metadata()), images)?;
                    let source = file.source()?;
                    let (metadata, rows) = pages::with_pages(path, &source, metadata, leaf)?;
                    Ok((metadata, leaf, rows))
                })
            })
            .collect::<Result<_, ParquetError>>()?;
        let labels = numbers::labels(&opened, labels)?;
        let (mut files, mut pages, mut row_groups, mut start) = (vec![], vec![], vec![], 0);
        for (file, (metadata, leaf, groups)) in found.into_iter().enumerate() {
            files.push(Columns { metadata, leaf, start });
            for (group, rows) in groups.into_iter().enumerate() {
                let group_start = start;
                for (first, rows) in rows.into_iter().filter(|(_, rows)| *rows > 0) {
                    let (file, group) = (file as u32, group as u32);
                    pages.push(Page { start, file, group, first, rows });
                    start += rows;
                }
                row_groups.push(group_start..start);
            }
        }
        let (cache, column) = (Cache::new(CACHE_BYTES), images.to_owned());
        Ok(Self { handles, files, pages, row_groups, labels, column, cache, compose })
    }

    /// Keeps up to `bytes` of decoded pages, and at least one, instead of [`CACHE_BYTES`].
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache.limit = bytes;
        self
    }

    /// The range of the rows of each row group.
    pub fn row_groups(&self) -> &[Range<usize>] {
        &self.row_groups
    }

    /// The files.
    pub fn paths(&self) -> &[PathBuf] {
        self.handles.paths()
    }

    /// The label of each row.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The transforms.
    pub fn compose(&self) -> &Compose {
        &self.compose
    }

    /// The bytes of the file of image `index`, as it is stored.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn file(&self, index: usize) -> Result<Vec<u8>, SampleError> {
        Ok(self.with_file(index, <[u8]>::to_vec)?)
    }

    fn with_file<R>(&self, index: usize, of: impl FnOnce(&[u8]) -> R) -> Result<R, RowError> {
        let number = self.pages.partition_point(|page| page.start <= index) - 1;
        let page = &self.pages[number];
        let row = index - page.start;
        let of_row = |rows: &Rows| {
            let null = || RowError::Null { column: self.column.clone() };
            Ok(of(binary(&rows[row / BATCH], row % BATCH).ok_or_else(null)?))
        };
        self.cache.with(number, || self.decode(page), of_row).map_err(RowError::Parquet)?
    }

    fn decode(&self, page: &Page) -> Result<Rows, ParquetError> {
        let path = self.handles.path(page.file as usize);
        let Columns { metadata, leaf, .. } = &self.files[page.file as usize];
        let source = Source::open(&self.handles, page.file as usize)?;
        guarded(path, || {
            let mask = ProjectionMask::leaves(schema(metadata.metadata()), [*leaf]);
            let rows = vec![RowSelector::skip(page.first), RowSelector::select(page.rows)];
            let reader =
                ParquetRecordBatchReaderBuilder::new_with_metadata(source, metadata.clone())
                    .with_projection(mask)
                    .with_row_groups(vec![page.group as usize])
                    .with_row_selection(RowSelection::from(rows))
                    .with_row_selection_policy(RowSelectionPolicy::Selectors)
                    .with_batch_size(BATCH)
                    .build()
                    .map_err(|cause| of(path, cause))?;
            let batches = reader.map(|batch| {
                let mut rows = batch?.column(0).clone();
                // Memory grew by doubling; where it is kept, half of it may be free.
                if let Some(rows) = Arc::get_mut(&mut rows) {
                    rows.shrink_to_fit();
                }
                Ok(rows)
            });
            let batches = batches.collect::<Result<Rows, arrow_schema::ArrowError>>();
            let batches = batches.map_err(|cause| of(path, cause.into()))?;
            // A footer that lies about the rows of the file makes smaller ones.
            if batches.iter().rev().skip(1).any(|batch| batch.len() != BATCH) {
                let why = "its footer says another number of rows than its row groups".to_owned();
                return Err(of(path, parquet::errors::ParquetError::General(why)));
            }
            let got = batches.iter().map(|batch| batch.len()).sum::<usize>();
            if got != page.rows {
                return Err(ParquetError::Rows {
                    path: path.to_owned(),
                    column: self.column.clone(),
                    group: page.group as usize,
                    expected: page.rows as i64,
                    got: got as u64,
                });
            }
            Ok(batches)
        })
    }
}

/// Why a row gives no image.
#[derive(Debug, Error)]
enum RowError {
    #[error("the column `{column}` has no value there")]
    Null { column: String },
    #[error(transparent)]
    Parquet(Arc<ParquetError>),
}

impl Dataset for ParquetImages {
    type Worker = ImageWorker;

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn fields(&self) -> Vec<Field> {
        labelled::fields(&self.compose)
    }

    fn load(
        &self,
        index: usize,
        worker: &mut ImageWorker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        slot.clock.enter(Stage::Read);
        self.with_file(index, |bytes| {
            let transforms = &mut worker.transforms;
            labelled::write(&self.compose, bytes, self.labels[index], transforms, slot)
        })?
    }

    /// By the files' names and where their rows begin, the column's name and the labels.
    fn fingerprint(&self, mut hasher: &mut dyn Hasher) {
        for (path, file) in self.paths().iter().zip(&self.files) {
            (path.file_name(), file.start).hash(&mut hasher);
        }
        (&self.column, &self.labels).hash(&mut hasher);
    }

    fn origin(&self, index: usize) -> Option<String> {
        let after = self.pages.partition_point(|page| page.start <= index);
        let page = self.pages[..after].last().filter(|page| index < page.start + page.rows)?;
        let row = index - self.files[page.file as usize].start;
        Some(format!("{}: row {row}", self.handles.path(page.file as usize).display()))
    }
}

/// The bytes of a row, which may lie in structs.
fn binary(values: &ArrayRef, row: usize) -> Option<&[u8]> {
    if values.is_null(row) {
        return None;
    }
    match values.as_struct_opt() {
        Some(parts) => binary(parts.columns().first()?, row),
        None => values.as_binary_opt::<i32>().map(|values| values.value(row)),
    }
}

/// The leaf column of the images: `column` itself or its member `bytes`.
fn leaf(
    path: &std::path::Path,
    schema: &SchemaDescriptor,
    column: &str,
) -> Result<usize, ParquetError> {
    let member = format!("{column}.bytes");
    let leaf = schema.columns().iter().position(|leaf| {
        let name = leaf.path().string();
        name == column || name == member
    });
    let wrong = |got: String| ParquetError::Type {
        path: path.to_owned(),
        column: column.to_owned(),
        got,
        expected: "the bytes of image files, alone or as the member `bytes` of a struct",
    };
    let Some(leaf) = leaf else {
        let fields = schema.root_schema().get_fields();
        return Err(match fields.iter().find(|field| field.name() == column) {
            Some(_) => wrong("a struct or a list".to_owned()),
            None => no_column(path, schema, column),
        });
    };
    let descriptor = schema.column(leaf);
    let text = matches!(descriptor.logical_type_ref(), Some(LogicalType::String))
        || descriptor.converted_type() == ConvertedType::UTF8;
    match descriptor.physical_type() {
        _ if descriptor.max_rep_level() > 0 => Err(wrong("lists".to_owned())),
        _ if text => Err(wrong("text".to_owned())),
        Type::BYTE_ARRAY => Ok(leaf),
        other => Err(wrong(other.to_string())),
    }
}
