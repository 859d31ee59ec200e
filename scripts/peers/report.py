"""Writes BENCHMARKS.md from the figures."""

import chart
import summary
from summary import MIB

LABELS = {
    "jpeg": {
        "tuner": "**tuner (ours)**",
        "libjpeg-turbo": "_libjpeg-turbo alone_",
        "dali": "NVIDIA DALI, CPU",
        "tf.data": "tf.data",
        "tf.data, no antialias": "tf.data, not antialiased",
        "pytorch-pil": "PyTorch, PIL",
        "pytorch-tensor": "PyTorch, tensors",
        "albumentations": "PyTorch, Albumentations",
        "spdl": "SPDL",
    },
    "small": {
        "tuner": "**tuner (ours)**",
        "libtorch": "_libtorch alone_",
        "tf.data, samples": "tf.data, samples",
        "tf.data, batches": "tf.data, gathered batches",
        "pytorch, samples": "PyTorch, samples",
        "pytorch, batches": "PyTorch, selected batches",
        "spdl": "SPDL, selected batches",
    },
}

BUSY = 0.1  # the share of the cores that others may take before the page warns of it

TEMPLATE = """# Benchmarks

`tuner bench` beside its peers: the same files, the same work, the same two cores, in turn. Written
by `scripts/bench` from [docs/bench.json](docs/bench.json), which holds every run.
{warning}
![Samples per second of tuner and its peers](docs/bench.svg)

## Aims

| what | aim | measured | |
| --- | --- | --- | --- |
{aims}

## JPEG files

{jpeg_files:,} files, {jpeg_mb:.0f} MB: read, decode, random resized crop to 224 x 224 with an
antialiased bilinear filter, random flip, normalise, float32 batches of {jpeg_batch} in NCHW,
shuffled. Up to {jpeg_depth} batches ahead.

{jpeg}

## Small samples in memory

50,000 of 3 x 32 x 32 uint8, to float32 batches of {small_batch}, shuffled. Up to {small_depth}
batches ahead.

{small}

In both tables, `of ours` is the rate divided by ours. CPU time is that of all threads and processes
in the measured epochs; `cores` is CPU time by wall time: above the number of workers, the main
thread or process did part of the work on another core. Memory is the highest proportional set size
of all processes together. The first batch is timed from the making of the loader, without the
import of libraries and the reading of the list of files.

## Transforms

{transforms}

## What is not the same

- **tuner**: `configs/imagenet.toml` and `configs/cifar10.toml`. It decodes only what a crop keeps,
  and gives the pixels of a full decode. Small samples are normalised as well; no peer does that.
- **libjpeg-turbo alone** decodes the same files in full from memory on as many threads, and does
  nothing else. **libtorch alone** is `index_select` and `.float()` with as many threads.
- **NVIDIA DALI**: `decoders.image_random_crop` decodes part of the image as well; `resize` with
  `antialias`; threads, queue of {jpeg_depth}. The order is shuffled within a window of 1,024 files.
  Its batches are views of its own memory, valid until the next.
- **tf.data**: `decode_and_crop_jpeg` decodes part of the image as well; a private pool of as many
  threads as workers; order of batches not deterministic, which is faster. `tf.image.resize` with
  `antialias=True`, the same work, is slow; without it is **less work**, and aliases.
- **PyTorch**: persistent worker processes, `prefetch_factor` {jpeg_depth} for each of them. With
  PIL and torchvision's transforms; on tensors with `decode_jpeg` and the v2 transforms; with
  Albumentations on OpenCV, which takes the mean of areas to reduce: its bilinear one would alias.
- **SPDL**: FFmpeg decodes, crops, scales and flips on threads. It scales the YUV planes before it
  converts to RGB, which is **less work**, and crops at even positions of halved colour planes.
- Small samples: `samples` is the usual way, each sample by itself; `batches` the fastest known one,
  all indices of a batch at once. DALI has no reader for data in memory.

## What our time goes on

{stages}

By `perf record` of the JPEG pipeline with one worker, 60% of all time is libjpeg-turbo decoding
Huffman codes, 10% resizing, 4% the inverse DCT, 2% writing floats, and the rest colour conversion,
upsampling and reading. Rows below a crop are not decoded at all, and of rows above it only the
codes are read; a JPEG file has no way to skip them. DALI reads the same codes; how far ours is
ahead of it depends on the processor, and whole runs on machines of one name gave 1.94 to 2.10 times
its rate. Compiling the Huffman decoder for newer processors (BMI2) changed too little to tell: 1.03
times the rate with one worker (0.93 to 1.11 in seven pairs), 1.00 with two. So a loader that decodes
the same files can hardly be much faster than this: what is left is a decoder with larger Huffman
tables, or data stored so that a crop can be found in it (restart markers, or pixels).

Resizing alone is as fast as torchvision's on tensors, which does the same sums with the same
instructions; a list of transforms crops and resizes at once.

In steady state nothing is allocated for a sample but what two libraries take while they work on it,
and give back: libjpeg-turbo its tables and rows, and the resampler its coefficients, some 450 small
vectors of 34 KB in all (counted in `crates/preproc/tests/memory.rs`).

{scaling}

What a machine gives changes from hour to hour where others share its processor, and not for all
work alike: compare columns of one page, and look at the ranges before trusting a ratio to 10%.

## Costs of the engine

{engine}

## How it was measured

- {when}, commit `{commit}`, {cpu}, {cores_used} of {cores} cores for everybody (affinity),
  {memory_gib:.0f} GiB of memory, Linux {kernel}, Python {python}. No GPU was used.
- {rounds}, each of all contenders in turn, beginning with another one; each run is a process of
  its own, with one epoch for warming up that is not counted. All files are in the page cache.
- Other processes took {other:.0%} of the cores in the median run, {other_most:.0%} in the worst.
- Memory is looked at up to 20 times a second, on at most 2% of one core.
- Versions: {versions}.

To repeat it: `scripts/bench` (20 minutes, and 3 GB to download for the peers at first);
`scripts/bench --quick` to try it, `--only NAME` for one peer, `--again transforms` for one part.
"""


def write(results, out):
    """Writes the page and the chart below the folder `out`."""
    (out / "docs").mkdir(parents=True, exist_ok=True)

    chart.draw(results, out / "docs" / "bench", plain)
    (out / "BENCHMARKS.md").write_text(page(results))


def plain(name):
    for labels in LABELS.values():
        if name in labels:
            return labels[name].strip("*_")
    return name


def page(results):
    machine = results["machine"]
    other, other_most = summary.disturbance(results)
    warning = "\nThis is a try with few rounds: not for quoting.\n" if results["quick"] else ""
    if results["only"]:
        warning += f"\nOnly some were run: {', '.join(results['only'])}.\n"
    if other > BUSY:
        warning += (
            f"\n**The machine was busy: other processes took {other:.0%} of its cores, so that"
            "\nrates and their ratios mean little.** CPU time for each sample suffers least.\n"
        )
    rounds = "One round" if results["rounds"] == 1 else f"{results['rounds']} rounds"
    return TEMPLATE.format(
        warning=warning,
        aims="\n".join(f"| {' | '.join(aim(*row))} |" for row in summary.aims(results)),
        jpeg_files=results["data"]["jpeg"]["files"],
        jpeg_mb=results["data"]["jpeg"]["bytes"] / 1e6,
        jpeg_batch=results["batch_size"]["jpeg"],
        small_batch=results["batch_size"]["small"],
        jpeg_depth=results["prefetch_depth"]["jpeg"],
        small_depth=results["prefetch_depth"]["small"],
        jpeg=tables(results, "jpeg"),
        small=f"{tables(results, 'small')}\n\n{small(results)}",
        stages=stages(results),
        scaling=scaling(results),
        engine=engine(results),
        transforms=transforms(results),
        when=results["date"][:16].replace("T", " ") + " UTC",
        commit=results["commit"],
        rounds=rounds,
        other=other,
        other_most=other_most,
        versions=versions(results),
        memory_gib=machine["memory_bytes"] / (1 << 30),
        **{key: machine[key] for key in ("cpu", "cores", "cores_used", "kernel", "python")},
    )


def aim(what, goal, measured, reached):
    return what, goal, measured, {None: "", True: "reached", False: "**not reached**"}[reached]


def tables(results, workload):
    return "\n\n".join(table(results, workload, workers) for workers in (2, 1))


def table(results, workload, workers):
    noun = "images" if workload == "jpeg" else "samples"
    head = [f"{workers} worker{'s'[: workers - 1]}", f"{noun}/s", "range", "of ours"]
    unit = "ms" if workload == "jpeg" else "us"
    head += [f"CPU {unit}/{noun[:-1]}", "cores", "peak MiB", "first batch ms"]
    ours = summary.rate(results, workload, workers, "tuner")
    rows, failures = [head, ["---"] + ["---:"] * (len(head) - 1)], []
    for cell in summary.cells(results, workload, workers):
        name = LABELS[workload].get(cell["name"], cell["name"])
        if cell["failed"]:
            times = f"failed {cell['failed']} times" if cell["rate"] else "gave no figures"
            failures.append(f"{plain(cell['name'])} {times}: {cell['error']}")
        if not cell["rate"]:
            rows.append([name, "failed"] + [""] * (len(head) - 2))
            continue
        first = cell["first_batch_s"]
        rows.append(
            [
                name,
                f"{cell['rate']:,.0f}",
                f"{cell['low']:,.0f} to {cell['high']:,.0f}",
                f"{cell['rate'] / ours:.2f}" if ours else "",
                f"{cell['cpu_per_sample_s'] * (1e3 if unit == 'ms' else 1e6):.2f}",
                f"{cell['cores']:.2f}",
                f"{cell['peak_bytes'] / MIB:,.0f}",
                f"{1e3 * first:,.0f}" if first else "",
            ]
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines + [f"\n{failure}  " for failure in failures])


def stages(results):
    """Thread-seconds by stage, in microseconds for each image."""
    names = ("read", "decode", "transform", "write", "other")
    rows = [["", *names, "sum"], ["---"] + ["---:"] * (len(names) + 1)]
    for workload, workers in (("jpeg", 1), ("jpeg", 2), ("small", 1), ("small", 2)):
        runs = [
            run["figures"]
            for run in results["runs"]
            if run["name"] == "tuner" and run["workload"] == workload and run["figures"]
            if run["workers"] == workers
        ]
        if not runs:
            continue
        samples = sum(run["samples"] for run in runs)
        sums = [1e6 * sum(r["stages"][f"{name}_s"] for r in runs) / samples for name in names]
        rows.append([f"{workload}, {workers} worker{'s'[: workers - 1]}"])
        rows[-1] += [f"{us:.2f}" if us < 10 else f"{us:.0f}" for us in (*sums, sum(sums))]
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"Microseconds of a worker for each sample, by stage:\n\n{text}"


def error(results, cost):
    """Why there are no figures of one of ours."""
    return results.get(cost, {}).get("error", "not measured")


def scaling(results):
    """What a second worker gives, and what it gives a library alone."""
    found = summary.in_pairs(results, "scaling")
    if not found:
        return f"What a second worker gives: {error(results, 'scaling')}."
    rows = [
        f"| {LABELS['jpeg'][name]} | {middle:.2f} | {low:.2f} to {high:.2f} |"
        for name, (middle, low, high) in found.items()
    ]
    head = "| two threads against one | times as fast | range |\n| --- | ---: | ---: |"
    pairs = len(results["scaling"]["samples_per_s"]["tuner"])
    one, two = (summary.rate(results, "jpeg", workers, "tuner") or 0.0 for workers in (1, 2))
    apart = f"{two / one:.2f}" if one else "no figure"
    return SCALING.format(pairs=pairs, rows="\n".join([head, *rows]), apart=apart)


SCALING = """\
What a second worker gives, in {pairs} pairs of runs right after each other, and what a second
thread gives libjpeg-turbo alone:

{rows}

Two workers share nothing but the counter that they take samples from. The rates of the tables
above, measured minutes apart, give {apart}: the speed of this processor changes by more than that
from minute to minute, and a ratio above 2 can only come from such a change."""


def small(results):
    """How ours stands to libtorch alone."""
    found = summary.in_pairs(results, "small")
    if not found:
        return f"Against libtorch alone, in pairs: {error(results, 'small')}."
    of = [
        f"{middle:.2f} times its rate ({low:.2f} to {high:.2f}) on {threads} "
        f"thread{'s'[: threads != '1']}"
        for threads, (middle, low, high) in found.items()
    ]
    pairs = len(results["small"]["samples_per_s"]["2"])
    return (
        f"Against libtorch alone in {pairs} pairs of runs right after each other: {', '.join(of)}. "
        "Both move the same bytes, and memory is what limits both; ours also keeps batches ahead "
        "and normalises."
    )


def engine(results):
    parts = []
    cost = results.get("engine", {})
    if "sample_s" in cost:
        rows = [
            f"| {workers} | {1e9 * cost['sample_s'][workers]:.0f} ns | {1e6 * batch:.2f} us |"
            for workers, batch in cost["batch_s"].items()
        ]
        head = "| workers | an empty sample | a batch of one empty sample |\n| ---: | ---: | ---: |"
        parts.append(
            "`cargo bench -p loader --bench engine`, medians:\n\n" + "\n".join([head, *rows])
        )
    if resumed := cost.get("resume_s"):
        parts.append(
            "Going on in the middle of a shuffled epoch of 1,281,167 samples, up to a first batch "
            f"of one, takes {1e6 * resumed['same']:.0f} us where its order is at hand, and "
            f"{1e3 * resumed['made']:.1f} ms where it is made."
        )
    delays = results.get("io_delay", {})
    if "samples_per_s" in delays:
        base = delays["samples_per_s"]["1"]
        rows = [
            f"| {workers} | {rate:,.0f} | {rate / base / int(workers):.0%} |"
            for workers, rate in delays["samples_per_s"].items()
        ]
        head = "| workers | samples/s | of perfect scaling |\n| ---: | ---: | ---: |"
        parts.append("Samples that wait 5 ms each:\n\n" + "\n".join([head, *rows]))
    memory = results.get("memory", {})
    if "peak_bytes" in memory:
        rows = [
            f"| {workers} | {peaks['2'] / MIB:.0f} MiB | {peaks['10'] / MIB:.0f} MiB "
            f"| {summary.slope(memory, workers):.2f} |"
            for workers, peaks in memory["peak_bytes"].items()
        ]
        head = "| workers | depth 2 | depth 10 | difference in batches |\n" + 4 * "| ---: " + "|"
        parts.append(
            "Peak of anonymous and shared memory with batches of "
            f"{memory['batch_bytes'] / MIB:.1f} MiB and a consumer that is slower than the workers:"
            "\n\n" + "\n".join([head, *rows])
        )
        least, *_, most = sorted(memory["peak_bytes"], key=int)
        more = memory["peak_bytes"][most]["2"] - memory["peak_bytes"][least]["2"]
        parts.append(
            f"Each further worker takes {more / (int(most) - int(least)) / MIB:.0f} MiB: its pixels "
            "and its file's bytes, as large as the largest image that it has met. Of these images "
            "that is 2,000 x 1,500 pixels, 9 MB, of a file of 1.4 MB."
        )
    names = {"engine": "engine", "io_delay": "waiting samples", "memory": "memory"}
    for key, name in names.items():
        if "error" in results.get(key, {}):
            parts.append(f"No figures on {name}: {results[key]['error']}")
    return "\n\n".join(parts) or "Not measured."


def transforms(results):
    """Microseconds of each transform."""
    rows = summary.transforms(results)
    if not rows:
        return results.get("transforms", {}).get("error", "Not measured.")
    lines = [
        f"| {row['name']} | {1e6 * row['ours']:,.1f} | {1e6 * row['pil']:,.1f} "
        f"| {1e6 * row['tensor']:,.1f} | {row['ratio']:.1f} |"
        for row in rows
    ]
    head = (
        "| transform | ours us | torchvision, PIL us | torchvision, tensors us | times as fast |\n"
        "| --- | ---: | ---: | ---: | ---: |"
    )
    rounds = len(results["transforms"]["rounds"])
    return TRANSFORMS.format(rounds=rounds) + "\n" + "\n".join([head, *lines])


TRANSFORMS = """\
Each alone on one thread, on the pixels of a photograph, 224 x 224 uint8; `decode` of a JPEG file of
500 x 375, `center_crop`, `resize` and `random_resized_crop` from that size to 224 x 224,
`to_tensor` to float32 in NCHW, normalised. The policies and `color_jitter` draw anew for each call,
and rows are medians: of a policy, its middling operation; and of {rounds} rounds, in each of which
all of ours are followed by all of torchvision's. Ours is `cargo bench -p preproc --bench
transforms`; most work in place, and the copy that each call gets is taken off. torchvision's time
includes Python's part of a call, some 5 us; its crop of a tensor is copied, since a view has done
nothing yet. In a list of transforms ours cost less: a crop, a mirroring or a resize is not done
before it is known what is kept of it.
"""


def versions(results):
    found = dict(results.get("transforms", {}).get("version", {}))
    for run in results["runs"]:
        figures = run["figures"] or {}
        found |= figures.get("version", {})
        if "libtorch" in figures:
            found["libtorch (ours)"] = figures["libtorch"]
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
