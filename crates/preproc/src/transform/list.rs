//! The transforms of a configuration.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    AutoAugment, CenterCrop, ColorJitter, Custom, GaussianBlur, Grayscale, HorizontalFlip,
    Normalize, Pad, Parameters, RandAugment, RandomErasing, RandomGrayscale, RandomResizedCrop,
    RandomRotation, Resize, Step, ToTensor, Transform, TrivialAugmentWide, VerticalFlip,
};
use crate::{ComposeError, Pixels, Region};

/// One step from the bytes of a file to a sample.
///
/// In TOML a list of them reads
/// `["decode", { random_resized_crop = { size = 224 } }, "horizontal_flip", "to_tensor"]`: a table
/// of one key, or the name alone where every parameter is left at its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", remote = "Self")]
pub enum ImageTransform {
    /// Bytes to RGB pixels.
    Decode,
    /// [`Resize`].
    Resize(Resize),
    /// Cuts a fixed rectangle.
    Crop(Region),
    /// [`RandomResizedCrop`].
    RandomResizedCrop(RandomResizedCrop),
    /// [`CenterCrop`].
    CenterCrop(CenterCrop),
    /// [`Pad`].
    Pad(Pad),
    /// [`HorizontalFlip`].
    HorizontalFlip(HorizontalFlip),
    /// [`VerticalFlip`].
    VerticalFlip(VerticalFlip),
    /// [`RandomRotation`].
    RandomRotation(RandomRotation),
    /// [`ColorJitter`].
    ColorJitter(ColorJitter),
    /// [`Grayscale`].
    Grayscale(Grayscale),
    /// [`RandomGrayscale`].
    RandomGrayscale(RandomGrayscale),
    /// [`GaussianBlur`].
    GaussianBlur(GaussianBlur),
    /// [`RandAugment`].
    RandAugment(RandAugment),
    /// [`AutoAugment`].
    AutoAugment(AutoAugment),
    /// [`TrivialAugmentWide`].
    TrivialAugmentWide(TrivialAugmentWide),
    /// [`ToTensor`].
    ToTensor(ToTensor),
    /// [`Normalize`].
    Normalize(Normalize),
    /// [`RandomErasing`].
    RandomErasing(RandomErasing),
    /// A transform of the program's own, which has no form in a configuration.
    #[serde(skip)]
    Custom(Custom),
}

impl ImageTransform {
    /// The name in a configuration.
    pub fn name(&self) -> &str {
        self.parameters().map_or("decode", Parameters::name)
    }

    /// # Errors
    /// If a parameter is out of range.
    pub(crate) fn validate(&self) -> Result<(), ComposeError> {
        self.parameters().map_or(Ok(()), Parameters::validate)
    }

    fn parameters(&self) -> Option<&dyn Parameters> {
        match self {
            Self::Decode => None,
            Self::ToTensor(to_tensor) => Some(to_tensor),
            Self::Normalize(normalize) => Some(normalize),
            Self::RandomErasing(erasing) => Some(erasing),
            _ => self.step().map(|step| step as &dyn Parameters),
        }
    }

    /// The transform of images alone; `None` for `decode`, and for `to_tensor` and what follows it.
    pub fn image(&self) -> Option<&dyn Transform<Pixels>> {
        self.step().map(|step| step as &dyn Transform<Pixels>)
    }

    /// The transform of images that it is; `None` for what comes before there are pixels
    /// (`decode`) and after (`to_tensor` and what follows it).
    pub(crate) fn step(&self) -> Option<&dyn Step> {
        Some(match self {
            Self::Decode | Self::ToTensor(_) | Self::Normalize(_) | Self::RandomErasing(_) => {
                return None;
            }
            Self::Resize(step) => step,
            Self::Crop(step) => step,
            Self::RandomResizedCrop(step) => step,
            Self::CenterCrop(step) => step,
            Self::Pad(step) => step,
            Self::HorizontalFlip(step) => step,
            Self::VerticalFlip(step) => step,
            Self::RandomRotation(step) => step,
            Self::ColorJitter(step) => step,
            Self::Grayscale(step) => step,
            Self::RandomGrayscale(step) => step,
            Self::GaussianBlur(step) => step,
            Self::RandAugment(step) => step,
            Self::AutoAugment(step) => step,
            Self::TrivialAugmentWide(step) => step,
            Self::Custom(step) => step,
        })
    }
}

/// Each struct of parameters is a member of a list.
macro_rules! from {
    ($($variant:ident($parameters:ty)),+ $(,)?) => {
        $(impl From<$parameters> for ImageTransform {
            fn from(parameters: $parameters) -> Self {
                Self::$variant(parameters)
            }
        })+
    };
}

from! {
    Resize(Resize),
    Crop(Region),
    RandomResizedCrop(RandomResizedCrop),
    CenterCrop(CenterCrop),
    Pad(Pad),
    HorizontalFlip(HorizontalFlip),
    VerticalFlip(VerticalFlip),
    RandomRotation(RandomRotation),
    ColorJitter(ColorJitter),
    Grayscale(Grayscale),
    RandomGrayscale(RandomGrayscale),
    GaussianBlur(GaussianBlur),
    RandAugment(RandAugment),
    AutoAugment(AutoAugment),
    TrivialAugmentWide(TrivialAugmentWide),
    ToTensor(ToTensor),
    Normalize(Normalize),
    RandomErasing(RandomErasing),
    Custom(Custom),
}

impl Serialize for ImageTransform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ImageTransform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = ImageTransform;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a transform, or a table `{ name = { .. } }`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<ImageTransform, E> {
        if name == "decode" {
            return ImageTransform::deserialize(StrDeserializer::new(name));
        }
        let table = [(name, std::collections::BTreeMap::<&str, ()>::new())];
        let table = MapDeserializer::new(
            table
                .into_iter()
                .map(|(name, empty)| (name, MapDeserializer::<_, E>::new(empty.into_iter()))),
        );
        ImageTransform::deserialize(MapAccessDeserializer::new(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ImageTransform, A::Error> {
        ImageTransform::deserialize(MapAccessDeserializer::new(table))
    }
}
