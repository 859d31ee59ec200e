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
///
/// # Example
/// The requests that a program of one's own has not answered yet:
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use profiler::extend::{MetricSource, PluginError};
///
/// struct Backlog(Arc<AtomicU64>);
///
/// impl MetricSource for Backlog {
///     fn name(&self) -> &str {
///         "backlog"
///     }
///
///     fn sample(&self) -> Result<Vec<(String, f64)>, PluginError> {
///         let waiting = self.0.load(Ordering::Relaxed) as f64;
///         Ok(vec![("backlog.requests".to_owned(), waiting)])
///     }
/// }
///
/// let waiting = Arc::new(AtomicU64::new(0));
/// let source = Backlog(waiting.clone());
/// waiting.store(3, Ordering::Relaxed);
/// assert_eq!(source.sample()?, [("backlog.requests".to_owned(), 3.0)]);
/// # Ok::<(), PluginError>(())
/// ```
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
///
/// # Example
/// Checkpoints that take more than a tenth of the session:
/// ```
/// use profiler::bottleneck::{Bottleneck, BottleneckType};
/// use profiler::extend::Detector;
/// use profiler::session::ProfilingSession;
///
/// struct SlowCheckpoints;
///
/// impl Detector for SlowCheckpoints {
///     fn name(&self) -> &str {
///         "slow_checkpoints"
///     }
///
///     fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck> {
///         let operations = session.performance_metrics.operations.iter();
///         let checkpoints = operations.filter(|operation| operation.name() == "checkpoint");
///         let slow = checkpoints.filter_map(|checkpoint| {
///             let share = checkpoint.total_s / session.duration_s;
///             (share > 0.1).then(|| Bottleneck {
///                 name: self.name().to_owned(),
///                 kind: BottleneckType::Custom("checkpointing".to_owned()),
///                 severity: share,
///                 frequency: checkpoint.calls,
///                 total_time_s: checkpoint.total_s,
///                 optimization_potential: Some(share),
///                 cause: format!("checkpoints take {:.0}% of the time", share * 100.0),
///                 suggestions: vec!["write checkpoints on a thread of their own".to_owned()],
///             })
///         });
///         slow.collect()
///     }
/// }
/// ```
pub trait Detector: Send + Sync {
    /// Its name in notes.
    fn name(&self) -> &str;

    /// What it finds. `session.bottlenecks` is still empty.
    fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck>;
}

/// Advice on a bottleneck beyond what its detector gives.
///
/// # Example
/// What helps against slow storage at one's own place:
/// ```
/// use profiler::bottleneck::{Bottleneck, BottleneckType};
/// use profiler::extend::SuggestionStrategy;
/// use profiler::session::ProfilingSession;
///
/// struct LocalDisks;
///
/// impl SuggestionStrategy for LocalDisks {
///     fn suggest(&self, bottleneck: &Bottleneck, _session: &ProfilingSession) -> Vec<String> {
///         match bottleneck.kind {
///             BottleneckType::IoOperation => {
///                 vec!["copy the data to `/scratch`, the node's own disk".to_owned()]
///             }
///             _ => Vec::new(),
///         }
///     }
/// }
/// ```
pub trait SuggestionStrategy: Send + Sync {
    /// What to do about `bottleneck`, most promising first; nothing where it has nothing to say.
    fn suggest(&self, bottleneck: &Bottleneck, session: &ProfilingSession) -> Vec<String>;
}

/// A file of a report.
///
/// # Example
/// Operations as a table for a spreadsheet:
/// ```
/// use std::io;
///
/// use profiler::extend::{PluginError, ReportFormat};
/// use profiler::session::ProfilingSession;
///
/// struct Csv;
///
/// impl ReportFormat for Csv {
///     fn file_name(&self, _session: &ProfilingSession) -> String {
///         "operations.csv".to_owned()
///     }
///
///     fn write(
///         &self,
///         session: &ProfilingSession,
///         out: &mut dyn io::Write,
///     ) -> Result<(), PluginError> {
///         writeln!(out, "operation,calls,total_s")?;
///         for operation in &session.performance_metrics.operations {
///             let path = operation.path.join("/");
///             writeln!(out, "\"{path}\",{},{}", operation.calls, operation.total_s)?;
///         }
///         Ok(())
///     }
/// }
/// ```
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

/// A picture of a session: files of their own, a section of the page, an image in TensorBoard.
///
/// Draw with whatever you like: what is asked for is SVG. PNG is made of it, with the font DejaVu
/// Sans; files and addresses that it names are not loaded.
///
/// # Example
/// How many threads computed, as a row of bars:
/// ```
/// use std::fmt::Write as _;
///
/// use profiler::extend::{Chart, PluginError};
/// use profiler::session::ProfilingSession;
///
/// struct Threads;
///
/// impl Chart for Threads {
///     fn name(&self, _session: &ProfilingSession) -> String {
///         "threads".to_owned()
///     }
///
///     fn title(&self) -> &str {
///         "CPU time of each thread"
///     }
///
///     fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError> {
///         let most = session.threads.iter().map(|thread| thread.cpu_s).fold(1e-9, f64::max);
///         let mut svg = "<svg xmlns='http://www.w3.org/2000/svg' width='400' height='100'>".to_owned();
///         for (at, thread) in session.threads.iter().enumerate() {
///             let height = 100.0 * thread.cpu_s / most;
///             let (x, y) = (20 * at, 100.0 - height);
///             write!(svg, "<rect x='{x}' y='{y}' width='16' height='{height}' fill='teal'/>")?;
///         }
///         Ok(svg + "</svg>")
///     }
/// }
/// ```
pub trait Chart: Send + Sync {
    /// The name of its files in the report's folder, without an ending.
    fn name(&self, session: &ProfilingSession) -> String;

    /// What it shows, in a few words.
    fn title(&self) -> &str;

    /// The picture, as SVG with a width and a height in pixels; also of a session in which there is
    /// nothing to see.
    ///
    /// # Errors
    /// Why there is none.
    fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError>;
}
