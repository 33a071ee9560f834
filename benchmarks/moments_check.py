"""Gradient moments against brute force -> effbatch/validation/moments_check.json, which the scorecard reads.

python benchmarks/moments_check.py         # after `measure.moments_check`, or the gradients that it checks, changed
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

from effbatch.measure.moments_check import check_moments
from effbatch.validation.scorecard import MOMENTS

NETWORK, DATASET = "mlp1", "digits"


def main() -> None:
    """Check, and write what came out with the command that repeats it."""
    found = check_moments(NETWORK, DATASET)
    source = (
        f"`python benchmarks/moments_check.py` ({NETWORK} on {DATASET}, cpu, {found.cells} intervals, "
        f"{datetime.now(UTC):%Y-%m-%d})"
    )
    MOMENTS.write_text(json.dumps({**asdict(found), "source": source}, indent=2) + "\n", encoding="utf-8")
    print(MOMENTS.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    main()
