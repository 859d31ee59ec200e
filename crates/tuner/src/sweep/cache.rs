//! The page cache: what of the data's files is in memory before a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In which state runs find the page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    pub fn as_is(asked: Cache, why: Option<String>) -> Self {
        Self { asked, state: Cache::AsIs, bytes: None, resident_share: None, why }
    }
}
