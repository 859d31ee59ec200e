//! What is best: the objectives, and the setting that wins under each.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::cell::CellSummary;
use super::estimate::Estimate;
use super::grid::Cell;
use super::score::ScoreTerms;

/// What a setting is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The documented score.
    Documented,
    /// The most samples a second.
    SamplesPerSecond,
    /// The fewest workers, then the least memory, with which the consumer waits for data under
    /// [`FED`] of its time. Needs a consumer.
    CheapestThatFeeds,
    /// The shortest time to the first batch.
    FirstBatch,
    /// The least memory.
    Memory,
    /// The score with the weights of `[sweep.weights]`.
    Custom,
}

/// A consumer that waits a smaller share of its time is fed.
pub const FED: f64 = 0.05;

/// Whether the consumer is fed with the setting of `cell`, by the median of its runs; never without a
/// consumer.
pub fn feeds(cell: &CellSummary) -> bool {
    cell.wait_share.is_some_and(|wait| wait.median < FED)
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Documented,
        Self::SamplesPerSecond,
        Self::CheapestThatFeeds,
        Self::FirstBatch,
        Self::Memory,
        Self::Custom,
    ];

    /// The name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::SamplesPerSecond => "samples-per-second",
            Self::CheapestThatFeeds => "cheapest-that-feeds",
            Self::FirstBatch => "first-batch",
            Self::Memory => "memory",
            Self::Custom => "custom",
        }
    }

    /// How good a setting is by its runs, more being better; `None` where it was not asked for. That a
    /// setting feeds the consumer is as good as it gets.
    pub fn goodness(self, cell: &CellSummary) -> Option<Estimate> {
        Some(match self {
            Self::Documented => cell.score,
            Self::SamplesPerSecond => cell.samples_per_s,
            Self::CheapestThatFeeds => {
                let wait = cell.wait_share?.negated();
                let capped = |share: f64| if share > -FED { 0.0 } else { share };
                Estimate { median: capped(wait.median), max: capped(wait.max), ..wait }
            }
            Self::FirstBatch => cell.first_batch_s.negated(),
            Self::Memory => cell.rss_mean_bytes.negated(),
            Self::Custom => cell.custom_score?,
        })
    }
}

/// What a setting is chosen by: how good it is by its runs, or is expected to be by those of all.
pub(super) fn chosen_by(objective: Objective, cell: &CellSummary) -> Option<Estimate> {
    let by_runs = objective.goodness(cell)?;
    let expected = cell.expected.filter(|expected| expected.objective == objective);
    Some(expected.map_or(by_runs, |expected| by_runs.moved(expected.goodness)))
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The weights of a score: `[sweep.weights]`, for the objective `custom`. What is not given has the
/// weight of the documented score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// For a batch per second.
    pub batches_per_s: f64,
    /// For a sample per second; the documented score has none.
    pub samples_per_s: f64,
    /// For 100 MB (2^20 bytes) of resident memory.
    pub memory_100_mb: f64,
    /// For 100 MB of GPU memory.
    pub gpu_memory_100_mb: f64,
    /// For 10 percent of CPU use.
    pub cpu_10_percent: f64,
    /// For each bottleneck of the documented rules.
    pub bottleneck: f64,
    /// For having workers.
    pub workers: f64,
    /// For pinned memory.
    pub pin_memory: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            batches_per_s: 10.0,
            samples_per_s: 0.0,
            memory_100_mb: -1.0,
            gpu_memory_100_mb: -1.0,
            cpu_10_percent: -1.0,
            bottleneck: -5.0,
            workers: 2.0,
            pin_memory: 1.0,
        }
    }
}

impl Weights {
    /// Whether all are finite numbers.
    pub(crate) fn are_finite(&self) -> bool {
        self.of(&ScoreTerms::ones(), 1.0).is_finite()
    }

    /// The score of a trial with these terms of the documented score.
    pub fn of(&self, terms: &ScoreTerms, samples_per_s: f64) -> f64 {
        self.samples_per_s * samples_per_s + self.weighted(terms).total()
    }

    /// Its [size](ScoreTerms::size).
    pub fn size(&self, terms: &ScoreTerms, samples_per_s: f64) -> f64 {
        (self.samples_per_s * samples_per_s).abs() + self.weighted(terms).size()
    }

    fn weighted(&self, terms: &ScoreTerms) -> ScoreTerms {
        let documented = Self::default();
        let gpu = self.gpu_memory_100_mb / documented.gpu_memory_100_mb;
        ScoreTerms {
            batches: terms.batches * self.batches_per_s / documented.batches_per_s,
            memory: terms.memory * self.memory_100_mb / documented.memory_100_mb,
            gpu_memory: terms.gpu_memory.map(|term| term * gpu),
            cpu: terms.cpu * self.cpu_10_percent / documented.cpu_10_percent,
            bottlenecks: terms.bottlenecks * self.bottleneck / documented.bottleneck,
            workers: terms.workers * self.workers / documented.workers,
            pin_memory: terms.pin_memory * self.pin_memory / documented.pin_memory,
        }
    }
}

/// The winner under an objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The objective.
    pub objective: Objective,
    /// The setting that wins; the default where fresh runs refute the one that won.
    pub winner: Cell,
    /// The setting with the best median, which may be an equal of the winner's.
    pub leader: Cell,
    /// Settings within the leader's interval and at most 0.5% below it, the winner among them: of
    /// these fewer workers win, then less memory, then smaller depth.
    pub equals: Vec<Cell>,
    /// Others, of those that were run, that may be as good as the winner for all that is known:
    /// their intervals overlap with the leader's. Of the objective `cheapest-that-feeds` those that
    /// are cheaper than the winner and may feed the consumer too.
    pub undecided: Vec<Cell>,
}

impl Choice {
    /// The default wins instead, since fresh runs refute the winner.
    pub(super) fn give_way(&mut self, default: Cell) {
        self.winner = default;
        self.equals = vec![default];
        self.undecided.retain(|cell| *cell != default);
    }

    /// How sure it is that no other setting is better, in words; `cells` has the figures.
    pub fn certainty(&self, cells: &[CellSummary]) -> String {
        let leader = cells.iter().find(|cell| cell.cell == self.leader);
        let feeds = self.objective == Objective::CheapestThatFeeds && leader.is_some_and(feeds);
        let settings = |number: usize, are: [&str; 2]| match number {
            1 => format!("1 other setting {}", are[0]),
            number => format!("{number} other settings {}", are[1]),
        };
        let equals = match self.equals.len().saturating_sub(1) {
            0 if feeds => "no other setting feeds the consumer".to_owned(),
            equals if feeds => format!(
                "{} the consumer; of those fewer workers win, then less memory, then smaller depth",
                settings(equals, ["feeds", "feed"])
            ),
            0 => "no other setting is its equal, within 0.5%".to_owned(),
            equals => format!(
                "{}, within 0.5%; of equals fewer workers win, then less memory, then smaller depth",
                settings(equals, ["is its equal", "are its equals"])
            ),
        };
        match self.undecided.len() {
            0 => format!("{equals}; the others that were run are worse"),
            open if feeds => format!(
                "{equals}; {} for all that is known, and {} less",
                settings(open, ["may do so", "may do so"]),
                if open == 1 { "costs" } else { "cost" }
            ),
            open => format!(
                "{equals}; {} not be told apart from it, since their intervals overlap",
                settings(open, ["can", "can"])
            ),
        }
    }
}

/// How far below the leader another may lie and still be its equal, however wide the leader's
/// interval, in shares of the [size](Estimate::size): a tie and the scatter of the runs together must
/// not cost more than 3%. With 1.5% they
/// did in 19 of 360 sweeps in virtual time ([`replay`](super::replay)) by a grid of five repeats, of
/// which 12 were of one workload of six.
const TIE_SHARE: f64 = 0.005;

/// Whether a setting is the equal of the leader: its median lies within the leader's interval and
/// at most 0.5% below the leader's.
fn equal(goodness: Estimate, leader: Estimate) -> bool {
    let low = leader.interval.map_or(leader.median, |[low, _]| low);
    goodness.median >= low.max(leader.median - TIE_SHARE * leader.size)
}

/// The winner among `cells` under `objective`; `None` where no cell has a figure for it. Settings of
/// which a trial failed win only where there are no others, and never one that is not in the grid.
pub fn choose<'a>(
    objective: Objective,
    cells: impl IntoIterator<Item = &'a CellSummary>,
) -> Option<Choice> {
    let in_grid = cells.into_iter().filter(|cell| cell.in_grid);
    let rated = in_grid.filter_map(|cell| Some((cell, chosen_by(objective, cell)?)));
    let (sound, shaky): (Vec<_>, Vec<_>) = rated.partition(|(cell, _)| cell.failed == 0);
    let rated = if sound.is_empty() { shaky } else { sound };
    let best = rated.iter().max_by(|(_, a), (_, b)| a.median.total_cmp(&b.median))?;
    let (leader, leads) = *best;
    let feeds = objective == Objective::CheapestThatFeeds && feeds(leader);
    let (equals, others): (Vec<_>, Vec<_>) =
        rated.into_iter().partition(|(_, it)| equal(*it, leads));
    let equals: Vec<&CellSummary> = equals.into_iter().map(|(cell, _)| cell).collect();
    let winner = preferred(&equals)?;
    let open = |(cell, it): &(&CellSummary, Estimate)| match feeds {
        true => cheaper(cell, winner) && it.high() > -FED,
        false => it.high() >= leads.low(),
    };
    let undecided = others.into_iter().filter(open).map(|(cell, _)| cell.cell).collect();
    let equals = equals.iter().map(|cell| cell.cell).collect();
    Some(Choice { objective, winner: winner.cell, leader: leader.cell, equals, undecided })
}

/// Bytes of memory that make no difference.
const SAME_MEMORY: f64 = 16.0 * 1024.0 * 1024.0;

/// The one that is preferred among equals: of those with the fewest workers those that take no more
/// memory than the least by [`SAME_MEMORY`], of these the smallest depth, then the largest batches.
fn preferred<'a>(equals: &[&'a CellSummary]) -> Option<&'a CellSummary> {
    let fewest = equals.iter().map(|it| it.cell.num_workers).min()?;
    let memory = |it: &CellSummary| it.rss_mean_bytes.median;
    let few = || equals.iter().copied().filter(|it| it.cell.num_workers == fewest);
    let least = few().map(memory).fold(f64::INFINITY, f64::min);
    let small = few().filter(|it| memory(it) <= least + SAME_MEMORY);
    small.min_by_key(|it| (it.cell.prefetch_depth, Reverse(it.cell.batch_size)))
}

/// Whether it has fewer workers than the other, or as many and takes less memory.
pub(super) fn cheaper(cell: &CellSummary, other: &CellSummary) -> bool {
    let cost = |it: &CellSummary| (it.cell.num_workers, it.rss_mean_bytes.median);
    cost(cell) < cost(other)
}

/// What `cell` has that makes it preferred to `other`, its equal.
pub fn preferred_for(cell: &CellSummary, other: &CellSummary) -> &'static str {
    if cell.cell.num_workers != other.cell.num_workers {
        "fewer workers"
    } else if cell.rss_mean_bytes.median + SAME_MEMORY < other.rss_mean_bytes.median {
        "less memory"
    } else if cell.cell.prefetch_depth != other.cell.prefetch_depth {
        "a smaller prefetch depth"
    } else {
        "larger batches"
    }
}

/// The winner of each batch size under `objective`, in the order of batch sizes.
pub fn by_batch_size(objective: Objective, cells: &[CellSummary]) -> Vec<Choice> {
    let mut sizes: Vec<usize> =
        cells.iter().filter(|cell| cell.in_grid).map(|cell| cell.cell.batch_size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let of_size = |size| cells.iter().filter(move |cell| cell.cell.batch_size == size);
    sizes.into_iter().filter_map(|size| choose(objective, of_size(size))).collect()
}

/// The settings that no other beats in both samples a second and memory, by rising memory; those of
/// which a run failed are left out.
pub fn pareto(cells: &[CellSummary]) -> Vec<Cell> {
    let sound = cells.iter().filter(|cell| cell.in_grid && cell.failed == 0);
    let mut cells: Vec<&CellSummary> = sound.collect();
    let key = |cell: &CellSummary| (cell.rss_mean_bytes.median, cell.samples_per_s.median);
    cells.sort_by(|a, b| {
        let ((a_memory, a_rate), (b_memory, b_rate)) = (key(a), key(b));
        a_memory.total_cmp(&b_memory).then(match b_rate.total_cmp(&a_rate) {
            Ordering::Equal => a.cell.cmp(&b.cell),
            order => order,
        })
    });
    let mut fastest = f64::NEG_INFINITY;
    cells.retain(|cell| {
        let better = cell.samples_per_s.median > fastest;
        fastest = fastest.max(cell.samples_per_s.median);
        better
    });
    cells.into_iter().map(|cell| cell.cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::cell::Expected;
    use super::super::cell::tests::cell;
    use super::*;

    fn winner(objective: Objective, cells: &[CellSummary]) -> Option<(usize, usize)> {
        choose(objective, cells).map(|it| (it.winner.num_workers, it.winner.prefetch_depth))
    }

    #[test]
    fn ties_go_to_fewer_workers_then_less_memory() {
        let cells = [cell(4, 2, 100.4), cell(2, 4, 100.0), cell(2, 1, 99.9), cell(1, 1, 60.0)];
        assert_eq!(winner(Objective::Documented, &cells), Some((2, 1)));
        let choice = choose(Objective::Documented, &cells).unwrap();
        assert_eq!((choice.leader, choice.equals.len()), (cells[0].cell, 3));
    }

    #[test]
    fn a_wide_interval_makes_no_equals_of_what_is_clearly_worse() {
        let mut leader = cell(4, 2, 104.0);
        leader.score.interval = Some([10.0, 110.0]);
        let cells = [leader, cell(2, 4, 100.0)];
        assert_eq!(winner(Objective::Documented, &cells), Some((4, 2)));
    }

    #[test]
    fn what_cannot_be_told_apart_from_the_leader_is_undecided_and_not_its_equal() {
        // Intervals of 5 either way.
        let cells = [cell(4, 2, 104.0), cell(2, 4, 100.0), cell(2, 1, 95.0), cell(1, 1, 90.0)];
        let choice = choose(Objective::Documented, &cells).unwrap();
        assert_eq!((choice.winner, &choice.equals[..]), (cells[0].cell, &[cells[0].cell][..]));
        assert_eq!(choice.undecided, [cells[1].cell, cells[2].cell]);
        let mut alone = cells.clone();
        alone[3].score.interval = None;
        let choice = choose(Objective::Documented, &alone).unwrap();
        assert_eq!(choice.undecided, [cells[1].cell, cells[2].cell, cells[3].cell]);
    }

    #[test]
    fn of_what_feeds_only_cheaper_settings_that_may_feed_too_are_undecided() {
        let waiting = |workers, [low, median, high]: [f64; 3]| {
            let mut cell = cell(workers, 1, 100.0);
            let interval = Some([low, high]);
            cell.wait_share =
                Some(Estimate { median, min: median, max: median, interval, size: FED });
            cell
        };
        let cells = [
            waiting(1, [0.5, 0.6, 0.7]),
            waiting(2, [0.04, 0.08, 0.12]),
            waiting(4, [0.0, 0.01, 0.02]),
            waiting(8, [0.03, 0.06, 0.09]),
        ];
        let choice = choose(Objective::CheapestThatFeeds, &cells).unwrap();
        assert_eq!((choice.winner, choice.undecided), (cells[2].cell, vec![cells[1].cell]));
    }

    #[test]
    fn what_is_expected_by_all_runs_decides_and_not_a_lucky_run() {
        let mut cells = [cell(4, 2, 120.0), cell(2, 4, 100.0)];
        for (cell, goodness) in cells.iter_mut().zip([99.0, 101.0]) {
            cell.expected = Some(Expected { objective: Objective::Documented, goodness });
        }
        assert_eq!(winner(Objective::Documented, &cells), Some((2, 4)));
        assert_eq!(winner(Objective::SamplesPerSecond, &cells), Some((4, 2)));
    }

    #[test]
    fn memory_that_hardly_differs_does_not_decide() {
        let taking = |depth, mebibytes: f64| {
            let mut cell = cell(2, depth, 100.0);
            cell.rss_mean_bytes.median = mebibytes * f64::from(1 << 20);
            cell
        };
        let cells = [taking(4, 159.9), taking(2, 160.1), taking(1, 180.0)];
        assert_eq!(winner(Objective::Documented, &cells), Some((2, 2)));
    }

    #[test]
    fn without_an_interval_there_are_no_equals() {
        let mut leader = cell(4, 2, 101.0);
        leader.score.interval = None;
        assert_eq!(winner(Objective::Documented, &[leader, cell(2, 4, 100.0)]), Some((4, 2)));
    }

    #[test]
    fn what_feeds_the_consumer_with_fewest_workers_wins() {
        let waiting = |workers, share| {
            let mut cell = cell(workers, 1, 100.0);
            let interval = Some([share - 0.01, share + 0.01]);
            cell.wait_share =
                Some(Estimate { median: share, min: share, max: share, interval, size: FED });
            cell
        };
        let cells = [waiting(8, 0.0), waiting(4, 0.04), waiting(2, 0.2)];
        assert_eq!(winner(Objective::CheapestThatFeeds, &cells), Some((4, 1)));
        // None does: the one that waits least.
        let cells = [waiting(8, 0.3), waiting(4, 0.5)];
        assert_eq!(winner(Objective::CheapestThatFeeds, &cells), Some((8, 1)));
        assert_eq!(winner(Objective::CheapestThatFeeds, &[cell(1, 1, 1.0)]), None);
    }

    #[test]
    fn a_setting_outside_the_grid_or_with_failures_does_not_win() {
        let mut outside = cell(4, 2, 300.0);
        outside.in_grid = false;
        let mut shaky = cell(3, 2, 200.0);
        shaky.failed = 1;
        let cells = [outside, shaky, cell(2, 2, 100.0)];
        assert_eq!(winner(Objective::SamplesPerSecond, &cells), Some((2, 2)));
        assert_eq!(winner(Objective::SamplesPerSecond, &cells[..2]), Some((3, 2)));
    }

    #[test]
    fn the_front_has_no_setting_that_another_beats_in_both() {
        // Memory grows with depth.
        let cells = [cell(1, 1, 100.0), cell(2, 2, 90.0), cell(2, 3, 150.0), cell(4, 3, 150.0)];
        assert_eq!(pareto(&cells), [cells[0].cell, cells[2].cell]);
    }

    #[test]
    fn documented_weights_give_the_documented_score() {
        let terms = ScoreTerms { gpu_memory: Some(-3.0), ..ScoreTerms::ones() };
        assert_eq!(Weights::default().of(&terms, 1e6), terms.total());
        let samples = Weights { samples_per_s: 1.0, ..Weights::default() };
        assert_eq!(samples.of(&terms, 7.0), terms.total() + 7.0);
    }
}
