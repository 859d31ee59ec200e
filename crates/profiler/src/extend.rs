//! Ways in for code of one's own: a metric, a rule, advice, a file, a picture.
//!
//! Implement the trait and register it with the profiler before the session starts. Ours are
//! made the same way.

use std::error::Error;
use std::io;

use crate::bottleneck::Bottleneck;
use crate::session::ProfilingSession;

/// What a plugin gives in place of a result.
pub type PluginError = Box<dyn Error + Send + Sync>;

/// Values that the monitor asks for at each tick.
pub trait MetricSource: Send + Sync {
    /// Its name among the trackers.
    fn name(&self) -> &str;

    /// Name and value of each metric now.
    ///
    /// # Errors
    /// Why there are none: the source is marked unavailable with that reason and asked no more.
    fn sample(&self) -> Result<Vec<(String, f64)>, PluginError>;
}

/// A rule that finds bottlenecks in what a session recorded.
pub trait Detector: Send + Sync {
    /// Its name in notes.
    fn name(&self) -> &str;

    /// What it finds. `session.bottlenecks` is still empty.
    fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck>;
}

/// Advice on a bottleneck beyond what its detector gives.
pub trait SuggestionStrategy: Send + Sync {
    /// What to do about `bottleneck`, most promising first; nothing where it has nothing to say.
    fn suggest(&self, bottleneck: &Bottleneck, session: &ProfilingSession) -> Vec<String>;
}

/// A file of a report.
pub trait ReportFormat: Send + Sync {
    /// The file's name in the report's folder.
    fn file_name(&self, session: &ProfilingSession) -> String;

    /// Writes it.
    ///
    /// # Errors
    /// If `out` cannot be written to, or the session cannot be put in this format.
    fn write(&self, session: &ProfilingSession, out: &mut dyn io::Write)
    -> Result<(), PluginError>;
}
