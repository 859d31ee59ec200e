//! Whose memory a batch is, and for how long.

use std::collections::HashSet;

use loader::{Batch, Dataset, Dtype, Field, Loader, SampleError, Slot};
use tch::Tensor;

use crate::common::{Content, Noise, contents, within_two_minutes};

/// Samples of `floats` copies of their index.
struct Blocks {
    samples: usize,
    floats: usize,
}

impl Dataset for Blocks {
    type Worker = ();

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("block", [self.floats], Dtype::Float32)]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        slot.fields.get_mut::<f32>(0).fill(index as f32);
        Ok(())
    }
}

fn blocks(num_workers: usize, prefetch_depth: usize) -> Loader {
    Loader::builder(Blocks { samples: 160, floats: 1000 })
        .batch_size(4)
        .num_workers(num_workers)
        .prefetch_depth(prefetch_depth)
        .build()
        .unwrap()
}

/// What batch number `batch` of [`blocks`] holds.
fn expected(batch: usize) -> Tensor {
    let indices: Vec<f32> = (4 * batch..4 * batch + 4).map(|i| i as f32).collect();
    Tensor::from_slice(&indices).unsqueeze(1).expand([4, 1000], false)
}

#[test]
fn memory_of_dropped_batches_is_used_again() {
    within_two_minutes(|| {
        for (num_workers, prefetch_depth) in [(0, 2), (1, 1), (2, 1), (2, 2), (3, 5)] {
            let mut loader = blocks(num_workers, prefetch_depth);
            let mut addresses = HashSet::new();
            for epoch in 0..3 {
                for batch in loader.epoch(epoch) {
                    let address = batch.unwrap()["block"].data_ptr() as usize;
                    assert_eq!(address % 4096, 0, "a page");
                    addresses.insert(address);
                }
            }
            let most = if num_workers == 0 { 1 } else { prefetch_depth + 1 };
            assert!(addresses.len() <= most, "{num_workers} workers: {}", addresses.len());
        }
    });
}

#[test]
fn a_batch_that_is_kept_stays_as_it_is() {
    within_two_minutes(|| {
        for num_workers in [0, 2] {
            let mut loader = blocks(num_workers, 2);
            let kept: Vec<_> = loader.epoch(0).take(12).map(Result::unwrap).collect();
            let view = loader.epoch(1).next().unwrap().unwrap()["block"].narrow(0, 1, 2);
            for epoch in 2..4 {
                assert_eq!(loader.epoch(epoch).filter(Result::is_ok).count(), 40);
            }
            drop(loader);
            for (number, batch) in kept.iter().enumerate() {
                assert_eq!(batch["block"], expected(number));
            }
            assert_eq!(view, expected(0).narrow(0, 1, 2));
        }
    });
}

#[test]
fn a_part_of_a_batch_that_is_kept_holds_its_memory() {
    within_two_minutes(|| {
        let mut loader = blocks(2, 1);
        let mut epoch = loader.epoch(0);
        // The batch itself is dropped at once; only a row lives on.
        let rows: Vec<_> =
            (0..20).map(|_| epoch.next().unwrap().unwrap()["block"].get(3)).collect();
        assert_eq!(epoch.filter(Result::is_ok).count(), 20);
        for (number, row) in rows.iter().enumerate() {
            assert_eq!(*row, expected(number).get(3));
        }
    });
}

#[test]
fn batches_may_be_dropped_on_another_thread_and_after_the_loader() {
    within_two_minutes(|| {
        let (send, receive) = std::sync::mpsc::sync_channel(3);
        let other = std::thread::spawn(move || {
            let mut batches = 0;
            for batch in receive {
                let batch: Batch = batch;
                assert_eq!(batch["block"], expected(batches % 40));
                batches += 1;
            }
            batches
        });
        let mut loader = blocks(2, 2);
        for epoch in 0..3 {
            for batch in loader.epoch(epoch) {
                send.send(batch.unwrap()).unwrap();
            }
        }
        drop(loader);
        drop(send);
        assert_eq!(other.join().unwrap(), 3 * 40);
    });
}

#[test]
fn writing_into_a_batch_spoils_no_later_one() {
    within_two_minutes(|| {
        for num_workers in [0, 2] {
            let build = || {
                Loader::builder(Noise { samples: 40 })
                    .batch_size(4)
                    .num_workers(num_workers)
                    .build()
                    .unwrap()
            };
            let mut loader = build();
            for batch in loader.epoch(0) {
                let _ = batch.unwrap()["floats"].shallow_clone().fill_(f64::NAN);
            }
            assert_eq!(contents(loader.epoch(1)), contents(build().epoch(1)));
        }
    });
}

#[test]
fn memory_left_by_abandoned_epochs_is_not_mixed_up() {
    within_two_minutes(|| {
        let mut loader =
            Loader::builder(Noise { samples: 60 }).batch_size(6).num_workers(3).build().unwrap();
        let mut kept = Vec::new();
        for epoch in 0..40 {
            // Workers are in the middle of batches that nobody will take.
            let batch = loader.epoch(epoch).next().unwrap().unwrap();
            kept.push((Content::of(&batch), batch));
        }
        for (content, batch) in kept {
            assert_eq!(content, Content::of(&batch));
        }
    });
}

#[test]
fn the_number_of_libtorchs_threads_is_the_programs_own() {
    within_two_minutes(|| {
        let before = tch::get_num_threads();
        let mut loader = blocks(3, 2);
        assert_eq!(loader.epoch(0).filter(Result::is_ok).count(), 40);
        assert_eq!(tch::get_num_threads(), before);
        assert_eq!(std::thread::spawn(tch::get_num_threads).join().unwrap(), before);
    });
}
