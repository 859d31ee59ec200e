//! Random pipelines in virtual time: is the right stage named, and is its potential what is really
//! saved when it is removed?
//!
//! `cargo run --release -p profiler --example simulated_pipelines [NUMBER [FIRST]]` runs NUMBER of
//! them (default 200) that have a bottleneck at all, from draw FIRST on; exit code 1 if the right
//! stage is named in fewer than 95%, or the potential is within 3 points of the truth in fewer
//! than that.
//!
//! The pipelines run in the simulator that attribution itself replays pipelines with. But
//! attribution sees counters only: it does not know by which laws service times scatter (even,
//! exponential, lognormal, two lengths, rows of long items, sizes that stages share), nor what
//! takes long in itself and what waited for a core. What it knows of how threads, queues and cores
//! go together, it knows right: how well that describes real threads, `real_pipelines` tells.

#[path = "support/simulated.rs"]
mod simulated;

use std::process::ExitCode;

use simulated::{CLOSE, Case, EQUAL, WORTH};

const ITEMS: usize = 30_000;

fn main() -> ExitCode {
    let argument = |place| -> Option<u64> { std::env::args().nth(place)?.parse().ok() };
    let (wanted, first) = (argument(1).unwrap_or(200), argument(2).unwrap_or(0));
    println!(
        "{:>5} {:<26} {:>5} {:>5} {:<8} {:>9} {:>7} {:>6}  {:<8} {:>6}",
        "case",
        "threads x stages, room",
        "batch",
        "waits",
        "named",
        "predicted",
        "true",
        "error",
        "best",
        "true"
    );
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let (mut cases, mut errors, mut without) = (Vec::new(), Vec::new(), 0);
    for number in first.. {
        if cases.len() >= wanted as usize {
            break;
        }
        let Some(case) = Case::run(number, ITEMS) else { continue };
        errors.push(case.error().abs());
        if !case.has_bottleneck() {
            without += 1;
            continue;
        }
        let best = case.savings.iter().max_by(|a, b| a.2.total_cmp(&b.2));
        let (best, best_saving) = best.map_or(("", 0.0), |(name, _, saving)| (name, *saving));
        let (name, predicted, saving) = &case.savings[case.named];
        let mark = match (case.is_right(), case.error().abs() <= CLOSE) {
            (true, true) => "",
            (false, _) => "  wrong stage",
            (true, false) => "  off",
        };
        println!(
            "{number:>5} {:<26} {:>5} {:>5} {name:<8} {:>9} {:>7} {:>6}  {best:<8} {:>6}{mark}",
            case.shape(),
            case.pipeline.batch,
            percent(case.attribution.wait_share),
            percent(*predicted),
            percent(*saving),
            format!("{:+.1}", 100.0 * case.error()),
            percent(best_saving),
        );
        cases.push(case);
    }
    let share = |count: usize| count as f64 / cases.len().max(1) as f64;
    let right = share(cases.iter().filter(|case| case.is_right()).count());
    let close = share(cases.iter().filter(|case| case.error().abs() <= CLOSE).count());
    let covered = share(cases.iter().filter(|case| case.is_covered()).count());
    let all_stages: Vec<f64> = cases
        .iter()
        .flat_map(|case| {
            case.savings.iter().map(|(_, predicted, saving)| (predicted - saving).abs())
        })
        .collect();
    let all_close = all_stages.iter().filter(|error| **error <= CLOSE).count() as f64
        / all_stages.len().max(1) as f64;
    let mut of_named: Vec<f64> = cases.iter().map(|case| case.error().abs()).collect();
    of_named.sort_by(f64::total_cmp);
    let quantile = |part: f64| {
        let at = (part * of_named.len().saturating_sub(1) as f64).round() as usize;
        100.0 * of_named.get(at).copied().unwrap_or(f64::NAN)
    };
    println!();
    println!(
        "{} pipelines with a bottleneck (some stage saves {:.0} points or more), {without} drawn \
         without",
        cases.len(),
        100.0 * WORTH,
    );
    println!(
        "right stage named: {} (right: no other saves over {:.0} point more); promise 95%",
        percent(right),
        100.0 * EQUAL
    );
    println!(
        "potential of the named stage within {:.0} points of the truth: {}; promise 95%",
        100.0 * CLOSE,
        percent(close)
    );
    println!(
        "its error: median {:.2} points, 95% below {:.2}, largest {:.2}",
        quantile(0.5),
        quantile(0.95),
        quantile(1.0)
    );
    println!(
        "of all {} stages of these, named or not: within {:.0} points {}",
        all_stages.len(),
        100.0 * CLOSE,
        percent(all_close)
    );
    let close_of_all = errors.iter().filter(|error| **error <= CLOSE).count();
    println!(
        "those without a bottleneck included: {} of {} within {:.0} points",
        close_of_all,
        errors.len(),
        100.0 * CLOSE
    );
    println!("truth within the 95% interval: {}", percent(covered));
    let ways = ["room and single visits not told", "by the bounds alone, as in the textbook"];
    for (way, name) in ways.into_iter().enumerate() {
        let lesser = || cases.iter().map(|case| &case.lesser[way]);
        println!(
            "{name}: right stage {}, within {:.0} points {}",
            percent(share(lesser().filter(|it| it.right).count())),
            100.0 * CLOSE,
            percent(share(lesser().filter(|it| it.error.abs() <= CLOSE).count())),
        );
    }
    ExitCode::from(u8::from(right < 0.95 || close < 0.95))
}
