//! The NVIDIA driver's figures, through NVML.
//!
//! The library comes with the driver and is loaded at run time: a machine without it gets an
//! error that says so, never a figure of 0. Nothing here makes a CUDA context or puts work on a
//! device. Devices are the driver's, whatever `CUDA_VISIBLE_DEVICES` says.

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why there are no GPU figures.
#[derive(Debug, Error)]
pub enum GpuError {
    /// The driver's library could not be loaded: as a rule, there is no NVIDIA driver.
    #[error(
        "no GPU figures: the NVIDIA driver's library `libnvidia-ml.so.1` could not be loaded\n\
         hint: on a machine with an NVIDIA GPU, `nvidia-smi` tells whether the driver works"
    )]
    NoLibrary {
        /// What the dynamic linker said.
        source: NvmlError,
    },
    /// The library is there and the kernel module is not.
    #[error(
        "no GPU figures: the NVIDIA driver is not loaded\n\
         hint: `nvidia-smi` tells whether the driver works"
    )]
    NoDriver {
        /// What NVML said.
        source: NvmlError,
    },
    /// The driver works and has no device that this process may look at.
    #[error("no GPU figures: the NVIDIA driver has no GPU for this process")]
    NoDevice,
    /// Any other failure.
    #[error("no GPU figures: NVML could not {action}")]
    Nvml {
        /// What was asked of it.
        action: &'static str,
        /// What NVML said.
        source: NvmlError,
    },
}

/// One device at one moment; a figure that the device does not give is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GpuReading {
    /// The driver's number of the device.
    pub index: u32,
    /// The product's name.
    pub name: String,
    /// Bytes of device memory in use by all processes.
    pub memory_used_bytes: Option<u64>,
    /// Bytes of device memory in all.
    pub memory_total_bytes: Option<u64>,
    /// Share of the driver's last sample period in which a kernel ran, 0 to 100.
    pub utilization_percent: Option<u32>,
    /// Bytes of device memory that this process holds, its CUDA contexts included.
    pub process_bytes: Option<u64>,
    /// PCIe traffic to the device over the driver's last 20 ms, bytes a second.
    pub pcie_rx_bytes_per_s: Option<u64>,
    /// PCIe traffic from the device over the driver's last 20 ms, bytes a second.
    pub pcie_tx_bytes_per_s: Option<u64>,
}

/// The machine's NVIDIA GPUs: at least one. Any thread may ask.
#[derive(Debug)]
pub struct Gpus {
    nvml: Nvml,
    /// The driver's number and the name of each device that this process may look at.
    devices: Vec<(u32, String)>,
}

impl Gpus {
    /// Loads the driver's library and finds the devices.
    ///
    /// Where the driver keeps nothing running between programs, this can take a second.
    ///
    /// # Errors
    ///
    /// A [`GpuError`] that says what is missing: the library, the driver or a device.
    pub fn open() -> Result<Self, GpuError> {
        let nvml = Nvml::init().map_err(|source| match source {
            NvmlError::LibloadingError(_) => GpuError::NoLibrary { source },
            NvmlError::DriverNotLoaded => GpuError::NoDriver { source },
            NvmlError::NotFound => GpuError::NoDevice,
            _ => GpuError::Nvml { action: "start", source },
        })?;
        let count = nvml
            .device_count()
            .map_err(|source| GpuError::Nvml { action: "count the devices", source })?;
        // The count includes devices that are broken or belong to someone else.
        let named = |index| Some((index, nvml.device_by_index(index).ok()?.name().ok()?));
        let devices: Vec<_> = (0..count).filter_map(named).collect();
        if devices.is_empty() {
            return Err(GpuError::NoDevice);
        }
        Ok(Self { nvml, devices })
    }

    /// The devices' names in the driver's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().map(|(_, name)| name.as_str())
    }

    /// Every device's figures now.
    pub fn read(&self) -> Vec<GpuReading> {
        let read = |(index, name): &(u32, String)| {
            let device = self.device(*index);
            let memory = device.as_ref().and_then(|device| device.memory_info().ok());
            let rates = device.as_ref().and_then(|device| device.utilization_rates().ok());
            GpuReading {
                index: *index,
                name: name.clone(),
                memory_used_bytes: memory.as_ref().map(|memory| memory.used),
                memory_total_bytes: memory.as_ref().map(|memory| memory.total),
                utilization_percent: rates.map(|rates| rates.gpu),
                process_bytes: None,
                pcie_rx_bytes_per_s: None,
                pcie_tx_bytes_per_s: None,
            }
        };
        self.devices.iter().map(read).collect()
    }

    /// Bytes of device memory that the process `pid` holds, over all devices, its CUDA contexts
    /// included.
    ///
    /// `None` where the driver cannot tell: it lists no compute context of the process (there is
    /// none, or a container hides which process is which), one of them comes without a figure,
    /// or a device does not answer.
    pub fn process_bytes(&self, pid: u32) -> Option<u64> {
        let mut held = None;
        for (index, _) in &self.devices {
            for process in self.device(*index)?.running_compute_processes().ok()? {
                match process.used_gpu_memory {
                    _ if process.pid != pid => {}
                    UsedGpuMemory::Used(bytes) => held = Some(held.unwrap_or(0) + bytes),
                    UsedGpuMemory::Unavailable => return None,
                }
            }
        }
        held
    }

    fn device(&self, index: u32) -> Option<Device<'_>> {
        self.nvml.device_by_index(index).ok()
    }
}
