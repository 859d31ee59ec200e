//! Transforms of tensors.

use tch::{Kind, Tensor};

use super::{Scratch, Transform};
use crate::benchmark::Sample;
use crate::cache::ShapeKey;
use crate::{Region, SampleRng, TransformError};

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

/// A deterministic transform of tensors and its parameters. Images are `[.., H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorTransform {
    /// To another type.
    Cast(Kind),
    /// `(value - mean) / std`, by channel, of `[.., C, H, W]`; integers become float32 first.
    Normalize {
        /// Subtracted, one for each channel.
        mean: Vec<f64>,
        /// Divided by, one for each channel.
        std: Vec<f64>,
    },
    /// Antialiased bilinear resampling to `[height, width]`; other types than floats go through
    /// float32 and are rounded.
    Resize([i64; 2]),
    /// Cuts a rectangle.
    Crop(Region),
    /// Mirrors left and right.
    HorizontalFlip,
    /// Turns upside down.
    VerticalFlip,
    /// Adds a border of `[left, top, right, bottom]`.
    Pad {
        /// Its widths.
        padding: [i64; 4],
        /// Its value.
        value: f64,
    },
    /// Of int64, one more dimension of so many classes.
    OneHot(i64),
    /// A sequence of tokens, int64 `[L]`, to `[length]`.
    TokenizeAndPad(TokenizeAndPad),
}

/// From integers to tokens of one sequence length: those outside the vocabulary become `unknown`,
/// `begin` and `end` are put around them, what is too long is cut before `end`, and what is too
/// short is padded at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizeAndPad {
    /// Length of the result.
    pub length: i64,
    /// Tokens are from 0 to below this.
    pub vocabulary: i64,
    /// What stands for others.
    pub unknown: i64,
    /// Put before the sequence.
    pub begin: Option<i64>,
    /// Put behind it.
    pub end: Option<i64>,
    /// Fills up.
    pub pad: i64,
}

impl TensorTransform {
    fn of(&self, x: &Tensor, scratch: &Scratch) -> Result<Tensor, TransformError> {
        Ok(match self {
            Self::Cast(kind) => x.f_to_kind(*kind)?,
            Self::Normalize { mean, std } => {
                let x = if x.is_floating_point() {
                    x.shallow_clone()
                } else {
                    x.f_to_kind(Kind::Float)?
                };
                let column = |values: &[f64]| {
                    Tensor::f_from_slice(values)?
                        .f_to_kind(x.kind())?
                        .f_to_device(x.device())?
                        .f_view([-1, 1, 1])
                };
                let key = ShapeKey::of(self, &x);
                let share = |[mean, std]: &[Tensor; 2]| [mean.shallow_clone(), std.shallow_clone()];
                let [mean, std] = match scratch.constants.get(&key, share) {
                    Some(kept) => kept,
                    None => {
                        let made = [column(mean)?, column(std)?];
                        let bytes = made.iter().map(Sample::bytes).sum();
                        scratch.constants.insert(key, share(&made), bytes);
                        made
                    }
                };
                x.f_sub(&mean)?.f_div(&std)?
            }
            Self::Resize(size) => {
                let dim = x.dim();
                let x4 = match dim {
                    3 => x.f_unsqueeze(0)?,
                    4 => x.shallow_clone(),
                    _ => return Err(self.refuse(x, "of `[C, H, W]` or `[N, C, H, W]`")),
                };
                let floats = if x.is_floating_point() { x4 } else { x4.f_to_kind(Kind::Float)? };
                let resized = floats.f_internal_upsample_bilinear2d_aa(*size, false, None, None)?;
                let resized = match x.is_floating_point() {
                    true => resized,
                    false => resized.f_round()?.f_to_kind(x.kind())?,
                };
                if dim == 3 { resized.f_squeeze_dim(0)? } else { resized }
            }
            Self::Crop(Region { left, top, width, height }) => {
                if x.dim() < 2 {
                    return Err(self.refuse(x, "of `[.., H, W]`"));
                }
                let rows = x.f_narrow(-2, i64::from(*top), i64::from(*height))?;
                rows.f_narrow(-1, i64::from(*left), i64::from(*width))?
            }
            Self::HorizontalFlip => x.f_flip([-1])?,
            Self::VerticalFlip => x.f_flip([-2])?,
            Self::Pad { padding: [left, top, right, bottom], value } => {
                x.f_pad([*left, *right, *top, *bottom], "constant", *value)?
            }
            Self::OneHot(classes) => x.f_one_hot(*classes)?,
            Self::TokenizeAndPad(tokens) => tokens.of(x, self)?,
        })
    }

    fn refuse(&self, x: &Tensor, expected: &'static str) -> TransformError {
        let got = format!("{:?} {:?}", x.kind(), x.size());
        TransformError::Tensor { name: self.title(), got, expected }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Cast(_) => "cast",
            Self::Normalize { .. } => "normalize",
            Self::Resize(_) => "resize",
            Self::Crop(_) => "crop",
            Self::HorizontalFlip => "horizontal_flip",
            Self::VerticalFlip => "vertical_flip",
            Self::Pad { .. } => "pad",
            Self::OneHot(_) => "one_hot",
            Self::TokenizeAndPad(_) => "tokenize_and_pad",
        }
    }
}

impl TokenizeAndPad {
    fn of(&self, x: &Tensor, named: &TensorTransform) -> Result<Tensor, TransformError> {
        if x.dim() != 1 || x.kind() != Kind::Int64 {
            return Err(named.refuse(x, "of int64 `[L]`"));
        }
        let values = Vec::<i64>::try_from(x)?;
        let around = i64::from(self.begin.is_some()) + i64::from(self.end.is_some());
        let room = usize::try_from(self.length - around).unwrap_or(0);
        let known = |value: &i64| {
            if (0..self.vocabulary).contains(value) { *value } else { self.unknown }
        };
        let mut tokens: Vec<i64> = self.begin.into_iter().collect();
        tokens.extend(values.iter().take(room).map(known));
        tokens.extend(self.end);
        tokens.resize(usize::try_from(self.length).unwrap_or(0), self.pad);
        Ok(Tensor::f_from_slice(&tokens)?.f_to_device(x.device())?)
    }
}

impl Transform<Tensor> for TensorTransform {
    fn name(&self) -> &str {
        self.title()
    }

    fn parameters(&self) -> String {
        format!("{self:?}")
    }

    fn apply(
        &self,
        tensor: &mut Tensor,
        _: &mut SampleRng,
        scratch: &mut Scratch,
    ) -> Result<(), TransformError> {
        *tensor = self.of(tensor, scratch)?;
        Ok(())
    }
}
