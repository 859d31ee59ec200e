//! `report.html`: one page that needs nothing else, for readers who never saw the tool.
//!
//! Everything that a session holds is written through askama's escapes, [`Prose`] included.

mod flame;
pub(super) mod panel;
pub(super) mod tables;

use std::fmt;
use std::io;
use std::sync::Arc;

use askama::Template;
use askama::filters::{self, HtmlSafe};

use self::flame::Flame;
use self::panel::PanelView;
use self::tables::Table;
use crate::extend::{Chart, PluginError, ReportFormat};
use crate::report::digest::{self, Flow};
use crate::report::verdict::Verdict;
use crate::report::{charts, human, page, palette, panels};
use crate::session::ProfilingSession;

/// `report.html`, with those charts beside its own.
#[derive(Clone)]
pub struct Html(pub Vec<Arc<dyn Chart>>);

impl ReportFormat for Html {
    fn file_name(&self, _session: &ProfilingSession) -> String {
        "report.html".to_owned()
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        Ok(Page::of(session, &self.0)?.write_into(out)?)
    }
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    css: &'static str,
    script: &'static str,
    colours: String,
    dark_colours: String,
    session: &'a ProfilingSession,
    written: String,
    started: String,
    finished: Option<String>,
    duration: String,
    verdict: Verdict,
    sentence: Prose,
    meaning: Prose,
    first_step: Option<Prose>,
    tiles: Vec<Tile>,
    pipelines: Vec<Pipeline>,
    flame: Option<Flame>,
    cards: Vec<Card>,
    threshold: String,
    panels: Vec<PanelView>,
    pictures: Vec<Picture>,
    tables: Vec<Table>,
    machine: Vec<(&'static str, String)>,
    settings: Vec<(String, String)>,
    trackers: Vec<(String, Option<Prose>)>,
    notes: Vec<Prose>,
}

/// A number that stands for itself.
struct Tile {
    name: String,
    value: String,
    about: String,
}

struct Pipeline {
    name: String,
    about: String,
    lanes: Vec<Lane>,
    unclear: bool,
}

/// The time of some threads, as one bar.
struct Lane {
    name: String,
    about: String,
    parts: Vec<Part>,
}

struct Part {
    name: String,
    class: &'static str,
    /// Of 100.
    width: f64,
    share: String,
    about: String,
    /// 0 to 3: stages of one kind differ in it.
    shade: usize,
    limits: bool,
}

struct Card {
    name: String,
    class: &'static str,
    kind: String,
    kind_meaning: Option<&'static str>,
    severity: String,
    /// Of 100.
    meter: f64,
    potential: Option<String>,
    frequency: String,
    time: String,
    cause: Prose,
    suggestions: Vec<Prose>,
}

/// A chart of the program's own.
struct Picture {
    title: String,
    png: String,
    width: u32,
}

impl<'a> Page<'a> {
    fn of(session: &'a ProfilingSession, more: &[Arc<dyn Chart>]) -> Result<Self, PluginError> {
        let verdict = Verdict::of(session);
        let flows = Flow::all(session);
        let panels = panels::resources(session).into_iter().chain(panels::others(session));
        let pictures = more.iter().map(|chart| {
            let png = charts::png(&chart.svg(session)?, 2.0)?;
            Ok(Picture {
                title: chart.title().to_owned(),
                png: data_encoding::BASE64.encode(&png.bytes),
                width: png.width / 2,
            })
        });
        Ok(Self {
            css: page::CSS,
            script: page::SCRIPT,
            colours: palette::variables(false),
            dark_colours: palette::variables(true),
            session,
            written: human::now(),
            started: human::moment(&session.started),
            finished: session.finished.as_deref().map(human::moment),
            duration: human::duration(session.duration_s),
            sentence: Prose::new(&verdict.sentence),
            meaning: Prose::new(&verdict.meaning),
            first_step: verdict.first_step.as_deref().map(Prose::new),
            verdict,
            tiles: tiles(session, &flows),
            pipelines: flows.iter().map(pipeline).collect(),
            flame: Flame::of(&session.performance_metrics.operations),
            cards: session.bottlenecks.iter().map(card).collect(),
            threshold: human::percent(session.config.bottleneck_threshold),
            panels: panels.map(PanelView::of).collect(),
            pictures: pictures.collect::<Result<_, PluginError>>()?,
            tables: tables::all(session, &flows),
            machine: digest::machine_lines(session),
            settings: settings(session),
            trackers: session
                .trackers
                .iter()
                .map(|tracker| {
                    let why = || Prose::new(&digest::why_absent(session, &tracker.name));
                    (tracker.name.clone(), tracker.unavailable.as_ref().map(|_| why()))
                })
                .collect(),
            notes: digest::notes(session).iter().map(|note| Prose::new(note)).collect(),
        })
    }
}

fn tiles(session: &ProfilingSession, flows: &[Flow<'_>]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut tile = |name: &str, value: String, about: String| {
        tiles.push(Tile { name: name.to_owned(), value, about });
    };
    tile("Duration", human::duration(session.duration_s), "from begin to end".to_owned());
    let waits_most =
        flows.iter().max_by(|a, b| a.consumer_wait_share.total_cmp(&b.consumer_wait_share));
    if let Some(flow) = waits_most {
        let rate = human::per_second(flow.items_per_s);
        tile("Throughput", rate, format!("samples from {}", flow.name));
        let share = human::percent(flow.consumer_wait_share);
        tile("Waiting for data", share, "of the time".to_owned());
    }
    let metrics = &session.performance_metrics;
    tile(
        "CPU",
        human::percent(metrics.cpu_percent / 100.0),
        format!("of {} usable cores", human::cores(session.machine.usable_cores)),
    );
    if let Some(memory) = &session.memory_profile {
        let share = memory.limit_bytes.map(|limit| {
            let share = memory.peak_bytes as f64 / limit.max(1) as f64;
            format!("{} of the limit", human::percent(share))
        });
        let about = share.unwrap_or_else(|| "resident".to_owned());
        tile("Peak memory", human::mb(memory.peak_bytes as f64), about);
    }
    for gpu in session.gpu_profile.iter().flat_map(|gpus| &gpus.devices).take(2) {
        let Some(busy) = gpu.utilization_mean_percent else { continue };
        tile(&format!("GPU {}", gpu.index), human::percent(busy / 100.0), "busy, mean".to_owned());
    }
    tiles
}

fn pipeline(flow: &Flow<'_>) -> Pipeline {
    let mut lanes: Vec<Lane> = Vec::new();
    for station in &flow.stations {
        let mut parts: Vec<Part> = Vec::new();
        for stage in &station.stages {
            let class = palette::class(stage.kind);
            let same = parts.iter().filter(|part| part.class == class).count();
            let mut about = digest::kind_label(stage.kind).to_owned();
            if let Some(item_s) = stage.item_s {
                about += &format!(", {} a sample", human::duration(item_s));
            }
            parts.push(Part {
                name: stage.name.to_owned(),
                class,
                width: 0.0,
                share: human::percent(stage.share),
                about,
                shade: same.min(3),
                limits: stage.limits,
            });
        }
        parts.push(waiting("waiting", station.wait_share, "no work came, or there was no room"));
        let shares = station.stages.iter().map(|stage| stage.share).chain([station.wait_share]);
        scale(&mut parts, shares);
        let threads = if station.threads == 1 { "thread" } else { "threads" };
        let place = if station.on_consumer { ", the consumer's own" } else { "" };
        lanes.push(Lane {
            name: station.name.to_owned(),
            about: format!(
                "{} {threads}{place} · {} busy",
                station.threads,
                human::percent(station.busy_share)
            ),
            parts,
        });
    }
    let mut parts = vec![waiting("waits for data", flow.consumer_wait_share, "nothing was ready")];
    parts.push(Part {
        class: "work",
        ..waiting("its own work", flow.consumer_busy_share, "such as forward and backward")
    });
    scale(&mut parts, [flow.consumer_wait_share, flow.consumer_busy_share].into_iter());
    let ready = flow
        .queue_readiness
        .map(|share| format!(" · something was ready {} of the time", human::percent(share)));
    lanes.push(Lane {
        name: "consumer".to_owned(),
        about: format!("who takes the batches{}", ready.unwrap_or_default()),
        parts,
    });
    Pipeline {
        name: flow.name.to_owned(),
        about: format!(
            "{} samples in {} batches over {}, {}",
            human::count(flow.items),
            human::count(flow.batches),
            human::duration(flow.window_s),
            human::per_second(flow.items_per_s)
        ),
        lanes,
        unclear: !flow.attributed,
    }
}

fn waiting(name: &str, share: f64, about: &str) -> Part {
    Part {
        name: name.to_owned(),
        class: "idle",
        width: 0.0,
        share: human::percent(share),
        about: about.to_owned(),
        shade: 0,
        limits: false,
    }
}

/// Widths of the parts: all of the bar at most.
fn scale(parts: &mut [Part], shares: impl Iterator<Item = f64> + Clone) {
    let whole = shares.clone().sum::<f64>().max(1.0);
    for (part, share) in parts.iter_mut().zip(shares) {
        part.width = share / whole * 100.0;
    }
}

fn card(found: &crate::bottleneck::Bottleneck) -> Card {
    Card {
        name: found.name.clone(),
        class: palette::class(&found.kind),
        kind: digest::kind_label(&found.kind).to_owned(),
        kind_meaning: digest::kind_meaning(&found.kind),
        severity: human::number(found.severity, 2),
        meter: (found.severity * 100.0).clamp(0.0, 100.0),
        potential: found.optimization_potential.map(human::percent),
        frequency: human::count(found.frequency),
        time: human::duration(found.total_time_s),
        cause: Prose::new(&found.cause),
        suggestions: found.suggestions.iter().map(|advice| Prose::new(advice)).collect(),
    }
}

fn settings(session: &ProfilingSession) -> Vec<(String, String)> {
    let config = &session.config;
    let mut lines = vec![
        ("Level".to_owned(), digest::level(session).to_owned()),
        ("Sampling".to_owned(), format!("every {}", human::duration(config.sampling_interval))),
        (
            "Thresholds".to_owned(),
            format!(
                "bottleneck {}, memory {}, GPU memory {}",
                human::percent(config.bottleneck_threshold),
                human::percent(config.memory_threshold),
                human::percent(config.gpu_threshold)
            ),
        ),
    ];
    lines.extend(session.attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    lines
}

/// A sentence of plain text, in which what is in backticks is a name or a value.
pub struct Prose(String);

impl Prose {
    /// Of such a sentence.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl HtmlSafe for Prose {}

/// As HTML: escaped, with names and values as code.
impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('`').collect();
        // An odd number of backticks cannot be pairs.
        let paired = parts.len() % 2 == 1;
        for (at, part) in parts.iter().enumerate() {
            let escaped = filters::escape(part, filters::Html).map_err(|_| fmt::Error)?;
            match (paired, at % 2) {
                (true, 1) => write!(f, "<code>{escaped}</code>")?,
                (false, _) if at > 0 => write!(f, "`{escaped}")?,
                _ => write!(f, "{escaped}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_escaped_and_pairs_of_backticks_are_code() {
        assert_eq!(Prose::new("`<b>` & c").to_string(), "<code>&#60;b&#62;</code> &#38; c");
        assert_eq!(Prose::new("a ` <i>").to_string(), "a ` &#60;i&#62;");
        assert_eq!(Prose::new("").to_string(), "");
    }
}
