#[path = "support/simulated.rs"]
mod simulated;
use simulated::*;
fn main() {
    for arg in std::env::args().skip(1) {
        let n: u64 = arg.parse().unwrap();
        let case = Case::run(n, 20_000);
        let p = &case.pipeline;
        println!(
            "=== case {n} {} batch {} cores {} verdict {:?} jobs-debug {}",
            case.shape(),
            p.batch,
            p.cores,
            case.attribution.verdict,
            case.attribution.sentence
        );
        println!("  T {:.3} ms", 1e3 / case.attribution.items_per_s);
        for s in &case.attribution.stations {
            println!(
                "  {} D/m {:.3} util {:.3}",
                s.name,
                1e3 * s.demand_s / s.threads as f64,
                s.utilization
            );
        }
        println!(
            "  consumer {:.3} {:?} cpu {:.2}",
            1e3 * p.consumer.mean_s,
            p.consumer.law,
            p.consumer.cpu_share
        );
        let cpu: f64 = p
            .stations
            .iter()
            .flat_map(|s| &s.stages)
            .chain(&p.own_stages)
            .chain([&p.consumer])
            .map(|s| s.mean_s * s.cpu_share)
            .sum();
        println!("  cpu/cores {:.3}", 1e3 * cpu / p.cores);
        for (k, (i, j)) in p.stages().enumerate() {
            let mut q = p.clone();
            let s = q.stage_mut((i, j)).clone();
            println!(
                "   {} {:.3} ms {:?} cpu {:.2}: predicted {:.1} true {:.1} [{:?}]{}",
                s.name,
                1e3 * s.mean_s,
                s.law,
                s.cpu_share,
                100. * case.gains[k].1,
                100. * case.gains[k].2,
                case.attribution.stations[i].stages[j].interval,
                if k == case.named { " <-" } else { "" }
            );
        }
    }
}
