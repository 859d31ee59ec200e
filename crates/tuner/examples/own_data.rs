//! Sweeps over a data set of one's own: `cargo run --release --example own_data`.

use std::time::Duration;

use loader::{Dtype, Field, Synthetic};
use tuner::{config::SweepConfig, sweep::report};

/// Any `loader::Dataset`; this one takes a millisecond for a sample.
fn my_dataset() -> Synthetic {
    Synthetic::new([Field::new("x", [16], Dtype::Float32)], 4096).cpu(Duration::from_millis(1))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (batch_size, num_workers, prefetch_depth) = (vec![16, 64], vec![0, 2], vec![2]);
    let grid = SweepConfig { batch_size, num_workers, prefetch_depth, ..SweepConfig::default() };
    let found = tuner::Sweep::new(SweepConfig { measure_s: 0.2, ..grid }).run(my_dataset)?;
    println!("{}{}", report::verdict(&found.summary)?, found.path.display());
    Ok(())
}
