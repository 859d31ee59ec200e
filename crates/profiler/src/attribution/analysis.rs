//! A pipeline over the whole of its snapshots: what of its time without a core is its own doing, what
//! its model is then, and what is known of each stage.

use super::Surroundings;
use super::load::{Delay, cpu_share, items_of};
use super::model::{Change, Effort, Limit, Model, StageId};
use super::window;
use crate::bottleneck::BottleneckType;
use crate::detect::evidence::Evidence;
use crate::pipeline::PipelineSnapshot;
use crate::session::Looks;

/// Less time without a core, in shares of the time, is not looked into.
const SOME_DELAY: f64 = 0.01;
/// Stretches of time at most: more would not make the interval better, only slower.
const STRETCHES: usize = 60;

/// A pipeline over the whole of its snapshots.
pub(crate) struct Analysis {
    /// Of the time without a core the part that is the pipeline's own doing.
    pub(crate) total: PipelineSnapshot,
    pub(crate) model: Model,
    /// The same as if no other program wanted a core.
    crowded: Model,
    /// Share of the time without a core that other programs cause.
    others_share: f64,
    pub(super) stretches: Vec<PipelineSnapshot>,
    pub(crate) surroundings: Surroundings,
}

impl Analysis {
    pub(crate) fn of(
        snapshots: &[PipelineSnapshot],
        surroundings: &Surroundings,
        effort: Effort,
    ) -> Option<Self> {
        let cores = surroundings.usable_cores;
        let mut stretches = window::stretches(snapshots, STRETCHES);
        let model = |stretches: &[PipelineSnapshot]| {
            let total = window::sum(&stretches.iter().collect::<Vec<_>>())?;
            let model = Model::of(&total, cores)?.with_rows(stretches);
            let model = model.with_effort(effort, surroundings.pipelines);
            Some((total, model))
        };
        let (total, crowded) = model(&stretches)?;
        // What other programs cause stays, whatever is changed about the pipeline. Of the stations'
        // delay theirs is what the replay does not account for; or less, where they hardly use a
        // core. Of the consumer's all that the replay does not account for stays with it.
        let measured = Delay::of(&total, total.items as f64);
        let mut others_share = 0.0;
        if measured.stations_s + measured.consumer_s > SOME_DELAY * crowded.interval_s {
            let replayed = crowded.own_delay();
            let used = crowded.cpu_s() / crowded.interval_s;
            let share = surroundings.other_cores.map_or(0.0, |others| used / (used + others));
            let of = |replayed_s: f64, measured_s: f64| match measured_s > 0.0 {
                true => (replayed_s / measured_s).min(1.0),
                false => 1.0,
            };
            let own = of(replayed.stations_s, measured.stations_s).max(share).min(1.0);
            let own_of_consumer = of(replayed.consumer_s, measured.consumer_s);
            others_share = 1.0 - own;
            for stretch in &mut stretches {
                let stations = stretch.stations.iter_mut();
                stations.filter_map(|it| it.run_delay_s.as_mut()).for_each(|delay| *delay *= own);
                if let Some(delay) = &mut stretch.consumer_run_delay_s {
                    *delay *= own_of_consumer;
                }
            }
        }
        let (total, model) = model(&stretches)?;
        let surroundings = *surroundings;
        Some(Self { total, model, crowded, others_share, stretches, surroundings })
    }

    /// The share of the window that the consumer waited or made items itself.
    pub(super) fn wait_share(&self) -> f64 {
        (self.total.input_s() / self.total.at_s).clamp(0.0, 1.0)
    }

    /// What time would be saved if a stage were free: as the model says, but never more than the time in
    /// which the consumer waited for data or for a core.
    pub(super) fn potential(&self, stage: StageId) -> f64 {
        let delay_s = self.total.consumer_run_delay_s.unwrap_or(0.0).max(0.0);
        let most = (self.wait_share() + delay_s / self.total.at_s).clamp(0.0, 1.0);
        self.model.saving(Change::Demand(stage, 0.0)).clamp(0.0, most)
    }

    /// What is known of the kind of a stage.
    pub(crate) fn evidence(&self, station: usize, stage: usize) -> Evidence {
        let all = &self.total.stations[station];
        let it = &all.stages[stage];
        let load = self.crowded.load((station, stage));
        let items = items_of(all, self.total.items as f64);
        let busy_s = it.busy_s.max(f64::MIN_POSITIVE);
        let stages = self.total.stations.iter().flat_map(|station| &station.stages);
        let others_read = stages
            .filter(|other| !std::ptr::eq(*other, it))
            .any(|other| other.kind == BottleneckType::IoOperation && other.busy_s > 0.0);
        Evidence {
            declared: it.kind.clone(),
            wall_s: it.busy_s,
            cpu_share: cpu_share(it),
            run_delay_share: all.run_delay_s.map(|_| 1.0 - load.demand_s * items / busy_s),
            others_share: self.others_share,
            storage: self.surroundings.storage.filter(|_| !others_read),
            fault_share: None,
            looks: Looks::default(),
        }
    }

    /// `limit` for people: of a station its largest stage that is not `free`.
    pub(crate) fn name_of(&self, limit: Limit, free: Option<(usize, usize)>) -> String {
        match limit {
            Limit::Consumer => "consumer".to_owned(),
            Limit::Cores => "cpu cores".to_owned(),
            Limit::Station(i) => {
                let stages = self.total.stations[i].stages.iter().enumerate();
                let largest = stages
                    .filter(|(j, _)| free != Some((i, *j)))
                    .max_by(|(_, a), (_, b)| a.busy_s.total_cmp(&b.busy_s));
                largest.map_or(&self.total.stations[i].name, |(_, stage)| &stage.name).clone()
            }
        }
    }
}
