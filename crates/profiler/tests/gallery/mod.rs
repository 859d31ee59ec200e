//! Sessions made by hand, for reports to look at and to test with.

use std::collections::BTreeMap;

use profiler::attribution::{Attribution, StageAttribution, StationAttribution, Verdict};
use profiler::bottleneck::{Bottleneck, BottleneckType};
use profiler::config::{ProfilerConfig, ProfilingLevel};
use profiler::gpu::GpuReading;
use profiler::machine::Machine;
use profiler::pipeline::{PipelineSnapshot, StageSnapshot, StationSnapshot};
use profiler::resources::{
    CpuSample, IoSample, MemorySample, ResourceSample, ThreadUsage, TrackerStatus,
};
use profiler::session::{
    GpuDeviceProfile, GpuProfile, MemoryProfile, OperationStats, PerformanceMetrics,
    PipelineProfile, ProfilingSession, SCHEMA, Span,
};

const MIB: u64 = 1 << 20;
const SECONDS: f64 = 42.0;
const STEPS: u64 = 840;

/// A session in which nothing happened.
pub(crate) fn empty() -> ProfilingSession {
    ProfilingSession {
        schema: SCHEMA.to_owned(),
        session_id: "20261122T211230-empty-0001".to_owned(),
        name: "empty".to_owned(),
        started: "2026-11-22T21:12:30.250Z".to_owned(),
        finished: Some("2026-11-22T21:12:30.251Z".to_owned()),
        duration_s: 0.001,
        config: ProfilerConfig::default(),
        machine: Machine {
            cpu_model: "AMD EPYC 9334 32-Core Processor".to_owned(),
            cores: 16,
            usable_cores: 8.0,
            memory_bytes: 128 << 30,
            memory_limit_bytes: Some(32 << 30),
            available_memory_bytes: 30 << 30,
            gpus: Vec::new(),
            os: "Debian GNU/Linux 12, Linux 6.12".to_owned(),
        },
        attributes: BTreeMap::new(),
        performance_metrics: PerformanceMetrics::default(),
        bottlenecks: Vec::new(),
        memory_profile: None,
        gpu_profile: None,
        threads: Vec::new(),
        resources: Vec::new(),
        resources_dropped: 0,
        trackers: vec![TrackerStatus {
            name: "gpu".to_owned(),
            unavailable: Some(
                "the NVIDIA driver's library `libnvidia-ml.so.1` could not be loaded\n\
                 hint: `nvidia-smi` tells whether the driver works"
                    .to_owned(),
            ),
        }],
        timeline: Vec::new(),
        timeline_dropped: 0,
        notes: Vec::new(),
    }
}

/// A training loop that waits for its data, on a machine with a GPU.
pub(crate) fn training() -> ProfilingSession {
    let mut session = empty();
    session.session_id = "20261122T211230-resnet50-imagenet-7f3a".to_owned();
    session.name = "resnet50 on imagenet, epoch 3".to_owned();
    session.finished = Some("2026-11-22T21:13:12.250Z".to_owned());
    session.duration_s = SECONDS;
    session.config.profiling_level = ProfilingLevel::Comprehensive;
    session.machine.gpus = vec!["NVIDIA H100 80GB HBM3".to_owned()];
    session.attributes = BTreeMap::from(
        [
            ("data", "imagenet-like, 1,500 images, 3f9a12"),
            ("batch_size", "64"),
            ("num_workers", "4"),
            ("prefetch_depth", "2"),
            ("libtorch", "2.11.0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    session.trackers = ["memory", "cpu", "gpu", "io"]
        .map(|name| TrackerStatus { name: name.to_owned(), unavailable: None })
        .to_vec();
    session.trackers.push(TrackerStatus {
        name: "allocator".to_owned(),
        unavailable: Some("libtorch was built without CUDA".to_owned()),
    });
    session.performance_metrics = PerformanceMetrics {
        operations: operations(),
        pipelines: vec![pipeline()],
        cpu_s: 4.05 * SECONDS,
        cpu_percent: 50.6,
    };
    session.bottlenecks = bottlenecks();
    session.memory_profile = Some(MemoryProfile {
        start_bytes: 912 * MIB,
        end_bytes: 2740 * MIB,
        mean_bytes: 2311 * MIB,
        peak_bytes: 2812 * MIB,
        limit_bytes: Some(32 << 30),
    });
    session.gpu_profile = Some(GpuProfile {
        devices: vec![GpuDeviceProfile {
            index: 0,
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            memory_peak_bytes: Some(31_200 * MIB),
            memory_total_bytes: Some(81_559 * MIB),
            process_peak_bytes: Some(30_650 * MIB),
            utilization_mean_percent: Some(58.4),
            pcie_rx_mean_bytes_per_s: Some(9.1e8),
            pcie_tx_mean_bytes_per_s: Some(4.0e6),
        }],
    });
    session.threads = threads();
    session.resources = (0..=420).map(sample).collect();
    session.resources_dropped = 0;
    session.timeline = timeline();
    session.timeline_dropped = 12_418;
    session.notes = vec![
        "A guard of `forward` was dropped on another thread than it began on; its \
                          time counts for the thread it began on."
            .to_owned(),
    ];
    session
}

/// Between -1 and 1, the same every time.
fn noise(at: f64) -> f64 {
    ((at * 12.9898).sin() * 43_758.547).fract()
}

fn operation(
    path: &[&str],
    kind: BottleneckType,
    calls: u64,
    total_s: f64,
    self_s: f64,
) -> OperationStats {
    let mean_s = total_s / calls as f64;
    OperationStats {
        path: path.iter().map(|&name| name.to_owned()).collect(),
        kind,
        calls,
        total_s,
        self_s,
        min_s: if calls > 1 { mean_s * 0.82 } else { mean_s },
        max_s: if calls > 1 { mean_s * 2.9 } else { mean_s },
        self_cpu_s: Some(self_s * 0.4),
        evidence: None,
        threads: 1,
        resident_bytes: Some(2740 * MIB),
        gpu_bytes: Some(30_650 * MIB),
        cpu_percent: Some(51.0),
    }
}

fn operations() -> Vec<OperationStats> {
    use BottleneckType::{
        CpuComputation, Custom, DataLoading, GpuTransfer, IoOperation, Preprocessing,
    };
    let custom = |name: &str| Custom(name.to_owned());
    vec![
        operation(&["epoch"], custom("training"), 1, 41.6, 0.9),
        operation(&["epoch", "data_loading"], DataLoading, STEPS, 13.2, 12.1),
        operation(&["epoch", "data_loading", "pin"], GpuTransfer, STEPS, 1.1, 1.1),
        operation(&["epoch", "transfer"], GpuTransfer, STEPS, 2.3, 2.3),
        operation(&["epoch", "forward"], custom("forward"), STEPS, 8.4, 5.2),
        operation(&["epoch", "forward", "augment"], Preprocessing, STEPS, 3.2, 3.2),
        operation(&["epoch", "backward"], custom("backward"), STEPS, 12.9, 12.9),
        operation(&["epoch", "optimizer"], CpuComputation, STEPS, 2.1, 2.1),
        operation(&["epoch", "checkpoint"], IoOperation, 2, 1.8, 0.2),
        operation(&["epoch", "checkpoint", "write"], IoOperation, 2, 1.6, 1.6),
        operation(&["log"], IoOperation, 42, 0.4, 0.4),
    ]
}

fn snapshot(at_s: f64) -> PipelineSnapshot {
    // The loop is slower to begin with, and waits more in the middle.
    let wobble = 0.6 * (at_s / 5.0).sin();
    let items = (64 * (STEPS as f64 * (at_s + wobble * 0.4) / SECONDS) as u64).max(64) - 64;
    let worked = at_s + 0.2 * wobble;
    let stage = |name: &str, kind, share: f64, cpu: f64| StageSnapshot {
        name: name.to_owned(),
        kind,
        busy_s: 4.0 * share * worked,
        timed_cpu_s: 0.1 * share * worked * cpu,
        timed_wall_s: 0.1 * share * worked,
        visits: profiler::pipeline::Visits::default(),
    };
    use BottleneckType::{GpuTransfer, IoOperation, Preprocessing};
    PipelineSnapshot {
        at_s,
        items,
        batches: items / 64,
        consumer_wait_s: 0.31 * at_s + 0.25 * wobble,
        consumer_busy_s: 0.68 * at_s - 0.25 * wobble,
        queue_empty_s: Some(0.3 * at_s + 0.25 * wobble),
        stations: vec![
            StationSnapshot {
                name: "workers".to_owned(),
                threads: 4,
                on_consumer: false,
                wait_s: 4.0 * 0.03 * at_s,
                cpu_s: Some(3.5 * at_s),
                run_delay_s: Some(0.05 * at_s),
                stages: vec![
                    stage("read", IoOperation, 0.09, 0.22),
                    stage("decode", Preprocessing, 0.55, 0.99),
                    stage("transform", Preprocessing, 0.24, 0.98),
                    stage("write", Preprocessing, 0.08, 0.97),
                ],
                ..StationSnapshot::default()
            },
            StationSnapshot {
                name: "transfer".to_owned(),
                threads: 1,
                on_consumer: false,
                wait_s: 0.77 * at_s,
                cpu_s: Some(0.2 * at_s),
                run_delay_s: Some(0.0),
                stages: vec![
                    stage("pin", GpuTransfer, 0.03, 0.8),
                    stage("copy", GpuTransfer, 0.02, 0.1),
                ],
                ..StationSnapshot::default()
            },
        ],
        ..PipelineSnapshot::default()
    }
}

fn pipeline() -> PipelineProfile {
    let stage =
        |name: &str, kind, ms: f64, cpu_share, potential: f64, next: &str| StageAttribution {
            name: name.to_owned(),
            kind,
            demand_s: ms / 1e3,
            cpu_share: Some(cpu_share),
            optimization_potential: potential,
            interval: Some([potential * 0.94, potential * 1.05]),
            next_limiter: next.to_owned(),
        };
    use BottleneckType::{GpuTransfer, IoOperation, Preprocessing};
    PipelineProfile {
        name: "loader".to_owned(),
        snapshots: (0..=420).map(|tick| snapshot(f64::from(tick) * 0.1)).collect(),
        attribution: Some(Attribution {
            verdict: Verdict::HighlyInputBound,
            sentence: "`decode` limits the loader: the training loop waits 31% of its time, and \
                       would be up to 31% faster if `decode` were free; then the loop itself \
                       would limit."
                .to_owned(),
            window_s: SECONDS,
            items_per_s: 1280.0,
            wait_share: 0.31,
            queue_readiness: Some(0.7),
            limiting_station: 0,
            limiting_stage: 1,
            stations: vec![
                StationAttribution {
                    name: "workers".to_owned(),
                    threads: 4,
                    demand_s: 0.003,
                    utilization: 0.96,
                    stages: vec![
                        stage("read", IoOperation, 0.28, 0.22, 0.06, "decode"),
                        stage("decode", Preprocessing, 1.72, 0.99, 0.31, "consumer"),
                        stage("transform", Preprocessing, 0.75, 0.98, 0.24, "decode"),
                        stage("write", Preprocessing, 0.25, 0.97, 0.05, "decode"),
                    ],
                },
                StationAttribution {
                    name: "transfer".to_owned(),
                    threads: 1,
                    demand_s: 0.00016,
                    utilization: 0.2,
                    stages: vec![
                        stage("pin", GpuTransfer, 0.09, 0.8, 0.0, "decode"),
                        stage("copy", GpuTransfer, 0.06, 0.1, 0.0, "decode"),
                    ],
                },
            ],
        }),
    }
}

fn bottlenecks() -> Vec<Bottleneck> {
    let advice = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    vec![
        Bottleneck {
            name: "loader.decode".to_owned(),
            kind: BottleneckType::Preprocessing,
            severity: 0.29,
            frequency: 53_760,
            total_time_s: 92.4,
            optimization_potential: Some(0.31),
            cause: "`decode` takes 1.72 ms of the 3.00 ms that a worker spends on a sample, and \
                    computes for 99% of it"
                .to_owned(),
            suggestions: advice(&[
                "use 6 workers: they would supply 1,900 samples/s; the loop takes 1,850",
                "decode only the part that the crop keeps: about 1.3 times as fast",
                "keep the decoded images in a cache: 1,500 of them take 860 MB",
            ]),
        },
        Bottleneck {
            name: "high_gpu_memory_usage".to_owned(),
            kind: BottleneckType::GpuTransfer,
            severity: 0.18,
            frequency: 3,
            total_time_s: 7.6,
            optimization_potential: None,
            cause:
                "GPU 0 had 93% of its memory in use, above the threshold of 90%, for 18% of the \
                    time"
                    .to_owned(),
            suggestions: advice(&[
                "reduce the batch size",
                "use gradient checkpointing",
                "use mixed precision",
            ]),
        },
        Bottleneck {
            name: "slow_storage".to_owned(),
            kind: BottleneckType::IoOperation,
            severity: 0.05,
            frequency: 11,
            total_time_s: 3.9,
            optimization_potential: Some(0.06),
            cause: "`read` waits for storage for 78% of its 0.28 ms a sample".to_owned(),
            suggestions: advice(&["pack the files in shards that are read in order"]),
        },
    ]
}

fn threads() -> Vec<ThreadUsage> {
    let thread = |tid, name: &str, cpu_s, delay_s| ThreadUsage {
        tid,
        name: name.to_owned(),
        cpu_s,
        run_delay_s: Some(delay_s),
    };
    let mut threads = vec![thread(4101, "train", 21.4, 0.31)];
    threads.extend((0..4).map(|worker| {
        thread(4110 + worker, &format!("loader-{worker}"), 36.2 + f64::from(worker) * 0.2, 0.52)
    }));
    threads.push(thread(4120, "loader-copy", 2.1, 0.02));
    threads.push(thread(4121, "profiler", 0.04, 0.0));
    threads
}

fn sample(tick: u32) -> ResourceSample {
    let at_s = f64::from(tick) * 0.1;
    let wave = |period: f64| (at_s * std::f64::consts::TAU / period).sin();
    let n = noise(f64::from(tick));
    let grown = 1.0 - (-at_s / 4.0).exp();
    // The driver did not answer for two seconds.
    let silent = (18.0..20.0).contains(&at_s);
    let checkpoint = (20.0..20.9).contains(&at_s) || at_s > 41.0;
    let resident = 912.0 + 1780.0 * grown + 60.0 * wave(7.0) + 12.0 * n;
    ResourceSample {
        at_s,
        memory: Some(MemorySample {
            resident_bytes: (resident * MIB as f64) as u64,
            system_used_percent: Some(31.0),
            system_available_bytes: Some(88 << 30),
            system_total_bytes: Some(128 << 30),
            limit_bytes: Some(32 << 30),
            limit_used_bytes: Some(3 << 30),
            ..MemorySample::default()
        }),
        cpu: Some(CpuSample {
            process_cpu_s: 4.05 * at_s,
            process_percent: (tick > 0).then_some(50.6 + 9.0 * wave(5.0) + 5.0 * n),
            system_percent: Some(31.0 + 4.0 * wave(5.0) + 3.0 * noise(at_s + 0.3)),
            run_delay_s: Some(0.06 * at_s),
            threads: Some(23),
            ..CpuSample::default()
        }),
        gpus: (!silent).then(|| {
            vec![GpuReading {
                index: 0,
                name: "NVIDIA H100 80GB HBM3".to_owned(),
                memory_used_bytes: Some(((22_000.0 + 9_200.0 * grown) * MIB as f64) as u64),
                memory_total_bytes: Some(81_559 * MIB),
                utilization_percent: Some(if checkpoint {
                    4
                } else {
                    (62.0 + 14.0 * wave(5.0) + 8.0 * n) as u32
                }),
                process_bytes: Some(((21_500.0 + 9_150.0 * grown) * MIB as f64) as u64),
                pcie_rx_bytes_per_s: Some(910_000_000),
                pcie_tx_bytes_per_s: Some(4_000_000),
                pcie_limit_bytes_per_s: None,
            }]
        }),
        io: Some(IoSample {
            read_call_bytes: ((130.0 * at_s + 3.0 * wave(2.5) + 0.4 * n) * MIB as f64 + 1e7) as u64,
            write_call_bytes: ((if at_s > 20.0 { 98.0 * (at_s - 20.0).min(0.9) } else { 0.0 })
                * MIB as f64) as u64,
            read_calls: (1_300.0 * at_s) as u64,
            write_calls: (4.0 * at_s) as u64,
            storage_read_bytes: (41.0 * at_s.min(14.0) * MIB as f64) as u64,
            blocked_s: Some(0.08 * at_s),
            pressure_s: Some(0.02 * at_s),
            ..IoSample::default()
        }),
        metrics: BTreeMap::from([("loss".to_owned(), 6.9 * (-at_s / 15.0).exp() + 0.1 * n.abs())]),
    }
}

fn timeline() -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at_s = 0.2;
    for step in 0..200 {
        let slow = 1.0 + 0.05 * noise(f64::from(step));
        for (name, kind, share) in [
            ("data_loading", BottleneckType::DataLoading, 0.0157),
            ("transfer", BottleneckType::GpuTransfer, 0.0027),
            ("forward", BottleneckType::Custom("forward".to_owned()), 0.01),
            ("backward", BottleneckType::Custom("backward".to_owned()), 0.0154),
        ] {
            let duration_s = share * slow;
            spans.push(Span { name: name.to_owned(), kind, tid: 4101, start_s: at_s, duration_s });
            at_s += duration_s;
        }
    }
    let kind = BottleneckType::Custom("training".to_owned());
    let duration_s = at_s - 0.1;
    spans.push(Span { name: "epoch".to_owned(), kind, tid: 4101, start_s: 0.1, duration_s });
    spans
}
