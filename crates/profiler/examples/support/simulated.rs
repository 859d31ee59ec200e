//! Random pipelines, what attribution says of each, and what time is really saved without the stage it
//! names.

use profiler::attribution::replay::{Law, Pipeline, Stage, Station, seconds_per_item};
use profiler::attribution::{Attribution, Surroundings, attribute};
use profiler::pipeline::{PipelineSnapshot, Room, Visits};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stage that is named counts as right if no other would save more than it by so much.
pub(crate) const EQUAL: f64 = 0.01;
/// A pipeline has a bottleneck if removing some stage saves so much: the threshold from which on
/// findings are reported.
pub(crate) const WORTH: f64 = 0.05;
/// What a predicted saving may be off by.
pub(crate) const CLOSE: f64 = 0.03;

/// One pipeline, as predicted and as it is.
pub(crate) struct Case {
    pub(crate) pipeline: Pipeline,
    pub(crate) attribution: Attribution,
    /// Of every stage: predicted saving and true saving, with its name.
    pub(crate) savings: Vec<(String, f64, f64)>,
    /// The one that is named, among them.
    pub(crate) named: usize,
    /// The same from less, and how it would be by the bounds alone.
    pub(crate) lesser: [Lesser; 2],
}

/// What a lesser way to tell says of a pipeline.
pub(crate) struct Lesser {
    pub(crate) right: bool,
    pub(crate) error: f64,
}

impl Case {
    /// Draws pipeline number `number`, runs it for `items` items, and then without each stage; `None` if nothing
    /// came of it.
    pub(crate) fn run(number: u64, items: usize) -> Option<Self> {
        let pipeline = draw(number);
        // Rates settle over a thousand batches.
        let items = items.max(1000 * pipeline.batch);
        let snapshots = pipeline.run(items, 100, number);
        let surroundings = Surroundings {
            usable_cores: pipeline.cores,
            storage: None,
            other_cores: None,
            pipelines: 1,
        };
        let attribution = attribute(&snapshots, &surroundings)?;
        let before_s = seconds_per_item(&snapshots);
        let savings: Vec<_> = pipeline
            .stages()
            .map(|(i, j)| {
                let stage = &attribution.stations[i].stages[j];
                let without_s = seconds_per_item(&pipeline.without((i, j)).run(items, 1, number));
                (stage.name.clone(), stage.optimization_potential, 1.0 - without_s / before_s)
            })
            .collect();
        let place = |id: (usize, usize)| pipeline.stages().position(|stage| stage == id);
        let named = place((attribution.limiting_station, attribution.limiting_stage))?;
        let best = savings.iter().map(|(.., saving)| *saving).fold(f64::NEG_INFINITY, f64::max);
        let lesser = |(named, potential): (usize, f64)| {
            let saving = savings[named].2;
            Lesser { right: saving >= best - EQUAL, error: potential - saving }
        };
        let untold = attribute(&untold(&snapshots), &surroundings)?;
        let potential = untold.limiting().1.optimization_potential;
        let untold = (place((untold.limiting_station, untold.limiting_stage))?, potential);
        let bounds = by_bounds(&attribution, snapshots.last()?, pipeline.cores)?;
        let lesser = [lesser(untold), lesser((place(bounds.0)?, bounds.1))];
        Some(Self { pipeline, attribution, savings, named, lesser })
    }

    pub(crate) fn best_saving(&self) -> f64 {
        self.savings.iter().map(|(.., saving)| *saving).fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn has_bottleneck(&self) -> bool {
        self.best_saving() >= WORTH
    }

    pub(crate) fn is_right(&self) -> bool {
        self.savings[self.named].2 >= self.best_saving() - EQUAL
    }

    /// Predicted saving less true saving of the stage that is named.
    pub(crate) fn error(&self) -> f64 {
        self.savings[self.named].1 - self.savings[self.named].2
    }

    /// Whether the true saving lies in the interval of the prediction.
    pub(crate) fn is_covered(&self) -> bool {
        let stage = self.attribution.limiting().1;
        stage.interval.is_some_and(|[low, high]| (low..=high).contains(&self.savings[self.named].2))
    }

    /// The pipeline in short: threads and stages of each station, with the room behind it.
    pub(crate) fn shape(&self) -> String {
        let of = |station: &Station| {
            let room = match station.room {
                Room::Items(items) => format!("{items}"),
                Room::Batches(batches) => format!("{batches}b"),
            };
            format!("{}x{} {room}", station.threads, station.stages.len())
        };
        let stations = self.pipeline.stations.iter().map(of);
        let own = &self.pipeline.own_stages;
        let own = (!own.is_empty()).then(|| format!("own {}", own.len()));
        stations.chain(own).collect::<Vec<_>>().join(", ")
    }
}

/// The snapshots of a pipeline that tells neither its room nor single visits.
fn untold(snapshots: &[PipelineSnapshot]) -> Vec<PipelineSnapshot> {
    let mut snapshots = snapshots.to_vec();
    for snapshot in &mut snapshots {
        snapshot.consumer_visits = Visits::default();
        for station in &mut snapshot.stations {
            station.room = None;
            station.item_visits = Visits::default();
            station.stages.iter_mut().for_each(|stage| stage.visits = Visits::default());
        }
    }
    snapshots
}

/// Stage and potential by the textbook: the largest stage of the busiest station, and
/// `min(phi, 1 - T_without / T)` with `T_without` the longest of the consumer's time, each
/// station's demand over its threads, and all demand for CPU over the cores.
fn by_bounds(
    attribution: &Attribution,
    last: &PipelineSnapshot,
    cores: f64,
) -> Option<((usize, usize), f64)> {
    let stations = attribution.stations.iter().enumerate();
    let busiest = stations.max_by(|a, b| a.1.utilization.total_cmp(&b.1.utilization));
    let (i, station) = busiest?;
    let stages = station.stages.iter().enumerate();
    let largest = stages.max_by(|a, b| a.1.demand_s.total_cmp(&b.1.demand_s));
    let (j, stage) = largest?;
    let items = last.items as f64;
    let cpu_of_stage_s = stage.cpu_share.unwrap_or(0.0) * stage.demand_s;
    let cpu_s = last.stations.iter().filter_map(|station| station.cpu_s).sum::<f64>()
        + last.consumer_cpu_s.unwrap_or(0.0);
    let mut without_s = (cpu_s / items - cpu_of_stage_s) / cores;
    let mut consumer_s = (last.consumer_busy_s) / items;
    for (number, station) in attribution.stations.iter().enumerate() {
        let freed_s = if number == i { stage.demand_s } else { 0.0 };
        let time_s = (station.demand_s - freed_s) / station.threads as f64;
        if last.stations[number].on_consumer {
            consumer_s += time_s;
        } else {
            without_s = without_s.max(time_s);
        }
    }
    let saving = 1.0 - without_s.max(consumer_s) * attribution.items_per_s;
    Some(((i, j), saving.clamp(0.0, attribution.wait_share)))
}

/// Pipeline number `number` of all there might be.
fn draw(number: u64) -> Pipeline {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let rng = &mut rng;
    let own_only = rng.random_bool(0.1);
    let stations = if own_only { 0 } else { rng.random_range(1..=3) };
    let own = own_only || rng.random_bool(0.1);
    let batch = rng.random_range(0..=6);
    let batch = 1 << batch;
    let stations = (0..stations).map(|i| {
        let last = i + 1 == stations;
        let threads = if rng.random_bool(0.5) { 1 } else { rng.random_range(2..=8) };
        let room = if last && rng.random_bool(0.5) {
            Room::Batches(rng.random_range(1..=4))
        } else {
            // The consumer's queue holds a batch at least, or nothing would ever move.
            let room = log_uniform(rng, 1.0, 64.0).round() as usize;
            Room::Items(room.max(if last { batch } else { 1 }))
        };
        let stages = draw_stages(rng, &format!("s{}", i + 1));
        let alike = rng.random_bool(0.3);
        let sizes = if alike { Law::Lognormal(log_uniform(rng, 0.1, 1.0)) } else { Law::Fixed };
        Station { name: format!("station {}", i + 1), threads, stages, sizes, room }
    });
    let stations: Vec<_> = stations.collect();
    let own_stages = if own { draw_stages(rng, "own") } else { Vec::new() };
    let mut consumer = draw_stage(rng, "consumer".to_owned());
    consumer.mean_s = log_uniform(rng, 0.1e-3, 10e-3);
    let cores = rng.random_range(1..=16) as f64;
    Pipeline { stations, own_stages, batch, consumer, cores }
}

fn draw_stages(rng: &mut ChaCha8Rng, station: &str) -> Vec<Stage> {
    let count = rng.random_range(1..=4);
    (1..=count).map(|j| draw_stage(rng, format!("{station}.{j}"))).collect()
}

fn draw_stage(rng: &mut ChaCha8Rng, name: String) -> Stage {
    let mut row = 1;
    let law = match rng.random_range(0..5) {
        0 => Law::Fixed,
        1 => Law::Exponential,
        2 => Law::Lognormal(log_uniform(rng, 0.1, 2.0)),
        3 => Law::Either(rng.random_range(0.01..0.2), 10.0),
        _ => {
            row = 32;
            Law::Either(rng.random_range(0.01..0.2), 10.0)
        }
    };
    let cpu_share = match rng.random_range(0..3) {
        0 => 0.0,
        1 => 1.0,
        _ => rng.random_range(0.0..1.0),
    };
    Stage { name, mean_s: log_uniform(rng, 0.1e-3, 10e-3), law, row, cpu_share }
}

fn log_uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    (rng.random_range(low.ln()..high.ln())).exp()
}
