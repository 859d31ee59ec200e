//! `tuner self-test`.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use profiler::self_test::{Promise, SelfTest, self_test};

use super::{print, print_json};
use crate::TunerError;

/// The arguments of `tuner self-test`.
#[derive(Debug, Args)]
pub(super) struct SelfTestArgs {
    /// Print one line of JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SelfTestArgs) -> Result<ExitCode, TunerError> {
    if !args.json {
        print(row(["", "promised", "measured", "", "", ""]).trim_end())?;
    }
    let found = self_test(|promise| {
        if !args.json {
            // Whoever does not read it is told by the exit code.
            let _ = writeln!(io::stdout(), "{}", line(promise));
        }
    })?;
    if args.json {
        print_json(&found)?;
    } else {
        print(&format!("\n{}", surroundings(&found)))?;
    }
    Ok(if found.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What else the machine did, which the figures depend on.
fn surroundings(found: &SelfTest) -> String {
    let cores = found.usable_cores;
    let Some(others) = found.other_cores else {
        return "It is not known what other programs did meanwhile.".to_owned();
    };
    let said = format!("Other programs kept {others:.2} of {cores} cores busy meanwhile");
    match others > QUIET * cores && !found.holds() {
        true => format!("{said}: what does not hold may do so on a quiet machine."),
        false => format!("{said}."),
    }
}

/// Others that use a smaller share of the cores change little.
const QUIET: f64 = 0.05;

fn line(promise: &Promise) -> String {
    let Promise { name, promised, measured, median, statistic, unit, holds } = promise;
    let measured = measured.map_or_else(|| "n/a".to_owned(), figure);
    let verdict = if *holds { "holds" } else { "DOES NOT HOLD" };
    let median = median.map_or(String::new(), |median| format!("; median {}", figure(median)));
    let how = format!("{statistic}{median}");
    row([name, &figure(*promised), &measured, unit, verdict, &how])
}

fn row([name, promised, measured, unit, verdict, how]: [&str; 6]) -> String {
    format!("{name:<36} {promised:>8} {measured:>8}  {unit:<11}  {verdict:<13}  {how}")
}

/// With three digits that count.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 100.0 || value == 0.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}
