"""What one process of a distributed training says -> what all of them say, or itself alone after a moment's wait."""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import Any

from torch import distributed

PATIENCE = 20.0  # seconds


def processes() -> int:
    """How many train together."""
    on = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if on else 1


def told(name: str, mine: Any) -> list[Any] | None:
    """What every process tells under this name, plain data, in the order of their ranks; None: not all did in time.

    Through the store at which they met, not by collective operations: where only some processes ask, those would hang,
    or meet another one's gradients.
    """
    try:
        store = distributed.PrefixStore("effbatch", distributed.distributed_c10d._get_default_store())
        store.set(f"{name}/{distributed.get_rank()}", json.dumps(mine))
        keys = [f"{name}/{rank}" for rank in range(processes())]
        until = monotonic() + PATIENCE
        while not store.check(keys):  # a wait that times out may leave the store's connection unusable
            if monotonic() > until:
                return None
            sleep(0.002)
        return [json.loads(store.get(key)) for key in keys]
    except Exception:  # of the store's own, by backend
        return None
