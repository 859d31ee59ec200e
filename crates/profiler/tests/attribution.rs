//! What limits a pipeline: by hand where the answer is known, and against simulated pipelines.

#[path = "../examples/support/simulated.rs"]
#[expect(dead_code, reason = "the example prints more than is tested")]
mod simulated;

use profiler::attribution::{Surroundings, Verdict, attribute};
use profiler::bottleneck::BottleneckType;
use profiler::pipeline::{PipelineSnapshot, Room, StageSnapshot, StationSnapshot, Visits};
use proptest::prelude::*;
use simulated::{CLOSE, Case};

const FREE: Surroundings =
    Surroundings { usable_cores: 64.0, storage: None, other_cores: None, pipelines: 1 };

/// What one station does with each item.
#[derive(Clone, Debug)]
struct Pool {
    threads: usize,
    on_consumer: bool,
    stages_s: Vec<f64>,
}

fn pool(threads: usize, stages_s: &[f64]) -> Pool {
    Pool { threads, on_consumer: false, stages_s: stages_s.into() }
}

/// Snapshots of a pipeline in which nothing varies: the longest time sets the pace.
fn even(pools: &[Pool], consumer_s: f64) -> Vec<PipelineSnapshot> {
    let demand = |pool: &Pool| pool.stages_s.iter().sum::<f64>();
    let own = pools.iter().filter(|pool| pool.on_consumer).map(demand).sum::<f64>();
    let others = pools.iter().filter(|pool| !pool.on_consumer);
    let pace_s =
        others.map(|pool| demand(pool) / pool.threads as f64).fold(consumer_s + own, f64::max);
    let stage = |(j, seconds): (usize, f64)| StageSnapshot {
        name: format!("stage {j}"),
        kind: BottleneckType::Preprocessing,
        busy_s: seconds,
        visits: Visits::default(),
        timed_cpu_s: 0.0,
        timed_wall_s: 0.0,
    };
    (0..=20u32)
        .map(|tick| {
            let items = f64::from(100 * tick);
            let station = |pool: &Pool| StationSnapshot {
                name: "pool".to_owned(),
                threads: pool.threads,
                on_consumer: pool.on_consumer,
                stages: pool.stages_s.iter().map(|s| s * items).enumerate().map(stage).collect(),
                ..StationSnapshot::default()
            };
            PipelineSnapshot {
                at_s: pace_s * items,
                items: items as u64,
                batches: items as u64,
                consumer_wait_s: (pace_s - consumer_s - own) * items,
                consumer_busy_s: consumer_s * items,
                stations: pools.iter().map(station).collect(),
                ..PipelineSnapshot::default()
            }
        })
        .collect()
}

fn assert_close(value: f64, expected: f64) {
    // A replay begins with empty queues.
    assert!((value - expected).abs() < 5e-4, "{value} is not {expected}");
}

#[test]
fn the_largest_stage_of_the_busiest_station_limits() {
    // 5 ms on 1 thread, 8 ms on 2, and 1 ms of the consumer's own.
    let snapshots = even(&[pool(1, &[0.002, 0.003]), pool(2, &[0.008])], 0.001);
    let attribution = attribute(&snapshots, &FREE).unwrap();
    assert_eq!((attribution.limiting_station, attribution.limiting_stage), (0, 1));
    assert_eq!(attribution.verdict, Verdict::HighlyInputBound);
    assert_close(attribution.wait_share, 0.8);
    assert_close(attribution.items_per_s, 200.0);
    let (station, stage) = attribution.limiting();
    assert_close(station.utilization, 1.0);
    assert_close(station.demand_s, 0.005);
    // Without it 4 ms of the other station remain.
    assert_close(stage.optimization_potential, 0.2);
    assert_eq!(stage.next_limiter, "stage 0");
    assert_close(attribution.stations[1].utilization, 0.8);
    assert_close(attribution.stations[1].stages[0].optimization_potential, 0.0);
    let [low, high] = stage.interval.unwrap();
    assert!(low <= 0.2001 && high >= 0.1999);
}

#[test]
fn no_more_is_saved_than_the_consumer_waits() {
    let attribution = attribute(&even(&[pool(4, &[0.012])], 0.002), &FREE).unwrap();
    let stage = attribution.limiting().1;
    assert_close(stage.optimization_potential, 1.0 / 3.0);
    assert_eq!(stage.next_limiter, "consumer");
}

#[test]
fn on_the_consumers_thread_all_times_add_up() {
    let own = Pool { on_consumer: true, ..pool(1, &[0.001, 0.005]) };
    let attribution = attribute(&even(&[own], 0.004), &FREE).unwrap();
    assert_close(attribution.wait_share, 0.6);
    assert_eq!(attribution.limiting_stage, 1);
    assert_close(attribution.limiting().1.optimization_potential, 0.5);
    assert_close(attribution.stations[0].stages[0].optimization_potential, 0.1);
}

#[test]
fn what_the_consumer_does_beside_a_pool_is_weighed_with_it() {
    // The workers would be done in 2 ms; moving takes 6 ms of a loop of 7 ms.
    let moving = Pool { on_consumer: true, ..pool(1, &[0.006]) };
    let attribution = attribute(&even(&[pool(2, &[0.004]), moving], 0.001), &FREE).unwrap();
    assert_close(attribution.wait_share, 6.0 / 7.0);
    assert_eq!(attribution.limiting_station, 1);
    assert_close(attribution.limiting().1.optimization_potential, 5.0 / 7.0);
}

#[test]
fn verdicts_change_at_their_thresholds() {
    let verdict = |share: f64| {
        let snapshots = even(&[pool(1, &[0.01])], 0.01 * (1.0 - share));
        attribute(&snapshots, &FREE).unwrap().verdict
    };
    assert_eq!(verdict(0.04), Verdict::NotInputBound);
    assert_eq!(verdict(0.06), Verdict::ModeratelyInputBound);
    assert_eq!(verdict(0.19), Verdict::ModeratelyInputBound);
    assert_eq!(verdict(0.21), Verdict::HighlyInputBound);
}

#[test]
fn who_waits_while_something_is_ready_does_not_wait_for_data() {
    let mut snapshots = even(&[pool(1, &[0.01])], 0.005);
    for snapshot in &mut snapshots {
        snapshot.queue_empty_s = Some(0.2 * snapshot.at_s);
    }
    let attribution = attribute(&snapshots, &FREE).unwrap();
    assert_eq!(attribution.verdict, Verdict::Ambiguous);
    assert_close(attribution.queue_readiness.unwrap(), 0.8);
    for snapshot in &mut snapshots {
        snapshot.queue_empty_s = Some(0.6 * snapshot.at_s);
    }
    assert_eq!(attribute(&snapshots, &FREE).unwrap().verdict, Verdict::HighlyInputBound);
}

#[test]
fn where_cores_are_short_less_work_is_what_helps() {
    // Two pools of 4 threads on 2 cores: 4 ms of CPU time an item at 2 ms on both.
    let mut snapshots = even(&[pool(4, &[0.001]), pool(4, &[0.003])], 0.0005);
    for (tick, snapshot) in snapshots.iter_mut().enumerate() {
        let items = 100.0 * tick as f64;
        snapshot.at_s = 0.002 * items;
        snapshot.consumer_wait_s = 0.0015 * items;
        for (station, cpu_s) in snapshot.stations.iter_mut().zip([0.001, 0.003]) {
            // Threads wait for a core as long as they compute.
            station.cpu_s = Some(cpu_s * items);
            station.run_delay_s = Some(cpu_s * items);
            let stage = &mut station.stages[0];
            stage.busy_s = 2.0 * cpu_s * items;
            stage.timed_wall_s = stage.busy_s;
            stage.timed_cpu_s = cpu_s * items;
        }
    }
    let surroundings =
        Surroundings { usable_cores: 2.0, storage: None, other_cores: None, pipelines: 1 };
    let attribution = attribute(&snapshots, &surroundings).unwrap();
    let (_, stage) = attribution.limiting();
    assert_eq!(attribution.limiting_station, 1);
    assert!((stage.optimization_potential - 0.75).abs() < 0.03, "{stage:?}");
    let other = &attribution.stations[0].stages[0];
    assert!((other.optimization_potential - 0.25).abs() < 0.03, "{other:?}");
    assert_eq!(other.next_limiter, "cpu cores");
}

#[test]
fn who_is_kept_from_a_core_by_other_programs_waits_for_no_stage() {
    // The loop takes 30 ms for an item, in 26 of which it has no core; making one takes 3 ms.
    let mut snapshots = even(&[pool(1, &[0.003])], 0.03);
    for (tick, snapshot) in snapshots.iter_mut().enumerate() {
        let items = 100.0 * tick as f64;
        snapshot.consumer_cpu_s = Some(0.004 * items);
        snapshot.consumer_run_delay_s = Some(0.026 * items);
        let station = &mut snapshot.stations[0];
        station.cpu_s = Some(0.001 * items);
        station.run_delay_s = Some(0.0015 * items);
        station.stages[0].timed_wall_s = 0.003 * items;
        station.stages[0].timed_cpu_s = 0.001 * items;
    }
    let surroundings =
        Surroundings { usable_cores: 2.0, storage: None, other_cores: Some(1.8), pipelines: 1 };
    let attribution = attribute(&snapshots, &surroundings).unwrap();
    assert_eq!(attribution.verdict, Verdict::NotInputBound);
    assert_close(attribution.limiting().1.optimization_potential, 0.0);
}

#[test]
fn too_little_is_no_attribution() {
    let snapshots = even(&[pool(1, &[0.01])], 0.005);
    assert_eq!(attribute(&[], &FREE), None);
    assert_eq!(attribute(&snapshots[..1], &FREE), None);
    assert_eq!(attribute(&even(&[], 0.005), &FREE), None);
    let still: Vec<_> = vec![snapshots[3].clone(); 10];
    assert_eq!(attribute(&still, &FREE), None);
    let few = attribute(&snapshots[..4], &FREE).unwrap();
    assert_eq!(few.limiting().1.interval, None);
}

#[test]
fn a_pipeline_that_began_anew_is_told_from_its_good_stretches() {
    let once = even(&[pool(2, &[0.01])], 0.002);
    let ended_s = once[20].at_s;
    let again = once.iter().cloned().map(|mut snapshot| {
        snapshot.at_s += ended_s + 1.0;
        snapshot
    });
    let both: Vec<_> = once.iter().cloned().chain(again).collect();
    let (one, two) = (attribute(&once, &FREE).unwrap(), attribute(&both, &FREE).unwrap());
    assert_close(two.items_per_s, one.items_per_s);
    assert_close(two.window_s, 2.0 * one.window_s);
}

#[test]
fn the_same_snapshots_give_the_same_answer() {
    let snapshots = even(&[pool(2, &[0.01, 0.002])], 0.002);
    assert_eq!(attribute(&snapshots, &FREE), attribute(&snapshots, &FREE));
}

/// The example `simulated_pipelines` does the same with more of them.
#[test]
fn simulated_pipelines_save_what_is_predicted() {
    let cases: Vec<_> = (1000..1040)
        .filter_map(|number| Case::run(number, 10_000))
        .filter(Case::has_bottleneck)
        .collect();
    assert!(cases.len() > 20);
    let right = cases.iter().filter(|case| case.is_right()).count();
    let close = cases.iter().filter(|case| case.error().abs() <= CLOSE).count();
    let errors: Vec<_> = cases.iter().map(|case| (case.shape(), case.error())).collect();
    assert!(right * 100 >= 95 * cases.len(), "{right} of {}", cases.len());
    assert!(close * 100 >= 90 * cases.len(), "{close} of {}: {errors:?}", cases.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a pipeline tells, there is an answer within bounds or none.
    #[test]
    fn any_counters_are_survived(
        ticks in prop::collection::vec(
            (0.0..2.0f64, 0u64..50, 0u64..5, -0.1..1.0f64, 0.0..3.0f64, 0.0..3.0f64), 1..30),
        threads in 0usize..5,
        on_consumer: bool,
        room in prop_oneof![
            Just(None), (0usize..4).prop_map(|n| Some(Room::Items(n))),
            (0usize..4).prop_map(|n| Some(Room::Batches(n))),
        ],
        cores in prop_oneof![Just(0.0), 0.1..8.0f64],
    ) {
        let mut now = PipelineSnapshot::default();
        let stage = |name: &str| StageSnapshot {
            name: name.to_owned(),
            kind: BottleneckType::IoOperation,
            busy_s: 0.0,
            visits: Visits::default(),
            timed_cpu_s: 0.0,
            timed_wall_s: 0.0,
        };
        now.stations = vec![StationSnapshot {
            threads, on_consumer, room,
            cpu_s: Some(0.0),
            run_delay_s: Some(0.0),
            stages: vec![stage("a"), stage("b")],
            ..StationSnapshot::default()
        }];
        let mut snapshots = vec![now.clone()];
        for (wall, items, batches, wait, a, b) in ticks {
            now.at_s += wall;
            now.items += items;
            now.batches += batches;
            now.consumer_wait_s += wait;
            for (stage, busy) in now.stations[0].stages.iter_mut().zip([a, b]) {
                stage.busy_s += busy;
                stage.visits.add(busy);
                stage.timed_wall_s += busy;
                stage.timed_cpu_s += 0.5 * busy;
            }
            snapshots.push(now.clone());
        }
        let surroundings = Surroundings { usable_cores: cores, storage: None, other_cores: None, pipelines: 1 };
        if let Some(attribution) = attribute(&snapshots, &surroundings) {
            for stage in attribution.stations.iter().flat_map(|station| &station.stages) {
                prop_assert!((0.0..=1.0).contains(&stage.optimization_potential), "{:?}", stage);
                if let Some([low, high]) = stage.interval {
                    prop_assert!(0.0 <= low && low <= high && high <= 1.0);
                }
            }
            prop_assert!((0.0..=1.0).contains(&attribution.wait_share));
        }
    }
}
