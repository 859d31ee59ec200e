//! Two measurements beside each other.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::BTreeMap;

use profiler::compare::{
    Comparable, CompareError, CompareOptions, Comparison, Metric, Outcome, compare,
};
use profiler::pipeline::PipelineSnapshot;
use profiler::session::ProfilingSession;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod gallery;

fn with(name: &str, higher_is_better: bool, values: &[f64]) -> Comparable {
    let identity = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Comparable {
        schema: "test/1".to_owned(),
        machine: identity("cpu", "one"),
        data: identity("data", "cats"),
        metrics: vec![Metric {
            name: name.to_owned(),
            unit: "ms".to_owned(),
            higher_is_better,
            values: values.to_vec(),
        }],
    }
}

fn outcome(higher_is_better: bool, a: &[f64], b: &[f64]) -> Outcome {
    let (a, b) = (with("m", higher_is_better, a), with("m", higher_is_better, b));
    compare(&a, &b, CompareOptions::default()).unwrap().rows[0].outcome
}

const STEADY: [f64; 5] = [100.0, 101.0, 99.0, 100.5, 99.5];
const RISEN: [f64; 5] = [120.0, 121.0, 119.0, 120.5, 119.5];
const NOISY: [f64; 5] = [80.0, 130.0, 95.0, 125.0, 100.0];

#[test]
fn the_whole_interval_must_lie_beyond_the_threshold() {
    assert_eq!(outcome(true, &STEADY, &RISEN), Outcome::Improved);
    assert_eq!(outcome(true, &RISEN, &STEADY), Outcome::Regression);
    assert_eq!(outcome(false, &STEADY, &RISEN), Outcome::Regression);
    assert_eq!(outcome(false, &RISEN, &STEADY), Outcome::Improved);
    assert_eq!(outcome(false, &STEADY, &STEADY), Outcome::Same);
    assert_eq!(outcome(false, &STEADY, &NOISY), Outcome::Inconclusive);
    // A change that is sure, and smaller than the threshold.
    assert_eq!(outcome(false, &STEADY, &STEADY.map(|value| value * 1.02)), Outcome::Same);
}

#[test]
fn chance_is_seldom_taken_for_a_change_and_changes_are_found() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    // Sub-windows that differ by up to a tenth either way.
    let mut draw =
        |mean: f64| -> Vec<f64> { (0..20).map(|_| mean * random.random_range(0.9..1.1)).collect() };
    let (mut false_alarms, mut found) = (0, 0);
    for _ in 0..200 {
        let (before, same, slower) = (draw(1.0), draw(1.0), draw(1.2));
        false_alarms += u32::from(outcome(false, &before, &same) == Outcome::Regression);
        found += u32::from(outcome(false, &before, &slower) == Outcome::Regression);
    }
    assert!(false_alarms <= 2, "{false_alarms} of 200");
    assert!(found >= 190, "{found} of 200");
}

#[test]
fn few_values_and_zeros_are_told_apart_from_changes() {
    assert_eq!(outcome(false, &[1.0], &[9.0]), Outcome::Inconclusive);
    assert_eq!(outcome(false, &[1.0, 1.0], &[9.0, 9.0]), Outcome::Inconclusive);
    assert_eq!(outcome(false, &[0.0; 5], &[0.0; 5]), Outcome::Same);
    assert_eq!(outcome(false, &[0.0; 5], &STEADY), Outcome::Inconclusive);
    assert_eq!(outcome(true, &STEADY, &[0.0; 5]), Outcome::Regression);
    let unknown = [f64::NAN, 100.0, f64::INFINITY, 101.0, 99.0];
    assert_eq!(outcome(false, &unknown, &STEADY), Outcome::Same);
}

#[test]
fn the_same_comparison_gives_the_same_figures() {
    let run = || {
        let (a, b) = (with("m", true, &STEADY), with("m", true, &NOISY));
        compare(&a, &b, CompareOptions::default()).unwrap()
    };
    assert_eq!(run(), run());
    let json = serde_json::to_string(&run()).unwrap();
    assert!(json.starts_with(r#"{"schema":"profiler-comparison/1","threshold":0.05"#), "{json}");
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), run());
}

#[test]
fn what_cannot_be_compared_is_refused_and_the_difference_named() {
    let options = CompareOptions::default();
    let a = with("m", true, &STEADY);
    let mut b = a.clone();
    b.machine.insert("cpu".to_owned(), "two".to_owned());
    b.machine.insert("gpus".to_owned(), "H100".to_owned());
    let error = compare(&a, &b, options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the measurements were made on different machines: cpu is `one` and `two`; gpus is `none` \
         and `H100`\nhint: --force compares them all the same"
    );
    let forced = compare(&a, &b, CompareOptions { force: true, ..options }).unwrap();
    assert_eq!(forced.differences.len(), 2);
    assert!(forced.to_string().contains("forced although cpu is `one` and `two`"));

    let mut b = a.clone();
    b.data.clear();
    let error = compare(&a, &b, options).unwrap_err();
    assert!(error.to_string().contains("different data: data is `cats` and `none`"), "{error}");

    let mut b = a.clone();
    b.schema = "other/1".to_owned();
    let forced = CompareOptions { force: true, ..options };
    assert!(matches!(compare(&a, &b, forced), Err(CompareError::Schema { .. })));
    let other = with("n", true, &STEADY);
    assert_eq!(compare(&a, &other, options), Err(CompareError::NothingInCommon));
    for threshold in [-0.1, 1.5, f64::NAN] {
        let options = CompareOptions { threshold, ..options };
        assert!(matches!(compare(&a, &a, options), Err(CompareError::Threshold { .. })));
    }
}

/// The training session, each pass of its loop so many times as long.
fn slower(times: f64) -> ProfilingSession {
    let mut session = gallery::training();
    for (at, span) in session.timeline.iter_mut().enumerate() {
        span.duration_s *= times * if at % 2 == 0 { 0.99 } else { 1.01 };
    }
    for snapshot in &mut session.performance_metrics.pipelines[0].snapshots {
        snapshot.items = (snapshot.items as f64 / times) as u64;
    }
    session
}

#[test]
fn a_session_that_became_slower_is_a_regression() {
    let (a, b) = (gallery::training(), slower(1.3));
    let found = compare(&(&a).into(), &(&b).into(), CompareOptions::default()).unwrap();
    assert!(found.has_regression());
    let outcome = |name: &str| {
        found.rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}")).outcome
    };
    assert_eq!(outcome("loader: samples a second"), Outcome::Regression);
    assert_eq!(outcome("loader: CPU time a sample"), Outcome::Regression);
    assert_eq!(outcome("forward: time a call"), Outcome::Regression);
    assert_eq!(outcome("loader: time not waiting"), Outcome::Same);
    assert_eq!(outcome("resident memory"), Outcome::Same);
    // Its calls are not in the timeline: there is a mean alone.
    assert_eq!(outcome("optimizer: time a call"), Outcome::Inconclusive);
    let table = found.to_string();
    assert!(table.lines().nth(1).unwrap().ends_with("regression"), "{table}");
    assert!(table.contains("loader: samples a second"), "{table}");

    let same = compare(&(&a).into(), &(&a).into(), CompareOptions::default()).unwrap();
    assert!(!same.has_regression(), "{same}");
    let mut faster = a.clone();
    faster.machine.usable_cores = 4.0;
    let error = compare(&(&a).into(), &(&faster).into(), CompareOptions::default()).unwrap_err();
    assert!(error.to_string().contains("usable cores is `8` and `4`"), "{error}");
}

/// The training session, with a pipeline of which a batch comes every `batch_s`.
fn with_batches_every(batch_s: f64) -> ProfilingSession {
    let mut session = gallery::training();
    let pipeline = &mut session.performance_metrics.pipelines[0];
    let last = pipeline.snapshots[pipeline.snapshots.len() - 1].clone();
    let at_tick = |tick: u32| {
        let at_s = 0.1 * f64::from(tick);
        let batches = (at_s / batch_s).floor();
        PipelineSnapshot {
            at_s,
            items: 64 * batches as u64,
            batches: batches as u64,
            since_batch_s: Some(at_s - batches * batch_s),
            consumer_wait_s: 0.4 * batches * batch_s,
            ..last.clone()
        }
    };
    pipeline.snapshots = (0..=100).map(at_tick).collect();
    session
}

#[test]
fn rates_of_few_batches_are_those_from_batch_to_batch() {
    let compared = |a: f64, b: f64| {
        let (a, b) = (with_batches_every(a), with_batches_every(b));
        let found = compare(&(&a).into(), &(&b).into(), CompareOptions::default()).unwrap();
        let row = |name: &str| found.rows.iter().find(|row| row.name == name).unwrap().clone();
        (row("loader: samples a second"), row("loader: time not waiting"))
    };
    for batch_s in [0.03, 0.13, 0.37, 0.71] {
        let (rate, working) = compared(batch_s, batch_s * 1.01);
        assert_eq!((rate.outcome, working.outcome), (Outcome::Same, Outcome::Same), "{rate:?}");
        assert!((rate.a * batch_s / 64.0 - 1.0).abs() < 1e-6, "{rate:?}");
        let (rate, _) = compared(batch_s, batch_s * 1.1);
        assert_eq!(rate.outcome, Outcome::Regression, "{rate:?}");
    }
}

#[test]
fn sessions_with_little_in_them_compare_or_say_why_not() {
    let empty = Comparable::from(&gallery::empty());
    assert_eq!(empty.metrics, []);
    let refused = compare(&empty, &empty, CompareOptions::default());
    assert_eq!(refused, Err(CompareError::NothingInCommon));
    let mut short = gallery::training();
    for count in [0, 1, 2, 3] {
        short.performance_metrics.pipelines[0].snapshots.truncate(count);
        short.resources.truncate(count);
        let short = Comparable::from(&short);
        compare(&short, &short, CompareOptions::default()).unwrap();
    }
}
