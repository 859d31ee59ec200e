//! Another data set's samples, changed.

use crate::{Dataset, Field, SampleBuffer, SampleError, Slot};

/// Samples that a function makes of another data set's.
///
/// The function gets a sample with the other data set's fields and writes one with its own. It may
/// draw from `slot.rng`, which goes on where the other data set left it.
///
/// ```
/// use loader::datasets::{Array, Arrays, Map};
/// use loader::{Dtype, Field, Loader};
///
/// let data = Arrays::new([("x", Array::from_values(&[1i64, 2, 3], &[3])?)])?;
/// let halves = Map::new(data, [Field::new("half", [], Dtype::Float32)], |sample, slot| {
///     slot.fields.get_mut::<f32>(0)[0] = sample.get::<i64>(0)[0] as f32 / 2.0;
///     Ok(())
/// });
/// let mut loader = Loader::builder(halves).batch_size(3).num_workers(0).build()?;
/// let batch = loader.epoch(0).next().unwrap()?;
/// assert_eq!(Vec::<f32>::try_from(&batch["half"])?, [0.5, 1.0, 1.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Map<D, F> {
    inner: D,
    fields: Vec<Field>,
    function: F,
}

impl<D, F> Map<D, F>
where
    D: Dataset,
    F: Fn(&SampleBuffer, &mut Slot<'_>) -> Result<(), SampleError> + Send + Sync + 'static,
{
    /// Samples with these `fields`, every element of which `function` writes.
    pub fn new(inner: D, fields: impl Into<Vec<Field>>, function: F) -> Self {
        Self { inner, fields: fields.into(), function }
    }
}

/// What a worker of [`Map`] keeps: the inner data set's, and a sample of it.
pub struct MapWorker<W> {
    inner: W,
    sample: Option<SampleBuffer>,
}

impl<W: Default> Default for MapWorker<W> {
    fn default() -> Self {
        Self { inner: W::default(), sample: None }
    }
}

impl<D, F> Dataset for Map<D, F>
where
    D: Dataset,
    F: Fn(&SampleBuffer, &mut Slot<'_>) -> Result<(), SampleError> + Send + Sync + 'static,
{
    type Worker = MapWorker<D::Worker>;

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    fn load(
        &self,
        index: usize,
        worker: &mut Self::Worker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        let MapWorker { inner, sample } = worker;
        let sample = sample.get_or_insert_with(|| SampleBuffer::new(&self.inner.fields()));
        let rng = slot.rng.clone();
        let (loaded, rng) =
            slot.redirected(sample.fields(), rng, |slot| self.inner.load(index, inner, slot));
        loaded?;
        slot.rng = rng;
        (self.function)(sample, slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        self.inner.origin(index)
    }
}
