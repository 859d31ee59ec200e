//! What the monitor asks while a session is open, and when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use profiler::config::ProfilerConfig;
use profiler::extend::{MetricSource, PluginError};
use profiler::pipeline::{PipelineSnapshot, PipelineSource};
use profiler::profiler::BottleneckProfiler;

use crate::{CPU, detailed};

fn wait_until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Counts how often it is asked, and tells when it is dropped.
pub(crate) struct Asked(pub(crate) Arc<AtomicUsize>);

impl MetricSource for Asked {
    fn name(&self) -> &str {
        "asked"
    }

    fn sample(&self) -> Result<Vec<(String, f64)>, PluginError> {
        let times = self.0.fetch_add(1, SeqCst) as f64;
        Ok(vec![("asked.times".to_owned(), times)])
    }
}

impl PipelineSource for Asked {
    fn snapshot(&self) -> PipelineSnapshot {
        let items = self.0.fetch_add(1, SeqCst) as u64;
        PipelineSnapshot { items, ..Default::default() }
    }
}

#[test]
fn the_monitor_asks_sources_and_pipelines_until_the_session_ends() {
    let asked = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let profiler = detailed();
    profiler.register_metric_source(Arc::new(Asked(asked[0].clone())));
    profiler.start_session("monitor").unwrap();
    for _ in 0..2 {
        profiler.register_pipeline("loader", Arc::new(Asked(asked[1].clone()))).unwrap();
    }
    wait_until(|| asked.iter().all(|asked| asked.load(SeqCst) > 10));
    let session = profiler.stop_session().unwrap();
    let then = asked.each_ref().map(|asked| asked.load(SeqCst));
    let pipelines = &session.performance_metrics.pipelines;
    assert_eq!(pipelines[0].name, "loader");
    assert_eq!(pipelines[1].name, "loader 2");
    assert!(pipelines[0].snapshots.is_sorted_by(|a, b| a.at_s <= b.at_s && a.items < b.items));
    assert!(session.resources.iter().any(|sample| sample.metrics.contains_key("asked.times")));
    thread::sleep(Duration::from_millis(20));
    assert_eq!(asked.each_ref().map(|asked| asked.load(SeqCst)), then);
}

#[test]
fn dropping_the_profiler_ends_the_session_and_its_thread() {
    let source = Arc::new(Asked(Arc::default()));
    let profiler = detailed();
    profiler.register_metric_source(source.clone());
    profiler.start_session("dropped").unwrap();
    let operation = profiler.operation("work", CPU);
    wait_until(|| source.0.load(SeqCst) > 2);
    drop(profiler);
    // The monitor's thread is gone, and with it what it held.
    assert_eq!(Arc::strong_count(&source), 1);
    drop(operation);
}

#[test]
fn without_a_monitor_pipelines_are_asked_at_both_ends() {
    let config = ProfilerConfig::default().with_real_time_monitoring(false);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.start_session("ends").unwrap();
    profiler.register_pipeline("loader", Arc::new(Asked(Arc::default()))).unwrap();
    let session = profiler.stop_session().unwrap();
    assert_eq!(session.performance_metrics.pipelines[0].snapshots.len(), 2);
    assert_eq!((session.memory_profile, session.resources.len()), (None, 0));
}
