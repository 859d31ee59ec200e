//! Arrays in memory and their conversion.

use std::fs;
use std::path::Path;

use loader::datasets::{Array, Arrays, Split, ToFloat32};
use loader::error::{DatasetError, FileError};
use loader::{Dataset, Dtype, Field, Loader};
use tch::{Device, Kind, Tensor};

use crate::common::{all, assert_says, goes_on, reference};

fn bytes(shape: &[i64]) -> Tensor {
    Tensor::randint(256, shape, (Kind::Uint8, Device::Cpu))
}

#[test]
fn tensors_of_every_kind_come_back_as_they_were() {
    let base = Tensor::randint(100, [5, 2, 3], (Kind::Float, Device::Cpu)) - 50.0;
    for dtype in Dtype::ALL {
        let tensor = base.to_kind(dtype.kind());
        // A view that is not contiguous.
        let turned = tensor.transpose(0, 1);
        for tensor in [tensor, turned] {
            let array = Array::from_tensor(&tensor).unwrap();
            assert_eq!(array.dtype(), dtype);
            let batch = all(Arrays::new([("x", array)]).unwrap());
            assert_eq!(batch["x"].kind(), dtype.kind());
            assert!(batch["x"].equal(&tensor), "{dtype}");
        }
    }
    let complex = Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu));
    assert!(matches!(Array::from_tensor(&complex), Err(FileError::OtherDtype(_))));
    assert!(matches!(Array::from_tensor(&Tensor::from(1.0)), Err(FileError::Scalar)));
}

#[test]
fn conversion_agrees_with_libtorch() {
    let images = bytes(&[7, 3, 5, 9]);
    let (mean, std) = ([0.4914f32, 0.4822, 0.4465], [0.2470f32, 0.2435, 0.2616]);
    let column = |values: &[f32]| Tensor::from_slice(values).view([-1, 1, 1]);
    let normalized = (images.to_kind(Kind::Float) / 255.0 - column(&mean)) / column(&std);
    let convert = |tensor: &Tensor, conversion: &ToFloat32| {
        let data = Arrays::new([("x", Array::from_tensor(tensor).unwrap())]).unwrap();
        let data = data.to_float32("x", conversion).unwrap();
        let shape: Vec<usize> = tensor.size()[1..].iter().map(|side| *side as usize).collect();
        assert_eq!(data.fields(), [Field::new("x", shape, Dtype::Float32)]);
        all(data)["x"].shallow_clone()
    };
    let by_channel = ToFloat32 { scale: None, mean: mean.to_vec(), std: std.to_vec() };
    assert!(convert(&images, &by_channel).allclose(&normalized, 1e-6, 1e-6, false));

    let one_for_all = ToFloat32 { scale: None, mean: vec![0.5], std: vec![0.25] };
    let expected = (images.to_kind(Kind::Float) / 255.0 - 0.5) / 0.25;
    assert!(convert(&images, &one_for_all).allclose(&expected, 1e-6, 1e-6, false));

    // Other types are not scaled unless asked for.
    let numbers = Tensor::randint(200, [6, 4, 3], (Kind::Float, Device::Cpu)) - 100.0;
    for dtype in Dtype::ALL.into_iter().filter(|dtype| *dtype != Dtype::Uint8) {
        let tensor = numbers.to_kind(dtype.kind());
        let same = convert(&tensor, &ToFloat32::default());
        assert!(same.equal(&tensor.to_kind(Kind::Float)), "{dtype}");
        let halved = convert(&tensor, &ToFloat32 { scale: Some(0.5), ..ToFloat32::default() });
        assert!(halved.equal(&(tensor.to_kind(Kind::Float) * 0.5)), "{dtype}");
    }
    // Numbers, which have no channels.
    let scalars = Tensor::from_slice(&[1u8, 2, 255]);
    let converted = convert(&scalars, &ToFloat32 { scale: Some(2.0), ..ToFloat32::default() });
    assert_eq!(converted, Tensor::from_slice(&[2f32, 4.0, 510.0]));
}

#[test]
fn shuffled_batches_are_rows_by_their_indices() {
    let (images, labels) = (bytes(&[100, 3, 4]), Tensor::arange(100, (Kind::Int64, Device::Cpu)));
    let arrays = [("images", &images), ("labels", &labels)];
    let arrays = arrays.map(|(name, tensor)| (name, Array::from_tensor(tensor).unwrap()));
    let data = Arrays::new(arrays).unwrap();
    let builder = Loader::builder(data).batch_size(16).shuffle(true).num_workers(3);
    let mut loader = builder.build().unwrap();
    for batch in loader.epoch(1) {
        let batch = batch.unwrap();
        let indices: Vec<i64> = batch.indices().iter().map(|index| *index as i64).collect();
        let indices = Tensor::from_slice(&indices);
        assert_eq!(batch["labels"], indices);
        assert_eq!(batch["images"], images.index_select(0, &indices));
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let array =
        |shape: &[usize]| Array::from_values(&vec![0u8; shape.iter().product()], shape).unwrap();
    let refused = |arrays: Vec<(&str, Array)>| Arrays::new(arrays).unwrap_err();
    assert!(matches!(refused(vec![]), DatasetError::NoArrays));
    let lengths = refused(vec![("images", array(&[4, 2])), ("labels", array(&[5]))]);
    assert_says(lengths, &["`images` has 4 samples", "`labels` has 5", "hint: "]);
    assert_says(refused(vec![("x", array(&[4])), ("x", array(&[4]))]), &["`x`"]);

    let shape = Array::from_values(&[1u8, 2, 3], &[2, 2]).unwrap_err();
    assert_says(shape, &["3 values", "[2, 2] has 4"]);
    let huge = Array::from_values(&[0u8; 0], &[usize::MAX, 2]).unwrap_err();
    assert!(matches!(huge, FileError::TooLarge(_)));

    let convert = |name: &str, conversion: ToFloat32| {
        Arrays::new([("x", array(&[4, 3, 2]))]).unwrap().to_float32(name, &conversion).unwrap_err()
    };
    let with = |mean: &[f32], std: &[f32]| ToFloat32 {
        scale: None,
        mean: mean.to_vec(),
        std: std.to_vec(),
    };
    assert_says(convert("y", ToFloat32::default()), &["no array `y`", "x"]);
    assert_says(convert("x", with(&[0.0; 2], &[])), &["`mean`", "2 values", "3 channels"]);
    assert_says(convert("x", with(&[], &[1.0, 0.0, 1.0])), &["`std`", "is 0", "not 0"]);
    assert_says(convert("x", with(&[f32::NAN], &[])), &["`mean`", "NaN"]);
}

#[test]
fn a_run_does_not_go_on_with_other_arrays() {
    let arrays = |name: &str, value: u8, shape: &[usize]| {
        let values = vec![value; shape.iter().product()];
        Arrays::new([(name, Array::from_values(&values, shape).unwrap())]).unwrap()
    };
    let data = || arrays("x", 1, &[4, 6]);
    assert!(goes_on(data(), data()));
    // What is looked at are not the numbers.
    assert!(goes_on(data(), arrays("x", 2, &[4, 6])));
    assert!(!goes_on(data(), arrays("y", 1, &[4, 6])));
    assert!(!goes_on(data(), arrays("x", 1, &[4, 5])));
    assert!(!goes_on(data(), arrays("x", 1, &[4, 2, 3])));
    let other = Array::from_values(&[1i8; 24], &[4, 6]).unwrap();
    assert!(!goes_on(data(), Arrays::new([("x", other)]).unwrap()));

    // Of files the names count, and not where they lie.
    let folder = tempfile::tempdir().unwrap();
    let file = reference("npy/int64.npy");
    let (moved, renamed) = (folder.path().join("int64.npy"), folder.path().join("other.npy"));
    for copy in [&moved, &renamed] {
        fs::copy(&file, copy).unwrap();
    }
    let npy = |path: &Path| Arrays::new([("x", Array::npy(path).unwrap())]).unwrap();
    assert!(goes_on(npy(&file), npy(&moved)));
    assert!(!goes_on(npy(&file), npy(&renamed)));
}

#[test]
fn a_mapped_row_is_named_in_errors() {
    let array = Array::npy(reference("npy/int64.npy")).unwrap();
    let data = Arrays::new([("x", array)]).unwrap();
    assert!(data.origin(3).unwrap().ends_with("int64.npy, row 3"));
}

/// What is wrong with the files of a set is said with the file's name.
#[test]
fn files_of_cifar_and_mnist_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let cifar = |parts: &[&str]| {
        assert_says(Arrays::cifar10(path, Split::Test).unwrap_err(), parts);
    };
    cifar(&["no `test_batch.bin`", "hint: ", "cifar-10-binary.tar.gz"]);
    let write = |name: &str, bytes: &[u8]| fs::write(path.join(name), bytes).unwrap();
    write("test_batch.bin", &[]);
    cifar(&["test_batch.bin", "empty"]);
    write("test_batch.bin", &[0; 3073 + 3072]);
    cifar(&["test_batch.bin", "6145 bytes", "3073"]);
    write("test_batch.bin", &[[0; 3073], [10; 3073]].concat());
    cifar(&["record 1 has the label 10", "10 classes"]);
    let hundred = Arrays::cifar100(path, Split::Train).unwrap_err();
    assert_says(hundred, &["`train.bin`", "cifar-100-binary.tar.gz"]);

    let mnist = |parts: &[&str]| {
        assert_says(Arrays::mnist(path, Split::Train).unwrap_err(), parts);
    };
    let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
    mnist(&["no `train-images-idx3-ubyte`", "hint: "]);
    let header = |kind: u8, sides: &[u32]| -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, sides.len() as u8];
        bytes.extend(sides.iter().flat_map(|side| side.to_be_bytes()));
        bytes
    };
    write(images, &header(8, &[2]));
    mnist(&[images, "bytes in 1 dimensions", "images of bytes"]);
    write(images, &header(13, &[2, 2, 2]));
    mnist(&["type 0x0d"]);
    write(images, b"PK\x03\x04");
    mnist(&["begins with [80, 75, 3, 4]"]);
    write(images, &header(8, &[u32::MAX; 3]));
    mnist(&[images]);
    write(images, &[header(8, &[2, 1, 3]), vec![7; 5]].concat());
    mnist(&["truncated", "21 bytes", "22"]);
    write(images, &[header(8, &[2, 1, 3]), vec![7; 7]].concat());
    mnist(&["there should be 22"]);
    write(images, &[header(8, &[2, 1, 3]), vec![7; 6]].concat());
    mnist(&["no `train-labels-idx1-ubyte`"]);
    write(labels, &[header(8, &[3]), vec![1, 2, 3]].concat());
    mnist(&["`images` has 2 samples", "`labels` has 3"]);
    write(labels, &[header(8, &[2]), vec![1, 2]].concat());
    assert_eq!(Arrays::mnist(path, Split::Train).unwrap().len(), 2);

    // A compressed file that is damaged.
    fs::remove_file(path.join(images)).unwrap();
    let compressed = fs::read(reference("mnist/train-images-idx3-ubyte.gz")).unwrap();
    write("train-images-idx3-ubyte.gz", &compressed[..compressed.len() - 9]);
    mnist(&["train-images-idx3-ubyte.gz"]);
    let mut checksum = compressed;
    let last = checksum.len() - 6;
    checksum[last] ^= 1;
    write("train-images-idx3-ubyte.gz", &checksum);
    mnist(&["decompressed"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let missing = Path::new("/nowhere/x.npy");
    assert_says(Array::npy(missing).unwrap_err(), &["cannot read `/nowhere/x.npy`"]);
    let folder = tempfile::tempdir().unwrap();
    assert_says(Array::npy(folder.path()).unwrap_err(), &["cannot read"]);
    let empty = folder.path().join("empty.npy");
    fs::write(&empty, []).unwrap();
    assert_says(Array::npy(&empty).unwrap_err(), &["empty.npy", "begins with []"]);
    assert_says(Arrays::safetensors(&empty, &[]).unwrap_err(), &["empty.npy", "header"]);
}
