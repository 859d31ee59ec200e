//! Clocks that stood still or jumped, as the monitor's ticks show it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::rules::longest_gap_s;

/// Notices time in which the program cannot have run.
#[derive(Debug)]
pub(super) struct Clocks {
    longest_gap_s: f64,
    /// Time of the sample before, and how long the machine had slept by then.
    before: Option<(f64, f64)>,
}

impl Clocks {
    pub(super) fn new(interval: Duration) -> Self {
        Self { longest_gap_s: longest_gap_s(interval.as_secs_f64()), before: None }
    }

    /// A note, if there is something to note since the sample before.
    pub(super) fn look(&mut self, at_s: f64, asleep_s: f64) -> Option<String> {
        const SHORT_SLEEP_S: f64 = 1.0;
        let (before_s, asleep_before_s) = self.before.replace((at_s, asleep_s))?;
        let (gap_s, slept_s) = (at_s - before_s, asleep_s - asleep_before_s);
        if slept_s > SHORT_SLEEP_S {
            return Some(format!(
                "the machine was suspended for {slept_s:.1} s after {before_s:.1} s: the session's \
                 length leaves that out, an operation that was open then may not"
            ));
        }
        (gap_s > self.longest_gap_s).then(|| {
            format!(
                "no sample from {before_s:.1} s to {at_s:.1} s: the process was stopped or got no \
                 core; the rules leave that time out"
            )
        })
    }
}

/// For how long the machine has been suspended since it began, in seconds: the monotonic clock stands
/// still then, and the one of the machine's boot does not. Only differences mean something.
pub fn asleep_s() -> f64 {
    let seconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    seconds(ClockId::Boottime) - seconds(ClockId::Monotonic)
}
