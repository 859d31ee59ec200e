//! Operations: what a program says it is doing, timed on the thread that does it.
//!
//! Each thread that begins an operation in a session gets a `Table` of its own, in a thread-local
//! list. It writes there without a lock; the sums are single-writer atomics, which the session's
//! `Recorder` reads when it is asked what all threads did so far. When a thread ends, its sums
//! move to those of the ended threads: a program that starts threads for days takes no more room
//! than one that keeps them.
//!
//! The list of a thread holds the recorder weakly: a session ends when its recorder is dropped, and
//! a guard that outlives it writes to a table that no one reads any more.

mod clocks;
mod counter;
mod stretches;
mod table;
mod tree;
mod used;
mod waits;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use self::clocks::Clocks;
use self::stretches::Used;
use self::table::{CallId, CallSpan, Published, Spans, Table};
use self::tree::Tree;
use self::used::used_by_this_thread;
use crate::bottleneck::BottleneckType;
use crate::config::ProfilingLevel;
use crate::notes::Notes;
use crate::session::{OperationStats, Span};
use crate::thread::current_tid;

/// Called at the edges of operations that wait for a device.
pub type SyncHook = Arc<dyn Fn() + Send + Sync>;

/// Spans of the timeline that a session keeps: the first ones.
pub(crate) const MAX_SPANS: usize = 1 << 16;
/// At level production one short call in so many is timed.
pub(crate) const PRODUCTION_ONE_IN: u32 = 16;
/// Threads that are looked at in one tick of the monitor: some microseconds each.
const MAX_LOOKS: usize = 16;
/// Open operations that a session's end names.
const MAX_NAMED: usize = 8;

/// An operation, from its making to its drop. See
/// [`BottleneckProfiler::operation`](crate::profiler::BottleneckProfiler::operation).
///
/// It belongs to the thread that made it, so it cannot be sent to another. One that is dropped
/// after its session ended, or after an operation around it, is not counted; the session notes it.
///
/// ```compile_fail
/// use profiler::bottleneck::BottleneckType;
/// use profiler::profiler::BottleneckProfiler;
///
/// let profiler = BottleneckProfiler::new(Default::default()).unwrap();
/// let operation = profiler.operation("decode", BottleneckType::Preprocessing);
/// std::thread::spawn(move || drop(operation));
/// ```
#[must_use = "an operation ends where it is dropped: bind it to a name such as `_operation`"]
pub struct Operation {
    /// `None` where no session is open.
    call: Option<(SessionKey, CallId)>,
    sync: Option<SyncHook>,
    /// Its call is on a stack of this thread.
    not_send: PhantomData<*const ()>,
}

impl Operation {
    pub(crate) const UNRECORDED: Self = Self { call: None, sync: None, not_send: PhantomData };

    /// The same, with `sync` called before its end.
    pub(crate) fn with_sync(mut self, sync: Option<SyncHook>) -> Self {
        self.sync = sync;
        self
    }
}

impl Drop for Operation {
    #[inline]
    fn drop(&mut self) {
        if let Some((session, call)) = self.call {
            if let Some(sync) = &self.sync {
                sync();
            }
            exit(session, call);
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("call", &self.call).finish_non_exhaustive()
    }
}

/// Names a session among all of this process; never 0.
pub(crate) type SessionKey = u64;

/// Operations of one session, on all threads.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) key: SessionKey,
    clocks: Clocks,
    one_in: u32,
    /// Room for spans that no thread has taken, at level comprehensive.
    spans_left: Option<Arc<AtomicUsize>>,
    threads: Mutex<Threads>,
    /// Times that threads were looked at.
    looks: AtomicUsize,
}

#[derive(Debug, Default)]
struct Threads {
    running: Vec<Arc<Published>>,
    ended: Totals,
}

/// A session's table on this thread.
struct Entry {
    session: SessionKey,
    recorder: Weak<Recorder>,
    clocks: Clocks,
    table: RefCell<Table>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.upgrade() {
            recorder.retire(&self.table.get_mut().published);
        }
    }
}

thread_local! {
    static TABLES: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// Begins an operation on this thread, in the session `session`, whose recorder `find` gives where
/// the thread does not know it yet.
///
/// Not recorded if the session has ended, or on a thread whose thread-locals are being destroyed.
pub(crate) fn enter(
    session: SessionKey,
    name: &str,
    kind: impl FnOnce() -> BottleneckType,
    find: impl FnOnce() -> Option<Arc<Recorder>>,
) -> Operation {
    let call = TABLES.try_with(|tables| {
        let known = tables.borrow();
        if let Some(entry) = known.iter().find(|entry| entry.session == session) {
            return entry.enter(name, kind);
        }
        drop(known);
        let entry = find()?.join();
        let call = entry.enter(name, kind);
        let mut tables = tables.borrow_mut();
        tables.retain(|entry| entry.recorder.strong_count() > 0);
        tables.push(entry);
        call
    });
    let call = call.ok().flatten().map(|call| (session, call));
    Operation { call, sync: None, not_send: PhantomData }
}

fn exit(session: SessionKey, call: CallId) {
    // Where the thread-locals are gone, the table was retired, and the call given up.
    let _ = TABLES.try_with(|tables| {
        if let Some(entry) = tables.borrow().iter().find(|entry| entry.session == session) {
            entry.table.borrow_mut().exit(call, || entry.clocks.at_end());
        }
    });
}

impl Entry {
    fn enter(&self, name: &str, kind: impl FnOnce() -> BottleneckType) -> Option<CallId> {
        self.table.borrow_mut().enter(name, kind, || self.clocks.at_begin())
    }
}

impl Recorder {
    /// A recorder for a session that began at `began`.
    pub(crate) fn new(level: ProfilingLevel, began: Instant) -> Arc<Self> {
        static SESSIONS: AtomicU64 = AtomicU64::new(1);
        let with_cpu = level > ProfilingLevel::Basic;
        let with_spans = level == ProfilingLevel::Comprehensive;
        Arc::new(Self {
            key: SESSIONS.fetch_add(1, Relaxed),
            clocks: Clocks::new(began, with_cpu),
            one_in: if level == ProfilingLevel::Production { PRODUCTION_ONE_IN } else { 1 },
            spans_left: with_spans.then(|| Arc::new(AtomicUsize::new(MAX_SPANS))),
            threads: Mutex::default(),
            looks: AtomicUsize::new(0),
        })
    }

    /// Gives the calling thread a table.
    fn join(self: Arc<Self>) -> Entry {
        let spans = self.spans_left.clone().map(Spans::new);
        // Where calls are not all timed, stretches are not known.
        let with_stretches = self.clocks.with_cpu && self.one_in == 1;
        let used: Option<fn() -> Option<Used>> = with_stretches.then_some(used_by_this_thread);
        let table = Table::new(current_tid(), self.one_in, spans, used);
        self.lock().running.push(table.published.clone());
        let (session, clocks) = (self.key, self.clocks.clone());
        Entry { session, recorder: Arc::downgrade(&self), clocks, table: RefCell::new(table) }
    }

    /// The calling thread ends.
    fn retire(&self, thread: &Arc<Published>) {
        let mut threads = self.lock();
        threads.running.retain(|running| !Arc::ptr_eq(running, thread));
        threads.ended.add(thread);
    }

    /// Looks what threads that are in an operation are doing, at most [`MAX_LOOKS`] of them. Only one
    /// thread may look.
    pub(crate) fn look(&self) {
        if !self.clocks.with_cpu {
            return;
        }
        let in_operation = |thread: &&Arc<Published>| thread.innermost() != Tree::ROOT;
        let threads: Vec<_> = self.lock().running.iter().filter(in_operation).cloned().collect();
        // Each in its turn, where they are many.
        let first = self.looks.fetch_add(1, Relaxed) * MAX_LOOKS % threads.len().max(1);
        let in_turn = threads.iter().cycle().skip(first).take(threads.len().min(MAX_LOOKS));
        for thread in in_turn {
            let node = thread.innermost();
            let doing = waits::doing(thread.tid);
            // Else it may have been seen on its way from one to the next.
            if let Some(doing) = doing.filter(|_| node == thread.innermost())
                && let Some(node) = thread.nodes().get(node as usize).filter(|_| node != Tree::ROOT)
            {
                node.sums.looks.add(doing);
            }
        }
    }

    /// What all threads did so far.
    pub(crate) fn record(&self) -> OperationRecord {
        let threads = self.lock();
        let mut totals = threads.ended.copy();
        for thread in &threads.running {
            totals.add(thread);
        }
        drop(threads);
        totals.into_record(self.clocks.with_cpu)
    }

    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What threads did, added up.
#[derive(Debug, Default)]
struct Totals {
    tree: Tree,
    /// With the thread of each.
    spans: Vec<(i32, CallSpan)>,
    spans_dropped: u64,
    unrecorded: u64,
    given_up: u64,
    /// Paths of the calls that are open, and on how many threads.
    open: BTreeMap<Vec<String>, u64>,
}

impl Totals {
    fn add(&mut self, thread: &Published) {
        let nodes = thread.nodes();
        let (places, lost) = self.tree.absorb(&nodes);
        self.unrecorded += thread.unrecorded.get() + lost;
        self.given_up += thread.given_up.get();
        if let Some(spans) = thread.spans() {
            self.spans_dropped += spans.dropped;
            for span in &spans.kept {
                match places[span.node as usize] {
                    Some(node) => self.spans.push((thread.tid, CallSpan { node, ..*span })),
                    None => self.spans_dropped += 1,
                }
            }
        }
        let innermost = places.get(thread.innermost() as usize).copied().flatten();
        let open = self.tree.path(innermost.unwrap_or(Tree::ROOT));
        for depth in 1..=open.len() {
            *self.open.entry(open[..depth].to_vec()).or_default() += 1;
        }
    }

    fn copy(&self) -> Self {
        let mut tree = Tree::default();
        // Into an empty tree: every node has the place that it had.
        tree.absorb(self.tree.nodes());
        let (spans, open) = (self.spans.clone(), self.open.clone());
        Self { tree, spans, open, ..*self }
    }

    fn into_record(mut self, with_cpu: bool) -> OperationRecord {
        let notes = self.notes();
        self.spans.sort_by_key(|(_, span)| span.start_ns + span.duration_ns);
        let timeline = self.spans.iter().map(|&(tid, span)| Span {
            name: self.tree.name(span.node),
            kind: self.tree.kind(span.node).clone(),
            tid,
            start_s: span.start_ns as f64 * 1e-9,
            duration_s: span.duration_ns as f64 * 1e-9,
        });
        OperationRecord {
            operations: self.tree.stats(with_cpu),
            timeline: timeline.collect(),
            timeline_dropped: self.spans_dropped,
            notes: notes.lines(),
        }
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes::default();
        for (path, threads) in self.open.iter().take(MAX_NAMED) {
            let path = path.join(" > ");
            notes.add(format!(
                "`{path}` had not ended on {threads} thread(s): that call is not counted"
            ));
        }
        let unnamed = self.open.len().saturating_sub(MAX_NAMED);
        if unnamed > 0 {
            notes.add(format!("{unnamed} more operations had not ended and are not counted"));
        }
        if self.given_up > 0 {
            notes.add(format!(
                "{} calls of operations outlived the operation around them and are not counted: \
                 drop guards in the reverse order of their making",
                self.given_up
            ));
        }
        if self.unrecorded > 0 {
            notes.add(format!(
                "{} calls of operations are not told apart from what is around them: there is \
                 room for {} names in their places, {} deep",
                self.unrecorded,
                tree::MAX_PATHS,
                table::MAX_DEPTH
            ));
        }
        let estimated = self.tree.estimated();
        if estimated > 0 {
            notes.add(format!(
                "the times of {estimated} operations are estimates: calls are counted, and of \
                 short ones about one in {PRODUCTION_ONE_IN} is timed"
            ));
        }
        notes
    }
}

/// What a session's threads did, as far as it is known without the trackers.
#[derive(Debug)]
pub(crate) struct OperationRecord {
    /// Each with the time of its last call's end, in seconds; parents before children.
    pub(crate) operations: Vec<(OperationStats, f64)>,
    pub(crate) timeline: Vec<Span>,
    pub(crate) timeline_dropped: u64,
    pub(crate) notes: Vec<String>,
}

#[cfg(test)]
mod tests;
