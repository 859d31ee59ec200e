//! Shards that cannot be used: what is said of them.

use std::fs;
use std::path::Path;

use loader::datasets::tar::{Label, MAX_LABEL, TarOptions};
use loader::error::TarError;
use loader::{Dataset, LoaderError, TarShards};

use crate::common::{compose, image, reference, report, tar_of, warnings_of};

/// The error of opening a shard of these bytes, without its path.
fn refused_with(options: &TarOptions, bytes: &[u8]) -> (TarError, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    fs::write(&path, bytes).unwrap();
    let error = TarShards::open_with(path.as_path(), options, compose()).unwrap_err();
    let text = report(&error);
    let name = path.display().to_string();
    assert!(text.contains(&name), "the shard is named: {text}");
    (error, text.replace(&name, "SHARD"))
}

fn refused(bytes: &[u8]) -> String {
    refused_with(&TarOptions::default(), bytes).1
}

fn of(members: &[(&str, &[u8])]) -> String {
    refused(&tar_of(members))
}

const PIXEL: &str = "png_1x1.png";

#[test]
fn files_that_are_no_tar_are_refused() {
    assert_eq!(refused(b""), "`SHARD` is not a tar archive");
    assert_eq!(refused(b"hello"), "`SHARD` is not a tar archive");
    assert_eq!(refused(&image("jpeg_500x375.jpg")), "`SHARD` is not a tar archive");
    assert_eq!(
        refused(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        "the shard `SHARD` is compressed with gzip\nhint: unpack it once: `gzip -d 'SHARD'`"
    );
    assert!(refused(b"\x28\xb5\x2f\xfd").contains("compressed with zstd"));
    assert_eq!(refused(&[0; 1024]), "the shard `SHARD` holds no samples");
    assert_eq!(of(&[("__meta__/x.jpg", b""), ("y", b"")]), "the shard `SHARD` holds no samples");
}

#[test]
fn shards_cut_short_are_refused_wherever_they_end() {
    let whole = fs::read(reference("train-000000.tar")).unwrap();
    // At the end of a member nothing is missed; that the end mark is missing is only warned of.
    let ends: Vec<_> = tar::Archive::new(&whole[..])
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let end = (entry.raw_file_position() + entry.size()) as usize;
            end..=end.next_multiple_of(512)
        })
        .collect();
    let last = *ends.last().unwrap().start();
    for kept in (1..last).step_by(97) {
        if ends.iter().any(|end| end.contains(&kept)) {
            continue;
        }
        let text = refused(&whole[..kept]);
        let told = ["cut short", "is not a tar archive"];
        assert!(told.iter().any(|part| text.contains(part)), "{kept}: {text}");
    }
    let text = refused(&whole[..2000]);
    assert_eq!(
        text,
        "the shard `SHARD` is cut short: `class0/000000.jpg` ends at byte 7551, the file at byte 2000"
    );
}

#[test]
fn samples_that_are_not_whole_are_named() {
    let pixel = image(PIXEL);
    let (png, cls) = (("a/1.png", &pixel[..]), ("a/1.cls", &b"5"[..]));
    assert_eq!(of(&[png]), "the sample `a/1` in `SHARD` has no label `.cls`, only `.png`");
    assert_eq!(
        of(&[cls, ("a/1.txt", b"")]),
        "the sample `a/1` in `SHARD` has no image, only `.cls`, `.txt` (looked for jpg, jpeg, png, webp, bmp)"
    );
    assert_eq!(
        of(&[png, cls, ("a/1.jpg", &pixel)]),
        "the sample `a/1` in `SHARD` has several images: `.png`, `.cls`, `.jpg`\nhint: say which in `TarOptions::image`"
    );
    assert_eq!(
        of(&[png, cls, ("a/1.PNG", &pixel)]),
        "the sample `a/1` in `SHARD` has two members `.png`"
    );
    let text = of(&[png, cls, ("a/2.png", &pixel), ("a/2.cls", b"5"), png, cls]);
    assert!(
        text.starts_with(
            "the members of the sample `a/1` in `SHARD` do not stand together\nhint: "
        )
    );
    let text = of(&[png, ("a/2.png", &pixel), cls]);
    assert!(text.contains("the sample `a/1` in `SHARD` has no label"), "{text}");
}

#[test]
fn labels_that_are_none_are_named() {
    let pixel = image(PIXEL);
    let cls = |bytes: &[u8]| {
        let text = of(&[("1.png", &pixel), ("1.cls", bytes)]);
        text.strip_prefix("the sample `1` in `SHARD` has no usable label: ").unwrap().to_owned()
    };
    assert_eq!(cls(b""), "`` is not an integer");
    assert_eq!(cls(b"cat"), "`cat` is not an integer");
    assert_eq!(cls(b"1.5"), "`1.5` is not an integer");
    assert_eq!(cls(b"-1"), "-1 is not the number of a class");
    assert_eq!(cls(b"9223372036854775808"), "9223372036854775808 is not the number of a class");
    assert!(cls(&[b'x'; 5000]).len() < 100);
    assert!(cls(b"\xff\xfe").ends_with("is not an integer"));

    let json = |bytes: &[u8]| {
        let options = TarOptions { label: Label::Json("meta.label".into()), image: None };
        let tar = tar_of(&[("1.png", &pixel), ("1.json", bytes)]);
        let text = refused_with(&options, &tar).1;
        text.strip_prefix("the sample `1` in `SHARD` has no usable label: ").unwrap().to_owned()
    };
    assert!(json(b"{").starts_with("not valid JSON: EOF"));
    assert!(json(&[b'['; 100_000]).starts_with("not valid JSON: recursion limit"));
    assert_eq!(
        json(b"{}"),
        "the JSON has no `meta.label` (at `meta` there is only an empty object)"
    );
    assert_eq!(
        json(br#"{"meta": {"lable": 3}}"#),
        "the JSON has no `meta.label` (at `label` there is only `lable`)"
    );
    assert_eq!(
        json(br#"{"meta": 3}"#),
        "the JSON has no `meta.label` (at `label` there is only `3`)"
    );
    assert_eq!(json(br#"{"meta": {"label": "3"}}"#), "`\"3\"` is not an integer");
    assert_eq!(json(br#"{"meta": {"label": 3.0}}"#), "`3.0` is not an integer");
    assert_eq!(json(br#"{"meta": {"label": -3}}"#), "-3 is not the number of a class");
}

#[test]
fn members_over_the_limits_are_refused_unread() {
    let pixel = image(PIXEL);
    let long = vec![b' '; MAX_LABEL + 1];
    assert_eq!(
        of(&[("1.png", &pixel), ("1.cls", &long)]),
        "`1.cls` in `SHARD` has 1048577 bytes, more than the limit of 1048576"
    );
    // A megabyte of text that nobody asks for is no matter.
    let members = [("1.png", &pixel[..]), ("1.json", &long), ("1.cls", b"x")];
    assert!(of(&members).contains("`x` is not an integer"));
    let name = "n".repeat(1 << 20) + ".png";
    assert!(of(&[(&name, &pixel)]).contains("more than the limit of 1048576"));
}

#[test]
fn shards_that_are_not_there_are_named() {
    let refused = |pattern: &str| report(&TarShards::open(pattern, compose()).unwrap_err());
    let shards = reference("train-{000000..000003}.tar").display().to_string();
    let text = refused(&shards);
    let first = reference("train-000002.tar").display().to_string();
    assert_eq!(
        text,
        format!(
            "cannot read `{first}`, the first of 2 of 4 files named: No such file or directory (os error 2)"
        )
    );
    assert_eq!(refused("nothing-*.tar"), "no file matches `nothing-*.tar`");
    assert_eq!(
        refused("train-{0..3.tar"),
        "`train-{0..3.tar` is no pattern of file names: its braces do not balance"
    );
    assert_eq!(refused("/dev/zero"), "`/dev/zero` is not a file");
    let empty = tempfile::tempdir().unwrap();
    let error = TarShards::open(empty.path(), compose()).unwrap_err();
    assert!(report(&error).starts_with("no `.tar` files in the folder"));
    let error = TarShards::open(Vec::new(), compose()).unwrap_err();
    assert_eq!(report(&LoaderError::from(error)), "the list of files is empty");
    let error = TarShards::open(Path::new("none-{0..3}.tar"), compose()).unwrap_err();
    assert_eq!(
        report(&error),
        "cannot read `none-{0..3}.tar` (a path is taken as it is: give a pattern as text): No such file \
         or directory (os error 2)"
    );
}

#[test]
fn a_shard_without_an_end_mark_is_read_and_warned_of() {
    let whole = fs::read(reference("train-000000.tar")).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let folder = tempfile::tempdir().unwrap();
    // On this thread, which is listened to.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    let pool = pool.unwrap();
    for (kept, warned) in [(end, true), (end.next_multiple_of(512), true), (whole.len(), false)] {
        let path = folder.path().join(format!("{kept}.tar"));
        fs::write(&path, &whole[..kept]).unwrap();
        let (data, log) =
            warnings_of(|| pool.install(|| TarShards::open(path.as_path(), compose())));
        assert_eq!(data.unwrap().len(), 4);
        assert_eq!(log.contains("has no end mark: it may have been cut short"), warned, "{log}");
    }
}
