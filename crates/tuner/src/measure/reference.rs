//! What a loader is measured beside: the same data with a setting that is the same in all runs.
//!
//! A machine that others use too changes its speed by several percent from one second to the next,
//! and so do the rates of short runs. Where a second loader runs in turn with the one that is
//! measured, a twentieth of a second each, both meet the same machine, and the ratio of their rates
//! changes by a fraction of that: what is left is that they meet other samples.

use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use loader::{Loader, LoaderError};

use super::warmup_batches;
use crate::TunerError;
use crate::consumer::Consumer;

/// A turn is so long at least that each worker can load so many samples in it, but no longer than the whole
/// measurement: at its end workers wait for the last of them, which costs many workers more than few.
const SAMPLES_OF_A_TURN: f64 = 32.0;

/// A loader that rests but for its turns. It has a thread of its own, since an epoch that is paused
/// borrows its loader.
#[derive(Debug)]
pub(crate) struct Reference {
    turn: Duration,
    /// Of all turns.
    done: Turn,
    orders: Option<Sender<Order>>,
    turns: Receiver<Result<Turn, TunerError>>,
    thread: Option<JoinHandle<()>>,
}

/// How long a turn takes at least.
#[derive(Clone, Copy, Debug)]
struct Order {
    time: Duration,
    batches: usize,
}

/// What came in a turn.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    /// That were loaded: a turn is too short to be told by its batches.
    samples: u64,
    seconds: f64,
    /// Thread-seconds that loading took.
    busy_s: f64,
}

impl Reference {
    /// Starts it, and has it warm up for `warmup_s`; its turns are to take `turn_s`, or longer where
    /// samples are slow, in a measurement of `measure_s`.
    ///
    /// # Errors
    /// If there is no thread for it, or a sample cannot be loaded.
    pub(crate) fn start(
        loader: Loader,
        consumer: &Consumer,
        warmup_s: f64,
        [turn_s, measure_s]: [f64; 2],
    ) -> Result<Self, TunerError> {
        let settings = loader.settings().clone();
        let (orders, ordered) = bounded(1);
        let (tell, turns) = bounded(1);
        let consumer = consumer.clone();
        let thread = Builder::new()
            .name("reference".to_owned())
            .spawn(move || {
                if let Err(error) = run(loader, &consumer, &ordered, &tell) {
                    // Nobody may be left to hear of it.
                    let _ = tell.send(Err(error));
                }
            })
            .map_err(|source| LoaderError::Spawn { kind: "reference", number: 0, source })?;
        let mut this = Self {
            turn: Duration::from_secs_f64(turn_s),
            done: Turn::default(),
            orders: Some(orders),
            turns,
            thread: Some(thread),
        };
        let Turn { samples, busy_s, .. } = this.order(Order {
            time: Duration::from_secs_f64(warmup_s),
            batches: warmup_batches(&settings),
        })?;
        let samples_s = SAMPLES_OF_A_TURN * busy_s / samples.max(1) as f64;
        let turn_s = turn_s.max(samples_s.min(measure_s));
        this.turn = Duration::from_secs_f64(turn_s);
        Ok(this)
    }

    /// How long a turn is, at least.
    pub(crate) fn turn(&self) -> Duration {
        self.turn
    }

    /// Loads for a turn.
    ///
    /// # Errors
    /// If a sample cannot be loaded.
    pub(crate) fn take_turn(&mut self) -> Result<(), TunerError> {
        let Turn { samples, seconds, .. } = self.order(Order { time: self.turn, batches: 1 })?;
        self.done.samples += samples;
        self.done.seconds += seconds;
        Ok(())
    }

    /// Samples a second over all turns; `None` before the first.
    pub(crate) fn samples_per_s(&self) -> Option<f64> {
        let Turn { samples, seconds, .. } = self.done;
        (seconds > 0.0).then(|| samples as f64 / seconds)
    }

    fn order(&self, order: Order) -> Result<Turn, TunerError> {
        let ended = || TunerError::Bug("the reference has ended".to_owned());
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        orders.send(order).map_err(|_| ended())?;
        self.turns.recv().map_err(|_| ended())?
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has no result, and a panic in it has been reported where it happened.
            let _ = thread.join();
        }
    }
}

/// Loads batches as long as it is ordered to, and tells what came.
fn run(
    mut loader: Loader,
    consumer: &Consumer,
    orders: &Receiver<Order>,
    tell: &Sender<Result<Turn, TunerError>>,
) -> Result<(), TunerError> {
    let mut step = consumer.start(0)?;
    let Ok(mut order) = orders.recv() else { return Ok(()) };
    let (mut began, mut batches, mut before) = (Instant::now(), 0, loader.stats());
    for epoch in 0.. {
        let mut epoch = loader.epoch(epoch);
        while let Some(batch) = epoch.next() {
            let batch = batch?;
            batches += 1;
            step.take(batch)?;
            if began.elapsed() < order.time || batches < order.batches {
                continue;
            }
            epoch.pause();
            let all = epoch.stats();
            let done = all.since(&before);
            let turn = Turn {
                samples: done.loaded,
                seconds: began.elapsed().as_secs_f64(),
                busy_s: done.stages.busy_s(),
            };
            let told = tell.send(Ok(turn)).is_ok();
            match orders.recv() {
                Ok(next) if told => order = next,
                _ => return Ok(()),
            }
            (began, batches, before) = (Instant::now(), 0, all);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use loader::{Dataset, Dtype, Field, SampleError, Slot, Synthetic};

    use super::*;

    fn data() -> Synthetic {
        Synthetic::new([Field::new("x", [4], Dtype::Float32)], 100)
            .io_delay(Duration::from_millis(1))
    }

    /// With turns of a millisecond, if samples are fast enough.
    fn start(
        loader: Loader,
        consumer: &Consumer,
        warmup_s: f64,
        measure_s: f64,
    ) -> Result<Reference, TunerError> {
        Reference::start(loader, consumer, warmup_s, [0.001, measure_s])
    }

    fn loader() -> Loader {
        Loader::builder(data()).batch_size(10).num_workers(2).build().unwrap()
    }

    #[test]
    fn a_turn_is_as_long_as_samples_take_but_no_longer_than_the_measurement() {
        // A batch takes 10 ms to load with two workers, and the consumer ten times that.
        let reference = start(loader(), &Consumer::StepMs(100.0), 0.0, 10.0).unwrap();
        assert!(reference.turn() >= Duration::from_millis(30), "{:?}", reference.turn());
        assert!(reference.turn() < Duration::from_millis(300), "{:?}", reference.turn());
        let reference = start(loader(), &Consumer::None, 0.0, 0.02).unwrap();
        assert_eq!(reference.turn(), Duration::from_millis(20));
    }

    #[test]
    fn it_counts_its_turns_and_not_its_warm_up() {
        let loader = loader();
        let mut reference = start(loader, &Consumer::None, 0.05, 1.0).unwrap();
        // Of 32 samples, each of a millisecond or more.
        assert!(reference.turn() >= Duration::from_millis(30), "{:?}", reference.turn());
        assert_eq!(reference.samples_per_s(), None);
        for _ in 0..3 {
            reference.take_turn().unwrap();
        }
        let rate = reference.samples_per_s().unwrap();
        assert!((20.0..=2100.0).contains(&rate), "{rate}");
    }

    /// Its last sample cannot be loaded.
    struct Broken;

    impl Dataset for Broken {
        type Worker = ();

        fn len(&self) -> usize {
            40
        }

        fn fields(&self) -> Vec<Field> {
            data().fields()
        }

        fn load(&self, index: usize, (): &mut (), _: &mut Slot<'_>) -> Result<(), SampleError> {
            std::thread::sleep(Duration::from_millis(1));
            if index == 39 { Err("it is damaged".into()) } else { Ok(()) }
        }
    }

    #[test]
    fn what_goes_wrong_in_it_is_told() {
        let loader = Loader::builder(Broken).batch_size(4).num_workers(1).build().unwrap();
        let mut reference = start(loader, &Consumer::None, 0.0, 1.0).unwrap();
        let error = (0..40).find_map(|_| reference.take_turn().err()).unwrap();
        assert!(error.to_string().contains("39"), "{error}");
        assert!(reference.take_turn().is_err());
    }
}
