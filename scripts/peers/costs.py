"""Costs of ours: engine, a second worker, small samples, waiting for I/O, memory, transforms."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import processes

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
# Samples of one measurement of `crates/loader/benches/engine.rs`, in batches of 256 and of 1.
EMPTY_SAMPLES, EMPTY_BATCHES = 1 << 18, 1 << 14
IO_DELAY_S = 0.005
# Pairs for each round of the others: a ratio needs more than a rate does.
PAIRS = 3
SYNTHETIC = """
[dataset]
kind = "synthetic"
samples = {samples}
io_delay_s = {io_delay_s}

[[dataset.fields]]
name = "x"
shape = [16]
dtype = "float32"
"""


def bench(name, cpus, *arguments):
    """Median seconds by name of a benchmark's parts, `group/part`, and why there are none."""
    command = ["cargo", "bench", "--quiet", "--manifest-path", ROOT / "Cargo.toml"]
    command += ["--workspace", "--bench", name]
    # Built before it is measured, which may take longer than any run.
    built = subprocess.run([*command, "--no-run"], cwd=ROOT, capture_output=True, text=True)
    if built.returncode != 0:
        return {}, built.stderr.strip().splitlines()[-1]
    seen = processes.run([*command, "--", *arguments], cpus, cwd=ROOT)
    medians, path = {}, []
    for line in seen["stdout"].splitlines():
        if row := re.match(r"([│ ]*)[├╰]─ (.*?)  +(.*)", line):
            path = [*path[: len(row[1]) // 3], row[2]]
            columns = row[3].split("│")
            if len(columns) > 2 and columns[2].strip():
                median, unit = columns[2].split()
                medians["/".join(path)] = float(median) * UNITS[unit]
    return medians, None if medians else seen["error"] or "no figures in what it printed"


def engine(_tuner, _options, cpus):
    """Seconds of the engine for an empty sample and a batch, by number of workers, and for going on
    in the middle of an epoch: medians."""
    medians, error = bench("engine", cpus, "empty", "resume")
    if error:
        return {"error": error}
    found = {"sample_s": {}, "batch_s": {}, "resume_s": {}}
    for name, seconds in medians.items():
        group, argument = name.split("/")
        if group == "empty_batches":
            found["batch_s"][argument] = seconds / EMPTY_BATCHES
        elif group == "empty_samples":
            found["sample_s"][argument] = seconds / EMPTY_SAMPLES
        elif group == "resume":
            found["resume_s"][argument] = seconds
    return found


def transforms(_tuner, options, cpus):
    """Seconds of ours and of torchvision's transforms on one core, in turn, round by round."""
    command = [sys.executable, "-W", "ignore", "-B", Path(__file__).parent / "transforms.py"]
    rounds = []
    for _ in range(options.rounds * PAIRS):
        medians, error = bench("transforms", cpus[:1])
        if error:
            return {"error": error}
        seen = processes.run(command, cpus[:1])
        if seen["error"]:
            return {"error": seen["error"]}
        peers = json.loads(seen["stdout"])
        ours = {name.removeprefix("transform/"): seconds for name, seconds in medians.items()}
        rounds.append({"ours": ours, "torchvision": peers["call_s"]})
    return {"version": peers["version"], "rounds": rounds}


def in_pairs(pairs, options, cpus):
    """Samples a second of the two commands of each pair, right after each other, many times."""
    found = {name: [] for name in pairs}
    for _ in range(options.rounds * PAIRS):
        for name, commands in pairs.items():
            pair = []
            for command in commands:
                seen = processes.run(command, cpus)
                if seen["error"]:
                    return {"error": seen["error"]}
                pair.append(json.loads(seen["stdout"].splitlines()[-1])["samples_per_s"])
            found[name].append(pair)
    return {"samples_per_s": found}


def scaling(tuner, options, cpus):
    """Images a second with one worker and with two."""
    if len(cpus) < 2:
        return {"error": "there is only one core"}
    jpegs = [*tuner, "--config", ROOT / "configs/imagenet.toml", "--root", options.jpegs]
    ours = ["--batch-size", 64, "--prefetch-depth", 2]
    contenders = {"tuner": ours, "libjpeg-turbo": ["--decode-only"]}
    pairs = {
        name: [[*jpegs, *more, "--num-workers", n, "--epochs", 2 * n] for n in (1, 2)]
        for name, more in contenders.items()
    }
    return in_pairs(pairs, options, cpus)


def small(tuner, options, cpus):
    """Small samples a second of libtorch alone and of ours, on as many threads."""
    libtorch = [sys.executable, "-B", Path(__file__).parent / "small_libtorch.py"]
    ours = [*tuner, "--config", ROOT / "configs/cifar10.toml", "--prefetch-depth", 4]
    both = ["--root", options.small, "--batch-size", 256, "--epochs", 40]
    pairs = {
        str(n): [
            [*libtorch, *both, "--workers", n, "--depth", 4],
            [*ours, *both, "--num-workers", n],
        ]
        for n in (1, 2)
    }
    return in_pairs(pairs, options, cpus)


def io_delay(tuner, options, cpus):
    """Samples a second where each sample waits 5 ms, by number of workers."""
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 4, 64) if options.quick else (1, 2, 4, 8, 16, 32, 64):
            config = Path(folder, "config.toml")
            config.write_text(SYNTHETIC.format(samples=256 * workers, io_delay_s=IO_DELAY_S))
            command = [*tuner, "--config", config, "--batch-size", 64, "--prefetch-depth", 4]
            seen = processes.run([*command, "--num-workers", workers, "--epochs", 3], cpus)
            if seen["error"]:
                return {"error": seen["error"]}
            rates[workers] = json.loads(seen["stdout"])["samples_per_s"]
    return {"delay_s": IO_DELAY_S, "samples_per_s": rates}


def memory(tuner, options, cpus):
    """Anonymous and shared memory by prefetch depth, and in the last batches of a long run."""
    jpegs = [*tuner, "--config", ROOT / "configs/imagenet.toml", "--root", options.jpegs]
    found = {"batch_bytes": 64 * (3 * 224 * 224 * 4 + 8), "peak_bytes": {}}
    for workers in (1, 4):
        for depth in (2, 10):
            command = [*jpegs, "--batch-size", 64, "--num-workers", workers]
            # The consumer is the slower one: all batches that may wait for it do.
            command += ["--prefetch-depth", depth, "--epochs", 1, "--step-ms", 150]
            seen = processes.run(command, cpus)
            if seen["error"]:
                return {"error": seen["error"]}
            found["peak_bytes"].setdefault(workers, {})[depth] = seen["peak_own_bytes"]
    # Buffers grow until each worker has met the largest images, so that the first half of the run
    # says little.
    command = [*jpegs, "--batch-size", 8, "--num-workers", 2, "--prefetch-depth", 2]
    seen = processes.run([*command, "--epochs", 8 if options.quick else 40], cpus)
    if seen["error"]:
        return {"error": seen["error"]}
    figures = json.loads(seen["stdout"])
    batches = figures["samples"] // 8
    # Seconds in which the last 2,000 batches came; the process ends soon after.
    last_s = figures["wall_s"] * min(2000 / batches, 0.5)
    end = seen["process_wall_s"]
    before = [own for at, own in seen["own_bytes"] if 1 < (end - at) / last_s <= 2]
    last = [own for at, own in seen["own_bytes"] if (end - at) / last_s <= 1]
    found["batches"] = min(2000, batches // 2)
    found["before_bytes"], found["last_bytes"] = max(before), max(last[:-1])
    return found


ALL = {
    "engine": engine,
    "scaling": scaling,
    "small": small,
    "io_delay": io_delay,
    "memory": memory,
    "transforms": transforms,
}
