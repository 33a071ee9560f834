"""The recorded errors of the laws: what intervals of rates, and the choice among the laws, are taken from.

`law_scores.json` is made from the recorded cubes by `python benchmarks/law_scores.py`; a test keeps the two alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from effbatch.laws.base import Setting, in_range
from effbatch.plan.recipe import Recipe, steps_bought

FILE = Path(__file__).with_name("law_scores.json")
OF_RECIPE = ("optimizer", "momentum", "schedule", "weight_decay")  # what records are kept apart by

Range = tuple[float, float]
EVERYTHING: Range = (0.0, float("inf"))
MARGIN = 2  # so many times beyond the record an error still stands for batch size, classes and steps; not for α


@dataclass(frozen=True, kw_only=True)
class LawScore:
    """How well a law predicted best rates it had not seen: |log2(predicted/measured)| over n settings (α, B, network).

    alpha, batch_size, num_classes, steps  least and greatest at which it was tried
    networks       kinds of them on which it was tried, see `networks.kind`; empty: any
    interval_log2  95 % interval of the median
    reach_log2     half the interval of a rate: nine of ten further errors stay below it. At least the 90th percentile,
                   and more where n is small (Student's t); without it the 90th percentile
    """

    median_error_log2: float
    quantile90_log2: float
    n: int
    source: str
    alpha: Range = EVERYTHING
    batch_size: Range = EVERYTHING
    num_classes: Range = EVERYTHING
    steps: Range = EVERYTHING
    networks: tuple[str, ...] = ()
    interval_log2: Range | None = None
    reach_log2: float | None = None

    def __post_init__(self) -> None:
        in_range("the median error", self.median_error_log2, "powers of two", least=0, most=60)
        in_range("the 90th percentile of the error", self.quantile90_log2, "powers of two", least=0, most=60)
        in_range("n", self.n, "settings compared", least=1)
        if self.reach_log2 is not None:
            in_range("the reach of the errors", self.reach_log2, "powers of two", least=self.quantile90_log2, most=60)

    @property
    def spread(self) -> float:
        """The factor to either side that holds 90 % of further errors."""
        return 2.0 ** (self.quantile90_log2 if self.reach_log2 is None else self.reach_log2)

    def beyond(self, setting: Setting, network: str | None = None) -> str | None:
        """What of a setting, or of the network, lies outside of the record, in words; None where nothing does."""
        if network is not None and self.networks and network not in self.networks:
            return f"a {network} (recorded: {', '.join(self.networks)})"
        bought = None if setting.examples is None else steps_bought({"examples": setting.examples}, setting.batch_size)
        for what, value, (low, high), margin in (
            ("α = {:g}", setting.alpha, self.alpha, 1),
            ("batches of {:,g}", setting.batch_size, self.batch_size, MARGIN),
            ("K = {:,g}", setting.num_classes, self.num_classes, MARGIN),
            ("{:,g} steps", setting.steps or bought, self.steps, MARGIN),
        ):
            if value is not None and not low / margin <= value <= margin * high:
                span = f"{low:g}" if low == high else f"{low:g} to {high:g}"
                return f"{what.format(value)} (recorded: {span})"
        return None


@cache
def recorded(
    recipe: Recipe | None = None, *, clean_anchor: bool | None = None, network: str | None = None
) -> dict[str, LawScore]:
    """Score of every law tried with such a recipe, plain SGD without one, on cells which its anchor had not seen.

    clean_anchor  whether the anchor's labels were clean; None: of all anchors. Laws that need none have one score.
    network       a kind of network: a record that has it is preferred; of several the one with the larger errors counts
    Empty for a recipe that no recorded sweep has.
    """
    which, scores = "clean" if clean_anchor else "noisy", dict[str, LawScore]()
    for record in _matching(recipe or Recipe())[0]:
        shared = {name: value for name, value in record.items() if name not in ("laws", *OF_RECIPE)}
        for name, score in record["laws"].items():
            anchors = score.get("anchors")
            of_anchor = score if anchors is None or clean_anchor is None else anchors.get(which)
            if of_anchor is not None:
                numbers: dict[str, Any] = {k: v for k, v in (shared | of_anchor).items() if k != "anchors"}
                found = LawScore(**numbers | {"networks": tuple(numbers["networks"])})
                scores[name] = max(found, scores.get(name, found), key=lambda one: _rank(one, network))
    return scores


def not_recorded(recipe: Recipe) -> str | None:
    """What of a recipe no recorded sweep has, in words; None where one has all of it."""
    return _matching(recipe)[1]


def _rank(score: LawScore, network: str | None) -> tuple[bool, float]:
    return network in score.networks, score.spread


def _matching(recipe: Recipe) -> tuple[list[dict[str, Any]], str | None]:
    """The records of sweeps with such a recipe, else what is missing: its optimiser, schedule or weight decay."""
    records: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    others = replace(recipe, weight_decay=0.0).regularisation + ["a warm-up"] * bool(recipe.warmup)
    for words, holds in (
        (recipe.optimizer, lambda one: one["optimizer"] == recipe.optimizer),
        (f"momentum {recipe.momentum_used:g}", lambda one: one["momentum"] == recipe.momentum_used),
        ("Nesterov's momentum", lambda one: not recipe.nesterov),
        (f"{recipe.schedule} rates", lambda one: one["schedule"] == recipe.schedule),
        (f"weight decay {recipe.weight_decay:g}", lambda one: one["weight_decay"] >= recipe.weight_decay),
        (" and ".join(others), lambda one: not others),
    ):
        records = [one for one in records if holds(one)]
        if not records:
            return [], words
    return records, None
