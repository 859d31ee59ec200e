//! What reports tell that a session does not hold in so many words: bottlenecks by kind, where the
//! time of a pipeline's threads went, the machine in lines.

use crate::attribution::StageAttribution;
use crate::bottleneck::{Bottleneck, BottleneckType};
use crate::pipeline::{PipelineSnapshot, StationSnapshot};
use crate::report::human;
use crate::session::{PipelineProfile, ProfilingSession};

/// The bottlenecks of each kind: kinds and bottlenecks in the session's order, worst first.
pub(crate) fn by_kind(bottlenecks: &[Bottleneck]) -> Vec<(&BottleneckType, Vec<&Bottleneck>)> {
    let mut kinds: Vec<(&BottleneckType, Vec<&Bottleneck>)> = Vec::new();
    for bottleneck in bottlenecks {
        match kinds.iter_mut().find(|(kind, _)| **kind == bottleneck.kind) {
            Some((_, of_kind)) => of_kind.push(bottleneck),
            None => kinds.push((&bottleneck.kind, vec![bottleneck])),
        }
    }
    kinds
}

/// A kind as people read it.
pub(crate) fn kind_label(kind: &BottleneckType) -> &str {
    match kind {
        BottleneckType::DataLoading => "Data loading",
        BottleneckType::Preprocessing => "Preprocessing",
        BottleneckType::MemoryAllocation => "Memory",
        BottleneckType::GpuTransfer => "GPU transfer",
        BottleneckType::CpuComputation => "CPU computation",
        BottleneckType::IoOperation => "Storage I/O",
        BottleneckType::NetworkLatency => "Network",
        BottleneckType::Synchronization => "Synchronization",
        BottleneckType::Undeclared => "Undeclared",
        BottleneckType::Custom(name) => name,
    }
}

/// What a kind is, for whoever never heard of it; `None` for one of the program's own.
pub(crate) fn kind_meaning(kind: &BottleneckType) -> Option<&'static str> {
    Some(match kind {
        BottleneckType::DataLoading => "the program waits for its next batch",
        BottleneckType::Preprocessing => "samples are decoded or transformed",
        BottleneckType::MemoryAllocation => "memory is short, or allocating it takes time",
        BottleneckType::GpuTransfer => "data is copied to a GPU, or its memory is short",
        BottleneckType::CpuComputation => "the processor computes",
        BottleneckType::IoOperation => "files are read or written",
        BottleneckType::NetworkLatency => "a peer on the network is awaited",
        BottleneckType::Synchronization => "threads wait for each other, or for a core",
        BottleneckType::Undeclared => "too little was measured to tell",
        BottleneckType::Custom(_) => return None,
    })
}

/// Where the time of a pipeline's threads went, over all of its snapshots.
pub(crate) struct Flow<'a> {
    pub(crate) name: &'a str,
    /// Seconds that its snapshots cover.
    pub(crate) window_s: f64,
    pub(crate) items: u64,
    pub(crate) batches: u64,
    pub(crate) items_per_s: f64,
    /// Shares of the window, as far as the consumer told.
    pub(crate) consumer_wait_share: f64,
    pub(crate) consumer_busy_share: f64,
    pub(crate) queue_readiness: Option<f64>,
    pub(crate) stations: Vec<Station<'a>>,
    /// What was made of it; `None` where too little was recorded.
    pub(crate) attributed: bool,
}

pub(crate) struct Station<'a> {
    pub(crate) name: &'a str,
    pub(crate) threads: usize,
    pub(crate) on_consumer: bool,
    pub(crate) stages: Vec<Stage<'a>>,
    /// Shares of its threads' time.
    pub(crate) busy_share: f64,
    pub(crate) wait_share: f64,
}

pub(crate) struct Stage<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: &'a BottleneckType,
    pub(crate) busy_s: f64,
    /// Of its station's thread time.
    pub(crate) share: f64,
    /// Busy thread-seconds for each item; `None` where no item came.
    pub(crate) item_s: Option<f64>,
    /// Of its busy time, where it was timed.
    pub(crate) cpu_share: Option<f64>,
    pub(crate) attribution: Option<&'a StageAttribution>,
    /// Whether it is the stage that limits the pipeline.
    pub(crate) limits: bool,
}

impl<'a> Flow<'a> {
    /// `None` where the pipeline told of itself less than twice.
    pub(crate) fn of(profile: &'a PipelineProfile) -> Option<Self> {
        let (first, last) = (profile.snapshots.first()?, profile.snapshots.last()?);
        let window_s = Some(last.at_s - first.at_s).filter(|seconds| *seconds > 0.0)?;
        let items = last.items.saturating_sub(first.items);
        let share = |of: fn(&PipelineSnapshot) -> f64| grown(of(first), of(last)) / window_s;
        let stations = last.stations.iter().enumerate().map(|(at, station)| {
            let before = first.stations.get(at).filter(|before| before.name == station.name);
            Station::of(profile, at, before, station, window_s, items)
        });
        Some(Self {
            name: &profile.name,
            window_s,
            items,
            batches: last.batches.saturating_sub(first.batches),
            items_per_s: items as f64 / window_s,
            consumer_wait_share: share(PipelineSnapshot::input_s).min(1.0),
            consumer_busy_share: share(|snapshot| snapshot.consumer_busy_s).min(1.0),
            queue_readiness: profile.attribution.as_ref().and_then(|a| a.queue_readiness),
            stations: stations.collect(),
            attributed: profile.attribution.is_some(),
        })
    }

    /// Of every pipeline that told enough.
    pub(crate) fn all(session: &'a ProfilingSession) -> Vec<Self> {
        session.performance_metrics.pipelines.iter().filter_map(Self::of).collect()
    }
}

impl<'a> Station<'a> {
    fn of(
        profile: &'a PipelineProfile,
        at: usize,
        before: Option<&'a StationSnapshot>,
        now: &'a StationSnapshot,
        window_s: f64,
        items: u64,
    ) -> Self {
        let thread_s = window_s * now.threads.max(1) as f64;
        let attribution = profile.attribution.as_ref();
        let attributed = attribution.and_then(|attribution| attribution.stations.get(at));
        let stages = now.stages.iter().enumerate().map(|(place, stage)| {
            let earlier = before.and_then(|before| before.stages.get(place));
            let since = |of: fn(&crate::pipeline::StageSnapshot) -> f64| {
                grown(earlier.map_or(0.0, of), of(stage))
            };
            let busy_s = since(|stage| stage.busy_s);
            let (cpu_s, wall_s) = (since(|s| s.timed_cpu_s), since(|s| s.timed_wall_s));
            let attribution_of_stage = attributed
                .and_then(|station| station.stages.get(place))
                .filter(|attributed| attributed.name == stage.name);
            Stage {
                name: &stage.name,
                kind: attribution_of_stage.map_or(&stage.kind, |attributed| &attributed.kind),
                busy_s,
                share: busy_s / thread_s,
                item_s: (items > 0).then(|| busy_s / items as f64),
                cpu_share: (wall_s > 0.0).then(|| (cpu_s / wall_s).min(1.0)),
                attribution: attribution_of_stage,
                limits: attribution
                    .is_some_and(|a| (a.limiting_station, a.limiting_stage) == (at, place)),
            }
        });
        let stages: Vec<Stage<'_>> = stages.collect();
        let wait_s = grown(before.map_or(0.0, |before| before.wait_s), now.wait_s);
        Self {
            name: &now.name,
            threads: now.threads,
            on_consumer: now.on_consumer,
            busy_share: stages.iter().map(|stage| stage.share).sum(),
            wait_share: wait_s / thread_s,
            stages,
        }
    }
}

/// How far a counter came; 0 for one that went backwards or is no number.
fn grown(before: f64, now: f64) -> f64 {
    let grown = now - before;
    if grown.is_finite() { grown.max(0.0) } else { 0.0 }
}

/// The session in short: name and text of each line.
pub(crate) fn summary_lines(session: &ProfilingSession) -> Vec<(&'static str, String)> {
    let finished = match &session.finished {
        Some(finished) => human::moment(finished),
        None => "still open".to_owned(),
    };
    vec![
        ("Session ID", session.session_id.clone()),
        ("Name", session.name.clone()),
        ("Start", human::moment(&session.started)),
        ("End", finished),
        ("Duration", human::duration(session.duration_s)),
        ("Level", level(session).to_owned()),
    ]
}

pub(crate) fn level(session: &ProfilingSession) -> &'static str {
    use crate::config::ProfilingLevel;
    match session.config.profiling_level {
        ProfilingLevel::Basic => "basic",
        ProfilingLevel::Detailed => "detailed",
        ProfilingLevel::Comprehensive => "comprehensive",
        ProfilingLevel::Production => "production",
    }
}

/// What the whole program used.
pub(crate) fn metric_lines(session: &ProfilingSession) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: String, text: String| lines.push((name, text));
    let metrics = &session.performance_metrics;
    for flow in Flow::all(session) {
        let batches = metrics_rate(flow.batches, flow.window_s);
        line(
            format!("Throughput of `{}`", flow.name),
            format!("{} samples, {batches} batches", human::per_second(flow.items_per_s)),
        );
        line(
            format!("Wait for `{}`", flow.name),
            format!("{} of the consumer's time", human::percent(flow.consumer_wait_share)),
        );
    }
    line(
        "CPU".to_owned(),
        format!(
            "{} of the usable cores, {} of CPU time",
            human::percent(metrics.cpu_percent / 100.0),
            human::duration(metrics.cpu_s)
        ),
    );
    if let Some(memory) = &session.memory_profile {
        let limit = memory.limit_bytes.map(|limit| {
            let share = memory.peak_bytes as f64 / limit.max(1) as f64;
            format!(", {} of the {} limit", human::percent(share), human::mb(limit as f64))
        });
        line(
            "Memory".to_owned(),
            format!(
                "mean {}, peak {}{}",
                human::mb(memory.mean_bytes as f64),
                human::mb(memory.peak_bytes as f64),
                limit.unwrap_or_default()
            ),
        );
    }
    for gpu in session.gpu_profile.iter().flat_map(|gpus| &gpus.devices) {
        let known = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
        line(
            format!("GPU {} ({})", gpu.index, gpu.name),
            format!(
                "busy {}, memory peak {} of {}, this process {}",
                known(gpu.utilization_mean_percent.map(|p| human::percent(p / 100.0))),
                known(gpu.memory_peak_bytes.map(|bytes| human::mb(bytes as f64))),
                known(gpu.memory_total_bytes.map(|bytes| human::mb(bytes as f64))),
                known(gpu.process_peak_bytes.map(|bytes| human::mb(bytes as f64))),
            ),
        );
    }
    lines
}

fn metrics_rate(count: u64, seconds: f64) -> String {
    human::per_second(count as f64 / seconds)
}

/// The machine in lines.
pub(crate) fn machine_lines(session: &ProfilingSession) -> Vec<(&'static str, String)> {
    let machine = &session.machine;
    let limit = match machine.memory_limit_bytes {
        Some(limit) => format!(", of which this process may use {}", human::mb(limit as f64)),
        None => String::new(),
    };
    vec![
        ("Processor", machine.cpu_model.clone()),
        (
            "Cores",
            format!(
                "{}, of which this process may use {}",
                machine.cores,
                human::cores(machine.usable_cores)
            ),
        ),
        ("Memory", format!("{}{limit}", human::mb(machine.memory_bytes as f64))),
        ("GPUs", if machine.gpus.is_empty() { "none".into() } else { machine.gpus.join(", ") }),
        ("System", machine.os.clone()),
    ]
}

/// Why a tracker has no figures in this session.
pub(crate) fn why_absent(session: &ProfilingSession, tracker: &str) -> String {
    let config = &session.config;
    let enabled = match tracker {
        "memory" => config.enable_memory_tracking,
        "cpu" => config.enable_cpu_tracking,
        "gpu" => config.enable_gpu_tracking,
        "io" => config.enable_io_tracking,
        _ => true,
    };
    let status = session.trackers.iter().find(|status| status.name == tracker);
    let reason = status.and_then(|status| status.unavailable.as_ref());
    match (enabled, reason) {
        // The first line says why; what follows is a hint for whoever can still change it. That there
        // are no figures is said before.
        (_, Some(reason)) => {
            let why = reason.lines().next().unwrap_or_default();
            why.strip_prefix("no GPU figures: ").unwrap_or(why).to_owned()
        }
        (false, None) => format!("switched off by `enable_{tracker}_tracking = false`"),
        (true, None) if session.resources.is_empty() => "no sample was taken".to_owned(),
        (true, None) => "it gave no figures".to_owned(),
    }
}

/// What a reader should know: the session's own notes, and what was left out.
pub(crate) fn notes(session: &ProfilingSession) -> Vec<String> {
    let mut notes = Vec::new();
    if session.finished.is_none() {
        notes.push("The session was still open when this was written.".to_owned());
    }
    notes.extend(session.notes.iter().cloned());
    if session.resources_dropped > 0 {
        notes.push(format!(
            "{} samples of the trackers were left out to bound memory; {} are kept.",
            human::count(session.resources_dropped),
            human::count(session.resources.len() as u64)
        ));
    }
    if session.timeline_dropped > 0 {
        notes.push(format!(
            "{} spans found no room in the timeline; {} are kept.",
            human::count(session.timeline_dropped),
            human::count(session.timeline.len() as u64)
        ));
    }
    notes
}
