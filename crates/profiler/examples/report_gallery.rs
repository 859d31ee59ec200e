//! Writes the reports of sessions made by hand, to look at: a training loop that waits for its data,
//! one with names that try to break the page, and an empty one.
//!
//! `cargo run --release -p profiler --example report_gallery -- FOLDER`

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use profiler::bottleneck::BottleneckType;
use profiler::extend::{Chart, PluginError};
use profiler::report;
use profiler::session::ProfilingSession;

#[path = "../tests/gallery/mod.rs"]
mod gallery;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("reports"), PathBuf::from);

    let mut hostile = gallery::training();
    hostile.session_id = "hostile".to_owned();
    hostile.name = "<script>alert(1)</script> & \"co\" | `x`".to_owned();
    hostile.finished = None;
    hostile.bottlenecks[0].name = "</code><img src=x onerror=alert(2)>".repeat(3);
    hostile.bottlenecks[0].kind = BottleneckType::Custom("</style><b>".to_owned());
    hostile.performance_metrics.pipelines.clear();
    hostile.resources.truncate(1);

    let sessions = [gallery::training(), hostile, gallery::empty()];
    let more: [Arc<dyn Chart>; 1] = [Arc::new(Threads)];
    for (session, name) in sessions.iter().zip(["training", "hostile", "empty"]) {
        for file in report::write(session, &folder.join(name), &report::formats(&more))? {
            println!("{}", file.display());
        }
    }
    Ok(())
}

/// A chart of one's own: the CPU time of each thread.
struct Threads;

impl Chart for Threads {
    fn name(&self, session: &ProfilingSession) -> String {
        format!("{}_threads", session.session_id)
    }

    fn title(&self) -> &str {
        "CPU time of each thread"
    }

    fn svg(&self, session: &ProfilingSession) -> Result<String, PluginError> {
        let most = session.threads.iter().map(|thread| thread.cpu_s).fold(1e-9, f64::max);
        let rows = session.threads.iter().enumerate().map(|(at, thread)| {
            let (y, width) = (10 + 24 * at, 500.0 * thread.cpu_s / most);
            format!("<rect x='10' y='{y}' width='{width:.1}' height='18' rx='3' fill='teal'/>")
        });
        let height = 20 + 24 * session.threads.len().max(1);
        Ok(format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='520' height='{height}'>{}</svg>",
            rows.collect::<String>()
        ))
    }
}
