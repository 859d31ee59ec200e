//! I/O of this process, and how long tasks were stalled on it.

use std::io;
use std::path::Path;

use super::source::{Figure, MACHINE_S, ProcFile, Tick};
use crate::cgroup;
use crate::resources::IoSample;

#[derive(Debug)]
pub(super) struct Io {
    process: ProcFile,
    pressure: Figure<f64>,
}

impl Io {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut process = ProcFile::open(root.join("proc/self/io"))?;
        process.read(parse_io)?;
        let pressure = cgroup::io_pressure(root).unwrap_or_else(|| root.join("proc/pressure/io"));
        Ok(Self { process, pressure: Figure::of(pressure, MACHINE_S, parse_pressure) })
    }

    pub(super) fn read(&mut self, tick: Tick, blocked_s: Option<f64>) -> io::Result<IoSample> {
        let sample = self.process.read(parse_io)?;
        Ok(IoSample { blocked_s, pressure_s: self.pressure.fresh(tick), ..sample })
    }

    pub(super) fn lost(&self) -> impl Iterator<Item = &str> {
        self.pressure.lost().into_iter()
    }
}

/// What `/proc/<pid>/io` says.
pub(crate) fn parse_io(text: &str) -> Option<IoSample> {
    let figure = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))?;
        line.trim().parse().ok()
    };
    Some(IoSample {
        read_call_bytes: figure("rchar")?,
        write_call_bytes: figure("wchar")?,
        read_calls: figure("syscr")?,
        write_calls: figure("syscw")?,
        storage_read_bytes: figure("read_bytes")?,
        storage_write_bytes: figure("write_bytes")?,
        blocked_s: None,
        pressure_s: None,
    })
}

/// Seconds in which some task was stalled; the kernel tells microseconds.
fn parse_pressure(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let total = some.split(' ').find_map(|field| field.strip_prefix("total="))?;
    Some(total.trim().parse::<u64>().ok()? as f64 * 1e-6)
}
