//! What the kernel says of a thread while it is in an operation: waits for a core, page faults.
//!
//! A *stretch* is the time from one begin or end of an operation on a thread to the next: all of it
//! belongs to the innermost operation. Reading the kernel's figures of a thread takes several
//! microseconds. So they are read at both ends of one stretch in each [`EVERY_NS`] of an operation's
//! own time, which is all of its long calls and a few of its short ones.

use super::table::Moment;
use super::tree::{NodeId, Sums, Tree};

/// From one stretch of an operation that is measured to the next, of its own time.
const EVERY_NS: u64 = 5_000_000;

/// Of a thread since it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// Ready to run, without a core; `None` where the kernel does not tell.
    pub(super) run_delay_ns: Option<u64>,
    /// CPU time in the kernel.
    pub(super) kernel_ns: u64,
    /// Page faults that needed no storage.
    pub(super) minor_faults: u64,
}

impl Used {
    pub(super) fn since(self, before: Self) -> Self {
        let delay = self.run_delay_ns.zip(before.run_delay_ns);
        Self {
            run_delay_ns: delay.map(|(now, before)| now.saturating_sub(before)),
            kernel_ns: self.kernel_ns.saturating_sub(before.kernel_ns),
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
        }
    }
}

/// Which stretches of a thread are measured, and the one that is.
#[derive(Debug)]
pub(super) struct Stretches {
    /// Reads the thread's figures; `None` where none are wanted.
    read: Option<fn() -> Option<Used>>,
    /// By operation: its own time that passed since it was measured.
    unmeasured_ns: Vec<u64>,
    /// The last begin or end of an operation.
    since_ns: u64,
    measured: Option<(Used, Moment)>,
}

impl Stretches {
    pub(super) fn new(read: Option<fn() -> Option<Used>>) -> Self {
        // What is around all operations is never measured.
        Self { read, unmeasured_ns: vec![0], since_ns: 0, measured: None }
    }

    /// There is one more operation. Its first stretch is measured.
    pub(super) fn push(&mut self) {
        self.unmeasured_ns.push(EVERY_NS);
    }

    /// Reads the thread's figures if the stretch that ends is measured, or the next one, in `to`, is
    /// to be.
    pub(super) fn read(&self, to: NodeId) -> Option<Used> {
        let wanted = self.measured.is_some() || self.is_due(to);
        self.read.filter(|_| wanted).and_then(|read| read())
    }

    fn is_due(&self, node: NodeId) -> bool {
        node != Tree::ROOT && self.unmeasured_ns[node as usize] >= EVERY_NS
    }

    /// A stretch in `from`, whose sums these are, ends now, and one in `to` begins.
    pub(super) fn turn(
        &mut self,
        (from, sums): (NodeId, &Sums),
        to: NodeId,
        now: Moment,
        used: Option<Used>,
    ) {
        if self.read.is_none() {
            return;
        }
        let took_ns = now.wall_ns.saturating_sub(self.since_ns);
        self.since_ns = now.wall_ns;
        self.unmeasured_ns[from as usize] += took_ns;
        if let Some((before, start)) = self.measured.take()
            && let Some(used) = used
        {
            // A long one pays for the next.
            self.unmeasured_ns[from as usize] = took_ns;
            sums.add_stretch(now.since(start), used.since(before));
        }
        if let Some(used) = used.filter(|_| self.is_due(to)) {
            self.measured = Some((used, now));
        }
    }
}
