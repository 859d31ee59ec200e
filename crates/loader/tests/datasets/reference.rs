//! What is read from files that NumPy and safetensors wrote, number by number.

use loader::datasets::{Array, Arrays, Split, TokenWidth};
use loader::{Dataset, Tokens};
use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::common::{all, assert_says, reference};

#[derive(Deserialize)]
struct Manifest {
    npy: Vec<Case>,
    safetensors: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(default)]
    file: String,
    #[serde(default)]
    name: String,
    dtype: String,
    shape: Vec<i64>,
    /// The numbers, in hexadecimal.
    little_endian: String,
}

fn manifest() -> Manifest {
    let text = std::fs::read_to_string(reference("manifest.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The tensor is of the type, shape and bytes that the case tells.
#[track_caller]
fn assert_is(tensor: &Tensor, case: &Case) {
    assert_eq!(tensor.size(), case.shape);
    let bytes = tensor.flatten(0, -1).view_dtype(Kind::Uint8);
    let hex: String =
        Vec::<u8>::try_from(bytes).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, case.little_endian, "{} {}", case.file, case.name);
}

#[test]
fn npy_files_are_read_as_numpy_wrote_them() {
    let cases = manifest().npy;
    assert!(cases.len() >= 14);
    for case in &cases {
        let array = Array::npy(reference(&case.file)).unwrap();
        assert_eq!(array.dtype().to_string(), case.dtype, "{}", case.file);
        let shape: Vec<i64> = array.shape().iter().map(|side| *side as i64).collect();
        assert_eq!(shape, case.shape, "{}", case.file);
        let data = Arrays::new([("x", array)]).unwrap();
        if !data.is_empty() {
            assert_is(&all(data)["x"], case);
        }
    }
}

#[test]
fn a_safetensors_file_is_read_as_it_was_written() {
    let data = Arrays::safetensors(reference("all.safetensors"), &[]).unwrap();
    let batch = all(data);
    let cases = manifest().safetensors;
    assert_eq!(batch.iter().count(), cases.len());
    for case in &cases {
        assert_is(&batch[case.name.as_str()], case);
    }
    // By name, in whatever order they lie in the file.
    let names: Vec<&str> = batch.iter().map(|(name, _)| name).collect();
    assert!(names.is_sorted(), "{names:?}");

    let some = Arrays::safetensors(reference("all.safetensors"), &["int64", "bool"]).unwrap();
    let names: Vec<String> = some.fields().into_iter().map(|field| field.name).collect();
    assert_eq!(names, ["int64", "bool"]);
    let missing = Arrays::safetensors(reference("all.safetensors"), &["int63"]).unwrap_err();
    assert_says(missing, &["all.safetensors` has no tensor `int63`", "bool, float16, float32"]);
}

#[test]
fn npy_files_of_another_kind_are_refused_with_a_way_out() {
    let refused = |file: &str, parts: &[&str]| {
        let file = format!("refused_{file}.npy");
        let error = Array::npy(reference(&format!("npy/{file}"))).unwrap_err();
        assert_says(error, &[parts, &[&file]].concat());
    };
    refused("fortran", &["Fortran", "hint: write it with `np.save(path, np.ascontiguousarray"]);
    refused("big_endian", &["`>f4`", "big-endian", "newbyteorder"]);
    refused("complex", &["`<c8`", "hint: known are bool, uint8"]);
    refused("text", &["`<U2`"]);
    refused("structure", &["a structure"]);
    refused("object", &["`|O`"]);
    refused("scalar", &["no dimension"]);
}

/// `[count, height, width, channels]` as the script makes them, here with the channel second.
fn images(start: i64, count: i64, channels: i64, side: i64) -> Tensor {
    let mut bytes = Vec::new();
    for n in start..start + count {
        for c in 0..channels {
            for y in 0..side {
                bytes.extend((0..side).map(|x| ((n * 101 + c * 59 + y * 7 + x) % 256) as u8));
            }
        }
    }
    Tensor::from_slice(&bytes).view([count, channels, side, side])
}

fn labels(start: i64, count: i64, classes: i64) -> Tensor {
    let labels: Vec<i64> = (start..start + count).map(|n| (n * 7 + 3) % classes).collect();
    Tensor::from_slice(&labels)
}

#[test]
fn cifar10_is_read_in_the_order_of_its_files() {
    let folder = reference("cifar-10-batches-bin");
    let train = all(Arrays::cifar10(&folder, Split::Train).unwrap());
    assert_eq!(train["images"], images(0, 5, 3, 32));
    assert_eq!(train["labels"], labels(0, 5, 10));
    let test = all(Arrays::cifar10(&folder, Split::Test).unwrap());
    assert_eq!(test["images"], images(5, 2, 3, 32));
    assert_eq!(test["labels"], labels(5, 2, 10));
}

#[test]
fn cifar100_has_two_labels() {
    let folder = reference("cifar-100-binary");
    let train = all(Arrays::cifar100(&folder, Split::Train).unwrap());
    assert_eq!(train["images"], images(0, 2, 3, 32));
    assert_eq!(train["labels"], labels(0, 2, 100));
    assert_eq!(train["coarse_labels"], labels(0, 2, 20));
    let test = all(Arrays::cifar100(&folder, Split::Test).unwrap());
    assert_eq!(test["images"], images(2, 1, 3, 32));
}

#[test]
fn mnist_is_read_compressed_or_not() {
    let folder = reference("mnist");
    let train = all(Arrays::mnist(&folder, Split::Train).unwrap());
    assert_eq!(train["images"], images(0, 3, 1, 28));
    assert_eq!(train["labels"], labels(0, 3, 10));
    let test = all(Arrays::mnist(&folder, Split::Test).unwrap());
    assert_eq!(test["images"], images(3, 2, 1, 28));
    assert_eq!(test["labels"], labels(3, 2, 10));
}

#[test]
fn tokens_of_both_widths() {
    for (file, width, step, modulus) in [
        ("tokens_u16.bin", TokenWidth::U16, 655, 50_257),
        ("tokens_u32.bin", TokenWidth::U32, 42_000_000, 1_i64 << 32),
    ] {
        let data = Tokens::open(reference(file), width, 33).unwrap();
        assert_eq!(data.tokens(), 100);
        assert_eq!(data.len(), 3);
        let batch = all(data);
        let tokens: Vec<i64> = (0..100).map(|i| i * step % modulus).collect();
        assert_eq!(batch["inputs"], Tensor::from_slice(&tokens[..99]).view([3, 33]));
        assert_eq!(batch["targets"], Tensor::from_slice(&tokens[1..]).view([3, 33]));
    }
}
