//! Spans of programs that use `tracing` already, as operations.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::bottleneck::BottleneckType;
use crate::operation::Operation;
use crate::profiler::BottleneckProfiler;

/// Makes each stay in a span an operation of its name: begun where the span is entered, ended where
/// it is left.
///
/// Its kind is what the span's field `kind` says, such as `kind = "preprocessing"`; without one it is
/// [`Undeclared`](BottleneckType::Undeclared), to be told from what is measured. The future of an
/// `async fn` enters its span each time it is polled: its calls are polls and its time is that of
/// polls, without waits. To take some spans only, give the layer a filter
/// ([`Layer::with_filter`]).
///
/// # Example
///
/// ```
/// use profiler::layer::ProfilerLayer;
/// use profiler::profiler::BottleneckProfiler;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let profiler = BottleneckProfiler::new(Default::default())?;
/// let subscriber = tracing_subscriber::registry().with(ProfilerLayer::new(&profiler));
///
/// profiler.start_session("tracing")?;
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("decode", kind = "preprocessing").in_scope(|| ());
/// });
/// let session = profiler.stop_session()?;
/// assert_eq!(session.performance_metrics.operations[0].kind.name(), "preprocessing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ProfilerLayer {
    profiler: BottleneckProfiler,
    /// Tells spans of this layer's registry from those of others.
    number: u64,
}

impl ProfilerLayer {
    /// Spans become operations of the session of `profiler` that is open when they are entered.
    pub fn new(profiler: &BottleneckProfiler) -> Self {
        static LAYERS: AtomicU64 = AtomicU64::new(0);
        Self { profiler: profiler.clone(), number: LAYERS.fetch_add(1, Relaxed) }
    }
}

thread_local! {
    /// The spans that this thread is in, by their layer and id: a guard stays on its thread.
    static ENTERED: RefCell<Vec<(u64, Id, Operation)>> = const { RefCell::new(Vec::new()) };
}

/// What a span's field `kind` said.
struct Kind(BottleneckType);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ProfilerLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut visitor = KindVisitor(None);
        attributes.record(&mut visitor);
        if let (KindVisitor(Some(kind)), Some(span)) = (visitor, context.span(id)) {
            span.extensions_mut().insert(Kind(kind));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let kind = || match span.extensions().get() {
            Some(Kind(kind)) => kind.clone(),
            None => BottleneckType::Undeclared,
        };
        let operation = self.profiler.operation_of(span.metadata().name(), kind);
        // On a thread whose thread-locals are gone, the operation ends at once.
        let _ = ENTERED.try_with(|entered| {
            entered.borrow_mut().push((self.number, id.clone(), operation));
        });
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let own = |(layer, span, _): &(u64, Id, Operation)| *layer == self.number && span == id;
            let at = entered.iter().rposition(own)?;
            Some(entered.remove(at))
        });
        drop(left);
    }
}

struct KindVisitor(Option<BottleneckType>);

impl Visit for KindVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "kind" {
            self.0 = Some(BottleneckType::from(value.to_owned()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "kind" {
            self.0 = Some(BottleneckType::from(format!("{value:?}")));
        }
    }
}
