//! What an operation is timed with.
//!
//! The wall clock is the processor's counter where the kernel itself goes by it, which says that all
//! cores count alike: reading it takes a third of what asking the system's clock takes. `quanta`
//! finds how fast it counts, once for the process, in about a millisecond.

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::table::Moment;

/// A reading of the CPU clock takes a fifth of a microsecond. One that takes so long was interrupted:
/// the kernel looks whether a thread has used up its turn when it is asked for its CPU time.
const INTERRUPTED_NS: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) struct Clocks {
    wall: Wall,
    pub(super) with_cpu: bool,
}

#[derive(Clone, Debug)]
enum Wall {
    /// The counter's value some nanoseconds after the session began.
    Counter { clock: quanta::Clock, at: u64, at_ns: u64 },
    /// The monotonic clock's value when the session began.
    System { began_ns: u64 },
}

impl Clocks {
    pub(super) fn new(began: Instant, with_cpu: bool) -> Self {
        let since = |began: Instant| Duration::as_nanos(&began.elapsed()) as u64;
        let wall = if kernel_counts_by_processor() {
            let clock = quanta::Clock::new();
            let at_ns = since(began);
            Wall::Counter { at: clock.raw(), clock, at_ns }
        } else {
            Wall::System { began_ns: nanos(ClockId::Monotonic) - since(began) }
        };
        Self { wall, with_cpu }
    }

    /// Since the session began.
    fn wall_ns(&self) -> u64 {
        match &self.wall {
            Wall::Counter { clock, at, at_ns } => at_ns + clock.delta_as_nanos(*at, clock.raw()),
            Wall::System { began_ns } => nanos(ClockId::Monotonic) - began_ns,
        }
    }

    /// The wall clock last, so that the other one's reading is not in the call's time.
    pub(super) fn at_begin(&self) -> Moment {
        let cpu_ns = if self.with_cpu { nanos(ClockId::ThreadCPUTime) } else { 0 };
        Moment { cpu_ns, wall_ns: self.wall_ns() }
    }

    /// The wall clock first. But if the thread lost its core at the other one's reading, that is the
    /// call's doing, and its time.
    pub(super) fn at_end(&self) -> Moment {
        let wall_ns = self.wall_ns();
        if !self.with_cpu {
            return Moment { wall_ns, cpu_ns: 0 };
        }
        let cpu_ns = nanos(ClockId::ThreadCPUTime);
        let after_ns = self.wall_ns();
        let interrupted = after_ns.saturating_sub(wall_ns) > INTERRUPTED_NS;
        Moment { wall_ns: if interrupted { after_ns } else { wall_ns }, cpu_ns }
    }
}

/// Whether the kernel trusts the counters of all cores to agree and never to stop.
fn kernel_counts_by_processor() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(SOURCE).unwrap_or_default();
    ["tsc", "arch_sys_counter"].contains(&source.trim())
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_wall_clock_goes_as_the_system_s_does() {
        let began = Instant::now();
        let clocks = Clocks::new(began, true);
        let first = clocks.at_begin();
        thread::sleep(Duration::from_millis(50));
        let before_ns = began.elapsed().as_nanos() as u64;
        let last = clocks.at_end();
        let after_ns = began.elapsed().as_nanos() as u64;
        // A thousandth is far more than the counter is off.
        let slack_ns = after_ns / 1000 + 1000;
        assert!(last.wall_ns + slack_ns >= before_ns && last.wall_ns <= after_ns + slack_ns);
        assert!(last.wall_ns >= first.wall_ns + 50_000_000 && last.cpu_ns >= first.cpu_ns);
    }
}
