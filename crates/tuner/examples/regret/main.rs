//! How far from the best the strategies end, and what they cost: docs/regret.md. `scripts/regret` runs
//! it, for each workload:
//!
//! - `regret record WORKLOAD FOLDER REPEATS SECONDS` measures every setting, in blocks;
//! - `regret real STRATEGY WORKLOAD FOLDER REPEATS SECONDS` sweeps by `race` or `model`, in the share of
//!   that time that the strategy may take;
//! - `regret truth WORKLOAD FOLDER` measures again, side by side, what sweeps replayed from the recording
//!   pick, and the five settings that are the best by the recording;
//! - `regret report FOLDER OUT WORKLOAD...` writes `OUT/regret.md` and `OUT/regret.json`, and fails where
//!   a strategy does not hold what it promises.
//!
//! What was measured before is not measured again; a folder that was recorded otherwise is refused.

mod recording;
mod report;
mod truth;
mod workloads;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use tuner::sweep::strategy::Strategy;

use recording::Recording;
use workloads::{How, sweep};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["record", workload, folder, repeats, measure_s] => {
            let out = Path::new(folder).join(workload);
            let how = How {
                strategy: Strategy::Grid,
                repeats: repeats.parse()?,
                measure_s: measure_s.parse()?,
                time_budget_s: None,
                out: &out,
            };
            measured(workload, folder, &how)?;
        }
        ["real", name, workload, folder, repeats, measure_s] => {
            let strategy = Strategy::from_str(name, false)?;
            let out = Path::new(folder).join(format!("{workload}-{name}"));
            let grid_s = match is_trial() {
                true => 0.0,
                false => Recording::read(folder, workload)?.grid_s(),
            };
            let how = How {
                strategy,
                repeats: repeats.parse()?,
                measure_s: measure_s.parse()?,
                time_budget_s: Some(strategy.share() * grid_s),
                out: &out,
            };
            measured(workload, folder, &how)?;
        }
        ["truth", workload, folder] if is_trial() => {
            // What is measured the process is told.
            let out = Path::new(folder).join(workload);
            let how = How {
                strategy: Strategy::Grid,
                repeats: 1,
                measure_s: 1.0,
                time_budget_s: None,
                out: &out,
            };
            sweep(workload, &Path::new(folder).join("images"), &how)?;
        }
        ["truth", workload, folder] => truth::measure(&Recording::read(folder, workload)?)?,
        ["report", folder, out, ref workloads @ ..] => {
            let recordings: Result<Vec<Recording>, _> =
                workloads.iter().map(|workload| Recording::read(folder, workload)).collect();
            let holds = report::write(&recordings?, Path::new(out))?;
            return Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        _ => return Err("see the head of crates/tuner/examples/regret/main.rs".into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether this process was started to measure one setting.
fn is_trial() -> bool {
    std::env::var_os("TUNER_TRIAL").is_some()
}

/// Sweeps, unless that was done before.
fn measured(workload: &str, folder: &str, how: &How<'_>) -> Result<(), Box<dyn Error>> {
    if !is_trial() && how.out.join("plan.json").exists() {
        let was = recording::plan(how.out)?.config.sweep;
        if (was.max_repeats, was.measure_s) != (how.repeats, how.measure_s) {
            return Err(format!(
                "`{}` was recorded with {} repeats of {} s, not {} of {} s\nhint: another `--out`, or \
                 the same `--repeats` and `--measure-s`",
                how.out.display(),
                was.max_repeats,
                was.measure_s,
                how.repeats,
                how.measure_s
            )
            .into());
        }
        if how.out.join("summary.json").exists() {
            return Ok(());
        }
    }
    sweep(workload, &Path::new(folder).join("images"), how)?;
    Ok(())
}
