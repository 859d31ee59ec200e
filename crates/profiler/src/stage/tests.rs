use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn time_goes_to_the_stage_that_is_left() {
    let counters = Arc::new(StageCounters::default());
    let mut clock = StageClock::new(counters.clone(), Stage::Other);
    clock.enter(Stage::Decode);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(clock.enter(Stage::Write), Stage::Decode);
    let times = counters.times();
    assert!(times.decode_s >= 0.005);
    assert_eq!(times.write_s, 0.0);
}

#[test]
fn differences_and_sums_cover_every_stage() {
    let counters = StageCounters::default();
    for (i, stage) in Stage::ALL.into_iter().enumerate() {
        counters.add(stage, Duration::from_secs(i as u64 + 1));
    }
    let mut sum = counters.times();
    sum += counters.times();
    assert_eq!(sum - counters.times(), counters.times());
    assert_eq!(counters.times().busy_s(), 15.0);
}

#[test]
fn stages_of_work_come_first() {
    assert_eq!(Stage::ALL[..Stage::WORK.len()], Stage::WORK);
    assert!(Stage::ALL.iter().all(|stage| stage.is_work() == ((*stage as usize) < 5)));
}

/// Short items are not all measured, yet no time is lost or counted twice.
#[test]
fn the_stages_of_short_items_add_up_to_the_time_that_passed() {
    let counters = Arc::new(StageCounters::default());
    let start = Instant::now();
    let mut clock = StageClock::new(counters.clone(), Stage::Other);
    let started = start.elapsed();
    for item in 0..20_000 {
        clock.item();
        clock.enter(Stage::Decode);
        std::hint::black_box((0..50).sum::<u64>());
        clock.enter(Stage::Write);
        clock.enter(Stage::Other);
        if item % 1000 == 0 {
            clock.enter(Stage::WaitRoom);
            std::thread::sleep(Duration::from_micros(50));
            clock.enter(Stage::Other);
        }
    }
    clock.enter(Stage::WaitRoom);
    let passed_s = start.elapsed().as_secs_f64();
    let times = counters.times();
    let counted_s = times.busy_s() + times.wait_room_s;
    assert!(counted_s <= passed_s && counted_s >= 0.99 * (passed_s - started.as_secs_f64()));
    assert!(times.wait_room_s >= 20.0 * 50e-6);
    assert!(times.decode_s > 0.0 && times.write_s > 0.0);
    assert_eq!(counters.items(), 20_000);
}

#[test]
fn who_sleeps_does_not_compute() {
    let counters = Arc::new(StageCounters::default());
    let mut clock = StageClock::new(counters.clone(), Stage::Other);
    for _ in 0..4 {
        clock.item();
        clock.enter(Stage::Read);
        std::thread::sleep(Duration::from_millis(3));
        clock.enter(Stage::Decode);
        let until = Instant::now() + Duration::from_millis(3);
        while Instant::now() < until {}
        clock.enter(Stage::Other);
    }
    let station = workers_station("workers", 1, None, &[counters]);
    let [read, decode, ..] = &station.stages[..] else { panic!("{station:?}") };
    assert!(read.timed_wall_s >= 0.012 && read.timed_cpu_s < 0.5 * read.timed_wall_s);
    assert!(decode.timed_cpu_s > read.timed_cpu_s);
    assert!(station.cpu_s.unwrap() > 0.0 && station.run_delay_s.is_some());
    assert_eq!(station.items, Some(4));
}

#[test]
fn a_thread_that_ended_is_told_as_it_was_seen_last() {
    let counters = Arc::new(StageCounters::default());
    let seen = std::thread::scope(|scope| {
        let work = || {
            let _clock = StageClock::new(counters.clone(), Stage::Other);
            counters.thread_times().unwrap()
        };
        scope.spawn(work).join().unwrap()
    });
    let after = counters.thread_times().unwrap();
    assert!(after.cpu_s >= seen.cpu_s);
    assert_eq!(StageCounters::default().thread_times(), None);
}

/// A thread that spins beside twice as many as there are cores waits for one; asleep it does not.
#[test]
fn the_consumers_time_without_a_core_is_of_its_own_work() {
    let counters = Arc::new(StageCounters::default());
    let stop = std::sync::atomic::AtomicBool::new(false);
    let cores = std::thread::available_parallelism().unwrap().get();
    let spin = |time: Duration| {
        let until = Instant::now() + time;
        while Instant::now() < until {}
    };
    std::thread::scope(|scope| {
        for _ in 0..2 * cores {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    spin(Duration::from_millis(1));
                }
            });
        }
        let mut clock = StageClock::new(counters.clone(), Stage::WaitBatch);
        assert_eq!(counters.consumer_run_delay_s(), None);
        for _ in 0..10 {
            clock.enter(Stage::Consume);
            spin(Duration::from_millis(20));
            clock.enter(Stage::WaitBatch);
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let (delay_s, times) = (counters.consumer_run_delay_s().unwrap(), counters.times());
    assert!(0.0 < delay_s && delay_s <= times.consume_s, "{delay_s} of {times:?}");
}
