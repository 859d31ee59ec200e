//! One thread's operations: those that are open, and the sums of those that ended.
//!
//! A table reads no clock of its own: each call brings one, which is read only if the call is
//! timed, so that a test can say what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::tree::{NodeId, Tree};
use crate::bottleneck::BottleneckType;

/// Operations inside one another that are told apart; deeper ones count as their surroundings.
pub(crate) const MAX_DEPTH: usize = 64;
/// Calls that take longer are timed every time, at any level: reading the clocks adds 1.5% or less.
const TIMED_FROM_NS: u64 = 100_000;

/// Both clocks of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Since the session began.
    pub(crate) wall_ns: u64,
    /// CPU time of the thread; always 0 where it is not recorded.
    pub(crate) cpu_ns: u64,
}

/// Names a call among all of its table's, so that its end finds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CallId(u64);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Table {
    pub(super) tree: Tree,
    /// The open calls, outermost first.
    stack: Vec<Frame>,
    calls: u64,
    sampling: Sampling,
    pub(super) spans: Option<Spans>,
    /// Calls that found no room in the tree or were nested too deep.
    pub(super) unrecorded: u64,
    /// Calls that were still open when a call around them ended.
    pub(super) given_up: u64,
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
    /// A table that times one short call in `one_in`, and keeps spans if there is room for some.
    pub(crate) fn new(one_in: u32, spans: Option<Spans>) -> Self {
        Self {
            tree: Tree::default(),
            stack: Vec::new(),
            calls: 0,
            sampling: Sampling { one_in, state: 1 },
            spans,
            unrecorded: 0,
            given_up: 0,
        }
    }

    /// Begins a call inside the one that was begun last. `None` if it is not recorded: its time
    /// then counts for the call around it.
    pub(crate) fn enter(
        &mut self,
        name: &str,
        kind: impl FnOnce() -> BottleneckType,
        now: impl FnOnce() -> Moment,
    ) -> Option<CallId> {
        let parent = self.stack.last().map_or(Tree::ROOT, |frame| frame.node);
        let node = (self.stack.len() < MAX_DEPTH)
            .then(|| self.tree.child(parent, name, kind))
            .flatten();
        let Some(node) = node else {
            self.unrecorded += 1;
            return None;
        };
        self.calls += 1;
        let id = CallId(self.calls);
        let weight = self.tree.sums_mut(node).next_call();
        // Read last: what came before is time of the call around.
        let timed = weight.map(|weight| Timed { weight, inside: Moment::default(), start: now() });
        self.stack.push(Frame { id, node, timed });
        Some(id)
    }

    /// Ends a call. Calls inside it that are still open are given up; a call that was given up
    /// itself is not there any more.
    pub(crate) fn exit(&mut self, id: CallId, now: impl FnOnce() -> Moment) {
        let Some(at) = self.stack.iter().rposition(|frame| frame.id == id) else { return };
        self.given_up += (self.stack.len() - at - 1) as u64;
        self.stack.truncate(at + 1);
        let Some(Frame { node, timed, .. }) = self.stack.pop() else { return };
        let sums = self.tree.sums_mut(node);
        sums.calls += 1;
        let Some(Timed { start, weight, inside }) = timed else { return };
        let end = now();
        let took = Moment {
            wall_ns: end.wall_ns.saturating_sub(start.wall_ns),
            cpu_ns: end.cpu_ns.saturating_sub(start.cpu_ns),
        };
        let next = if took.wall_ns < TIMED_FROM_NS { self.sampling.draw() } else { 1 };
        sums.add(took, inside, weight, end.wall_ns, next);
        if let Some(around) = self.stack.last_mut().and_then(|frame| frame.timed.as_mut()) {
            around.inside.wall_ns += took.wall_ns * u64::from(weight);
            around.inside.cpu_ns += took.cpu_ns * u64::from(weight);
        }
        if let Some(spans) = &mut self.spans {
            spans.push(CallSpan { node, start_ns: start.wall_ns, duration_ns: took.wall_ns });
        }
    }

    /// The calls that are open, outermost first.
    pub(super) fn open(&self) -> impl Iterator<Item = NodeId> {
        self.stack.iter().map(|frame| frame.node)
    }
}

/// Which calls are timed: one in `one_in` on average, at random, so that a rhythm of the program is
/// not mistaken for its mean.
#[derive(Debug)]
struct Sampling {
    one_in: u32,
    state: u64,
}

impl Sampling {
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
pub(crate) struct CallSpan {
    pub(crate) node: NodeId,
    pub(crate) start_ns: u64,
    pub(crate) duration_ns: u64,
}

/// Spans of one thread, in a room that all threads of a session share.
#[derive(Debug)]
pub(crate) struct Spans {
    pub(super) kept: Vec<CallSpan>,
    pub(super) dropped: u64,
    /// Places taken from the shared room and not used yet.
    own: usize,
    left: Arc<AtomicUsize>,
}

impl Spans {
    /// Places are taken in blocks: threads seldom touch the shared count.
    const BLOCK: usize = 64;

    pub(crate) fn new(left: Arc<AtomicUsize>) -> Self {
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
