//! Made-up samples.

use std::time::Duration;

use loader::{Dtype, Field, Loader, Synthetic};
use tch::{Device, Kind, Tensor};

use crate::common::all;

#[test]
fn the_index_decides_the_content_for_every_type() {
    let fields: Vec<Field> =
        Dtype::ALL.iter().map(|dtype| Field::new(&dtype.to_string(), [2, 150], *dtype)).collect();
    let batch = all(Synthetic::new(fields, 5));
    let rows = Tensor::arange(5, (Kind::Int64, Device::Cpu)).view([5, 1]);
    let bytes = (rows + Tensor::arange(300, (Kind::Int64, Device::Cpu))).remainder(256);
    for dtype in Dtype::ALL {
        let expected = match dtype {
            Dtype::Bool => bytes.remainder(2),
            Dtype::Float16 | Dtype::BFloat16 | Dtype::Float32 | Dtype::Float64 => {
                bytes.to_kind(Kind::Double) / 256.0
            }
            _ => bytes.shallow_clone(),
        };
        let got = batch[dtype.to_string().as_str()].flatten(1, -1);
        assert!(got.equal(&expected.to_kind(dtype.kind())), "{dtype}");
    }
}

#[test]
fn costs_are_counted_where_they_belong() {
    let data = Synthetic::new([Field::new("x", [], Dtype::Int64)], 20)
        .cpu(Duration::from_millis(2))
        .io_delay(Duration::from_millis(3));
    let mut loader = Loader::builder(data).batch_size(20).num_workers(0).build().unwrap();
    assert_eq!(loader.epoch(0).flatten().count(), 1);
    let times = loader.times();
    // At least: a busy machine may make it more.
    assert!(times.read_s >= 0.06, "{times:?}");
    assert!(times.transform_s >= 0.04, "{times:?}");
}
