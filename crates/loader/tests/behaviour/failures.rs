//! Samples that cannot be loaded, data sets that panic, memory that is not there.

use std::collections::HashSet;
use std::error::Error;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loader::error::Report;
use loader::{Dataset, Dtype, Field, Loader, LoaderError, SampleError, Slot};

use crate::common::{Begun, Numbers, chain, within_two_minutes};

#[derive(Debug, thiserror::Error)]
#[error("cannot be had")]
struct Bad(#[source] std::io::Error);

fn bad_io() -> std::io::Error {
    std::io::Error::other("the disk says no")
}

fn bad() -> SampleError {
    Bad(bad_io()).into()
}

/// The indices of good batches, and of bad ones the sample and the error with its causes.
fn outcomes(loader: &mut Loader, epoch: u64) -> Vec<Result<Vec<usize>, (usize, String)>> {
    let outcome = |batch: Result<loader::Batch, LoaderError>| match batch {
        Ok(batch) => Ok(batch.indices().to_vec()),
        Err(error) => {
            let LoaderError::Sample { index, .. } = &error else { panic!("{error:?}") };
            Err((*index, chain(&error)))
        }
    };
    loader.epoch(epoch).map(outcome).collect()
}

#[test]
fn a_bad_sample_fails_its_own_batch_and_no_other() {
    within_two_minutes(|| {
        for num_workers in [0, 1, 3] {
            let load = |index, _: &mut Begun| if index == 5 { Err(bad()) } else { Ok(()) };
            let mut loader = Loader::builder(Numbers { samples: 11, load })
                .batch_size(3)
                .num_workers(num_workers)
                .build()
                .unwrap();
            for epoch in [0, 1] {
                let text =
                    "sample 5 (`number 5`) could not be loaded: cannot be had: the disk says no";
                let expected =
                    [Ok(vec![0, 1, 2]), Err((5, text.into())), Ok(vec![6, 7, 8]), Ok(vec![9, 10])];
                assert_eq!(outcomes(&mut loader, epoch), expected);
            }
        }
    });
}

#[test]
fn the_cause_can_be_got_at() {
    within_two_minutes(|| {
        let load = |_, _: &mut Begun| Err(bad());
        let mut loader = Loader::builder(Numbers { samples: 1, load }).build().unwrap();
        let error = loader.epoch(0).next().unwrap().unwrap_err();
        assert!(error.source().unwrap().downcast_ref::<Bad>().is_some());
        assert_eq!(error.to_string(), "sample 0 (`number 0`) could not be loaded");
    });
}

#[test]
fn a_report_says_everything_once_and_the_hints_last() {
    within_two_minutes(|| {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot train\nhint: try again")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("no batch: {0}")]
        struct Middle(#[source] LoaderError);

        let (samples, batch_size, world_size) = (10, 64, 1);
        let cause = LoaderError::NoFullBatch { batch_size, world_size, samples };
        let said = cause.to_string();
        let (what, hint) = said.split_once('\n').unwrap();
        let report = Report(&Outer(Middle(cause))).to_string();
        assert_eq!(report.lines().next().unwrap(), format!("cannot train: no batch: {what}"));
        assert_eq!(report.lines().skip(1).collect::<Vec<_>>(), ["hint: try again", hint]);
        assert_eq!(Report(&bad_io()).to_string(), "the disk says no");
    });
}

#[test]
fn of_several_bad_samples_the_first_in_the_batch_is_named_whatever_the_timing() {
    within_two_minutes(|| {
        let load = |index, _: &mut Begun| {
            // The later one fails first.
            std::thread::sleep(Duration::from_millis(if index == 1 { 30 } else { 0 }));
            if [1, 2, 3].contains(&index) { Err(bad()) } else { Ok(()) }
        };
        for num_workers in [0, 4] {
            let data = Numbers { samples: 4, load };
            let mut loader =
                Loader::builder(data).batch_size(4).num_workers(num_workers).build().unwrap();
            assert!(matches!(&outcomes(&mut loader, 0)[..], [Err((1, _))]));
        }
    });
}

#[test]
fn a_panic_is_an_error_of_its_batch_and_the_worker_goes_on_afresh() {
    within_two_minutes(|| {
        for num_workers in [0, 1] {
            let load = |index, begun: &mut Begun| match index {
                4 => panic!("no {index} today"),
                6 => {
                    assert_eq!(begun.0, 2, "what the worker kept before the panic is gone");
                    Ok(())
                }
                9 => panic_any(9),
                10 => panic!("plain"),
                _ => Ok(()),
            };
            let mut loader = Loader::builder(Numbers { samples: 14, load })
                .batch_size(2)
                .num_workers(num_workers)
                .build()
                .unwrap();
            let failed = |index: usize, message: &str| {
                let text = format!(
                    "sample {index} (`number {index}`) could not be loaded: \
                     the data set panicked: {message}"
                );
                Err((index, text))
            };
            let expected = [
                Ok(vec![0, 1]),
                Ok(vec![2, 3]),
                failed(4, "no 4 today"),
                Ok(vec![6, 7]),
                failed(9, "(no message)"),
                failed(10, "plain"),
                Ok(vec![12, 13]),
            ];
            assert_eq!(outcomes(&mut loader, 0), expected);
        }
    });
}

/// A data set whose worker state cannot be made the first three times, and never be dropped.
struct Brittle;

struct BrittleState;

static MADE: AtomicUsize = AtomicUsize::new(0);

impl Default for BrittleState {
    fn default() -> Self {
        if MADE.fetch_add(1, Ordering::SeqCst) < 3 {
            panic!("no decoder");
        }
        BrittleState
    }
}

impl Drop for BrittleState {
    fn drop(&mut self) {
        panic!("cannot be dropped either");
    }
}

impl Dataset for Brittle {
    type Worker = BrittleState;

    fn len(&self) -> usize {
        8
    }

    fn fields(&self) -> Vec<Field> {
        vec![]
    }

    fn load(&self, index: usize, _: &mut BrittleState, _: &mut Slot) -> Result<(), SampleError> {
        if index == 6 {
            panic!("six");
        }
        Ok(())
    }
}

#[test]
fn a_worker_state_that_panics_is_an_error_and_no_hang() {
    within_two_minutes(|| {
        for num_workers in [1, 2] {
            MADE.store(0, Ordering::SeqCst);
            let mut loader =
                Loader::builder(Brittle).batch_size(1).num_workers(num_workers).build().unwrap();
            let outcomes = outcomes(&mut loader, 0);
            let failed: HashSet<_> = (0..8).filter(|i| outcomes[*i].is_err()).collect();
            assert!(failed.contains(&6), "{outcomes:?}");
            assert_eq!(failed.len(), 4, "{outcomes:?}");
            let decoder = |text: &str| text.ends_with("the data set panicked: no decoder");
            let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            assert_eq!(errors.filter(|(_, text)| decoder(text)).count(), 3, "{outcomes:?}");
        }
    });
}

/// Fields of which nothing is written, or the wrong way.
struct Shaped {
    fields: Vec<Field>,
    write: fn(&mut Slot),
}

impl Dataset for Shaped {
    type Worker = ();

    fn len(&self) -> usize {
        4
    }

    fn fields(&self) -> Vec<Field> {
        self.fields.clone()
    }

    fn load(&self, _: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        (self.write)(slot);
        Ok(())
    }
}

fn shaped(fields: Vec<Field>, num_workers: usize, write: fn(&mut Slot)) -> Vec<String> {
    let mut loader = Loader::builder(Shaped { fields, write })
        .batch_size(2)
        .num_workers(num_workers)
        .build()
        .unwrap();
    loader.epoch(0).map(|batch| batch.map_or_else(|error| chain(&error), |_| "ok".into())).collect()
}

#[test]
fn a_field_taken_for_what_it_is_not_is_an_error() {
    within_two_minutes(|| {
        let fields = || vec![Field::new("x", [2], Dtype::Float32)];
        for num_workers in [0, 2] {
            for text in shaped(fields(), num_workers, |slot| slot.fields.get_mut::<u8>(0).fill(0)) {
                assert!(text.ends_with("field 0 holds Float32, not Uint8"), "{text}");
            }
            for text in shaped(fields(), num_workers, |slot| slot.fields.get_mut::<f32>(1).fill(0.))
            {
                assert!(text.ends_with("there is no field 1"), "{text}");
            }
        }
    });
}

#[test]
fn sizes_beyond_all_memory_are_refused_at_every_batch() {
    within_two_minutes(|| {
        let small = Field::new("small", [], Dtype::Int64);
        for shape in [vec![1 << 55], vec![usize::MAX, 2], vec![1 << 62, 4], vec![1 << 32, 1 << 32]]
        {
            for num_workers in [0, 2] {
                let fields = vec![small.clone(), Field::new("large", shape.clone(), Dtype::Uint8)];
                let texts = shaped(fields, num_workers, |_| ());
                assert_eq!(texts.len(), 2);
                for text in texts {
                    assert!(text.starts_with("no memory for a batch of"), "{shape:?}: {text}");
                }
            }
        }
    });
}

#[test]
fn no_fields_and_fields_without_elements_are_fine() {
    for fields in [vec![], vec![Field::new("nothing", [0, 3], Dtype::Float32)]] {
        assert_eq!(shaped(fields, 2, |_| ()), ["ok", "ok"]);
    }
}
