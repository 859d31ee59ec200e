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
use walkdir::{DirEntry, WalkDir};

use crate::config::DatasetConfig;
use crate::residency::resident_pages;
use crate::{Config, TunerError, dataset};

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
    /// For `data`, of which nothing is read yet.
    ///
    /// # Errors
    /// If the files cannot be listed.
    pub fn new(asked: Cache, data: &DatasetConfig) -> Result<Self, TunerError> {
        let files = files(data)?;
        let bytes: u64 = files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        let large = bytes as f64 > FITS * machine::available_memory() as f64;
        // What is computed is as hot as it can be.
        let asked = match (data, asked) {
            (DatasetConfig::Synthetic(_), Cache::Hot) => Cache::AsIs,
            (_, asked) => asked,
        };
        let hindrance = match (data, asked) {
            (_, Cache::AsIs) => None,
            (DatasetConfig::Synthetic(_), _) => Some("the data is in no files"),
            (DatasetConfig::Own(_), _) => Some("which files the program's data is in is not known"),
            (_, Cache::Hot) if large => Some("the data is larger than half of the free memory"),
            _ => None,
        };
        let bytes = (!files.is_empty()).then_some(bytes);
        Ok(Self { asked, files, bytes, hindrance, reading_helps: true })
    }

    /// The state that runs found, before which these shares were in memory.
    pub fn state(&self, shares: &[Option<f64>]) -> CacheState {
        CacheState::of(self.asked, self.bytes, self.hindrance, shares)
    }

    /// Called before each run: brings the data into the state that was asked for, and gives the share of
    /// its pages that is in memory then, by a look at up to 1,024 of its files; `None` where it has none, or
    /// the system does not tell.
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
        let holds = |share: Option<f64>| share.is_some_and(|share| self.asked.holds(share));
        if self.hindrance.is_none() && !holds(share) && self.asked == Cache::Hot {
            // What does not stay in memory is not read before each run.
            if self.reading_helps {
                read(&self.files, self.bytes.unwrap_or(0), interrupt, progress)?;
                share = resident_share(&self.files)?;
            }
            self.reading_helps = holds(share);
        }
        Ok(share)
    }
}

/// Evicts the files of the data from the page cache, as far as the system does that, where runs are to find
/// them so.
///
/// # Errors
/// If they cannot be listed or opened.
pub(in crate::sweep) fn evict_if_cold(config: &Config) -> Result<(), TunerError> {
    match config.sweep.cache {
        Cache::Cold => evict(&files(&config.dataset)?, &crossbeam::channel::never()),
        Cache::Hot | Cache::AsIs => Ok(()),
    }
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

/// Share of the pages in memory, of up to 1,024 of these files; `None` where the system does not tell it of all.
fn resident_share(files: &[PathBuf]) -> Result<Option<f64>, TunerError> {
    let step = files.len().div_ceil(LOOKED_AT).max(1);
    let pages = files
        .par_iter()
        .step_by(step)
        .map(|path| resident_pages(path).map_err(TunerError::file("read", path)));
    let sum = |a: Option<(u64, u64)>, b: Option<(u64, u64)>| {
        Ok(a.zip(b).map(|(a, b)| (a.0 + b.0, a.1 + b.1)))
    };
    let pages = pages.try_reduce(|| Some((0, 0)), sum)?;
    Ok(pages.map(|(resident, all)| resident as f64 / (all as f64).max(1.0)))
}

/// The files that `data` is in; none where it is computed, or only a program of one's own knows them.
fn files(data: &DatasetConfig) -> Result<Vec<PathBuf>, TunerError> {
    match data {
        DatasetConfig::Tar(data) => Ok(dataset::files(&data.root).paths("tar")?),
        DatasetConfig::Parquet(data) => Ok(dataset::files(&data.root).paths("parquet")?),
        DatasetConfig::Npy(data) => Ok(data.files.values().map(|it| data.root.join(it)).collect()),
        DatasetConfig::Safetensors(data) => Ok(vec![data.root.join(&data.file)]),
        DatasetConfig::Tokens(data) => Ok(vec![data.root.join(&data.file)]),
        _ => Ok(data.root().map(below).unwrap_or_default()),
    }
}

/// The files in the folder `root`. Links that lead nowhere are none.
fn below(root: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(root).follow_links(true).into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(DirEntry::into_path).collect()
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{bounded, never};

    use super::*;
    use crate::config::OwnConfig;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(folder.path().join(name), vec![1; 300_000]).unwrap();
        }
        folder
    }

    fn data(text: &str) -> DatasetConfig {
        toml::from_str(text).unwrap()
    }

    fn keeper(asked: Cache, root: &Path) -> CacheKeeper {
        let data = data(&format!("kind = \"image-folder\"\nroot = {root:?}\ntransforms = []"));
        CacheKeeper::new(asked, &data).unwrap()
    }

    fn evict_data(root: &Path) {
        evict(&below(root), &never()).unwrap();
    }

    #[test]
    fn hot_is_read_and_looked_at() {
        let folder = folder();
        let mut keeper = keeper(Cache::Hot, folder.path());
        assert_eq!(keeper.bytes, Some(600_000));
        let share = keeper.before_run(&never(), &|_| ()).unwrap().unwrap();
        assert!(share >= ALL, "{share}");
    }

    #[test]
    fn what_was_evicted_is_read_again_for_hot() {
        let folder = folder();
        evict_data(folder.path());
        let evicted = resident_share(&below(folder.path())).unwrap().unwrap();
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
                evict_data(folder.path());
                resident_share(&below(folder.path())).unwrap().unwrap() < ALL
            };
            assert!(!evicts || share <= 1.0 - ALL, "{share}");
        }
    }

    #[test]
    fn ctrl_c_ends_the_reading() {
        let folder = folder();
        let (sender, interrupt) = bounded(1);
        sender.send(()).unwrap();
        let files = below(folder.path());
        let stopped = read(&files, 600_000, &interrupt, &|_| ()).unwrap_err();
        assert!(matches!(stopped, TunerError::Stopped), "{stopped}");
    }

    fn words(asked: Cache, data: &DatasetConfig) -> String {
        let mut keeper = CacheKeeper::new(asked, data).unwrap();
        assert_eq!(keeper.before_run(&never(), &|_| ()).unwrap(), None);
        keeper.state(&[None]).words()
    }

    #[test]
    fn without_files_it_is_as_it_is_and_why_is_said() {
        let computed = data("kind = \"synthetic\"\nsamples = 1\nfields = []");
        assert_eq!(words(Cache::Hot, &computed), "as-is");
        let said = words(Cache::Cold, &computed);
        assert_eq!(said, "as-is; `cold` was asked for, but the data is in no files");
        let own = DatasetConfig::Own(OwnConfig { program: "train".to_owned() });
        let said = words(Cache::Hot, &own);
        assert!(said.ends_with("which files the program's data is in is not known"), "{said}");
    }

    #[test]
    fn shards_are_found_by_their_pattern() {
        let folder = tempfile::tempdir().unwrap();
        for shard in 0..3 {
            let path = folder.path().join(format!("train-{shard:02}.tar"));
            std::fs::write(path, vec![1; 10_000]).unwrap();
        }
        let root = folder.path().join("train-{00..01}.tar");
        for kind in ["tar", "parquet"] {
            let text = format!("kind = \"{kind}\"\nroot = {root:?}\ntransforms = []");
            let mut keeper = CacheKeeper::new(Cache::Hot, &data(&text)).unwrap();
            assert_eq!(keeper.bytes, Some(20_000));
            assert!(keeper.before_run(&never(), &|_| ()).unwrap().unwrap() >= ALL);
        }
    }
}
