//! `report.html`: one page that needs nothing else, for a person who was not there.
//!
//! Looks, tables and script are those of the profiler's page ([`profiler::report::page`]).

use askama::Template;
use profiler::report::human::{self, mb, moment, percent};
use profiler::report::page::{self, Prose, Table};

use super::ceiling;
use super::cell::CellSummary;
use super::charts::Chart;
use super::closing::{Closing, Standing};
use super::explain;
use super::method;
use super::summary::Summary;
use super::words::{hundredths, tenths, whole};
use crate::TunerError;

mod tables;

#[derive(Template)]
#[template(path = "sweep.html")]
struct Page<'a> {
    css: &'static str,
    script: &'static str,
    colours: String,
    dark_colours: String,
    summary: &'a Summary,
    started: String,
    tone: &'static str,
    standing: &'static str,
    recommended: String,
    gain: Prose,
    limit: Prose,
    next: Prose,
    warnings: Vec<Prose>,
    notes: Vec<Prose>,
    tiles: Vec<Tile>,
    heat: String,
    pareto: String,
    stages: String,
    timeline: String,
    drift: String,
    tables: Vec<Table>,
    ceilings: Option<Table>,
    exceeded: Option<Prose>,
    all: Table,
    failed: Vec<(String, String)>,
    machine: Vec<(&'static str, String)>,
    method: Vec<(&'static str, String)>,
}

/// A number that stands for itself.
struct Tile {
    name: &'static str,
    value: String,
    about: String,
}

/// The page.
///
/// # Errors
/// If the summary does not hold the recommended setting.
pub fn html(summary: &Summary) -> Result<String, TunerError> {
    let winner = summary.winner()?;
    let closing = Closing::of(summary)?;
    let standing = Standing::of(summary);
    let tone = match standing {
        Standing::Faster | Standing::Default => "good",
        Standing::Slower => "bad",
        Standing::Unsure => "fair",
        Standing::Unknown => "unknown",
    };
    let sentence = |text: &str| Prose::new(&format!("{}.", super::report::capitalized(text)));
    let failed = summary.failed.iter().map(|trial| {
        let error = trial.error.clone().unwrap_or_else(|| "no reason given".to_owned());
        (format!("{}, block {}", trial.setting(), trial.repeat), error)
    });
    let page = Page {
        css: page::CSS,
        script: page::SCRIPT,
        colours: page::colours(false),
        dark_colours: page::colours(true),
        summary,
        started: moment(&summary.started),
        tone,
        standing: standing.words(),
        recommended: winner.cell.to_string(),
        gain: sentence(&closing.gain),
        limit: sentence(&closing.limit),
        next: sentence(&closing.next),
        warnings: explain::warnings(summary)?.iter().map(|it| sentence(it)).collect(),
        notes: explain::notes(summary)?.iter().map(|it| sentence(it)).collect(),
        tiles: tiles(summary, winner),
        heat: Chart::HeatMap.inline(summary),
        pareto: Chart::Pareto.inline(summary),
        stages: Chart::Stages.inline(summary),
        timeline: Chart::Timeline.inline(summary),
        drift: Chart::Drift.inline(summary),
        tables: vec![tables::by_batch_size(summary)?, tables::objectives(summary)?],
        ceilings: (!summary.ceilings.is_empty()).then(|| tables::ceilings(summary)),
        exceeded: ceiling::exceeded(&summary.cells).map(|it| sentence(&it)),
        all: tables::all(summary),
        failed: failed.collect(),
        machine: machine(summary),
        method: method::lines(summary),
    };
    page.render().map_err(|error| TunerError::Bug(error.to_string()))
}

fn tiles(summary: &Summary, winner: &CellSummary) -> Vec<Tile> {
    let range = |interval: Option<[f64; 2]>, write: &dyn Fn(f64) -> String| match interval {
        Some([low, high]) => format!("{} to {}", write(low), write(high)),
        None => "no interval: too few runs".to_owned(),
    };
    let rate = &winner.samples_per_s;
    let score = &winner.score;
    let mut tiles = Vec::new();
    let mut tile = |name, value, about: &str| {
        tiles.push(Tile { name, value, about: about.to_owned() });
    };
    tile("Samples/s", whole(rate.median), &range(rate.interval, &whole));
    if let Some(wait) = &winner.wait_share {
        let about = range(wait.interval, &percent);
        tile(
            "Waiting for data",
            percent(wait.median),
            &format!("{about} of the training loop's time"),
        );
    }
    tile("Score", tenths(score.median), &range(score.interval, &tenths));
    if let Some(headline) = &summary.headline {
        let name = match summary.refuted() {
            Some(_) => "Refuted, by the default",
            None => "Beside the default",
        };
        let about = range(headline.interval, &hundredths);
        let fresh = headline.fresh_samples_per_s().map(whole).unwrap_or_default();
        tile(
            name,
            hundredths(headline.ratio),
            &format!("{about} times its samples/s, {fresh} on fresh runs"),
        );
    }
    if let Some(share) = winner.ceiling_share {
        tile("Of the lowest ceiling", percent(share), "samples/s");
    }
    tile("First batch", human::duration(winner.first_batch_s.median), "after the start");
    tile("Memory", mb(winner.rss_mean_bytes.median), "resident, mean");
    tile("CPU", percent(winner.cpu_percent.median / 100.0), "of the usable cores");
    tiles
}

fn machine(summary: &Summary) -> Vec<(&'static str, String)> {
    let (machine, data) = (&summary.machine, &summary.data);
    vec![
        ("Processor", machine.cpu.clone()),
        ("Usable cores", human::cores(machine.usable_cores)),
        ("Memory", mb(machine.memory_bytes as f64)),
        ("GPUs", if machine.gpus.is_empty() { "none".to_owned() } else { machine.gpus.join(", ") }),
        ("libtorch", machine.libtorch.clone()),
        ("Data", data.root.clone()),
        ("Samples", whole(data.samples as f64)),
        ("Stand-in", if data.stand_in { "yes, for real data" } else { "no" }.to_owned()),
        ("Fingerprint", data.fingerprint.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::ceiling::{Ceiling, Part};
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
    use super::super::timelines::CellTimeline;
    use super::super::timelines::tests::timeline;
    use super::*;

    #[test]
    fn the_page_says_what_was_found_and_escapes_what_it_is_given() {
        let mut summary = summary(vec![cell(1, 1, 100.0), cell(2, 4, 90.0)]);
        summary.data.root = "<script>alert(1)</script>".to_owned();
        summary.command = "tuner sweep --config 'a&b.toml'".to_owned();
        let html = html(&summary).unwrap();
        for part in [
            "batch size 32, 1 worker, prefetch depth 1",
            "Samples/s, prefetch depth 1",
            "Score, prefetch depth 4",
            "Samples per second against memory of each setting",
            "100 (95 to 105)",
            "a&#38;b.toml",
            "not held against the default",
            "tuner explain",
        ] {
            assert!(html.contains(part), "`{part}` is not in the page");
        }
        assert!(!html.contains("<script>alert"), "escaped");
        // Nothing is fetched from anywhere, and what was not measured is not spoken of.
        assert!(!html.contains("src=\"http") && !html.contains("url(http"));
        assert!(
            !html.contains("What each part gives alone") && !html.contains("GPU memory</button>")
        );
        assert!(!html.contains("Resource use over time"));
        let cell = summary.recommended;
        summary.timelines = vec![CellTimeline { cell, timeline: timeline(12, 100.0) }];
        let with = super::html(&summary).unwrap();
        assert!(with.contains("Resource use over time") && with.contains("CPU, % of one core"));
        assert!(!with.contains("Over the whole sweep"));

        summary.ceilings =
            vec![Ceiling { part: Part::Decode, samples_per_s: Some(1234.0), how: "so".to_owned() }];
        let html = super::html(&summary).unwrap();
        assert!(html.contains("What each part gives alone") && html.contains("1,234"));
    }
}
