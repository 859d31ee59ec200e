//! The turns in which a loader is measured, one or many.

use std::time::{Duration, Instant};

use loader::Epoch;
use profiler::gpu::Gpus;
use profiler::monitor::{ProcessUsage, Window, process_cpu};
use profiler::pipeline::{PipelineSnapshot, PipelineSource};

use super::{Moment, Reference, Watch, gpu_bytes, rss_bytes};
use crate::TunerError;

/// Starts a reference.
pub(crate) type StartReference<'a> = dyn Fn() -> Result<Reference, TunerError> + 'a;

/// The reference, if there is one, and what it holds.
#[derive(Debug, Default)]
struct Beside {
    reference: Option<Reference>,
    rss_bytes: u64,
    gpu_bytes: u64,
    /// What it has used in its turns, and before.
    cpu: Duration,
}

/// Turns, one after another; what lies between them does not count. The reference has one before each;
/// without a reference the first never ends.
#[derive(Debug, Default)]
pub(super) struct Turns {
    beside: Beside,
    /// Without the reference.
    done: Vec<ProcessUsage>,
    done_s: f64,
    under_way: Option<(Instant, Watch)>,
}

/// What came of all of them: what the process used, less what the reference held then.
#[derive(Debug, PartialEq)]
pub(super) struct Used {
    /// How long they lasted.
    pub(super) wall_s: f64,
    pub(super) reference_samples_per_s: Option<f64>,
    pub(super) rss_mean_bytes: Option<u64>,
    pub(super) rss_peak_bytes: Option<u64>,
    pub(super) gpu_mean_bytes: Option<u64>,
    pub(super) cpu_percent: f64,
}

impl Turns {
    /// Has the reference started, if there is to be one, while the loader of `epoch` rests: what the process
    /// holds more then is the reference's.
    pub(super) fn start(
        start: Option<&StartReference<'_>>,
        gpus: Option<&Gpus>,
        epoch: &mut Epoch<'_>,
        on: &mut impl FnMut(Moment) -> Result<(), TunerError>,
    ) -> Result<Self, TunerError> {
        let Some(start) = start else { return Ok(Self::default()) };
        epoch.pause();
        on(Moment::Pause)?;
        let cpu = process_cpu();
        let held = || Ok::<_, TunerError>((rss_bytes()?, gpu_bytes(gpus).unwrap_or(0)));
        let (rss, gpu) = held()?;
        let reference = Some(start()?);
        let (rss_bytes, gpu_bytes) = held()?;
        let (rss_bytes, gpu_bytes) = (rss_bytes.saturating_sub(rss), gpu_bytes.saturating_sub(gpu));
        let cpu = process_cpu() - cpu;
        on(Moment::Resume(rss_bytes))?;
        Ok(Self { beside: Beside { reference, rss_bytes, gpu_bytes, cpu }, ..Self::default() })
    }

    /// Told before each batch of `epoch`: where none is under way, or the one that is has lasted long
    /// enough, gives the reference its turn and begins another.
    pub(super) fn proceed(
        &mut self,
        epoch: &mut Epoch<'_>,
        open: &mut impl FnMut() -> Result<Window, TunerError>,
        on: &mut impl FnMut(Moment) -> Result<(), TunerError>,
    ) -> Result<(), TunerError> {
        if self.reference_is_due() {
            epoch.pause();
            self.rest();
            on(Moment::Pause)?;
            let (cpu, rss) = (process_cpu(), rss_bytes()?);
            self.beside.reference.iter_mut().try_for_each(Reference::take_turn)?;
            self.beside.cpu += process_cpu() - cpu;
            // Its buffers grow until each of its workers has met the largest sample.
            let held = self.beside.rss_bytes + rss_bytes()?;
            self.beside.rss_bytes = held.saturating_sub(rss);
            on(Moment::Resume(self.beside.rss_bytes))?;
        }
        if self.under_way.is_none() {
            let watch = Watch::new(open()?);
            self.under_way = Some((Instant::now(), watch));
        }
        Ok(())
    }

    fn reference_is_due(&self) -> bool {
        let Some(reference) = &self.beside.reference else { return false };
        self.under_way.as_ref().is_none_or(|(began, _)| began.elapsed() >= reference.turn())
    }

    /// Ends the one under way, if one is.
    pub(super) fn rest(&mut self) {
        if let Some((began, watch)) = self.under_way.take() {
            let wall_s = began.elapsed().as_secs_f64();
            self.done_s += wall_s;
            self.done.push(self.beside.taken_off(ProcessUsage { wall_s, ..watch.finish() }));
        }
    }

    /// How long all have lasted, the one under way among them.
    pub(super) fn seconds(&self) -> f64 {
        let under_way = self.under_way.as_ref().map(|(began, _)| began.elapsed().as_secs_f64());
        self.done_s + under_way.unwrap_or(0.0)
    }

    /// A snapshot of the loader's pipeline at this time of the turns. It takes for the consumer's what CPU
    /// time of the process is not the workers': the reference's is taken off.
    pub(super) fn snapshot(&self, pipeline: &dyn PipelineSource) -> PipelineSnapshot {
        let snapshot = pipeline.snapshot();
        let beside_s = self.beside.cpu.as_secs_f64();
        let consumer_cpu_s = snapshot.consumer_cpu_s.map(|cpu_s| (cpu_s - beside_s).max(0.0));
        PipelineSnapshot { at_s: self.seconds(), consumer_cpu_s, ..snapshot }
    }

    /// Ends the last of them, as the others with the samples in hand, and sums up: means are weighted by
    /// time.
    pub(super) fn finish(mut self, epoch: &mut Epoch<'_>) -> Used {
        if self.beside.reference.is_some() {
            epoch.pause();
        }
        self.rest();
        let reference = self.beside.reference.as_ref();
        let reference_samples_per_s = reference.and_then(Reference::samples_per_s);
        Used { reference_samples_per_s, ..sum(&self.done) }
    }
}

impl Beside {
    /// What the process used in a turn of the other, less what the reference holds.
    fn taken_off(&self, used: ProcessUsage) -> ProcessUsage {
        let less = |bytes: Option<u64>, beside: u64| Some(bytes?.saturating_sub(beside));
        ProcessUsage {
            rss_mean_bytes: less(used.rss_mean_bytes, self.rss_bytes),
            rss_peak_bytes: less(used.rss_peak_bytes, self.rss_bytes),
            gpu_mean_bytes: less(used.gpu_mean_bytes, self.gpu_bytes),
            ..used
        }
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
        wall_s: turns.iter().map(|turn| turn.wall_s).sum(),
        reference_samples_per_s: None,
        rss_mean_bytes: bytes(|turn| turn.rss_mean_bytes),
        rss_peak_bytes: turns.iter().filter_map(|turn| turn.rss_peak_bytes).max(),
        gpu_mean_bytes: bytes(|turn| turn.gpu_mean_bytes),
        cpu_percent: mean(&|turn| Some(turn.cpu_percent)).unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Pipeline;

    impl PipelineSource for Pipeline {
        fn snapshot(&self) -> PipelineSnapshot {
            PipelineSnapshot { items: 7, consumer_cpu_s: Some(5.0), ..PipelineSnapshot::default() }
        }
    }

    #[test]
    fn cpu_time_of_the_reference_is_not_the_consumers() {
        let beside = Beside { cpu: Duration::from_secs(2), ..Beside::default() };
        let turns = Turns { beside, done_s: 1.5, ..Turns::default() };
        let snapshot = turns.snapshot(&Pipeline);
        assert_eq!(snapshot.consumer_cpu_s, Some(3.0));
        assert_eq!((snapshot.at_s, snapshot.items), (1.5, 7));
    }

    #[test]
    fn what_the_reference_holds_is_taken_off() {
        let beside = Beside { rss_bytes: 30, gpu_bytes: 4, ..Beside::default() };
        let used = ProcessUsage {
            wall_s: 1.0,
            rss_mean_bytes: Some(100),
            rss_peak_bytes: Some(20),
            gpu_mean_bytes: None,
            cpu_s: 2.0,
            cpu_percent: 50.0,
        };
        let (rss_mean_bytes, rss_peak_bytes) = (Some(70), Some(0));
        assert_eq!(beside.taken_off(used), ProcessUsage { rss_mean_bytes, rss_peak_bytes, ..used });
    }

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
            wall_s: 4.0,
            reference_samples_per_s: None,
            rss_mean_bytes: Some(175),
            rss_peak_bytes: Some(205),
            gpu_mean_bytes: Some(7),
            cpu_percent: 50.0,
        };
        assert_eq!(used, expected);
    }
}
