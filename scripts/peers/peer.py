"""What all peers share: their arguments, the data, and the measurement.

A peer is a file of its own that gives `run` a function which builds its loader.
It is run in a process of its own and prints one line of JSON with the keys of
`tuner bench --json`. Epoch 0 is for warming up and is not measured.
"""

import argparse
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy

SIZE = 224
SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
SMALL = (3, 32, 32)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True, help="the data")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True, help="batches loaded ahead")
    parser.add_argument("--epochs", type=int, required=True, help="epochs to measure")
    parser.add_argument("--form", default="", help="which of the forms this peer knows")
    return parser.parse_args()


def files(root):
    """Paths and class numbers of the images in class folders, in order."""
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
    images = [
        (str(path), label)
        for label, folder in enumerate(folders)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg")
    ]
    return [path for path, _ in images], [label for _, label in images]


def small(root):
    """All images `[N, 3, 32, 32]` and labels `[N]` of CIFAR-10's binary files, as uint8."""
    parts = [numpy.fromfile(path, numpy.uint8) for path in sorted(root.glob("data_batch_*.bin"))]
    records = numpy.concatenate(parts).reshape(-1, 1 + 3 * 32 * 32)
    images = numpy.ascontiguousarray(records[:, 1:]).reshape(-1, *SMALL)
    return images, numpy.ascontiguousarray(records[:, 0])


def run(packages, build, shape=(3, SIZE, SIZE)):
    """Measures the loader that `build(arguments)` gives, and prints the figures.

    `build` returns a function of the epoch's number to an iterator over `(images, labels)`, and
    when it began to build the loader: reading the list of files or the data does not count.
    """
    options = arguments()
    epoch, start = build(options)
    first_batch_s, total = None, 0
    for images, labels in epoch(0):
        if first_batch_s is None:
            first_batch_s = time.perf_counter() - start
            check(images, labels, (options.batch_size, *shape))
        total += len(images)
    start, cpu = time.perf_counter(), tree_cpu_s()
    samples = batches = 0
    for number in range(1, options.epochs + 1):
        for images, _ in epoch(number):
            samples += len(images)
            batches += 1
    wall_s = time.perf_counter() - start
    figures = {
        "samples_per_s": samples / wall_s,
        "batches_per_s": batches / wall_s,
        "first_batch_s": first_batch_s,
        "wall_s": wall_s,
        "samples": samples,
        "cpu_s": tree_cpu_s() - cpu,
        "batch_size": options.batch_size,
        "num_workers": options.workers,
        "version": {package: metadata.version(package) for package in packages},
    }
    if samples != total * options.epochs:
        sys.exit(f"error: {samples} samples in {options.epochs} epochs, {total} in the first")
    print(json.dumps(figures), flush=True)
    # Some peers' threads do not end by themselves.
    os._exit(0)


def check(images, labels, shape):
    """That the work was done: a float32 batch of this shape, one label for each image."""
    if tuple(images.shape) != shape:
        sys.exit(f"error: a batch of shape {tuple(images.shape)}, not {shape}")
    if "float32" not in str(images.dtype):
        sys.exit(f"error: a batch of {images.dtype}, not float32")
    if len(labels) != shape[0]:
        sys.exit(f"error: {len(labels)} labels for {shape[0]} images")
    if shape[1:] == (3, SIZE, SIZE):
        pixels = numpy.asarray(images)
        mean, std = float(pixels.mean()), float(pixels.std())
        if not (abs(mean) < 1.5 and 0.4 < std < 2):
            sys.exit(f"error: mean {mean:.2f}, deviation {std:.2f}: not normalised")


def tree_cpu_s():
    """CPU seconds of this process and its living descendants so far."""
    children, ticks = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path("/proc", entry, "stat").read_text()
            except OSError:  # it has ended
                continue
            fields = text.rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry))
            ticks[int(entry)] = int(fields[11]) + int(fields[12])
    total, queue = 0, [os.getpid()]
    while queue:
        process = queue.pop()
        total += ticks.get(process, 0)
        queue += children.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")
