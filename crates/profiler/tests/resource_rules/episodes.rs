//! How long conditions last, how often they come, and samples that are missing or make no sense.

use profiler::resources::ResourceSample;
use proptest::prelude::*;

use crate::program::{GIB, TICK_S, calm, found, rules, ticks};

#[test]
fn noise_round_the_threshold_is_one_episode() {
    let (mut rules, mut program) = (rules(), calm());
    for tick in 0..600 {
        program.run(TICK_S);
        // 79 to 81% of the limit, and now and then a dip for a second.
        let share = if tick % 100 > 90 { 0.5 } else { 0.8 + 0.01 * f64::from(tick % 3 - 1) };
        program.memory().limit_used_bytes = Some((share * (4 * GIB) as f64) as u64);
        rules.tick(&program.sample);
    }
    let found = rules.finish();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].frequency, 1, "{found:?}");
}

#[test]
fn what_ends_and_comes_again_is_counted() {
    let (mut rules, mut program) = (rules(), calm());
    for _ in 0..3 {
        program.memory().limit_used_bytes = Some(39 * GIB / 10);
        ticks(&mut rules, &mut program, 5.0);
        let active = rules.active();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].name, "high_memory_usage");
        assert!(program.sample.at_s - active[0].since_s > 4.8);
        program.memory().limit_used_bytes = Some(GIB);
        ticks(&mut rules, &mut program, 5.0);
        assert_eq!(rules.active(), []);
    }
    assert_eq!(rules.found()[0].frequency, 3);
    let found = rules.finish();
    assert_eq!(found[0].frequency, 3);
    assert!((found[0].total_time_s - 15.0).abs() < 0.3, "{found:?}");
}

#[test]
fn a_condition_that_hardly_ever_held_is_left_out_unless_it_is_memory() {
    let (mut rules, mut program) = (rules(), calm());
    ticks(&mut rules, &mut program, 100.0);
    program.cores = 4.0;
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 3.0);
    let names: Vec<_> = rules.finish().into_iter().map(|found| found.name).collect();
    assert_eq!(names, ["high_memory_usage"]);
}

#[test]
fn time_without_samples_is_neither_observed_nor_a_spike() {
    let (mut rules, mut program) = (rules(), calm());
    ticks(&mut rules, &mut program, 10.0);
    // Stopped for ten minutes, in which the counters of the rest of the machine ran on.
    program.pressure = 1.0;
    program.sample.io.as_mut().unwrap().blocked_s = None;
    program.waiting = 50.0;
    rules.tick(program.run(600.0));
    (program.pressure, program.waiting) = (0.05, 0.1);
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 10.0);
    let found = rules.finish();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].total_time_s < 11.0 && found[0].severity > 0.4, "{found:?}");
}

#[test]
fn trackers_that_are_missing_find_nothing_and_hide_nothing() {
    let strip: [fn(&mut ResourceSample); 5] = [
        |sample| sample.memory = None,
        |sample| sample.cpu = None,
        |sample| sample.gpus = None,
        |sample| sample.io = None,
        |sample| *sample = ResourceSample { at_s: sample.at_s, ..Default::default() },
    ];
    for strip in strip {
        let mut program = calm();
        strip(&mut program.sample);
        assert_eq!(found(program), []);
    }
    // One that goes in the midst of an episode.
    let (mut rules, mut program) = (rules(), calm());
    program.memory().limit_used_bytes = Some(39 * GIB / 10);
    ticks(&mut rules, &mut program, 10.0);
    program.sample.memory = None;
    ticks(&mut rules, &mut program, 10.0);
    let found = rules.finish();
    assert!((found[0].total_time_s - 10.0).abs() < 0.2, "{found:?}");
}

#[test]
fn a_long_session_takes_no_more_room() {
    let (mut rules, mut program) = (rules(), calm());
    let mut sizes = Vec::new();
    for tick in 0..1_000_000 {
        program.cores = if tick % 200 < 100 { 4.0 } else { 1.0 };
        rules.tick(program.run(TICK_S));
        if tick == 10_000 || tick == 999_999 {
            sizes.push(format!("{rules:?}").len());
        }
    }
    assert!(sizes[1] < sizes[0] + 1000, "{sizes:?}");
    assert_eq!(rules.found()[0].frequency, 5000);
}

proptest! {
    #[test]
    fn whatever_the_samples_figures_are_sane(
        ticks in prop::collection::vec(
            (-1.0..20.0f64, any::<u64>(), any::<u64>(), any::<f64>(), any::<bool>()),
            0..60,
        ),
    ) {
        let (mut rules, mut program) = (rules(), calm());
        for (dt_s, used, limit, seconds, gone) in ticks {
            program.run(dt_s);
            program.memory().limit_used_bytes = Some(used);
            program.memory().limit_bytes = Some(limit);
            program.memory().resident_bytes = used;
            program.sample.cpu.as_mut().unwrap().process_cpu_s = seconds;
            program.gpu().pcie_rx_bytes_per_s = (!gone).then_some(used);
            rules.tick(&program.sample);
        }
        for found in rules.finish() {
            prop_assert!((0.0..=1.0).contains(&found.severity), "{found:?}");
            prop_assert!(found.total_time_s >= 0.0 && found.total_time_s.is_finite());
            prop_assert!(found.frequency > 0);
            prop_assert!(!found.cause.contains("NaN"), "{}", found.cause);
        }
    }
}
