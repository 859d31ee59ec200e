//! Where the pages of a column lie: the least that can be decoded alone.
//!
//! Few writers add an index of pages by default. Where there is none, the pages' headers are read
//! and their contents jumped over, once at opening, and the index is made of that. With it, a row
//! costs the decoding of its page, and not of all pages of the row group.

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::column::page::PageReader;
use parquet::errors::ParquetError as Cause;
use parquet::file::metadata::page_index::PageIndexProvider;
use parquet::file::metadata::{OffsetIndexBuilder, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::error::ParquetError;
use super::source::{Source, of, schema};

/// The pages of one column in each row group.
#[derive(Debug)]
struct Pages {
    column: usize,
    groups: Vec<OffsetIndexMetaData>,
}

impl PageIndexProvider for Pages {
    fn has_offset_indexes(&self) -> bool {
        true
    }

    fn has_column_indexes(&self) -> bool {
        false
    }

    fn column_index(&self, _: usize, _: usize) -> Option<&ColumnIndexMetaData> {
        None
    }

    fn offset_index(&self, group: usize, column: usize) -> Option<&OffsetIndexMetaData> {
        self.groups.get(group).filter(|_| column == self.column)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// First row and number of rows of each page in one row group.
pub(super) type GroupPages = Vec<(usize, usize)>;

/// The same metadata with the places of all pages of leaf column `column`, and the rows in them.
///
/// # Errors
/// If a page's header makes no sense, or pages do not hold the rows they should.
pub(super) fn with_pages(
    path: &Path,
    source: &Source,
    metadata: &ArrowReaderMetadata,
    column: usize,
) -> Result<(ArrowReaderMetadata, Vec<GroupPages>), ParquetError> {
    let file = metadata.metadata();
    let (mut groups, mut rows) = (Vec::new(), Vec::new());
    for number in 0..file.num_row_groups() {
        let total = file.row_group(number).num_rows();
        let there = file.page_index().and_then(|index| index.offset_index(number, column));
        let (index, pages) = match there.and_then(|index| Some((index, in_order(index, total)?))) {
            Some((index, pages)) => (index.clone(), pages),
            None => {
                let index =
                    walked(source, file, number, column).map_err(|cause| of(path, cause))?;
                let got = index.1;
                let pages = in_order(&index.0, total).filter(|_| got == total as u64);
                let pages = pages.ok_or_else(|| ParquetError::Rows {
                    path: path.to_owned(),
                    column: schema(file).column(column).path().string(),
                    group: number,
                    expected: total,
                    got,
                })?;
                (index.0, pages)
            }
        };
        groups.push(index);
        rows.push(pages);
    }
    let file = ParquetMetaData::clone(file).into_builder();
    let file = file.set_page_index(Some(Arc::new(Pages { column, groups }))).build();
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::try_new(Arc::new(file), options).map_err(|cause| of(path, cause))?;
    Ok((metadata, rows))
}

/// The rows of each page, if they follow one another from 0 to `total`.
fn in_order(index: &OffsetIndexMetaData, total: i64) -> Option<GroupPages> {
    let starts = index.page_locations().iter().map(|page| page.first_row_index);
    let ends = starts.clone().skip(1).chain([total]);
    let mut next = 0;
    let pages: Option<GroupPages> = starts
        .zip(ends)
        .map(|(start, end)| {
            let follows = start == next && start <= end;
            next = end;
            follows.then_some((start as usize, (end - start) as usize))
        })
        .collect();
    pages.filter(|_| next == total)
}

/// The pages of a column, and their rows together, from the pages' headers.
fn walked(
    source: &Source,
    file: &ParquetMetaData,
    group: usize,
    column: usize,
) -> Result<(OffsetIndexMetaData, u64), Cause> {
    let group = file.row_group(group);
    let chunk = group.column(column);
    let (start, len) = chunk.byte_range();
    let end = start.checked_add(len).ok_or(Cause::EOF("a column ends beyond the file".into()))?;
    // The reader says what a header holds but not where it is: it begins to read there.
    let (watched, begun) = source.watched();
    let mut reader = SerializedPageReader::new(Arc::new(watched), chunk, 0, None)?;
    let (mut data, mut total) = (Vec::new(), 0_u64);
    while let Some(page) = reader.peek_next_page()? {
        let rows = page.num_rows.or(page.num_levels).unwrap_or(0);
        let at = begun.lock().unwrap_or_else(PoisonError::into_inner).len().saturating_sub(1);
        if !page.is_dict {
            data.push((at, rows as i64));
            total = total.saturating_add(rows as u64);
        }
        reader.skip_next_page()?;
    }
    let starts = begun.lock().unwrap_or_else(PoisonError::into_inner);
    let mut index = OffsetIndexBuilder::new();
    let mut seen = 0_i64;
    for (at, rows) in data {
        let page_end = starts.get(at + 1).copied().unwrap_or(end);
        let size = page_end.checked_sub(starts[at]).and_then(|size| i32::try_from(size).ok());
        let size = size.ok_or(Cause::EOF("a page ends beyond its column".into()))?;
        seen = seen.checked_add(rows).ok_or(Cause::General("too many rows".into()))?;
        index.append_row_count(rows);
        index.append_offset_and_size(starts[at] as i64, size);
    }
    Ok((index.build(), total))
}
