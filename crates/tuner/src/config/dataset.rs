//! The `[dataset]` table: one kind of table for each kind of data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loader::Dtype;
use loader::datasets::tar::{Label, TarOptions};
use loader::datasets::{Split, ToFloat32, TokenWidth};
use preproc::{Compose, DecodeOptions, ImageTransform};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::TunerError;

/// The `[dataset]` table. Paths are from where the program is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DatasetConfig {
    /// Images in a folder for each class: [`loader::ImageFolder`].
    ImageFolder(ImageFolderConfig),
    /// Images in tar shards: [`loader::TarShards`].
    Tar(TarConfig),
    /// Images in a column of Parquet files: [`loader::ParquetImages`].
    Parquet(ParquetConfig),
    /// [`loader::Arrays::cifar10`].
    Cifar10(Cifar10Config),
    /// [`loader::Arrays::cifar100`].
    Cifar100(SplitConfig),
    /// [`loader::Arrays::mnist`].
    Mnist(SplitConfig),
    /// [`loader::datasets::Array::npy`].
    Npy(NpyConfig),
    /// [`loader::Arrays::safetensors`].
    Safetensors(SafetensorsConfig),
    /// [`loader::Tokens`].
    Tokens(TokensConfig),
    /// [`loader::Synthetic`].
    Synthetic(SyntheticConfig),
    /// What a program of one's own opens: [`crate::Sweep`]. No configuration file can say it.
    Own(OwnConfig),
}

/// The known kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they are those of `DatasetConfig`")]
pub enum DatasetKind {
    ImageFolder,
    Tar,
    Parquet,
    Cifar10,
    Cifar100,
    Mnist,
    Npy,
    Safetensors,
    Tokens,
    Synthetic,
}

/// The key `kind`, in each table: it was read before.
#[derive(Clone, Debug, Default, PartialEq)]
struct KindKey;

impl<'de> Deserialize<'de> for KindKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// `kind = "image-folder"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFolderConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder that holds the class folders.
    pub root: PathBuf,
    /// What to make there if it is missing.
    pub stand_in: Option<StandIn>,
    /// How files are decoded.
    #[serde(default)]
    pub decode: DecodeOptions,
    /// From a file's bytes to a sample.
    pub transforms: Vec<ImageTransform>,
}

impl ImageFolderConfig {
    /// The transforms, planned.
    ///
    /// # Errors
    /// If they make no sense.
    pub fn compose(&self) -> Result<Compose, TunerError> {
        Ok(Compose::new(self.transforms.clone(), self.decode.clone())?)
    }
}

/// `kind = "tar"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TarConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The shards, a pattern as `train-{000000..000146}.tar`, or the folder that holds them.
    pub root: PathBuf,
    /// The key under which the label stands in `.json`; if not given, it is the number in `.cls`.
    pub json_label: Option<String>,
    /// The extension of the image, where a sample has several.
    pub image: Option<String>,
    /// How images are decoded.
    #[serde(default)]
    pub decode: DecodeOptions,
    /// From an image's bytes to a sample.
    pub transforms: Vec<ImageTransform>,
}

impl TarConfig {
    /// Where the parts of a sample stand.
    pub fn options(&self) -> TarOptions {
        let label = self.json_label.clone().map_or(Label::Cls, Label::Json);
        TarOptions { label, image: self.image.clone() }
    }
}

/// `kind = "parquet"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The files, a pattern as `train-{00000..00293}-of-00294.parquet`, or the folder that holds
    /// them.
    pub root: PathBuf,
    /// The column of the images.
    #[serde(default = "ParquetConfig::default_image_column")]
    pub image_column: String,
    /// The column of the labels.
    #[serde(default = "ParquetConfig::default_label_column")]
    pub label_column: String,
    /// How images are decoded.
    #[serde(default)]
    pub decode: DecodeOptions,
    /// From an image's bytes to a sample.
    pub transforms: Vec<ImageTransform>,
}

impl ParquetConfig {
    /// What HuggingFace calls it.
    pub fn default_image_column() -> String {
        "image".to_owned()
    }

    /// What HuggingFace calls it.
    pub fn default_label_column() -> String {
        "label".to_owned()
    }
}

/// Data that can be made where the real data is missing: the `[dataset.stand_in]` table of images
/// in folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandIn {
    /// Which recipe.
    pub kind: StandInKind,
    /// How many images.
    #[serde(default = "StandIn::default_images")]
    pub images: usize,
    /// What they are drawn from.
    #[serde(default)]
    pub seed: u64,
    /// The folder of the photographs they are cut from.
    #[serde(default = "StandIn::default_photos")]
    pub photos: PathBuf,
}

/// The known recipes for images in folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandInKind {
    /// JPEG files with the sizes of ImageNet's: [`crate::data::ImagenetLike`].
    ImagenetLike,
}

impl StandIn {
    /// Images, if not said otherwise.
    pub fn default_images() -> usize {
        2_000
    }

    /// Where the photographs lie in this project.
    pub fn default_photos() -> PathBuf {
        "datasets/photos".into()
    }
}

/// `kind = "cifar10"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cifar10Config {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder of the files.
    pub root: PathBuf,
    /// Which part.
    #[serde(default)]
    pub split: Split,
    /// Which arrays become float32, and how.
    #[serde(default)]
    pub to_float32: BTreeMap<String, ToFloat32>,
    /// What to make if the folder is missing.
    pub stand_in: Option<Cifar10StandIn>,
}

/// The `[dataset.stand_in]` table of CIFAR-10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cifar10StandIn {
    /// Which recipe.
    pub kind: Cifar10StandInKind,
    /// What the images are drawn from.
    #[serde(default)]
    pub seed: u64,
}

/// The known recipes for CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cifar10StandInKind {
    /// Files of the same format: [`crate::data::Cifar10Like`].
    Cifar10Like,
}

/// `kind = "cifar100"` and `kind = "mnist"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder of the files.
    pub root: PathBuf,
    /// Which part.
    #[serde(default)]
    pub split: Split,
    /// Which arrays become float32, and how.
    #[serde(default)]
    pub to_float32: BTreeMap<String, ToFloat32>,
}

/// `kind = "npy"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpyConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder of the files.
    pub root: PathBuf,
    /// The file of each field, from there.
    pub files: BTreeMap<String, PathBuf>,
    /// Which arrays become float32, and how.
    #[serde(default)]
    pub to_float32: BTreeMap<String, ToFloat32>,
}

/// `kind = "safetensors"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafetensorsConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder of the file.
    pub root: PathBuf,
    /// The file, from there.
    pub file: PathBuf,
    /// The tensors to take; all, if none are named.
    #[serde(default)]
    pub names: Vec<String>,
    /// Which arrays become float32, and how.
    #[serde(default)]
    pub to_float32: BTreeMap<String, ToFloat32>,
}

/// `kind = "tokens"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// The folder of the file.
    pub root: PathBuf,
    /// The file, from there.
    pub file: PathBuf,
    /// How a token lies in it.
    #[serde(default)]
    pub width: TokenWidth,
    /// Tokens in a window.
    pub length: usize,
    /// Tokens from the start of a window to that of the next; if not given, the length.
    pub stride: Option<usize>,
}

/// `kind = "synthetic"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticConfig {
    #[serde(default, skip_serializing, rename = "kind")]
    _kind: KindKey,
    /// How many.
    pub samples: usize,
    /// What a sample consists of.
    pub fields: Vec<FieldConfig>,
    /// Processor time of a sample.
    #[serde(default)]
    pub cpu_s: f64,
    /// Wait of a sample, as for a disk.
    #[serde(default)]
    pub io_delay_s: f64,
}

/// `kind = "own"`, in the plan of a [`crate::Sweep`] alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnConfig {
    /// The name of the program.
    pub program: String,
}

/// A field of a synthetic sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldConfig {
    /// Its name.
    pub name: String,
    /// Its shape in one sample.
    #[serde(default)]
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: Dtype,
}

impl DatasetConfig {
    /// The folder of the data; `None` where there is none.
    pub fn root(&self) -> Option<&Path> {
        match self {
            Self::ImageFolder(ImageFolderConfig { root, .. })
            | Self::Tar(TarConfig { root, .. })
            | Self::Parquet(ParquetConfig { root, .. })
            | Self::Cifar10(Cifar10Config { root, .. })
            | Self::Cifar100(SplitConfig { root, .. })
            | Self::Mnist(SplitConfig { root, .. })
            | Self::Npy(NpyConfig { root, .. })
            | Self::Safetensors(SafetensorsConfig { root, .. })
            | Self::Tokens(TokensConfig { root, .. }) => Some(root),
            Self::Synthetic(_) | Self::Own(_) => None,
        }
    }

    /// The transforms of images and how they are decoded; `None` for other kinds of data.
    pub fn transforms(&self) -> Option<(&[ImageTransform], &DecodeOptions)> {
        match self {
            Self::ImageFolder(ImageFolderConfig { transforms, decode, .. })
            | Self::Tar(TarConfig { transforms, decode, .. })
            | Self::Parquet(ParquetConfig { transforms, decode, .. }) => Some((transforms, decode)),
            _ => None,
        }
    }

    /// The transforms, planned.
    ///
    /// # Errors
    /// If they make no sense, or this kind of data has none.
    pub fn compose(&self) -> Result<Compose, TunerError> {
        let (transforms, decode) = match self.transforms() {
            Some((transforms, decode)) => (transforms.to_vec(), decode.clone()),
            None => (Vec::new(), DecodeOptions::default()),
        };
        Ok(Compose::new(transforms, decode)?)
    }

    /// Takes the data in another folder, and no stand-in, which is for the configuration's own.
    ///
    /// # Errors
    /// If this kind of data lies in no folder.
    pub fn set_root(&mut self, new: PathBuf) -> Result<(), TunerError> {
        match self {
            Self::ImageFolder(ImageFolderConfig { root, stand_in, .. }) => {
                *root = new;
                *stand_in = None;
            }
            Self::Cifar10(Cifar10Config { root, stand_in, .. }) => {
                *root = new;
                *stand_in = None;
            }
            Self::Tar(TarConfig { root, .. })
            | Self::Parquet(ParquetConfig { root, .. })
            | Self::Cifar100(SplitConfig { root, .. })
            | Self::Mnist(SplitConfig { root, .. })
            | Self::Npy(NpyConfig { root, .. })
            | Self::Safetensors(SafetensorsConfig { root, .. })
            | Self::Tokens(TokensConfig { root, .. }) => *root = new,
            Self::Synthetic(_) | Self::Own(_) => {
                let expected = "left out: this data lies in no folder";
                return Err(TunerError::Value {
                    key: "root",
                    got: new.display().to_string(),
                    expected,
                });
            }
        }
        Ok(())
    }

    /// Checks what the types do not, as far as can be told without the data.
    ///
    /// # Errors
    /// If a value is out of range or the transforms make no sense.
    pub(super) fn validate(&self) -> Result<(), TunerError> {
        match self {
            Self::ImageFolder(_) | Self::Tar(_) | Self::Parquet(_) => self.compose().map(drop),
            Self::Synthetic(SyntheticConfig { cpu_s, io_delay_s, .. }) => {
                let seconds = |key, value: f64| {
                    let good = (0.0..=3600.0).contains(&value);
                    super::check(good, key, value.to_string(), "seconds, 0 to 3600")
                };
                seconds("dataset.cpu_s", *cpu_s)?;
                seconds("dataset.io_delay_s", *io_delay_s)
            }
            _ => Ok(()),
        }
    }
}
