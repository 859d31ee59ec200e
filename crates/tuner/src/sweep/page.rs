//! `report.html`: one page that needs nothing else, for a person who was not there.
//!
//! Looks, tables and script are those of the profiler's page ([`profiler::report::page`]).

use askama::Template;
use profiler::report::human::{self, mb, moment, percent};
use profiler::report::page::{self, Cell as Shown, Prose, Table, figure, name, text};

use super::ceiling::{self, Ceiling};
use super::cell::CellSummary;
use super::charts::Chart;
use super::closing::{Closing, Standing};
use super::estimate::Estimate;
use super::explain;
use super::method;
use super::summary::Summary;
use super::words::{hundredths, sure, tenths, whole};
use crate::TunerError;

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
        tables: vec![by_batch_size(summary)?, objectives(summary)?],
        ceilings: (!summary.ceilings.is_empty()).then(|| ceilings(&summary.ceilings)),
        exceeded: ceiling::exceeded(&summary.cells).map(|it| sentence(&it)),
        all: all(summary),
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
        let about = range(headline.interval, &hundredths);
        tile(
            "Beside the default",
            hundredths(headline.ratio),
            &format!("{about} times its samples/s"),
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

fn with_interval(estimate: Option<&Estimate>, write: impl Fn(f64) -> String) -> Shown {
    let known = estimate.map(|it| (it.median, sure(it, write)));
    let words = known.as_ref().map_or("n/a", |(_, words)| words);
    Shown { order: Some(known.as_ref().map_or(f64::MIN, |(value, _)| *value)), ..text(words) }
}

fn figure_of(value: Option<f64>, write: impl Fn(f64) -> String) -> Shown {
    page::number(value, write)
}

fn counted(value: usize) -> Shown {
    page::number(Some(value as f64), whole)
}

/// The three numbers of a setting.
fn setting(summary: &Summary, cell: &CellSummary) -> [Shown; 3] {
    let mark = (cell.cell == summary.recommended).then_some("recommended");
    let depth = (cell.cell.num_workers > 0).then_some(cell.cell.prefetch_depth as f64);
    [
        Shown { mark, ..counted(cell.cell.batch_size) },
        counted(cell.cell.num_workers),
        figure_of(depth, whole),
    ]
}

/// Without a consumer it is left out.
const WAITING: (&str, &str) = ("Waiting (95%)", "share of the training loop's time without data");

const SETTING: [(&str, &str); 3] =
    [("Batch size", ""), ("Workers", ""), ("Depth", "batches ready or being filled")];

fn head(more: &[(&'static str, &'static str)]) -> Vec<page::Head> {
    SETTING.iter().chain(more).map(|(name, meaning)| figure(name, meaning)).collect()
}

fn by_batch_size(summary: &Summary) -> Result<Table, TunerError> {
    let rows = summary.by_batch_size.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        let mut row = Vec::from(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.samples_per_s), whole),
            with_interval(Some(&cell.score), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
            counted(choice.equals.len()),
            counted(choice.undecided.len()),
        ]);
        Ok(row)
    });
    Ok(page::without_empty(Table {
        title: "Best for each batch size",
        about: "Batch size changes the training; workers and depth do not.",
        head: head(&[
            ("Samples/s (95%)", "median of the runs, with its interval"),
            ("Score (95%)", ""),
            WAITING,
            ("Memory", "resident, mean"),
            ("Equals", "settings within 0.5% of the best, this one among them"),
            ("Undecided", "others that may be as good for all that is known"),
        ]),
        rows: rows.collect::<Result<_, TunerError>>()?,
    }))
}

fn objectives(summary: &Summary) -> Result<Table, TunerError> {
    let rows = summary.objectives.iter().map(|choice| {
        let cell = summary.find(choice.winner)?;
        let mut row = vec![text(choice.objective.name())];
        row.extend(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.samples_per_s), whole),
            figure_of(Some(cell.score.median), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.first_batch_s.median), human::duration),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
        ]);
        Ok(row)
    });
    let mut heads = vec![name("Objective", "what the setting is chosen for")];
    heads.extend(head(&[
        ("Samples/s (95%)", ""),
        ("Score", ""),
        WAITING,
        ("First batch", "time to it"),
        ("Memory", "resident, mean"),
    ]));
    Ok(page::without_empty(Table {
        title: "The winner under each objective",
        about: "Of settings within 0.5% of the best, fewer workers win, then less memory, then \
                smaller depth.",
        head: heads,
        rows: rows.collect::<Result<_, TunerError>>()?,
    }))
}

fn ceilings(ceilings: &[Ceiling]) -> Table {
    let rows = ceilings.iter().map(|ceiling| {
        let rate = figure_of(ceiling.samples_per_s, whole);
        vec![text(ceiling.part.name()), rate, text(&ceiling.how)]
    });
    Table {
        title: "What each part gives alone",
        about: "What no setting should exceed; the training loop takes so many batches a second, whatever their \
                size.",
        head: vec![name("Part", ""), figure("Samples/s", ""), name("How it was measured", "")],
        rows: rows.collect(),
    }
}

fn all(summary: &Summary) -> Table {
    let rows = summary.cells.iter().enumerate().map(|(at, cell)| {
        let limit = cell.limit.as_ref();
        let mut row = vec![Shown {
            before: if cell.in_grid { String::new() } else { "not in the grid ".to_owned() },
            ..counted(at + 1)
        }];
        row.extend(setting(summary, cell));
        row.extend([
            with_interval(Some(&cell.score), tenths),
            with_interval(Some(&cell.samples_per_s), whole),
            figure_of(cell.ceiling_share, percent),
            with_interval(cell.custom_score.as_ref(), tenths),
            with_interval(cell.wait_share.as_ref(), percent),
            figure_of(Some(cell.first_batch_s.median), human::duration),
            figure_of(Some(cell.rss_mean_bytes.median), mb),
            figure_of(Some(cell.above_base_bytes.median), mb),
            figure_of(cell.predicted_above_base_bytes.map(|bytes| bytes as f64), mb),
            figure_of(cell.gpu_mean_bytes.map(|it| it.median), mb),
            figure_of(Some(cell.cpu_percent.median / 100.0), percent),
            text(limit.map_or("n/a", |limit| &limit.stage)),
            with_interval(limit.map(|limit| &limit.potential), percent),
            counted(cell.trials),
            counted(cell.failed),
        ]);
        row
    });
    let mut heads = vec![figure("Rank", "under the objective")];
    heads.extend(head(&[
        ("Score (95%)", "median of the runs, with its bootstrap interval"),
        ("Samples/s (95%)", ""),
        ("Ceiling", "share of its lowest ceiling"),
        ("Custom score", "with the weights of the configuration"),
        WAITING,
        ("First batch", "time to it"),
        ("Memory", "resident, mean"),
        ("Peak", "of memory, above what the process held before the loader was built"),
        ("Predicted", "what that was predicted to be"),
        ("GPU memory", ""),
        ("CPU", "of the usable cores"),
    ]));
    heads.push(name("Limit", "the stage that limits, by attribution of most of its runs"));
    heads.extend([
        figure("Without it (95%)", "share of the time that would be saved without that stage"),
        figure("Runs", "with figures"),
        figure("Failed", "runs without"),
    ]);
    page::without_empty(Table {
        title: "All settings",
        about: "The recommended one is marked. The same as a file: `cells.csv`, and run by run \
                `trials.csv`.",
        head: heads,
        rows: rows.collect(),
    })
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
    use super::super::ceiling::Part;
    use super::super::cell::tests::cell;
    use super::super::explain::tests::summary;
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

        summary.ceilings =
            vec![Ceiling { part: Part::Decode, samples_per_s: Some(1234.0), how: "so".to_owned() }];
        let html = super::html(&summary).unwrap();
        assert!(html.contains("What each part gives alone") && html.contains("1,234"));
    }
}
