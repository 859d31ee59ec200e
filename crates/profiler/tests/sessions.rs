//! Sessions and operations as a program uses them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::{ConfigError, ProfilerConfig, ProfilingLevel};
use profiler::extend::{Detector, MetricSource, PluginError, ReportFormat, SuggestionStrategy};
use profiler::layer::ProfilerLayer;
use profiler::pipeline::{PipelineSnapshot, PipelineSource};
use profiler::profiler::{BottleneckProfiler, SessionError, WriteReportError};
use profiler::report::ReportError;
use profiler::session::{OperationStats, ProfilingSession};
use tracing_subscriber::layer::SubscriberExt as _;

const CPU: BottleneckType = BottleneckType::CpuComputation;

fn at_level(level: ProfilingLevel) -> BottleneckProfiler {
    let config = ProfilerConfig::at_level(level).with_gpu_tracking(false);
    BottleneckProfiler::new(config.with_sampling_interval(0.002)).unwrap()
}

fn detailed() -> BottleneckProfiler {
    at_level(ProfilingLevel::Detailed)
}

fn operation<'a>(session: &'a ProfilingSession, path: &[&str]) -> &'a OperationStats {
    let operations = &session.performance_metrics.operations;
    operations.iter().find(|operation| operation.path == path).unwrap()
}

fn wait_until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for a minute");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_session_tells_what_ran_and_how_it_nested() {
    let profiler = detailed();
    let id = profiler.start_session("train").unwrap();
    profiler.attribute("data", "imagenet").unwrap();
    for _ in 0..3 {
        let _epoch = profiler.operation("epoch", BottleneckType::DataLoading);
        let read = profiler.profile_operation("read", BottleneckType::IoOperation, || 7);
        assert_eq!(read, 7);
        profiler.profile_operation("forward", CPU, || {
            profiler.profile_operation("read", BottleneckType::IoOperation, || ());
        });
    }
    let session = profiler.stop_session().unwrap();

    assert_eq!(session.session_id, id.as_str());
    assert!(id.as_str().starts_with("train-2"));
    assert_eq!((session.name.as_str(), session.attributes["data"].as_str()), ("train", "imagenet"));
    let paths: Vec<_> =
        session.performance_metrics.operations.iter().map(|stats| stats.path.join("/")).collect();
    assert_eq!(paths, ["epoch", "epoch/read", "epoch/forward", "epoch/forward/read"]);
    let epoch = operation(&session, &["epoch"]);
    assert_eq!((epoch.calls, epoch.threads), (3, 1));
    assert_eq!(epoch.kind, BottleneckType::DataLoading);
    assert!(epoch.min_s <= epoch.max_s && epoch.max_s <= epoch.total_s);
    let inside = operation(&session, &["epoch", "read"]).total_s
        + operation(&session, &["epoch", "forward"]).total_s;
    assert!((epoch.total_s - inside - epoch.self_s).abs() < 1e-12);
    assert!(epoch.self_cpu_s.is_some() && epoch.total_s <= session.duration_s);
    assert!(session.finished.is_some() && session.timeline.is_empty());
    assert!(session.notes.is_empty(), "{:?}", session.notes);
    let memory = session.memory_profile.unwrap();
    assert!(memory.peak_bytes >= memory.mean_bytes && memory.mean_bytes > 0);
    assert!(operation(&session, &["epoch"]).resident_bytes.is_none_or(|bytes| bytes > 0));
}

#[test]
fn many_threads_count_together_even_those_that_ended() {
    let profiler = detailed();
    profiler.start_session("threads").unwrap();
    for _ in 0..3 {
        thread::scope(|scope| {
            for _ in 0..8 {
                let profiler = profiler.clone();
                scope.spawn(move || {
                    for _ in 0..100 {
                        let _outer = profiler.operation("sample", CPU);
                        drop(profiler.operation("decode", BottleneckType::Preprocessing));
                    }
                });
            }
        });
    }
    let parked = Arc::new(Barrier::new(2));
    let thread = thread::spawn({
        let (profiler, parked) = (profiler.clone(), parked.clone());
        move || {
            drop(profiler.operation("sample", CPU));
            parked.wait();
            parked.wait();
        }
    });
    parked.wait();
    let session = profiler.stop_session().unwrap();
    parked.wait();
    thread.join().unwrap();
    let sample = operation(&session, &["sample"]);
    assert_eq!((sample.calls, sample.threads), (2401, 25));
    let decode = operation(&session, &["sample", "decode"]);
    assert_eq!((decode.calls, decode.threads), (2400, 24));
}

#[test]
fn sessions_come_one_after_another() {
    let profiler = detailed();
    assert!(matches!(profiler.stop_session(), Err(SessionError::NoneOpen)));
    assert!(matches!(profiler.attribute("a", "b"), Err(SessionError::NoneOpen)));
    drop(profiler.operation("before", CPU));
    for round in 1..=3 {
        let id = profiler.start_session("round").unwrap();
        match profiler.start_session("again").unwrap_err() {
            SessionError::AlreadyOpen { open } => assert_eq!(open, id),
            other => panic!("{other}"),
        }
        (0..round).for_each(|_| drop(profiler.operation("work", CPU)));
        let session = profiler.stop_session().unwrap();
        assert_eq!(session.performance_metrics.operations.len(), 1);
        assert_eq!(operation(&session, &["work"]).calls, round);
    }
    for name in ["", "  ", "a\nb", "\u{1b}[31m"] {
        assert!(matches!(profiler.start_session(name), Err(SessionError::Name { .. })), "{name:?}");
    }
    let id = profiler.start_session("../runs/ä").unwrap();
    assert!(id.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{id}");
}

#[test]
fn an_open_session_is_reported_as_such() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    assert_eq!(profiler.summary(), "There was no session yet.\n");
    assert!(profiler.session().is_none());
    profiler.start_session("open").unwrap();
    let _epoch = profiler.operation("epoch", CPU);
    drop(profiler.operation("step", CPU));
    let so_far = profiler.session().unwrap();
    assert_eq!(so_far.finished, None);
    assert_eq!(operation(&so_far, &["epoch"]).calls, 0);
    assert_eq!(operation(&so_far, &["epoch", "step"]).calls, 1);
    assert!(profiler.summary().contains("is still open"));
    drop(profiler.operation("step", CPU));
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["epoch", "step"]).calls, 2);
    assert_eq!(session.timeline.len(), 2);
    let step = &session.timeline[1];
    assert_eq!(step.name, "step");
    assert!(step.start_s >= session.timeline[0].start_s + session.timeline[0].duration_s);
    let summary = profiler.summary();
    assert!(summary.contains("epoch > step") && !summary.contains("is still open"), "{summary}");
    assert!(session.notes.iter().any(|note| note.contains("`epoch` had not ended")), "{summary}");
}

#[test]
fn guards_that_are_misused_lose_their_call_and_no_more() {
    let profiler = detailed();
    profiler.start_session("misuse").unwrap();
    let outer = profiler.operation("outer", CPU);
    let inner = profiler.operation("inner", CPU);
    drop(outer);
    drop(inner);
    std::mem::forget(profiler.operation("forgotten", CPU));
    let late = profiler.operation("late", CPU);
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["outer"]).calls, 1);
    assert_eq!(operation(&session, &["outer", "inner"]).calls, 0);
    assert_eq!(operation(&session, &["forgotten", "late"]).calls, 0);
    let notes = session.notes.join("\n");
    assert!(notes.contains("1 calls of operations outlived"), "{notes}");
    assert!(notes.contains("`forgotten > late` had not ended on 1 thread(s)"), "{notes}");

    profiler.start_session("next").unwrap();
    drop(late);
    drop(profiler.operation("work", CPU));
    let session = profiler.stop_session().unwrap();
    assert_eq!(session.performance_metrics.operations.len(), 1);
    assert!(session.notes.is_empty(), "{:?}", session.notes);
}

#[test]
fn two_profilers_do_not_mix() {
    let (one, two) = (detailed(), detailed());
    one.start_session("one").unwrap();
    two.start_session("two").unwrap();
    let _outer = one.operation("outer", CPU);
    drop(two.operation("inner", CPU));
    let two = two.stop_session().unwrap();
    assert_eq!(operation(&two, &["inner"]).calls, 1);
}

#[test]
fn a_panic_ends_its_operations() {
    let profiler = detailed();
    profiler.start_session("panic").unwrap();
    let thread = thread::spawn({
        let profiler = profiler.clone();
        move || profiler.profile_operation("decode", CPU, || panic!("damaged file"))
    });
    assert!(thread.join().is_err());
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["decode"]).calls, 1);
}

/// Counts how often it is asked, and tells when it is dropped.
struct Asked(Arc<AtomicUsize>);

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

#[test]
fn a_synced_operation_waits_for_the_device_at_its_edges() {
    let profiler = detailed();
    let waits = Arc::new(AtomicUsize::new(0));
    let hook = waits.clone();
    profiler.register_sync(Arc::new(move || {
        hook.fetch_add(1, SeqCst);
    }));
    drop(profiler.synced_operation("forward", CPU));
    assert_eq!(waits.load(SeqCst), 0, "no session is open");
    profiler.start_session("sync").unwrap();
    let forward = profiler.synced_operation("forward", CPU);
    assert_eq!(waits.load(SeqCst), 1);
    drop(profiler.operation("other", CPU));
    assert_eq!(waits.load(SeqCst), 1);
    drop(forward);
    assert_eq!(waits.load(SeqCst), 2);
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["forward"]).calls, 1);
}

#[test]
fn production_counts_all_and_says_what_it_estimates() {
    let config = ProfilerConfig::at_level(ProfilingLevel::Production);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.start_session("production").unwrap();
    (0..10_000).for_each(|_| drop(profiler.operation("decode", CPU)));
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["decode"]).calls, 10_000);
    assert!(session.notes.iter().any(|note| note.contains("estimates")), "{:?}", session.notes);
}

#[test]
fn a_session_takes_bounded_room() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    profiler.start_session("endless").unwrap();
    for number in 0..200 {
        let profiler = profiler.clone();
        let thread = thread::spawn(move || {
            for call in 0..500 {
                drop(profiler.operation(&format!("image {}", number * 500 + call), CPU));
            }
        });
        thread.join().unwrap();
    }
    for _ in 0..100 {
        // All but the first 64 are refused.
        let _ = profiler.register_pipeline("loader", Arc::new(Asked(Arc::default())));
    }
    let error = profiler.register_pipeline("loader", Arc::new(Asked(Arc::default())));
    assert!(matches!(error, Err(SessionError::Pipelines { .. })));
    let session = profiler.stop_session().unwrap();
    let metrics = &session.performance_metrics;
    assert_eq!((metrics.operations.len(), metrics.pipelines.len()), (1000, 64));
    assert!(session.timeline.len() <= 1 << 16);
    assert!(session.notes.len() < 40);
    assert!(session.notes.iter().any(|note| note.contains("not told apart")));
}

fn found(name: &str, severity: f64, optimization_potential: Option<f64>) -> Bottleneck {
    Bottleneck {
        name: name.to_owned(),
        kind: BottleneckType::Synchronization,
        severity,
        frequency: 1,
        total_time_s: 1.0,
        optimization_potential,
        cause: "because".to_owned(),
        suggestions: vec!["one".to_owned()],
    }
}

struct Finds;

impl Detector for Finds {
    fn name(&self) -> &str {
        "finds"
    }

    fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck> {
        assert!(session.bottlenecks.is_empty());
        vec![
            found("small", 0.9, Some(0.04)),
            found("mild", 0.2, Some(0.3)),
            found("broken", f64::NAN, None),
            found("bad", 0.8, None),
        ]
    }
}

struct Panics;

impl Detector for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn detect(&self, _: &ProfilingSession) -> Vec<Bottleneck> {
        panic!("no idea")
    }
}

impl PipelineSource for Panics {
    fn snapshot(&self) -> PipelineSnapshot {
        panic!("no counters")
    }
}

struct Advises;

impl SuggestionStrategy for Advises {
    fn suggest(&self, bottleneck: &Bottleneck, _: &ProfilingSession) -> Vec<String> {
        assert_ne!(bottleneck.name, "mild", "mild is none of mine");
        vec!["one".to_owned(), "two".to_owned()]
    }
}

#[test]
fn plugins_find_and_advise_and_one_that_panics_is_a_note() {
    let profiler = detailed();
    profiler.register_detector(Arc::new(Panics));
    profiler.register_detector(Arc::new(Finds));
    profiler.register_suggestion_strategy(Arc::new(Advises));
    profiler.start_session("plugins").unwrap();
    profiler.register_pipeline("broken", Arc::new(Panics)).unwrap();
    let session = profiler.stop_session().unwrap();
    let own: Vec<_> = session
        .bottlenecks
        .iter()
        .filter(|bottleneck| bottleneck.cause == "because")
        .map(|bottleneck| (bottleneck.name.as_str(), bottleneck.suggestions.len()))
        .collect();
    assert_eq!(own, [("bad", 2), ("mild", 1), ("broken", 2)]);
    assert!(session.bottlenecks.iter().all(|found| (0.0..=1.0).contains(&found.severity)));
    let notes = session.notes.join("\n");
    for words in ["`panics` found nothing", "no idea", "`mild`", "severity NaN", "no counters"] {
        assert!(notes.contains(words), "{words} in {notes}");
    }

    let basic = at_level(ProfilingLevel::Basic);
    basic.register_detector(Arc::new(Finds));
    basic.start_session("basic").unwrap();
    assert!(basic.stop_session().unwrap().bottlenecks.is_empty());
}

/// Writes half of its file, and then may fail.
struct Format(&'static str, bool);

impl ReportFormat for Format {
    fn file_name(&self, _: &ProfilingSession) -> String {
        self.0.to_owned()
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        write!(out, "{}", session.name)?;
        if self.1 { Err("the pen broke".into()) } else { Ok(()) }
    }
}

fn files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_report_is_written_whole_and_a_failing_format_stops_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let profiler = detailed();
    let error = profiler.write_report(dir.path()).unwrap_err();
    assert!(matches!(error, WriteReportError::NoSession));

    profiler.start_session("report").unwrap();
    for format in
        [Format("first.own", false), Format("failed.own", true), Format("last.own", false)]
    {
        profiler.register_report_format(Arc::new(format));
    }
    let to = dir.path().join("deep/report");
    let error = profiler.write_report(&to).unwrap_err();
    let WriteReportError::Report(ReportError::Format { file, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(file, "failed.own");
    assert!(error.to_string().contains("the pen broke"));
    let own: Vec<_> = files(&to).into_iter().filter(|file| file.ends_with(".own")).collect();
    assert_eq!(own, ["first.own", "last.own"]);
    assert!(files(&to).iter().all(|file| !file.starts_with('.')), "nothing half-written is left");
    assert_eq!(std::fs::read_to_string(to.join("first.own")).unwrap(), "report");

    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = profiler.write_report(file.join("report")).unwrap_err();
    assert!(matches!(&error, WriteReportError::Report(ReportError::Folder { .. })), "{error}");
    assert!(error.to_string().contains("file/report"), "{error}");
}

#[test]
fn spans_of_tracing_become_operations() {
    let profiler = detailed();
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("before").in_scope(|| ());
        profiler.start_session("tracing").unwrap();
        let epoch = tracing::info_span!(target: "program::train", "epoch", number = 3).entered();
        for kind in ["preprocessing", "i_o_operation"] {
            tracing::debug_span!("step", kind).in_scope(|| {
                drop(profiler.operation("decode", BottleneckType::Preprocessing));
            });
        }
        // A span may be entered many times, as that of a future is.
        let polled = tracing::info_span!("polled", kind = %BottleneckType::NetworkLatency);
        (0..4).for_each(|_| polled.in_scope(|| ()));
        drop(epoch);
    });
    let session = profiler.stop_session().unwrap();
    let epoch = operation(&session, &["epoch"]);
    assert_eq!(epoch.calls, 1);
    assert_eq!(epoch.kind, BottleneckType::Undeclared);
    let step = operation(&session, &["epoch", "step"]);
    assert_eq!((step.calls, &step.kind), (2, &BottleneckType::Preprocessing));
    assert_eq!(operation(&session, &["epoch", "step", "decode"]).calls, 2);
    let polled = operation(&session, &["epoch", "polled"]);
    assert_eq!((polled.calls, &polled.kind), (4, &BottleneckType::NetworkLatency));
    assert!(session.notes.is_empty(), "{:?}", session.notes);
}

#[test]
fn spans_that_are_left_out_of_order_or_entered_on_two_threads_do_no_harm() {
    let profiler = detailed();
    let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
    let dispatch = tracing::Dispatch::new(subscriber);
    profiler.start_session("tracing").unwrap();
    let span = tracing::dispatcher::with_default(&dispatch, || {
        let (outer, inner) = (tracing::info_span!("outer"), tracing::info_span!("inner"));
        let (outer_entered, inner_entered) = (outer.enter(), inner.enter());
        drop(outer_entered);
        drop(inner_entered);
        tracing::info_span!("shared")
    });
    let inside = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                span.in_scope(|| inside.wait());
            });
        }
    });
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["outer"]).calls, 1);
    assert_eq!(operation(&session, &["outer", "inner"]).calls, 0);
    assert_eq!(operation(&session, &["shared"]).threads, 2);
    assert_eq!(session.notes.len(), 1);
}

#[test]
fn a_session_survives_a_file() {
    let profiler = at_level(ProfilingLevel::Comprehensive);
    profiler.start_session("file").unwrap();
    drop(profiler.operation("work", BottleneckType::Custom("mine".to_owned())));
    let session = profiler.stop_session().unwrap();
    let json = serde_json::to_string(&*session).unwrap();
    let back: ProfilingSession = serde_json::from_str(&json).unwrap();
    assert_eq!(back.config, session.config);
    assert_eq!(back.performance_metrics.operations[0].kind.name(), "mine");
    assert_eq!(back.timeline.len(), 1);
}

#[test]
fn a_program_may_ask_from_any_thread_while_others_work() {
    let profiler = detailed();
    profiler.start_session("asked").unwrap();
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let profiler = profiler.clone();
            thread::spawn(move || {
                for _ in 0..50_000 {
                    drop(profiler.operation("work", CPU));
                }
            })
        })
        .collect();
    let mut calls = vec![0];
    while workers.iter().any(|worker| !worker.is_finished()) {
        let session = profiler.session().unwrap();
        calls.push(session.performance_metrics.operations.iter().map(|work| work.calls).sum());
        assert!(profiler.summary().contains("is still open"));
    }
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert!(calls.is_sorted());
    let session = profiler.stop_session().unwrap();
    assert_eq!(operation(&session, &["work"]).calls, 100_000);
}

#[test]
fn a_configuration_is_checked_wherever_it_comes_from() {
    let default = ProfilerConfig::default();
    default.validate().unwrap();
    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        for (field, config) in [
            ("bottleneck_threshold", default.clone().with_bottleneck_threshold(bad)),
            ("memory_threshold", default.clone().with_memory_threshold(bad)),
            ("gpu_threshold", default.clone().with_gpu_threshold(bad)),
        ] {
            let error = BottleneckProfiler::new(config).unwrap_err();
            assert!(matches!(&error, ConfigError::OutOfRange { field: f, .. } if *f == field));
            let text = error.to_string();
            assert!(text.starts_with(&format!("`{field}` is {bad}, but must be")), "{text}");
            assert!(text.contains("\nhint: "), "{text}");
        }
    }
    for bad in [0.0, 0.0009, 3601.0, f64::NAN] {
        let config = default.clone().with_sampling_interval(bad);
        assert!(matches!(
            config.validate(),
            Err(ConfigError::OutOfRange { field: "sampling_interval", .. })
        ));
    }

    assert_eq!(ProfilerConfig::from_toml("").unwrap(), default);
    let production = ProfilerConfig::from_toml("profiling_level = 'production'").unwrap();
    assert_eq!(production, ProfilerConfig::at_level(ProfilingLevel::Production));
    let text =
        "profiling_level = 'production'\nsampling_interval = 0.1\nenable_io_tracking = false";
    let given = ProfilerConfig::from_toml(text).unwrap();
    assert_eq!((given.sampling_interval, given.enable_io_tracking), (0.1, false));
    let same = ProfilerConfig::at_level(ProfilingLevel::Production)
        .with_sampling_interval(0.1)
        .with_io_tracking(false);
    assert_eq!(given, same);

    let error = ProfilerConfig::from_toml("memory_threshold = 80.0").unwrap_err();
    assert!(matches!(error, ConfigError::OutOfRange { field: "memory_threshold", .. }), "{error}");
    let error = ProfilerConfig::from_toml("sampling_intervall = 1.0").unwrap_err();
    assert!(matches!(error, ConfigError::Toml { .. }));
    let text = error.to_string();
    assert!(
        text.contains("`sampling_intervall`") && text.contains("`sampling_interval`"),
        "{text}"
    );
    for text in ["profiling_level = 'all'", "sampling_interval = 'fast'", "= 3"] {
        assert!(matches!(ProfilerConfig::from_toml(text), Err(ConfigError::Toml { .. })), "{text}");
    }
}
