"""Runs `tuner bench` and its peers in turn, and writes BENCHMARKS.md, its chart and its figures.

Called by `scripts/bench`, which makes the data and the environment.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import costs
import processes
import report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What is compared, by workload: `script[:form]`. `tuner` is ours, `alone` a library without a
# loader, which our aims refer to.
CONTENDERS = {
    "jpeg": {
        "tuner": "tuner",
        "libjpeg-turbo": "alone",
        "dali": "dali",
        "tf.data": "tf_data",
        "tf.data, no antialias": "tf_data:no-antialias",
        "pytorch-pil": "pytorch_pil",
        "pytorch-tensor": "pytorch_tensor",
        "albumentations": "albumentations_",
        "spdl": "spdl_",
    },
    "small": {
        "tuner": "tuner",
        "libtorch": "small_libtorch",
        "tf.data, samples": "small_tf_data:samples",
        "tf.data, batches": "small_tf_data:batches",
        "pytorch, samples": "small_pytorch:samples",
        "pytorch, batches": "small_pytorch:batches",
        "spdl": "small_spdl",
    },
}
BATCH = {"jpeg": 64, "small": 256}
DEPTH = {"jpeg": 2, "small": 4}
CONFIG = {"jpeg": "configs/imagenet.toml", "small": "configs/cifar10.toml"}


def main():
    options = arguments()
    path = options.out / "docs" / "bench.json"
    if options.render:
        report.write(json.loads(path.read_text()), options.out)
        return
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if options.again:
        results = json.loads(path.read_text())
        measure_costs(results, options.again, options, cpus)
        write(results, path, options)
        return
    results = {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "only": options.only,
        "rounds": options.rounds,
        "commit": commit(),
        "machine": machine(cpus),
        "data": {"jpeg": size_of(options.jpegs), "small": size_of(options.small)},
        "batch_size": BATCH,
        "prefetch_depth": DEPTH,
        "runs": [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = options.cache / "partial.json"  # what there is if this is interrupted

    def keep():
        partial.write_text(json.dumps(results, indent=1))

    plans = plan(options)
    for number, one in enumerate(plans, 1):
        say(f"{number}/{len(plans)}: {one['name']}, {one['workload']}, {one['workers']} workers")
        results["runs"].append(measure(options, one, cpus))
        keep()
    if not options.only:
        measure_costs(results, costs.ALL, options, cpus, keep)
    write(results, path, options)


def measure_costs(results, names, options, cpus, keep=lambda: None):
    tuner = [options.tuner, "bench", "--json", "--quiet"]
    for name in names:
        say(f"ours: {name}")
        try:
            results[name] = costs.ALL[name](tuner, options, cpus)
        except (LookupError, ValueError) as error:  # it printed something else
            results[name] = {"error": repr(error)}
        keep()


def write(results, path, options):
    text = json.dumps(results, indent=1) + "\n"
    write_whole(path, text)
    report.write(json.loads(text), options.out)
    say(f"written: {options.out / 'BENCHMARKS.md'}")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, to try it: not for quoting"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only ours and who has this in the name; may be repeated",
    )
    parser.add_argument(
        "--again",
        action="append",
        default=[],
        choices=list(costs.ALL),
        help="measure only this cost again and keep the other figures; may be repeated",
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds [default: 3]")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where to write [default: the repository; a try: target/bench]",
    )
    parser.add_argument(
        "--render", action="store_true", help="only write the page and the chart again"
    )
    for hidden in ("--tuner", "--jpegs", "--small", "--cache"):
        parser.add_argument(hidden, type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    trying = options.quick or options.only
    options.rounds = options.rounds or (1 if trying else 3)
    options.out = options.out or (ROOT / "target" / "bench" if trying else ROOT)
    return options


def plan(options):
    """All runs in order: in each round everybody once, beginning with another one."""
    plans = []
    for turn in range(options.rounds):
        for workload, contenders in CONTENDERS.items():
            entries = [
                {"name": name, "workload": workload, "workers": workers, "round": turn, "how": how}
                for name, how in contenders.items()
                for workers in (1, 2)
                if wanted(name, options.only)
            ]
            first = turn * len(entries) // options.rounds
            plans += entries[first:] + entries[:first]
    return plans


def wanted(name, only):
    return not only or name == "tuner" or any(part in name for part in only)


def epochs(one, quick):
    """Epochs to measure: a few seconds, and no more than 20 minutes in all."""
    script = one["how"].partition(":")[0]
    if one["workload"] == "small":
        many = {"small_pytorch": 6, "small_tf_data": 16}.get(script, 40)
        return many // (3 if quick else 1)
    ours = script in ("tuner", "alone")
    return (1 if quick else one["workers"]) * (3 if ours else 1)


def measure(options, one, cpus):
    """One run in a process of its own: what it printed and what was seen of it."""
    workload, workers = one["workload"], one["workers"]
    data = options.jpegs if workload == "jpeg" else options.small
    command = ["--root", data, "--epochs", epochs(one, options.quick)]
    setting = ["--batch-size", BATCH[workload]]
    if one["how"] in ("tuner", "alone"):
        command = [options.tuner, "bench", "--json", "--quiet", "--config", ROOT / CONFIG[workload],
                   "--num-workers", workers, *command]  # fmt: skip
        setting += ["--prefetch-depth", DEPTH[workload]]
        command += ["--decode-only"] if one["how"] == "alone" else setting
    else:
        script, _, form = one["how"].partition(":")
        command = [sys.executable, "-B", HERE / f"{script}.py", *command, *setting,
                   "--workers", workers, "--depth", DEPTH[workload], "--form", form]  # fmt: skip
    load = os.getloadavg()[0]
    seen = processes.run(command, cpus)
    stdout = seen.pop("stdout")
    del seen["own_bytes"]
    result = {**one, **seen, "load_before": load, "figures": None}
    if result["error"] is None:
        try:
            result["figures"] = json.loads(stdout.splitlines()[-1])
        except (IndexError, ValueError):
            result["error"] = "it printed no figures"
    if result["error"]:
        say(f"no figures from {one['name']}: {result['error']}")
    return result


def machine(cpus):
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in info if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores_used": len(cpus),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def commit():
    """The commit that is measured; marked where files differ from it."""
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def size_of(folder):
    kinds = (".jpg", ".jpeg", ".bin")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in kinds]
    return {"files": len(paths), "bytes": sum(path.stat().st_size for path in paths)}


def write_whole(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def say(line):
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("error: interrupted")
