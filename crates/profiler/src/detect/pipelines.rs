//! Stages that hold up the consumer of a pipeline, and queues that are too short for it.

use super::{advice, duration, percent};
use crate::attribution::{
    Analysis, Attribution, Change, Effort, Surroundings, Verdict, attribute, per_second, plural,
};
use crate::bottleneck::{Bottleneck, BottleneckType};
use crate::extend::Detector;
use crate::pipeline::Room;
use crate::session::{PipelineProfile, ProfilingSession};

/// Finds the stages without which a pipeline's consumer would be done sooner.
#[derive(Clone, Copy, Debug, Default)]
pub struct PipelineDetector;

impl Detector for PipelineDetector {
    fn name(&self) -> &str {
        "pipelines"
    }

    fn detect(&self, session: &ProfilingSession) -> Vec<Bottleneck> {
        let surroundings = Surroundings::of(session);
        let threshold = session.config.bottleneck_threshold;
        let profiles = session.performance_metrics.pipelines.iter();
        profiles
            .filter_map(|profile| Finder::new(profile, &surroundings))
            .flat_map(|finder| finder.find(threshold))
            .filter(|found| found.optimization_potential.is_some_and(|saving| saving >= threshold))
            .collect()
    }
}

struct Finder {
    attribution: Attribution,
    analysis: Analysis,
}

impl Finder {
    fn new(profile: &PipelineProfile, surroundings: &Surroundings) -> Option<Self> {
        let attributed = || attribute(&profile.snapshots, surroundings);
        let attribution = profile.attribution.clone().or_else(attributed)?;
        let analysis = Analysis::of(&profile.snapshots, surroundings, Effort::ROUGH)?;
        Some(Self { attribution, analysis })
    }

    /// Those that would save `threshold` or more, and surely something: advice on others would only
    /// take time.
    fn find(&self, threshold: f64) -> Vec<Bottleneck> {
        if self.attribution.verdict == Verdict::Ambiguous {
            return vec![self.late()];
        }
        let stations = self.attribution.stations.iter().enumerate();
        let stages =
            stations.flat_map(|(i, station)| (0..station.stages.len()).map(move |j| (i, j)));
        let worth = |&(i, j): &(usize, usize)| {
            let stage = &self.attribution.stations[i].stages[j];
            let surely = stage.interval.is_none_or(|[low, _]| low > 0.0);
            stage.optimization_potential >= threshold && surely
        };
        stages.filter(worth).map(|(i, j)| self.stage(i, j)).chain(self.short_queue()).collect()
    }

    fn stage(&self, i: usize, j: usize) -> Bottleneck {
        let station = &self.attribution.stations[i];
        let stage = &station.stages[j];
        let (kind, reason) = self.analysis.evidence(i, j).judge();
        let interval = stage.interval.unwrap_or([stage.optimization_potential; 2]);
        let sure = match stage.interval {
            Some([low, high]) => format!("{:.0} to {:.0}%", 100.0 * low, 100.0 * high),
            None => "too short a time to say how surely".to_owned(),
        };
        let cause = format!(
            "`{}` takes {} of {} for each item in `{}` ({}, {} busy), and the consumer waits {} of \
             its time; {reason}. Without it the loop would take {} less time ({sure}), and then `{}` would \
             limit.",
            stage.name,
            duration(stage.demand_s),
            duration(station.demand_s),
            station.name,
            plural(station.threads, "thread"),
            percent(station.utilization),
            percent(self.attribution.wait_share),
            percent(stage.optimization_potential),
            stage.next_limiter,
        );
        Bottleneck {
            name: stage.name.clone(),
            severity: interval[0].clamp(0.0, 1.0),
            frequency: self.analysis.total.items,
            total_time_s: self.analysis.total.stations[i].stages[j].busy_s,
            optimization_potential: Some(stage.optimization_potential),
            cause,
            suggestions: advice::of_stage(&self.analysis, (i, j), &kind),
            kind,
        }
    }

    /// What more room between the stations would save, where items take unequal time and too few
    /// are ready to bridge the long ones.
    fn short_queue(&self) -> Option<Bottleneck> {
        let Analysis { total, model, .. } = &self.analysis;
        let room = total.stations.iter().rfind(|station| !station.on_consumer)?.room?;
        let batch = (total.items / total.batches.max(1)).max(1) as usize;
        let now = match room {
            Room::Items(items) => items / batch,
            Room::Batches(batches) => batches,
        }
        .max(1);
        let saving = |times: usize| model.saving(Change::Room(now * times)).clamp(0.0, 1.0);
        let most = saving(8);
        let times = [2, 4, 8].into_iter().find(|times| saving(*times) >= 0.9 * most)?;
        let potential = saving(times).min(self.attribution.wait_share);
        let rate = per_second(1.0 / model.interval_s);
        let better = per_second(1.0 / (model.interval_s * (1.0 - potential)));
        let cause = format!(
            "The consumer waits {} of its time although `{}` would allow {} items/s: items take \
             unequal time, and the {} that may be ready do not bridge the long ones.",
            percent(self.attribution.wait_share),
            self.analysis.name_of(model.bound().0, None),
            per_second(1.0 / model.bound().1),
            plural(now, "batch").replace("batchs", "batches"),
        );
        Some(Bottleneck {
            name: "prefetch".to_owned(),
            kind: BottleneckType::DataLoading,
            severity: potential,
            frequency: total.batches.max(1),
            total_time_s: total.consumer_wait_s,
            optimization_potential: Some(potential),
            cause,
            suggestions: vec![format!(
                "prefetch {} batches instead of {now}: predicted {better} items/s instead of {rate}",
                now * times
            )],
        })
    }

    /// Waiting while something is ready.
    fn late(&self) -> Bottleneck {
        let total = &self.analysis.total;
        let late_s = (total.consumer_wait_s - total.queue_empty_s.unwrap_or(0.0)).max(0.0);
        let potential = (late_s / total.at_s).clamp(0.0, 1.0);
        Bottleneck {
            name: "late_consumer".to_owned(),
            kind: BottleneckType::Synchronization,
            severity: potential,
            frequency: total.batches.max(1),
            total_time_s: late_s,
            optimization_potential: Some(potential),
            cause: format!(
                "The consumer waited {} of its time while items were ready for it: it was woken \
                 late or had no core.",
                percent(potential)
            ),
            suggestions: vec![format!(
                "run fewer threads than the {:.1} cores that the process may use, or give the \
                 consumer's thread a core of its own: up to {} of the time is there to save",
                self.analysis.surroundings.usable_cores,
                percent(potential)
            )],
        }
    }
}
