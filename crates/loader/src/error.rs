//! What can go wrong.
//!
//! An error says what could not be done; why is its [`source`](Error::source). Print both: with
//! [`Report`], with `{:#}` of the `anyhow` crate, or by returning it from an `anyhow` main.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::SampleError;
pub use crate::datasets::error::{DatasetError, FileError};
pub use crate::datasets::files::FilesError;
pub use crate::datasets::parquet::ParquetError;
pub use crate::datasets::tar::{LabelError, TarError};
use crate::distributed::RankError;
use crate::sampler::SamplerError;
use crate::state::StateError;

/// An error of the loader.
#[derive(Debug, Error)]
pub enum LoaderError {
    /// A setting has a value that makes no sense.
    #[error("`{name}` is {got}, but must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The data set has no samples.
    #[error("the data set is empty")]
    NoSamples,
    /// The sampler gives none of them.
    #[error("the sampler gives no samples")]
    NoSampled,
    /// The batch sampler gives nothing.
    #[error("the batch sampler gives no batches")]
    NoBatches,
    /// `drop_last` leaves nothing.
    #[error(
        "`batch_size` is {batch_size}{} but there are only {samples} samples, and `drop_last` drops the batch that is not full\nhint: use {}, or `drop_last = false`",
        of_each(*world_size),
        smaller(*samples, *world_size)
    )]
    NoFullBatch {
        /// `batch_size`, of one process.
        batch_size: usize,
        /// Processes.
        world_size: usize,
        /// Samples in an epoch.
        samples: usize,
    },
    /// [`Uneven::Drop`](crate::distributed::Uneven::Drop) leaves nothing.
    #[error(
        "an epoch has {got} {what}, not one for each of {world_size} processes, and `Uneven::Drop` drops what cannot be shared evenly\nhint: use fewer processes, or `Uneven::Pad`"
    )]
    NotForAllRanks {
        /// How many there are.
        got: usize,
        /// Samples or batches.
        what: &'static str,
        /// Processes.
        world_size: usize,
    },
    /// A sample could not be loaded.
    #[error("sample {index}{origin} could not be loaded")]
    Sample {
        /// Its index in the data set.
        index: usize,
        /// Where it comes from, as the data set says.
        origin: Origin,
        /// What went wrong.
        source: SampleError,
    },
    /// More samples could not be loaded than may be skipped.
    #[error(
        "sample {index}{origin} could not be loaded, and the {max} samples that may be skipped in an epoch have been"
    )]
    TooManyBad {
        /// How many may be skipped.
        max: usize,
        /// Its index in the data set.
        index: usize,
        /// Where it comes from, as the data set says.
        origin: Origin,
        /// What went wrong.
        source: SampleError,
    },
    /// All samples of a batch were skipped.
    #[error("no sample of batch {batch} of epoch {epoch} could be loaded")]
    NoGoodSample {
        /// The batch's number in its epoch.
        batch: usize,
        /// The epoch.
        epoch: u64,
    },
    /// A sample took longer than it may.
    #[error(
        "sample {index}{origin} is not loaded after {timeout_s} s\nhint: its storage may hang; `timeout_s` says how long a sample may take"
    )]
    Stuck {
        /// Its index in the data set.
        index: usize,
        /// Where it comes from, as the data set says.
        origin: Origin,
        /// How long it may take.
        timeout_s: f64,
    },
    /// Samples make no batch.
    #[error("{} of batch {batch} of epoch {epoch} do not go together", these(*samples))]
    Collate {
        /// The batch's number in its epoch.
        batch: usize,
        /// The epoch.
        epoch: u64,
        /// Two that do not go together, by their index in the data set, where it is said.
        samples: Option<[usize; 2]>,
        /// Why.
        source: SampleError,
    },
    /// There is no memory for another batch.
    #[error(
        "no memory for a batch of {bytes} bytes\nhint: use a smaller `batch_size` or `prefetch_depth`"
    )]
    OutOfMemory {
        /// Size of one field of the batch.
        bytes: usize,
    },
    /// A thread could not be started.
    #[error(
        "cannot start thread `{kind}-{number}`\nhint: use fewer of them (`num_workers`, `io_threads`)"
    )]
    Spawn {
        /// What it does.
        kind: &'static str,
        /// Which one.
        number: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// libtorch refused a call.
    #[error("libtorch: {message}")]
    Libtorch {
        /// The first line of what it said.
        message: String,
    },
    /// A batch was asked for where none is planned: a bug in this crate.
    #[error("no batch is planned")]
    NoBatch,
    /// There is no GPU to copy batches to.
    #[error("batches cannot be copied to a GPU")]
    NoCuda {
        /// Why.
        source: &'static crate::cuda::NoCuda,
    },
    /// A field cannot be normalised on the device.
    #[error("the field `{field}` cannot be normalised on the device: {reason}")]
    NormalizeField {
        /// Its name.
        field: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A field that a batch transform is to change is not there.
    #[error("`{transform}` needs the field `{field}`, but there are only {known}")]
    BatchTransformField {
        /// The transform.
        transform: String,
        /// The field.
        field: String,
        /// The fields that are there.
        known: String,
    },
    /// A batch could not be transformed as a whole.
    #[error("`{transform}` failed on batch {batch} of epoch {epoch}")]
    BatchTransform {
        /// The transform.
        transform: String,
        /// Number of the batch in its epoch.
        batch: u64,
        /// The epoch.
        epoch: u64,
        /// What went wrong.
        source: SampleError,
    },
    /// A device that batches cannot be copied to ahead.
    #[error("batches are copied ahead to a CUDA device only, not to {device}")]
    Device {
        /// The device.
        device: String,
    },
    /// The order of samples makes no sense.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// Rank or world size make no sense.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// A run cannot go on from a state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A folder of images cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Tar shards cannot be used.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// Parquet files cannot be used.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Other data cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A settings file cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

fn of_each(world_size: usize) -> String {
    match world_size {
        1 => String::new(),
        _ => format!(" for each of {world_size} processes"),
    }
}

/// What makes full batches of so few samples.
fn smaller(samples: usize, world_size: usize) -> String {
    match samples / world_size.max(1) {
        0 => "fewer processes".to_owned(),
        most => format!("`batch_size` {most} or less"),
    }
}

fn these(samples: Option<[usize; 2]>) -> String {
    match samples {
        Some([one, other]) => format!("samples {one} and {other}"),
        None => "the samples".to_owned(),
    }
}

impl From<tch::TchError> for LoaderError {
    fn from(error: tch::TchError) -> Self {
        // libtorch appends a C++ backtrace to the first line.
        let text = error.to_string();
        Self::Libtorch { message: text.lines().next().unwrap_or_default().to_owned() }
    }
}

/// Where a sample comes from, if that is known.
#[derive(Debug)]
pub struct Origin(Option<String>);

impl From<Option<String>> for Origin {
    fn from(origin: Option<String>) -> Self {
        Self(origin)
    }
}

impl Origin {
    /// What the data set says: a path, mostly.
    pub fn path(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(origin) => write!(f, " (`{origin}`)"),
            None => Ok(()),
        }
    }
}

/// Why a folder of images cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The folder cannot be read.
    #[error("cannot read the folder `{path}`")]
    Read {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds no class folders.
    #[error(
        "`{path}` holds no class folders\nhint: put the images of each class into a folder of its own, as in `{path}/cat/1.jpg`"
    )]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// A link leads back to a folder that it lies in.
    #[error("the link `{path}` leads back to a folder that it lies in\nhint: remove the link")]
    Loop {
        /// The link.
        path: PathBuf,
    },
    /// A class folder holds no images.
    #[error(
        "no images in `{path}` (looked for {extensions})\nhint: remove the folder if the class is not wanted"
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// The file name extensions looked for.
        extensions: String,
    },
}

/// Why a settings file cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("`{path}` is not valid")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        source: TomlError,
    },
    /// A value in the file makes no sense.
    #[error("`{path}` is not valid")]
    Value {
        /// The file.
        path: PathBuf,
        /// Which value, and what it may be.
        source: Box<LoaderError>,
    },
    /// The file was written for another version of this crate.
    #[error(
        "`{path}` has schema {got}, but this version reads schema {expected}\nhint: make it again with `tuner sweep`"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        got: u32,
        /// The schema read here.
        expected: u32,
    },
}

/// What is wrong in a TOML file: line, column and, for an unknown key, what may be meant.
#[derive(Debug)]
pub struct TomlError {
    pub(crate) error: Box<toml::de::Error>,
    pub(crate) near: Option<String>,
}

impl Error for TomlError {}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.to_string().trim_end())?;
        match &self.near {
            Some(near) => write!(f, "\nhint: did you mean `{near}`?"),
            None => Ok(()),
        }
    }
}

/// Prints an error with its causes, and below them the hints of all.
#[derive(Debug)]
pub struct Report<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut said, mut hints) = (String::new(), String::new());
        for error in std::iter::successors(Some(self.0), |error| (*error).source()) {
            let text = error.to_string();
            let end = text.find("\nhint: ").unwrap_or(text.len());
            let (what, hint) = text.split_at(end);
            // Many an error prints its cause and has it as its source too.
            if !said.ends_with(what) {
                said = if said.is_empty() { what.to_owned() } else { said + ": " + what };
            }
            if !hints.contains(hint) {
                hints += hint;
            }
        }
        write!(f, "{said}{hints}")
    }
}
