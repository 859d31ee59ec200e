//! How far from the best the strategies end, and what they cost: docs/regret.md. `scripts/regret` runs
//! it:
//!
//! - `regret record WORKLOAD FOLDER REPEATS SECONDS` measures every setting, in blocks;
//! - `regret real STRATEGY WORKLOAD FOLDER REPEATS SECONDS` sweeps by `race` or `model`, in the share of
//!   that time that the strategy may take;
//! - `regret report FOLDER OUT` replays the recordings and writes `OUT/regret.md` and `OUT/regret.json`.

mod report;
mod workloads;

use std::error::Error;
use std::path::Path;

use clap::ValueEnum;
use tuner::sweep::strategy::Strategy;

use workloads::{How, sweep};

fn main() -> Result<(), Box<dyn Error>> {
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
            sweep(workload, &Path::new(folder).join("images"), &how)?;
        }
        ["real", name, workload, folder, repeats, measure_s] => {
            let strategy = Strategy::from_str(name, false)?;
            let out = Path::new(folder).join(format!("{workload}-{name}"));
            let grid_s = report::Recording::read(&Path::new(folder).join(workload))?.grid_s();
            let how = How {
                strategy,
                repeats: repeats.parse()?,
                measure_s: measure_s.parse()?,
                time_budget_s: Some(report::share(strategy) * grid_s),
                out: &out,
            };
            sweep(workload, &Path::new(folder).join("images"), &how)?;
        }
        ["report", folder, out] => report::write(Path::new(folder), Path::new(out))?,
        _ => return Err("see the head of crates/tuner/examples/regret/main.rs".into()),
    }
    Ok(())
}
