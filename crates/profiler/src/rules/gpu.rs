//! GPUs whose memory or whose link is full.

use super::episodes::{Band, Seen};
use super::memory::smaller_batches;
use super::{Rule, Worst, size};
use crate::bottleneck::BottleneckType;
use crate::gpu::GpuReading;
use crate::resources::ResourceSample;

/// Of the device where it is worst.
#[derive(Clone, Debug, Default)]
struct Worse {
    index: u32,
    name: String,
    used: f64,
    limit: f64,
    process: Option<f64>,
    /// Of PCIe traffic: to the device, or from it.
    to_device: bool,
}

/// The highest of `values` and the device it is of.
fn highest<'a>(
    gpus: &'a [GpuReading],
    values: impl Fn(&'a GpuReading) -> Option<(f64, bool)>,
) -> Option<(f64, bool, &'a GpuReading)> {
    let known = gpus.iter().filter_map(|gpu| values(gpu).map(|(value, flag)| (value, flag, gpu)));
    known.max_by(|a, b| a.0.total_cmp(&b.0))
}

/// A GPU's memory over its threshold.
#[derive(Debug)]
pub(super) struct HighGpuMemory {
    threshold: f64,
    worst: Worst<Worse>,
}

impl HighGpuMemory {
    pub(super) fn new(threshold: f64) -> Self {
        Self { threshold, worst: Worst::default() }
    }
}

impl Rule for HighGpuMemory {
    fn name(&self) -> &'static str {
        "high_gpu_memory_usage"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::GpuTransfer
    }

    fn band(&self) -> Band {
        Band::new(self.threshold, 1.0)
    }

    fn look(&mut self, sample: &ResourceSample, dt_s: f64) -> Option<Seen> {
        let (value, _, gpu) = highest(sample.gpus.as_deref()?, |gpu| {
            let total = gpu.memory_total_bytes.filter(|&total| total > 0)?;
            Some((gpu.memory_used_bytes? as f64 / total as f64, true))
        })?;
        let total = gpu.memory_total_bytes.unwrap_or_default() as f64;
        if value > self.worst.value {
            let process = gpu.process_bytes.map(|bytes| bytes as f64);
            let (index, name) = (gpu.index, gpu.name.clone());
            let used = value * total;
            self.worst
                .see(value, Worse { index, name, used, limit: total, process, to_device: true });
        }
        Some(Seen { span_s: dt_s, value })
    }

    fn costs_time(&self) -> bool {
        false
    }

    fn cause(&self) -> String {
        let Worse { index, name, used, limit, process, .. } = &self.worst.figures;
        let ours = process.map(|bytes| format!(", {} of it by this process", size(bytes)));
        format!(
            "at its highest {} of {} on GPU {index} ({name}) were held ({:.0}%){}",
            size(*used),
            size(*limit),
            100.0 * self.worst.value,
            ours.unwrap_or_default()
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let Worse { used, limit, process, .. } = &self.worst.figures;
        let over = used - self.threshold * limit;
        let others = process.map(|process| used - process).filter(|others| *others > 0.5 * used);
        let not_ours = others.map(|others| {
            format!("end other programs on the GPU: they hold {} of {}", size(others), size(*used))
        });
        let held = process.unwrap_or(*used);
        not_ours.into_iter().chain(smaller_batches("GPU memory", over, held)).collect()
    }
}

/// The link to a GPU is full.
#[derive(Debug, Default)]
pub(super) struct PcieSaturation {
    worst: Worst<Worse>,
}

impl PcieSaturation {
    /// Packets of 256 bytes and their headers leave some 85% of a link to the data.
    const SHARE: f64 = 0.7;
    const WORST_SHARE: f64 = 0.9;
}

impl Rule for PcieSaturation {
    fn name(&self) -> &'static str {
        "pcie_saturation"
    }

    fn kind(&self) -> BottleneckType {
        BottleneckType::GpuTransfer
    }

    fn band(&self) -> Band {
        Band::new(Self::SHARE, Self::WORST_SHARE)
    }

    fn look(&mut self, sample: &ResourceSample, dt_s: f64) -> Option<Seen> {
        let (value, to_device, gpu) = highest(sample.gpus.as_deref()?, |gpu| {
            let limit = gpu.pcie_limit_bytes_per_s.filter(|&limit| limit > 0)? as f64;
            let share = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / limit);
            let (rx, tx) = (share(gpu.pcie_rx_bytes_per_s), share(gpu.pcie_tx_bytes_per_s));
            Some((rx.into_iter().chain(tx).max_by(f64::total_cmp)?, rx >= tx))
        })?;
        let limit = gpu.pcie_limit_bytes_per_s.unwrap_or_default() as f64;
        if value > self.worst.value {
            let (index, name) = (gpu.index, gpu.name.clone());
            let used = value * limit;
            self.worst.see(value, Worse { index, name, used, limit, process: None, to_device });
        }
        Some(Seen { span_s: dt_s, value })
    }

    fn cause(&self) -> String {
        let Worse { index, name, used, limit, to_device, .. } = &self.worst.figures;
        format!(
            "the PCIe link of GPU {index} ({name}) carried {} a second {} the device, {:.0}% of the \
             {} that it can",
            size(*used),
            if *to_device { "to" } else { "from" },
            100.0 * self.worst.value,
            size(*limit)
        )
    }

    fn suggestions(&self) -> Vec<String> {
        let Worse { used, to_device, .. } = &self.worst.figures;
        if *to_device {
            vec![
                format!(
                    "send uint8 and convert on the GPU: a quarter of the bytes of float32, {} a \
                     second",
                    size(0.25 * used)
                ),
                format!(
                    "send bfloat16: half of the bytes of float32, {} a second",
                    size(0.5 * used)
                ),
                "keep on the GPU what every step needs, and decode or augment there".to_owned(),
            ]
        } else {
            vec![format!(
                "fetch less from the GPU: reduce there, and fetch results now and then; {} a second \
                 come back",
                size(*used)
            )]
        }
    }
}
