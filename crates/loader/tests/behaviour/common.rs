//! Data sets to test with, batches as plain bytes, and a limit to every wait.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loader::{Batch, Dataset, Dtype, Field, LoaderError, SampleError, Slot};
use rand::RngExt;

/// Runs `work` on a thread of its own and fails if it takes longer than two minutes: a deadlock
/// must fail a test, not stop all of them.
pub(crate) fn within_two_minutes<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    if wait.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
        panic!("still not done after two minutes: a hang");
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Three fields of different types and sizes, drawn from the sample's generator. Loading takes
/// an irregular time that depends on the moment alone, so that threads interleave.
pub(crate) struct Noise {
    pub(crate) samples: usize,
}

impl Dataset for Noise {
    type Worker = ();

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("floats", [2, 3], Dtype::Float32),
            Field::new("bytes", [5], Dtype::Uint8),
            Field::new("label", [], Dtype::Int64),
        ]
    }

    fn load(&self, index: usize, _: &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        dawdle();
        slot.fields.get_mut::<f32>(0).fill_with(|| slot.rng.random());
        slot.rng.fill(slot.fields.get_mut::<u8>(1));
        dawdle();
        slot.fields.get_mut::<i64>(2)[0] = index as i64;
        Ok(())
    }
}

/// Sleeps now and then.
fn dawdle() {
    static MOMENT: AtomicU64 = AtomicU64::new(0);
    let moment = MOMENT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
    match moment {
        0..32 => std::thread::sleep(Duration::from_micros(moment * 8)),
        32..96 => std::thread::yield_now(),
        _ => {}
    }
}

/// One field, `index`; `load` runs before it is written.
pub(crate) struct Numbers<F> {
    pub(crate) samples: usize,
    pub(crate) load: F,
}

/// What a worker of [`Numbers`] keeps: how many samples it has begun.
#[derive(Default)]
pub(crate) struct Begun(pub(crate) usize);

impl<F> Dataset for Numbers<F>
where
    F: Fn(usize, &mut Begun) -> Result<(), SampleError> + Send + Sync + 'static,
{
    type Worker = Begun;

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("index", [], Dtype::Int64)]
    }

    fn load(&self, index: usize, begun: &mut Begun, slot: &mut Slot) -> Result<(), SampleError> {
        begun.0 += 1;
        (self.load)(index, begun)?;
        slot.fields.get_mut::<i64>(0)[0] = index as i64;
        Ok(())
    }

    fn origin(&self, index: usize) -> Option<String> {
        Some(format!("number {index}"))
    }
}

/// The numbers from 0, at once.
pub(crate) fn numbers(samples: usize) -> impl Dataset {
    Numbers { samples, load: |_, _: &mut Begun| Ok(()) }
}

/// All that a batch holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) indices: Vec<usize>,
    fields: Vec<(String, Vec<i64>, Vec<u8>)>,
}

impl Content {
    pub(crate) fn of(batch: &Batch) -> Self {
        let fields = batch.iter().map(|(name, tensor)| {
            assert_eq!(tensor.size()[0], batch.len() as i64);
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            (name.to_owned(), tensor.size(), bytes)
        });
        Self { indices: batch.indices().to_vec(), fields: fields.collect() }
    }
}

/// The content of batches that must all be good.
pub(crate) fn contents(
    batches: impl IntoIterator<Item = Result<Batch, LoaderError>>,
) -> Vec<Content> {
    batches.into_iter().map(|batch| Content::of(&batch.unwrap())).collect()
}

/// An error with all its causes, as a program prints it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}

/// What `work` gives, and what it warned of. Whatever may warn must run in here: `tracing`
/// remembers for the whole program that nobody listened to a place in the code.
pub(crate) fn warnings_of<T>(work: impl FnOnce() -> T) -> (T, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let result = tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    (result, text)
}

/// A path from the repository's root.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
