//! What a data set is.

use std::error::Error;
use std::hash::Hasher;
use std::sync::Arc;

use preproc::SampleRng;
use preproc::transform::Layout;
use profiler::stage::StageClock;

use crate::Dtype;
use crate::fields::Fields;

/// Samples of one shape, found by index.
///
/// A worker calls [`load`](Self::load), which writes the sample straight into its place in the
/// batch. A data set holds no tensors: they may not be shared between threads.
///
/// ```
/// use loader::{Dataset, Dtype, Field, SampleError, Slot};
///
/// /// The numbers from 0 and their squares.
/// struct Squares(usize);
///
/// impl Dataset for Squares {
///     type Worker = ();
///     fn len(&self) -> usize {
///         self.0
///     }
///     fn fields(&self) -> Vec<Field> {
///         vec![Field::new("x", [], Dtype::Float32), Field::new("y", [], Dtype::Float32)]
///     }
///     fn load(&self, index: usize, _: &mut (), slot: &mut Slot) -> Result<(), SampleError> {
///         slot.fields.get_mut::<f32>(0)[0] = index as f32;
///         slot.fields.get_mut::<f32>(1)[0] = (index * index) as f32;
///         Ok(())
///     }
/// }
///
/// let mut loader = loader::Loader::builder(Squares(100)).batch_size(10).num_workers(2).build()?;
/// for batch in loader.epoch(0) {
///     let batch = batch?;
///     assert_eq!(batch["x"].square(), batch["y"]);
/// }
/// # Ok::<(), loader::LoaderError>(())
/// ```
pub trait Dataset: Send + Sync + 'static {
    /// What one worker keeps from sample to sample: decoders, buffers. `()` for nothing.
    type Worker: Default + Send;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name, shape and type of each part of a sample. A batch has a tensor for each.
    fn fields(&self) -> Vec<Field>;

    /// Writes sample `index` to `slot`, every element of every field.
    ///
    /// What is written may depend on `index` and on what is drawn from `slot.rng`, and on nothing
    /// else: this is what makes batches the same for every number of workers.
    ///
    /// # Errors
    /// Whatever goes wrong; it reaches the training loop in the batch where it belongs.
    fn load(
        &self,
        index: usize,
        worker: &mut Self::Worker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError>;

    /// Where sample `index` comes from, for error messages: a path.
    fn origin(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// Waits until what is stored of sample `index` is in memory, so that
    /// [`load`](Self::load) need not. Called by the `io_threads` of a loader, ahead of its
    /// workers. Does nothing by default.
    fn readahead(&self, index: usize) {
        let _ = index;
    }

    /// Tells `hasher` what tells this data from other data of as many samples: the names of its
    /// files, for example. A [`LoaderState`](crate::LoaderState) is good for the same data only.
    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        let _ = hasher;
    }
}

/// A data set that several loaders share, or that the program keeps a hand on.
impl<D: Dataset> Dataset for Arc<D> {
    type Worker = D::Worker;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn fields(&self) -> Vec<Field> {
        (**self).fields()
    }

    fn load(
        &self,
        index: usize,
        worker: &mut Self::Worker,
        slot: &mut Slot<'_>,
    ) -> Result<(), SampleError> {
        (**self).load(index, worker, slot)
    }

    fn origin(&self, index: usize) -> Option<String> {
        (**self).origin(index)
    }

    fn readahead(&self, index: usize) {
        (**self).readahead(index);
    }

    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        (**self).fingerprint(hasher);
    }
}

/// Why a sample could not be loaded.
pub type SampleError = Box<dyn Error + Send + Sync>;

/// One part of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, by which a [`Batch`](crate::Batch) finds the tensor.
    pub name: String,
    /// Shape in one sample; `[]` for a number.
    pub shape: Vec<usize>,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Order of its elements in memory; row-major if not said otherwise.
    pub layout: Layout,
}

impl Field {
    /// A field of `shape` for each sample.
    pub fn new(name: &str, shape: impl Into<Vec<usize>>, dtype: Dtype) -> Self {
        Self { name: name.to_owned(), shape: shape.into(), dtype, layout: Layout::default() }
    }

    /// The same with its elements in another order: [`Layout::ChannelsLast`] of `[C, H, W]` are
    /// written as `[H, W, C]`, and the batch is a tensor `[N, C, H, W]` in libtorch's memory format
    /// `channels_last`. Shapes of other than three sides have but one order.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Sides of a sample as they lie in memory, and whether channels come last there.
    pub(crate) fn in_memory(&self) -> (Vec<usize>, bool) {
        match (&self.shape[..], self.layout) {
            (&[channels, height, width], Layout::ChannelsLast) => {
                (vec![height, width, channels], true)
            }
            _ => (self.shape.clone(), false),
        }
    }

    /// Elements in one sample; `usize::MAX` if there are more.
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |elements, side| elements.saturating_mul(*side))
    }

    /// Bytes in one sample; `usize::MAX` if there are more.
    pub fn bytes(&self) -> usize {
        self.elements().saturating_mul(self.dtype.bytes())
    }
}

/// Where a sample goes, and what it draws from.
pub struct Slot<'a> {
    /// The sample's own randomness, keyed by (seed, epoch, index).
    pub rng: SampleRng,
    /// Call [`enter`](StageClock::enter) on it where one stage ends and the next begins.
    pub clock: &'a mut StageClock,
    /// The memory to write.
    pub fields: Fields<'a>,
}
