//! Cores that are all busy, and threads that wait for one.

use super::episodes::{Band, Seen};
use super::{Rates, Rule, Worst};
use crate::bottleneck::BottleneckType;
use crate::resources::ResourceSample;

/// The process keeps its cores busy.
#[derive(Debug)]
pub(super) struct Saturation {
    usable_cores: f64,
    rates: Rates<1>,
    worst: Worst<Load>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    cores: f64,
    threads: Option<usize>,
    system_percent: Option<f64>,
}

impl Saturation {
    const SHARE: f64 = 0.9;

    pub(super) fn new(usable_cores: f64) -> Self {
        Self { usable_cores, rates: Rates::default(), worst: Worst::default() }
    }
}

impl Rule for Saturation {
    fn name(&self) -> &'static str {
        "cpu_saturation"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::CpuComputation
    }

    fn band(&self) -> Band {
        Band::new(Self::SHARE, 1.0)
    }

    fn look(&mut self, sample: &ResourceSample, _: f64) -> Option<Seen> {
        let cpu = sample.cpu.as_ref()?;
        let (span_s, [cores]) = self.rates.over(sample.at_s, Some([cpu.process_cpu_s]))?;
        let value = cores / self.usable_cores;
        let (threads, system_percent) = (cpu.threads, cpu.system_percent);
        self.worst.see(value, Load { cores, threads, system_percent });
        Some(Seen { span_s, value })
    }

    fn skip(&mut self) {
        self.rates.skip();
    }

    fn cause(&self) -> String {
        let Load { cores, threads, system_percent } = self.worst.figures;
        let threads = threads.map(|threads| format!(" with {threads} threads"));
        let system = system_percent.map(|percent| format!(", the machine was {percent:.0}% busy"));
        format!(
            "the process kept {cores:.1} of its {:.1} cores busy{}{}",
            self.usable_cores,
            threads.unwrap_or_default(),
            system.unwrap_or_default()
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let usable = self.usable_cores;
        let less = self.worst.figures.cores - 0.8 * usable;
        vec![
            format!(
                "make the work of an item cheaper (decode only what is used, keep results): {less:.1} \
                 of {usable:.1} cores less leaves a fifth of them free"
            ),
            format!(
                "use more cores, {:.0} for the same load at 80%; more threads on these {usable:.1} \
                 bring nothing",
                (self.worst.figures.cores / 0.8).ceil()
            ),
            "move work to a GPU if there is one: transforms on batches, for a start".to_owned(),
        ]
    }
}

/// Threads want to run and get no core.
#[derive(Debug)]
pub(super) struct RunQueueDelay {
    usable_cores: f64,
    rates: Rates<2>,
    worst: Worst<Queue>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    /// Cores that the process got.
    running: f64,
    /// Threads that waited, on the average.
    waiting: f64,
}

impl RunQueueDelay {
    /// With twice as many busy threads as cores it is 0.5.
    const SHARE: f64 = 0.2;
    /// Four times as many.
    const WORST_SHARE: f64 = 0.75;
    /// Fewer threads waiting than this on the average cost nothing to speak of.
    const LEAST_WAITING: f64 = 0.25;

    pub(super) fn new(usable_cores: f64) -> Self {
        Self { usable_cores, rates: Rates::default(), worst: Worst::default() }
    }

    /// Whether other programs hold the cores: this one gets much less than it may use.
    fn crowded_out(&self) -> bool {
        self.worst.figures.running < 0.8 * self.usable_cores
    }
}

impl Rule for RunQueueDelay {
    fn name(&self) -> &'static str {
        "run_queue_delay"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::Synchronization
    }

    fn band(&self) -> Band {
        Band::new(Self::SHARE, Self::WORST_SHARE)
    }

    fn look(&mut self, sample: &ResourceSample, _: f64) -> Option<Seen> {
        let cpu = sample.cpu.as_ref()?;
        let counters = cpu.run_delay_s.map(|delay| [cpu.process_cpu_s, delay]);
        let (span_s, [running, waiting]) = self.rates.over(sample.at_s, counters)?;
        let share = waiting / (running + waiting).max(1e-9);
        let value = if waiting < Self::LEAST_WAITING { 0.0 } else { share };
        self.worst.see(value, Queue { running, waiting });
        Some(Seen { span_s, value })
    }

    fn skip(&mut self) {
        self.rates.skip();
    }

    fn cause(&self) -> String {
        let Queue { running, waiting } = self.worst.figures;
        format!(
            "{:.1} threads wanted to run on the average and {running:.1} had a core, of {:.1} that \
             the process may use: {:.0}% of their time went on waiting for one",
            running + waiting,
            self.usable_cores,
            100.0 * self.worst.value
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let Queue { running, waiting } = self.worst.figures;
        let crowded_out = self.crowded_out();
        let enough = if crowded_out { running } else { self.usable_cores }.round().max(1.0);
        let wanted = (running + waiting).ceil();
        let fewer = (wanted > enough).then(|| {
            format!(
                "use fewer threads: {enough:.0} busy would do, and {wanted:.0} want to run; lower \
                 num_workers, or the threads of libraries (OMP_NUM_THREADS, RAYON_NUM_THREADS)"
            )
        });
        let room = crowded_out.then(|| {
            format!(
                "make room: other programs hold {:.1} of the {:.1} cores that the process may use",
                self.usable_cores - running,
                self.usable_cores
            )
        });
        room.into_iter().chain(fewer).collect()
    }
}
