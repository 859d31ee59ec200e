//! Transforms of tensors.

use tch::Tensor;

use super::{Scratch, Transform};
use crate::{SampleRng, TransformError};

/// A closure on tensors with a name: see [`from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F> {
    name: &'static str,
    function: F,
}

/// A transform of tensors from a closure.
///
/// ```
/// use preproc::transform::{Scratch, tensor};
/// use preproc::{SampleRng, Transform};
/// use tch::Tensor;
///
/// let double = tensor::from_fn("double", |x: &Tensor| Ok(x.f_mul_scalar(2)?));
/// let mut x = Tensor::from_slice(&[1.0, 2.0]);
/// double.apply(&mut x, &mut SampleRng::new(0, 0, 0), &mut Scratch::default())?;
/// assert_eq!(x, Tensor::from_slice(&[2.0, 4.0]));
/// # Ok::<(), preproc::TransformError>(())
/// ```
pub fn from_fn<F>(name: &'static str, function: F) -> FromFn<F>
where
    F: Fn(&Tensor) -> Result<Tensor, TransformError> + Send + Sync,
{
    FromFn { name, function }
}

impl<F> Transform<Tensor> for FromFn<F>
where
    F: Fn(&Tensor) -> Result<Tensor, TransformError> + Send + Sync,
{
    fn name(&self) -> &str {
        self.name
    }

    fn apply(
        &self,
        tensor: &mut Tensor,
        _: &mut SampleRng,
        _: &mut Scratch,
    ) -> Result<(), TransformError> {
        *tensor = (self.function)(tensor)?;
        Ok(())
    }
}
