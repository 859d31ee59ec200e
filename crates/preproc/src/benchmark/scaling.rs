//! One thread against all cores.

use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::clock::Clock;
use super::measure::Calls;
use super::{Failure, Sample};
use crate::Transform;
use crate::transform::Scratch;

/// What more threads give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scaling {
    /// Threads of the second figure.
    pub threads: usize,
    /// Samples a second with one thread.
    pub one_samples_per_s: f64,
    /// Samples a second with all threads together.
    pub all_samples_per_s: f64,
}

impl Scaling {
    /// How many times as fast all threads are.
    pub fn speedup(&self) -> f64 {
        self.all_samples_per_s / self.one_samples_per_s
    }
}

/// Samples of which each thread has copies: a tensor belongs to one thread.
const SAMPLES: usize = 16;
/// How long each thread works, in seconds.
const WORK_S: f64 = 0.15;

/// Samples a second of `threads` threads, each with its own samples and scratch, as a loader's
/// workers: the sum of what each reaches while the others work beside it.
///
/// # Errors
/// The first failure.
pub(super) fn rate<S: Sample>(
    transform: &dyn Transform<S>,
    samples: &[S],
    threads: usize,
    clock: Clock,
    seed: u64,
) -> Result<f64, Failure> {
    let copies = |thread: usize| -> Result<Vec<S>, Failure> {
        let skip = thread * SAMPLES % samples.len();
        let some = samples.iter().cycle().skip(skip).take(SAMPLES.min(samples.len()));
        Ok(some.map(Sample::fresh).collect::<Result<_, _>>()?)
    };
    let work = |samples: Vec<S>| -> Result<f64, Failure> {
        let mut calls = Calls { transform, clock, seed, scratch: Scratch::default() };
        let (began, mut number, mut took_s) = (Instant::now(), 0, 0.0);
        while number < 2 || began.elapsed().as_secs_f64() < WORK_S {
            let index = number % samples.len();
            took_s += calls.call(&samples[index], index, number as u64)?.took_s;
            number += 1;
        }
        Ok(number as f64 / took_s)
    };
    let copies = (0..threads).map(copies).collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        let work = &work;
        let start = |(number, samples)| {
            let named = thread::Builder::new().name(format!("preproc-{number}"));
            named.spawn_scoped(scope, move || work(samples)).map_err(Failure::Thread)
        };
        let handles = copies.into_iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
        handles.into_iter().try_fold(0.0, |sum, handle| match handle.join() {
            Ok(rate) => Ok(sum + rate?),
            Err(panic) => {
                let message = profiler::thread::panic_message(&*panic).to_owned();
                Err(Failure::Panicked { message })
            }
        })
    })
}

/// libtorch's own number of threads, set back when dropped.
pub(super) struct LibtorchThreads(i32);

impl LibtorchThreads {
    /// Has libtorch compute on `threads` threads, in the whole process.
    pub(super) fn set(threads: i32) -> Self {
        let before = Self(tch::get_num_threads());
        tch::set_num_threads(threads);
        before
    }
}

impl Drop for LibtorchThreads {
    fn drop(&mut self) {
        tch::set_num_threads(self.0);
    }
}
