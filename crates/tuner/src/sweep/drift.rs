//! How the machine changed during a sweep, as the runs of one setting show it.

use profiler::bootstrap::{Runs, Scatter};
use profiler::statistics::median;
use serde::{Deserialize, Serialize};

use super::cell::by_setting;
use super::grid::Cell;
use super::journal::{Phase, TrialRecord};
use super::strategy::NARROW;

/// What the runs of one setting, one in each block, say of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The default setting.
    pub cell: Cell,
    /// Of each block.
    pub samples_per_s: Vec<f64>,
    /// When each of these runs was started, in seconds of the sweep's own time: what lies between two
    /// calls that resume it does not count. Empty where that was not noted.
    #[serde(default)]
    pub at_s: Vec<f64>,
    /// The highest less the lowest, by the median.
    pub spread: f64,
    /// The median of the later half of the blocks by that of the earlier half, less 1; of an odd
    /// number the middle one counts for neither.
    pub change: f64,
    /// 95% bootstrap interval of the change; absent where too few runs were repeated.
    pub interval: Option<[f64; 2]>,
}

impl Drift {
    /// From the runs of the setting `cell`, at that `place` in the list, as they were measured; `None` of
    /// fewer than two.
    pub fn of(cell: Cell, place: usize, records: &[TrialRecord]) -> Option<Self> {
        let sweep = by_setting(records, |run| run.samples_per_s.map(|rate| (rate, rate)));
        let (samples_per_s, _) = sweep.get(&place)?.clone();
        let half = samples_per_s.len() / 2;
        let (earlier, later) =
            (&samples_per_s[..half], &samples_per_s[samples_per_s.len() - half..]);
        let runs = sweep.values().map(|(values, size)| Runs { values, size: *size });
        let Change { share: change, interval } = Change::of(earlier, later, &Scatter::of(runs))?;
        let most = samples_per_s.iter().copied().reduce(f64::max)?;
        let least = samples_per_s.iter().copied().reduce(f64::min)?;
        let spread = (most - least) / median(&samples_per_s)?;
        let of_setting = |run: &&TrialRecord| {
            run.phase == Phase::Sweep && run.cell == place && run.samples_per_s.is_some()
        };
        let started = records.iter().filter(of_setting).map(|run| run.started_s);
        let at_s = started.collect::<Option<Vec<f64>>>().unwrap_or_default();
        Some(Self { cell, spread, change, interval, samples_per_s, at_s })
    }

    /// That the machine became faster or slower, if it did for sure, and by more than what counts.
    pub fn warning(&self) -> Option<String> {
        let change = Change { share: self.change, interval: self.interval };
        change.is_sure().then(|| {
            format!(
                "the machine changed during the sweep: {} gave {:+.0}% samples/s in the later half \
                 of the blocks than in the earlier, so runs of early and late blocks are not quite \
                 comparable: sweep again when nothing else uses the machine",
                self.cell,
                100.0 * self.change
            )
        })
    }
}

/// How much faster or slower later runs of a setting are than earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Their median by that of the earlier ones, less 1.
    pub(super) share: f64,
    /// 95% interval of that, by how much runs differ; absent where that is not known.
    interval: Option<[f64; 2]>,
}

impl Change {
    /// Of runs that differ as `scatter` says; `None` where there are none on a side.
    pub(super) fn of(earlier: &[f64], later: &[f64], scatter: &Scatter) -> Option<Self> {
        let ratio = median(later)? / median(earlier)?;
        let half_width = |rates: &[f64]| {
            let runs = Runs::relative(rates);
            scatter.interval(runs).map(|[low, high]| (high - low) / 2.0 / runs.size)
        };
        let interval = half_width(earlier).zip(half_width(later)).map(|(a, b)| {
            let width = ratio * a.hypot(b);
            [ratio - 1.0 - width, ratio - 1.0 + width]
        });
        Some(Self { share: ratio - 1.0, interval })
    }

    /// Whether it is more than runs differ by, and more than what counts.
    pub(super) fn is_sure(&self) -> bool {
        let sure = self.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
        sure && self.share.abs() > NARROW
    }
}

#[cfg(test)]
mod tests {
    use super::super::headline::tests::{DEFAULT, WINNER, run};
    use super::*;

    #[test]
    fn drift_is_seen_by_the_runs_of_one_setting() {
        let sweep = |rates: &[f64]| -> Vec<TrialRecord> {
            let run = |(repeat, rate): (usize, &f64)| run(Phase::Sweep, DEFAULT, repeat, *rate);
            rates.iter().enumerate().map(run).collect()
        };
        let drift = |rates: &[f64]| Drift::of(DEFAULT, 1, &sweep(rates));
        let slower = drift(&[100.0, 101.0, 60.0, 81.0, 80.0]).unwrap();
        assert_eq!(slower.at_s, Vec::<f64>::new());
        assert_eq!(slower.samples_per_s, [100.0, 101.0, 60.0, 81.0, 80.0]);
        assert!((slower.change - (80.5 / 100.5 - 1.0)).abs() < 1e-9, "{slower:?}");
        assert!((slower.spread - 41.0 / 81.0).abs() < 1e-9, "{slower:?}");
        // Of so few and so different runs nothing is sure.
        assert_eq!(slower.warning(), None);
        let mut records = sweep(&[100.0, 101.0, 80.0, 81.0]);
        for (number, record) in records.iter_mut().enumerate() {
            record.started_s = Some(30.0 * number as f64);
        }
        for cell in 2..6 {
            for (repeat, rate) in [50.0, 50.5, 49.5, 50.2].into_iter().enumerate() {
                records.push(TrialRecord { cell, ..run(Phase::Sweep, WINNER, repeat, rate) });
            }
        }
        let sure = Drift::of(DEFAULT, 1, &records).unwrap();
        assert_eq!(sure.at_s, [0.0, 30.0, 60.0, 90.0]);
        let warning = sure.warning().unwrap();
        assert!(warning.contains("-20% samples/s"), "{warning}");
        assert_eq!(drift(&[100.0]), None);
    }
}
