//! Image files of a data set, to measure transforms on.

use std::sync::Arc;

use loader::SampleError;
use loader::error::Report;
use preproc::Compose;
use preproc::benchmark::image::Image;
use serde::Serialize;

use crate::config::{DatasetConfig, ParquetConfig};
use crate::dataset::{AnyDataset, files, open_folder};
use crate::{Config, TunerError};

/// What is read of one image.
type ReadFile = Arc<dyn Fn(usize) -> Result<Vec<u8>, SampleError> + Send + Sync>;

/// A data set of image files, open.
pub struct ImageFiles {
    /// What makes samples of them.
    pub compose: Compose,
    /// How many there are.
    pub number: usize,
    read: ReadFile,
    data: Arc<dyn AnyDataset>,
}

/// A file that is no use.
#[derive(Clone, Debug, Serialize)]
pub struct BadFile {
    /// Where it lies.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Images of a data set in memory.
pub struct Chosen {
    /// Still to be decoded.
    pub images: Vec<Image>,
    /// Files that were passed over.
    pub bad: Vec<BadFile>,
    /// Why there are not as many as were asked for, if there are not.
    pub fewer: Option<Fewer>,
}

/// Why there are fewer images than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fewer {
    /// The data set has no more.
    Data,
    /// More would take more than the bytes that may be taken.
    Memory,
}

impl ImageFiles {
    /// The images of a configuration; `None` if its data are no image files.
    ///
    /// # Errors
    /// If the data is not there or is not what the configuration says, or the transforms make no
    /// sense.
    pub fn open(config: &Config) -> Result<Option<Self>, TunerError> {
        use loader::{Dataset, ImageFolder, ParquetImages, TarShards};
        // One arm for each type, as a data set is no object.
        fn new<D: Dataset>(
            data: D,
            compose: impl Fn(&D) -> &Compose,
            file: impl Fn(&D, usize) -> Result<Vec<u8>, SampleError> + Send + Sync + 'static,
        ) -> ImageFiles {
            let (compose, number, data) = (compose(&data).clone(), data.len(), Arc::new(data));
            let read = Arc::new({
                let data = data.clone();
                move |index| file(&data, index)
            });
            ImageFiles { compose, number, read, data }
        }
        Ok(Some(match &config.dataset {
            DatasetConfig::ImageFolder(folder) => {
                new(open_folder(folder)?, ImageFolder::compose, ImageFolder::file)
            }
            DatasetConfig::Tar(tar) => {
                let compose = config.dataset.compose()?;
                let data = TarShards::open_with(files(&tar.root), &tar.options(), compose)?;
                new(data, TarShards::compose, TarShards::file)
            }
            DatasetConfig::Parquet(ParquetConfig { root, image_column, label_column, .. }) => {
                let compose = config.dataset.compose()?;
                let data = ParquetImages::open(files(root), image_column, label_column, compose)?;
                new(data, ParquetImages::compose, ParquetImages::file)
            }
            _ => return Ok(None),
        }))
    }

    /// The bytes of the file of sample `index`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn file(&self, index: usize) -> Result<Vec<u8>, SampleError> {
        (self.read)(index)
    }

    /// The same files for other transforms.
    pub(super) fn with(&self, compose: Compose) -> Self {
        let (number, read, data) = (self.number, self.read.clone(), self.data.clone());
        Self { compose, number, read, data }
    }

    /// Up to `number` images, spread evenly over the data set, of which those that cannot be read
    /// are passed over. Together they take up to `available_bytes`.
    pub fn choose(&self, number: usize, available_bytes: u64) -> Chosen {
        let mut chosen = Chosen { images: Vec::new(), bad: Vec::new(), fewer: None };
        let mut bytes = 0;
        // The even ones first; what lies between takes the place of those that are no use.
        let step = (self.number / number.max(1)).max(1);
        for index in (0..step).flat_map(|first| (first..self.number).step_by(step)) {
            if chosen.images.len() == number {
                return chosen;
            }
            let image = (self.read)(index).and_then(|file| Ok(Image::open(file, &self.compose)?));
            match image {
                Ok(image) => {
                    bytes += image.resident_bytes();
                    chosen.images.push(image);
                }
                Err(error) => {
                    let file = self.data.origin(index).unwrap_or_else(|| format!("{index}"));
                    let reason = Report(&*error).to_string();
                    chosen.bad.push(BadFile { file, reason });
                }
            }
            if bytes > available_bytes {
                chosen.images.pop();
                chosen.fewer = Some(Fewer::Memory);
                return chosen;
            }
        }
        if chosen.images.len() < number {
            chosen.fewer = Some(Fewer::Data);
        }
        chosen
    }
}
