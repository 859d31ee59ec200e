//! CUDA at run time: one program for machines with and without a GPU.
//!
//! The program is linked with libtorch's CPU libraries alone. Where there is an NVIDIA driver,
//! [`load`] looks for a `libtorch_cuda.so` of the same version and loads it for all to see, upon
//! which libtorch has its CUDA backend. libtorch asks once whether there is one and remembers the
//! answer, so this must come before any other call that asks, such as `tch::manual_seed` or
//! `tch::Device::cuda_if_available`, and before other threads use tensors: call [`device`] first.

#![expect(unsafe_code, reason = "loading a library runs its initialisers")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use profiler::extend::{MetricSource, PluginError};
use tch::{Cuda, Device};
use thiserror::Error;

use crate::error::Report;
use crate::ffi::{cuda_devices, cuda_memory, cuda_synchronize, libtorch_version};

const LIBRARY: &str = "libtorch_cuda.so";

/// Why there is no CUDA.
#[derive(Debug, Error)]
pub enum NoCuda {
    /// The driver's library is absent: no NVIDIA GPU, or a container without it.
    #[error("no NVIDIA driver (libcuda.so.1)")]
    NoDriver,
    /// No `libtorch_cuda.so` was found.
    #[error(
        "there is an NVIDIA driver but no {LIBRARY}\nhint: `pip install torch=={version}`, or set LIBTORCH_CUDA to the folder that holds it"
    )]
    NotFound {
        /// The version needed.
        version: &'static str,
    },
    /// The one that was found is of another version.
    #[error(
        "`{path}` is of version {got}, but this program needs {expected}\nhint: `pip install torch=={expected}`, or set LIBTORCH_CUDA to the folder of that version"
    )]
    Version {
        /// The library.
        path: PathBuf,
        /// Its version.
        got: String,
        /// The version needed.
        expected: &'static str,
    },
    /// The dynamic linker refused it.
    #[error("cannot load `{path}`")]
    Load {
        /// The library.
        path: PathBuf,
        /// Why.
        #[source]
        source: libloading::Error,
    },
    /// It was loaded, but libtorch sees no GPU.
    #[error("libtorch sees no GPU (is CUDA_VISIBLE_DEVICES empty?): {why}")]
    NoDevice {
        /// What the driver says.
        why: String,
    },
    /// There is a GPU, but libtorch was asked about CUDA before it had it.
    #[error(
        "libtorch was asked about CUDA before `loader::cuda::load`, and has remembered that there is none\nhint: call `loader::cuda::load()` first of all in `main`, before `tch::manual_seed` for example"
    )]
    TooLate,
}

/// Loads libtorch's CUDA backend, once; says why there is none.
///
/// # Errors
/// See [`NoCuda`].
pub fn load() -> Result<(), &'static NoCuda> {
    static LOADED: OnceLock<Result<(), NoCuda>> = OnceLock::new();
    LOADED.get_or_init(try_load).as_ref().copied()
}

/// The first GPU, or the CPU where there is none; warns where there is a driver but no GPU can be
/// used.
pub fn device() -> Device {
    static WARNED: Once = Once::new();
    match load() {
        Ok(()) => Device::Cuda(0),
        Err(NoCuda::NoDriver) => Device::Cpu,
        Err(reason) => {
            WARNED.call_once(|| tracing::warn!("the CPU is used: {}", Report(reason)));
            Device::Cpu
        }
    }
}

/// Waits until all work that was handed to GPUs is done. Without a GPU there is none. Work that failed
/// is warned of.
///
/// For [operations that ask for it], whose time is then that of the work:
/// `profiler.register_sync(Arc::new(loader::cuda::synchronize))`.
///
/// [operations that ask for it]: profiler::profiler::BottleneckProfiler::synced_operation
pub fn synchronize() {
    if load().is_ok()
        && let Err(error) = cuda_synchronize()
    {
        tracing::warn!("waiting for the GPU: {}", Report(&error));
    }
}

/// What libtorch's allocator has given out on each GPU and what it holds there, as metrics:
/// `cuda:0 allocated bytes`, `cuda:0 reserved bytes`.
/// `profiler.register_metric_source(Arc::new(loader::cuda::AllocatorMemory))`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocatorMemory;

impl MetricSource for AllocatorMemory {
    fn name(&self) -> &str {
        "libtorch's GPU memory"
    }

    fn sample(&self) -> Result<Vec<(String, f64)>, PluginError> {
        load()?;
        let mut metrics = Vec::new();
        for device in 0..Cuda::device_count().try_into()? {
            for (what, bytes) in ["allocated", "reserved"].into_iter().zip(cuda_memory(device)?) {
                metrics.push((format!("cuda:{device} {what} bytes"), bytes as f64));
            }
        }
        Ok(metrics)
    }
}

fn try_load() -> Result<(), NoCuda> {
    // SAFETY: the driver's library has no initialiser that depends on this program's state.
    unsafe { Library::open(Some("libcuda.so.1"), RTLD_NOW) }.map_err(|_| NoCuda::NoDriver)?;
    let expected = libtorch_version();
    let path = find().ok_or(NoCuda::NotFound { version: expected })?;
    let got = version_of(&path).unwrap_or_else(|| "unknown".to_owned());
    if got != expected {
        return Err(NoCuda::Version { path, got, expected });
    }
    // SAFETY: its initialisers register the CUDA backend with the libtorch of the same version
    // that this program is linked with. That no other thread uses tensors meanwhile the caller is
    // asked to see to.
    let open = |path: &Path| unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    // The libraries that it needs lie beside the link or beside the file that it leads to.
    let library = open(&path).or_else(|source| match path.canonicalize() {
        Ok(real) if real != path => open(&real).map_err(|_| source),
        _ => Err(source),
    });
    let library = library.map_err(|source| NoCuda::Load { path, source })?;
    // What it registered must stay for as long as the program runs.
    std::mem::forget(library);
    if Cuda::is_available() {
        return Ok(());
    }
    Err(match cuda_devices() {
        Ok(1..) => NoCuda::TooLate,
        Ok(_) => NoCuda::NoDevice { why: "there is none".to_owned() },
        Err(error) => NoCuda::NoDevice { why: Report(&error).to_string() },
    })
}

/// `LIBTORCH_CUDA`, a file or a folder, or the folder of a Python's torch.
fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LIBTORCH_CUDA") {
        let named = PathBuf::from(named);
        let file = if named.is_dir() { named.join(LIBRARY) } else { named };
        return existing(&file);
    }
    // Found without importing it, which would take seconds; and not in the folder that the program
    // is run in, where Python looks first.
    let script = "import sys; sys.path = [p for p in sys.path if p]; \
                  import importlib.util as u; print(u.find_spec('torch').origin)";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let origin = String::from_utf8(output.stdout).ok()?;
    existing(&Path::new(origin.trim()).parent()?.join("lib").join(LIBRARY))
}

/// Where it is, if there is such a file: without a folder in its name it would be looked for elsewhere.
fn existing(file: &Path) -> Option<PathBuf> {
    std::path::absolute(file).ok().filter(|file| file.exists())
}

/// What `version.py` (in a Python package) or `build-version` (in a libtorch archive) says,
/// without the build's suffix: `2.11.0` for `2.11.0+cu130`. They lie above the file, which may be reached by
/// a link.
fn version_of(library: &Path) -> Option<String> {
    let library = library.canonicalize().ok()?;
    let root = library.parent()?.parent()?;
    let text = std::fs::read_to_string(root.join("version.py"))
        .map(|text| {
            let line = text.lines().find(|line| line.starts_with("__version__"));
            line.and_then(|line| line.split(['\'', '"']).nth(1)).unwrap_or_default().to_owned()
        })
        .or_else(|_| std::fs::read_to_string(root.join("build-version")))
        .ok()?;
    let version = text.trim().split('+').next()?;
    (!version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_both_layouts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("lib")).unwrap();
        let library = folder.path().join("lib").join(LIBRARY);
        std::fs::write(&library, "").unwrap();
        assert_eq!(version_of(&library), None);
        std::fs::write(folder.path().join("build-version"), "2.11.0+cu130\n").unwrap();
        assert_eq!(version_of(&library).as_deref(), Some("2.11.0"));
        let text = "from typing import Optional\n__version__ = '2.10.1+cu128'\ndebug = False\n";
        std::fs::write(folder.path().join("version.py"), text).unwrap();
        assert_eq!(version_of(&library).as_deref(), Some("2.10.1"));
        let link = folder.path().join(LIBRARY);
        std::os::unix::fs::symlink(&library, &link).unwrap();
        assert_eq!(version_of(&link).as_deref(), Some("2.10.1"));
    }

    #[test]
    fn without_a_gpu_nothing_is_waited_for_and_nothing_told() {
        synchronize();
        let told = AllocatorMemory.sample();
        assert_eq!(told.is_ok(), load().is_ok());
    }

    #[test]
    fn the_version_built_against_is_the_one_tch_binds() {
        assert_eq!(libtorch_version(), "2.11.0");
    }
}
