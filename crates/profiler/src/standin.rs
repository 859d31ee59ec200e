//! Minimal stand-ins, with the same names, for parts that are made elsewhere at the same time. To
//! merge: delete this file and write `crate::` for `crate::standin::` everywhere.

pub(crate) mod trackers {
    use std::sync::Arc;

    use crate::config::ProfilerConfig;
    use crate::extend::MetricSource;

    #[derive(Default)]
    pub(crate) struct Trackers(pub(super) Vec<Arc<dyn MetricSource>>);

    impl Trackers {
        pub(crate) fn open(_: &ProfilerConfig, sources: Vec<Arc<dyn MetricSource>>) -> Self {
            Self(sources)
        }
    }
}

pub(crate) mod rules {
    use crate::config::ProfilerConfig;

    pub(crate) struct ResourceRules;

    impl ResourceRules {
        pub(crate) fn new(_: &ProfilerConfig, _: f64) -> Self {
            Self
        }
    }
}

pub(crate) mod monitor {
    use std::io;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    use crossbeam::channel::{self, RecvTimeoutError, Sender};
    use thiserror::Error;

    use super::rules::ResourceRules;
    use super::trackers::Trackers;
    use crate::bottleneck::Bottleneck;
    use crate::process::ResidentMemory;
    pub(crate) use crate::process::process_cpu;
    use crate::resources::{MemorySample, ResourceSample, ThreadUsage, TrackerStatus};

    #[derive(Debug, Error)]
    pub(crate) enum MonitorError {
        #[error("cannot start the thread")]
        Thread { source: io::Error },
    }

    pub(crate) type OnTick = Box<dyn FnMut(&ResourceSample) + Send>;

    pub(crate) struct MonitorOptions {
        pub(crate) interval: Duration,
        pub(crate) trackers: Trackers,
        pub(crate) history: usize,
        pub(crate) rules: Option<ResourceRules>,
        pub(crate) began: Instant,
        pub(crate) on_tick: Option<OnTick>,
    }

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Recording {
        pub(crate) samples: Vec<ResourceSample>,
        pub(crate) dropped: u64,
        pub(crate) trackers: Vec<TrackerStatus>,
        pub(crate) threads: Vec<ThreadUsage>,
        pub(crate) bottlenecks: Vec<Bottleneck>,
        pub(crate) notes: Vec<String>,
    }

    #[derive(Debug)]
    pub(crate) struct Monitor {
        samples: Arc<Mutex<Vec<ResourceSample>>>,
        stop: Option<Sender<()>>,
        thread: Option<JoinHandle<()>>,
    }

    fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
        of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Monitor {
        pub(crate) fn start(mut options: MonitorOptions) -> Result<Self, MonitorError> {
            let samples = Arc::new(Mutex::new(Vec::new()));
            let (stop, stopped) = channel::bounded::<()>(0);
            let kept = samples.clone();
            let spawned =
                thread::Builder::new().name("profiler-monitor".to_owned()).spawn(move || {
                    let memory = ResidentMemory::open().ok();
                    let (_, sources) = (options.rules, options.trackers.0);
                    let mut last = false;
                    loop {
                        let metrics = sources.iter().filter_map(|source| source.sample().ok());
                        let sample = ResourceSample {
                            at_s: options.began.elapsed().as_secs_f64(),
                            memory: memory.as_ref().map(|memory| MemorySample {
                                resident_bytes: memory.bytes(),
                                ..Default::default()
                            }),
                            metrics: metrics.flatten().collect(),
                            ..Default::default()
                        };
                        if let Some(told) = &mut options.on_tick {
                            told(&sample);
                        }
                        if lock(&kept).len() < options.history {
                            lock(&kept).push(sample);
                        }
                        if last {
                            return;
                        }
                        last = stopped.recv_timeout(options.interval)
                            != Err(RecvTimeoutError::Timeout);
                    }
                });
            let thread = spawned.map_err(|source| MonitorError::Thread { source })?;
            Ok(Self { samples, stop: Some(stop), thread: Some(thread) })
        }

        pub(crate) fn recording(&self) -> Recording {
            Recording { samples: lock(&self.samples).clone(), ..Default::default() }
        }

        pub(crate) fn finish(mut self) -> Recording {
            self.join();
            self.recording()
        }

        fn join(&mut self) {
            self.stop.take();
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }

    impl Drop for Monitor {
        fn drop(&mut self) {
            self.join();
        }
    }
}
