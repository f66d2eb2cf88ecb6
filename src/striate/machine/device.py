"""What this machine has: a device, memory, versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import torch

from striate.errors import ResourceError
from striate.version import __version__

# What keeps torch and its libraries from instructions that the processor has.
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
# Where torch's threads were begun, if they were.
_PROCESS = os.getpid()


def heed_fork() -> None:
    """Compute on one thread in a process that was forked from one that imported this, as torch's own workers do.

    A fork takes along the record of OpenMP's threads, but not the threads: who waits for them hangs.
    """
    if os.getpid() != _PROCESS:
        torch.set_num_threads(1)


def choose_device(name: str | None) -> torch.device:
    """The device of a name, or the best one there is: CUDA, then Apple's, then the CPU.

    Raises ResourceError where the name is none or this machine lacks it.
    """
    heed_fork()
    available = ["cpu"]
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if name is None or name == "auto":
        return torch.device(available[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    count = torch.cuda.device_count()
    if (
        device is None
        or device.type not in available
        or (device.type == "cuda" and (device.index or 0) >= count)
    ):
        raise ResourceError(
            f"this machine has no device `{name}`",
            place="--device",
            expected="one of auto, " + ", ".join(available),
            cure="leave out --device",
        )
    return device


def free_memory_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device, the limit of a container counted; None where unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except OSError:
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    left = left_of_container(Path("/sys/fs/cgroup"))
    if left is not None:
        found.append(left)
    return min(found) if found else None


def emulates_bf16(device: torch.device) -> bool:
    """Whether torch computes convolutions in bfloat16 without instructions for it."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return device.type == "cpu" and supported is not None and not supported()


def left_of_container(group: Path) -> int | None:
    """Bytes up to the limit of a control group; files that it keeps in memory give way, and do not count."""
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit == "max":
            return None
        used = int((group / "memory.current").read_text())
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = sum(int(kept.get(name, 0)) for name in ("active_file", "inactive_file"))
        return int(limit) - max(0, used - files)
    except (OSError, ValueError):
        return None


def versions() -> dict[str, str]:
    """The versions that a run depends on."""
    return {
        "striate": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """The machine, for the record of a run."""
    found: dict[str, str | int] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "instructions": _instructions(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": str(device),
    }
    if device.type == "cuda":
        found["device_name"] = torch.cuda.get_device_name(device)
    return found


def _instructions() -> str:
    """The widest instructions that torch uses here, AVX512 for one, and the limits that the environment sets on them."""
    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name)]
    return ", ".join([torch.backends.cpu.get_cpu_capability(), *limits])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
