//! Rates at the machine's usual speed.
//!
//! A run that was measured in turn with the reference ([`Reference`](crate::measure::Reference)) knows how
//! fast the machine was meanwhile: as fast as the reference. Its rates are taken times
//!
//! ```text
//! usual rate of the reference / its rate during this run
//! ```
//!
//! where the usual rate is the median of the runs that look for the best setting: those that confirm it then
//! change nothing of what it was chosen by. So a run on a machine that was slow for a second counts as if it
//! had met the machine as it mostly is. What a consumer paces that is kept fed does not follow the machine's
//! speed, and is taken as it was measured; so is what had no reference, and the run that is held against it.

use std::collections::BTreeSet;

use profiler::statistics::median;

use super::journal::{Phase, Status, TrialRecord};
use super::objective::FED;

/// The runs with their rates, and what follows from these, at the machine's usual speed. The reference of
/// each that was leveled then has its usual rate: what is leveled once more stays.
pub fn leveled(records: &[TrialRecord]) -> Vec<TrialRecord> {
    let of_phase = |phase| {
        let of_phase = records.iter().filter(|record| record.phase == phase);
        median(&of_phase.filter_map(reference).collect::<Vec<_>>())
    };
    let usual = of_phase(Phase::Sweep).or_else(|| of_phase(Phase::Confirm));
    let alone: BTreeSet<usize> = records
        .iter()
        .filter(|record| record.phase == Phase::Confirm && record.status == Status::Ok)
        .filter(|record| reference(record).is_none())
        .map(|record| record.repeat)
        .collect();
    let level = |record: &TrialRecord| -> Option<TrialRecord> {
        let by = usual? / reference(record)?;
        let paced = record.wait_share.is_some_and(|share| share < FED);
        let beside_one = record.phase == Phase::Confirm && alone.contains(&record.repeat);
        (!paced && !beside_one).then(|| at_speed(record, by))
    };
    records.iter().map(|record| level(record).unwrap_or_else(|| record.clone())).collect()
}

/// What a run would have given on a machine that is `by` times as fast.
fn at_speed(record: &TrialRecord, by: f64) -> TrialRecord {
    let score_terms = record.score_terms.map(|mut terms| {
        terms.batches *= by;
        terms
    });
    TrialRecord {
        samples_per_s: record.samples_per_s.map(|rate| rate * by),
        batches_per_s: record.batches_per_s.map(|rate| rate * by),
        reference_samples_per_s: record.reference_samples_per_s.map(|rate| rate * by),
        score: score_terms.map(|terms| terms.total()),
        score_terms,
        ..record.clone()
    }
}

fn reference(record: &TrialRecord) -> Option<f64> {
    record.reference_samples_per_s.filter(|rate| *rate > 0.0 && rate.is_finite())
}

#[cfg(test)]
mod tests {
    use super::super::cell::tests::figures;
    use super::super::grid::{Cell, Planned};
    use super::*;

    fn record(rate: f64, reference: Option<f64>, wait_share: Option<f64>) -> TrialRecord {
        let cell = Cell { batch_size: 8, num_workers: 1, prefetch_depth: 1 };
        let planned = Planned { phase: Phase::Sweep, repeat: 0, cell: 0 };
        let figures = figures(rate, 8);
        let reference_samples_per_s = reference;
        let figures = crate::measure::Figures { reference_samples_per_s, wait_share, ..figures };
        TrialRecord::new(planned, cell, Ok(&figures))
    }

    #[test]
    fn a_run_that_met_a_slow_machine_counts_as_one_that_met_the_usual() {
        let records = [
            record(160.0, Some(50.0), None),
            record(80.0, Some(25.0), None),
            record(170.0, Some(60.0), Some(0.5)),
            // Fed, and without a reference.
            record(99.0, Some(25.0), Some(0.01)),
            record(77.0, None, None),
        ];
        let leveled_once = leveled(&records);
        let rates: Vec<f64> = leveled_once.iter().map(|it| it.samples_per_s.unwrap()).collect();
        // The usual is the median of 25, 25, 50, 60.
        assert_eq!(rates, [120.0, 120.0, 106.25, 99.0, 77.0]);
        let (before, after) = (&records[1], &leveled_once[1]);
        assert_eq!(after.batches_per_s, Some(15.0));
        let gained = after.score.unwrap() - before.score.unwrap();
        assert!((gained - 10.0 * (15.0 - 10.0)).abs() < 1e-9, "{gained}");
        assert_eq!(leveled_once[0].score, leveled_once[0].score_terms.map(|it| it.total()));
        assert_eq!(leveled(&records[4..]), records[4..]);
    }

    #[test]
    fn runs_that_confirm_do_not_change_those_of_the_sweep_and_are_leveled_in_pairs() {
        let confirm = |repeat, rate, reference| {
            let record = record(rate, reference, None);
            TrialRecord { phase: Phase::Confirm, repeat, ..record }
        };
        let mut records = vec![record(100.0, Some(50.0), None), record(90.0, Some(45.0), None)];
        let before = leveled(&records);
        records.push(confirm(0, 70.0, Some(95.0)));
        records.push(confirm(0, 80.0, Some(95.0)));
        // The other of this pair had no reference.
        records.push(confirm(1, 70.0, Some(70.0)));
        records.push(confirm(1, 80.0, None));
        let after = leveled(&records);
        assert_eq!(after[..2], before);
        let rates: Vec<f64> = after[2..].iter().map(|it| it.samples_per_s.unwrap()).collect();
        assert_eq!(rates, [35.0, 40.0, 70.0, 80.0]);
    }
}
