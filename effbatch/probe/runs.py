"""A network, data and a recipe -> short real runs of it, and what they say of the full one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from time import perf_counter
from typing import Any

import numpy as np
import torch
from scipy.special import entr
from torch import nn

from effbatch.core.errors import EffbatchError, InputError, RunError, first_line
from effbatch.data.classes import majority_share
from effbatch.data.dataset import DataSet
from effbatch.data.held_out import SHARE, held_out_of, scored_of
from effbatch.engine.cost import SCORED
from effbatch.engine.device import pick_device
from effbatch.engine.members import Trained
from effbatch.engine.train import train_unit
from effbatch.networks.kind import normalises
from effbatch.plan.recipe import Recipe, steps_bought
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.probe import whole
from effbatch.probe.rule import CLEAN, NOISY, Plan, Probe, Runs, find, planned

LOOKS = 3  # evaluations along the longest runs, where they see examples again
SPARED = 3  # where short runs see few of the examples, or noisy labels score whole ones: one in so many scores them
SCORED_CLEAN, SCORED_NOISY = 32, 16  # one held-out example for so many labelled copies of a full run, at most
STARTS = {"sgd": 2.0**-3, "momentum": 2.0**-5, "adadelta": 1.0}  # first guesses of the rate
START = 2.0**-8  # of any other optimiser
TIMED = 2  # steps that a price is measured on
TOLD = 1.05  # times the announced cost: more is announced anew
PER_CLASS = 15  # examples that the shortest runs need, on average

Keep = Callable[[str, Callable[[], Trained]], Trained]


@dataclass(frozen=True)
class Price:
    """What a probe will take, before it begins: full runs on average, and seconds by a few timed steps.

    least, most  full runs where no stage goes on past an end, and where both do as far as they may; more only where the
                 first one learns nothing
    whole        whether all runs are whole ones; the least is then where one rate is told apart from all others
    """

    full_runs: float
    seconds: float
    least: float
    most: float
    whole: bool = False


def probe(
    network: Callable[[int], nn.Module],
    data: DataSet,
    recipe: Recipe,
    *,
    alpha: float = 0.0,
    matrices: np.ndarray | None = None,
    known_alpha: float | None = None,
    noisy: bool = False,
    held_out: DataSet | None = None,
    effort: float | None = None,
    seed: int = 0,
    device: str = "auto",
    keep: Keep = lambda key, make: make(),
    on_progress: Callable[[float], None] = lambda share: None,
    on_more: Callable[[float], None] = lambda full_runs: None,
) -> Probe:
    """The optimal learning rate of a recipe, from short real runs that cost `effort` full ones on average.

    network      seed -> the untrained network; it is copied, and stays as it is
    recipe       with batch size and budget; see `rule` for the stages
    alpha        noisy labels per clean one, simulated on top of the labels of the data, afresh at every visit
    matrices     N (1, K, K), rows = true class: their law, where it is not uniform
    known_alpha  what is known of the noise that the labels have already, where none is simulated
    noisy        whether labels of the data are wrong already
    effort       None: about 1.6, or 2.2 where noisy labels score the runs; from 10 on no run is short (`probe.whole`)
    held_out     the same data with other examples held out, in place of its test set, such as `checked_out` has
    keep         (key, make) -> what `make()` returned, perhaps long ago: the key names all that decides it
    on_progress  is told the share of the announced work done since it was last told
    on_more      is told what all of it will cost, in full runs, before runs begin that the price did not announce
    Without `held_out`, a stratified tenth of the training data (a third where labels stay, as short runs leave
    most of them out), labels as given, 300 to 2,000, scores the runs;
    the test set is never looked at. Raises InputError where network, data and recipe do not fit together, RunError
    where the network raises while it trains.
    """
    began = perf_counter()
    runs = _ShortRuns(network, data, recipe, alpha, matrices, pick_device(device), keep, held_out, effort, noisy)
    runs.announce(on_progress, on_more)
    asked: dict[str, Any] = {
        "steps": runs.steps,
        "start": STARTS.get(recipe.optimizer, START),
        "num_classes": data.num_classes,
        "held_out": len(runs.part.y_test),
        "majority": majority_share(runs.part.y_test),
        "scored_alpha": 0.0 if alpha or held_out else known_alpha or 0.0,
        "entropy": _entropy(runs.part.y_test) if runs.noisy else None,
        "seed": seed,
    }
    if runs.plan.whole:
        found = whole.find(runs.train, runs.plan, parts=runs.parts, **asked)
    else:
        known, passes = alpha if alpha else known_alpha, runs.passes
        found = find(runs.train, runs.plan, alpha=known, passes=passes, normalises=normalises(network(seed)), **asked)
    return replace(found, full_runs=runs.full_runs, seconds=perf_counter() - began)


def price(
    network: Callable[[int], nn.Module],
    data: DataSet,
    recipe: Recipe,
    *,
    alpha: float = 0.0,
    noisy: bool = False,
    held_out: DataSet | None = None,
    effort: float | None = None,
    device: str = "auto",
) -> Price:
    """What `probe` will cost: seconds from a few real steps at all rates of the first stage, scored on few examples."""
    on = pick_device(device)
    runs = _ShortRuns(network, data, recipe, alpha, None, on, lambda key, make: make(), held_out, effort, noisy)
    usual, least, most = map(runs.cost_of, (runs.plan.usual_runs, runs.plan.least_runs, runs.plan.most_runs))
    few = slice(runs.batch_size)
    runs.part = replace(runs.part, x_test=runs.part.x_test[few], y_test=runs.part.y_test[few])
    runs.parts = 1
    rates = [STARTS.get(recipe.optimizer, START) * 2.0**-8] * (2 * runs.plan.shape.wide + 1)
    rates = [rate * (1 + k / 100) for k, rate in enumerate(rates)]
    runs.train(rates, 1 / runs.steps, [0])  # the first call loads much of PyTorch
    began, before = perf_counter(), runs.full_runs
    runs.train(rates, TIMED / runs.steps, [0])
    a_full_run = (perf_counter() - began) / (runs.full_runs - before)
    return Price(usual, usual * a_full_run, least, most, bool(runs.plan.whole))


class _ShortRuns:
    """Runs of fractions of the budget, on fractions of the training data; what they have cost so far."""

    def __init__(
        self,
        network: Callable[[int], nn.Module],
        data: DataSet,
        recipe: Recipe,
        alpha: float,
        matrices: np.ndarray | None,
        device: torch.device,
        keep: Keep,
        held_out: DataSet | None,
        effort: float | None,
        noisy: bool,
    ) -> None:
        if recipe.batch_size is None or not recipe.budget:
            raise InputError("a probe needs a recipe with batch size and budget, got none: give both")
        self.network, self.recipe, self.alpha, self.matrices = network, recipe, alpha, matrices
        self.device, self.keep, self.batch_size = device, keep, recipe.batch_size
        self.whole = len(data.y_train)
        self.steps = steps_bought(recipe.budget, recipe.batch_size, epoch=self.whole * (1 + alpha))
        copies = self.steps * self.batch_size
        self.fixed = not alpha  # labels that stay may be memorised: short runs make as many passes over them
        least = PER_CLASS * data.num_classes / self.whole if self.fixed else 0.0  # the shortest see some of every class
        self.noisy = noisy and held_out is None  # the labels that score the runs
        shape, scored = (NOISY, SCORED_NOISY) if self.noisy else (CLEAN, SCORED_CLEAN)
        self.passes = copies / self.whole if self.fixed and copies > self.whole else None

        def plan(share: int) -> Plan:
            scores = len(held_out.y_test) if held_out else scored_of(self.whole, most=copies // scored, share=share)
            once, looks = SCORED * scores / copies, min(self.steps, LOOKS) if self.passes else 1
            kept = 1 - scores / self.whole if self.fixed else 1.0
            return planned(self.steps, effort, least=least, shape=shape, scoring=(once, looks * once), whole=kept)

        self.plan, share = plan(SHARE), SHARE
        if self.fixed and (self.plan.last <= 1 - 1 / SPARED or (self.noisy and plan(SPARED).whole)):
            self.plan, share = plan(SPARED), SPARED  # short runs leave so many out, noisy labels have to be many
        self.part = held_out or held_out_of(data, most=copies // scored, share=share)
        self.parts = 1  # of the examples, held out in turns
        if self.plan.whole and held_out is None:
            self.parts = max(1, self.whole // len(self.part.y_test))
        self.part_of = cache(lambda k: held_out_of(data, most=copies // scored, share=share, part=k))
        self.full_runs = 0.0
        self._announced = self._told = inf
        self._tell = self._more = lambda number: None

    def announce(self, on_progress: Callable[[float], None], on_more: Callable[[float], None]) -> None:
        """Progress is told in shares of what the plan costs, and what goes beyond it before it begins."""
        self._announced = self._told = self.cost_of(self.plan.usual_runs)
        self._tell, self._more = on_progress, on_more

    def cost_of(self, runs: Sequence[tuple[float, float]]) -> float:
        """The cost of runs, (fraction, number) each, in full ones, scoring included."""
        return sum(number * self._cost(fraction) for fraction, number in runs)

    def _cost(self, fraction: float) -> float:
        """Of one run, in full ones."""
        steps, whole = max(1, round(fraction * self.steps)), self.steps * self.batch_size
        scored = self._looks(fraction) * SCORED * len(self.part.y_test)
        return (steps * self.batch_size + scored) / whole

    def _looks(self, fraction: float) -> int:
        """Evaluations along a run: where examples are seen again an earlier end may be better, by the last stage."""
        again = self.passes is not None and fraction >= self.plan.last
        return min(LOOKS, max(1, round(fraction * self.steps))) if again else 1

    def train(self, rates: Sequence[float], fraction: float, seeds: Sequence[int]) -> Runs:
        """As `rule.Train`."""
        steps = max(1, round(fraction * self.steps))
        size = max(self.batch_size, round(fraction * self.whole)) if self.fixed else len(self.part.y_train)
        data = self.part_of(seeds[0] % self.parts) if self.parts > 1 else self.part
        size = min(size, len(data.y_train))
        looks = self._looks(fraction)
        unit = Unit(
            point={},
            data=Data(dataset=data.name, clean_examples=size),
            train=_options(self.recipe, steps, looks),
            batch_size=self.batch_size,
            steps=steps,
            checkpoints=tuple(round(steps * (k + 1) / looks) for k in range(looks)),
            alphas=(self.alpha,),
            learning_rates=tuple(rates),
            seeds=tuple(seeds),
        )
        cost = unit.cells * self._cost(fraction)
        if self.full_runs + cost > TOLD * self._told:
            self._told = self.full_runs + cost
            self._more(self._told)
        networks = {seed: self.network(seed) for seed in seeds}

        def make() -> Trained:
            try:
                return train_unit(
                    unit,
                    data,
                    device=self.device,
                    networks=networks,
                    matrices=self.matrices,
                    on_progress=lambda share: self._tell(share * cost / self._announced),
                )
            except EffbatchError:
                raise
            except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
                raise RunError(
                    f"a probe needs a network that trains, and in runs of {steps} steps it raised {first_line(error)}: "
                    "mend it and ask again, with a folder (--out) that keeps the runs before"
                ) from error

        trained = self.keep(self._key(unit, data, networks), make)
        self.full_runs += cost
        K = data.num_classes
        return Runs(
            accuracy=np.nan_to_num(trained["test_accuracy"][0], nan=1 / K),
            loss=np.nan_to_num(trained["calibrated_loss_history"][0, ..., -1], nan=np.log(K)),
            history=np.nan_to_num(trained["test_accuracy_history"][0], nan=1 / K),
        )

    def _key(self, unit: Unit, data: DataSet, networks: Mapping[int, nn.Module]) -> str:
        """A name for all that decides the numbers: unit, data, noise and initial weights."""
        digest = hashlib.sha256(json.dumps([unit.key, data.fingerprint]).encode())
        if self.matrices is not None:
            digest.update(np.ascontiguousarray(self.matrices).data)
        for network in networks.values():
            for name, weight in network.state_dict().items():
                digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


def _entropy(labels: np.ndarray) -> float:
    """Of the classes of some labels, in nats: the least loss of who sees no example."""
    return float(entr(np.bincount(labels) / len(labels)).sum())


def _options(recipe: Recipe, steps: int, looks: int) -> Train:
    """The recipe as the engine takes it; scores are taken on all held-out examples."""
    return Train(
        network="given",
        optimizer="sgd" if recipe.optimizer == "momentum" else recipe.optimizer,
        momentum=recipe.momentum_used,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
        clip=recipe.clip,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        budget={"steps": steps},
        evaluations=looks,
        history_images=0,
        measure=("calibrated_loss",),
    )
