//! Whatever bytes a file holds: an error or an array within it, never a panic.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use loader::Dataset;
use loader::datasets::{Array, Arrays, Split};
use proptest::prelude::*;

use crate::common::{all, reference, said};

/// Reads `bytes` as a file of the kind that `name` tells; what is accepted lies within them, and can be loaded.
fn read(name: &str, bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let mut opened = None;
    let allocated = allocation_counter::measure(|| {
        opened = Some(match name {
            "x.npy" => Array::npy(&path).and_then(|array| Arrays::new([("x", array)])),
            "x.safetensors" => Arrays::safetensors(&path, &[]),
            _ => Arrays::mnist(folder.path(), Split::Train),
        });
    });
    // Whatever a header promises: decompressing has buffers of its own.
    let limit = (1 << 17) + 32 * bytes.len() as u64;
    assert!(allocated.bytes_max <= limit, "{allocated:?}");
    let Some(opened) = opened else { return };
    match opened {
        Ok(data) => {
            let sample: usize = data.fields().iter().map(|field| field.bytes()).sum();
            if !data.is_empty() {
                assert!(sample * data.len() <= bytes.len());
            }
            // Samples of nothing may be any number.
            if (1..=bytes.len()).contains(&data.len()) {
                all(data);
            }
        }
        Err(error) => {
            let said = said(error);
            // Of MNIST's two files one is missing.
            assert!(said.contains(name) || said.contains("labels"), "{said}");
        }
    }
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Images of MNIST.
const IDX: &str = "train-images-idx3-ubyte";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read("x.npy", &bytes);
        read("x.npy", &[b"\x93NUMPY\x01\x00", &bytes[..]].concat());
        read("x.safetensors", &bytes);
        for idx in [&bytes[..], &[&[0, 0, 8, 3, 0, 0], &bytes[..]].concat()] {
            read(IDX, idx);
            read(&format!("{IDX}.gz"), &gzip(idx));
            read(&format!("{IDX}.gz"), idx);
        }
    }

    #[test]
    fn arbitrary_headers(header in "[ -~]{0,120}", data in prop::collection::vec(any::<u8>(), 0..64)) {
        read("x.npy", &npy(&header, &data));
        read("x.npy", &npy(&format!("{{{header}}}"), &data));
        read("x.safetensors", &safetensors(&header, &data));
    }

    /// Headers that are nearly right, with sides of any size.
    #[test]
    fn likely_headers(
        dtype in "[<>|=]?[biufcSUOV][0-9]{1,2}",
        fortran in "(True|False|true|0)",
        shape in prop::collection::vec(prop_oneof![0..5_u64, any::<u64>()], 0..4),
        comma in "[, ]{0,2}",
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
        let header =
            format!("{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': ({sides}){comma}}}");
        read("x.npy", &npy(&header, &data));
        let (dtype, end) = (["U8", "F32", "I64", "BF16", "BOOL"][shape.len()], data.len());
        let header =
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[0,{end}]}}}}"#);
        read("x.safetensors", &safetensors(&header, &data));
    }

    /// Real files with a byte changed, or cut off.
    #[test]
    fn changed_files(at in 0..2_000_usize, byte: u8, cut: bool, npy: bool) {
        let (file, name) = match npy {
            true => ("npy/float32.npy", "x.npy"),
            false => ("all.safetensors", "x.safetensors"),
        };
        let mut bytes = fs::read(reference(file)).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        read(name, &bytes);
    }
}

#[test]
fn headers_that_promise_too_much() {
    let header =
        |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    for shape in
        ["(2, 3)", "(18446744073709551615, 2)", "(4294967296, 4294967296)", "(1000000000000,)"]
    {
        read("x.npy", &npy(&header(shape), &[0; 20]));
    }
    // No samples, each larger than memory.
    read("x.npy", &npy(&header("(0, 4294967296, 4294967296)"), &[]));
    read("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff");
    read("x.npy", b"\x93NUMPY\x09\x00");
}
