#!/usr/bin/env python3
"""Makes small files of arrays as other programs write them, to compare what `loader` reads.

Writes, beside this file: `.npy` files by NumPy, `all.safetensors` by safetensors, `tokens_*.bin` by
NumPy, folders in the formats of CIFAR-10, CIFAR-100 (binary versions) and MNIST, and `manifest.json`
with the values of the arrays.

Needs Python 3.11, numpy 2.4.6 and safetensors 0.8.0. From the top of the repository:

    python3 -m venv /tmp/arrays-venv
    /tmp/arrays-venv/bin/pip install numpy==2.4.6 safetensors==0.8.0
    /tmp/arrays-venv/bin/python tests/reference/arrays/make.py

Two runs give the same bytes.
"""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import TensorSpec, serialize_file

HERE = Path(__file__).resolve().parent


def values(dtype: str) -> np.ndarray:
    """Four rows of 2 x 3 numbers, the ends of the type's range among them."""
    kind = np.dtype(dtype)
    if kind == np.bool_:
        return (np.arange(24) % 3 == 0).reshape(4, 2, 3)
    row = np.arange(24).astype(np.float64)
    if kind.kind == "f":
        array = ((row - 11.5) / 4).astype(kind)
        array[:4] = [np.finfo(kind).max, np.finfo(kind).tiny, -0.0, np.inf]
    else:
        array = (row * 5).astype(kind)
        array[:2] = [np.iinfo(kind).min, np.iinfo(kind).max]
    return array.reshape(4, 2, 3)


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def npy() -> list[dict]:
    """One file for each type, other versions of the format, and files that are refused."""
    folder = HERE / "npy"
    folder.mkdir()
    listed = []

    def case(name: str, array: np.ndarray, version: tuple[int, int] = (1, 0)) -> None:
        with open(folder / name, "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        # Bytes, not numbers: nothing is lost on the way through JSON.
        listed.append({"file": f"npy/{name}", "dtype": str(array.dtype), "shape": array.shape})
        listed[-1]["little_endian"] = array.tobytes().hex()

    for dtype in DTYPES:
        case(f"{dtype}.npy", values(dtype))
    case("version2.npy", values("int16"), (2, 0))
    case("version3.npy", values("int16"), (3, 0))
    case("vector.npy", np.arange(5, dtype=np.int64))
    case("no_samples.npy", np.zeros((0, 3), dtype=np.float32))
    # A column, for which both orders are the same.
    case("column.npy", np.asfortranarray(np.arange(3, dtype=np.int32).reshape(3, 1)))

    np.save(folder / "refused_fortran.npy", np.asfortranarray(values("float32")))
    np.save(folder / "refused_big_endian.npy", values("float32").astype(">f4"))
    np.save(folder / "refused_complex.npy", np.zeros(3, dtype=np.complex64))
    np.save(folder / "refused_text.npy", np.array(["a", "bc"]))
    np.save(folder / "refused_structure.npy", np.zeros(2, dtype=[("a", "<i4"), ("b", "<f4")]))
    np.save(folder / "refused_object.npy", np.array([{}, None], dtype=object), allow_pickle=True)
    np.save(folder / "refused_scalar.npy", np.float32(3))
    return listed


def safetensors() -> list[dict]:
    """All types in one file."""
    tensors, listed, kept = {}, [], []
    for dtype in [*DTYPES, "bfloat16"]:
        if dtype == "bfloat16":  # the upper halves of float32 numbers
            array = (values("float32").view(np.uint32) >> 16).astype(np.uint16)
        else:
            array = values(dtype)
        kept.append(array)  # the specification is a bare address
        place = {"data_ptr": array.ctypes.data, "data_len": array.nbytes}
        tensors[dtype] = TensorSpec(dtype=dtype, shape=list(array.shape), **place)
        listed.append({"name": dtype, "dtype": dtype, "shape": array.shape})
        listed[-1]["little_endian"] = array.tobytes().hex()
    serialize_file(tensors, str(HERE / "all.safetensors"), {"made by": "make.py"})
    return listed


def images(start: int, count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Images `[count, height, width, channels]`: each byte tells where it lies."""
    n, y, x, c = np.meshgrid(
        np.arange(start, start + count), np.arange(height), np.arange(width), np.arange(channels), indexing="ij"
    )
    return ((n * 101 + c * 59 + y * 7 + x) % 256).astype(np.uint8)


def cifar() -> None:
    """As https://www.cs.toronto.edu/~kriz/cifar.html says: labels, then red, green, blue, row by row."""

    def write(path: Path, start: int, count: int, *classes: int) -> None:
        planes = images(start, count, 32, 32, 3).transpose(0, 3, 1, 2).reshape(count, -1)
        number = np.arange(start, start + count)
        labels = [((number * 7 + 3) % of).astype(np.uint8)[:, None] for of in classes]
        np.concatenate([*labels, planes], axis=1).tofile(path)

    ten, hundred = HERE / "cifar-10-batches-bin", HERE / "cifar-100-binary"
    ten.mkdir()
    hundred.mkdir()
    for file in range(5):
        write(ten / f"data_batch_{file + 1}.bin", file, 1, 10)
    write(ten / "test_batch.bin", 5, 2, 10)
    write(hundred / "train.bin", 0, 2, 20, 100)
    write(hundred / "test.bin", 2, 1, 20, 100)


def mnist() -> None:
    """idx files: a magic number, big-endian sides, bytes. Those to train on are compressed."""
    folder = HERE / "mnist"
    folder.mkdir()

    def write(name: str, array: np.ndarray, compress: bool) -> None:
        data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (folder / name).write_bytes(data)

    for name, start, count, compress in [("train", 0, 3, True), ("t10k", 3, 2, False)]:
        labels = (np.arange(start, start + count) * 7 + 3) % 10
        write(f"{name}-images-idx3-ubyte", images(start, count, 28, 28, 1)[..., 0], compress)
        write(f"{name}-labels-idx1-ubyte", labels.astype(np.uint8), compress)


def tokens() -> None:
    """As nanoGPT's `prepare.py` writes them."""
    (np.arange(100) * 655 % 50257).astype(np.uint16).tofile(HERE / "tokens_u16.bin")
    (np.arange(100) * 42_000_000 % 2**32).astype(np.uint32).tofile(HERE / "tokens_u32.bin")


def main() -> None:
    for path in HERE.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    cifar()
    mnist()
    tokens()
    manifest = {"npy": npy(), "safetensors": safetensors()}
    lists = []
    for key, cases in manifest.items():
        lines = ",\n".join(f"  {json.dumps(case)}" for case in cases)
        lists.append(f' "{key}": [\n{lines}\n ]')
    (HERE / "manifest.json").write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
