"""A device -> where, when and with which versions numbers were made."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from effbatch.engine.device import ARITHMETIC


def now() -> str:
    """The present time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def environment(device: torch.device) -> dict[str, Any]:
    """What a reader needs to reproduce the numbers: versions, device, arithmetic of the training, and time."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    packages = ("effbatch", "torch", "numpy", "scipy", "xarray")
    return {
        "made": now(),
        "device": name,
        "arithmetic": ARITHMETIC,
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def made_by(device: torch.device) -> str:
    """Device and versions in one line; every unit carries it, so that a sweep resumed elsewhere says so."""
    facts = environment(device)
    return f"{facts['device']}, effbatch {facts['versions']['effbatch']}, torch {facts['versions']['torch']}"
