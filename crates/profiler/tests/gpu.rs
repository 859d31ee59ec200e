//! NVML as the dynamic linker finds it: absent, without a driver, without devices, working.
//!
//! Each test runs itself again in a process whose `LD_LIBRARY_PATH` holds a stand-in for the
//! driver's library: an empty file, or `fake_nvml.c`, compiled.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use profiler::config::ProfilerConfig;
use profiler::gpu::{GpuError, GpuReading, Gpus};
use profiler::machine::Machine;
use profiler::monitor::{Monitor, MonitorOptions};
use profiler::rules::ResourceRules;
use profiler::trackers::Trackers;

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
    let trackers = Trackers::open(&ProfilerConfig::default(), Vec::new());
    let monitor = Monitor::start(MonitorOptions { trackers, ..Default::default() }).unwrap();
    assert!(monitor.gpus().is_none());
    assert_eq!(monitor.window().finish().gpu_mean_bytes, None);
    let recording = monitor.finish();
    assert!(recording.samples.iter().all(|sample| sample.gpus.is_none()));
    let gpu = recording.trackers.iter().find(|tracker| tracker.name == "gpu").unwrap();
    let why = gpu.unavailable.as_ref().unwrap();
    assert!(why.ends_with("could not be loaded"), "{why}");
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
    let one = GpuReading {
        index: 0,
        name: "Fake One".into(),
        memory_used_bytes: Some(1000 * MIB),
        memory_total_bytes: Some(8192 * MIB),
        utilization_percent: Some(37),
        process_bytes: Some(300 * MIB),
        pcie_rx_bytes_per_s: Some(12_000_000_000),
        pcie_tx_bytes_per_s: Some(3_500_000),
        pcie_limit_bytes_per_s: Some(16 * 984_600_000),
    };
    let two = GpuReading {
        index: 1,
        name: "Fake Two".into(),
        memory_used_bytes: Some(0),
        memory_total_bytes: Some(8192 * MIB),
        process_bytes: Some(200 * MIB),
        ..GpuReading::default()
    };
    assert_eq!(gpus.read(), [one.clone(), two.clone()]);

    assert_eq!(gpus.process_bytes(std::process::id()), Some(500 * MIB));
    assert_eq!(gpus.process_bytes(2), None, "a figure that is not available");
    assert_eq!(gpus.process_bytes(u32::MAX), None, "a process that is not listed");

    assert_eq!(Machine::detect().gpus, ["Fake One", "Fake Two"]);
    let monitor = Monitor::start(MonitorOptions::windows(Duration::from_millis(1))).unwrap();
    assert!(monitor.gpus().is_some());
    let window = monitor.window();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(window.finish().gpu_mean_bytes, Some(500 * MIB));

    // The monitor tells the same, and how full the link is.
    let config = ProfilerConfig::default();
    let trackers = Trackers::open(&config, Vec::new());
    let rules = Some(ResourceRules::new(&config, 1.0));
    let monitor = Monitor::start(MonitorOptions { trackers, rules, ..Default::default() }).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let recording = monitor.finish();
    assert_eq!(recording.samples.last().unwrap().gpus, Some(vec![one, two]));
    assert!(recording.bottlenecks.iter().any(|found| found.name == "pcie_saturation"));
}

#[test]
fn devices_that_are_lost_on_the_way_are_noticed() {
    let settings = Some(("FAKE_NVML_LOST_AFTER", "4"));
    if !has_stand_in("devices_that_are_lost_on_the_way_are_noticed", settings).unwrap() {
        return;
    }
    let mut trackers = Trackers::open(&ProfilerConfig::default(), Vec::new());
    assert_eq!(trackers.tick_all(0.0).gpus.map(|gpus| gpus.len()), Some(2));
    assert!(trackers.tick_all(1.0).gpus.is_some());
    assert_eq!(trackers.tick_all(2.0).gpus, None);
    assert_eq!(trackers.tick_all(3.0).gpus, None);
    let gpu = trackers.statuses().into_iter().find(|tracker| tracker.name == "gpu").unwrap();
    assert_eq!(gpu.unavailable.as_deref(), Some("since 2.0 s: no GPU answers any more"));
}
