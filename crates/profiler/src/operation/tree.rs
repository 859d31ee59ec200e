//! Operations by their place in the nesting, with the sums of their calls.

use super::table::Moment;
use crate::bottleneck::BottleneckType;
use crate::session::OperationStats;

/// Paths that one thread, or all threads of a session together, may have.
pub(crate) const MAX_PATHS: usize = 1000;
/// Bytes of a name; a longer one is cut.
const MAX_NAME: usize = 128;

/// A place in a [`Tree`].
pub(crate) type NodeId = u32;

/// Children come after their parents.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    parent: NodeId,
    name: Box<str>,
    kind: BottleneckType,
    children: Vec<NodeId>,
    /// The place among `children` of the one begun last.
    latest: usize,
    sums: Sums,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::new(Self::ROOT, "", BottleneckType::CpuComputation)] }
    }
}

impl Node {
    fn new(parent: NodeId, name: &str, kind: BottleneckType) -> Self {
        let (name, children) = (name.into(), Vec::new());
        Self { parent, name, kind, children, latest: 0, sums: Sums::default() }
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
        let Node { children, latest, .. } = &self.nodes[parent as usize];
        // A program mostly does the same again, or what it did next the last time.
        let is_it = |at: &usize| *self.nodes[children[*at] as usize].name == *name;
        let Some(at) = (*latest..children.len()).chain(0..*latest).find(is_it) else {
            return self.add(parent, name, kind);
        };
        let child = children[at];
        self.nodes[parent as usize].latest = at;
        Some(child)
    }

    fn add(
        &mut self,
        parent: NodeId,
        name: &str,
        kind: impl FnOnce() -> BottleneckType,
    ) -> Option<NodeId> {
        if self.nodes.len() > MAX_PATHS {
            return None;
        }
        let child = self.nodes.len() as NodeId;
        self.nodes.push(Node::new(parent, name, kind()));
        self.nodes[parent as usize].children.push(child);
        Some(child)
    }

    pub(super) fn sums_mut(&mut self, node: NodeId) -> &mut Sums {
        &mut self.nodes[node as usize].sums
    }

    /// Adds the sums of `other`, a thread's or those of threads that ended. Gives the place here of
    /// each of its nodes, and how many calls found none.
    pub(super) fn absorb(&mut self, other: &Self) -> (Vec<Option<NodeId>>, u64) {
        let mut places = vec![Some(Self::ROOT)];
        let mut lost = 0;
        for node in &other.nodes[1..] {
            let parent = places[node.parent as usize];
            let place =
                parent.and_then(|parent| self.child(parent, &node.name, || node.kind.clone()));
            match place {
                Some(place) => self.sums_mut(place).absorb(&node.sums),
                None => lost += node.sums.calls,
            }
            places.push(place);
        }
        (places, lost)
    }

    pub(crate) fn name(&self, node: NodeId) -> String {
        // A name is data of the program; a reader's terminal is not to obey it.
        let name = &self.nodes[node as usize].name;
        name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
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
            let Node { children, sums, .. } = &self.nodes[node as usize];
            ahead.extend(children.iter().rev());
            if node != Self::ROOT {
                let path = self.path(node);
                stats.push((sums.stats(path, self.kind(node).clone(), with_cpu), sums.last_end_s()));
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) calls: u64,
    /// Of them, those that were timed.
    timed: u64,
    /// Calls that the timed ones stand for.
    stood_for: u64,
    total: Moment,
    /// Less the operations inside. Signed, for where those are estimates.
    self_wall_ns: i64,
    self_cpu_ns: i64,
    /// Of timed calls; `None` before the first.
    range_ns: Option<(u64, u64)>,
    last_end_ns: u64,
    threads: usize,
    /// Calls to come until one is timed, and those that it then stands for.
    skip: u32,
    weight: u32,
}

impl Sums {
    /// Whether the call that begins is timed: then, how many it stands for.
    pub(super) fn next_call(&mut self) -> Option<u32> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(self.weight.max(1))
    }

    /// Adds a timed call, and says that the next to be timed is the `next`th from now.
    pub(super) fn add(
        &mut self,
        took: Moment,
        inside: Moment,
        weight: u32,
        end_ns: u64,
        next: u32,
    ) {
        let times = u64::from(weight);
        self.timed += 1;
        self.stood_for += times;
        self.total.wall_ns += took.wall_ns * times;
        self.total.cpu_ns += took.cpu_ns * times;
        self.self_wall_ns += (took.wall_ns as i64 - inside.wall_ns as i64) * i64::from(weight);
        self.self_cpu_ns += (took.cpu_ns as i64 - inside.cpu_ns as i64) * i64::from(weight);
        let (min, max) = self.range_ns.unwrap_or((took.wall_ns, took.wall_ns));
        self.range_ns = Some((min.min(took.wall_ns), max.max(took.wall_ns)));
        self.last_end_ns = end_ns;
        self.threads = 1;
        (self.skip, self.weight) = (next - 1, next);
    }

    fn absorb(&mut self, other: &Self) {
        self.calls += other.calls;
        self.timed += other.timed;
        self.stood_for += other.stood_for;
        self.total.wall_ns += other.total.wall_ns;
        self.total.cpu_ns += other.total.cpu_ns;
        self.self_wall_ns += other.self_wall_ns;
        self.self_cpu_ns += other.self_cpu_ns;
        self.range_ns = match (self.range_ns, other.range_ns) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
        self.last_end_ns = self.last_end_ns.max(other.last_end_ns);
        self.threads += other.threads;
    }

    fn is_estimate(&self) -> bool {
        self.timed < self.calls
    }

    fn last_end_s(&self) -> f64 {
        self.last_end_ns as f64 * 1e-9
    }

    fn stats(&self, path: Vec<String>, kind: BottleneckType, with_cpu: bool) -> OperationStats {
        // The calls after the last timed one are taken to be like the others.
        let scale = 1e-9 * self.calls as f64 / self.stood_for.max(1) as f64;
        let (min_ns, max_ns) = self.range_ns.unwrap_or_default();
        OperationStats {
            path,
            kind,
            calls: self.calls,
            total_s: self.total.wall_ns as f64 * scale,
            self_s: self.self_wall_ns.max(0) as f64 * scale,
            min_s: min_ns as f64 * 1e-9,
            max_s: max_ns as f64 * 1e-9,
            self_cpu_s: with_cpu.then(|| self.self_cpu_ns.max(0) as f64 * scale),
            threads: self.threads,
            resident_bytes: None,
            gpu_bytes: None,
            cpu_percent: None,
        }
    }
}
