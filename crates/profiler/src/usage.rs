//! Memory and GPUs over a session, summed up tick by tick: exact however long it was.

use crate::resources::ResourceSample;
use crate::session::{GpuDeviceProfile, GpuProfile, MemoryProfile};
use crate::time_mean::TimeMean;

/// What the samples so far add up to.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    memory: Option<(MemoryProfile, TimeMean)>,
    gpus: Vec<Device>,
}

#[derive(Debug, Default)]
struct Device {
    profile: GpuDeviceProfile,
    utilization: TimeMean,
    received: TimeMean,
    sent: TimeMean,
}

impl Usage {
    pub(crate) fn add(&mut self, sample: &ResourceSample) {
        if let Some(memory) = &sample.memory {
            let bytes = memory.resident_bytes;
            let new = || {
                (MemoryProfile { start_bytes: bytes, ..Default::default() }, TimeMean::default())
            };
            let (profile, mean) = self.memory.get_or_insert_with(new);
            mean.add(sample.at_s, Some(bytes as f64));
            profile.end_bytes = bytes;
            profile.peak_bytes = profile.peak_bytes.max(bytes);
            profile.limit_bytes = memory.limit_bytes.or(memory.system_total_bytes);
        }
        for gpu in sample.gpus.iter().flatten() {
            let known = self.gpus.iter().position(|device| device.profile.index == gpu.index);
            let place = known.unwrap_or_else(|| {
                self.gpus.push(Device::default());
                self.gpus.len() - 1
            });
            let Device { profile, utilization, received, sent } = &mut self.gpus[place];
            profile.index = gpu.index;
            profile.name.clone_from(&gpu.name);
            profile.memory_peak_bytes = profile.memory_peak_bytes.max(gpu.memory_used_bytes);
            profile.memory_total_bytes = profile.memory_total_bytes.max(gpu.memory_total_bytes);
            profile.process_peak_bytes = profile.process_peak_bytes.max(gpu.process_bytes);
            utilization.add(sample.at_s, gpu.utilization_percent.map(f64::from));
            received.add(sample.at_s, gpu.pcie_rx_bytes_per_s.map(|bytes| bytes as f64));
            sent.add(sample.at_s, gpu.pcie_tx_bytes_per_s.map(|bytes| bytes as f64));
        }
    }

    /// `None` where memory was not tracked.
    pub(crate) fn memory(&self) -> Option<MemoryProfile> {
        let (profile, mean) = self.memory.as_ref()?;
        let mean_bytes = mean.value()?.round() as u64;
        Some(MemoryProfile { mean_bytes, ..*profile })
    }

    /// `None` where no GPU was tracked.
    pub(crate) fn gpus(&self) -> Option<GpuProfile> {
        let devices: Vec<_> = self.gpus.iter().map(Device::profile).collect();
        (!devices.is_empty()).then_some(GpuProfile { devices })
    }
}

impl Device {
    fn profile(&self) -> GpuDeviceProfile {
        GpuDeviceProfile {
            utilization_mean_percent: self.utilization.value(),
            pcie_rx_mean_bytes_per_s: self.received.value(),
            pcie_tx_mean_bytes_per_s: self.sent.value(),
            ..self.profile.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::GpuReading;
    use crate::resources::MemorySample;

    #[test]
    fn means_are_weighted_by_time_and_what_is_absent_stays_so() {
        let mut usage = Usage::default();
        assert_eq!((usage.memory(), usage.gpus()), (None, None));
        for (at_s, resident_bytes, utilization_percent) in
            [(0.0, 100, None), (1.0, 100, Some(50)), (2.0, 300, Some(70)), (10.0, 300, None)]
        {
            usage.add(&ResourceSample {
                at_s,
                memory: Some(MemorySample {
                    resident_bytes,
                    system_total_bytes: Some(1000),
                    ..Default::default()
                }),
                gpus: Some(vec![GpuReading {
                    index: 3,
                    name: "gpu".to_owned(),
                    memory_used_bytes: Some(resident_bytes),
                    memory_total_bytes: None,
                    utilization_percent,
                    process_bytes: None,
                    pcie_rx_bytes_per_s: None,
                    pcie_tx_bytes_per_s: None,
                    pcie_limit_bytes_per_s: None,
                }]),
                ..Default::default()
            });
        }
        let expected = MemoryProfile {
            start_bytes: 100,
            end_bytes: 300,
            mean_bytes: (100 + 200 + 8 * 300) / 10,
            peak_bytes: 300,
            limit_bytes: Some(1000),
        };
        assert_eq!(usage.memory(), Some(expected));
        let devices = vec![GpuDeviceProfile {
            index: 3,
            name: "gpu".to_owned(),
            memory_peak_bytes: Some(300),
            utilization_mean_percent: Some(60.0),
            ..Default::default()
        }];
        assert_eq!(usage.gpus(), Some(GpuProfile { devices }));
    }
}
