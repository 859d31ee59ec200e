//! The turns in which a loader is measured, one or many.

use std::time::{Duration, Instant};

use profiler::monitor::{ProcessUsage, Window};

use crate::TunerError;

/// Turns, one after another; what lies between them does not count.
#[derive(Debug, Default)]
pub(super) struct Turns {
    done: Vec<ProcessUsage>,
    done_s: f64,
    under_way: Option<(Instant, Window)>,
}

/// What the process used in all of them.
#[derive(Debug, PartialEq)]
pub(super) struct Used {
    pub(super) rss_mean_bytes: Option<u64>,
    pub(super) rss_peak_bytes: Option<u64>,
    pub(super) gpu_mean_bytes: Option<u64>,
    pub(super) cpu_percent: f64,
}

impl Turns {
    /// Begins one, unless one is under way.
    pub(super) fn begin(
        &mut self,
        open: impl FnOnce() -> Result<Window, TunerError>,
    ) -> Result<(), TunerError> {
        if self.under_way.is_none() {
            let window = open()?;
            self.under_way = Some((Instant::now(), window));
        }
        Ok(())
    }

    /// Whether none is under way, or one that has lasted so long.
    pub(super) fn is_over(&self, turn: Duration) -> bool {
        self.under_way.as_ref().is_none_or(|(began, _)| began.elapsed() >= turn)
    }

    /// Ends the one under way, if there is one.
    pub(super) fn end(&mut self) {
        if let Some((began, window)) = self.under_way.take() {
            self.done_s += began.elapsed().as_secs_f64();
            self.done.push(window.finish());
        }
    }

    /// How long all have lasted, the one under way among them.
    pub(super) fn seconds(&self) -> f64 {
        let under_way = self.under_way.as_ref().map(|(began, _)| began.elapsed().as_secs_f64());
        self.done_s + under_way.unwrap_or(0.0)
    }

    /// Ends the last, and sums up: means are weighted by time.
    pub(super) fn finish(mut self) -> Used {
        self.end();
        sum(&self.done)
    }
}

fn sum(turns: &[ProcessUsage]) -> Used {
    let mean = |figure: &dyn Fn(&ProcessUsage) -> Option<f64>| {
        let known = || turns.iter().filter_map(|turn| Some((figure(turn)?, turn.wall_s)));
        let seconds: f64 = known().map(|(_, seconds)| seconds).sum();
        (seconds > 0.0)
            .then(|| known().map(|(value, seconds)| value * seconds).sum::<f64>() / seconds)
    };
    let bytes = |figure: fn(&ProcessUsage) -> Option<u64>| {
        mean(&|turn| figure(turn).map(|bytes| bytes as f64)).map(|bytes| bytes.round() as u64)
    };
    Used {
        rss_mean_bytes: bytes(|turn| turn.rss_mean_bytes),
        rss_peak_bytes: turns.iter().filter_map(|turn| turn.rss_peak_bytes).max(),
        gpu_mean_bytes: bytes(|turn| turn.gpu_mean_bytes),
        cpu_percent: mean(&|turn| Some(turn.cpu_percent)).unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_used_is_weighted_by_their_time() {
        let turn = |wall_s, bytes, gpu_mean_bytes, cpu_percent| ProcessUsage {
            wall_s,
            rss_mean_bytes: Some(bytes),
            rss_peak_bytes: Some(bytes + 5),
            gpu_mean_bytes,
            cpu_s: 0.0,
            cpu_percent,
        };
        let used = sum(&[turn(1.0, 100, None, 80.0), turn(3.0, 200, Some(7), 40.0)]);
        let expected = Used {
            rss_mean_bytes: Some(175),
            rss_peak_bytes: Some(205),
            gpu_mean_bytes: Some(7),
            cpu_percent: 50.0,
        };
        assert_eq!(used, expected);
    }
}
