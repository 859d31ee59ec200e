//! GPUs: what the driver tells, asked as rarely as its answers are slow.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::source::{Pace, Tick};
use crate::gpu::{GpuReading, Gpus};

/// CPU time that the driver may take at a tick before it is asked at fewer ticks.
const SHARE: Duration = Duration::from_micros(200);

#[derive(Debug)]
pub(super) struct GpuTracker {
    gpus: Arc<Gpus>,
    pace: Pace,
    latest: Vec<GpuReading>,
    /// PCIe traffic of each device, as it was measured last.
    pcie: Vec<[Option<u64>; 2]>,
    /// `None` where it is not asked for.
    pcie_pace: Option<Pace>,
    pcie_next: usize,
}

impl GpuTracker {
    /// `pcie`: whether to ask for PCIe traffic too, which takes the driver 40 ms for each device.
    pub(super) fn new(gpus: Arc<Gpus>, pcie: bool) -> Self {
        Self {
            pace: Pace::new(SHARE, 0.0),
            latest: Vec::new(),
            pcie: vec![[None; 2]; gpus.count()],
            pcie_pace: pcie.then(|| Pace::new(SHARE, 0.5)),
            pcie_next: 0,
            gpus,
        }
    }

    pub(super) fn gpus(&self) -> &Arc<Gpus> {
        &self.gpus
    }

    /// # Errors
    ///
    /// No device answers any more.
    pub(super) fn read(&mut self, tick: Tick) -> io::Result<Vec<GpuReading>> {
        let Self { gpus, pace, latest, pcie, pcie_pace, pcie_next } = self;
        // One device after the other: together they could take longer than a tick.
        let place = *pcie_next;
        if let Some(measured) = pcie_pace.as_mut().and_then(|pace| {
            // The session's end is no reason to wait for it.
            pace.run(Tick { all: false, ..tick }, || gpus.pcie(place))
        }) {
            pcie[place] = measured;
            *pcie_next = (place + 1) % gpus.count();
        }
        if let Some(read) =
            pace.run(tick, || (0..gpus.count()).map(|place| gpus.figures(place)).collect())
        {
            *latest = read;
        }
        if latest
            .iter()
            .all(|gpu| gpu.memory_used_bytes.is_none() && gpu.utilization_percent.is_none())
        {
            return Err(io::Error::other("no GPU answers any more"));
        }
        for (gpu, [rx, tx]) in latest.iter_mut().zip(pcie) {
            (gpu.pcie_rx_bytes_per_s, gpu.pcie_tx_bytes_per_s) = (*rx, *tx);
        }
        Ok(latest.clone())
    }
}
