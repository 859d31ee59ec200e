//! The NVIDIA driver's figures, through NVML.
//!
//! The library comes with the driver and is loaded at run time: a machine without it gets an
//! error that says so, never a figure of 0. Nothing here makes a CUDA context or puts work on a
//! device. Devices are the driver's, whatever `CUDA_VISIBLE_DEVICES` says.

use nvml_wrapper::enum_wrappers::device::PcieUtilCounter;
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What the PCIe link of device and slot carries in one direction, bytes a second.
    #[serde(default)]
    pub pcie_limit_bytes_per_s: Option<u64>,
}

/// The machine's NVIDIA GPUs: at least one. Any thread may ask.
#[derive(Debug)]
pub struct Gpus {
    nvml: Nvml,
    /// Those that this process may look at.
    devices: Vec<Known>,
}

/// What is asked once.
#[derive(Debug)]
struct Known {
    /// The driver's number.
    index: u32,
    name: String,
    pcie_limit_bytes_per_s: Option<u64>,
}

impl Known {
    fn ask(nvml: &Nvml, index: u32) -> Option<Self> {
        let device = nvml.device_by_index(index).ok()?;
        let link = || {
            let lane = pcie_lane_bytes_per_s(device.max_pcie_link_gen().ok()?)?;
            Some(lane * u64::from(device.max_pcie_link_width().ok()?))
        };
        Some(Self { index, name: device.name().ok()?, pcie_limit_bytes_per_s: link() })
    }
}

/// Bytes a second of one lane in one direction, the line code taken off: transfers a second times
/// 8/10 (generations 1 and 2), 128/130 (3 to 5) or 242/256 (6) over 8, by the PCI Express base
/// specifications.
fn pcie_lane_bytes_per_s(generation: u32) -> Option<u64> {
    Some(match generation {
        1 => 250_000_000,
        2 => 500_000_000,
        3 => 984_600_000,
        4 => 1_969_000_000,
        5 => 3_938_000_000,
        6 => 7_563_000_000,
        _ => return None,
    })
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
        let devices: Vec<_> = (0..count).filter_map(|index| Known::ask(&nvml, index)).collect();
        if devices.is_empty() {
            return Err(GpuError::NoDevice);
        }
        Ok(Self { nvml, devices })
    }

    /// The devices' names in the driver's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().map(|known| known.name.as_str())
    }

    /// Every device's figures now.
    ///
    /// Takes about 40 ms for each device, in which the driver measures the PCIe traffic.
    pub fn read(&self) -> Vec<GpuReading> {
        let read = |place| {
            let [pcie_rx_bytes_per_s, pcie_tx_bytes_per_s] = self.pcie(place);
            GpuReading { pcie_rx_bytes_per_s, pcie_tx_bytes_per_s, ..self.figures(place) }
        };
        (0..self.devices.len()).map(read).collect()
    }

    /// Bytes of device memory that the process `pid` holds, over all devices, its CUDA contexts
    /// included.
    ///
    /// `None` where the driver cannot tell: it lists no compute context of the process (there is
    /// none, or a container hides which process is which), one of them comes without a figure,
    /// or a device does not answer.
    pub fn process_bytes(&self, pid: u32) -> Option<u64> {
        let mut held = None;
        for known in &self.devices {
            let here = held_on(&self.device(known)?, pid)?;
            held = here.map_or(held, |bytes| Some(held.unwrap_or(0) + bytes));
        }
        held
    }

    /// Devices that are watched.
    pub(crate) fn count(&self) -> usize {
        self.devices.len()
    }

    /// The figures of the device at `place`, PCIe traffic left out.
    pub(crate) fn figures(&self, place: usize) -> GpuReading {
        let known = &self.devices[place];
        let device = self.device(known);
        let device = device.as_ref();
        let memory = device.and_then(|device| device.memory_info().ok());
        let rates = device.and_then(|device| device.utilization_rates().ok());
        GpuReading {
            index: known.index,
            name: known.name.clone(),
            memory_used_bytes: memory.as_ref().map(|memory| memory.used),
            memory_total_bytes: memory.as_ref().map(|memory| memory.total),
            utilization_percent: rates.map(|rates| rates.gpu),
            process_bytes: device.and_then(|device| held_on(device, std::process::id())?),
            pcie_rx_bytes_per_s: None,
            pcie_tx_bytes_per_s: None,
            pcie_limit_bytes_per_s: known.pcie_limit_bytes_per_s,
        }
    }

    /// PCIe traffic to the device at `place` and from it, bytes a second. The driver counts for
    /// 20 ms each.
    pub(crate) fn pcie(&self, place: usize) -> [Option<u64>; 2] {
        // NVML gives KB/s and says no more of the KB: taken as 1,000 bytes, at most 2% too few.
        const KB: u64 = 1000;
        let device = self.device(&self.devices[place]);
        [PcieUtilCounter::Receive, PcieUtilCounter::Send].map(|counter| {
            let kb_per_s = device.as_ref()?.pcie_throughput(counter).ok()?;
            Some(u64::from(kb_per_s) * KB)
        })
    }

    fn device(&self, known: &Known) -> Option<Device<'_>> {
        self.nvml.device_by_index(known.index).ok()
    }
}

/// Bytes that the process `pid` holds on `device`: `Some(None)` if the driver lists no context of
/// it, `None` if the driver cannot tell.
fn held_on(device: &Device<'_>, pid: u32) -> Option<Option<u64>> {
    let mut held = None;
    for process in device.running_compute_processes().ok()? {
        match process.used_gpu_memory {
            _ if process.pid != pid => {}
            UsedGpuMemory::Used(bytes) => held = Some(held.unwrap_or(0) + bytes),
            UsedGpuMemory::Unavailable => return None,
        }
    }
    Some(held)
}
