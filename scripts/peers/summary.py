"""From the runs of `bench.json` to medians, ranges and what became of the aims."""

from statistics import median

MIB = 1 << 20
LEAST_S = 1e-7  # of a transform


def cells(results, workload, workers):
    """A summary of each contender's runs, fastest first; those without figures last."""
    names = dict.fromkeys(run["name"] for run in results["runs"] if run["workload"] == workload)
    found = [cell(results, workload, workers, name) for name in names]
    return sorted(found, key=lambda cell: -(cell["rate"] or 0))


def cell(results, workload, workers, name):
    key = (workload, workers, name)
    runs = [run for run in results["runs"] if (run["workload"], run["workers"], run["name"]) == key]
    good = [run for run in runs if run["figures"]]
    errors = [run["error"] for run in runs if run["error"]]
    summary = {
        "name": name,
        "alone": bool(runs) and runs[0]["how"] == "alone" or name == "libtorch",
        "error": errors[0] if errors else None,
        "runs": len(good),
        "failed": len(errors),
        "rate": None,
    }
    if good:
        figures = [run["figures"] for run in good]
        rates = [one["samples_per_s"] for one in figures]
        summary |= {
            "rate": median(rates),
            "low": min(rates),
            "high": max(rates),
            "cpu_per_sample_s": median(one["cpu_s"] / one["samples"] for one in figures),
            "cores": median(one["cpu_s"] / one["wall_s"] for one in figures),
            "peak_bytes": median(run["peak_pss_bytes"] for run in good),
            "first_batch_s": median(one.get("first_batch_s") or 0 for one in figures) or None,
            "stages": [one["stages"] for one in figures if "stages" in one],
        }
    return summary


def rate(results, workload, workers, name):
    return cell(results, workload, workers, name)["rate"]


def fastest_peer(results, workload, workers):
    for one in cells(results, workload, workers):
        if one["rate"] and one["name"] != "tuner" and not one["alone"]:
            return one
    return None


def in_pairs(results, cost):
    """How many times as fast the second of each pair is, by name: median, lowest and highest."""
    pairs = results.get(cost, {}).get("samples_per_s", {})
    ratios = {name: [second / first for first, second in of] for name, of in pairs.items()}
    return {name: (median(of), min(of), max(of)) for name, of in ratios.items()}


def disturbance(results):
    """The share of the cores that other processes took, by run: median and highest."""
    cores = results["machine"]["cores_used"]
    shares = [run["other_cpu_s"] / run["process_wall_s"] / cores for run in results["runs"]]
    return median(shares), max(shares)


def aims(results):
    """Rows of `(what, aim, measured, reached)`; None is not measured."""
    rows = []

    def row(what, aim, value, form, reached):
        measured = "not measured" if value is None else form.format(value)
        rows.append((what, aim, measured, None if value is None else reached(value)))

    def over(a, b):
        return a / b if a and b else None

    jpeg = rate(results, "jpeg", 2, "tuner")
    peer = fastest_peer(results, "jpeg", 2)
    row(
        f"JPEG, 2 workers, against the fastest peer{named(peer)}",
        "2x",
        over(jpeg, peer and peer["rate"]),
        "{:.2f}x",
        lambda value: value >= 2,
    )
    row(
        "JPEG, 2 workers, against libjpeg-turbo alone decoding in full on 2 threads",
        "1.0x",
        over(jpeg, rate(results, "jpeg", 2, "libjpeg-turbo")),
        "{:.2f}x",
        lambda value: value >= 1,
    )
    row(
        "JPEG, 2 workers against 1, in pairs",
        "1.9x",
        in_pairs(results, "scaling").get("tuner", (None,))[0],
        "{:.2f}x",
        lambda value: value >= 1.9,
    )
    small, peer = rate(results, "small", 2, "tuner"), fastest_peer(results, "small", 2)
    row(
        f"Small samples, 2 workers, against the fastest peer{named(peer)}",
        "2x",
        over(small, peer and peer["rate"]),
        "{:.2f}x",
        lambda value: value >= 2,
    )
    row(
        "Small samples, 2 workers, in pairs with libtorch's own select and convert on 2 threads",
        "0.7x",
        in_pairs(results, "small").get("2", (None,))[0],
        "{:.2f}x",
        lambda value: value >= 0.7,
    )
    engine = results.get("engine", {})
    for key, what, limit, unit in (
        ("sample_s", "an empty sample", 150, 1e-9),
        ("batch_s", "a batch", 5, 1e-6),
    ):
        name = "ns" if unit == 1e-9 else "us"
        row(
            f"Engine, {what}, most of 0, 1 and 2 workers",
            f"under {limit} {name}",
            max(engine[key].values()) / unit if key in engine else None,
            "{:.0f} " + name if name == "ns" else "{:.1f} " + name,
            lambda value, limit=limit: value < limit,
        )
    resumed = engine.get("resume_s", {}).get("same")
    row(
        "Resuming in the middle of 1,281,167 shuffled samples, their order at hand",
        "under 1 ms",
        resumed and 1e3 * resumed,
        "{:.3f} ms",
        lambda value: value < 1,
    )
    row(
        "Samples that wait 5 ms, 64 workers against 64 times 1 worker",
        "90%",
        scaling(results),
        "{:.0%}",
        lambda value: value >= 0.9,
    )
    memory = results.get("memory", {})
    for workers in ("1", "4"):
        row(
            f"Memory, prefetch depth 10 less depth 2, {workers} worker{'s'[: workers != '1']}",
            "8 batches within 10%",
            slope(memory, workers),
            "{:.2f} batches",
            lambda value: abs(value - 8) <= 0.8,
        )
    row(
        f"Memory, growth over the last {memory.get('batches', 2000):,} batches of a long run",
        "none",
        growth(memory),
        "{:+.1f} MiB",
        lambda value: value <= 1,
    )
    ratios = [one["ratio"] for one in transforms(results)]
    row(
        "Transforms, one thread, each against the faster of torchvision's two paths: the least",
        "1x",
        min(ratios, default=None),
        "{:.2f}x",
        lambda value: value >= 1,
    )
    row(
        "Transforms that are twice as fast or more",
        "most",
        sum(ratio >= 2 for ratio in ratios) / len(ratios) if ratios else None,
        "{:.0%}",
        lambda value: value > 0.5,
    )
    return rows


# They begin with the larger photograph.
WHOLE = ("center_crop", "resize", "random_resized_crop")
NOT_IN_PLACE = ("decode", "to_tensor")


def transforms(results):
    """Of each transform seconds of ours and of torchvision's two paths, and how many times ours go
    into the faster one: medians of the rounds. What works in place gets a fresh copy for each
    call, whose time is taken off."""
    rounds = results.get("transforms", {}).get("rounds", [])
    rows = []
    for name in rounds[0]["torchvision"] if rounds else ():
        copy = "copy, whole" if name in WHOLE else "copy"

        def ours(one, name=name, copy=copy):
            return one["ours"][name] - (0 if name in NOT_IN_PLACE else one["ours"][copy])

        row = {"name": name, "ours": median(map(ours, rounds))}
        for path in ("pil", "tensor"):
            row[path] = median(one["torchvision"][name][path] for one in rounds)
        # What is left of a very short one may be less than the clock can tell.
        row["ours"] = max(row["ours"], LEAST_S)
        row["ratio"] = min(row["pil"], row["tensor"]) / row["ours"]
        rows.append(row)
    return sorted(rows, key=lambda row: -row["ratio"])


def named(peer):
    return f", {peer['name']}" if peer else ""


def scaling(results):
    rates = results.get("io_delay", {}).get("samples_per_s")
    return rates["64"] / (64 * rates["1"]) if rates else None


def slope(memory, workers):
    if "peak_bytes" not in memory:
        return None
    peaks = memory["peak_bytes"][workers]
    return (peaks["10"] - peaks["2"]) / memory["batch_bytes"]


def growth(memory):
    if "last_bytes" not in memory:
        return None
    return (memory["last_bytes"] - memory["before_bytes"]) / MIB
