//! The page cache: what of the data's files is in memory before a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In which state runs find the page cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cache {
    /// Left as it is: nothing was done and nothing looked at.
    #[default]
    AsIs,
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsIs => f.write_str("as-is"),
        }
    }
}

/// What the runs found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheState {
    /// The state.
    pub state: Cache,
}
