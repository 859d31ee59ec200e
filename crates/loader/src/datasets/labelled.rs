//! What data sets of encoded images with a class share: their fields, what a worker keeps, and the
//! way from a file's bytes to the slot.

use half::bf16;
use preproc::transform::Dtype as SampleDtype;
use preproc::{Compose, Worker};

use crate::{Dtype, Field, SampleError, Slot};

/// What a worker of a data set of images keeps: a file's bytes, decoder and images.
#[derive(Default)]
pub struct ImageWorker {
    pub(super) bytes: Vec<u8>,
    pub(super) transforms: Worker,
}

/// `images`, `[3, H, W]` of the type and layout of the transforms, and `labels`, int64.
pub(super) fn fields(compose: &Compose) -> Vec<Field> {
    let dtype = match compose.dtype() {
        SampleDtype::Uint8 => Dtype::Uint8,
        SampleDtype::Float32 => Dtype::Float32,
        SampleDtype::BFloat16 => Dtype::BFloat16,
    };
    vec![
        Field::new("images", compose.shape(), dtype).layout(compose.layout()),
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
    let Slot { rng, clock, fields } = slot;
    match compose.dtype() {
        SampleDtype::Uint8 => {
            compose.apply::<u8>(bytes, rng, transforms, clock, fields.get_mut(0))?;
        }
        SampleDtype::Float32 => {
            compose.apply::<f32>(bytes, rng, transforms, clock, fields.get_mut(0))?;
        }
        SampleDtype::BFloat16 => {
            compose.apply::<bf16>(bytes, rng, transforms, clock, fields.get_mut(0))?;
        }
    }
    slot.fields.get_mut::<i64>(1)[0] = label;
    Ok(())
}
