//! `events.out.tfevents.*`: scalars over time, the charts as images and the report as text, for
//! TensorBoard.
//!
//! A file of records: the length of the record (8 bytes, little-endian), a masked CRC-32C of the
//! length, the record, a masked CRC-32C of the record. A record is an `Event` of TensorFlow's
//! `event.proto`, of which the messages below are the fields that are used here.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use prost::Message;

use crate::extend::{Chart, PluginError, ReportFormat};
use crate::report::rates::{io_rates, windows};
use crate::report::{charts, markdown};
use crate::session::ProfilingSession;

/// The event file, with those charts as images.
#[derive(Clone)]
pub struct TensorBoard(pub Vec<Arc<dyn Chart>>);

impl ReportFormat for TensorBoard {
    fn file_name(&self, session: &ProfilingSession) -> String {
        // TensorBoard reads what has `tfevents` in its name; the number is the time by which it
        // puts the files of a folder in order.
        format!("events.out.tfevents.{}.{}", started(session) as i64, session.session_id)
    }

    fn write(
        &self,
        session: &ProfilingSession,
        out: &mut dyn io::Write,
    ) -> Result<(), PluginError> {
        let start = started(session);
        let version = Some(What::FileVersion("brain.Event:2".to_owned()));
        record(out, &Event { wall_time: start, step: 0, what: version })?;
        scalars(session, &mut |step, at_s, values| {
            let values = values.into_iter().filter(|(_, value)| value.is_finite());
            let values = values.map(|(tag, value)| Value::new(tag, Kind::Scalar(value as f32)));
            summary(out, start + at_s, step, values.collect())
        })?;
        let end = start + session.duration_s;
        for chart in &self.0 {
            // Twice the size is for paper.
            let png = charts::png(&chart.svg(session)?, 1.0)?;
            let image = Image {
                height: png.height as i32,
                width: png.width as i32,
                colorspace: 4,
                encoded: png.bytes,
            };
            let tag = format!("charts/{}", chart.title());
            summary(out, end, 0, vec![Value::new(tag, Kind::Image(image))])?;
        }
        let text =
            Tensor { dtype: DT_STRING, text: vec![markdown::markdown(session).into_bytes()] };
        let mut value = Value::new("report".to_owned(), Kind::Tensor(text));
        let plugin = PluginData { plugin_name: "text".to_owned() };
        value.metadata = Some(Metadata { plugin_data: Some(plugin) });
        summary(out, end, 0, vec![value])
    }
}

/// When the session began, in seconds since 1970; 0 where that cannot be read.
fn started(session: &ProfilingSession) -> f64 {
    let started = session.started.parse::<Timestamp>();
    started.map_or(0.0, |started| started.as_millisecond() as f64 / 1e3)
}

type Scalars = Vec<(String, f64)>;
type Emit<'a> = &'a mut dyn FnMut(i64, f64, Scalars) -> Result<(), PluginError>;

/// Values by step and time. A step is a sample of the trackers, or a snapshot of the pipeline.
fn scalars(session: &ProfilingSession, emit: Emit<'_>) -> Result<(), PluginError> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (step, sample) in (0..).zip(&session.resources) {
        let mut values = Scalars::new();
        let mut add = |tag: &str, value: Option<f64>| {
            values.extend(value.map(|value| (tag.to_owned(), value)));
        };
        add("resources/memory_resident_mb", sample.memory.map(|m| mib(m.resident_bytes)));
        add("resources/cpu_percent", sample.cpu.and_then(|cpu| cpu.process_percent));
        for gpu in sample.gpus.iter().flatten() {
            let tag = |name: &str| format!("resources/gpu{}_{name}", gpu.index);
            add(&tag("busy_percent"), gpu.utilization_percent.map(f64::from));
            add(&tag("memory_mb"), gpu.memory_used_bytes.map(mib));
        }
        for (name, value) in &sample.metrics {
            add(&format!("metrics/{name}"), Some(*value));
        }
        emit(step, sample.at_s, values)?;
    }
    for (step, (at_s, rates)) in (1..).zip(io_rates(&session.resources)) {
        let values = rates.into_iter().flat_map(|rates| {
            [("read", rates.read_mb), ("written", rates.written_mb)]
                .map(|(name, rate)| (format!("resources/io_{name}_mb_per_s"), rate))
        });
        emit(step, at_s, values.collect())?;
    }
    for pipeline in &session.performance_metrics.pipelines {
        for (step, window) in (0..).zip(windows(&pipeline.snapshots)) {
            let tag = |name: &str| format!("pipelines/{}/{name}", pipeline.name);
            let mut values = vec![
                (tag("samples_per_s"), window.items_per_s),
                (tag("wait_percent"), window.wait_share * 100.0),
            ];
            values.extend(window.empty_share.map(|share| (tag("empty_percent"), share * 100.0)));
            emit(step, window.at_s, values)?;
        }
    }
    for bottleneck in &session.bottlenecks {
        let tag = |name: &str| format!("bottlenecks/{}/{name}", bottleneck.name);
        let mut values = vec![(tag("severity"), bottleneck.severity)];
        values.extend(bottleneck.optimization_potential.map(|share| (tag("potential"), share)));
        emit(0, session.duration_s, values)?;
    }
    Ok(())
}

fn summary(
    out: &mut dyn io::Write,
    wall_time: f64,
    step: i64,
    values: Vec<Value>,
) -> Result<(), PluginError> {
    if values.is_empty() || !wall_time.is_finite() {
        return Ok(());
    }
    record(out, &Event { wall_time, step, what: Some(What::Summary(Summary { values })) })
}

fn record(out: &mut dyn io::Write, event: &Event) -> Result<(), PluginError> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(&data)?;
    out.write_all(&masked_crc(&data).to_le_bytes())?;
    Ok(())
}

/// A checksum turned and shifted, so that one of data that holds checksums is as good as any
/// (TensorFlow's `crc32c.h`).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

const DT_STRING: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(message, optional, tag = "9")]
    metadata: Option<Metadata>,
    #[prost(oneof = "Kind", tags = "2, 4, 8")]
    kind: Option<Kind>,
}

impl Value {
    fn new(tag: String, kind: Kind) -> Self {
        Self { tag, metadata: None, kind: Some(kind) }
    }
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 4: red, green, blue, alpha.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(bytes = "vec", repeated, tag = "8")]
    text: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(message, optional, tag = "1")]
    plugin_data: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
struct PluginData {
    #[prost(string, tag = "1")]
    plugin_name: String,
}
