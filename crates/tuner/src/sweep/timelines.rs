//! What runs of the settings that matter used over time.

use serde::{Deserialize, Serialize};

use super::grid::Cell;
use super::journal::{Phase, TrialRecord};
use crate::timeline::Timeline;

/// A run of a setting, over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellTimeline {
    /// The setting.
    #[serde(flatten)]
    pub cell: Cell,
    /// Of one of its runs.
    pub timeline: Timeline,
}

/// Of each of these settings, once, that has a run with a timeline among `records`: where all were run to
/// hold one against the other, those of one such block, since they were run one right after the other.
pub(super) fn of(
    settings: impl IntoIterator<Item = Cell>,
    records: &[TrialRecord],
) -> Vec<CellTimeline> {
    let mut cells: Vec<Cell> = Vec::new();
    for cell in settings {
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    let runs = |cell: Cell, phase: Phase| {
        records.iter().filter(move |run| run.setting() == cell && run.phase == phase)
    };
    let in_all = |run: &&TrialRecord| {
        let with = |cell: &Cell| {
            let mut others = runs(*cell, Phase::Confirm);
            others.any(|it| it.repeat == run.repeat && it.timeline.is_some())
        };
        cells.iter().all(with)
    };
    let first = cells.first().map(|cell| runs(*cell, Phase::Confirm).filter(in_all));
    let block = first.and_then(middle).map(|run| run.repeat);
    let of_cell = |cell: &Cell| {
        let run = match block {
            Some(block) => runs(*cell, Phase::Confirm).find(|run| run.repeat == block),
            None => middle(runs(*cell, Phase::Sweep)),
        };
        Some(CellTimeline { cell: *cell, timeline: run?.timeline.clone()? })
    };
    cells.iter().filter_map(of_cell).collect()
}

/// The run with the middle rate, of those with a timeline.
fn middle<'a>(runs: impl Iterator<Item = &'a TrialRecord>) -> Option<&'a TrialRecord> {
    let with = runs.filter(|run| run.timeline.is_some());
    let mut runs: Vec<(f64, &TrialRecord)> =
        with.filter_map(|run| Some((run.samples_per_s?, run))).collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    runs.get(runs.len().saturating_sub(1) / 2).map(|(_, run)| *run)
}

#[cfg(test)]
pub(in crate::sweep) mod tests {
    use super::super::headline::tests::{DEFAULT, WINNER, run};
    use super::*;

    /// Of so many points, a tenth of a second apart, the first third of them in the warm-up.
    pub(in crate::sweep) fn timeline(points: usize, samples_per_s: f64) -> Timeline {
        let numbers = || (1..=points).map(|number| number as f64);
        Timeline {
            measured_from_s: 0.1 * (points / 3) as f64,
            at_s: numbers().map(|number| 0.1 * number).collect(),
            samples_per_s: numbers().map(|_| Some(samples_per_s)).collect(),
            cpu_percent: numbers().map(|number| Some(150.0 + number)).collect(),
            rss_bytes: numbers().map(|number| ((200.0 + number) * 1_048_576.0) as u64).collect(),
            storage_read_bytes_per_s: numbers().map(|_| Some(0.0)).collect(),
            ..Timeline::default()
        }
    }

    fn with(phase: Phase, setting: Cell, repeat: usize, rate: f64) -> TrialRecord {
        let timeline = Some(timeline(9, rate));
        TrialRecord { timeline, ..run(phase, setting, repeat, rate) }
    }

    /// The rates of the runs that are found, with their settings.
    fn found(settings: &[Cell], records: &[TrialRecord]) -> Vec<(Cell, Option<f64>)> {
        let found = of(settings.iter().copied(), records).into_iter();
        found.map(|it| (it.cell, it.timeline.samples_per_s[0])).collect()
    }

    #[test]
    fn of_each_setting_there_is_the_run_with_the_middle_rate() {
        let mut records = vec![
            with(Phase::Sweep, WINNER, 0, 130.0),
            with(Phase::Sweep, WINNER, 1, 110.0),
            with(Phase::Sweep, WINNER, 2, 120.0),
            // One without is passed over.
            run(Phase::Sweep, WINNER, 3, 125.0),
            with(Phase::Sweep, DEFAULT, 0, 90.0),
            with(Phase::Sweep, DEFAULT, 1, 100.0),
        ];
        let other = Cell { batch_size: 99, ..DEFAULT };
        let settings = [WINNER, DEFAULT, WINNER, other];
        let middle = [(WINNER, Some(120.0)), (DEFAULT, Some(90.0))];
        assert_eq!(found(&settings, &records), middle);
        // A machine that became twice as fast must not look like a better setting.
        for (pair, rate) in [250.0, 230.0, 240.0, 260.0].into_iter().enumerate() {
            records.push(with(Phase::Confirm, WINNER, pair, rate));
        }
        assert_eq!(found(&settings[..2], &records), middle);
        for (pair, rate) in [200.0, 201.0, 202.0].into_iter().enumerate() {
            records.push(with(Phase::Confirm, DEFAULT, pair, rate));
        }
        let pair = [(WINNER, Some(240.0)), (DEFAULT, Some(202.0))];
        assert_eq!(found(&settings[..2], &records), pair);
    }
}
