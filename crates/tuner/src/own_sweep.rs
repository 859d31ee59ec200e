//! A sweep over data that only a program of one's own can open.
//!
//! Each trial is that program, started again with the same arguments: it comes to the same
//! [`Sweep::run`], which sees [`TRIAL`] in the environment, measures one setting instead, and ends the
//! process.

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::never;
use loader::error::Report;
use loader::{Dataset, Settings};

use crate::config::{DatasetConfig, OwnConfig, SweepConfig};
use crate::dataset::{self, Opened};
use crate::sweep::{self, Finished, trial};
use crate::{Config, TunerError};

/// The variable that tells a program that it was started for a trial.
pub(crate) const TRIAL: &str = "TUNER_TRIAL";

/// A sweep over a data set of one's own, transforms and all.
///
/// ```no_run
/// use loader::Arrays;
/// use loader::datasets::Split;
/// use tuner::config::SweepConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = SweepConfig { batch_size: vec![64, 256], ..SweepConfig::default() };
/// let found = tuner::Sweep::new(config).try_run(|| Arrays::cifar10("data/cifar10", Split::Train))?;
/// println!("{}", found.path.join("recommended.toml").display());
/// # Ok(())
/// # }
/// ```
///
/// Each trial starts the program again with the same arguments and in the same folder: whatever it
/// does before it comes here it does for each trial, so that should be little, and it must not depend
/// on what was done before, such as a file that is there already. What a trial is to measure it is told on
/// standard input, which the program must not have read before.
#[derive(Clone, Debug)]
#[must_use]
pub struct Sweep {
    config: SweepConfig,
    loader: Settings,
    out: Option<PathBuf>,
    resume: bool,
    quiet: bool,
}

impl Sweep {
    /// Of the settings that `config` names, with those of [`Settings::default`] where it names none.
    pub fn new(config: SweepConfig) -> Self {
        let (out, resume, quiet) = (None, false, false);
        Self { config, loader: Settings::default(), out, resume, quiet }
    }

    /// How batches are loaded where the sweep does not say otherwise: order, seed, pinning. Default:
    /// [`Settings::default`], which does not shuffle; what is recommended then does not either.
    pub fn loader(mut self, settings: Settings) -> Self {
        self.loader = settings;
        self
    }

    /// Where to write. Default: `sweeps/<name of the program>/<UTC time>`.
    pub fn out(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out = Some(folder.into());
        self
    }

    /// Whether to go on with the sweep that is in the folder, the latest if none is named. Default:
    /// false.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Whether to say nothing but errors. Default: false.
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Measures every setting with the data set that `open` gives, and writes what was found. May be
    /// called once in a program.
    ///
    /// In a process that was started for a trial it does not return.
    ///
    /// # Errors
    /// As [`sweep::run`]; if it was called before; if the program, started again with the same
    /// arguments, does not come here.
    pub fn run<D: Dataset>(
        self,
        open: impl Fn() -> D + Send + Sync + 'static,
    ) -> Result<Finished, TunerError> {
        self.try_run(move || Ok::<D, Infallible>(open()))
    }

    /// As [`Self::run`], with a data set that may fail to open.
    ///
    /// # Errors
    /// As [`Self::run`], and if `open` fails.
    pub fn try_run<D: Dataset, E: Error + Send + Sync + 'static>(
        self,
        open: impl Fn() -> Result<D, E> + Send + Sync + 'static,
    ) -> Result<Finished, TunerError> {
        static CALLED: AtomicBool = AtomicBool::new(false);
        if CALLED.swap(true, Ordering::SeqCst) {
            return Err(TunerError::SweepCalledTwice);
        }
        dataset::set_own(Box::new(move || match open() {
            Ok(data) => Ok(Opened::new(data)),
            Err(error) => Err(TunerError::OwnData(Box::new(error))),
        }));
        if env::var_os(TRIAL).is_some() {
            trial();
        }
        let program =
            env::current_exe().map_err(TunerError::file("find", "the program".as_ref()))?;
        let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let dataset = DatasetConfig::Own(OwnConfig { program: name });
        let config = Config {
            dataset,
            batch_transforms: Vec::new(),
            loader: self.loader,
            sweep: self.config,
        };
        let options = sweep::Options {
            config_path: program,
            out: self.out,
            resume: self.resume,
            reuse: None,
            quiet: self.quiet,
            command: crate::cli::command_line(),
        };
        sweep::run(&config, &options, &never())
    }
}

/// Measures one setting for the process that started this one, and ends.
fn trial() -> ! {
    let code = match trial::child_main() {
        Ok(()) => 0,
        Err(error) => {
            // Where nobody listens, the exit code is all that is left.
            let _ = writeln!(io::stderr(), "error: {}", Report(&error));
            1
        }
    };
    std::process::exit(code)
}
