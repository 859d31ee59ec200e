//! `report.md`: the session for people, in any viewer of Markdown or none.

use std::fmt::Write as _;
use std::io;

use crate::bottleneck::Bottleneck;
use crate::extend::{PluginError, ReportFormat};
use crate::report::digest::{self, Flow};
use crate::report::human;
use crate::report::verdict::Verdict;
use crate::session::ProfilingSession;

/// `report.md`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

impl ReportFormat for Markdown {
    fn file_name(&self, _session: &ProfilingSession) -> String {
        "report.md".to_owned()
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        Ok(out.write_all(markdown(session).as_bytes())?)
    }
}

/// The report as text.
pub(crate) fn markdown(session: &ProfilingSession) -> String {
    let mut page = Page::default();
    let verdict = Verdict::of(session);
    page.line("# Bottleneck Profiling Report");
    page.line(&format!("Written {}. Session ID: {}.", human::now(), code(&session.session_id)));
    page.line(&format!("**{}.** {}", verdict.label, prose(&verdict.sentence)));
    page.line(&prose(&verdict.meaning));
    if let Some(step) = &verdict.first_step {
        page.line(&format!("**Try first**: {}", prose(step)));
    }

    page.line("## Session Summary");
    let summary = digest::summary_lines(session).into_iter();
    let attributes = session.attributes.iter().map(|(name, value)| (name.as_str(), value.clone()));
    page.pairs(summary.chain(attributes));

    page.line("## Performance Metrics");
    page.pairs(digest::metric_lines(session));
    operations(&mut page, session);

    bottlenecks(&mut page, &session.bottlenecks, session.config.bottleneck_threshold);
    stages(&mut page, session);

    page.line("## Machine");
    page.pairs(digest::machine_lines(session));

    page.line("## Notes");
    let notes = digest::notes(session);
    if notes.is_empty() {
        page.line("Nothing out of the ordinary.");
    }
    page.list(notes.iter().map(|note| prose(note)));

    page.line("## Trackers");
    let rows = session.trackers.iter().map(|tracker| {
        let state = match &tracker.unavailable {
            None => "worked".to_owned(),
            Some(_) => format!("unavailable: {}", digest::why_absent(session, &tracker.name)),
        };
        vec![code(&tracker.name), prose(&state)]
    });
    page.table(&["Tracker", "State"], rows.collect());
    page.text
}

fn operations(page: &mut Page, session: &ProfilingSession) {
    let operations = &session.performance_metrics.operations;
    if operations.is_empty() {
        return;
    }
    page.line("### Operations");
    let recorded: f64 = operations.iter().map(|operation| operation.self_s).sum();
    let rows = operations.iter().map(|operation| {
        let mean_s = operation.total_s / operation.calls.max(1) as f64;
        let bytes = |bytes: Option<u64>| absent(bytes.map(|bytes| human::mb(bytes as f64)));
        vec![
            code(&operation.path.join(" › ")),
            prose(operation.kind.name()),
            human::count(operation.calls),
            human::ms(operation.total_s),
            human::ms(operation.self_s),
            share(operation.self_s, recorded),
            human::ms(mean_s),
            human::ms(operation.max_s),
            absent(operation.self_cpu_s.map(human::ms)),
            bytes(operation.resident_bytes),
        ]
    });
    page.table(
        &[
            "Operation",
            "Kind",
            "Calls",
            "Total ms",
            "Self ms",
            "Self share",
            "Mean ms",
            "Max ms",
            "Self CPU ms",
            "Memory",
        ],
        rows.collect(),
    );
    page.line(
        "Total is thread time from begin to end; self is that less the operations inside. Shares \
         are of all recorded self time.",
    );
}

fn bottlenecks(page: &mut Page, found: &[Bottleneck], threshold: f64) {
    page.line("## Bottleneck Analysis");
    page.line(&format!("Total bottlenecks: {}", found.len()));
    if found.is_empty() {
        page.line(&format!(
            "None was found. Findings that would save less than {} of the time are left out.",
            human::percent(threshold)
        ));
    }
    for (kind, of_kind) in digest::by_kind(found) {
        page.line(&format!("### {} ({})", prose(kind.name()), of_kind.len()));
        for bottleneck in of_kind {
            page.line(&format!("#### {}", code(&bottleneck.name)));
            let potential = bottleneck.optimization_potential.map_or_else(
                || "cannot be said".to_owned(),
                |share| format!("up to {} of the time", human::percent(share)),
            );
            page.list([
                format!("Severity: {}", human::number(bottleneck.severity, 2)),
                format!("Frequency: {}", human::count(bottleneck.frequency)),
                format!("Time: {}", human::duration(bottleneck.total_time_s)),
                format!("Optimization potential: {potential}"),
                format!("Cause: {}", prose(&bottleneck.cause)),
            ]);
            if !bottleneck.suggestions.is_empty() {
                page.line("Suggestions:");
                page.list(bottleneck.suggestions.iter().map(|suggestion| prose(suggestion)));
            }
        }
    }
}

fn stages(page: &mut Page, session: &ProfilingSession) {
    let flows = Flow::all(session);
    if flows.is_empty() {
        return;
    }
    page.line("## Stages");
    for flow in &flows {
        page.line(&format!(
            "Pipeline {}: {} samples in {}; the consumer waited {} of the time{}.",
            code(flow.name),
            human::count(flow.items),
            human::duration(flow.window_s),
            human::percent(flow.consumer_wait_share),
            flow.queue_readiness.map_or_else(String::new, |share| format!(
                ", something was ready for it {} of the time",
                human::percent(share)
            ))
        ));
        let rows = flow.stations.iter().flat_map(|station| {
            station.stages.iter().map(move |stage| {
                let attribution = stage.attribution;
                vec![
                    code(station.name),
                    human::count(station.threads as u64),
                    format!(
                        "{}{}",
                        code(stage.name),
                        if stage.limits { " **limits**" } else { "" }
                    ),
                    prose(stage.kind.name()),
                    absent(stage.item_s.map(human::ms)),
                    human::percent(stage.share),
                    absent(stage.cpu_share.map(human::percent)),
                    absent(attribution.map(|a| human::percent(a.optimization_potential))),
                    absent(attribution.and_then(|a| a.interval).map(|[low, high]| {
                        format!("{} to {}", human::percent(low), human::percent(high))
                    })),
                    absent(attribution.map(|a| prose(&a.next_limiter))),
                ]
            })
        });
        page.table(
            &[
                "Station",
                "Threads",
                "Stage",
                "Kind",
                "ms a sample",
                "Of thread time",
                "Computing",
                "Saved if free",
                "95% interval",
                "Then limits",
            ],
            rows.collect(),
        );
    }
}

fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { human::percent(part / whole) } else { "n/a".to_owned() }
}

fn absent(text: Option<String>) -> String {
    text.unwrap_or_else(|| "n/a".to_owned())
}

/// Blocks with an empty line after each.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text += "\n\n";
    }

    fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let before = self.text.len();
        for item in items {
            let _ = writeln!(self.text, "- {item}");
        }
        if self.text.len() > before {
            self.text.push('\n');
        }
    }

    fn pairs<N: AsRef<str>>(&mut self, pairs: impl IntoIterator<Item = (N, String)>) {
        self.list(
            pairs
                .into_iter()
                .map(|(name, text)| format!("**{}**: {}", prose(name.as_ref()), prose(&text))),
        );
    }

    /// Nothing where there are no rows. Columns of numbers are aligned to the right.
    fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if rows.is_empty() {
            return;
        }
        let numeric = |column: usize| {
            let mut cells = rows.iter().map(|row| row.get(column).map_or("", String::as_str));
            cells.all(|cell| cell == "n/a" || cell.starts_with(|c: char| c.is_ascii_digit()))
        };
        let rule = (0..head.len()).map(|column| if numeric(column) { "---:" } else { "---" });
        let rule = rule.collect::<Vec<_>>().join(" | ");
        let _ = writeln!(self.text, "| {} |\n| {rule} |", head.join(" | "));
        for row in &rows {
            let cells = row.iter().map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(self.text, "| {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        self.text.push('\n');
    }
}

/// A name as it is: in backticks, more of them than there are in it.
fn code(name: &str) -> String {
    let name = one_line(name);
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if name.starts_with('`') || name.ends_with('`') { " " } else { "" };
    if name.is_empty() { "(no name)".to_owned() } else { format!("{fence}{pad}{name}{pad}{fence}") }
}

/// A sentence: what is in backticks stays, all else that means something to Markdown or HTML is
/// only itself.
fn prose(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut in_code = false;
    let odd = text.matches('`').count() % 2 == 1;
    for c in one_line(text).chars() {
        match c {
            '`' if odd => escaped += "\\`",
            '`' => {
                in_code = !in_code;
                escaped.push('`');
            }
            _ if in_code => escaped.push(c),
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '*' | '[' | ']' | '\\' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sentences_mean_only_themselves() {
        assert_eq!(code("high_memory_usage"), "`high_memory_usage`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "(no name)");
        assert_eq!(prose("a <b> & *c*\n# d"), "a &lt;b> &amp; \\*c\\* \\# d");
        assert_eq!(prose("`<x>` is *x*"), "`<x>` is \\*x\\*");
        assert_eq!(prose("one ` alone"), "one \\` alone");
    }
}
