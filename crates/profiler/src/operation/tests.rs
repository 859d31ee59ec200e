//! Tables against a simple model, and recorders over many threads.

use proptest::prelude::*;

use super::table::Moment;
use super::*;
use crate::session::OperationStats;

const KIND: fn() -> BottleneckType = || BottleneckType::CpuComputation;

fn at(wall_ns: u64) -> Moment {
    Moment { wall_ns, cpu_ns: wall_ns / 2 }
}

/// What a program does next, some time after what it did before.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Begins an operation of this name.
    Enter(usize),
    /// Ends the operation that is so many inside the outermost one.
    Exit(usize),
}

const NAMES: [&str; 3] = ["read", "decode", "write"];

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        (0..NAMES.len()).prop_map(Step::Enter),
        // Mostly the innermost.
        Just(Step::Exit(usize::MAX)),
        Just(Step::Exit(usize::MAX)),
        (0usize..4).prop_map(Step::Exit),
    ];
    prop::collection::vec((step, 0u64..1000), 0..200)
}

/// A call as the model keeps it: in full, to be summed up at the end.
#[derive(Clone, Debug)]
struct ModelCall {
    path: Vec<&'static str>,
    begin: u64,
    end: Option<u64>,
    given_up: bool,
    parent: Option<usize>,
}

/// Self and total nanoseconds and calls of each path, told by looking at all calls at the end.
fn model(steps: &[(Step, u64)]) -> BTreeMap<Vec<&'static str>, (u64, u64, u64)> {
    let mut calls: Vec<ModelCall> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut now = 0;
    for &(step, later) in steps {
        now += later;
        match step {
            Step::Enter(name) => {
                let parent = open.last().copied();
                let mut path = parent.map(|at| calls[at].path.clone()).unwrap_or_default();
                path.push(NAMES[name]);
                let call = ModelCall { path, begin: now, end: None, given_up: false, parent };
                open.push(calls.len());
                calls.push(call);
            }
            Step::Exit(depth) if !open.is_empty() => {
                let depth = depth.min(open.len() - 1);
                for &inside in &open[depth + 1..] {
                    calls[inside].given_up = true;
                }
                calls[open[depth]].end = Some(now);
                open.truncate(depth);
            }
            Step::Exit(_) => {}
        }
    }
    let ended = |call: &ModelCall| call.end.filter(|_| !call.given_up).map(|end| end - call.begin);
    let mut sums = BTreeMap::new();
    for (at, call) in calls.iter().enumerate() {
        let Some(total) = ended(call) else { continue };
        let children = calls.iter().filter(|child| child.parent == Some(at));
        let inside: u64 = children.filter_map(ended).sum();
        let entry: &mut (u64, u64, u64) = sums.entry(call.path.clone()).or_default();
        *entry = (entry.0 + total - inside, entry.1 + total, entry.2 + 1);
    }
    sums
}

fn stats(table: &Table) -> Vec<OperationStats> {
    table.tree.stats(true).into_iter().map(|(stats, _)| stats).collect()
}

fn run(table: &mut Table, steps: &[(Step, u64)]) {
    let mut open = Vec::new();
    let mut now = 0;
    for &(step, later) in steps {
        now += later;
        match step {
            Step::Enter(name) => open.push(table.enter(NAMES[name], KIND, || at(now)).unwrap()),
            Step::Exit(depth) if !open.is_empty() => {
                let depth = depth.min(open.len() - 1);
                table.exit(open[depth], || at(now));
                // Guards of what was given up are dropped too, now or later.
                for late in open.drain(depth..).skip(1) {
                    table.exit(late, || at(now));
                }
            }
            Step::Exit(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn times_are_those_of_the_model(steps in steps()) {
        prop_assume!(depth(&steps) <= table::MAX_DEPTH);
        let mut table = Table::new(7, 1, None, None);
        run(&mut table, &steps);
        let expected = model(&steps);
        let mut recorded = BTreeMap::new();
        for operation in stats(&table) {
            if operation.calls > 0 {
                let nanos = |seconds: f64| (seconds * 1e9).round() as u64;
                let key: Vec<_> = operation.path.iter().map(|name| known(name)).collect();
                recorded.insert(key, (nanos(operation.self_s), nanos(operation.total_s), operation.calls));
            }
        }
        prop_assert_eq!(recorded, expected);
    }

    #[test]
    fn threads_add_up_and_parents_come_first(first in steps(), second in steps()) {
        let (mut one, mut two) = (Table::new(7, 1, None, None), Table::new(7, 1, None, None));
        prop_assume!(depth(&first).max(depth(&second)) <= table::MAX_DEPTH);
        run(&mut one, &first);
        run(&mut two, &second);
        let mut both = Tree::default();
        both.absorb(one.tree.nodes());
        both.absorb(two.tree.nodes());
        let both: Vec<_> = both.stats(true).into_iter().map(|(stats, _)| stats).collect();
        let mut seen: Vec<Vec<String>> = vec![Vec::new()];
        for operation in &both {
            let same = |table| stats(table).into_iter().find(|other| other.path == operation.path);
            let parts: Vec<_> = [&one, &two].into_iter().filter_map(same).collect();
            prop_assert_eq!(operation.calls, parts.iter().map(|part| part.calls).sum::<u64>());
            prop_assert_eq!(operation.threads, parts.iter().map(|part| part.threads).sum::<usize>());
            let total: f64 = parts.iter().map(|part| part.total_s).sum();
            prop_assert!((operation.total_s - total).abs() < 1e-12);
            let parent = operation.path[..operation.path.len() - 1].to_vec();
            prop_assert!(seen.contains(&parent));
            seen.push(operation.path.clone());
        }
    }

    /// Every call is counted; times are those of all calls, but for what the few at the end took
    /// that come after the last timed one.
    #[test]
    fn sampled_times_are_about_right(calls in 2000u64..4000, took in 10u64..1000) {
        let mut table = Table::new(7, 16, None, None);
        let mut now = 0;
        let mut timed = 0;
        for call in 0..calls {
            // A rhythm of 16: one call in 16 takes a hundred times as long.
            let took = if call % 16 == 0 { 100 * took } else { took };
            let id = table.enter("decode", KIND, || { timed += 1; at(now) }).unwrap();
            now += took;
            table.exit(id, || at(now));
        }
        let decode = &stats(&table)[0];
        prop_assert_eq!(decode.calls, calls);
        prop_assert!(timed < calls / 8 && timed > calls / 32, "{} of {}", timed, calls);
        prop_assert!((decode.total_s / (now as f64 * 1e-9) - 1.0).abs() < 0.5);
        prop_assert_eq!(table.tree.estimated(), 1);
    }
}

fn known(name: &str) -> &'static str {
    NAMES.into_iter().find(|known| *known == name).unwrap()
}

fn depth(steps: &[(Step, u64)]) -> usize {
    steps.iter().filter(|(step, _)| matches!(step, Step::Enter(_))).count()
}

#[test]
fn long_calls_are_timed_every_time() {
    let mut table = Table::new(7, 16, None, None);
    for call in 0..100 {
        let id = table.enter("epoch", KIND, || at(call * 1_000_000)).unwrap();
        table.exit(id, || at(call * 1_000_000 + 500_000));
    }
    let epoch = &stats(&table)[0];
    assert_eq!((epoch.calls, epoch.threads), (100, 1));
    assert!((epoch.total_s - 0.05).abs() < 1e-12);
    assert_eq!(table.tree.estimated(), 0);
}

#[test]
fn the_thread_cpu_time_of_an_operation_is_its_own() {
    let mut table = Table::new(7, 1, None, None);
    let outer = table.enter("outer", KIND, || at(0)).unwrap();
    let inner = table.enter("inner", KIND, || at(100)).unwrap();
    table.exit(inner, || at(300));
    table.exit(outer, || at(1000));
    let cpu: Vec<_> = stats(&table).iter().map(|stats| stats.self_cpu_s.unwrap()).collect();
    assert!((cpu[0] - 400e-9).abs() < 1e-15 && (cpu[1] - 100e-9).abs() < 1e-15);
}

#[test]
fn names_and_depths_beyond_the_room_count_as_their_surroundings() {
    let mut table = Table::new(7, 1, None, None);
    for number in 0..5000u64 {
        if let Some(id) = table.enter(&format!("image {number}"), KIND, || at(number)) {
            table.exit(id, || at(number + 1));
        }
    }
    assert_eq!(stats(&table).len(), tree::MAX_PATHS);
    assert_eq!(table.published.unrecorded.get(), 5000 - tree::MAX_PATHS as u64);

    let mut table = Table::new(7, 1, None, None);
    let ids: Vec<_> = (0..100).filter_map(|n| table.enter("again", KIND, || at(n))).collect();
    assert_eq!(
        (ids.len(), table.published.unrecorded.get()),
        (table::MAX_DEPTH, 100 - table::MAX_DEPTH as u64)
    );
    ids.into_iter().rev().for_each(|id| table.exit(id, || at(200)));
    assert_eq!(stats(&table).last().unwrap().path.len(), table::MAX_DEPTH);
}

#[test]
fn a_long_name_is_cut_and_control_characters_are_not_shown() {
    let mut table = Table::new(7, 1, None, None);
    for name in ["é".repeat(1000).as_str(), "red\u{1b}[31m\n"] {
        let id = table.enter(name, KIND, || at(0)).unwrap();
        table.exit(id, || at(1));
    }
    assert_eq!(stats(&table)[0].path, ["é".repeat(64)]);
    assert_eq!(stats(&table)[1].path, ["red\u{fffd}[31m\u{fffd}"]);
}

#[test]
fn the_timeline_has_a_room_that_threads_share() {
    let left = Arc::new(AtomicUsize::new(100));
    let mut tables: Vec<_> =
        (0..3).map(|_| Table::new(7, 1, Some(Spans::new(left.clone())), None)).collect();
    for round in 0..60 {
        for table in &mut tables {
            let id = table.enter("decode", KIND, || at(round)).unwrap();
            table.exit(id, || at(round + 1));
        }
    }
    let spans = tables.iter().map(|table| table.published.spans().unwrap());
    let (kept, dropped) = spans
        .fold((0, 0), |(kept, dropped), spans| (kept + spans.kept.len(), dropped + spans.dropped));
    assert_eq!((kept as u64 + dropped, left.load(Relaxed)), (180, 0));
    assert!((96..=100).contains(&kept), "{kept}");
    // What a thread took and did not use is there for the next one.
    drop(tables);
    assert_eq!(left.load(Relaxed) + kept, 100);
}
