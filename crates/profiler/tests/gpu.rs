//! NVML as the dynamic linker finds it: absent, without a driver, without devices, working.
//!
//! Each test runs itself again in a process whose `LD_LIBRARY_PATH` holds a stand-in for the
//! driver's library: an empty file, or `fake_nvml.c`, compiled.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use profiler::gpu::{GpuError, GpuReading, Gpus};
use profiler::machine::Machine;
use profiler::monitor::Monitor;

const MIB: u64 = 1 << 20;

/// Whether this is the process that has the stand-in. If not, runs `test` in one that has, with
/// `settings` of the fake as its environment; without settings the stand-in is an empty file.
fn has_stand_in(test: &str, settings: Option<(&str, &str)>) -> io::Result<bool> {
    const CHILD: &str = "PROFILER_TEST_GPU_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return Ok(true);
    }
    let dir = tempfile::tempdir()?;
    let library = dir.path().join("libnvidia-ml.so.1");
    if settings.is_some() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_nvml.c");
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status()?;
        assert!(compiler.success());
    } else {
        fs::write(library, "")?;
    }
    let child = Command::new(std::env::current_exe()?)
        .args(["--exact", test])
        .env(CHILD, "1")
        .env("LD_LIBRARY_PATH", dir.path())
        .envs(settings)
        .output()?;
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    Ok(false)
}

#[test]
fn without_the_library_all_but_the_gpu_figures_is_there() {
    if !has_stand_in("without_the_library_all_but_the_gpu_figures_is_there", None).unwrap() {
        return;
    }
    let error = Gpus::open().unwrap_err();
    assert!(matches!(error, GpuError::NoLibrary { .. }));
    assert!(error.to_string().contains("`libnvidia-ml.so.1` could not be loaded"), "{error}");
    assert!(Machine::detect().gpus.is_empty());
    let monitor = Monitor::start(Duration::from_millis(10)).unwrap();
    assert!(matches!(monitor.gpus(), Err(GpuError::NoLibrary { .. })));
    assert_eq!(monitor.window().finish().gpu_mean_bytes, None);
}

#[test]
fn a_driver_that_is_not_loaded_is_named() {
    let settings = Some(("FAKE_NVML_INIT", "9"));
    if has_stand_in("a_driver_that_is_not_loaded_is_named", settings).unwrap() {
        assert!(matches!(Gpus::open(), Err(GpuError::NoDriver { .. })));
    }
}

#[test]
fn a_machine_without_devices_is_named() {
    let settings = Some(("FAKE_NVML_COUNT", "0"));
    if has_stand_in("a_machine_without_devices_is_named", settings).unwrap() {
        assert!(matches!(Gpus::open(), Err(GpuError::NoDevice)));
    }
}

#[test]
fn any_other_failure_keeps_its_source() {
    let settings = Some(("FAKE_NVML_INIT", "18"));
    if has_stand_in("any_other_failure_keeps_its_source", settings).unwrap() {
        let error = Gpus::open().unwrap_err();
        assert_eq!(error.to_string(), "no GPU figures: NVML could not start");
        let source = error.source().unwrap().to_string();
        assert!(source.contains("driver/library version mismatch"), "{source}");
    }
}

#[test]
fn devices_and_the_memory_of_a_process_on_them() {
    let settings = Some(("FAKE_NVML_COUNT", "3"));
    if !has_stand_in("devices_and_the_memory_of_a_process_on_them", settings).unwrap() {
        return;
    }
    let gpus = Gpus::open().unwrap();
    assert_eq!(gpus.names().collect::<Vec<_>>(), ["Fake One", "Fake Two"]);
    let reading = |index, name: &str, used_mib, utilization_percent| GpuReading {
        index,
        name: name.into(),
        memory_used_bytes: Some(used_mib * MIB),
        memory_total_bytes: Some(8192 * MIB),
        utilization_percent,
        process_bytes: None,
        pcie_rx_bytes_per_s: None,
        pcie_tx_bytes_per_s: None,
    };
    assert_eq!(
        gpus.read(),
        [reading(0, "Fake One", 1000, Some(37)), reading(1, "Fake Two", 0, None)]
    );

    assert_eq!(gpus.process_bytes(std::process::id()), Some(500 * MIB));
    assert_eq!(gpus.process_bytes(2), None, "a figure that is not available");
    assert_eq!(gpus.process_bytes(u32::MAX), None, "a process that is not listed");

    assert_eq!(Machine::detect().gpus, ["Fake One", "Fake Two"]);
    let monitor = Monitor::start(Duration::from_millis(1)).unwrap();
    assert!(monitor.gpus().is_ok());
    let window = monitor.window();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(window.finish().gpu_mean_bytes, Some(500 * MIB));
}
