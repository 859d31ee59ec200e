//! The transforms of a configuration.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    CenterCrop, Custom, HorizontalFlip, Normalize, Parameters, RandomResizedCrop, Resize, Step,
    ToTensor, Transform,
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
    /// [`HorizontalFlip`].
    HorizontalFlip(HorizontalFlip),
    /// [`ToTensor`].
    ToTensor(ToTensor),
    /// [`Normalize`].
    Normalize(Normalize),
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
            _ => self.step().map(|step| step as &dyn Parameters),
        }
    }

    /// The transform of images alone; `None` for `decode`, and for `to_tensor` and what follows it.
    pub fn image(&self) -> Option<&dyn Transform<Pixels>> {
        // One arm for each: a `dyn Step` is no `dyn Transform`.
        Some(match self {
            Self::Decode | Self::ToTensor(_) | Self::Normalize(_) => return None,
            Self::Resize(step) => step,
            Self::Crop(step) => step,
            Self::RandomResizedCrop(step) => step,
            Self::CenterCrop(step) => step,
            Self::HorizontalFlip(step) => step,
            Self::Custom(step) => step,
        })
    }

    /// The transform of images that it is; `None` for what comes before there are pixels
    /// (`decode`) and after (`to_tensor` and what follows it).
    pub(crate) fn step(&self) -> Option<&dyn Step> {
        Some(match self {
            Self::Decode | Self::ToTensor(_) | Self::Normalize(_) => return None,
            Self::Resize(step) => step,
            Self::Crop(step) => step,
            Self::RandomResizedCrop(step) => step,
            Self::CenterCrop(step) => step,
            Self::HorizontalFlip(step) => step,
            Self::Custom(step) => step,
        })
    }
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
