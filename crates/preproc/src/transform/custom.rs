//! Transforms of images that are not known here: types and closures of a program.

use std::fmt;
use std::sync::Arc;

use super::{Parameters, Scratch, Step, Transform};
use crate::view::View;
use crate::{Pixels, SampleRng, TransformError};

/// Any [`Transform`] of images, as a member of a list.
#[derive(Clone)]
pub struct Custom(Arc<dyn Transform<Pixels>>);

impl Custom {
    /// `transform`, which every worker runs.
    pub fn new(transform: impl Transform<Pixels> + 'static) -> Self {
        Self(Arc::new(transform))
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.0.name()).field(&self.0.parameters()).finish()
    }
}

/// The same one, not one alike.
impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Parameters for Custom {
    fn name(&self) -> &str {
        self.0.name()
    }
}

impl Step for Custom {
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError> {
        image.change(|pixels, scratch| self.0.apply(pixels, rng, scratch))
    }
}

/// A closure with a name: see [`from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F> {
    name: &'static str,
    function: F,
}

/// A transform of images from a closure, which changes the pixels in place.
///
/// ```
/// use preproc::transform::{Custom, from_fn};
/// use preproc::ImageTransform;
///
/// let no_red = from_fn("no_red", |pixels, _| {
///     pixels.data_mut().chunks_exact_mut(3).for_each(|pixel| pixel[0] = 0);
///     Ok(())
/// });
/// let step = ImageTransform::Custom(Custom::new(no_red));
/// assert_eq!(step.name(), "no_red");
/// ```
pub fn from_fn<F>(name: &'static str, function: F) -> FromFn<F>
where
    F: Fn(&mut Pixels, &mut SampleRng) -> Result<(), TransformError> + Send + Sync,
{
    FromFn { name, function }
}

impl<F> Transform<Pixels> for FromFn<F>
where
    F: Fn(&mut Pixels, &mut SampleRng) -> Result<(), TransformError> + Send + Sync,
{
    fn name(&self) -> &str {
        self.name
    }

    fn apply(
        &self,
        pixels: &mut Pixels,
        rng: &mut SampleRng,
        _: &mut Scratch,
    ) -> Result<(), TransformError> {
        (self.function)(pixels, rng)
    }
}
