//! What a pipeline's counters grew by: between two snapshots, and over several such stretches.
//!
//! A stretch is a [`PipelineSnapshot`] too: its `at_s` is its length.

use crate::pipeline::{PipelineSnapshot, StationSnapshot, Visits};

/// The stretches between neighbours, at most `most` of about equal numbers of snapshots. One
/// in which a counter fell (the pipeline began anew), or whose stations changed, is left out.
pub(super) fn stretches(snapshots: &[PipelineSnapshot], most: usize) -> Vec<PipelineSnapshot> {
    let all: Vec<_> = snapshots.windows(2).filter_map(|pair| between(&pair[0], &pair[1])).collect();
    // Only those of the shape that the pipeline has at its end can be added up.
    let Some(last) = all.last() else { return Vec::new() };
    let alike: Vec<_> = all.iter().filter(|stretch| same_shape(stretch, last)).collect();
    alike.chunks(alike.len().div_ceil(most).max(1)).filter_map(sum).collect()
}

/// Their sum; `None` of none.
pub(super) fn sum(stretches: &[&PipelineSnapshot]) -> Option<PipelineSnapshot> {
    let (first, others) = stretches.split_first()?;
    let mut sum = (*first).clone();
    for one in others {
        known_too(&mut sum, one);
        combine(&mut sum, one, |a, b| a + b);
    }
    Some(sum)
}

fn between(earlier: &PipelineSnapshot, later: &PipelineSnapshot) -> Option<PipelineSnapshot> {
    if !same_shape(earlier, later) || later.items < earlier.items {
        return None;
    }
    let mut stretch = later.clone();
    combine(&mut stretch, earlier, |a, b| a - b);
    let of_stations = stretch.stations.iter().flat_map(|station| {
        station.stages.iter().map(|stage| stage.busy_s).chain([station.wait_s])
    });
    let sane = of_stations
        .chain([stretch.consumer_wait_s, stretch.consumer_busy_s])
        // Sums of seconds may fall by a rounding.
        .all(|seconds| seconds.is_finite() && seconds > -1e-6);
    (sane && stretch.at_s.is_finite() && stretch.at_s > 0.0).then_some(stretch)
}

/// Makes 0 of what is not known in `sum` but in `other`.
fn known_too(sum: &mut PipelineSnapshot, other: &PipelineSnapshot) {
    let known = |a: &mut Option<f64>, b: Option<f64>| *a = a.or(b.map(|_| 0.0));
    known(&mut sum.consumer_cpu_s, other.consumer_cpu_s);
    known(&mut sum.consumer_run_delay_s, other.consumer_run_delay_s);
    known(&mut sum.queue_empty_s, other.queue_empty_s);
    for (a, b) in sum.stations.iter_mut().zip(&other.stations) {
        known(&mut a.cpu_s, b.cpu_s);
        known(&mut a.run_delay_s, b.run_delay_s);
    }
}

fn same_shape(a: &PipelineSnapshot, b: &PipelineSnapshot) -> bool {
    let names = |snapshot: &PipelineSnapshot| -> Vec<Vec<String>> {
        let of = |station: &StationSnapshot| {
            let stages = station.stages.iter().map(|stage| stage.name.clone());
            stages.chain([station.name.clone()]).collect()
        };
        snapshot.stations.iter().map(of).collect()
    };
    names(a) == names(b)
}

/// Changes each counter of `a` by that of `b`, which has the same shape.
fn combine(a: &mut PipelineSnapshot, b: &PipelineSnapshot, op: impl Fn(f64, f64) -> f64) {
    let count = |a: &mut u64, b: u64| *a = op(*a as f64, b as f64).max(0.0) as u64;
    let seconds = |a: &mut f64, b: f64| *a = op(*a, b);
    // What is not known yet has not begun: a thread that has not started, for one.
    let known = |a: &mut Option<f64>, b: Option<f64>| *a = a.map(|a| op(a, b.unwrap_or(0.0)));
    seconds(&mut a.at_s, b.at_s);
    count(&mut a.items, b.items);
    count(&mut a.batches, b.batches);
    seconds(&mut a.consumer_wait_s, b.consumer_wait_s);
    seconds(&mut a.consumer_busy_s, b.consumer_busy_s);
    let visits = |a: &mut Visits, b: &Visits| {
        count(&mut a.count, b.count);
        seconds(&mut a.sum_s, b.sum_s);
        seconds(&mut a.sum_of_squares_s2, b.sum_of_squares_s2);
        seconds(&mut a.sum_of_cubes_s3, b.sum_of_cubes_s3);
    };
    visits(&mut a.consumer_visits, &b.consumer_visits);
    known(&mut a.consumer_cpu_s, b.consumer_cpu_s);
    known(&mut a.consumer_run_delay_s, b.consumer_run_delay_s);
    known(&mut a.queue_empty_s, b.queue_empty_s);
    for (a, b) in a.stations.iter_mut().zip(&b.stations) {
        visits(&mut a.item_visits, &b.item_visits);
        seconds(&mut a.wait_s, b.wait_s);
        known(&mut a.cpu_s, b.cpu_s);
        known(&mut a.run_delay_s, b.run_delay_s);
        a.items = a.items.zip(b.items).map(|(mut a, b)| {
            count(&mut a, b);
            a
        });
        for (a, b) in a.stages.iter_mut().zip(&b.stages) {
            seconds(&mut a.busy_s, b.busy_s);
            visits(&mut a.visits, &b.visits);
            seconds(&mut a.timed_cpu_s, b.timed_cpu_s);
            seconds(&mut a.timed_wall_s, b.timed_wall_s);
        }
    }
}
