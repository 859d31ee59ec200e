//! Data sets around others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loader::datasets::{Array, CachedError};
use loader::{
    Arrays, Bool8, Cached, Concat, Dataset, Dtype, Field, Loader, LoaderError, Map, SampleError,
    Slot, Subset,
};
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::common::{all, assert_says};

/// `x`, int64 `[2]`: the sample's number and its square; `odd`, bool; counts its loads.
#[derive(Debug)]
struct Numbers {
    start: usize,
    samples: usize,
    loads: Arc<AtomicUsize>,
}

fn numbers(start: usize, samples: usize) -> Numbers {
    Numbers { start, samples, loads: Arc::default() }
}

impl Dataset for Numbers {
    type Worker = ();

    fn len(&self) -> usize {
        self.samples
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("x", [2], Dtype::Int64), Field::new("odd", [], Dtype::Bool)]
    }

    fn load(&self, index: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let number = self.start + index;
        if number == 13 {
            return Err("thirteen".into());
        }
        slot.fields.get_mut::<i64>(0).copy_from_slice(&[number as i64, (number * number) as i64]);
        slot.fields.get_mut::<Bool8>(1)[0] = Bool8::from(number % 2 == 1);
        Ok(())
    }

    fn origin(&self, index: usize) -> Option<String> {
        Some(format!("number {}", self.start + index))
    }
}

/// Three numbers drawn.
struct Random;

impl Dataset for Random {
    type Worker = ();

    fn len(&self) -> usize {
        6
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("x", [3], Dtype::Float32)]
    }

    fn load(&self, _: usize, (): &mut (), slot: &mut Slot<'_>) -> Result<(), SampleError> {
        slot.fields.get_mut::<f32>(0).fill_with(|| slot.rng.random());
        Ok(())
    }
}

fn first_column(data: impl Dataset) -> Vec<i64> {
    Vec::try_from(all(data)["x"].select(1, 0)).unwrap()
}

#[test]
fn a_subset_is_in_the_order_of_its_indices() {
    let data = Subset::new(numbers(0, 10), [7, 0, 7]).unwrap();
    assert_eq!(data.indices(), [7, 0, 7]);
    assert_eq!(data.origin(0).unwrap(), "number 7");
    assert_eq!(data.origin(3), None);
    assert_eq!(first_column(data), [7, 0, 7]);
    assert_says(Subset::new(numbers(0, 10), [3, 10]).unwrap_err(), &["sample 10", "10 samples"]);
}

#[test]
fn parts_come_one_after_the_other() {
    let parts = [numbers(20, 2), numbers(0, 0), numbers(5, 3), numbers(0, 0), numbers(1, 1)];
    let data = Concat::new(parts).unwrap();
    assert_eq!(data.len(), 6);
    assert_eq!(data.origin(4).unwrap(), "number 7");
    assert_eq!(data.origin(6), None);
    assert_eq!(first_column(data), [20, 21, 5, 6, 7, 1]);

    assert!(Concat::new(Vec::<Numbers>::new()).is_err());
    let arrays = |values: &[f32]| {
        Arrays::new([("x", Array::from_values(values, &[1, values.len()]).unwrap())]).unwrap()
    };
    let other = Concat::new([arrays(&[1.0]), arrays(&[1.0, 2.0])]).unwrap_err();
    assert_says(other, &["data set 1 has `x` float32 [2]", "data set 0 has `x` float32 [1]"]);
}

#[test]
fn a_map_makes_other_fields_and_draws_the_same_whatever_the_workers() {
    let noisy = || {
        let fields = [Field::new("sum", [], Dtype::Float32), Field::new("odd", [], Dtype::Uint8)];
        Map::new(numbers(0, 12), fields, |sample, slot| {
            let sum: i64 = sample.get::<i64>(0).iter().sum();
            slot.fields.get_mut::<f32>(0)[0] = sum as f32 + slot.rng.random_range(0.0..0.5);
            slot.fields.get_mut::<u8>(1)[0] = u8::from(bool::from(sample.get::<Bool8>(1)[0]));
            Ok(())
        })
    };
    let batch = all(noisy());
    assert_eq!(batch["odd"], Tensor::from_slice(&[0u8, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]));
    let whole: Vec<f32> = Vec::try_from(batch["sum"].floor()).unwrap();
    assert_eq!(whole, (0..12).map(|n| (n + n * n) as f32).collect::<Vec<_>>());
    let builder = Loader::builder(noisy()).batch_size(12).num_workers(3).shuffle(false);
    let again = builder.build().unwrap().epoch(0).next().unwrap().unwrap();
    assert_eq!(again["sum"], batch["sum"]);
}

#[test]
fn a_map_draws_on_where_the_inner_data_set_stopped() {
    let fields = [Field::new("x", [3], Dtype::Float32), Field::new("more", [3], Dtype::Float32)];
    let data = Map::new(Random, fields, |sample, slot| {
        slot.fields.get_mut::<f32>(0).copy_from_slice(sample.get(0));
        slot.fields.get_mut::<f32>(1).fill_with(|| slot.rng.random());
        Ok(())
    });
    let batch = all(data);
    assert_eq!(batch["x"], all(Random)["x"]);
    assert!(!batch["x"].equal(&batch["more"]));
}

#[test]
fn an_inner_error_passes_through() {
    let data = Cached::new(numbers(10, 5), 1 << 20);
    let data = Map::new(data, [Field::new("y", [], Dtype::Uint8)], |_, slot| {
        slot.fields.get_mut::<u8>(0)[0] = 1;
        Ok(())
    });
    let mut loader = Loader::builder(data).batch_size(1).num_workers(1).build().unwrap();
    for epoch in 0..2 {
        let failed: Vec<LoaderError> = loader.epoch(epoch).filter_map(Result::err).collect();
        let [error] = <[LoaderError; 1]>::try_from(failed).unwrap();
        assert_says(error, &["sample 3 (`number 13`)", "thirteen"]);
    }
}

#[test]
fn what_is_cached_is_loaded_once_and_stays_the_same() {
    for num_workers in [0, 3] {
        let inner = numbers(20, 50);
        let loads = inner.loads.clone();
        let expected = all(numbers(20, 50));
        let builder = Loader::builder(Cached::new(inner, 50 * 17)).batch_size(50).shuffle(false);
        let mut loader = builder.num_workers(num_workers).prefetch_depth(1).build().unwrap();
        for epoch in 0..3 {
            let batch = loader.epoch(epoch).next().unwrap().unwrap();
            assert_eq!(batch["x"], expected["x"]);
            assert_eq!(batch["odd"], expected["odd"]);
        }
        assert_eq!(loads.load(Ordering::Relaxed), 50);
    }
}

#[test]
fn a_cache_keeps_to_its_limit() {
    let inner = numbers(20, 50);
    let loads = inner.loads.clone();
    // Two numbers of 8 bytes and a bool: 17 bytes a sample, so 10 fit.
    let data = Arc::new(Cached::new(inner, 10 * 17 + 16));
    struct Shared(Arc<Cached<Numbers>>);
    impl Dataset for Shared {
        type Worker = ();
        fn len(&self) -> usize {
            self.0.len()
        }
        fn fields(&self) -> Vec<Field> {
            self.0.fields()
        }
        fn load(&self, index: usize, (): &mut (), slot: &mut Slot) -> Result<(), SampleError> {
            self.0.load(index, &mut (), slot)
        }
    }
    let builder = Loader::builder(Shared(data.clone())).batch_size(50).num_workers(0);
    let mut loader = builder.shuffle(true).build().unwrap();
    for epoch in 0..3 {
        let batch = loader.epoch(epoch).next().unwrap().unwrap();
        let indices: Vec<i64> = batch.indices().iter().map(|index| *index as i64 + 20).collect();
        assert_eq!(Vec::<i64>::try_from(batch["x"].select(1, 0)).unwrap(), indices);
    }
    assert_eq!(data.held_bytes(), 10 * 17);
    assert_eq!(loads.load(Ordering::Relaxed), 50 + 40 + 40);

    let none = Cached::new(numbers(0, 3), 0);
    assert_eq!(first_column(none), [0, 1, 2]);
}

#[test]
fn a_random_sample_is_not_cached() {
    let builder = Loader::builder(Cached::new(Random, 1 << 20)).batch_size(2).num_workers(1);
    let error = builder.build().unwrap().epoch(0).next().unwrap().unwrap_err();
    let LoaderError::Sample { source, .. } = &error else { panic!("{error}") };
    assert!(source.downcast_ref::<CachedError>().is_some());
    assert_says(error, &["cannot be cached", "hint: ", "`Map`"]);
}

#[test]
fn random_steps_around_a_cache_are_new_in_each_epoch() {
    let data = Cached::new(numbers(0, 4), 1 << 20);
    let data = Map::new(data, [Field::new("x", [2], Dtype::Float64)], |sample, slot| {
        let values = slot.fields.get_mut::<f64>(0);
        values[0] = sample.get::<i64>(0)[0] as f64;
        values[1] = slot.rng.random();
        Ok(())
    });
    let builder = Loader::builder(data).batch_size(4).num_workers(0).shuffle(false);
    let mut loader = builder.build().unwrap();
    let mut epoch = |epoch| loader.epoch(epoch).next().unwrap().unwrap()["x"].copy();
    let (first, second, again) = (epoch(0), epoch(1), epoch(0));
    assert_eq!(first.select(1, 0), second.select(1, 0));
    assert_eq!(first.kind(), Kind::Double);
    assert!(first != second);
    assert_eq!(first, again);
}
