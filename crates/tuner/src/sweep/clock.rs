//! The sweep's own time, and runs in which the machine slept.
//!
//! All that is measured is measured by the monotonic clock. So a wall clock that is set forward or back
//! changes no figure and no budget, and the time for which a machine is suspended does not count. The
//! wall clock only says when a sweep was begun and finished.

use std::time::Instant;

use super::journal::TrialRecord;

/// Seconds for which a sweep has run, over all calls that went on with it: what lies between two calls
/// does not count.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    /// Of earlier calls.
    before_s: f64,
}

impl Clock {
    /// Goes on after the last of these runs.
    pub(super) fn after(records: &[TrialRecord]) -> Self {
        let ends = records.iter().filter_map(|run| Some(run.started_s? + run.duration_s?));
        Self { began: Instant::now(), before_s: ends.fold(0.0, f64::max) }
    }

    /// So long it ran in earlier calls, if no run tells of more.
    pub(super) fn at_least(&mut self, seconds: f64) {
        self.before_s = self.before_s.max(seconds);
    }

    /// Now.
    pub(super) fn now_s(&self) -> f64 {
        self.before_s + self.began.elapsed().as_secs_f64()
    }
}

/// What the two clocks that tell of sleep may differ by for another reason.
const AWAKE_S: f64 = 1.0;

/// The outcome of a `run` that succeeded without the machine being suspended meanwhile, or the failure of
/// the last: after sleep caches are cold and clocks slow, so what was measured is measured again.
/// `asleep_s` tells for how long the machine has slept so far, see [`profiler::monitor::asleep_s`];
/// `again` is told for how long it did in a run that does not count.
pub(crate) fn awake<T, E>(
    asleep_s: impl Fn() -> f64,
    mut again: impl FnMut(f64),
    mut run: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        let before_s = asleep_s();
        let outcome = run()?;
        let slept_s = asleep_s() - before_s;
        if slept_s <= AWAKE_S {
            return Ok(outcome);
        }
        again(slept_s);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::headline::tests::{DEFAULT, run};
    use super::super::journal::Phase;
    use super::*;

    fn at(started_s: Option<f64>, duration_s: f64) -> TrialRecord {
        let duration_s = Some(duration_s);
        TrialRecord { started_s, duration_s, ..run(Phase::Sweep, DEFAULT, 0, 100.0) }
    }

    #[test]
    fn the_sweeps_time_goes_on_where_it_stopped_and_never_back() {
        let records = [at(Some(1.0), 2.0), at(Some(7.5), 1.5), at(Some(3.0), 2.0), at(None, 1e9)];
        let clock = Clock::after(&records);
        let (first, second) = (clock.now_s(), clock.now_s());
        assert!((9.0..69.0).contains(&first) && second >= first, "{first} {second}");
        let mut clock = Clock::after(&[]);
        assert!((0.0..60.0).contains(&clock.now_s()));
        clock.at_least(100.0);
        clock.at_least(3.0);
        assert!((100.0..160.0).contains(&clock.now_s()));
    }

    /// The number of the run that counts, and how long the machine slept in those that do not, if each takes
    /// so long by the clock that goes on in sleep, beside the other.
    fn counted(slept_s: &[f64], fails: Option<usize>) -> (Result<usize, usize>, Vec<f64>) {
        let (asleep_s, runs) = (Cell::new(1000.0), Cell::new(0));
        let mut told = Vec::new();
        let outcome = awake(
            || asleep_s.get(),
            |slept_s| told.push(slept_s),
            || {
                let number = runs.replace(runs.get() + 1);
                asleep_s.set(asleep_s.get() + slept_s[number]);
                if fails == Some(number) { Err(number) } else { Ok(number) }
            },
        );
        (outcome, told)
    }

    #[test]
    fn a_run_in_which_the_machine_slept_is_run_again() {
        assert_eq!(counted(&[0.0], None), (Ok(0), vec![]));
        assert_eq!(counted(&[0.001], None), (Ok(0), vec![]));
        assert_eq!(counted(&[3600.0, 20.0, 0.0], None), (Ok(2), vec![3600.0, 20.0]));
        // One that fails, or is interrupted, is not.
        assert_eq!(counted(&[3600.0, 20.0], Some(1)), (Err(1), vec![3600.0]));
    }
}
