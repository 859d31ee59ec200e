//! The page cache: what of the data's files is in memory before a run.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::ValueEnum;
use crossbeam::channel::Receiver;
use profiler::machine;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::residency::resident_pages;
use crate::{Config, TunerError};

mod state;

pub use state::{CacheState, Share};

/// In which state runs find the page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// All files are read before the sweep: what later epochs find, where the data fits in memory.
    #[default]
    Hot,
    /// All files are evicted before each run: what a first epoch finds.
    Cold,
    /// Left as it is.
    AsIs,
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
            Self::AsIs => "as-is",
        })
    }
}

/// From this share of pages on all count as being in memory, and up to the rest as none.
const ALL: f64 = 0.99;
/// The data may take this share of the memory that is free: the rest is for the runs.
const FITS: f64 = 0.5;
/// So many files, spread over all, are looked at before a run.
const LOOKED_AT: usize = 1024;
/// Bytes that are read at once: between them Ctrl-C is listened to.
const PIECE: usize = 1 << 20;

impl Cache {
    /// Whether this `share` of the pages in memory is what was asked for.
    fn holds(self, share: f64) -> bool {
        match self {
            Self::Hot => share >= ALL,
            Self::Cold => share <= 1.0 - ALL,
            Self::AsIs => true,
        }
    }
}

/// Sees to the state of the page cache.
#[derive(Debug)]
pub struct CacheKeeper {
    asked: Cache,
    files: Vec<PathBuf>,
    bytes: Option<u64>,
    /// Why nothing can be done.
    hindrance: Option<&'static str>,
    /// Whether reading once more would help, or was tried in vain.
    reading_helps: bool,
}

impl CacheKeeper {
    /// For the data at `root`, of which nothing is read yet.
    ///
    /// # Errors
    /// If the files cannot be listed.
    pub fn new(asked: Cache, root: Option<&Path>) -> Result<Self, TunerError> {
        let files = root.map(files).transpose()?.unwrap_or_default();
        let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let large = bytes as f64 > FITS * machine::available_memory() as f64;
        let hindrance = match (root, asked) {
            (None, _) => Some("the data is in no files"),
            (Some(_), _) if files.is_empty() => {
                Some("`root` is a pattern, whose files are not looked for")
            }
            (_, Cache::Hot) if large => Some("the data is larger than half of the free memory"),
            _ => None,
        };
        let bytes = (!files.is_empty()).then_some(bytes);
        let hindrance = hindrance.filter(|_| asked != Cache::AsIs);
        Ok(Self { asked, files, bytes, hindrance, reading_helps: true })
    }

    /// What was asked for.
    pub fn asked(&self) -> Cache {
        self.asked
    }

    /// Why nothing can be done, if so.
    pub fn hindrance(&self) -> Option<&'static str> {
        self.hindrance
    }

    /// Size of the data's files.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// Called before each run: brings the data into the state that was asked for, and gives the share of
    /// its pages that is in memory then, by a look at up to 1,024 of its files; `None` where it has none.
    /// `progress` is told what share of the data was read so far.
    ///
    /// # Errors
    /// If a file cannot be read or evicted; [`TunerError::Stopped`] if `interrupt` receives.
    pub fn before_run(
        &mut self,
        interrupt: &Receiver<()>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Option<f64>, TunerError> {
        if self.files.is_empty() {
            return Ok(None);
        }
        if self.hindrance.is_none() && self.asked == Cache::Cold {
            evict(&self.files, interrupt)?;
        }
        let mut share = resident_share(&self.files)?;
        if self.hindrance.is_none() && !self.asked.holds(share) && self.asked == Cache::Hot {
            // What does not stay in memory is not read before each run.
            if self.reading_helps {
                read(&self.files, self.bytes.unwrap_or(0), interrupt, progress)?;
                share = resident_share(&self.files)?;
            }
            self.reading_helps = self.asked.holds(share);
        }
        Ok(Some(share))
    }
}

/// Evicts the files of the data from the page cache, as far as the system does that, where runs are to find
/// them so.
///
/// # Errors
/// If they cannot be listed or opened.
pub(in crate::sweep) fn evict_if_cold(config: &Config) -> Result<(), TunerError> {
    match config.dataset.root() {
        Some(root) if config.sweep.cache == Cache::Cold => evict_data(root),
        _ => Ok(()),
    }
}

fn evict_data(root: &Path) -> Result<(), TunerError> {
    evict(&files(root)?, &crossbeam::channel::never())
}

fn evict(files: &[PathBuf], interrupt: &Receiver<()>) -> Result<(), TunerError> {
    each(files, interrupt, |file, _| {
        // What is not yet written cannot be evicted.
        file.sync_data()?;
        Ok(rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed)?)
    })
}

fn read(
    files: &[PathBuf],
    bytes: u64,
    interrupt: &Receiver<()>,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<(), TunerError> {
    let read = AtomicU64::new(0);
    each(files, interrupt, |file, stopped| {
        let mut piece = vec![0; PIECE];
        while !stopped() {
            let length = file.read(&mut piece)? as u64;
            if length == 0 {
                break;
            }
            let before = read.fetch_add(length, Ordering::Relaxed);
            progress((before + length) as f64 / (bytes as f64).max(1.0));
        }
        Ok(())
    })
}

/// Does `work` with each file, on several threads, until `interrupt` receives.
fn each(
    files: &[PathBuf],
    interrupt: &Receiver<()>,
    work: impl Fn(&mut File, &dyn Fn() -> bool) -> io::Result<()> + Sync,
) -> Result<(), TunerError> {
    let interrupted = AtomicBool::new(false);
    let stopped = || {
        if interrupt.try_recv().is_ok() {
            interrupted.store(true, Ordering::Relaxed);
        }
        interrupted.load(Ordering::Relaxed)
    };
    files.par_iter().try_for_each(|path| {
        if stopped() {
            return Err(TunerError::Stopped);
        }
        let done = File::open(path).and_then(|mut file| work(&mut file, &stopped));
        done.map_err(TunerError::file("read", path))
    })?;
    if interrupted.into_inner() { Err(TunerError::Stopped) } else { Ok(()) }
}

/// Share of the pages in memory, of up to 1,024 of these files.
fn resident_share(files: &[PathBuf]) -> Result<f64, TunerError> {
    let step = files.len().div_ceil(LOOKED_AT).max(1);
    let pages = files.par_iter().step_by(step).map(|path| {
        let pages = File::open(path).and_then(|file| resident_pages(&file));
        pages.map_err(TunerError::file("read", path))
    });
    let (resident, all) = pages.try_reduce(|| (0, 0), |a, b| Ok((a.0 + b.0, a.1 + b.1)))?;
    Ok(resident as f64 / (all as f64).max(1.0))
}

/// The file at `root`, or those in the folder; none where nothing is there, as for a pattern.
fn files(root: &Path) -> Result<Vec<PathBuf>, TunerError> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            TunerError::file("read", &path)(error.into())
        })?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{bounded, never};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), vec![1; 300_000]).unwrap();
        }
        folder
    }

    fn keeper(asked: Cache, root: &Path) -> CacheKeeper {
        CacheKeeper::new(asked, Some(root)).unwrap()
    }

    #[test]
    fn hot_is_read_and_looked_at() {
        let folder = folder();
        let mut keeper = keeper(Cache::Hot, folder.path());
        assert_eq!(keeper.bytes(), Some(600_000));
        let share = keeper.before_run(&never(), &|_| ()).unwrap().unwrap();
        assert!(share >= ALL, "{share}");
    }

    #[test]
    fn what_was_evicted_is_read_again_for_hot() {
        let folder = folder();
        evict_data(folder.path()).unwrap();
        let evicted = resident_share(&files(folder.path()).unwrap()).unwrap();
        let mut keeper = keeper(Cache::Hot, folder.path());
        let told = AtomicU64::new(0);
        let tell = |share: f64| {
            told.fetch_max((100.0 * share) as u64, Ordering::Relaxed);
        };
        assert!(keeper.before_run(&never(), &tell).unwrap().unwrap() >= ALL);
        // A file system in memory, as temporary folders may be, evicts nothing, and nothing is read.
        let expected = if evicted < ALL { 100 } else { 0 };
        assert_eq!(told.into_inner(), expected, "{evicted}");
    }

    #[test]
    fn cold_data_is_evicted_before_each_run_whatever_was_found() {
        let folder = folder();
        let mut keeper = keeper(Cache::Cold, folder.path());
        for _ in 0..2 {
            std::fs::read(folder.path().join("a")).unwrap();
            let share = keeper.before_run(&never(), &|_| ()).unwrap().unwrap();
            let evicts = {
                evict_data(folder.path()).unwrap();
                resident_share(&files(folder.path()).unwrap()).unwrap() < ALL
            };
            assert!(!evicts || share <= 1.0 - ALL, "{share}");
        }
    }

    #[test]
    fn ctrl_c_ends_the_reading() {
        let folder = folder();
        let (sender, interrupt) = bounded(1);
        sender.send(()).unwrap();
        let files = files(folder.path()).unwrap();
        let stopped = read(&files, 600_000, &interrupt, &|_| ()).unwrap_err();
        assert!(matches!(stopped, TunerError::Stopped), "{stopped}");
    }

    #[test]
    fn without_files_it_is_as_it_is_and_why_is_said() {
        let mut keeper = CacheKeeper::new(Cache::Hot, None).unwrap();
        assert_eq!(keeper.before_run(&never(), &|_| ()).unwrap(), None);
        let state = CacheState::of(keeper.asked(), keeper.bytes(), keeper.hindrance(), &[None]);
        assert_eq!(state.state, Some(Cache::AsIs));
        assert_eq!(state.words(), "as-is; `hot` was asked for, but the data is in no files");
    }
}
