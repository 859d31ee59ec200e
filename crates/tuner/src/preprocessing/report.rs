//! What was found, for people: on the terminal and in `preproc.md`.

use std::fmt::Write;

use preproc::benchmark::{Bound, ExecutionTime, Measured, PreprocessingProfile, seconds};

use super::{PreprocReport, StepFindings};
use crate::table;

/// The tables, what one worker can reach, and what could be gained.
pub fn terminal(report: &PreprocReport) -> String {
    let mut text = format!("{}\n\n{}\n\n", rows(report), findings(report));
    if let Some(table) = cache(report) {
        let _ = writeln!(text, "{CACHE}\n\n{table}\n");
    }
    let _ = writeln!(text, "{}", ceiling(report));
    for line in remarks(report) {
        let _ = writeln!(text, "{line}");
    }
    for suggestion in &report.suggestions {
        let _ = writeln!(text, "- {}", suggestion.text);
    }
    text
}

/// `preproc.md`.
pub fn markdown(report: &PreprocReport, command: &str) -> String {
    let mut text = format!(
        "# What the transforms cost\n\n{}\n\n![Time of a sample by batch size](preproc.png)\n\n",
        ceiling(report)
    );
    for line in remarks(report) {
        let _ = writeln!(text, "{line}\n");
    }
    let _ = writeln!(text, "## What could be gained\n");
    for suggestion in &report.suggestions {
        let _ = writeln!(text, "- {}", suggestion.text);
    }
    let _ = writeln!(text, "\n## Transforms\n\n{}\n\n{FINDINGS}\n", findings(report));
    let _ = writeln!(text, "## Every batch size\n\n{}\n\n{ROWS}\n", rows(report));
    if let Some(table) = cache(report) {
        let _ = writeln!(text, "## The cache of results\n\n{CACHE}\n\n{table}\n");
    }
    let machine = &report.machine;
    let _ = write!(
        text,
        "## How it was measured\n\n\
         {}, on {} with {} usable cores, libtorch {}, by\n\n    {command}\n\n\
         on {} images of `{}`, spread evenly over it, in memory. A step gets what the steps before \
         it make of an image, in memory of its own; a call's output goes to memory that is there \
         already, as a worker's does. The same images are used at each batch size. Calls for \
         warming up come first, the clock's own cost is taken off, and memory, processor time and \
         outputs are looked at between calls. One thread copies memory that lies in no cache at \
         {:.1} GB/s, read and written.\n",
        report.finished,
        machine.cpu,
        machine.usable_cores,
        machine.libtorch,
        report.images,
        report.root,
        report.copy_bytes_per_s / 1e9,
    );
    text
}

const ROWS: &str = "A batch is as many different images, one after the other, and its time the sum \
    of theirs: for images there is no call for a whole batch. Memory is what a batch's inputs and \
    outputs take.";
const FINDINGS: &str = "Fixed and by sample: the time of a batch is the first, and for each sample \
    the second. Best: the batch size with the least time of a sample, and from which on it is \
    within 5% of that. Copying: the share of the time that copying as many bytes takes that lie in \
    no cache; from 50%, memory limits, and above 100% the data lies in the caches. Share: of the \
    time of a sample as planned; within a stage divided as the steps take alone.";
const CACHE: &str = "A repeated call with a shape already seen returns the result kept for that \
    shape. That is wrong for other data, so training never gets it, and a hit says nothing of the \
    transform's speed:";

/// What one worker can reach.
fn ceiling(report: &PreprocReport) -> String {
    let Some(ceiling) = &report.ceiling else {
        return "The plan as a whole could not be measured.".to_owned();
    };
    let stages = ceiling.stages;
    let percent = |time: f64| 100.0 * time / ceiling.sample_s;
    format!(
        "One worker makes at most {:.0} samples/s with the transforms as planned: {} for a sample, \
         of which decode {:.0}%, transform {:.0}%, write {:.0}%.",
        ceiling.samples_per_s,
        seconds(ceiling.sample_s),
        percent(stages.decode_s),
        percent(stages.transform_s),
        percent(stages.write_s)
    )
}

/// What a reader should know.
fn remarks(report: &PreprocReport) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(bad) = report.bad_files.first() {
        remarks.push(format!(
            "{} of the files tried passed over; the first, `{}`: {}",
            report.bad_files.len(),
            bad.file,
            one_line(&bad.reason)
        ));
    }
    if let Some(share) = share_of_a_core(report).filter(|share| *share < 0.8) {
        remarks.push(format!(
            "Other programs used the cores: the thread that was measured got {:.0}% of one. Times \
             are too long, and what all cores give is not to be trusted; measure again on a quiet \
             machine.",
            100.0 * share
        ));
    }
    let mut unmeasured: Vec<(String, Vec<String>)> = Vec::new();
    for row in &report.rows {
        let Some(failure) = row.failure() else { continue };
        let (name, reason) = (format!("`{}`", row.name), one_line(&failure.reason()));
        match unmeasured.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, names)) => names.push(name),
            None => unmeasured.push((reason, vec![name])),
        }
    }
    remarks.extend(unmeasured.into_iter().map(|(reason, names)| match &names[..] {
        [name] => format!("{name} was not measured: {reason}"),
        names => format!("{} were not measured: {reason}", names.join(", ")),
    }));
    remarks
}

/// How much of a core the thread had that was measured: CPU time by time, of calls long enough.
fn share_of_a_core(report: &PreprocReport) -> Option<f64> {
    let measured = report.rows.iter().filter_map(PreprocessingProfile::measured);
    let long = measured.filter(|row| row.execution.mean_s > 1e-3);
    let (cpu_s, wall_s) = long.fold((0.0, 0.0), |(cpu_s, wall_s), row| {
        (cpu_s + row.cpu.cpu_s, wall_s + row.execution.mean_s)
    });
    (wall_s > 0.0).then(|| cpu_s / wall_s)
}

fn one_line(text: &str) -> String {
    text.replace("\nhint: ", "; ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rows(report: &PreprocReport) -> comfy_table::Table {
    let header = [
        "transform",
        "batch",
        "a sample",
        "samples/s",
        "batch: median",
        "p95",
        "deviation",
        "MB/s",
        "memory",
        "CPU",
    ];
    table::markdown(header, report.rows.iter().map(row))
}

fn row(row: &PreprocessingProfile) -> [String; 10] {
    let (name, batch) = (row.transform.clone(), row.batch_size.to_string());
    let Some(measured) = row.measured() else {
        let kind = row.failure().map_or("", |failure| failure.kind());
        let none = || "-".to_owned();
        let what = kind.replace('_', " ");
        return [name, batch, what, none(), none(), none(), none(), none(), none(), none()];
    };
    let Measured { execution, throughput, memory, cpu, .. } = measured;
    let deviation = execution.standard_deviation_s;
    [
        name,
        batch,
        seconds(measured.sample_s),
        format!("{:.0}", throughput.samples_per_s),
        seconds(execution.median_s),
        seconds(execution.p95_s),
        deviation.map_or("n/a".to_owned(), seconds),
        format!("{:.0}", throughput.bytes_per_s / 1e6),
        format!("{:.1} MB", (memory.input_bytes + memory.output_bytes) as f64 / 1e6),
        format!("{:.0}%", cpu.percent),
    ]
}

fn findings(report: &PreprocReport) -> comfy_table::Table {
    let header = [
        "transform",
        "share",
        "fixed",
        "by sample",
        "best batch",
        "copying",
        "limited by",
        "1 thread",
        "all cores",
    ];
    table::markdown(header, report.transforms.iter().map(finding))
}

fn finding(step: &StepFindings) -> [String; 9] {
    let StepFindings { findings, share, scaling } = step;
    let none = || "-".to_owned();
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    let rate = |samples_per_s: f64| format!("{samples_per_s:.0}/s");
    let best = findings.best.map(|best| match best.pays_until == best.batch_size {
        true => best.batch_size.to_string(),
        false => format!("{} ({} is as good)", best.batch_size, best.pays_until),
    });
    let bound = findings.bound.map(|bound| match bound {
        Bound::Memory => "memory".to_owned(),
        Bound::Compute => "processor".to_owned(),
        Bound::Caches => "caches".to_owned(),
    });
    [
        findings.transform.clone(),
        share.map_or_else(none, percent),
        findings.fit.map_or_else(none, |fit| seconds(fit.fixed_s)),
        findings.fit.map_or_else(none, |fit| seconds(fit.sample_s)),
        best.unwrap_or_else(none),
        findings.copy_share.map_or_else(none, |share| match share > 1.0 {
            true => "over 100%".to_owned(),
            false => percent(share),
        }),
        bound.unwrap_or_else(none),
        scaling.map_or_else(none, |scaling| rate(scaling.one_samples_per_s)),
        scaling.map_or_else(none, |scaling| {
            format!("{}, {:.2}x", rate(scaling.all_samples_per_s), scaling.speedup())
        }),
    ]
}

/// Absent without caching.
fn cache(report: &PreprocReport) -> Option<comfy_table::Table> {
    report.cache?;
    let header = ["transform", "batch", "misses", "a miss", "hits", "a hit"];
    let median = |time: &Option<ExecutionTime>| {
        time.as_ref().map_or_else(|| "-".to_owned(), |time| seconds(time.median_s))
    };
    let rows = report.rows.iter().filter_map(|row| {
        let cache = row.measured()?.cache.as_ref()?;
        Some([
            row.transform.clone(),
            row.batch_size.to_string(),
            cache.misses.to_string(),
            median(&cache.miss),
            cache.hits.to_string(),
            median(&cache.hit),
        ])
    });
    Some(table::markdown(header, rows))
}
