//! What a profiler has registered, ours and others', and what is made of its findings.

use std::fmt;
use std::sync::Arc;

use crate::bottleneck::Bottleneck;
use crate::detect::{OperationDetector, PipelineDetector};
#[cfg(feature = "report")]
use crate::extend::Chart;
use crate::extend::{Detector, MetricSource, ReportFormat, SuggestionStrategy};
use crate::notes::{Notes, calmly, printable};
use crate::operation::SyncHook;
use crate::session::ProfilingSession;

/// The detectors that every session runs first.
fn builtin_detectors() -> Vec<Arc<dyn Detector>> {
    vec![Arc::new(PipelineDetector), Arc::new(OperationDetector)]
}

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Plugins {
    pub(crate) sources: Vec<Arc<dyn MetricSource>>,
    pub(crate) detectors: Vec<Arc<dyn Detector>>,
    pub(crate) strategies: Vec<Arc<dyn SuggestionStrategy>>,
    /// Beside the standard ones.
    pub(crate) formats: Vec<Arc<dyn ReportFormat>>,
    #[cfg(feature = "report")]
    pub(crate) charts: Vec<Arc<dyn Chart>>,
    pub(crate) sync: Option<SyncHook>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            detectors: builtin_detectors(),
            strategies: Vec::new(),
            formats: Vec::new(),
            #[cfg(feature = "report")]
            charts: Vec::new(),
            sync: None,
        }
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins").finish_non_exhaustive()
    }
}

impl Plugins {
    /// Every file of a report of `session`. A chart that cannot be drawn is left out of all of them,
    /// and noted in `notes`.
    pub(crate) fn all_formats(
        &self,
        session: &ProfilingSession,
        notes: &mut Vec<String>,
    ) -> Vec<Arc<dyn ReportFormat>> {
        #[cfg(feature = "report")]
        let mut formats = {
            let (charts, failed) = crate::report::drawn(&self.charts, session);
            notes.extend(failed);
            crate::report::formats(&charts)
        };
        #[cfg(not(feature = "report"))]
        let mut formats = {
            // Charts alone need them.
            let _ = (session, notes);
            Vec::new()
        };
        formats.extend(self.formats.iter().cloned());
        formats
    }

    /// What holds the program up, worst first: what the monitor `found` and what the detectors
    /// find, without what would save too little, with the advice of every strategy.
    pub(crate) fn find(
        &self,
        session: &ProfilingSession,
        mut found: Vec<Bottleneck>,
        notes: &mut Notes,
    ) -> Vec<Bottleneck> {
        for detector in &self.detectors {
            match calmly(|| detector.detect(session)) {
                Ok(more) => found.extend(more),
                Err(words) => {
                    let name = calmly(|| detector.name().to_owned()).unwrap_or_default();
                    notes.add(format!("the detector `{name}` found nothing: {words}"));
                }
            }
        }
        let threshold = session.config.bottleneck_threshold;
        found.retain(|bottleneck| bottleneck.optimization_potential.is_none_or(|p| p >= threshold));
        for bottleneck in &mut found {
            let Bottleneck { name, cause, .. } = bottleneck;
            (*name, *cause) = (printable(name), printable(cause));
            if !(0.0..=1.0).contains(&bottleneck.severity) {
                let Bottleneck { name, severity, .. } = bottleneck;
                notes.add(format!("`{name}` had the severity {severity}, which is not 0 to 1"));
                bottleneck.severity =
                    if severity.is_nan() { 0.0 } else { severity.clamp(0.0, 1.0) };
            }
            for strategy in &self.strategies {
                match calmly(|| strategy.suggest(bottleneck, session)) {
                    Ok(advice) => {
                        for line in advice {
                            if !bottleneck.suggestions.contains(&line) {
                                bottleneck.suggestions.push(line);
                            }
                        }
                    }
                    Err(words) => {
                        let name = &bottleneck.name;
                        notes.add(format!("a suggestion strategy failed on `{name}`: {words}"));
                    }
                }
            }
        }
        found.sort_by(|a, b| b.severity.total_cmp(&a.severity));
        found
    }
}
