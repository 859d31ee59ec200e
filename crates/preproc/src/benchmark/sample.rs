//! What a benchmark must know of the values that transforms work on.

use tch::{Device, Kind, TchError, Tensor};

use crate::Pixels;

/// A value that transforms can be measured on.
pub trait Sample: Send + Sized + 'static {
    /// Whether libtorch spreads a call over threads of its own.
    const LIBTORCH_THREADS: bool = false;

    /// Its shape, outermost first.
    fn shape(&self) -> Vec<i64>;

    /// Type of its elements.
    fn dtype(&self) -> Kind;

    /// Where it lies.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// Bytes of its elements.
    fn bytes(&self) -> u64 {
        elements(&self.shape()) * self.dtype().elt_size_in_bytes() as u64
    }

    /// The same values in memory of its own: what a transform does to it, nobody else sees.
    ///
    /// # Errors
    /// If libtorch has no memory for it.
    fn fresh(&self) -> Result<Self, TchError>;

    /// The same value, as cheap as it can be had: what finding a kept result costs.
    fn share(&self) -> Self;

    /// Whether an element is not a number.
    ///
    /// # Errors
    /// If libtorch cannot tell.
    fn has_nan(&self) -> Result<bool, TchError>;
}

/// Elements of a tensor of `shape`.
pub(super) fn elements(shape: &[i64]) -> u64 {
    shape.iter().map(|side| side.unsigned_abs()).product()
}

/// uint8 `[H, W, 3]`.
impl Sample for Pixels {
    fn shape(&self) -> Vec<i64> {
        vec![self.height().into(), self.width().into(), 3]
    }

    fn dtype(&self) -> Kind {
        Kind::Uint8
    }

    fn fresh(&self) -> Result<Self, TchError> {
        Ok(self.clone())
    }

    fn share(&self) -> Self {
        self.clone()
    }

    fn has_nan(&self) -> Result<bool, TchError> {
        Ok(false)
    }
}

impl Sample for Tensor {
    const LIBTORCH_THREADS: bool = true;

    fn shape(&self) -> Vec<i64> {
        self.size()
    }

    fn dtype(&self) -> Kind {
        self.kind()
    }

    fn device(&self) -> Device {
        Tensor::device(self)
    }

    fn fresh(&self) -> Result<Self, TchError> {
        let mut copy = self.f_detach()?.f_empty_like()?;
        copy.f_copy_(&self.f_detach()?)?;
        Ok(copy)
    }

    fn share(&self) -> Self {
        self.shallow_clone()
    }

    fn has_nan(&self) -> Result<bool, TchError> {
        Ok(self.f_is_floating_point()? && self.f_isnan()?.f_any()?.f_int64_value(&[])? != 0)
    }
}

/// A batch `[B, ..]` of `size` distinct samples like `sample`: each is `sample` with its elements
/// moved along by one more step, so that values keep their distribution and their type.
///
/// # Errors
/// If libtorch has no memory for it.
pub(super) fn batch_of(sample: &Tensor, size: usize) -> Result<Tensor, TchError> {
    let flat = sample.f_detach()?.f_reshape([-1])?;
    let moved: Vec<Tensor> =
        (0..size as i64).map(|by| flat.f_roll([by], [0])).collect::<Result<_, _>>()?;
    let shape: Vec<i64> = std::iter::once(size as i64).chain(sample.size()).collect();
    Tensor::f_stack(&moved, 0)?.f_reshape(shape)
}
