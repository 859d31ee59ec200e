//! From a configuration to a data set; made first, if it is missing and there is a stand-in.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use loader::datasets::{Array, Files, ToFloat32};
use loader::distributed::Uneven;
use loader::error::DatasetError;
use loader::{
    Arrays, Dataset, Field, ImageFolder, Loader, LoaderBuilder, ParquetImages, Rank, Synthetic,
    TarShards, Tokens,
};
use preproc::transform::BatchTransform;

use crate::config::{
    Cifar10Config, Cifar10StandIn, Cifar10StandInKind, DatasetConfig, FieldConfig,
    ImageFolderConfig, NpyConfig, OwnConfig, ParquetConfig, SafetensorsConfig, SplitConfig,
    StandIn, StandInKind, SyntheticConfig, TokensConfig,
};
use crate::data::{Cifar10Like, Cifar10Made, ImagenetLike, Made};
use crate::progress_bar::{progress_bar, style};
use crate::{Config, TunerError};

/// Sees to it that the data is there; says on stderr when it is, or becomes, a stand-in.
///
/// # Errors
/// If the data is missing and cannot be made.
pub fn prepare(config: &DatasetConfig, quiet: bool) -> Result<(), TunerError> {
    let Some(root) = config.root() else { return Ok(()) };
    let note = |what: &str| {
        if !quiet {
            // Nobody may be left to read it.
            let _ = writeln!(
                io::stderr(),
                "note: {what}; for real data give its folder by `--root` or in the configuration"
            );
        }
    };
    let shown = root.display();
    if let DatasetConfig::Tar(_) | DatasetConfig::Parquet(_) = config {
        // It may be a pattern; what is missing is said when the data is opened.
        return Ok(());
    }
    if root.is_dir() {
        if let Some(made) = stand_in(config)? {
            note(&format!("the data in `{shown}` is a stand-in, {made}"));
        }
        return Ok(());
    }
    match config {
        DatasetConfig::ImageFolder(ImageFolderConfig { stand_in: Some(stand_in), .. }) => {
            let StandIn { kind: StandInKind::ImagenetLike, images, seed, photos } = stand_in;
            note(&format!(
                "there is no data in `{shown}`: making a stand-in there, {images} images"
            ));
            let (out, photos) = (root.to_owned(), photos.clone());
            make(&ImagenetLike { images: *images, seed: *seed, out, photos }, quiet)?;
            Ok(())
        }
        DatasetConfig::Cifar10(Cifar10Config { stand_in: Some(stand_in), .. }) => {
            let Cifar10StandIn { kind: Cifar10StandInKind::Cifar10Like, seed } = stand_in;
            note(&format!("there is no data in `{shown}`: making a stand-in there, random pixels"));
            Cifar10Like { seed: *seed, out: root.to_owned() }.make()?;
            Ok(())
        }
        _ => {
            let hint = match config {
                DatasetConfig::ImageFolder(_) => "the folder that holds the class folders",
                _ => "the folder that holds the files",
            };
            let hint = format!("give {hint} by `--root`, or as `root` in the configuration");
            Err(TunerError::NoData { root: root.to_owned(), hint })
        }
    }
}

/// What was made in the folder of the data to stand in for real data; `None` if that is real.
///
/// # Errors
/// If the description of what was made cannot be read.
pub fn stand_in(config: &DatasetConfig) -> Result<Option<String>, TunerError> {
    let Some(root) = config.root() else { return Ok(None) };
    Ok(match config {
        DatasetConfig::ImageFolder(_) => Made::read(root)?.map(|made| {
            format!("{} images cut from {} photographs", made.images, made.photos.len())
        }),
        DatasetConfig::Cifar10(_) => {
            Cifar10Made::read(root)?.map(|made| format!("{} images of random pixels", made.images))
        }
        _ => None,
    })
}

/// Makes a data set under a progress bar.
///
/// # Errors
/// See [`ImagenetLike::make`].
pub fn make(recipe: &ImagenetLike, quiet: bool) -> Result<Made, TunerError> {
    let bar = progress_bar(recipe.images as u64, quiet);
    bar.set_style(style("{bar:40} {pos}/{len} images, {eta} left"));
    let made = recipe.make(|| bar.inc(1));
    bar.finish_and_clear();
    Ok(made?)
}

/// A data set that is open, its type forgotten.
pub struct Opened {
    /// Number of samples.
    pub samples: usize,
    /// What a sample consists of.
    pub fields: Vec<Field>,
    /// Names of the classes, where they are known; a label is a place in this list.
    pub classes: Vec<String>,
    /// The data set itself.
    pub data: Arc<dyn AnyDataset>,
    batch_transforms: Vec<BatchTransform>,
}

/// A data set of whatever type.
pub trait AnyDataset: Send + Sync {
    /// See [`Loader::builder`].
    fn builder(self: Arc<Self>) -> LoaderBuilder;
    /// See [`Dataset::fingerprint`].
    fn fingerprint(&self, hasher: &mut dyn Hasher);
    /// See [`Dataset::origin`].
    fn origin(&self, index: usize) -> Option<String>;
}

impl<D: Dataset> AnyDataset for D {
    fn builder(self: Arc<Self>) -> LoaderBuilder {
        Loader::builder(self)
    }

    fn fingerprint(&self, hasher: &mut dyn Hasher) {
        Dataset::fingerprint(self, hasher);
    }

    fn origin(&self, index: usize) -> Option<String> {
        Dataset::origin(self, index)
    }
}

impl Opened {
    pub(crate) fn new(data: impl Dataset) -> Self {
        let (samples, fields, data) = (data.len(), data.fields(), Arc::new(data));
        Self { samples, fields, classes: Vec::new(), data, batch_transforms: Vec::new() }
    }

    /// To load it, by one loader or by several; all of it, whatever launcher started this process.
    pub fn builder(&self) -> LoaderBuilder {
        let transforms = self.batch_transforms.iter().cloned();
        let builder = self.data.clone().builder().distributed(Rank::default(), Uneven::default());
        transforms.fold(builder, |builder, transform| {
            builder.batch_transform("images", "labels", transform)
        })
    }
}

/// Opens the data set of the program that this is part of.
type OpenOwn = Box<dyn Fn() -> Result<Opened, TunerError> + Send + Sync>;

/// Set once, before anything is opened: a program has one sweep.
static OWN: OnceLock<OpenOwn> = OnceLock::new();

/// Says how [`open`] opens [`DatasetConfig::Own`]. What was said before stays.
pub(crate) fn set_own(open: OpenOwn) {
    let _ = OWN.set(open);
}

/// Opens the data set of a configuration.
///
/// # Errors
/// If the data is not there or is not what the configuration says, or the transforms make no
/// sense.
pub fn open(config: &Config) -> Result<Opened, TunerError> {
    let batch_transforms = config.batch_transforms.clone();
    Ok(Opened { batch_transforms, ..open_data(&config.dataset)? })
}

fn open_data(config: &DatasetConfig) -> Result<Opened, TunerError> {
    match config {
        DatasetConfig::ImageFolder(folder) => {
            let data = open_folder(folder)?;
            let classes = data.classes().to_vec();
            Ok(Opened { classes, ..Opened::new(data) })
        }
        DatasetConfig::Tar(tar) => {
            let shards = files(&tar.root);
            let data = TarShards::open_with(shards, &tar.options(), config.compose()?)?;
            Ok(Opened::new(data))
        }
        DatasetConfig::Parquet(ParquetConfig { root, image_column, label_column, .. }) => {
            let compose = config.compose()?;
            let data = ParquetImages::open(files(root), image_column, label_column, compose)?;
            Ok(Opened::new(data))
        }
        DatasetConfig::Cifar10(Cifar10Config { root, split, to_float32, .. }) => {
            arrays(Arrays::cifar10(root, *split)?, to_float32)
        }
        DatasetConfig::Cifar100(SplitConfig { root, split, to_float32, .. }) => {
            arrays(Arrays::cifar100(root, *split)?, to_float32)
        }
        DatasetConfig::Mnist(SplitConfig { root, split, to_float32, .. }) => {
            arrays(Arrays::mnist(root, *split)?, to_float32)
        }
        DatasetConfig::Npy(NpyConfig { root, files, to_float32, .. }) => {
            let files = files.iter().map(|(name, file)| Ok((name, Array::npy(root.join(file))?)));
            arrays(Arrays::new(files.collect::<Result<Vec<_>, DatasetError>>()?)?, to_float32)
        }
        DatasetConfig::Safetensors(SafetensorsConfig { root, file, names, to_float32, .. }) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            arrays(Arrays::safetensors(root.join(file), &names)?, to_float32)
        }
        DatasetConfig::Tokens(TokensConfig { root, file, width, length, stride, .. }) => {
            let data = Tokens::open(root.join(file), *width, *length)?;
            Ok(Opened::new(data.stride(stride.unwrap_or(*length))?))
        }
        DatasetConfig::Synthetic(SyntheticConfig {
            samples, fields, cpu_s, io_delay_s, ..
        }) => {
            let fields = fields
                .iter()
                .map(|FieldConfig { name, shape, dtype }| Field::new(name, shape.clone(), *dtype));
            let data = Synthetic::new(fields.collect::<Vec<_>>(), *samples)
                .cpu(Duration::from_secs_f64(*cpu_s))
                .io_delay(Duration::from_secs_f64(*io_delay_s));
            Ok(Opened::new(data))
        }
        DatasetConfig::Own(OwnConfig { program }) => match OWN.get() {
            Some(open) => open(),
            None => Err(TunerError::OwnDataElsewhere { program: program.clone() }),
        },
    }
}

fn arrays(
    mut data: Arrays,
    to_float32: &BTreeMap<String, ToFloat32>,
) -> Result<Opened, TunerError> {
    for (name, conversion) in to_float32 {
        data = data.to_float32(name, conversion)?;
    }
    Ok(Opened::new(data))
}

/// What a `root` names: a folder, a file or a pattern.
pub(crate) fn files(root: &Path) -> Files {
    root.to_str().map_or_else(|| Files::from(root), Files::from)
}

/// Opens images in class folders.
///
/// # Errors
/// If the transforms make no sense or the data cannot be listed.
pub fn open_folder(config: &ImageFolderConfig) -> Result<ImageFolder, TunerError> {
    Ok(ImageFolder::open(&config.root, config.compose()?)?)
}
