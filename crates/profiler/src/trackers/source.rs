//! Where figures come from: files kept open and read in place, no more often than they are worth.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::thread_cpu;

/// A moment at which figures are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    /// Seconds since the session began.
    pub(super) at_s: f64,
    /// Seconds from tick to tick.
    pub(super) interval_s: f64,
    /// Whether everything is to be read, whatever it costs: the session begins or ends.
    pub(super) all: bool,
}

/// Least seconds between two readings: none.
pub(super) const EACH_TICK: f64 = 0.0;
/// Of what the whole machine does: a file less to read at most of the ticks, and each costs some
/// 10 microseconds when the processor has done other things since.
pub(super) const MACHINE_S: f64 = 0.5;
/// Of what changes slowly, or hardly matters.
pub(super) const SLOW_S: f64 = 1.0;
/// Of the cores' clocks: on a machine of many cores the text is long, and made core by core.
pub(super) const CLOCKS_S: f64 = 10.0;

/// A file of `/proc` or its like, whose text is made anew at each reading from its beginning.
#[derive(Debug)]
pub(super) struct ProcFile {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl ProcFile {
    /// Opens `path`.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file, buffer: vec![0; 1024] }),
            Err(error) => Err(named(&path.display(), &error)),
        }
    }

    /// What `parse` makes of the text now.
    pub(super) fn read<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> io::Result<T> {
        const LONGEST: usize = 1 << 20;
        let length = loop {
            match self.file.read_at(&mut self.buffer, 0) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(named(&self.path.display(), &error)),
                Ok(length) if length == self.buffer.len() && length < LONGEST => {
                    self.buffer.resize(4 * length, 0);
                }
                Ok(length) => break length,
            }
        };
        // Only a thread's name may be no UTF-8.
        let text: Cow<'_, str> = String::from_utf8_lossy(&self.buffer[..length]);
        parse(&text).ok_or_else(|| rubbish(&self.path.display()))
    }
}

pub(super) fn named(what: &impl fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{what}` cannot be read: {error}"))
}

pub(super) fn rubbish(what: &impl fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("`{what}` does not hold the figures it should"))
}

/// When something is to be read again: rarely if it is dear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    next_s: f64,
    least_s: f64,
    share: Duration,
}

impl Pace {
    /// At every tick if it takes up to `share` of CPU time, every second tick if it takes twice
    /// that, and so on; never more often than all `least_s` seconds.
    pub(super) fn new(share: Duration, least_s: f64) -> Self {
        Self { next_s: f64::NEG_INFINITY, least_s, share }
    }

    /// Runs `read` if it is time.
    pub(super) fn run<T>(&mut self, tick: Tick, read: impl FnOnce() -> T) -> Option<T> {
        // A tick that comes a little early is the tick.
        if !tick.all && tick.at_s + 0.5 * tick.interval_s < self.next_s {
            return None;
        }
        let (began, cpu_before) = (Instant::now(), thread_cpu());
        let result = read();
        let cpu = thread_cpu().saturating_sub(cpu_before);
        // A driver may wait where it does not compute.
        const WALL_SHARE: f64 = 0.05;
        let spacing_s = (tick.interval_s * cpu.as_secs_f64() / self.share.as_secs_f64())
            .max(began.elapsed().as_secs_f64() / WALL_SHARE);
        self.next_s = tick.at_s + spacing_s.max(self.least_s);
        Some(result)
    }
}

type Read<T> = Box<dyn FnMut() -> io::Result<T> + Send>;

/// A figure that may be missing without making its tracker useless.
pub(super) struct Figure<T> {
    /// `None` where there was none at the beginning.
    read: Option<Read<T>>,
    pace: Pace,
    latest: Option<T>,
    /// Since when and why there is none any more.
    lost: Option<String>,
}

impl<T: Copy + 'static> Figure<T> {
    /// What one figure may cost in CPU time before it is read at fewer ticks: a tenth of what is
    /// promised for a tick of all, 0.5% of a core at 0.1 s and 0.05% at 1 s.
    const SHARE: Duration = Duration::from_micros(50);

    /// A figure that `read` gives.
    pub(super) fn new(read: Option<Read<T>>, least_s: f64) -> Self {
        Self { read, pace: Pace::new(Self::SHARE, least_s), latest: None, lost: None }
    }

    /// A figure that `parse` finds in the file at `path`.
    pub(super) fn of(path: PathBuf, least_s: f64, parse: fn(&str) -> Option<T>) -> Self {
        let read = ProcFile::open(path)
            .ok()
            .map(|mut file| -> Read<T> { Box::new(move || file.read(parse)) });
        Self::new(read, least_s)
    }

    /// The figure, if it was read now.
    pub(super) fn fresh(&mut self, tick: Tick) -> Option<T> {
        let read = self.read.as_mut()?;
        match self.pace.run(tick, read)? {
            Ok(figure) => {
                (self.latest, self.lost) = (Some(figure), None);
                Some(figure)
            }
            Err(error) => {
                self.latest = None;
                self.lost.get_or_insert_with(|| format!("since {:.1} s: {error}", tick.at_s));
                None
            }
        }
    }

    /// The figure as it was read last, perhaps now.
    pub(super) fn held(&mut self, tick: Tick) -> Option<T> {
        self.fresh(tick).or(self.latest)
    }

    /// Since when and why there is none, where there was one.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }
}

impl<T> fmt::Debug for Figure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure").field("pace", &self.pace).field("lost", &self.lost).finish()
    }
}
