//! Made-up samples of a given shape and cost.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use half::{bf16, f16};
use profiler::stage::Stage;
use rustix::time::{ClockId, clock_gettime};

use crate::{Bool8, Dataset, Dtype, Field, SampleError, Slot};

/// Samples that come from nowhere and cost what they are told to: for tests, and for questions
/// such as how many workers a data set of that cost would need.
///
/// Element `j` of a field of sample `i` is `(i + j) % 256`, in floating-point fields divided by
/// 256, in int8 fields wrapped to -128 to 127, in bool fields whether it is odd.
///
/// ```
/// use std::time::Duration;
/// use loader::{Dtype, Field, Loader, Synthetic};
///
/// let fields = [Field::new("images", [3, 8, 8], Dtype::Float32), Field::new("labels", [], Dtype::Int64)];
/// let data = Synthetic::new(fields, 1000)
///     .cpu(Duration::from_micros(50))
///     .io_delay(Duration::from_micros(200));
/// let mut loader = Loader::builder(data).batch_size(100).num_workers(4).build()?;
/// assert_eq!(loader.epoch(0).flatten().count(), 10);
/// # Ok::<(), loader::LoaderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Synthetic {
    fields: Vec<Field>,
    samples: usize,
    cpu: Duration,
    io_delay: Duration,
}

impl Synthetic {
    /// So many `samples` with these `fields`, at no cost but that of writing them.
    pub fn new(fields: impl Into<Vec<Field>>, samples: usize) -> Self {
        Self { fields: fields.into(), samples, cpu: Duration::ZERO, io_delay: Duration::ZERO }
    }

    /// Each sample takes this much time of a processor, by the thread's own clock: threads that
    /// share a core take longer. Counted as [`Stage::Transform`].
    pub fn cpu(mut self, cpu: Duration) -> Self {
        self.cpu = cpu;
        self
    }

    /// Each sample waits so long first, taking no processor. Counted as [`Stage::Read`].
    pub fn io_delay(mut self, io_delay: Duration) -> Self {
        self.io_delay = io_delay;
        self
    }
}

impl Dataset for Synthetic {
    type Worker = ();

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        if !self.io_delay.is_zero() {
            slot.clock.enter(Stage::Read);
            thread::sleep(self.io_delay);
        }
        if !self.cpu.is_zero() {
            slot.clock.enter(Stage::Transform);
            compute_for(self.cpu);
        }
        slot.clock.enter(Stage::Write);
        for (number, field) in self.fields.iter().enumerate() {
            let bytes = (0..).map(|j| index.wrapping_add(j) as u8);
            let fields = &mut slot.fields;
            match field.dtype {
                Dtype::Bool => write(fields.get_mut(number), bytes, |b| Bool8::from(b % 2 == 1)),
                Dtype::Uint8 => write(fields.get_mut(number), bytes, |b| b),
                Dtype::Int8 => write(fields.get_mut(number), bytes, u8::cast_signed),
                Dtype::Int16 => write(fields.get_mut(number), bytes, i16::from),
                Dtype::Int32 => write(fields.get_mut(number), bytes, i32::from),
                Dtype::Int64 => write(fields.get_mut(number), bytes, i64::from),
                Dtype::Float16 => write(fields.get_mut(number), bytes, |b| f16::from_f32(unit(b))),
                Dtype::BFloat16 => {
                    write(fields.get_mut(number), bytes, |b| bf16::from_f32(unit(b)))
                }
                Dtype::Float32 => write(fields.get_mut(number), bytes, unit),
                Dtype::Float64 => write(fields.get_mut(number), bytes, |b| f64::from(unit(b))),
            }
        }
        Ok(())
    }
}

fn write<T>(elements: &mut [T], bytes: impl Iterator<Item = u8>, of: impl Fn(u8) -> T) {
    for (element, byte) in elements.iter_mut().zip(bytes) {
        *element = of(byte);
    }
}

/// From 0 up to, but not including, 1.
fn unit(byte: u8) -> f32 {
    f32::from(byte) * (1.0 / 256.0)
}

/// Computes until this thread has taken so much processor time.
pub fn compute_for(time: Duration) {
    let start = thread_time();
    let mut number = 1_u64;
    while thread_time() - start < time {
        // About a microsecond: asking for the time costs a tenth of it or more.
        for _ in 0..500 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17));
        }
    }
}

/// Processor time that this thread has taken.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
