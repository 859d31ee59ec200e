//! Detectors, advice and report formats of one's own, and those that fail.

use std::io;
use std::path::Path;
use std::sync::Arc;

use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::ProfilingLevel;
use profiler::extend::{Detector, PluginError, ReportFormat, SuggestionStrategy};
use profiler::pipeline::{PipelineSnapshot, PipelineSource};
use profiler::profiler::WriteReportError;
use profiler::report::ReportError;
use profiler::session::ProfilingSession;

use crate::{at_level, detailed};

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
