//! What can go wrong, said so that the user knows what to do. The cause is each error's source:
//! print both with [`loader::error::Report`].

use std::io;
use std::path::{Path, PathBuf};

use loader::LoaderError;
use loader::error::{DatasetError, FilesError, FolderError, ParquetError, SettingsError, TarError};
use preproc::ComposeError;
use profiler::compare::CompareError;
use profiler::config::ConfigError;
use profiler::monitor::MonitorError;
use profiler::profiler::{SessionError, WriteReportError};
use profiler::report::session_json::SessionFileError;
use profiler::self_test::SelfTestError;
use thiserror::Error;

use crate::data::DataError;

/// An error of the tuner.
#[derive(Debug, Error)]
pub enum TunerError {
    /// A file or folder could not be used.
    #[error("cannot {action} `{path}`{}", advice(action, source.kind()))]
    File {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A value of the configuration or of a flag makes no sense.
    #[error("`{key}` is {got}, but must be {expected}")]
    Value {
        /// Its key, such as `sweep.repeats`.
        key: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The TOML file cannot be read or parsed.
    #[error(transparent)]
    Toml(#[from] SettingsError),
    /// The data is missing.
    #[error("there is no data in `{root}`\nhint: {hint}")]
    NoData {
        /// The folder.
        root: PathBuf,
        /// What to do.
        hint: String,
    },
    /// The data cannot be listed.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The data cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The files of the data cannot be listed.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Tar shards cannot be used.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// Parquet files cannot be used.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// The list of transforms makes no sense.
    #[error("`dataset.transforms` makes no sense")]
    Transforms(#[from] ComposeError),
    /// The data set of a program of one's own could not be opened.
    #[error("the data set of this program cannot be opened")]
    OwnData(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Only the program itself can open its data.
    #[error(
        "only the program `{program}` can open this data\nhint: run that program, which calls `tuner::Sweep`"
    )]
    OwnDataElsewhere {
        /// Its name.
        program: String,
    },
    /// A program has two sweeps.
    #[error(
        "`tuner::Sweep::run` was called before in this program\nhint: call it once in a process: its trials are this program again, and could not tell the calls apart"
    )]
    SweepCalledTwice,
    /// A program that was started for a trial did something else.
    #[error(
        "this program, started again with the same arguments for a trial, did not come to `tuner::Sweep::run`\nhint: nothing before that call may depend on an earlier run, or take the variable `TUNER_TRIAL` out of the environment{}",
        said(stdout, stderr)
    )]
    SweepNotReached {
        /// What it printed.
        stdout: String,
        /// What it wrote.
        stderr: String,
    },
    /// The data could not be made.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The loader refused or a sample could not be loaded.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// Memory and CPU cannot be watched.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The profiler refused.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The profiler's settings make no sense.
    #[error(transparent)]
    ProfilerConfig(#[from] ConfigError),
    /// The profiler could not measure itself.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    /// A report could not be written.
    #[error(transparent)]
    Report(#[from] WriteReportError),
    /// A session cannot be read.
    #[error(transparent)]
    SessionFile(#[from] SessionFileError),
    /// A sweep's summary cannot be read.
    #[error("`{path}` is damaged, or of another version\nhint: make it again with `tuner sweep`", path = path.display())]
    Summary {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A sweep's summary is of another schema.
    #[error("`{path}` is of the schema `{got}`, but must be `{}`\nhint: make it again with `tuner sweep`", crate::sweep::summary::SCHEMA, path = path.display())]
    SummarySchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        got: String,
    },
    /// Beside a settings file there is no summary of the sweep that it is of.
    #[error("there is no `{}` beside `{}`, which says what the settings rest on\nhint: give the `recommended.toml` in the folder of its sweep", summary.display(), path.display())]
    NoSummary {
        /// The settings file.
        path: PathBuf,
        /// What is missing.
        summary: PathBuf,
    },
    /// It cannot be told whether settings still stand.
    #[error("it cannot be told whether `{path}` still holds: {reason}\nhint: {hint}", path = path.display())]
    CannotVerify {
        /// The settings file.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// Past sweeps do not say what a setting would give.
    #[error("nothing can be predicted from `{folder}`: {reason}\nhint: {hint}", folder = folder.display())]
    CannotPredict {
        /// Where sweeps were looked for.
        folder: PathBuf,
        /// Why.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The runs of another sweep do not hold for this one.
    #[error("the runs in `{folder}` do not hold for this sweep: {reason}\nhint: leave out `--reuse` to measure all of them, or name another sweep", folder = folder.display())]
    CannotReuse {
        /// The other sweep's folder.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two measurements do not go together.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Memory cannot be watched.
    #[error("cannot read how much memory this process holds\nhint: `/proc` must be mounted")]
    NoMemoryFigure,
    /// libtorch refused a call.
    #[error("libtorch refused a call")]
    Libtorch(#[from] tch::TchError),
    /// Settings were to be applied to the file they stand in.
    #[error(
        "`{path}` is the file that the settings are taken from\nhint: give by `--to` the one that the training program reads"
    )]
    ApplyToItself {
        /// The file.
        path: PathBuf,
    },
    /// There is no table to apply settings to.
    #[error(
        "`loader` in `{path}` is no table\nhint: write it as `[loader]`, or choose another `--to`"
    )]
    ApplyNoTable {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing to roll back to.
    #[error(
        "`{path}` has no backup\nhint: `tuner apply` makes one, `{path}.bak.1`, when it changes a file that is there"
    )]
    NoBackup {
        /// The file.
        path: PathBuf,
    },
    /// Two files to write are one.
    #[error("`--out` and `--png` are the same file `{path}`\nhint: give one of them another name")]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// A path that must be written down as text cannot be.
    #[error("`{flag}`: the path `{path}` is not UTF-8\nhint: rename it, or make a link to it")]
    NotUtf8 {
        /// The flag it was given by.
        flag: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// An epoch has fewer batches than were asked for.
    #[error(
        "`--batches` is {batches}, but an epoch has {most} of {batch_size} samples\nhint: ask for {most} or fewer, or give a smaller `--batch-size`"
    )]
    FewBatches {
        /// Batches asked for.
        batches: usize,
        /// Batches in an epoch.
        most: usize,
        /// Samples in a batch.
        batch_size: usize,
    },
    /// A file could not be decoded.
    #[error("cannot decode `{path}`")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: preproc::ImageError,
    },
    /// A command that shows or decodes images was asked for other data.
    #[error("{what}\nhint: it takes {expected}")]
    NoImages {
        /// What cannot be done.
        what: &'static str,
        /// What it can be done with.
        expected: &'static str,
    },
    /// No transform could be measured.
    #[error("no transform could be measured; the last one said: {reason}")]
    NoTransform {
        /// Why not.
        reason: String,
    },
    /// A flag names a transform that the configuration does not have.
    #[error("`--transforms`: there is no `{name}`\nhint: there are {known}")]
    UnknownTransform {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No file of the data set is a JPEG.
    #[error(
        "no JPEG files to decode in `{root}`\nhint: `--decode-only` is for JPEG files; leave it out"
    )]
    NoJpegs {
        /// The folder.
        root: PathBuf,
    },
    /// The output folder holds a sweep.
    #[error(
        "`{path}` already holds a sweep\nhint: go on with it by `--resume`, or choose another `--out`"
    )]
    OutputExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to resume.
    #[error("`{path}` holds no sweep to resume\nhint: leave out `--resume`")]
    NothingToResume {
        /// The folder.
        path: PathBuf,
    },
    /// The sweep to resume was another one.
    #[error(
        "the sweep in `{path}` was started with other settings ({what} differ)\nhint: give the same `--config` and flags, or choose another `--out`"
    )]
    OtherSweep {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// Another sweep writes to the folder.
    #[error("another sweep is running in `{path}`\nhint: wait for it, or choose another `--out`")]
    OutputLocked {
        /// The folder.
        path: PathBuf,
    },
    /// A line of `trials.jsonl` is not what this version writes.
    #[error(
        "`{path}`, line {line}, is not what this version writes\nhint: start another sweep: leave out `--resume` and choose another `--out`"
    )]
    Journal {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Every trial failed.
    #[error(
        "no trial succeeded; the last one said:\n{last}\nhint: try one setting alone with `tuner bench`"
    )]
    AllFailed {
        /// The error of the last trial.
        last: String,
    },
    /// A sample that a trial came to could not be loaded.
    #[error(
        "{error}\nhint: replace or remove it, then go on with `{resume}`: {done} of {planned} trials are kept"
    )]
    BadSample {
        /// The sample and what is wrong with it.
        error: String,
        /// Trials with figures.
        done: usize,
        /// Trials planned.
        planned: usize,
        /// The command that goes on.
        resume: String,
    },
    /// Ctrl-C.
    #[error("stopped: {done} of {planned} trials are in `{path}`\nhint: go on with `{resume}`")]
    Interrupted {
        /// Trials on record.
        done: usize,
        /// Trials planned.
        planned: usize,
        /// The output folder.
        path: PathBuf,
        /// The command that goes on.
        resume: String,
    },
    /// Ctrl-C, where nothing was written.
    #[error("stopped")]
    Stopped,
    /// A model was to be trained with data that has no images and labels.
    #[error(
        "a batch has no {what}, which `sweep.consumer.model` needs\nhint: let the consumer be `step_ms` for other data"
    )]
    NoModelInput {
        /// What is missing.
        what: &'static str,
    },
    /// A picture could not be drawn.
    #[error("cannot draw `{path}`: {message}")]
    Chart {
        /// The file.
        path: PathBuf,
        /// What the drawing library said.
        message: String,
    },
    /// Something that has no reason to fail did: a bug.
    #[error("internal error: {0}")]
    Bug(String),
}

/// What a program said, where it said anything.
fn said(stdout: &str, stderr: &str) -> String {
    let said = [stdout.trim(), stderr.trim()].into_iter().filter(|said| !said.is_empty());
    let said: Vec<&str> = said.collect();
    if said.is_empty() { String::new() } else { format!("\nit said:\n{}", said.join("\n")) }
}

/// What to do when a file or folder cannot be used.
fn advice(action: &str, kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind as Kind;
    match (kind, action) {
        (Kind::StorageFull | Kind::QuotaExceeded, _) => {
            "\nhint: make room, or choose a folder on another disk"
        }
        (Kind::PermissionDenied, "read") => "\nhint: see to it that you may read it",
        (Kind::PermissionDenied | Kind::ReadOnlyFilesystem, _) => {
            "\nhint: choose a folder that you may write to"
        }
        (Kind::NotFound, "read") => {
            "\nhint: there is no such file; paths are taken from the folder the program is run in"
        }
        (Kind::NotFound, _) => "\nhint: make its folder first, or choose another",
        (Kind::IsADirectory, _) => "\nhint: this is a folder; give the path of a file",
        (Kind::NotADirectory | Kind::AlreadyExists, _) => {
            "\nhint: a file is where a folder should be; choose another path"
        }
        _ => "",
    }
}

impl TunerError {
    /// For `map_err`: the file or folder with what was tried.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// What is wrong, without what to do about it.
    pub(crate) fn first_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    /// The exit code: 130 for Ctrl-C as shells have it, 2 for a bug, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted { .. } | Self::Stopped => 130,
            Self::Bug(_) => 2,
            _ => 1,
        }
    }
}
