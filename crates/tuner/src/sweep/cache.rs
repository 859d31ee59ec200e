//! The page cache: what of the data's files is in memory before a run.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use profiler::machine;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::TunerError;
use crate::residency::resident_pages;

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

/// What was asked for and what was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheState {
    /// What was asked for.
    pub asked: Cache,
    /// What the runs found.
    pub state: Cache,
    /// Size of the data's files; absent where it has none.
    pub bytes: Option<u64>,
    /// Share of their pages in memory before the runs, the mean; absent where it was not looked at.
    pub resident_share: Option<f64>,
    /// Why the state is not what was asked for, if it is not.
    pub why: Option<String>,
}

impl CacheState {
    /// Nothing was done and nothing looked at.
    fn as_is(asked: Cache, bytes: Option<u64>, why: Option<String>) -> Self {
        Self { asked, state: Cache::AsIs, bytes, resident_share: None, why }
    }
}

/// Sees to the state of the page cache.
#[derive(Debug)]
pub struct CacheKeeper {
    files: Vec<PathBuf>,
    state: CacheState,
}

/// From this share of pages on all count as being in memory, and up to the rest as none.
const ALL: f64 = 0.99;
/// The data may take this share of the memory that is free: the rest is for the runs.
const FITS: f64 = 0.5;

impl CacheKeeper {
    /// For the data at `root`, brought into the state `asked` as far as that can be done once for all
    /// runs.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn new(asked: Cache, root: Option<&Path>) -> Result<Self, TunerError> {
        let as_is = |bytes, why: &str| {
            let state = CacheState::as_is(asked, bytes, Some(why.to_owned()));
            Ok(Self { files: Vec::new(), state })
        };
        let Some(root) = root else { return as_is(None, "the data is in no files") };
        let files = files(root);
        if files.is_empty() {
            return as_is(None, "`root` is a pattern, whose files are not looked for");
        }
        let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let state = CacheState::as_is(asked, Some(bytes), None);
        let mut keeper = Self { files, state };
        match asked {
            Cache::AsIs => {}
            Cache::Hot if bytes as f64 > FITS * machine::available_memory() as f64 => {
                return as_is(Some(bytes), "the data is larger than half of the free memory");
            }
            Cache::Hot => {
                keeper.each(|file| io::copy(file, &mut io::sink()).map(drop))?;
                let share = keeper.resident_share()?;
                keeper.note(share, share >= ALL, "of its pages stayed in memory");
            }
            Cache::Cold => keeper.state.state = Cache::Cold,
        }
        Ok(keeper)
    }

    /// Called before each run: evicts the data where it is to be cold.
    ///
    /// # Errors
    /// If a file cannot be opened or evicted.
    pub fn before_run(&mut self) -> Result<(), TunerError> {
        if self.state.state != Cache::Cold {
            return Ok(());
        }
        self.each(|file| {
            // What is not yet written cannot be evicted.
            file.sync_data()?;
            Ok(rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed)?)
        })?;
        let share = self.resident_share()?;
        self.note(share, share <= 1.0 - ALL, "of its pages could not be evicted");
        Ok(())
    }

    /// What the runs found.
    pub fn state(&self) -> &CacheState {
        &self.state
    }

    fn note(&mut self, share: f64, reached: bool, what: &str) {
        self.state.resident_share = Some(share);
        self.state.state = if reached { self.state.asked } else { Cache::AsIs };
        self.state.why = (!reached).then(|| format!("{:.0}% {what}", 100.0 * share));
    }

    fn each(&self, work: impl Fn(&mut File) -> io::Result<()> + Sync) -> Result<(), TunerError> {
        self.files.par_iter().try_for_each(|path| {
            let done = File::open(path).and_then(|mut file| work(&mut file));
            done.map_err(TunerError::file("read", path))
        })
    }

    /// Share of the files' pages in memory.
    fn resident_share(&self) -> Result<f64, TunerError> {
        let pages = self.files.par_iter().map(|path| {
            let pages = File::open(path).and_then(|file| resident_pages(&file));
            pages.map_err(TunerError::file("read", path))
        });
        let (resident, all) = pages.try_reduce(|| (0, 0), |a, b| Ok((a.0 + b.0, a.1 + b.1)))?;
        Ok(resident as f64 / (all as f64).max(1.0))
    }
}

/// The file at `root`, or those in the folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root).follow_links(true).into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(|it| it.into_path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), vec![1; 300_000]).unwrap();
        }
        folder
    }

    #[test]
    fn hot_is_read_and_looked_at() {
        let folder = folder();
        let keeper = CacheKeeper::new(Cache::Hot, Some(folder.path())).unwrap();
        let CacheState { state, bytes, resident_share, .. } = keeper.state().clone();
        assert_eq!((state, bytes), (Cache::Hot, Some(600_000)));
        assert!(resident_share.unwrap() >= ALL);
    }

    #[test]
    fn cold_is_evicted_or_said_not_to_be() {
        let folder = folder();
        let mut keeper = CacheKeeper::new(Cache::Cold, Some(folder.path())).unwrap();
        keeper.before_run().unwrap();
        // A file system in memory, as temporary folders may be, evicts nothing.
        let share = keeper.state().resident_share.unwrap();
        let expected = if share <= 1.0 - ALL { Cache::Cold } else { Cache::AsIs };
        assert_eq!(keeper.state().state, expected);
        assert_eq!(keeper.state().why.is_some(), expected == Cache::AsIs);
    }

    #[test]
    fn without_files_it_is_as_it_is_and_why_is_said() {
        let keeper = CacheKeeper::new(Cache::Hot, None).unwrap();
        assert_eq!(keeper.state().state, Cache::AsIs);
        assert!(keeper.state().why.is_some());
    }
}
