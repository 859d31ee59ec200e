//! `tuner verify`.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use profiler::report::human::moment;

use super::{on_interrupt, print, print_json};
use crate::sweep::words::{between, count, hundredths};
use crate::verify::{self, LEAST_PAIRS, Pairs, Ratio, Verdict, Verification};
use crate::{TunerError, progress_bar};

/// The arguments of `tuner verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The settings that a sweep wrote, in its folder.
    #[arg(value_name = "RECOMMENDED.toml")]
    recommended: PathBuf,
    /// Pairs of processes, one of the recommended setting and one of the other.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = RangedU64ValueParser::<usize>::new().range(LEAST_PAIRS as u64..=1000)
    )]
    pairs: usize,
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Say nothing but errors and the result.
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode, TunerError> {
    let bar = progress_bar::progress_bar(2 * args.pairs as u64, args.quiet);
    bar.set_style(progress_bar::style("{bar:30} {pos}/{len} runs, {eta} left"));
    let interrupt = on_interrupt()?;
    let progress = |done: usize, _: usize| bar.set_position(done as u64);
    let pairs = Pairs { number: args.pairs, interrupt: &interrupt, progress: &progress };
    let found = verify::settings(&args.recommended, pairs);
    bar.finish_and_clear();
    let found = found?;
    if args.json {
        print_json(&found)?
    } else {
        print(show(&found).trim_end())?
    }
    Ok(match found.verdict {
        Verdict::Holds => ExitCode::SUCCESS,
        Verdict::Drifted | Verdict::Wrong => ExitCode::FAILURE,
    })
}

fn show(found: &Verification) -> String {
    let ratio = |it: &Ratio| {
        let interval = between(it.interval, hundredths);
        let pairs = count(it.pairs, "pair");
        format!("{}{interval} times its samples/s, {pairs} of runs", hundredths(it.ratio))
    };
    let other = found.rival.words();
    let mut text = format!(
        "{}\nbeside {other}, {}:\n- now: {}\n- in the sweep of {}: {}\n",
        found.setting,
        found.against,
        ratio(&found.now),
        moment(&found.swept),
        ratio(&found.then)
    );
    for failed in &found.failed {
        let _ = writeln!(text, "Without figures: {failed}");
    }
    for it in found.matches.iter().filter(|it| it.matches != Some(true)) {
        let _ = writeln!(text, "Another {}: {}", it.what, it.words);
    }
    if let Some(why) = &found.cache.why {
        let _ = writeln!(text, "Page cache: `{}` was asked for, but {why}", found.cache.asked);
    }
    let verdict = match found.verdict {
        Verdict::Holds => "It holds: the two intervals overlap.".to_owned(),
        Verdict::Drifted => {
            "It drifted: the ratio is another now. `tuner sweep` finds what is best now.".to_owned()
        }
        Verdict::Wrong => {
            format!("It is wrong: the recommended setting is slower than {other} now. Sweep again.")
        }
    };
    text + "\n" + &verdict
}
