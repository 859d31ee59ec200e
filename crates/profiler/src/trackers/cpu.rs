//! CPU: of this process and of the machine.

use std::path::Path;
use std::time::Duration;

use super::source::{CLOCKS_S, EACH_TICK, Figure, MACHINE_S, Tick};
use crate::process::process_cpu;
use crate::resources::CpuSample;

/// Of `/proc/self/stat`.
#[derive(Clone, Copy, Debug)]
struct Process {
    minor_faults: u64,
    kernel_ticks: u64,
    threads: usize,
}

/// Ticks of all cores since the machine began.
#[derive(Clone, Copy, Debug)]
struct Cores {
    busy: u64,
    all: u64,
}

#[derive(Debug)]
pub(super) struct Cpu {
    usable_cores: f64,
    before: Option<(f64, Duration)>,
    process: Figure<Process>,
    cores: Figure<Cores>,
    cores_before: Option<Cores>,
    system_percent: Option<f64>,
    mhz: Figure<f64>,
}

impl Cpu {
    pub(super) fn open(root: &Path, usable_cores: f64) -> Self {
        Self {
            usable_cores,
            before: None,
            process: Figure::of(root.join("proc/self/stat"), EACH_TICK, parse_process),
            cores: Figure::of(root.join("proc/stat"), MACHINE_S, parse_cores),
            cores_before: None,
            system_percent: None,
            mhz: Figure::of(root.join("proc/cpuinfo"), CLOCKS_S, parse_mhz),
        }
    }

    pub(super) fn read(&mut self, tick: Tick, run_delay_s: Option<f64>) -> CpuSample {
        let now = process_cpu();
        let before = self.before.replace((tick.at_s, now));
        let process_percent = before.filter(|(at_s, _)| tick.at_s > *at_s).map(|(at_s, before)| {
            let spent_s = now.saturating_sub(before).as_secs_f64();
            (100.0 * spent_s / ((tick.at_s - at_s) * self.usable_cores)).min(100.0)
        });
        self.follow_cores(tick);
        let process = self.process.fresh(tick);
        let tick_s = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        CpuSample {
            process_cpu_s: now.as_secs_f64(),
            kernel_cpu_s: process.map(|process| process.kernel_ticks as f64 * tick_s),
            process_percent,
            system_percent: self.system_percent,
            run_delay_s,
            minor_faults: process.map(|process| process.minor_faults),
            threads: process.map(|process| process.threads),
            mhz: self.mhz.held(tick),
        }
    }

    /// Brings `system_percent` up to date.
    fn follow_cores(&mut self, tick: Tick) {
        if let Some(now) = self.cores.fresh(tick) {
            let before = self.cores_before.replace(now);
            // The kernel's idle time may step back.
            let share = before.and_then(|before| {
                let all = now.all.checked_sub(before.all).filter(|&all| all > 0)?;
                let busy = now.busy.saturating_sub(before.busy);
                Some((busy as f64 / all as f64).min(1.0))
            });
            self.system_percent = share.map_or(self.system_percent, |share| Some(100.0 * share));
        } else if self.cores.lost().is_some() {
            (self.cores_before, self.system_percent) = (None, None);
        }
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = &str> {
        [self.process.lost(), self.cores.lost(), self.mhz.lost()].into_iter().flatten()
    }
}

/// The fields of a `stat` of a process or thread from the third on, and its name before them.
pub(super) fn stat_fields(text: &str) -> Option<(&str, impl Iterator<Item = &str> + Clone)> {
    // The name may itself hold brackets and spaces.
    let (front, fields) = text.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    Some((name, fields.split_ascii_whitespace()))
}

fn parse_process(text: &str) -> Option<Process> {
    let (_, fields) = stat_fields(text)?;
    // Fields are counted from 1 in proc(5), and the first here is the third.
    let number = |field: usize| fields.clone().nth(field - 3)?.parse::<u64>().ok();
    Some(Process {
        minor_faults: number(10)?,
        kernel_ticks: number(15)?,
        threads: number(20)?.try_into().ok()?,
    })
}

fn parse_cores(text: &str) -> Option<Cores> {
    let mut fields = text.strip_prefix("cpu ")?.lines().next()?.split_ascii_whitespace();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let mut ticks = [0u64; 8];
    for (place, tick) in ticks.iter_mut().enumerate() {
        *tick = match fields.next() {
            Some(field) => field.parse().ok()?,
            None if place > 4 => 0,
            None => return None,
        };
    }
    let all = ticks.iter().try_fold(0u64, |sum, &tick| sum.checked_add(tick))?;
    Some(Cores { busy: all - ticks[3] - ticks[4], all })
}

/// The mean over the cores; only x86 kernels tell it here.
fn parse_mhz(text: &str) -> Option<f64> {
    let of_core = |line: &str| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse().ok();
    let clocks = text.lines().filter_map(of_core).filter(|mhz: &f64| mhz.is_finite());
    let (sum, count) = clocks.fold((0.0, 0u32), |(sum, count), mhz| (sum + mhz, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
