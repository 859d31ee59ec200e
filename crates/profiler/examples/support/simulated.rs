//! Random pipelines, what attribution says of each, and what is really gained without the stage it
//! names.

#[path = "simulator.rs"]
mod simulator;

use profiler::attribution::{Attribution, Surroundings, attribute};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use simulator::{Law, Pipeline, Room, Stage, Station, seconds_per_item};

/// A stage that is named counts as right if no other would gain more than it by so much.
pub const EQUAL: f64 = 0.01;
/// A pipeline has a bottleneck if removing some stage gains so much: the threshold from which on
/// findings are reported.
pub const WORTH: f64 = 0.05;
/// What a predicted gain may be off by.
pub const CLOSE: f64 = 0.03;

/// One pipeline, as predicted and as it is.
pub struct Case {
    pub pipeline: Pipeline,
    pub attribution: Attribution,
    /// Of every stage: predicted gain and true gain, with its name.
    pub gains: Vec<(String, f64, f64)>,
    /// The one that is named, among them.
    pub named: usize,
}

impl Case {
    /// Draws pipeline number `number`, runs it for `items` items, and then without each stage.
    pub fn run(number: u64, items: usize) -> Self {
        let pipeline = draw(number);
        // Rates settle over hundreds of batches.
        let items = items.max(300 * pipeline.batch);
        let snapshots = pipeline.run(items, 100, number);
        let surroundings = Surroundings { usable_cores: pipeline.cores, storage: None };
        let attribution = attribute(&snapshots, &surroundings).expect("a run has items");
        let before_s = seconds_per_item(&snapshots);
        let gains: Vec<_> = pipeline
            .stages()
            .map(|(i, j)| {
                let stage = &attribution.stations[i].stages[j];
                let without_s = seconds_per_item(&pipeline.without((i, j)).run(items, 1, number));
                (stage.name.clone(), stage.optimization_potential, 1.0 - without_s / before_s)
            })
            .collect();
        let limiting = (attribution.limiting_station, attribution.limiting_stage);
        let named = pipeline.stages().position(|stage| stage == limiting).expect("it is one");
        Self { pipeline, attribution, gains, named }
    }

    pub fn best_gain(&self) -> f64 {
        self.gains.iter().map(|(.., gain)| *gain).fold(f64::NEG_INFINITY, f64::max)
    }

    pub fn has_bottleneck(&self) -> bool {
        self.best_gain() >= WORTH
    }

    pub fn is_right(&self) -> bool {
        self.gains[self.named].2 >= self.best_gain() - EQUAL
    }

    /// Predicted gain less true gain of the stage that is named.
    pub fn error(&self) -> f64 {
        self.gains[self.named].1 - self.gains[self.named].2
    }

    /// Whether the true gain lies in the interval of the prediction.
    pub fn is_covered(&self) -> bool {
        let stage = self.attribution.limiting().1;
        stage.interval.is_some_and(|[low, high]| {
            (low..=high).contains(&self.gains[self.named].2)
        })
    }

    /// The pipeline in short: threads and stages of each station, with the room behind it.
    pub fn shape(&self) -> String {
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
        Station { name: format!("station {}", i + 1), threads, stages, room }
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
    let law = match rng.random_range(0..4) {
        0 => Law::Fixed,
        1 => Law::Exponential,
        2 => Law::Lognormal(log_uniform(rng, 0.1, 2.0)),
        _ => Law::Bimodal(rng.random_range(0.01..0.2)),
    };
    let cpu_share = match rng.random_range(0..3) {
        0 => 0.0,
        1 => 1.0,
        _ => rng.random_range(0.0..1.0),
    };
    Stage { name, mean_s: log_uniform(rng, 0.1e-3, 10e-3), law, cpu_share }
}

fn log_uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    (rng.random_range(low.ln()..high.ln())).exp()
}
