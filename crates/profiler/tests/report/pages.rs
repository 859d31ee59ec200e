//! What people read: Markdown, the page, charts.

use std::fs;
use std::sync::Arc;

use profiler::extend::{Chart, PluginError};
use profiler::report::{self, Html, Markdown, charts};
use profiler::session::ProfilingSession;

use crate::{gallery, hostile, text};

#[test]
fn markdown_has_the_sections_verdict_first() {
    let report = text(&Markdown, &gallery::training());
    let sections = [
        "# Bottleneck Profiling Report\n\nWritten 2",
        "Session ID: `20261122T211230-resnet50-imagenet-7f3a`",
        "**Highly input-bound.** `decode` limits the loader",
        "## Session Summary",
        "- **Start**: 2026-11-22 21:12:30 UTC",
        "- **End**: 2026-11-22 21:13:12 UTC",
        "- **Duration**: 42.0 s",
        "## Performance Metrics",
        "- **Memory**: mean 2,311 MB, peak 2,812 MB, 8.6% of the 32,768 MB limit",
        "| `epoch › data_loading` | data_loading | 840 | 13,200 | 12,100 | 29% | 15.7 |",
        "## Bottleneck Analysis\n\nTotal bottlenecks: 3",
        "### preprocessing (1)\n\n#### `loader.decode`\n\n- Severity: 0.29\n- Frequency: 53,760\n",
        "- Time: 1 min 32 s",
        "Suggestions:\n\n- use 6 workers",
        "### gpu_transfer (1)",
        "## Stages",
        "| `workers` | 4 | `decode` **limits** | preprocessing | 1.72 | 55% | 99% | 31% |",
        "## Machine",
        "AMD EPYC 9334",
        "## Notes",
        "- 12,418 spans found no room",
        "## Trackers",
        "| `allocator` | unavailable: libtorch was built without CUDA |",
    ];
    let mut from = 0;
    for section in sections {
        let at = report[from..].find(section);
        from += at.unwrap_or_else(|| panic!("`{section}` is missing or out of order:\n{report}"));
    }
}

#[test]
fn what_to_try_first_is_about_what_limits() {
    let mut session = gallery::training();
    session.bottlenecks[0].name = "decode".to_owned();
    let mut resource = session.bottlenecks[0].clone();
    resource.name = "cpu_saturation".to_owned();
    resource.suggestions = vec!["use more cores".to_owned()];
    session.bottlenecks.insert(0, resource);
    let report = text(&Markdown, &session);
    assert!(report.contains("**Try first**: use 6 workers"), "{report}");
    let page = text(&Html(Vec::new()), &session);
    assert!(page.contains("<b>Try first</b> <span>use 6 workers"));
    // Nor is there any where nothing was found.
    assert!(!text(&Markdown, &gallery::empty()).contains("Try first"));
}

#[test]
fn an_empty_session_says_so_everywhere() {
    let session = gallery::empty();
    let report = text(&Markdown, &session);
    assert!(report.contains("Total bottlenecks: 0\n\nNone was found."));
    assert!(report.contains("**Too little recorded.**"));
    assert!(report.contains("`libnvidia-ml.so.1` could not be loaded |"), "{report}");
    let page = text(&Html(Vec::new()), &session);
    assert!(page.contains("None was found."));
    assert!(page.contains("No operation ended and no pipeline reported"));
    for chart in charts::standard() {
        let svg = chart.svg(&session).unwrap();
        assert!(svg.contains("No "), "{}: {svg}", chart.title());
    }
}

#[test]
fn an_open_session_is_said_to_be_open() {
    let mut session = gallery::training();
    session.finished = None;
    assert!(text(&Markdown, &session).contains("- **End**: still open"));
    assert!(text(&Html(Vec::new()), &session).contains("still open"));
}

#[test]
fn the_page_needs_nothing_else_and_escapes_everything() {
    let clean = text(&Html(Vec::new()), &gallery::training());
    let page = text(&Html(Vec::new()), &hostile());
    for tag in ["<script", "</script", "<style", "</style", "<img"] {
        let count = |page: &str| page.matches(tag).count();
        assert_eq!(count(&page), count(&clean), "{tag}");
    }
    assert!(page.contains("&#60;script&#62;alert(1)"));
    for outside in ["http:", "https:", "src=\"/", "url(", "@import", "fetch("] {
        assert!(!clean.contains(outside), "{outside}");
    }
}

#[test]
fn markdown_tables_keep_their_shape() {
    let report = text(&Markdown, &hostile());
    assert!(!report.contains("\u{7}"));
    let mut lines = report.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(next) = lines.peek().filter(|next| line.starts_with('|') && next.starts_with('|'))
        else {
            continue;
        };
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        assert_eq!(cells(line), cells(next), "{line}\n{next}");
    }
}

#[test]
fn gaps_are_gaps_in_charts() {
    let count = |session: &ProfilingSession| {
        charts::ResourceChart.svg(session).unwrap().matches("<polyline").count()
    };
    let mut session = gallery::training();
    let before = count(&session);
    session.resources[200].memory = None;
    assert_eq!(count(&session), before + 1);
    // Two samples with a gap on either side of each are dots.
    let alone = gallery::training().resources[..5].to_vec();
    session.resources = alone;
    for at in [0, 2, 4] {
        session.resources[at].memory = None;
    }
    let svg = charts::ResourceChart.svg(&session).unwrap();
    assert_eq!(svg.matches("<circle").count(), 2);
}

#[test]
fn a_chart_of_ones_own_is_a_file_and_on_the_page() {
    struct Square;
    impl Chart for Square {
        fn name(&self, _: &ProfilingSession) -> String {
            "square".to_owned()
        }
        fn title(&self) -> &str {
            "A <square>"
        }
        fn svg(&self, _: &ProfilingSession) -> Result<String, PluginError> {
            Ok("<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'>\
                <image href='/etc/hostname' width='8' height='8'/>\
                <rect width='8' height='8' fill='#ff0000'/></svg>"
                .to_owned())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let formats = report::formats(&[Arc::new(Square)]);
    report::write(&gallery::empty(), folder.path(), &formats).unwrap();
    let image = image::open(folder.path().join("square.png")).unwrap().to_rgb8();
    assert_eq!((image.width(), image.get_pixel(8, 8).0), (16, [255, 0, 0]));
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("A &#60;square&#62;") && page.contains("data:image/png;base64,"));
}
