"""Runs a command and watches it: memory and CPU time of the whole tree of its processes."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

INTERVAL_S = 0.05
SHARE = 0.02  # of one core at most goes on looking at memory
TICKS = os.sysconf("SC_CLK_TCK")


def run(command, cpus, timeout_s=300, cwd=None):
    """What a command gave: `stdout`, `error` (None if it succeeded) and the figures.

    `peak_pss_bytes` shares pages that several processes map among them; `peak_own_bytes` is its
    anonymous and shared part, without mapped files. `own_bytes` is that over time, and
    `other_cpu_s` what all other processes of these `cpus` had meanwhile.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        start, busy = time.perf_counter(), busy_s(cpus)
        child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            cwd=cwd,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        try:
            memory, status, usage = watch(child, start, timeout_s)
        except BaseException:
            kill(child)
            raise
        wall_s = time.perf_counter() - start
        stdout.seek(0)
        stderr.seek(0)
        cpu_s = usage.ru_utime + usage.ru_stime
        return {
            "stdout": stdout.read(),
            "error": reason(status, stderr.read(), timeout_s),
            "process_wall_s": wall_s,
            "process_cpu_s": cpu_s,
            "other_cpu_s": max(0.0, busy_s(cpus) - busy - cpu_s),
            "peak_pss_bytes": max((pss for _, pss, _ in memory), default=None),
            "peak_own_bytes": max((own for _, _, own in memory), default=None),
            "own_bytes": [(at, own) for at, _, own in memory],
        }


def watch(child, start, timeout_s):
    """Samples of `(seconds, PSS, own)` until the command ends, how it ended, and what it used.

    The status is None if it took too long.
    """
    memory, tree, looked = [], [child.pid], 0.0
    while True:
        began = time.perf_counter()
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        if ended:
            child.returncode = os.waitstatus_to_exitcode(status)
            return memory, child.returncode, usage
        if began - start > timeout_s:
            kill(child)
            _, _, usage = os.wait4(child.pid, 0)
            child.returncode = -signal.SIGKILL
            return memory, None, usage
        if began - looked > 0.5:
            tree, looked = descendants(child.pid), began
        parts = [rollup(process) for process in tree]
        memory.append((began - start, sum(p for p, _ in parts), sum(o for _, o in parts)))
        cost = time.perf_counter() - began
        time.sleep(max(INTERVAL_S, cost / SHARE))


def kill(child):
    """Ends the command and what it started: it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def descendants(root):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path("/proc", entry, "stat").read_text()
            except OSError:  # it has ended
                continue
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def rollup(process):
    """PSS, and its anonymous and shared part, in bytes; nothing of a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes["Pss"], sizes["Pss_Anon"] + sizes["Pss_Shmem"]


def busy_s(cpus):
    """CPU seconds that these cores have spent so far, in any process."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            total += user + nice + system + irq + softirq + steal
    return total / TICKS


def reason(status, stderr, timeout_s):
    """Why a command gave no figures, in one line; None if it ended well."""
    if status == 0:
        return None
    if status is None:
        return f"it took more than {timeout_s:.0f} s"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line.split(":")[0]]
    return (errors or lines or [f"it ended with status {status}"])[-1][:300]
