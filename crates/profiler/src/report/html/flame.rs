//! The operations as a flame graph that hangs from the top: width is time, what lies below was
//! called from what lies above.

use std::collections::BTreeMap;

use crate::report::{digest, human, palette};
use crate::session::OperationStats;

pub(super) struct Flame {
    pub(super) nodes: Vec<Node>,
    pub(super) rows: usize,
    pub(super) total: String,
    /// Colours that occur, and the kinds that they stand for.
    pub(super) keys: Vec<(&'static str, String)>,
    /// Operations too short to be seen.
    pub(super) unseen: usize,
}

/// A rectangle: `left` and `width` of 100.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) class: &'static str,
    pub(super) left: f64,
    pub(super) width: f64,
    pub(super) row: usize,
    pub(super) share: String,
    pub(super) about: String,
}

/// Narrower than this, of 100, nothing can be seen.
const NARROW: f64 = 0.1;
/// Deeper than this nobody reads.
const ROWS: usize = 40;

type Children<'a> = BTreeMap<&'a [String], Vec<&'a OperationStats>>;

impl Flame {
    /// `None` where no operation took time.
    pub(super) fn of(operations: &[OperationStats]) -> Option<Self> {
        let known: BTreeMap<&[String], ()> =
            operations.iter().map(|operation| (operation.path.as_slice(), ())).collect();
        let mut children = Children::new();
        for operation in operations.iter().filter(|o| o.total_s > 0.0 && o.total_s.is_finite()) {
            let parent = operation.path.split_last().map_or(&[][..], |(_, parent)| parent);
            // What was called from something that never ended hangs from the top.
            let parent = if known.contains_key(parent) { parent } else { &[] };
            children.entry(parent).or_default().push(operation);
        }
        for siblings in children.values_mut() {
            siblings.sort_by(|a, b| b.total_s.total_cmp(&a.total_s));
        }
        let total_s: f64 = children.get(&[][..])?.iter().map(|root| root.total_s).sum();
        let mut flame = Self {
            nodes: Vec::new(),
            rows: 0,
            total: human::duration(total_s),
            keys: Vec::new(),
            unseen: 0,
        };
        flame.hang(&children, &[], 0.0, total_s, 0, 100.0 / total_s);
        Some(flame)
    }

    /// Hangs what was called from `parent`, which takes `room_s` from `left` on.
    fn hang(
        &mut self,
        children: &Children<'_>,
        parent: &[String],
        mut left: f64,
        room_s: f64,
        row: usize,
        scale: f64,
    ) {
        let Some(siblings) = children.get(parent) else { return };
        let taken: f64 = siblings.iter().map(|sibling| sibling.total_s).sum();
        // Clocks are read one after the other: children may seem to take more than their parent.
        let scale = if taken > room_s { scale * room_s / taken } else { scale };
        for operation in siblings {
            let width = operation.total_s * scale;
            if width < NARROW || row >= ROWS {
                self.unseen += 1;
                continue;
            }
            let kind = digest::kind_label(&operation.kind);
            let class = palette::class(&operation.kind);
            if !self.keys.iter().any(|(_, name)| name == kind) {
                self.keys.push((class, kind.to_owned()));
            }
            let calls = if operation.calls == 1 { "call" } else { "calls" };
            self.nodes.push(Node {
                name: operation.name().to_owned(),
                class,
                left,
                width,
                row,
                share: human::percent(width / 100.0),
                about: format!(
                    "{}: {} in {} {calls}, {} of it its own, {kind}",
                    operation.path.join(" › "),
                    human::duration(operation.total_s),
                    human::count(operation.calls),
                    human::duration(operation.self_s),
                ),
            });
            self.rows = self.rows.max(row + 1);
            if !operation.path.is_empty() {
                self.hang(children, &operation.path, left, operation.total_s, row + 1, scale);
            }
            left += width;
        }
    }
}
