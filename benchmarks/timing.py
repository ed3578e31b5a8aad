"""What every benchmark needs: clocks that wait for the device, interleaved rounds, the machine in words, its peaks."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

PEAK_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}  # square matrices; the fastest is the peak


@dataclass(frozen=True)
class Spread:
    """A measured number: median, least and most of its rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def wait(device: torch.device) -> None:
    """Until everything that was given to the device is done; a CPU is never behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(work: Callable[[], object], device: torch.device, clock: str = "wall") -> float:
    """How long the work took on the device, from idle to idle.

    Clock ``cpu`` counts what this process computes, all threads together, and not what it waits for other programs:
    for a CPU that is shared. Two busy cores are two seconds a second, so it is no time that anybody waits, but ratios
    hold. It needs threads that don't spin (OMP_WAIT_POLICY=PASSIVE).
    """
    read = time.process_time if clock == "cpu" else time.perf_counter
    wait(device)
    started = read()
    work()
    wait(device)
    return read() - started


def interleaved(
    ways: dict[str, Callable[[], object]], rounds: int, device: torch.device, clock: str = "wall"
) -> dict[str, list[float]]:
    """Seconds of every way in every round. One after another within a round, in turned order from round to round,
    so that a machine that slows down slows all of them down."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            found[name].append(seconds(ways[name], device, clock))
    return found


def matmul_peak(device: torch.device, dtype: torch.dtype, budget: float = 0.5, clock: str = "wall") -> float:
    """FLOP/s of the fastest square matrix product that ``budget`` seconds for each size find; 0 seconds: one size,
    for a test."""
    sizes = PEAK_SIZES.get(device.type, PEAK_SIZES["cpu"])
    best = 0.0
    for size in sizes if budget else sizes[:1]:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        a @ b
        ends = time.perf_counter() + budget
        while True:
            best = max(best, 2 * size**3 / seconds(lambda a=a, b=b: a @ b, device, clock))
            if time.perf_counter() >= ends:
                break
    return best


def machine(device: torch.device) -> dict[str, str | int]:
    """The machine in words: kind of processor, how many cores, memory, software. No names of hosts or people."""
    found: dict[str, str | int] = {
        "device": device.type,
        "processor": _processor(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if policy := os.environ.get("OMP_WAIT_POLICY"):  # PASSIVE: threads give way to other programs while they wait
        found["openmp waiting"] = policy.lower()
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def cores() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> float | None:
    """Processes that wanted to run during the last minute, on average; more than the cores: they were shared."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def memory_now(forget_peak: bool = False) -> tuple[float, float] | None:
    """MiB of this process in memory: now, and at most so far, or since a call forgot it. None where there is no /proc.

    Not ``ru_maxrss``: on Linux a child begins with its parent's.
    """
    try:
        if forget_peak:
            Path("/proc/self/clear_refs").write_text("5")  # of proc(5): the high-water mark begins again
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return sizes["VmRSS"], sizes["VmHWM"]
