//! Operations by their place in the nesting, with the sums of their calls.

use std::sync::Arc;

use super::counter::Counter;
use super::stretches::Used;
use super::table::Moment;
use super::waits::LookCounts;
use crate::bottleneck::BottleneckType;
use crate::notes::printable;
use crate::session::{OperationEvidence, OperationStats};

/// Paths that one thread, or all threads of a session together, may have.
pub(crate) const MAX_PATHS: usize = 1000;
/// Bytes of a name; a longer one is cut.
const MAX_NAME: usize = 128;

/// A place in a [`Tree`].
pub(crate) type NodeId = u32;

/// Whoever owns a tree alone adds to it; its nodes may be read by other threads meanwhile.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Children come after their parents.
    nodes: Vec<Arc<Node>>,
    /// Of each node, what only the owner needs.
    inside: Vec<Inside>,
}

/// An operation in one place.
#[derive(Debug)]
pub(super) struct Node {
    parent: NodeId,
    name: Box<str>,
    kind: BottleneckType,
    pub(super) sums: Sums,
}

#[derive(Debug, Default)]
struct Inside {
    children: Vec<NodeId>,
    /// The place among them of the one begun last.
    latest: usize,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::new(Self::ROOT, "", BottleneckType::CpuComputation);
        Self { nodes: vec![Arc::new(root)], inside: vec![Inside::default()] }
    }
}

impl Node {
    fn new(parent: NodeId, name: &str, kind: BottleneckType) -> Self {
        let kind = match kind {
            BottleneckType::Custom(kind) => BottleneckType::Custom(printable(&kind)),
            kind => kind,
        };
        Self { parent, name: name.into(), kind, sums: Sums::default() }
    }
}

impl Tree {
    /// What is around the outermost operations; no operation itself.
    pub(crate) const ROOT: NodeId = 0;

    /// The operation `name` inside `parent`; it is of the kind it was first called with. `None` if
    /// it is new and there is no room.
    pub(super) fn child(
        &mut self,
        parent: NodeId,
        name: &str,
        kind: impl FnOnce() -> BottleneckType,
    ) -> Option<NodeId> {
        let name = &name[..name.floor_char_boundary(MAX_NAME)];
        let Inside { children, latest } = &mut self.inside[parent as usize];
        // A program mostly does the same again, or what it did next the last time.
        let is_it = |at: &usize| *self.nodes[children[*at] as usize].name == *name;
        if let Some(at) = (*latest..children.len()).chain(0..*latest).find(is_it) {
            *latest = at;
            return Some(children[at]);
        }
        if self.nodes.len() > MAX_PATHS {
            return None;
        }
        let child = self.nodes.len() as NodeId;
        children.push(child);
        self.nodes.push(Arc::new(Node::new(parent, name, kind())));
        self.inside.push(Inside::default());
        Some(child)
    }

    pub(super) fn node(&self, node: NodeId) -> &Arc<Node> {
        &self.nodes[node as usize]
    }

    /// All of them, the root first.
    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Adds the sums of all `nodes` of another tree. Gives the place here of each, and how many
    /// calls found none.
    pub(super) fn absorb(&mut self, nodes: &[Arc<Node>]) -> (Vec<Option<NodeId>>, u64) {
        let mut places = vec![Some(Self::ROOT)];
        let mut lost = 0;
        for node in &nodes[1..] {
            let parent = places[node.parent as usize];
            let place =
                parent.and_then(|parent| self.child(parent, &node.name, || node.kind.clone()));
            match place {
                Some(place) => self.node(place).sums.absorb(&node.sums),
                None => lost += node.sums.calls.get(),
            }
            places.push(place);
        }
        (places, lost)
    }

    pub(crate) fn name(&self, node: NodeId) -> String {
        match &*self.nodes[node as usize].name {
            "" => "(no name)".to_owned(),
            name => printable(name),
        }
    }

    pub(crate) fn kind(&self, node: NodeId) -> &BottleneckType {
        &self.nodes[node as usize].kind
    }

    /// Names from the outermost operation to this one.
    pub(crate) fn path(&self, mut node: NodeId) -> Vec<String> {
        let mut path = Vec::new();
        while node != Self::ROOT {
            path.push(self.name(node));
            node = self.nodes[node as usize].parent;
        }
        path.reverse();
        path
    }

    /// Each operation and when its last call ended, in seconds; parents before children.
    pub(crate) fn stats(&self, with_cpu: bool) -> Vec<(OperationStats, f64)> {
        let mut stats = Vec::new();
        let mut ahead = vec![Self::ROOT];
        while let Some(node) = ahead.pop() {
            ahead.extend(self.inside[node as usize].children.iter().rev());
            if node != Self::ROOT {
                let (path, kind, sums) = (self.path(node), self.kind(node), &self.node(node).sums);
                stats.push((sums.stats(path, kind.clone(), with_cpu), sums.last_end_s()));
            }
        }
        stats
    }

    /// The operations whose times are estimates, since not every call was timed.
    pub(crate) fn estimated(&self) -> usize {
        self.nodes.iter().filter(|node| node.sums.is_estimate()).count()
    }
}

/// All calls of one operation that ended. Times are of timed calls, each as often as it stands for.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) calls: Counter,
    /// Of them, those that were timed.
    timed: Counter,
    /// Calls that the timed ones stand for.
    stood_for: Counter,
    total_ns: Counter,
    /// Less the operations inside; below 0 at times where those are estimates.
    self_ns: Counter,
    self_cpu_ns: Counter,
    /// Of timed calls.
    min_ns: Counter,
    max_ns: Counter,
    last_end_ns: Counter,
    threads: Counter,
    stretches: StretchSums,
    pub(super) looks: LookCounts,
}

/// Stretches over which the kernel's figures of the thread were read.
#[derive(Debug, Default)]
struct StretchSums {
    wall_ns: Counter,
    cpu_ns: Counter,
    kernel_ns: Counter,
    minor_faults: Counter,
    run_delay_ns: Counter,
    /// Stretches for which the kernel told that.
    delays: Counter,
}

impl StretchSums {
    fn absorb(&self, other: &Self) {
        self.wall_ns.add(other.wall_ns.get());
        self.cpu_ns.add(other.cpu_ns.get());
        self.kernel_ns.add(other.kernel_ns.get());
        self.minor_faults.add(other.minor_faults.get());
        self.run_delay_ns.add(other.run_delay_ns.get());
        self.delays.add(other.delays.get());
    }
}

impl Default for Sums {
    fn default() -> Self {
        let zero = Counter::default;
        Self {
            calls: zero(),
            timed: zero(),
            stood_for: zero(),
            total_ns: zero(),
            self_ns: zero(),
            self_cpu_ns: zero(),
            min_ns: Counter::new(u64::MAX),
            max_ns: zero(),
            last_end_ns: zero(),
            threads: zero(),
            stretches: StretchSums::default(),
            looks: LookCounts::default(),
        }
    }
}

impl Sums {
    /// Adds a timed call, which stands for `weight` calls; the operations in it took `inside`.
    pub(super) fn add(&self, took: Moment, inside: Moment, weight: u32, end_ns: u64) {
        let times = u64::from(weight);
        self.timed.add(1);
        self.stood_for.add(times);
        self.total_ns.add(took.wall_ns.wrapping_mul(times));
        self.self_ns.add(took.wall_ns.wrapping_sub(inside.wall_ns).wrapping_mul(times));
        self.self_cpu_ns.add(took.cpu_ns.wrapping_sub(inside.cpu_ns).wrapping_mul(times));
        self.min_ns.set(self.min_ns.get().min(took.wall_ns));
        self.max_ns.set(self.max_ns.get().max(took.wall_ns));
        self.last_end_ns.set(end_ns);
        self.threads.set(1);
    }

    /// Adds a stretch that took so long, in which the thread used that.
    pub(super) fn add_stretch(&self, took: Moment, used: Used) {
        let sums = &self.stretches;
        sums.wall_ns.add(took.wall_ns);
        sums.cpu_ns.add(took.cpu_ns);
        sums.kernel_ns.add(used.kernel_ns);
        sums.minor_faults.add(used.minor_faults);
        if let Some(delay_ns) = used.run_delay_ns {
            sums.run_delay_ns.add(delay_ns);
            sums.delays.add(1);
        }
    }

    fn evidence(&self) -> OperationEvidence {
        let sums = &self.stretches;
        let seconds = |counter: &Counter| counter.get() as f64 * 1e-9;
        OperationEvidence {
            wall_s: seconds(&sums.wall_ns),
            cpu_s: seconds(&sums.cpu_ns),
            kernel_cpu_s: seconds(&sums.kernel_ns),
            run_delay_s: (sums.delays.get() > 0).then(|| seconds(&sums.run_delay_ns)),
            minor_faults: sums.minor_faults.get(),
            looks: self.looks.looks(),
        }
    }

    fn absorb(&self, other: &Self) {
        self.stretches.absorb(&other.stretches);
        self.looks.absorb(&other.looks);
        self.calls.add(other.calls.get());
        self.timed.add(other.timed.get());
        self.stood_for.add(other.stood_for.get());
        self.total_ns.add(other.total_ns.get());
        self.self_ns.add(other.self_ns.get());
        self.self_cpu_ns.add(other.self_cpu_ns.get());
        self.min_ns.set(self.min_ns.get().min(other.min_ns.get()));
        self.max_ns.set(self.max_ns.get().max(other.max_ns.get()));
        self.last_end_ns.set(self.last_end_ns.get().max(other.last_end_ns.get()));
        self.threads.add(other.threads.get());
    }

    fn is_estimate(&self) -> bool {
        self.timed.get() < self.calls.get()
    }

    fn last_end_s(&self) -> f64 {
        self.last_end_ns.get() as f64 * 1e-9
    }

    fn stats(&self, path: Vec<String>, kind: BottleneckType, with_cpu: bool) -> OperationStats {
        let calls = self.calls.get();
        // The calls after the last timed one are taken to be like the others.
        let scale = 1e-9 * calls as f64 / self.stood_for.get().max(1) as f64;
        let signed = |counter: &Counter| counter.get().cast_signed().max(0) as f64 * scale;
        OperationStats {
            path,
            kind,
            calls,
            total_s: self.total_ns.get() as f64 * scale,
            self_s: signed(&self.self_ns),
            // No call is shorter than the longest; before the first, both are 0.
            min_s: self.min_ns.get().min(self.max_ns.get()) as f64 * 1e-9,
            max_s: self.max_ns.get() as f64 * 1e-9,
            self_cpu_s: with_cpu.then(|| signed(&self.self_cpu_ns)),
            evidence: with_cpu.then(|| self.evidence()),
            threads: self.threads.get() as usize,
            resident_bytes: None,
            gpu_bytes: None,
            cpu_percent: None,
        }
    }
}
