//! What counters grew by between two readings: rates of I/O, and of pipelines.

use crate::pipeline::PipelineSnapshot;
use crate::resources::{IoSample, ResourceSample};

const MIB: f64 = 1_048_576.0;

/// Between one sample of the trackers and the next, in MB a second.
pub(crate) struct IoRates {
    /// By system calls, from cache or storage.
    pub(crate) read_mb: f64,
    pub(crate) written_mb: f64,
    pub(crate) storage_read_mb: f64,
}

/// At the end of each stretch between samples; `None` where an end of it has no figures.
pub(crate) fn io_rates(samples: &[ResourceSample]) -> Vec<(f64, Option<IoRates>)> {
    let rates = samples.windows(2).map(|pair| {
        let seconds = pair[1].at_s - pair[0].at_s;
        let both = pair[0].io.zip(pair[1].io).filter(|_| seconds > 0.0);
        let rates = both.map(|(before, now)| {
            let rate = |of: fn(&IoSample) -> u64| {
                of(&now).saturating_sub(of(&before)) as f64 / MIB / seconds
            };
            IoRates {
                read_mb: rate(|io| io.read_call_bytes),
                written_mb: rate(|io| io.write_call_bytes),
                storage_read_mb: rate(|io| io.storage_read_bytes),
            }
        });
        (pair[1].at_s, rates)
    });
    rates.collect()
}

/// Between one snapshot of a pipeline and the next.
pub(crate) struct Window {
    /// Its end.
    pub(crate) at_s: f64,
    pub(crate) items_per_s: f64,
    pub(crate) wait_share: f64,
    pub(crate) empty_share: Option<f64>,
}

/// At most so many, and so many batches in each, unless these are slow: in shorter ones it shows how
/// items come in batches, not how fast they come.
const WINDOWS: f64 = 60.0;
const BATCHES: u64 = 4;
/// From this part of the time on a window is long enough, whatever came in it.
const LONG: f64 = 0.1;

/// The snapshots at the ends of windows.
fn ends(snapshots: &[PipelineSnapshot]) -> Vec<&PipelineSnapshot> {
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else {
        return Vec::new();
    };
    let all_s = last.at_s - first.at_s;
    let mut ends = vec![first];
    let mut before = first;
    for now in snapshots {
        let (seconds, batches) =
            (now.at_s - before.at_s, now.batches.saturating_sub(before.batches));
        let long = seconds >= LONG * all_s;
        if seconds * WINDOWS >= all_s && (long || batches >= BATCHES || last.batches == 0) {
            ends.push(now);
            before = now;
        }
    }
    // What is left at the end is too short for a window of its own.
    if ends.len() > 1 {
        ends.pop();
    }
    ends.push(last);
    ends
}

pub(crate) fn windows(snapshots: &[PipelineSnapshot]) -> Vec<Window> {
    let ends = ends(snapshots);
    let windows = ends.windows(2).filter_map(|pair| {
        let (before, now) = (pair[0], pair[1]);
        let seconds = now.at_s - before.at_s;
        // From batch to batch, where it is told when they came.
        let of_batches_s = now.batch_at_s() - before.batch_at_s();
        let rate_s = if of_batches_s > 0.0 { of_batches_s } else { seconds };
        let share = |before: f64, now: f64| ((now - before) / seconds).clamp(0.0, 1.0);
        (seconds > 0.0).then(|| Window {
            at_s: now.at_s,
            items_per_s: now.items.saturating_sub(before.items) as f64 / rate_s,
            wait_share: share(before.input_s(), now.input_s()),
            empty_share: before.queue_empty_s.zip(now.queue_empty_s).map(|(a, b)| share(a, b)),
        })
    });
    windows
        .filter(|window| window.items_per_s.is_finite() && window.wait_share.is_finite())
        .collect()
}
