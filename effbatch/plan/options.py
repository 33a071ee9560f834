"""The tables of a spec, each key declared once: its default, what it takes and what it means.

docs/spec.md shows these declarations (`docs/spec_keys.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effbatch.laws.base import LARGEST, SMALLEST
from effbatch.noise import ORDERS
from effbatch.noise.given import GIVEN
from effbatch.plan.cube import MEASURED
from effbatch.plan.keys import Key, key, keys_of
from effbatch.theory.losses import LOSSES
from effbatch.theory.schedules import SCHEDULES

MAX_NAME = 100  # characters; it becomes the name of a folder
MAX_BUDGET = 1e12  # steps, examples or epochs
OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "adadelta")  # `engine.optimizers` has one class for each
CROSS_ENTROPY = LOSSES[0]
PRECISIONS = ("float32", "bfloat16")  # weights, gradients and loss are float32 in both
NOISE_KINDS: Mapping[str, tuple[str, ...]] = {  # each with the keys of [data] that it needs
    "uniform": (),
    "structured": ("delta", "order"),
    "foreign": ("source",),
    "matrix": ("matrix",),
    **dict.fromkeys(GIVEN, ()),
}
NOT_IN_GRID = ("evaluations", "history_images", "measure")  # what is looked at, not what is done

SIMULATION = {
    "name": Key(takes=str, meaning=f"letters, digits, - and _, at most {MAX_NAME} characters; required"),
    "title": Key(takes=str, meaning="title of its section in the report"),
    "claim": Key(takes=str, meaning="the claim in one sentence, for the report"),
    "figure": Key(takes=str, meaning="the figure of a paper that it models, for the report"),
}
BUDGETS = {unit: Key(takes=float, above=0, high=MAX_BUDGET) for unit in ("steps", "examples", "epochs")}
GRID = {
    "alpha": Key(takes=float, low=0, high=LARGEST, meaning="noisy labels per clean label; required"),
    "batch_size": Key(takes=int, low=1, high=1_000_000, meaning="labelled copies per step, held in memory; required"),
    "learning_rate": Key(
        takes=float, low=SMALLEST, high=LARGEST, meaning="or `{ start, stop, factor }`, see below; required"
    ),
    "seed": Key(takes=int, low=0, meaning="or a count; 5 by default, see below"),
}
RANGE = {
    "start": Key(takes=float, low=SMALLEST, high=LARGEST),
    "stop": Key(takes=float, low=SMALLEST, high=LARGEST),
    "factor": Key(takes=float, above=1, high=LARGEST),
    "refine": Key(takes=int, low=0, high=8),  # halvings of the spacing: finer than any score can tell apart
}


# What 0.1 always named in the key of a unit. Any other option is left out at its default: else old keys would change.
ALWAYS_NAMED = {
    *("dataset", "clean_examples", "noise", "copies", "network", "optimizer", "momentum", "nesterov", "weight_decay"),
    *("schedule", "warmup", "budget", "evaluations", "history_images"),
}


class Options:
    """A table of the spec."""

    def given(self) -> dict[str, Any]:
        """The options as JSON-ready values; at its default, only one that 0.1 always named."""
        defaults = vars(type(self)())
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {
            name: value for name, value in plain.items() if name in ALWAYS_NAMED or vars(self)[name] != defaults[name]
        }


@dataclass(frozen=True, kw_only=True)
class Data(Options):
    """What the networks see: the table [data]."""

    dataset: str = key("digits", "name of a data set (`effbatch datasets` lists them)")
    clean_examples: int = key(0, "number of clean images, drawn anew for each seed; 0 takes all training images", low=0)
    noise: str = key("uniform", "what the α noisy copies of a clean image are, see below", choices=NOISE_KINDS)
    copies: str = key(
        "fresh", "when labels of noisy copies are drawn, see below", choices=("fresh", "fixed", "expected")
    )
    delta: float | None = key(None, "strength of structured noise, 0 is uniform; see below", takes=float, low=0, high=1)
    order: str | None = key(None, "ranks the false labels of structured noise, see below", takes=str, choices=ORDERS)
    source: str | None = key(
        None,
        "where foreign images come from: `white`, or a data set with images of the same shape, even this one",
        takes=str,
    )
    matrix: str | None = key(None, "file with the probabilities of noisy labels, see below", takes=str, since="0.2")


@dataclass(frozen=True, kw_only=True)
class Train(Options):
    """How the networks are trained and looked at: the table [train].

    `schedule` and `warmup` span the budget in any unit; see `schedules.multipliers`. `weight_decay` is coupled, but
    decoupled with adamw; see `engine.optimizers`.
    """

    network: str = key("mlp1", "a built-in network, or `package.module:function`")
    last_layer: float = key(
        1.0,
        "factor on the initial weights of the last layer; from 0 all images start with the same output",
        low=0,
        high=LARGEST,
        since="0.2",
    )
    optimizer: str = key("sgd", "see below", choices=OPTIMIZERS, own=True)
    momentum: float = key(0.0, "μ, for sgd", low=0, below=1)
    nesterov: bool = key(False, "Nesterov's momentum, with sgd and μ > 0")
    weight_decay: float = key(0.0, "γ, see below", low=0, high=LARGEST)
    loss: str = key("cross_entropy", "what is minimised, see below", choices=LOSSES, since="0.2")
    label_smoothing: float = key(0.0, "ε, see below", low=0, below=1, since="0.2")
    clip: float | None = key(
        None,
        "clips the norm of a network's gradient, see below; by default no clipping",
        takes=float,
        low=SMALLEST,
        since="0.2",
    )
    precision: str = key(
        "float32", "precision of products and convolutions, see below", choices=PRECISIONS, since="0.2"
    )
    schedule: str = key("constant", "factor on the learning rate along the run, see below", choices=SCHEDULES)
    warmup: float = key(0.0, "share of all steps with a linear rise; not with one_cycle", low=0, below=1)
    budget: Mapping[str, float] = key(
        {"steps": 500},
        f"optimiser steps, labelled copies, or passes over all copies; at most {MAX_BUDGET:g}",
        of=BUDGETS,
    )
    evaluations: int = key(
        12, "number of evaluations along the run, at most one per step, the last at the end", low=1, high=10_000
    )
    history_images: int = key(500, "number of test images in histories, 0 for all; see below", low=0)
    measure: tuple[str, ...] = key(
        (), "further measurements along the run, see below", takes=str, choices=MEASURED, many=True
    )


DATA, TRAIN = keys_of(Data), keys_of(Train)
EXTRAS = {name: one for name, one in {**DATA, **TRAIN}.items() if name not in NOT_IN_GRID}  # may be lists in [grid]
TRAIN_RULES: Sequence[tuple[Callable[[Train], Any], str]] = (  # (what must not be, how it is said)
    (lambda t: t.momentum and t.optimizer != "sgd", "momentum is for sgd, got it with {optimizer}: leave it out"),
    (
        lambda t: t.nesterov and not t.momentum,
        "nesterov needs sgd with momentum above 0, got none: give momentum, or leave nesterov out",
    ),
    (
        lambda t: t.warmup and t.schedule == "one_cycle",
        "schedule one_cycle has its own warm-up, got warmup = {warmup}: leave it out",
    ),
    (
        lambda t: "moments" in t.measure and t.label_smoothing,
        "measure moments takes labels as they are, got label_smoothing = {label_smoothing}: leave out one of them",
    ),
    (
        lambda t: t.loss != CROSS_ENTROPY and (t.label_smoothing or "moments" in t.measure),
        "loss {loss} takes labels as they are and has no closed-form moments, got label_smoothing = {label_smoothing} "
        'and measure = {measure}: leave them out, or take loss = "cross_entropy"',
    ),
    (lambda t: t.budget.get("steps", 0) % 1, "budget steps must be a whole number, got {budget[steps]}: round it"),
    (
        lambda t: t.evaluations > t.budget.get("steps", math.inf),
        "evaluations must be at most the steps, got {evaluations} with {budget[steps]} steps: lower evaluations",
    ),
)
