//! Shards whose bytes were changed: they are refused or read, and nothing else happens.

use std::fs::{self, File};
use std::io::Write;

use allocation_counter::measure;
use loader::{Dataset, Loader, TarShards};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::common::{compose, image, reference, report, tar_of};

/// Opening may take this much beside the index: a window, names and labels of a megabyte each, the
/// values of that JSON, and what the file's size allows.
const LIMIT: u64 = 8 << 20;

/// Opens a shard of these bytes and loads every sample.
fn open_and_load(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    File::create(&path).unwrap().write_all(bytes).unwrap();
    // On this thread, whose allocations are counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    let mut opened = None;
    let info = match pool {
        Ok(pool) => measure(|| {
            opened = Some(pool.install(|| TarShards::open(path.as_path(), compose())));
        }),
        // This thread has such a pool from an earlier case.
        Err(_) => measure(|| opened = Some(TarShards::open(path.as_path(), compose()))),
    };
    assert!(info.bytes_max < LIMIT, "{} bytes", info.bytes_max);
    let data = match opened.unwrap() {
        Ok(data) => data,
        Err(error) => return Err(report(&error)),
    };
    assert!(data.len() <= bytes.len() / 512);
    let mut loader = Loader::builder(data).batch_size(1).num_workers(0).build().unwrap();
    for batch in loader.epoch(0) {
        if let Err(error) = batch {
            let text = report(&error);
            assert!(!text.contains("panicked"), "{text}");
        }
    }
    Ok(())
}

/// Makes the checksum of the header at `at` right.
fn sign(bytes: &mut [u8], at: usize) {
    let header = &mut bytes[at..at + 512];
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Where headers are.
fn headers(bytes: &[u8]) -> Vec<usize> {
    let starts = (0..bytes.len() / 512).map(|block| block * 512);
    starts.filter(|at| &bytes[at + 257..at + 262] == b"ustar").collect()
}

fn originals() -> Vec<Vec<u8>> {
    let names = ["train-000000.tar", "gnu.tar", "pax.tar", "ustar.tar"];
    names.iter().map(|name| fs::read(reference(name)).unwrap()).collect()
}

/// A field of a header, as offset and length: name, size, kind, prefix, magic.
fn field() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        1 => Just((0, 100)),
        4 => Just((124, 12)),
        3 => Just((156, 1)),
        1 => Just((345, 155)),
        1 => Just((257, 8)),
        1 => Just((0, 512)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn headers_that_lie_do_no_harm(
        original in 0_usize..4,
        changes in prop::collection::vec(
            (any::<Index>(), field(), any::<Index>(), prop::collection::vec(any::<u8>(), 1..12)),
            1..4,
        ),
        cut in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let mut bytes = originals().swap_remove(original);
        let headers = headers(&bytes);
        for (header, (start, len), place, new) in changes {
            let at = *header.get(&headers);
            let from = at + start + place.index(len);
            let until = (from + new.len()).min(at + start + len);
            bytes[from..until].copy_from_slice(&new[..until - from]);
            sign(&mut bytes, at);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = open_and_load(&bytes);
    }

    #[test]
    fn sizes_of_every_kind_do_no_harm(
        header in any::<Index>(),
        size in prop_oneof![
            any::<u64>(), Just(u64::MAX), Just(u64::MAX - 511), Just(1 << 63), 0_u64..100_000,
        ],
        kind in prop_oneof![Just(b'0'), Just(0), Just(b'L'), Just(b'x'), Just(b'S'), Just(b'5'), any::<u8>()],
    ) {
        let mut bytes = originals().swap_remove(2);
        let at = *header.get(&headers(&bytes));
        bytes[at + 124..at + 128].copy_from_slice(&[0x80, 0, 0, 0]);
        bytes[at + 128..at + 136].copy_from_slice(&size.to_be_bytes());
        bytes[at + 156] = kind;
        sign(&mut bytes, at);
        let _ = open_and_load(&bytes);
    }

    #[test]
    fn bytes_that_are_no_tar_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(open_and_load(&bytes).is_err());
    }

    #[test]
    fn extended_headers_of_any_content_do_no_harm(
        records in r"([0-9]{1,6} ?(path|size|GNU\.sparse\.x|a)=?[0-9a-z./]{0,12}\n?){0,4}",
    ) {
        let pixel = image("png_1x1.png");
        let mut bytes = tar_of(&[("h", records.as_bytes()), ("a.png", &pixel), ("a.cls", b"1")]);
        bytes[156] = b'x';
        sign(&mut bytes, 0);
        let _ = open_and_load(&bytes);
    }
}

#[test]
fn a_megabyte_of_json_takes_no_more_than_the_limit() {
    let pixel = image("png_1x1.png");
    let mut json = b"[0".to_vec();
    json.resize((1 << 20) - 1, b'1');
    json.push(b']');
    let tar = tar_of(&[("a.png", &pixel), ("a.json", &json), ("a.cls", b"1")]);
    open_and_load(&tar).unwrap();
}
