//! What limits a setting, in words, from what was measured.

use super::summary::CellSummary;

/// CPU use in percent from which the cores count as all busy.
const BUSY_PERCENT: f64 = 90.0;
/// Share of the workers' time that may pass waiting before it counts.
const WAITING_SHARE: f64 = 0.2;

/// What limits a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The stage that takes most of the work: `read`, `decode`, `transform`, `write`, `other`.
    pub stage: &'static str,
    /// Its share of the work on samples, 0 to 1.
    pub share: f64,
    /// A sentence.
    pub sentence: String,
}

/// Of the time that threads compute, the share they must get a core for; below, others take it.
const CONTENDED_SHARE: f64 = 0.75;

/// What limits the setting of `summary`, on a machine with `usable_cores`.
pub fn limit(summary: &CellSummary, usable_cores: f64) -> Limit {
    let times = &summary.stages;
    let busy = times.busy_s().max(f64::MIN_POSITIVE);
    let stages = [
        ("read", times.read_s),
        ("decode", times.decode_s),
        ("transform", times.transform_s),
        ("write", times.write_s),
        ("other", times.other_s),
    ];
    let largest = stages.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (stage, share) = largest.map_or(("other", 0.0), |(stage, time)| (stage, time / busy));
    let percent = format!("{:.0}%", 100.0 * share);
    let cpu = summary.cpu_percent.median;
    let waiting = times.wait_room_s / (busy + times.wait_room_s);
    // Reading may wait for a disk; the other stages compute.
    let computing = busy - times.read_s;
    let got = cpu / 100.0 * usable_cores * summary.wall_s;
    let sentence = if cpu < BUSY_PERCENT && got < CONTENDED_SHARE * computing {
        format!(
            "other programs use the cores: the loader's threads got {:.0}% of the time they would \
             have computed (`{stage}` takes {percent} of it); measure again on an idle machine",
            100.0 * got / computing
        )
    } else if cpu >= BUSY_PERCENT {
        format!(
            "the cores are busy ({cpu:.0}%), and `{stage}` takes {percent} of their work: more \
             workers cannot help, a cheaper `{stage}` or more cores would"
        )
    } else if summary.cell.num_workers == 0 {
        format!(
            "one thread does all the work, `{stage}` {percent} of it, while {:.0}% of the cores' \
             time is free: workers would use it",
            100.0 - cpu
        )
    } else if waiting >= WAITING_SHARE {
        format!(
            "workers wait for room {:.0}% of their time: a greater prefetch depth would keep them \
             busy",
            100.0 * waiting
        )
    } else if stage == "read" {
        format!(
            "`read` takes {percent} of the workers' time while the cores are not busy \
             ({cpu:.0}%): storage limits, and more workers would wait for more files at once"
        )
    } else if summary.cell.num_workers as f64 >= usable_cores {
        format!(
            "there is a worker for each core, and `{stage}` takes {percent} of their work: more \
             workers cannot help, a cheaper `{stage}` or more cores would ({:.0}% of the cores' \
             time was free or other programs')",
            100.0 - cpu
        )
    } else {
        format!(
            "the workers are busy, with `{stage}` {percent} of the time, and {:.0}% of the cores' \
             time is free: more workers would use it",
            100.0 - cpu
        )
    };
    Limit { stage, share, sentence }
}
