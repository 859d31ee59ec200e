//! A report's folder: all files of every session, whole, whatever fails.

use std::sync::Arc;
use std::{fs, io};

use profiler::config::ProfilerConfig;
use profiler::extend::{Chart, PluginError, ReportFormat};
use profiler::profiler::BottleneckProfiler;
use profiler::report::{self, Markdown, ReportError};
use profiler::session::ProfilingSession;

use crate::{broken, gallery, hostile};

#[test]
fn every_file_is_written_of_every_session() {
    let mut one_sample = gallery::training();
    one_sample.resources.truncate(1);
    let mut gaps = gallery::training();
    for (at, sample) in gaps.resources.iter_mut().enumerate() {
        if at % 2 == 0 {
            (sample.memory, sample.cpu, sample.io, sample.gpus) = (None, None, None, None);
        }
    }
    let sessions = [gallery::training(), gallery::empty(), hostile(), one_sample, gaps];
    for session in sessions {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a/b");
        let files = report::write_all(&session, &dir).unwrap();
        assert_eq!(files.len(), 11, "{files:?}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), files.len(), "nothing is left beside");
        for name in ["visualizations", "bottlenecks", "time"] {
            let png = dir.join(format!("{}_{name}.png", session.session_id));
            let image = image::open(&png).unwrap().to_rgb8();
            assert_eq!(image.width(), 2560);
            let dark = image.pixels().filter(|pixel| pixel.0.iter().all(|c| *c < 120)).count();
            assert!(dark > 2000, "{name} has text: {dark} dark pixels");
        }
    }
}

#[test]
fn numbers_that_are_none_spoil_one_file_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = report::write_all(&broken(), folder.path()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("cannot make the report's file `session.json`: a number"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 10);
}

#[test]
fn a_folder_or_a_name_that_does_not_do_is_named_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "here").unwrap();
    let error = report::write_all(&gallery::empty(), &file).unwrap_err();
    assert!(matches!(&error, ReportError::Folder { dir, .. } if dir == &file), "{error}");
    assert!(error.to_string().contains("hint: "));

    struct Named(&'static str);
    impl ReportFormat for Named {
        fn file_name(&self, _: &ProfilingSession) -> String {
            self.0.to_owned()
        }
        fn write(&self, _: &ProfilingSession, out: &mut dyn io::Write) -> Result<(), PluginError> {
            Ok(out.write_all(b"x")?)
        }
    }
    let dir = folder.path().join("reports");
    for names in [["../up", "a"], ["", "a"], ["a", "a"], ["a/b", "c"], ["/tmp/x", "c"]] {
        let formats = names.map(|name| Arc::new(Named(name)) as Arc<dyn ReportFormat>);
        let error = report::write(&gallery::empty(), &dir, &formats).unwrap_err();
        assert!(matches!(error, ReportError::FileName { .. }), "{names:?}: {error}");
    }
    assert!(!dir.exists());
}

#[test]
fn a_format_that_fails_keeps_the_others() {
    struct Fails;
    impl ReportFormat for Fails {
        fn file_name(&self, _: &ProfilingSession) -> String {
            "fails.txt".to_owned()
        }
        fn write(&self, _: &ProfilingSession, out: &mut dyn io::Write) -> Result<(), PluginError> {
            out.write_all(b"half")?;
            Err("out of ideas".into())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fails.txt"), "of last time").unwrap();
    let formats: [Arc<dyn ReportFormat>; 2] = [Arc::new(Fails), Arc::new(Markdown)];
    let error = report::write(&gallery::empty(), folder.path(), &formats).unwrap_err();
    assert_eq!(error.to_string(), "cannot make the report's file `fails.txt`: out of ideas");
    assert_eq!(fs::read(folder.path().join("fails.txt")).unwrap(), b"of last time");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_panics_in_a_report_takes_nothing_else_with_it() {
    struct Breaks;
    impl Chart for Breaks {
        fn name(&self, _: &ProfilingSession) -> String {
            "breaks".to_owned()
        }
        fn title(&self) -> &str {
            "never seen"
        }
        fn svg(&self, _: &ProfilingSession) -> Result<String, PluginError> {
            panic!("out of ink")
        }
    }
    impl ReportFormat for Breaks {
        fn file_name(&self, _: &ProfilingSession) -> String {
            "breaks.txt".to_owned()
        }
        fn write(&self, _: &ProfilingSession, _: &mut dyn io::Write) -> Result<(), PluginError> {
            panic!("out of paper")
        }
    }
    let config = ProfilerConfig::default().with_real_time_monitoring(false);
    let profiler = BottleneckProfiler::new(config).unwrap();
    profiler.register_chart(Arc::new(Breaks));
    profiler.start_session("breaks").unwrap();
    profiler.stop_session().unwrap();
    let folder = tempfile::tempdir().unwrap();
    profiler.write_report(folder.path()).unwrap();
    for file in ["report.md", "report.html", "session.json"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains("not in this report: it panicked: out of ink"), "{file}");
    }
    assert!(!folder.path().join("breaks.svg").exists());

    profiler.register_report_format(Arc::new(Breaks));
    let folder = tempfile::tempdir().unwrap();
    let error = profiler.write_report(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`breaks.txt`") && error.contains("out of paper"), "{error}");
    assert!(folder.path().join("report.html").exists());
}
