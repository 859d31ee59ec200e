//! What the end of a session costs a program that has a pipeline: attribution and advice.
#![expect(clippy::unwrap_used, reason = "a failure ends the benchmark")]

use divan::Bencher;
use profiler::attribution::replay::{Law, Pipeline, Stage, Station};
use profiler::attribution::{Surroundings, attribute};
use profiler::config::ProfilerConfig;
use profiler::detect::PipelineDetector;
use profiler::extend::Detector;
use profiler::pipeline::Room;
use profiler::profiler::BottleneckProfiler;
use profiler::session::{PipelineProfile, ProfilingSession};

fn main() {
    divan::main();
}

/// Workers, samples of a batch, samples in a row that are alike.
const LOADERS: [(usize, usize, u64); 4] = [(2, 64, 1), (16, 256, 1), (64, 4096, 1), (16, 256, 32)];

/// A loader with five stages, of which two scatter, and a loop that would take twice as much.
fn session((threads, batch, row): (usize, usize, u64)) -> ProfilingSession {
    let stage = |name: &str, mean_s: f64, law: Law, cpu_share: f64| Stage {
        name: name.to_owned(),
        mean_s,
        law,
        row,
        cpu_share,
    };
    let item_s = 0.0039 / threads as f64;
    let pipeline = Pipeline {
        stations: vec![Station {
            name: "workers".to_owned(),
            threads,
            stages: vec![
                stage("read", 0.0003, Law::Lognormal(1.0), 0.2),
                stage("decode", 0.002, Law::Lognormal(0.5), 1.0),
                stage("transform", 0.001, Law::Fixed, 1.0),
                stage("write", 0.0005, Law::Fixed, 1.0),
                stage("other", 0.0001, Law::Fixed, 1.0),
            ],
            sizes: Law::Lognormal(0.3),
            room: Room::Batches(2),
        }],
        own_stages: Vec::new(),
        batch,
        consumer: stage("consumer", 0.5 * item_s, Law::Fixed, 0.1),
        cores: threads as f64,
    };
    let snapshots = pipeline.run(200 * batch, 100, 1);
    let mut session = {
        let config = ProfilerConfig::default().with_real_time_monitoring(false);
        let profiler = BottleneckProfiler::new(config).unwrap();
        profiler.start_session("bench").unwrap();
        (*profiler.stop_session().unwrap()).clone()
    };
    session.machine.usable_cores = threads as f64;
    let profile = PipelineProfile { name: "loader".to_owned(), snapshots, attribution: None };
    session.performance_metrics.pipelines = vec![profile];
    session
}

/// As the end of a session does it.
#[divan::bench(args = LOADERS, sample_count = 3, sample_size = 1)]
fn end_of_session(bencher: Bencher, loader: (usize, usize, u64)) {
    let mut session = session(loader);
    let surroundings = Surroundings::of(&session);
    bencher.bench_local(|| {
        let profile = &mut session.performance_metrics.pipelines[0];
        profile.attribution = attribute(&profile.snapshots, &surroundings);
        PipelineDetector.detect(&session)
    });
}
