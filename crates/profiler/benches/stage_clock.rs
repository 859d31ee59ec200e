//! What a stage clock costs for each sample.

use std::sync::Arc;

use profiler::stage::{Stage, StageClock, StageCounters};

fn main() {
    divan::main();
}

/// As the loader's engine does for a sample: it begins, three stages, and what lies between.
#[divan::bench(args = [0, 100, 10_000])]
fn sample(bencher: divan::Bencher<'_, '_>, spins: u64) {
    let mut clock = StageClock::new(Arc::new(StageCounters::default()), Stage::Other);
    bencher.bench_local(|| {
        clock.item();
        for stage in [Stage::Read, Stage::Decode, Stage::Write, Stage::Other] {
            clock.enter(stage);
            spin(spins);
        }
    });
}

/// The same work without a clock.
#[divan::bench(args = [0, 100, 10_000])]
fn without(spins: u64) {
    (0..4).for_each(|_| spin(spins));
}

fn spin(spins: u64) {
    (0..spins).for_each(|i| {
        divan::black_box(i);
    });
}
