#!/usr/bin/env python3
"""Makes the reference shards and tables: what other people's programs write, and what they read.

Takes small images in `../inputs/`; gives, beside this file, tar shards written by WebDataset and by
Python's tarfile, Parquet files written by pyarrow and by HuggingFace's `datasets`, and
`expected.json`: the samples that the real WebDataset finds in each shard, the rows of each table,
and what `braceexpand` makes of patterns.

    python3 -m venv /tmp/shards-venv
    /tmp/shards-venv/bin/pip install -r tests/reference/shards/requirements.txt
    /tmp/shards-venv/bin/python tests/reference/shards/make.py

Two runs give the same bytes.
"""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import braceexpand
import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset as wds

HERE = Path(__file__).resolve().parent
INPUTS = HERE.parent / "inputs"
IMAGES = [
    "jpeg_150x100.jpg",
    "jpeg_exif2.jpg",
    "png_bilevel.png",
    "jpeg_1x1.jpg",
    "webp_lossy.webp",
    "jpeg_exif6.jpg",
    "png_1x1.png",
    "jpeg_40x300.jpg",
]
BY_HASH = {hashlib.sha256((INPUTS / name).read_bytes()).hexdigest(): name for name in IMAGES}
EXTENSIONS = ["jpg", "jpeg", "png", "webp", "bmp"]
PATTERNS = [
    "train.tar",
    "train-{000000..000003}.tar",
    "train-{8..11}.tar",
    "train-{08..11}.tar",
    "train-{-02..1}.tar",
    "{3..1}",
    "{1..9..3}",
    "{9..1..-3}",
    "{a..e}{1..2}",
    "{Y..b}",
    "{c..Z}",
    "{a..i..3}",
    "{train,extra}-{0..1}.tar",
    "x{,.bak}",
    "{a,b{1..2},c{d,{e,f}}}",
    "{single}",
    "{}",
    "{a}{b,c}",
    "{0..0}",
    "{00..0}",
    "{0..10..0}",
    "\\{1..2\\}-{1,2\\,3}",
    "a\\\\b",
    "{1..2..x}",
    "{1..}",
    "{..}",
    "{a..bb}",
    "{1.5..2}",
    "é{ü,ß}",
]


def content(name: str) -> bytes:
    return (INPUTS / name).read_bytes()


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def shards_of_webdataset() -> None:
    pattern = str(HERE / "train-%06d.tar")
    options = dict(mtime=0, user="bigdata", group="bigdata")
    with wds.ShardWriter(pattern, maxcount=4, verbose=0, **options) as writer:
        for number, name in enumerate(IMAGES):
            extension = name.split(".")[1]
            label = 10 * number
            writer.write(
                {
                    "__key__": f"class{number % 3}/{number:06d}",
                    extension: content(name),
                    "cls": label,
                    "json": {"label": label + 1, "meta": {"a.b": label + 2, "list": [label + 3]}},
                }
            )


def shard_of_tarfile(file: str, format: int) -> None:
    """Names of all kinds, and members that belong to no sample."""
    long = "a/" * 20 + "very-long-name-" * 12
    with tarfile.open(HERE / file, "w", format=format) as tar:
        folder = tarfile.TarInfo("folder.with.dots")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        add(tar, "__index__", b"not a sample")
        add(tar, "__meta__/info.json", b"{}")
        add(tar, "noextension", b"not a sample")
        add(tar, ".hidden.jpg", b"not a sample")
        add(tar, "folder.with.dots/1.JPG", content(IMAGES[0]))
        link = tarfile.TarInfo("folder.with.dots/1.png")
        link.type, link.linkname = tarfile.SYMTYPE, "1.JPG"
        tar.addfile(link)
        add(tar, "folder.with.dots/1.seg.png", b"a mask")
        add(tar, "folder.with.dots/1.Cls", b" 7\n")
        add(tar, "./b.cls", b"8")
        add(tar, "./b.webp", content(IMAGES[4]))
        add(tar, "./b.tar.gz", b"")
        add(tar, "c__x__.jpeg", content(IMAGES[1]))
        add(tar, "c__x__.cls", b"+9")
        if format != tarfile.USTAR_FORMAT:
            add(tar, long + ".png", content(IMAGES[2]))
            add(tar, long + ".cls", b"0010")
        else:
            add(tar, "p" * 150 + "/" + "n" * 90 + ".png", content(IMAGES[2]))
            add(tar, "p" * 150 + "/" + "n" * 90 + ".cls", b"0010")
        add(tar, "größe.jpg", content(IMAGES[7]))
        add(tar, "größe.cls", b"11")


def samples_of_webdataset(file: str) -> list:
    """What the real WebDataset finds."""
    samples = []
    for sample in wds.WebDataset(str(HERE / file), shardshuffle=False, empty_check=False):
        images = [e for e in sample if e in EXTENSIONS]
        assert len(images) == 1, sample.keys()
        parts = json.loads(sample["json"]) if "json" in sample else {}
        samples.append(
            {
                "key": sample["__key__"],
                "image": BY_HASH[hashlib.sha256(sample[images[0]]).hexdigest()],
                "label": int(sample["cls"]),
                "json": parts,
            }
        )
    return samples


def tables() -> dict:
    images, labels = [content(name) for name in IMAGES], [5 * n for n in range(len(IMAGES))]
    plain = pa.table(
        {
            "id": pa.array([f"row {n}" for n in range(len(IMAGES))]),
            "image": pa.array(images, pa.binary()),
            "label": pa.array(labels, pa.int32()),
        }
    )
    options = dict(row_group_size=3, data_page_size=1, write_batch_size=1)
    variants = {
        "images-plain.parquet": dict(compression="none", use_dictionary=False),
        "images-snappy.parquet": dict(compression="snappy"),
        "images-zstd-v2-index.parquet": dict(
            compression="zstd", data_page_version="2.0", write_page_index=True
        ),
        "images-gzip-delta.parquet": dict(
            compression="gzip",
            use_dictionary=False,
            column_encoding={"image": "DELTA_LENGTH_BYTE_ARRAY"},
        ),
    }
    for file, more in variants.items():
        pq.write_table(plain, HERE / file, **options, **more)

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(100)})
    rows = {
        "image": [{"bytes": data, "path": name} for name, data in zip(IMAGES, images)],
        "label": labels,
    }
    dataset = datasets.Dataset.from_dict(rows, features=features)
    dataset.to_parquet(HERE / "images-huggingface.parquet", batch_size=5)

    n = np.arange(10)
    numbers = {
        "int8": pa.array(n - 5, pa.int8()),
        "uint8": pa.array(n * 25, pa.uint8()),
        "int64": pa.array(n * 10**12, pa.int64()),
        "uint64": pa.array(n, pa.uint64()),
        "float16": pa.array((n / 4).astype(np.float16), pa.float16()),
        "float32": pa.array(n / 3, pa.float32()),
        "float64": pa.array(n / 7, pa.float64()),
        "bool": pa.array(n % 3 == 0),
        "text": pa.array([str(i) for i in n]),
        "pair": pa.array([[i, i + 1] for i in n.tolist()], pa.list_(pa.int16(), 2)),
        "list": pa.array([[i / 2, i, -i] for i in n.tolist()], pa.list_(pa.float32())),
        "matrix": pa.array(
            [[[i, 1], [2, 3], [4, i]] for i in n.tolist()], pa.list_(pa.list_(pa.int64(), 2))
        ),
        "ragged": pa.array([[0] * (1 + (i == 6)) for i in n.tolist()], pa.list_(pa.int64())),
        "holes": pa.array([None if i == 4 else i for i in n.tolist()], pa.int64()),
        "item_holes": pa.array([[i, None if i == 7 else 0] for i in n.tolist()]),
        "large": pa.array([2**63 + 5 if i == 8 else i for i in n.tolist()], pa.uint64()),
    }
    pq.write_table(pa.table(numbers), HERE / "numbers.parquet", row_group_size=4)

    holes = images.copy()
    holes[2] = None
    table = pa.table({"image": pa.array(holes, pa.binary()), "label": pa.array(labels)})
    pq.write_table(table, HERE / "images-null.parquet", row_group_size=3)

    return {
        "images": [{"image": name, "label": label} for name, label in zip(IMAGES, labels)],
        "files": [*variants, "images-huggingface.parquet"],
        "numbers": {
            name: np.array(column.to_pylist()).tolist()
            for name, column in numbers.items()
            if name not in ["text", "ragged", "holes", "item_holes", "large"]
        },
    }


def main() -> None:
    for old in [*HERE.glob("*.tar"), *HERE.glob("*.parquet")]:
        old.unlink()
    os.environ["USER"] = "bigdata"
    shards_of_webdataset()
    shard_of_tarfile("gnu.tar", tarfile.GNU_FORMAT)
    shard_of_tarfile("pax.tar", tarfile.PAX_FORMAT)
    shard_of_tarfile("ustar.tar", tarfile.USTAR_FORMAT)
    expected = {
        "shards": {path.name: samples_of_webdataset(path.name) for path in sorted(HERE.glob("*.tar"))},
        "braces": {pattern: list(braceexpand.braceexpand(pattern)) for pattern in PATTERNS},
        "tables": tables(),
    }
    text = json.dumps(expected, indent=1, ensure_ascii=False) + "\n"
    (HERE / "expected.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
