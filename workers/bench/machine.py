"""What a measurement ran on, and what ran beside it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import psutil


def machine(folder: Path) -> dict[str, Any]:
    """Return processor, load and disk, the last as seen from `folder`."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "disk": _disk(folder),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _disk(folder: Path) -> dict[str, Any]:
    """Return device and file system of the mount point that holds `folder`."""
    inside = str(folder.resolve())
    mounts = [part for part in psutil.disk_partitions(all=True) if _holds(part.mountpoint, inside)]
    found = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    return {
        "device": found.device if found else "unknown",
        "file_system": found.fstype if found else "unknown",
        "free_gib": shutil.disk_usage(folder).free >> 30,
    }


def _holds(mount: str, path: str) -> bool:
    return path == mount or path.startswith(mount.rstrip("/") + "/")
