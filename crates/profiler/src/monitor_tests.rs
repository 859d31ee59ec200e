//! A monitor on this process.

use super::*;

const MIB: u64 = 1 << 20;

fn start() -> Monitor {
    Monitor::start(Duration::from_millis(2)).unwrap()
}

#[test]
fn windows_follow_one_another() {
    let monitor = start();
    let idle = monitor.window();
    thread::sleep(Duration::from_millis(60));
    let idle = idle.finish();

    let busy = monitor.window();
    let block = std::hint::black_box(vec![1u8; 128 << 20]);
    let spin = process_cpu() + Duration::from_millis(60);
    while process_cpu() < spin {}
    drop(block);
    let busy = busy.finish();

    assert!(idle.wall_s >= 0.06);
    assert!(busy.cpu_s >= 0.06 && busy.cpu_percent > 0.0 && busy.cpu_percent <= 100.0);
    // The block was gone again at the window's end: the thread's samples saw it.
    assert!(busy.rss_peak_bytes >= 96 * MIB);
    assert!(busy.rss_mean_bytes <= busy.rss_peak_bytes);
    assert!(busy.rss_mean_bytes > MIB);
}

#[test]
fn windows_may_overlap_and_be_dropped() {
    let monitor = start();
    let outer = monitor.window();
    drop(monitor.window());
    let inner = monitor.window().finish();
    let outer = outer.finish();
    assert!(outer.wall_s >= inner.wall_s);
    assert!(inner.rss_mean_bytes > 0 && inner.rss_peak_bytes >= inner.rss_mean_bytes);
    assert!(monitor.sampler.windows().is_empty());
}

#[test]
fn stops_at_once_and_takes_its_thread_along() {
    let monitor = Monitor::start(Duration::from_secs(3600)).unwrap();
    let thread = Arc::downgrade(&monitor.sampler);
    let asked = Instant::now();
    drop(monitor);
    assert!(asked.elapsed() < Duration::from_secs(60));
    assert_eq!(thread.strong_count(), 0);
}

#[test]
fn usage_survives_a_file() {
    let usage = start().window().finish();
    let json = serde_json::to_string(&usage).unwrap();
    let back: ProcessUsage = serde_json::from_str(&json).unwrap();
    assert_eq!(back.rss_mean_bytes, usage.rss_mean_bytes);
    assert_eq!(back.gpu_mean_bytes, usage.gpu_mean_bytes);
}
