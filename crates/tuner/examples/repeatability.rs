//! Whether sweeps that are repeated recommend the same: docs/repeatability.md. `scripts/repeatability` runs
//! the sweeps and then this, with the file to write and the folders of the sweeps. Fails where two of them
//! recommend settings that are not within 3% of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use profiler::bootstrap::{Runs, Scatter};
use profiler::statistics::median;
use tuner::sweep::grid::Cell;
use tuner::sweep::summary::Summary;

/// Settings so near to each other are as good, and so sure it must be.
const NEAR: f64 = 0.03;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: repeatability FILE SWEEP...")?;
    let mut sweeps = Vec::new();
    for path in arguments {
        sweeps.push(Summary::read(&path.join("summary.json"))?);
    }
    sweeps.sort_by(|a, b| a.started.cmp(&b.started));
    let first = sweeps.first().ok_or("no sweep is given")?;
    let same = |sweep: &&Summary| {
        (&sweep.data, &sweep.machine, sweep.method.objective)
            == (&first.data, &first.machine, first.method.objective)
    };
    if let Some(other) = sweeps.iter().find(|sweep| !same(sweep)) {
        let (a, b) = (&first.started, &other.started);
        return Err(format!("the sweeps of {a} and {b} are not of one kind").into());
    }
    write(&out, &sweeps)
}

/// The recommended setting of each batch size.
fn recommended(sweep: &Summary) -> BTreeMap<usize, Cell> {
    sweep.by_batch_size.iter().map(|choice| (choice.winner.batch_size, choice.winner)).collect()
}

/// A setting that some sweep recommends, held against the one that most recommend, over all sweeps: in
/// each both were run, in the same blocks.
struct Pick {
    cell: Cell,
    sweeps: usize,
    samples_per_s: f64,
    /// Samples/s by the other's, median over the sweeps.
    ratio: f64,
    /// Half the width of its 95% interval.
    half_width: Option<f64>,
}

impl Pick {
    fn holds(&self) -> bool {
        // Of sweeps that all recommend one setting nothing is left to be told apart.
        let sure = self.ratio == 1.0 || self.half_width.is_some_and(|width| width <= NEAR);
        (1.0 / (1.0 + NEAR)..=1.0 + NEAR).contains(&self.ratio) && sure
    }
}

fn picks(sweeps: &[Summary], batch_size: usize) -> Result<Vec<Pick>, Box<dyn Error>> {
    let all: Vec<Cell> =
        sweeps.iter().filter_map(|it| recommended(it).get(&batch_size).copied()).collect();
    let count = |cell: Cell| all.iter().filter(|it| **it == cell).count();
    let cells: BTreeSet<Cell> = all.iter().copied().collect();
    let usual = cells.iter().copied().max_by_key(|cell| count(*cell)).ok_or("no setting")?;
    let mut picks = Vec::new();
    for cell in cells {
        let (mut rates, mut ratios) = (Vec::new(), Vec::new());
        for sweep in sweeps {
            let rate = sweep.find(cell)?.samples_per_s.median;
            rates.push(rate);
            ratios.push(rate / sweep.find(usual)?.samples_per_s.median);
        }
        let runs = Runs::relative(&ratios);
        let interval = Scatter::of([runs]).interval(runs);
        let half_width = interval.map(|[low, high]| (high - low) / 2.0);
        let middle = |values: &[f64]| median(values).ok_or("no sweep");
        let (samples_per_s, ratio) = (middle(&rates)?, middle(&ratios)?);
        picks.push(Pick { cell, sweeps: count(cell), samples_per_s, ratio, half_width });
    }
    picks.sort_by_key(|pick| std::cmp::Reverse(pick.sweeps));
    Ok(picks)
}

fn write(out: &Path, sweeps: &[Summary]) -> Result<ExitCode, Box<dyn Error>> {
    let first = &sweeps[0];
    let sizes: Vec<usize> = recommended(first).into_keys().collect();
    let mut text = format!(
        "# Repeatability\n\nThe same sweep, {} times one after the other, on {}, {} usable cores, since {}: `{}`, \
         objective `{}`. What each recommends, as workers / depth, with its samples/s and half of their 95% \
         interval, and how much faster than the default fresh runs say its winner is. \
         `scripts/repeatability` repeats it.\n\n| sweep | minutes |",
        sweeps.len(),
        first.machine.cpu,
        first.machine.usable_cores,
        first.started,
        first.command,
        first.method.objective,
    );
    sizes.iter().try_for_each(|size| write!(text, " batch size {size} |"))?;
    text += " winner by default |\n|--:|--:|";
    sizes.iter().for_each(|_| text += "---|");
    text += "---|\n";
    for (number, sweep) in sweeps.iter().enumerate() {
        write!(text, "| {} | {:.1} |", number + 1, sweep.method.trials_s / 60.0)?;
        let recommended = recommended(sweep);
        for size in &sizes {
            let cell = *recommended.get(size).ok_or("a sweep without one of the batch sizes")?;
            let rate = sweep.find(cell)?.samples_per_s;
            let width = rate.interval.map_or("n/a".to_owned(), |[low, high]| {
                format!("{:.1}%", 50.0 * (high - low) / rate.median)
            });
            write!(
                text,
                " {} / {}: {:.0} ± {width} |",
                cell.num_workers, cell.prefetch_depth, rate.median
            )?;
        }
        let headline = sweep.headline.as_ref().map_or("the default wins".to_owned(), |it| {
            let interval = it
                .interval
                .map_or_else(String::new, |[low, high]| format!(" ({low:.2} to {high:.2})"));
            format!("{:.2}{interval}", it.ratio)
        });
        writeln!(text, " {headline} |")?;
    }
    text += "\n## Held against each other\n\nEvery setting that some sweep recommends, held against the one that \
             most do: samples/s of the one by those of the other within each sweep, the median over all \
             sweeps. All must be within 3%, and known to 3%.\n\n\
             | batch size | workers / depth | recommended by | samples/s | ratio | |\n\
             |--:|---|--:|--:|---|---|\n";
    let mut holds = true;
    for size in sizes {
        for pick in picks(sweeps, size)? {
            let width = pick.half_width.map_or("n/a".to_owned(), |width| format!("{width:.3}"));
            writeln!(
                text,
                "| {size} | {} / {} | {} of {} | {:.0} | {:.3} ± {width} | {} |",
                pick.cell.num_workers,
                pick.cell.prefetch_depth,
                pick.sweeps,
                sweeps.len(),
                pick.samples_per_s,
                pick.ratio,
                if pick.holds() { "holds" } else { "does not hold" },
            )?;
            holds &= pick.holds();
        }
    }
    writeln!(text, "\nAll of it {}.", if holds { "holds" } else { "does not hold" })?;
    fs::write(out, &text)?;
    print!("{text}");
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
