//! The page's tables, which a reader can sort: `table.html` shows them.

use crate::report::digest::{self, Flow};
use crate::report::human;
use crate::session::ProfilingSession;

/// A table.
pub struct Table {
    /// What it shows.
    pub title: &'static str,
    /// In a sentence or two.
    pub about: &'static str,
    /// Its columns.
    pub head: Vec<Head>,
    /// Of as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// A column: its name, and what it means where that is not plain.
pub struct Head {
    /// Its name.
    pub name: &'static str,
    /// Empty where the name says it.
    pub meaning: &'static str,
    /// Whether its cells are numbers.
    pub number: bool,
}

/// A cell.
pub struct Cell {
    /// What stands before the text, less important.
    pub before: String,
    /// What it says.
    pub text: String,
    /// By what rows are sorted; by the text where it is `None`.
    pub order: Option<f64>,
    /// What is said of it behind.
    pub mark: Option<&'static str>,
}

/// Tables that have rows.
pub(super) fn all(session: &ProfilingSession, flows: &[Flow<'_>]) -> Vec<Table> {
    let tables = [operations(session), stages(flows), threads(session)];
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn operations(session: &ProfilingSession) -> Table {
    let operations = &session.performance_metrics.operations;
    let recorded: f64 = operations.iter().map(|operation| operation.self_s).sum();
    let rows = operations.iter().map(|operation| {
        let mean_s = operation.total_s / operation.calls.max(1) as f64;
        let parents = operation.path.split_last().map_or(&[][..], |(_, parents)| parents);
        let before = parents.iter().map(|parent| format!("{parent} › ")).collect();
        vec![
            Cell { before, ..text(operation.name()) },
            text(digest::kind_label(&operation.kind)),
            number(Some(operation.calls as f64), |calls| human::number(calls, 0)),
            number(Some(operation.total_s), human::ms),
            number(Some(operation.self_s), human::ms),
            number(Some(operation.self_s / recorded), human::percent),
            number(Some(mean_s), human::ms),
            number(Some(operation.min_s), human::ms),
            number(Some(operation.max_s), human::ms),
            number(operation.self_cpu_s, human::ms),
            number(Some(operation.threads as f64), |threads| human::number(threads, 0)),
            number(operation.resident_bytes.map(|bytes| bytes as f64), human::mb),
            number(operation.gpu_bytes.map(|bytes| bytes as f64), human::mb),
        ]
    });
    without_empty(Table {
        title: "Operations",
        about: "What the program marked as an operation, by place of the call. Total time runs from \
                begin to end; self time leaves out the operations inside.",
        head: vec![
            name("Operation", ""),
            name("Kind", ""),
            figure("Calls", ""),
            figure("Total ms", "thread time from begin to end"),
            figure("Self ms", "total, less the operations inside"),
            figure("Self share", "of all recorded self time"),
            figure("Mean ms", "of a call"),
            figure("Min ms", "the shortest call"),
            figure("Max ms", "the longest call"),
            figure("Self CPU ms", "time in which the thread computed, in self"),
            figure("Threads", "that called it"),
            figure("Memory", "resident near the last call's end"),
            figure("GPU memory", "of the process, near the last call's end"),
        ],
        rows: rows.collect(),
    })
}

fn stages(flows: &[Flow<'_>]) -> Table {
    let rows = flows.iter().flat_map(|flow| {
        flow.stations.iter().flat_map(move |station| {
            station.stages.iter().map(move |stage| {
                let attribution = stage.attribution;
                let interval = attribution.and_then(|attribution| attribution.interval);
                let range = |[low, high]: [f64; 2]| {
                    format!("{} to {}", human::percent(low), human::percent(high))
                };
                vec![
                    Cell {
                        before: format!("{} › {} › ", flow.name, station.name),
                        mark: stage.limits.then_some("limits"),
                        ..text(stage.name)
                    },
                    text(digest::kind_label(stage.kind)),
                    number(Some(station.threads as f64), |threads| human::number(threads, 0)),
                    number(Some(stage.busy_s), human::figures),
                    number(stage.item_s, human::ms),
                    number(Some(stage.share), human::percent),
                    number(stage.cpu_share, human::percent),
                    number(attribution.map(|a| a.optimization_potential), human::percent),
                    Cell {
                        order: interval.map(|[low, _]| low),
                        ..text(&interval.map_or_else(|| "n/a".to_owned(), range))
                    },
                    text(attribution.map_or("n/a", |attribution| &attribution.next_limiter)),
                ]
            })
        })
    });
    without_empty(Table {
        title: "Stages",
        about: "What the threads of each pipeline did with a sample, in order. A station is a pool of \
                threads that runs its stages one after the other.",
        head: vec![
            name("Stage", ""),
            name("Kind", "by the evidence: computing, or waiting for what"),
            figure("Threads", "of its station"),
            figure("Busy s", "thread-seconds, waits left out"),
            figure("ms a sample", "busy thread time for each sample"),
            figure("Thread time", "share of its station's thread time"),
            figure("Computing", "share of its busy time in which the thread computed"),
            figure("Saved if free", "share of the program's time that would be saved"),
            figure("95% interval", "in which that share lies"),
            name("Then limits", "what would limit next"),
        ],
        rows: rows.collect(),
    })
}

fn threads(session: &ProfilingSession) -> Table {
    let rows = session.threads.iter().map(|thread| {
        vec![
            text(&thread.name),
            number(Some(f64::from(thread.tid)), |tid| format!("{tid:.0}")),
            number(Some(thread.cpu_s), human::figures),
            number(Some(thread.cpu_s / session.duration_s), human::percent),
            number(thread.run_delay_s, human::figures),
        ]
    });
    without_empty(Table {
        title: "Threads",
        about: "What each thread of the process used while the session ran.",
        head: vec![
            name("Thread", ""),
            figure("ID", "the kernel's number"),
            figure("CPU s", "time that it computed"),
            figure("Of a core", "share of the session"),
            figure("Delay s", "ready to run, and no core was free"),
        ],
        rows: rows.collect(),
    })
}

/// Without columns that say nothing in any row.
pub fn without_empty(mut table: Table) -> Table {
    let says = |column: usize| table.rows.iter().any(|row| row[column].text != "n/a");
    let keep: Vec<bool> = (0..table.head.len()).map(says).collect();
    let mut kept = keep.iter();
    table.head.retain(|_| kept.next().copied().unwrap_or(true));
    for row in &mut table.rows {
        let mut kept = keep.iter();
        row.retain(|_| kept.next().copied().unwrap_or(true));
    }
    table
}

/// A column of names.
pub fn name(name: &'static str, meaning: &'static str) -> Head {
    Head { name, meaning, number: false }
}

/// A column of numbers.
pub fn figure(name: &'static str, meaning: &'static str) -> Head {
    Head { name, meaning, number: true }
}

/// A cell that is sorted by what it says.
pub fn text(text: &str) -> Cell {
    Cell { before: String::new(), text: text.to_owned(), order: None, mark: None }
}

/// A cell that is sorted by a number.
pub fn number(value: Option<f64>, write: impl Fn(f64) -> String) -> Cell {
    let written = value.map_or_else(|| "n/a".to_owned(), write);
    // What is not known comes last.
    Cell { order: Some(value.unwrap_or(f64::MIN)), ..text(&written) }
}
