//! One data set after the other.

use std::hash::Hasher;

use super::error::{DatasetError, FieldList};
use crate::{Dataset, Field, SampleError, Slot};

/// Data sets with the same fields, one after the other.
///
/// ```
/// use loader::Dataset;
/// use loader::datasets::{Array, Arrays, Concat};
///
/// let part = |values: &[i64]| {
///     Arrays::new([("x", Array::from_values(values, &[values.len()])?)])
/// };
/// let data = Concat::new([part(&[1, 2])?, part(&[3])?])?;
/// assert_eq!(data.len(), 3);
/// # Ok::<(), loader::error::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Concat<D> {
    parts: Vec<D>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl<D: Dataset> Concat<D> {
    /// All samples of the first of `parts`, then all of the second, and so on.
    ///
    /// # Errors
    /// If there is none, or one has other fields than the first.
    pub fn new(parts: impl IntoIterator<Item = D>) -> Result<Self, DatasetError> {
        let parts: Vec<D> = parts.into_iter().collect();
        let expected = parts.first().ok_or(DatasetError::NoParts)?.fields();
        for (number, part) in parts.iter().enumerate() {
            let got = part.fields();
            if got != expected {
                let (got, expected) = (FieldList(got), FieldList(expected));
                return Err(DatasetError::OtherFields { number, got, expected });
            }
        }
        let mut end = 0;
        let ends = parts.iter().map(|part| {
            end += part.len();
            end
        });
        Ok(Self { ends: ends.collect(), parts })
    }

    /// The number of the part that holds sample `index`, and its index there.
    fn find(&self, index: usize) -> (usize, usize) {
        let part = self.ends.partition_point(|end| *end <= index);
        let start = if part == 0 { 0 } else { self.ends[part - 1] };
        (part, index - start)
    }
}

/// What a worker of [`Concat`] keeps: one of each part's, made when it is first needed.
pub struct ConcatWorker<W>(Vec<Option<W>>);

impl<W> Default for ConcatWorker<W> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<D: Dataset> Dataset for Concat<D> {
    type Worker = ConcatWorker<D::Worker>;

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn fields(&self) -> Vec<Field> {
        self.parts.first().map(D::fields).unwrap_or_default()
    }

    fn load(
        &self,
        index: usize,
        worker: &mut Self::Worker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        let (part, index) = self.find(index);
        worker.0.resize_with(self.parts.len(), || None);
        self.parts[part].load(index, worker.0[part].get_or_insert_default(), slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        let (part, index) = self.find(index);
        self.parts.get(part)?.origin(index)
    }

    fn readahead(&self, index: usize) {
        let (part, index) = self.find(index);
        self.parts[part].readahead(index);
    }

    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        for part in &self.parts {
            hasher.write_u64(part.len() as u64);
            part.fingerprint(hasher);
        }
    }
}
