//! Mixing the samples of a batch with each other.

use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Scratch, Transform, check};
use crate::{ComposeError, Region, SampleRng, TransformError};

/// Images `[N, C, H, W]` of float type, and labels: int64 `[N]`, or shares of each class `[N, classes]`.
pub type LabelledBatch = (Tensor, Tensor);

/// One transform of batches in a configuration: `{ mix_up = { alpha = 0.2, num_classes = 1000 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchTransform {
    /// [`MixUp`].
    MixUp(MixUp),
    /// [`CutMix`].
    CutMix(CutMix),
}

impl BatchTransform {
    /// # Errors
    /// If a parameter is out of range.
    pub fn validate(&self) -> Result<(), ComposeError> {
        let (Self::MixUp(MixUp { alpha, num_classes })
        | Self::CutMix(CutMix { alpha, num_classes })) = self;
        check(self.name(), *num_classes > 0, "num_classes", num_classes, "1 or more")?;
        beta(self.name(), *alpha).map(|_| ())
    }
}

impl Transform<LabelledBatch> for BatchTransform {
    fn name(&self) -> &str {
        match self {
            Self::MixUp(mix) => mix.name(),
            Self::CutMix(mix) => mix.name(),
        }
    }

    fn apply(
        &self,
        batch: &mut LabelledBatch,
        rng: &mut SampleRng,
        scratch: &mut Scratch,
    ) -> Result<(), TransformError> {
        match self {
            Self::MixUp(mix) => mix.apply(batch, rng, scratch),
            Self::CutMix(mix) => mix.apply(batch, rng, scratch),
        }
    }
}

/// Blends each image, and its label, with the one before it: Zhang et al., 2018. Labels become
/// float32 `[N, num_classes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixUp {
    /// Parameter of the beta distribution that the share is drawn from.
    pub alpha: f64,
    /// How many classes there are.
    pub num_classes: i64,
}

/// Puts a rectangle of each image's neighbour in its place, and mixes their labels by area: Yun et
/// al., 2019. Labels become float32 `[N, num_classes]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutMix {
    /// Parameter of the beta distribution that the share is drawn from.
    pub alpha: f64,
    /// How many classes there are.
    pub num_classes: i64,
}

impl MixUp {
    /// Draws the share that an image keeps of itself.
    ///
    /// # Errors
    /// If `alpha` is not above 0.
    pub fn draw(&self, rng: &mut impl Rng) -> Result<f64, ComposeError> {
        draw_share("mix_up", self.alpha, rng)
    }

    /// Keeps `share` of each image.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn mix(&self, batch: &mut LabelledBatch, share: f64) -> Result<(), TransformError> {
        let (images, labels) = batch;
        *images = blend(images, share)?;
        *labels = blend(&one_hot(labels, self.num_classes)?, share)?;
        Ok(())
    }
}

impl CutMix {
    /// Draws the rectangle of images of `width` x `height` that is replaced; its width or height
    /// may be 0.
    ///
    /// # Errors
    /// If `alpha` is not above 0.
    pub fn draw(
        &self,
        width: u32,
        height: u32,
        rng: &mut impl Rng,
    ) -> Result<Region, ComposeError> {
        let share = draw_share("cut_mix", self.alpha, rng)?;
        let half = 0.5 * (1.0 - share).sqrt();
        let mut side = |length: u32| {
            let middle = i64::from(rng.random_range(0..length.max(1)));
            let half = (half * f64::from(length)) as i64;
            let inside = |at: i64| at.clamp(0, i64::from(length)) as u32;
            (inside(middle - half), inside(middle + half))
        };
        let ((left, right), (top, bottom)) = (side(width), side(height));
        Ok(Region { left, top, width: right - left, height: bottom - top })
    }

    /// Replaces `region` of each image.
    ///
    /// # Errors
    /// If it does not lie in the images, or libtorch refuses.
    pub fn mix(&self, batch: &mut LabelledBatch, region: Region) -> Result<(), TransformError> {
        let (images, labels) = batch;
        let (.., height, width) = images.size4()?;
        let part = |tensor: &Tensor| {
            let columns = tensor.f_narrow(3, region.left.into(), region.width.into())?;
            columns.f_narrow(2, region.top.into(), region.height.into())
        };
        let mut mixed = images.f_empty_like()?;
        mixed.f_copy_(images)?;
        part(&mixed)?.f_copy_(&part(&images.f_roll([1], [0])?)?)?;
        let area = f64::from(region.width) * f64::from(region.height);
        *images = mixed;
        let share = 1.0 - area / (height * width).max(1) as f64;
        *labels = blend(&one_hot(labels, self.num_classes)?, share)?;
        Ok(())
    }
}

impl Transform<LabelledBatch> for MixUp {
    fn name(&self) -> &str {
        "mix_up"
    }

    fn apply(
        &self,
        batch: &mut LabelledBatch,
        rng: &mut SampleRng,
        _: &mut Scratch,
    ) -> Result<(), TransformError> {
        let share = self.draw(rng)?;
        self.mix(batch, share)
    }
}

impl Transform<LabelledBatch> for CutMix {
    fn name(&self) -> &str {
        "cut_mix"
    }

    fn apply(
        &self,
        batch: &mut LabelledBatch,
        rng: &mut SampleRng,
        _: &mut Scratch,
    ) -> Result<(), TransformError> {
        let (.., height, width) = batch.0.size4()?;
        let region = self.draw(width as u32, height as u32, rng)?;
        self.mix(batch, region)
    }
}

fn draw_share(name: &str, alpha: f64, rng: &mut impl Rng) -> Result<f64, ComposeError> {
    Ok(beta(name, alpha)?.sample(rng))
}

fn beta(name: &str, alpha: f64) -> Result<Beta<f64>, ComposeError> {
    Beta::new(alpha, alpha).map_err(|_| ComposeError::Value {
        name: name.to_owned(),
        parameter: "alpha",
        got: format!("{alpha:?}"),
        expected: "above 0",
    })
}

/// `share` of each row and the rest of the one before it, of the last for the first.
fn blend(rows: &Tensor, share: f64) -> Result<Tensor, TransformError> {
    Ok(rows.f_roll([1], [0])?.f_lerp(rows, share)?)
}

fn one_hot(labels: &Tensor, num_classes: i64) -> Result<Tensor, TransformError> {
    let labels =
        if labels.dim() == 1 { labels.f_one_hot(num_classes)? } else { labels.shallow_clone() };
    Ok(labels.f_to_kind(Kind::Float)?)
}
