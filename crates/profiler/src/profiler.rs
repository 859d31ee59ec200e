//! The profiler: sessions one after another, and the operations of the one that is open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::bottleneck::BottleneckType;
use crate::config::{ConfigError, ProfilerConfig};
#[cfg(feature = "report")]
use crate::extend::Chart;
use crate::extend::{Detector, MetricSource, ReportFormat, SuggestionStrategy};
use crate::folder::{self, ReportError};
use crate::machine::Machine;
use crate::monitor::Window;
use crate::notes::calmly;
use crate::open::OpenSession;
pub use crate::open::SessionId;
use crate::operation::{self, Operation, Recorder, SessionKey, SyncHook};
use crate::pipeline::PipelineSource;
use crate::pipelines::MAX_PIPELINES;
use crate::plugins::Plugins;
use crate::session::ProfilingSession;
use crate::summary::summary;

/// Why a session cannot be begun, used or ended.
#[derive(Debug, Error)]
pub enum SessionError {
    /// One is open already.
    #[error("the session `{open}` is still open\nhint: call `stop_session` before the next one")]
    AlreadyOpen {
        /// The one that is open.
        open: SessionId,
    },
    /// None is open.
    #[error("no session is open\nhint: call `start_session` first")]
    NoneOpen,
    /// A name that no one could read.
    #[error(
        "`{}` cannot name a session\nhint: a name is not blank and has no control characters",
        name.escape_debug()
    )]
    Name {
        /// The name.
        name: String,
    },
    /// No more pipelines can be watched in this session.
    #[error(
        "the pipeline `{name}` cannot be watched: {MAX_PIPELINES} are watched already\n\
         hint: register one pipeline for all epochs"
    )]
    Pipelines {
        /// The one that found no room.
        name: String,
    },
}

/// Why a profiler's report was not written.
#[derive(Debug, Error)]
pub enum WriteReportError {
    /// There is nothing to report.
    #[error("there was no session yet\nhint: call `start_session` first")]
    NoSession,
    /// The folder or a file of it.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Says what took the time, session by session.
///
/// A handle: clones are the same profiler, for as many threads as like. When the last one is
/// dropped, a session that is still open ends with it, and its monitor's thread is joined.
///
/// # Example
///
/// ```
/// use profiler::bottleneck::BottleneckType;
/// use profiler::config::ProfilerConfig;
/// use profiler::profiler::BottleneckProfiler;
///
/// let profiler = BottleneckProfiler::new(ProfilerConfig::default())?;
/// profiler.start_session("training")?;
/// for _ in 0..3 {
///     let _epoch = profiler.operation("epoch", BottleneckType::CpuComputation);
///     profiler.profile_operation("decode", BottleneckType::Preprocessing, || {
///         std::hint::black_box(vec![0u8; 1 << 16]);
///     });
/// }
/// let session = profiler.stop_session()?;
///
/// let decode = &session.performance_metrics.operations[1];
/// assert_eq!(decode.path, ["epoch", "decode"]);
/// assert_eq!(decode.calls, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BottleneckProfiler {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The session that records operations; [`NO_SESSION`] while none does. Read at each operation,
    /// so it lives outside of the lock.
    recording: AtomicU64,
    config: ProfilerConfig,
    machine: Machine,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plugins: Plugins,
    open: Option<Arc<OpenSession>>,
    last: Option<Arc<ProfilingSession>>,
}

const NO_SESSION: SessionKey = 0;

impl BottleneckProfiler {
    /// A profiler without a session. Looks at the machine, see [`Machine::detect`].
    ///
    /// # Errors
    ///
    /// Those of [`ProfilerConfig::validate`].
    pub fn new(config: ProfilerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let shared = Shared {
            recording: AtomicU64::new(NO_SESSION),
            config,
            machine: Machine::detect(),
            state: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What it measures.
    pub fn config(&self) -> &ProfilerConfig {
        &self.shared.config
    }

    /// Begins a session. What of its name cannot be part of a file's name is `-` in the id.
    ///
    /// # Errors
    ///
    /// [`SessionError::AlreadyOpen`], or [`SessionError::Name`] for a name that is blank or has
    /// control characters.
    pub fn start_session(&self, name: &str) -> Result<SessionId, SessionError> {
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(SessionError::Name { name: name.to_owned() });
        }
        let mut state = self.state();
        if let Some(open) = &state.open {
            return Err(SessionError::AlreadyOpen { open: open.id.clone() });
        }
        let Shared { config, machine, .. } = &*self.shared;
        let session = OpenSession::begin(name, config, machine, state.plugins.clone());
        let id = session.id.clone();
        self.shared.recording.store(session.recorder.key, Relaxed);
        state.open = Some(Arc::new(session));
        Ok(id)
    }

    /// Ends the session and says what took its time. Its monitor has stopped when this returns.
    ///
    /// Operations that are open at this moment, on any thread, are not counted; the session notes
    /// them.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoneOpen`].
    pub fn stop_session(&self) -> Result<Arc<ProfilingSession>, SessionError> {
        let open = {
            let mut state = self.state();
            self.shared.recording.store(NO_SESSION, Relaxed);
            state.open.take().ok_or(SessionError::NoneOpen)?
        };
        // Not under the lock: detectors are code of others, which may ask this profiler.
        let session = Arc::new(open.end());
        self.state().last = Some(session.clone());
        Ok(session)
    }

    /// The session that is open, so far, or else the last one; `None` before the first.
    pub fn session(&self) -> Option<Arc<ProfilingSession>> {
        let state = self.state();
        match state.open.clone() {
            Some(open) => {
                drop(state);
                Some(Arc::new(open.so_far()))
            }
            None => state.last.clone(),
        }
    }

    /// What took the time, for people, of the session that is open or else the last one.
    pub fn summary(&self) -> String {
        self.session().map_or_else(|| "There was no session yet.\n".to_owned(), |s| summary(&s))
    }

    /// Writes all files of a report of the session that is open, or else the last one, to the
    /// folder `dir`, which is made if it is not there. Says which files it wrote. A registered chart
    /// that cannot be drawn is a note in the report.
    ///
    /// # Errors
    ///
    /// [`WriteReportError::NoSession`], or why a file was not written, see [`folder::write`].
    pub fn write_report(&self, dir: impl AsRef<Path>) -> Result<Vec<PathBuf>, WriteReportError> {
        let session = self.session().ok_or(WriteReportError::NoSession)?;
        let mut session = (*session).clone();
        let plugins = self.state().plugins.clone();
        let mut notes = Vec::new();
        let formats = plugins.all_formats(&session, &mut notes);
        session.notes.extend(notes);
        Ok(folder::write(&session, dir.as_ref(), &formats)?)
    }

    /// Begins an operation on this thread; it ends where what is returned is dropped. An operation
    /// that is begun before that, on the same thread, is inside of it.
    ///
    /// Costs at most 100 ns, with CPU time (from level detailed on) 1.5 us, and 2 ns while no
    /// session is open. One name in one place is one operation, of the kind it was first begun
    /// with. Names should be few: write `decode`, not `decode image 17`.
    ///
    /// # Example
    ///
    /// ```
    /// # use profiler::bottleneck::BottleneckType;
    /// # let profiler = profiler::profiler::BottleneckProfiler::new(Default::default()).unwrap();
    /// let _operation = profiler.operation("decode", BottleneckType::Preprocessing);
    /// ```
    #[inline]
    pub fn operation(&self, name: &str, kind: BottleneckType) -> Operation {
        self.operation_of(name, || kind)
    }

    /// The same for an operation that hands work to a device and does not wait for it: waits for
    /// the device before its begin and before its end, see [`register_sync`](Self::register_sync).
    /// So its time is that of the work, and the device has nothing queued up at its edges.
    pub fn synced_operation(&self, name: &str, kind: BottleneckType) -> Operation {
        if self.shared.recording.load(Relaxed) == NO_SESSION {
            return Operation::UNRECORDED;
        }
        let sync = self.state().plugins.sync.clone();
        if let Some(sync) = &sync {
            sync();
        }
        self.operation_of(name, || kind).with_sync(sync)
    }

    /// Does `work` as an [`operation`](Self::operation).
    pub fn profile_operation<T>(
        &self,
        name: &str,
        kind: BottleneckType,
        work: impl FnOnce() -> T,
    ) -> T {
        let _operation = self.operation(name, kind);
        work()
    }

    #[inline]
    pub(crate) fn operation_of(
        &self,
        name: &str,
        kind: impl FnOnce() -> BottleneckType,
    ) -> Operation {
        match self.shared.recording.load(Relaxed) {
            NO_SESSION => Operation::UNRECORDED,
            session => operation::enter(session, name, kind, || self.recorder(session)),
        }
    }

    /// Of the session `key`, if it is open.
    fn recorder(&self, key: SessionKey) -> Option<Arc<Recorder>> {
        let state = self.state();
        let recorder = &state.open.as_ref()?.recorder;
        (recorder.key == key).then(|| recorder.clone())
    }

    /// Watches a pipeline from now on, in the session that is open: at each tick of the monitor it
    /// is asked for its counters. A name that is taken gets a number.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoneOpen`], or [`SessionError::Pipelines`] if too many are watched.
    pub fn register_pipeline(
        &self,
        name: &str,
        source: Arc<dyn PipelineSource>,
    ) -> Result<(), SessionError> {
        if self.open()?.pipelines().watch(name, source) {
            Ok(())
        } else {
            Err(SessionError::Pipelines { name: name.to_owned() })
        }
    }

    /// Opens a window: what the process uses from now until it is finished, as the session's monitor
    /// sees it. `None` where no session is open, or none that is monitored.
    pub fn window(&self) -> Option<Window> {
        self.open().ok()?.window()
    }

    /// Says something of the run: a setting, what data it reads, a version. Replaces what was said
    /// for `key` before. Two sessions whose `data` differs are not compared.
    ///
    /// # Errors
    ///
    /// [`SessionError::NoneOpen`].
    pub fn attribute(&self, key: &str, value: &str) -> Result<(), SessionError> {
        self.open()?.attribute(key, value);
        Ok(())
    }

    /// Has the monitor ask `source` at each tick, from the next session on.
    pub fn register_metric_source(&self, source: Arc<dyn MetricSource>) {
        self.state().plugins.sources.push(source);
    }

    /// Has `detector` look at what a session recorded, from the next session on.
    pub fn register_detector(&self, detector: Arc<dyn Detector>) {
        self.state().plugins.detectors.push(detector);
    }

    /// Has `strategy` advise on every bottleneck, from the next session on.
    pub fn register_suggestion_strategy(&self, strategy: Arc<dyn SuggestionStrategy>) {
        self.state().plugins.strategies.push(strategy);
    }

    /// Adds a file to reports.
    pub fn register_report_format(&self, format: Arc<dyn ReportFormat>) {
        self.state().plugins.formats.push(format);
    }

    /// Adds a picture to reports.
    #[cfg(feature = "report")]
    pub fn register_chart(&self, chart: Arc<dyn Chart>) {
        self.state().plugins.charts.push(chart);
    }

    /// Says how to wait for a device: `sync` returns when all work that was handed to it is done.
    /// There is one such hook, and it is called at the edges of
    /// [synced operations](Self::synced_operation) only. If it panics it is called no more, and the
    /// session notes it.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use profiler::bottleneck::BottleneckType;
    /// # let profiler = profiler::profiler::BottleneckProfiler::new(Default::default()).unwrap();
    /// # fn cuda_synchronize() {}
    /// profiler.register_sync(Arc::new(|| cuda_synchronize()));
    /// let _copy = profiler.synced_operation("to device", BottleneckType::GpuTransfer);
    /// ```
    pub fn register_sync(&self, sync: SyncHook) {
        let (shared, failed) = (Arc::downgrade(&self.shared), AtomicBool::new(false));
        let calm = move || {
            if failed.load(Relaxed) {
                return;
            }
            let Err(words) = calmly(|| sync()) else { return };
            failed.store(true, Relaxed);
            if let Some(shared) = shared.upgrade()
                && let Ok(open) = (Self { shared }).open()
            {
                open.note(format!("operations wait for the device no more: {words}"));
            }
        };
        self.state().plugins.sync = Some(Arc::new(calm));
    }

    pub(crate) fn open(&self) -> Result<Arc<OpenSession>, SessionError> {
        self.state().open.clone().ok_or(SessionError::NoneOpen)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
