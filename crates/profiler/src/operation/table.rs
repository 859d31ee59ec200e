//! One thread's operations: those that are open, and the sums of those that ended.
//!
//! The thread owns its [`Table`] and takes no lock for it; whoever asks for the sums reads what it
//! has [`Published`]. A table reads no clock of its own: each call brings one, which is read only if
//! the call is timed, so that a test can say what time it is.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counter::Counter;
use super::stretches::{Stretches, Used};
use super::tree::{Node, NodeId, Tree};
use crate::bottleneck::BottleneckType;

/// Operations inside one another that are told apart; deeper ones count as their surroundings.
pub(super) const MAX_DEPTH: usize = 64;
/// Calls that take longer are timed every time, at any level: reading the clocks adds 1.5% or less.
const TIMED_FROM_NS: u64 = 100_000;

/// Both clocks of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moment {
    /// Since the session began.
    pub(super) wall_ns: u64,
    /// CPU time of the thread; always 0 where it is not recorded.
    pub(super) cpu_ns: u64,
}

impl Moment {
    /// What passed since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            wall_ns: self.wall_ns.saturating_sub(earlier.wall_ns),
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
        }
    }
}

/// Names a call among all of its table's, so that its end finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CallId(u64);

/// What other threads may read of a thread's table, at any time. A call that ends at this moment
/// may be there in part.
#[derive(Debug)]
pub(super) struct Published {
    /// The thread, by the kernel's number.
    pub(super) tid: i32,
    /// Locked by the thread for a new operation only.
    nodes: Mutex<Vec<Arc<Node>>>,
    /// The innermost open call, or the root.
    innermost: AtomicU32,
    /// Calls that found no room in the tree or were nested too deep.
    pub(super) unrecorded: Counter,
    /// Calls that were still open when a call around them ended.
    pub(super) given_up: Counter,
    /// At level comprehensive only, at the price of a lock.
    spans: Option<Mutex<Spans>>,
}

impl Published {
    pub(super) fn nodes(&self) -> MutexGuard<'_, Vec<Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn innermost(&self) -> NodeId {
        self.innermost.load(Relaxed)
    }

    pub(super) fn spans(&self) -> Option<MutexGuard<'_, Spans>> {
        let spans = self.spans.as_ref()?;
        Some(spans.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Table {
    pub(super) tree: Tree,
    /// The open calls, outermost first.
    stack: Vec<Frame>,
    calls: u64,
    sampling: Sampling,
    stretches: Stretches,
    pub(super) published: Arc<Published>,
}

/// An open call.
#[derive(Debug)]
struct Frame {
    id: CallId,
    node: NodeId,
    timed: Option<Timed>,
}

/// Of a call that is timed.
#[derive(Debug)]
struct Timed {
    start: Moment,
    /// The calls of its operation that it stands for: itself, and those before it that were not
    /// timed.
    weight: u32,
    /// Time of the operations inside that ended.
    inside: Moment,
}

impl Table {
    /// A table of the thread `tid` that times one short call in `one_in`, keeps spans if there is
    /// room for some, and reads what the thread used if it is told how; only where every call is
    /// timed.
    pub(super) fn new(
        tid: i32,
        one_in: u32,
        spans: Option<Spans>,
        used: Option<fn() -> Option<Used>>,
    ) -> Self {
        let tree = Tree::default();
        let published = Published {
            tid,
            nodes: Mutex::new(tree.nodes().to_vec()),
            innermost: AtomicU32::new(Tree::ROOT),
            unrecorded: Counter::default(),
            given_up: Counter::default(),
            spans: spans.map(Mutex::new),
        };
        let sampling = Sampling::new(one_in);
        let (stack, stretches) = (Vec::new(), Stretches::new(used));
        Self { tree, stack, calls: 0, sampling, stretches, published: Arc::new(published) }
    }

    /// Begins a call inside the one that was begun last. `None` if it is not recorded: its time
    /// then counts for the call around it.
    pub(super) fn enter(
        &mut self,
        name: &str,
        kind: impl FnOnce() -> BottleneckType,
        now: impl FnOnce() -> Moment,
    ) -> Option<CallId> {
        let around = self.innermost();
        let deep = self.stack.len() >= MAX_DEPTH;
        let node = if deep { None } else { self.tree.child(around, name, kind) };
        let Some(node) = node else {
            self.published.unrecorded.add(1);
            return None;
        };
        if node as usize >= self.sampling.waits.len() {
            self.sampling.waits.push(Wait::default());
            self.stretches.push();
            self.published.nodes().push(self.tree.node(node).clone());
        }
        self.published.innermost.store(node, Relaxed);
        self.calls += 1;
        let id = CallId(self.calls);
        let weight = self.sampling.next_call(node);
        let used = self.stretches.read(node);
        // Read last: what came before is time of the call around.
        let timed = weight.map(|weight| Timed { weight, inside: Moment::default(), start: now() });
        if let Some(timed) = &timed {
            let sums = &self.tree.node(around).sums;
            self.stretches.turn((around, sums), node, timed.start, used);
        }
        self.stack.push(Frame { id, node, timed });
        Some(id)
    }

    /// Ends a call. Calls inside it that are still open are given up; a call that was given up
    /// itself is not there any more.
    pub(super) fn exit(&mut self, id: CallId, now: impl FnOnce() -> Moment) {
        let Some(at) = self.stack.iter().rposition(|frame| frame.id == id) else { return };
        let innermost = self.innermost();
        let inside = self.stack.len() - at - 1;
        if inside > 0 {
            self.published.given_up.add(inside as u64);
            self.stack.truncate(at + 1);
        }
        let Some(Frame { node, timed, .. }) = self.stack.pop() else { return };
        self.tree.node(node).sums.calls.add(1);
        let around = self.innermost();
        if let Some(timed) = timed {
            let end = now();
            let used = self.stretches.read(around);
            let sums = &self.tree.node(innermost).sums;
            self.stretches.turn((innermost, sums), around, end, used);
            self.add(node, timed, end);
        }
        self.published.innermost.store(around, Relaxed);
    }

    /// Adds a timed call that ended.
    fn add(&mut self, node: NodeId, call: Timed, end: Moment) {
        let Timed { start, weight, inside } = call;
        let took = end.since(start);
        self.tree.node(node).sums.add(took, inside, weight, end.wall_ns);
        self.sampling.timed(node, took.wall_ns);
        if let Some(around) = self.stack.last_mut().and_then(|frame| frame.timed.as_mut()) {
            around.inside.wall_ns += took.wall_ns * u64::from(weight);
            around.inside.cpu_ns += took.cpu_ns * u64::from(weight);
        }
        if let Some(mut spans) = self.published.spans() {
            spans.push(CallSpan { node, start_ns: start.wall_ns, duration_ns: took.wall_ns });
        }
    }

    fn innermost(&self) -> NodeId {
        self.stack.last().map_or(Tree::ROOT, |frame| frame.node)
    }
}

/// Which calls are timed: of short ones one in `one_in` on average, at random, so that a rhythm of
/// the program is not mistaken for its mean.
#[derive(Debug)]
struct Sampling {
    one_in: u32,
    state: u64,
    /// By operation.
    waits: Vec<Wait>,
}

/// How long until a call of an operation is timed.
#[derive(Clone, Copy, Debug, Default)]
struct Wait {
    /// Calls to come before it.
    skip: u32,
    /// Calls that it then stands for, itself included; 0 before the first.
    weight: u32,
}

impl Sampling {
    fn new(one_in: u32) -> Self {
        // One for the root, which is never called.
        Self { one_in, state: 1, waits: vec![Wait::default()] }
    }

    /// Whether the call of `node` that begins is timed: then, how many it stands for.
    fn next_call(&mut self, node: NodeId) -> Option<u32> {
        let wait = &mut self.waits[node as usize];
        if wait.skip > 0 {
            wait.skip -= 1;
            return None;
        }
        Some(wait.weight.max(1))
    }

    /// A call of `node` was timed; draws the next.
    fn timed(&mut self, node: NodeId, took_ns: u64) {
        let weight = if took_ns < TIMED_FROM_NS { self.draw() } else { 1 };
        self.waits[node as usize] = Wait { skip: weight - 1, weight };
    }

    /// From one timed call to the next: 1 to `2 one_in - 1`, each as likely.
    fn draw(&mut self) -> u32 {
        // Knuth's MMIX generator; its upper bits are the random ones.
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let span = u64::from(2 * self.one_in - 1);
        1 + (((self.state >> 32) * span) >> 32) as u32
    }
}

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallSpan {
    pub(super) node: NodeId,
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
}

/// Spans of one thread, in a room that all threads of a session share.
#[derive(Debug)]
pub(super) struct Spans {
    pub(super) kept: Vec<CallSpan>,
    pub(super) dropped: u64,
    /// Places taken from the shared room and not used yet.
    own: usize,
    left: Arc<AtomicUsize>,
}

impl Spans {
    /// Places are taken in blocks: threads seldom touch the shared count.
    const BLOCK: usize = 64;

    pub(super) fn new(left: Arc<AtomicUsize>) -> Self {
        Self { kept: Vec::new(), dropped: 0, own: 0, left }
    }

    fn push(&mut self, span: CallSpan) {
        if self.own == 0 {
            let take = |left: usize| Some(left.saturating_sub(Self::BLOCK));
            let before = self.left.fetch_update(Relaxed, Relaxed, take).unwrap_or_default();
            self.own = before.min(Self::BLOCK);
        }
        if self.own == 0 {
            self.dropped += 1;
        } else {
            self.own -= 1;
            self.kept.push(span);
        }
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        self.left.fetch_add(self.own, Relaxed);
    }
}
