//! What to do about a stage, with the figures that the model of the pipeline predicts.

use super::evidence::{CROWDED, LOST};
use super::{duration, percent};
use crate::attribution::{Analysis, Change, Limit, StageId, per_second, plural};
use crate::bottleneck::BottleneckType;

/// More threads are never suggested.
const MOST_THREADS: usize = 64;

/// What to do about a stage of that kind, most promising first.
pub(super) fn of_stage(analysis: &Analysis, stage: StageId, kind: &BottleneckType) -> Vec<String> {
    let mut advice = Vec::new();
    let evidence = analysis.evidence(stage.0, stage.1);
    let lost = evidence.lost_share();
    if lost >= LOST {
        advice.push(format!(
            "end other programs that compute, or give this one cores of its own: they keep its \
             threads from a core {} of their time",
            percent(lost)
        ));
    }
    if *kind == BottleneckType::Synchronization {
        advice.push(of_waiting_threads(analysis, stage));
    } else if let Some(threads) = of_threads(analysis, stage) {
        advice.push(threads);
    }
    // Who waits for a core does less of what it does: its own kind says how.
    let crowded = evidence.crowded_share() >= CROWDED;
    let work = if crowded { &evidence.declared } else { kind };
    advice.push(of_less_work(analysis, stage, work));
    advice
}

/// How many threads would do.
fn of_threads(analysis: &Analysis, (i, j): StageId) -> Option<String> {
    let Analysis { total, model, surroundings, .. } = analysis;
    let station = &total.stations[i];
    if station.on_consumer && total.stations.len() > 1 {
        // What a consumer does itself although there is a pool cannot be done by others.
        return None;
    }
    let share = analysis.evidence(i, j).cpu_share.unwrap_or(1.0);
    let now = station.threads.max(1);
    let before = if station.on_consumer { 0 } else { now };
    // Who waits needs no core.
    let cores = (surroundings.usable_cores.floor() as usize).max(1);
    let most = if share >= 0.5 { cores.max(before) } else { MOST_THREADS };
    let with = |threads| model.interval_if(Change::Threads(i, threads));
    let best_s = with(most);
    // As many as reach what many would, by and large. More threads never take longer.
    let (mut threads, mut fewer) = (most, before);
    while threads > fewer + 1 {
        let middle = fewer + (threads - fewer) / 2;
        match with(middle) <= 1.02 * best_s {
            true => threads = middle,
            false => fewer = middle,
        }
    }
    if threads <= before {
        return None;
    }
    let reached_s = with(threads);
    if reached_s > 0.98 * model.interval_s {
        return None;
    }
    let workers = plural(threads, "thread");
    // A loop that does next to nothing takes any number.
    let consumer_s = model.consumer_s();
    let taken = match consumer_s > 0.01 * model.interval_s {
        true => format!(", and the loop takes {}", per_second(1.0 / consumer_s)),
        false => String::new(),
    };
    Some(format!(
        "{} `{}` on {workers}{}: they would supply {} items/s{taken}; predicted {} items/s instead \
         of {}",
        if before == 0 { "run" } else { "serve" },
        station.name,
        if before == 0 { " of its own".to_owned() } else { format!(" (now {before})") },
        per_second(1.0 / model.supply_s(i, threads).max(f64::MIN_POSITIVE)),
        per_second(1.0 / reached_s),
        per_second(1.0 / model.interval_s),
    ))
}

/// What waiting for a core, for a lock or for another thread asks for.
fn of_waiting_threads(analysis: &Analysis, (i, j): StageId) -> String {
    let Analysis { total, model, surroundings, .. } = analysis;
    let station = &total.stations[i];
    let evidence = analysis.evidence(i, j);
    let delay = evidence.crowded_share();
    let cores = surroundings.usable_cores;
    if delay >= CROWDED && station.threads <= 1 {
        return format!(
            "leave the thread of `{}` a core: it waits {} of its time for one; run fewer threads \
             beside it (those of libraries: OMP_NUM_THREADS, RAYON_NUM_THREADS)",
            station.name,
            percent(delay),
        );
    }
    if delay >= CROWDED {
        return format!(
            "run `{}` on fewer threads than {}: {} core(s) give {} items/s at most, and threads \
             wait {} of their time for one",
            station.name,
            station.threads,
            cores,
            per_second(cores / model.cpu_s().max(f64::MIN_POSITIVE)),
            percent(delay),
        );
    }
    let load = model.load((i, j));
    format!(
        "let `{}` hold its lock for less: an item waits {} in it and computes {}; more threads only \
         wait longer. Without the wait: {} items/s",
        total.stations[i].stages[j].name,
        duration((load.demand_s - load.cpu_s).max(0.0)),
        duration(load.cpu_s),
        per_second(
            1.0 / model.interval_if(Change::Demand(
                (i, j),
                load.cpu_s / load.demand_s.max(f64::MIN_POSITIVE)
            ))
        ),
    )
}

/// What half the work in it would bring, and how work of its kind is made less.
fn of_less_work(analysis: &Analysis, (i, j): StageId, kind: &BottleneckType) -> String {
    let model = &analysis.model;
    let name = &analysis.total.stations[i].stages[j].name;
    let how = match kind {
        BottleneckType::DataLoading => "prepare the data once, ahead of time",
        BottleneckType::Preprocessing => {
            "do it once and store the result, on smaller inputs, or with a faster kernel"
        }
        BottleneckType::MemoryAllocation => "reuse buffers instead of allocating new ones",
        BottleneckType::GpuTransfer => {
            "pin the memory, copy while the GPU computes, and send uint8 instead of float32"
        }
        BottleneckType::CpuComputation => "use a cheaper algorithm or narrower types",
        BottleneckType::IoOperation => {
            "keep the data in memory or on a faster disk, in fewer and larger files, and read ahead"
        }
        BottleneckType::NetworkLatency => {
            "keep a local copy, or ask for more at once and for several things at a time"
        }
        BottleneckType::Synchronization => "make what the threads share smaller",
        BottleneckType::Undeclared | BottleneckType::Custom(_) => "make it cheaper",
    };
    let half_s = model.interval_if(Change::Demand((i, j), 0.5));
    let bound = match model.bound().0 {
        Limit::Cores => format!(
            " (all {:.1} cores are busy: only less CPU time helps, not more threads)",
            analysis.surroundings.usable_cores
        ),
        Limit::Station(_) | Limit::Consumer => String::new(),
    };
    format!(
        "spend less in `{name}`{bound}: {how}. Half its {} an item would give {} items/s instead of \
         {}",
        duration(model.load((i, j)).demand_s),
        per_second(1.0 / half_s),
        per_second(1.0 / model.interval_s),
    )
}
