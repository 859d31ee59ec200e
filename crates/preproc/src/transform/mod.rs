//! Transforms: named steps on images, on tensors and on batches.
//!
//! [`Transform`] is the one trait of them all, by what is transformed:
//!
//! - images, [`Pixels`]: the parameter structs of this module, named and parametrised as
//!   torchvision's. [`ImageTransform`] is their form in a configuration and what a
//!   [`Compose`](crate::Compose) plans;
//! - tensors, [`tch::Tensor`]: [`tensor`];
//! - closures on either: [`from_fn`], [`tensor::from_fn`].

pub mod augment;
mod blur;
mod color;
mod crop;
mod custom;
mod erase;
mod flip;
mod list;
mod mix;
mod output;
mod pad;
mod policy;
mod resize;
mod rotation;
pub mod tensor;
mod values;

use std::fmt::Debug;

use tch::Tensor;

use crate::cache::ShapeCache;
use crate::resample::Resizer;
use crate::view::View;
use crate::{ComposeError, Pixels, SampleRng, TransformError};

pub use self::blur::GaussianBlur;
pub use self::color::{ColorChange, ColorJitter, Grayscale, RandomGrayscale};
pub use self::crop::{CenterCrop, RandomResizedCrop};
pub use self::custom::{Custom, FromFn, from_fn};
pub use self::erase::{EraseValue, Noise, RandomErasing};
pub use self::flip::{HorizontalFlip, VerticalFlip};
pub use self::list::ImageTransform;
pub use self::mix::{BatchTransform, CutMix, LabelledBatch, MixUp};
pub use self::output::{Dtype, Element, Layout, Normalize, ToTensor};
pub use self::pad::Pad;
pub use self::policy::{AutoAugment, RandAugment, TrivialAugmentWide};
pub use self::resize::{Resize, ResizeSize, Size};
pub use self::rotation::RandomRotation;
pub use self::values::{Fill, KernelSize, Padding, Spread};

/// A named step on values of type `T`: [`Pixels`] or [`tch::Tensor`].
///
/// ```
/// use preproc::transform::{HorizontalFlip, Scratch};
/// use preproc::{Pixels, SampleRng, Transform};
///
/// let mut pixels = Pixels::default();
/// pixels.reset(2, 1).copy_from_slice(&[1, 2, 3, 4, 5, 6]);
/// let flip = HorizontalFlip { p: 1.0 };
/// flip.apply(&mut pixels, &mut SampleRng::new(0, 0, 0), &mut Scratch::default())?;
/// assert_eq!(pixels.data(), [4, 5, 6, 1, 2, 3]);
/// assert_eq!(flip.name(), "horizontal_flip");
/// # Ok::<(), preproc::TransformError>(())
/// ```
pub trait Transform<T>: Send + Sync {
    /// Its name in a configuration and in reports.
    fn name(&self) -> &str;

    /// Its parameters, however written: of two transforms of one name that write the same, the
    /// results are the same. What has none, such as a closure, leaves it empty.
    fn parameters(&self) -> String {
        String::new()
    }

    /// Puts the result in the place of `value`. A random transform draws from `rng` and from
    /// nothing else: this is what makes a sample the same on whichever worker. `scratch` is memory
    /// that a thread keeps from call to call.
    ///
    /// A tensor is replaced by another; what others see of its memory stays as it was.
    ///
    /// # Errors
    /// If the value is of a kind that cannot be transformed.
    fn apply(
        &self,
        value: &mut T,
        rng: &mut SampleRng,
        scratch: &mut Scratch,
    ) -> Result<(), TransformError>;
}

/// Memory that image transforms use, kept by a thread from one image to the next.
#[derive(Default)]
pub struct Scratch {
    pub(crate) resizer: Resizer,
    /// Where what cannot be done in place is written, then swapped with the image.
    pub(crate) back: Pixels,
    /// Weights of neighbouring pixels.
    pub(crate) weights: Vec<f32>,
    /// A row of weighed pixels.
    pub(crate) line: Vec<f32>,
    /// What tensors of a shape are normalised with: mean and standard deviation.
    pub(crate) constants: ShapeCache<[Tensor; 2]>,
}

/// What a known transform of a list is asked before any image.
pub trait Parameters: Debug {
    /// The name in a configuration.
    fn name(&self) -> &str;

    /// # Errors
    /// If a parameter is out of range.
    fn validate(&self) -> Result<(), ComposeError> {
        Ok(())
    }
}

/// A known transform of images: it works on a view of an image, so that what needs no pixels, such as a
/// crop or a mirroring, can be put off until more is known.
pub trait Step: Parameters + Transform<Pixels> {
    /// Transforms what is seen.
    fn run(&self, image: &mut View<'_>, rng: &mut SampleRng) -> Result<(), TransformError>;

    /// `[height, width]` of what it makes of an image of `shape`; `None` where that depends on the
    /// image.
    fn shape(&self, shape: Option<[u32; 2]>) -> Option<[u32; 2]> {
        shape
    }
}

impl<S: Step> Transform<Pixels> for S {
    fn name(&self) -> &str {
        Parameters::name(self)
    }

    fn parameters(&self) -> String {
        format!("{self:?}")
    }

    fn apply(
        &self,
        pixels: &mut Pixels,
        rng: &mut SampleRng,
        scratch: &mut Scratch,
    ) -> Result<(), TransformError> {
        self.validate()?;
        let mut image = View::of(pixels, scratch);
        self.run(&mut image, rng)?;
        image.pixels()?;
        Ok(())
    }
}

/// `Ok` if `ok`, else an error on `parameter` of the transform `name`.
fn check(
    name: &str,
    ok: bool,
    parameter: &'static str,
    got: impl std::fmt::Debug,
    expected: &'static str,
) -> Result<(), ComposeError> {
    if ok {
        return Ok(());
    }
    Err(ComposeError::Value { name: name.to_owned(), parameter, got: format!("{got:?}"), expected })
}

fn check_probability(name: &str, p: f64) -> Result<(), ComposeError> {
    check(name, (0.0..=1.0).contains(&p), "p", p, "a probability, 0 to 1")
}

/// Whether something of probability `p` happens.
fn happens(p: f64, rng: &mut impl rand::Rng) -> bool {
    rand::RngExt::random::<f64>(rng) < p
}

fn uniform(rng: &mut impl rand::Rng, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * rand::RngExt::random::<f64>(rng)
}

fn half() -> f64 {
    0.5
}
