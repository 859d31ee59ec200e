//! How the lengths of visits scatter, as far as their sums tell.

use super::replay::Law;
use super::window;
use crate::pipeline::{PipelineSnapshot, StationSnapshot, Visits};

/// Less variation than this is the noise of the sums.
const NOISE: f64 = 1e-3;
/// Stretches that tell whether long visits come in rows.
const LEAST_STRETCHES: usize = 16;
/// Visits in a stretch, at least, for each thread: what is begun in one stretch and ends in the
/// next would blur it.
const LEAST_VISITS: f64 = 10.0;
/// Shorter rows are chance: the standard error of a variance of so many stretches.
const LEAST_ROW: f64 = 1.6;

/// How lengths scatter of which only the first moments are known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// Two lengths with their mean, variance and skewness.
    TwoLengths,
    /// A long tail with their mean and variance.
    Lognormal,
}

/// How the visits to one stage scatter about their mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scatter {
    /// Standard deviation over mean, of what is its own.
    variation: f64,
    /// The same with what it shares with others.
    whole: f64,
    skewness: f64,
    /// Visits in a row that are alike, in what is its own.
    pub(super) row: u64,
}

impl Scatter {
    /// None where it is not known.
    pub(super) fn of(visits: &Visits) -> Self {
        let variation = visits.variation().filter(|variation| *variation >= NOISE);
        let variation = variation.unwrap_or(0.0);
        Self { variation, whole: variation, skewness: visits.skewness().unwrap_or(0.0), row: 1 }
    }

    /// What is left of it beside a factor of such variation that several share.
    pub(super) fn beside(mut self, shared: f64) -> Self {
        let rest = (1.0 + self.variation.powi(2)) / (1.0 + shared.powi(2)) - 1.0;
        self.variation = rest.max(0.0).sqrt();
        self
    }

    /// In such rows that sums over stretches scatter so many times more than without any.
    pub(super) fn in_rows(&mut self, more: f64) {
        // What is shared, the size of an item, is another for each.
        let own = (self.variation / self.whole).powi(2);
        let row = 1.0 + (more - 1.0) / own;
        self.row = if row >= LEAST_ROW && row.is_finite() { row.round() as u64 } else { 1 };
    }

    pub(super) fn law(&self, shape: Shape) -> Law {
        let Self { variation, skewness, .. } = *self;
        if variation < NOISE {
            return Law::Fixed;
        }
        if let Shape::Lognormal = shape {
            return Law::Lognormal(variation);
        }
        let share = 0.5 * (1.0 - skewness / (4.0 + skewness * skewness).sqrt());
        let odds = (share / (1.0 - share)).sqrt();
        // Positive by the moments of positive lengths, were they not rounded.
        let short = (1.0 - variation * odds).max(NOISE);
        let times = (1.0 + variation / odds) / short;
        if times.is_finite() { Law::Either(share, times) } else { Law::Fixed }
    }
}

/// The variation of a factor that all stages of an item share, its size: what whole items vary
/// more than stages that had nothing to do with each other would.
pub(super) fn sizes(station: &StationSnapshot) -> f64 {
    let of = |visits: &Visits| {
        let count = visits.count.max(1) as f64;
        let mean = visits.sum_s / count;
        (mean, (visits.sum_of_squares_s2 / count - mean * mean).max(0.0))
    };
    let (item, item_variance) = of(&station.item_visits);
    let stages = station.stages.iter().map(|stage| of(&stage.visits));
    let (sum, squares, variances) = stages.fold((0.0, 0.0, 0.0), |sums, (mean, variance)| {
        (sums.0 + mean, sums.1 + mean * mean, sums.2 + variance)
    });
    // Twice the sum over pairs of stages of the products of their means.
    let pairs = sum * sum - squares;
    if item <= 0.0 || pairs <= 1e-6 * sum * sum {
        return 0.0;
    }
    ((item_variance - variances) / pairs).max(0.0).sqrt()
}

/// By how much more the sums over stretches scatter, of each stage of each station, and last of the
/// consumer, than visits that had nothing to do with each other would.
pub(super) fn rows(stretches: &[PipelineSnapshot]) -> Option<(Vec<Vec<f64>>, f64)> {
    let total = window::sum(&stretches.iter().collect::<Vec<_>>())?;
    let station = |(i, all): (usize, &StationSnapshot)| {
        let stage = |j: usize| {
            let of = |stretch: &PipelineSnapshot| {
                let station = &stretch.stations[i];
                (station.stages[j].busy_s, station.items.unwrap_or(0))
            };
            row(stretches.iter().map(of), &all.stages[j].visits, all.threads)
        };
        (0..all.stages.len()).map(stage).collect()
    };
    let stations = total.stations.iter().enumerate().map(station).collect();
    let of = |stretch: &PipelineSnapshot| (stretch.consumer_busy_s, stretch.batches);
    Some((stations, row(stretches.iter().map(of), &total.consumer_visits, 1)))
}

/// Of stretches with so many seconds and visits each, on so many threads.
fn row(
    stretches: impl ExactSizeIterator<Item = (f64, u64)> + Clone,
    visits: &Visits,
    threads: usize,
) -> f64 {
    let count = stretches.len() as f64;
    let sum = stretches.clone().fold((0.0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let (each, variation) = (sum.1 as f64 / count, Scatter::of(visits).variation);
    let enough = stretches.len() >= LEAST_STRETCHES && each >= LEAST_VISITS * threads as f64;
    if !enough || variation == 0.0 {
        return 1.0;
    }
    let mean = sum.0 / sum.1 as f64;
    let squares: f64 = stretches.map(|(busy_s, n)| (busy_s - mean * n as f64).powi(2)).sum();
    // Nothing is known of rows as long as a stretch.
    (squares / (count - 1.0) / (each * (variation * mean).powi(2))).min(each)
}
