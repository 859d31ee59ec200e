//! What data sets of encoded images with a class share: their fields, what a worker keeps, and the
//! way from a file's bytes to the slot.

use preproc::{Compose, Worker};

use crate::{Dtype, Field, SampleError, Slot};

/// What a worker of a data set of images keeps: a file's bytes, decoder and images.
#[derive(Default)]
pub struct ImageWorker {
    pub(super) bytes: Vec<u8>,
    pub(super) transforms: Worker,
}

/// `images`, float32 `[3, H, W]`, and `labels`, int64.
pub(super) fn fields(compose: &Compose) -> Vec<Field> {
    vec![
        Field::new("images", compose.shape(), Dtype::Float32),
        Field::new("labels", [], Dtype::Int64),
    ]
}

/// Writes the image file `bytes` and its label.
pub(super) fn write(
    compose: &Compose,
    bytes: &[u8],
    label: i64,
    transforms: &mut Worker,
    slot: &mut Slot<'_>,
) -> Result<(), SampleError> {
    let image = slot.fields.get_mut::<f32>(0);
    compose.apply(bytes, &mut slot.rng, transforms, slot.clock, image)?;
    slot.fields.get_mut::<i64>(1)[0] = label;
    Ok(())
}
