"""A network, data and a recipe -> short real runs of it, and what they say of the full one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter

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
from effbatch.probe.effort import CLEAN, NOISY, Plan, planned
from effbatch.probe.rule import FullRun, Probe, find
from effbatch.probe.stages import Runs, Scored

LOOKS = 3  # evaluations along the longest runs, where they see examples again
SPARED = 3  # where short runs see few of the examples, or noisy labels score whole ones: one in so many scores them
SCORED_CLEAN, SCORED_NOISY = 32, 16  # one held-out example for so many labelled copies of a full run, at most
STARTS = {"sgd": 2.0**-3, "momentum": 2.0**-5, "adadelta": 1.0}  # first guesses of the rate
START = 2.0**-8  # of any other optimiser
TIMED = 3  # steps that a price is measured on, beyond one that tells what every call begins with
CALLS = 4  # of a usual probe
TOLD = 1.05  # times the announced cost: more is announced anew
PER_CLASS = 15  # examples that the shortest runs need, on average


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownLabels:
    """What is known of the labels: noise simulated on top of them, or noise that they have already.

    alpha        noisy labels per clean one, simulated afresh at every visit; 0: labels stay as they are
    matrices     N (1, K, K), rows = true class: the law of these, where it is not uniform
    noisy        whether labels of the data are wrong already
    known_alpha  α of that noise, where it is known
    held_out     the same data with other examples held out, rightly labelled, in place of its test set, such as
                 `checked_out` has: these score the runs
    """

    alpha: float = 0.0
    matrices: np.ndarray | None = None
    noisy: bool = False
    known_alpha: float | None = None
    held_out: DataSet | None = None

    @property
    def stay(self) -> bool:
        """Whether every visit shows the same label: they may be memorised, so short runs make as many passes."""
        return not self.alpha

    @property
    def noisy_scores(self) -> bool:
        """Whether the labels that score the runs are wrong, too."""
        return self.noisy and self.held_out is None

    @property
    def alpha_trained(self) -> float | None:
        """α of what is trained on; None where it is not known."""
        return self.alpha or self.known_alpha

    def scored(self, part: DataSet, parts: int) -> Scored:
        """What is known of the held-out labels of such a part of the data."""
        labels = part.y_test
        clean = self.alpha or self.held_out is not None
        return Scored(
            n=len(labels),
            num_classes=part.num_classes,
            majority=majority_share(labels),
            alpha=0.0 if clean else self.known_alpha or 0.0,
            entropy=float(entr(np.bincount(labels) / len(labels)).sum()) if self.noisy_scores else None,
            parts=parts,
        )


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What is called while a probe runs.

    keep         (key, make) -> what `make()` returned, perhaps long ago: the key names all that decides it
    on_progress  is told the share of the announced work done since it was last told
    on_more      is told what all of it will cost, in full runs, before runs begin that the price did not announce
    """

    keep: Callable[[str, Callable[[], Trained]], Trained] = lambda key, make: make()
    on_progress: Callable[[float], None] = lambda share: None
    on_more: Callable[[float], None] = lambda full_runs: None


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


CLEAN_LABELS, NO_HOOKS = KnownLabels(), Hooks()


def probe(
    network: Callable[[int], nn.Module],
    data: DataSet,
    recipe: Recipe,
    labels: KnownLabels = CLEAN_LABELS,
    *,
    effort: float | None = None,
    seed: int = 0,
    device: str = "auto",
    hooks: Hooks = NO_HOOKS,
) -> Probe:
    """The optimal learning rate of a recipe, from short real runs that cost `effort` full ones on average.

    network  seed -> the untrained network; it is copied, and stays as it is
    recipe   with batch size and budget; see `rule` for the stages
    effort   None: about 1.6, or 2.2 where noisy labels score the runs; from 10 on no run is short (`probe.whole`)
    Unless the labels have a `held_out` part, a stratified tenth of the training data (a third where labels stay, as
    short runs leave most of them out), labels as given, 300 to 2,000, scores the runs;
    the test set is never looked at. Raises InputError where network, data and recipe do not fit together, RunError
    where the network raises while it trains.
    """
    began = perf_counter()
    runs = _ShortRuns(network, data, recipe, labels, effort, pick_device(device), hooks)
    full = FullRun(
        steps=runs.steps, alpha=labels.alpha_trained, passes=runs.passes, normalises=normalises(network(seed))
    )
    look = whole.find if runs.plan.whole else find
    scored = labels.scored(runs.part, runs.parts)
    found = look(runs.train, runs.plan, full, scored, start=STARTS.get(recipe.optimizer, START), seed=seed)
    return replace(found, full_runs=runs.full_runs, seconds=perf_counter() - began)


def price(
    network: Callable[[int], nn.Module],
    data: DataSet,
    recipe: Recipe,
    labels: KnownLabels = CLEAN_LABELS,
    *,
    effort: float | None = None,
    device: str = "auto",
) -> Price:
    """What `probe` will cost: seconds from a few real steps at all rates of the first stage, scored on few examples."""
    runs = _ShortRuns(network, data, recipe, labels, effort, pick_device(device), NO_HOOKS)
    usual, least, most = map(runs.cost_of, (runs.plan.usual_runs, runs.plan.least_runs, runs.plan.most_runs))
    few = slice(runs.batch_size)
    runs.part = replace(runs.part, x_test=runs.part.x_test[few], y_test=runs.part.y_test[few])
    runs.parts = 1
    rates = [STARTS.get(recipe.optimizer, START) * 2.0**-8] * (2 * runs.plan.shape.wide + 1)
    rates = [rate * (1 + k / 100) for k, rate in enumerate(rates)]

    def timed(steps: int) -> tuple[float, float]:
        began, before = perf_counter(), runs.full_runs
        runs.train(rates, steps / runs.steps, [0])
        return perf_counter() - began, runs.full_runs - before

    timed(1)  # the first call loads much of PyTorch
    (one, of_one), (more, of_more) = timed(1), timed(1 + TIMED)
    a_full_run = (more - one) / (of_more - of_one) if more > one else more / of_more
    seconds = usual * a_full_run + CALLS * max(0, one - of_one * a_full_run)
    return Price(usual, seconds, least, most, bool(runs.plan.whole))


class _ShortRuns:
    """Runs of fractions of the budget, on fractions of the training data; what they have cost so far."""

    def __init__(
        self,
        network: Callable[[int], nn.Module],
        data: DataSet,
        recipe: Recipe,
        labels: KnownLabels,
        effort: float | None,
        device: torch.device,
        hooks: Hooks,
    ) -> None:
        if recipe.batch_size is None or not recipe.budget:
            raise InputError("a probe needs a recipe with batch size and budget, got none: give both")
        self.network, self.recipe, self.labels = network, recipe, labels
        self.device, self.hooks, self.batch_size = device, hooks, recipe.batch_size
        self.whole = len(data.y_train)
        self.steps = steps_bought(recipe.budget, recipe.batch_size, epoch=self.whole * (1 + labels.alpha))
        copies = self.steps * self.batch_size
        self.passes = copies / self.whole if labels.stay and copies > self.whole else None
        least = PER_CLASS * data.num_classes / self.whole if labels.stay else 0.0  # the shortest see some of each class
        shape, scored = (NOISY, SCORED_NOISY) if labels.noisy_scores else (CLEAN, SCORED_CLEAN)
        held_out, most = labels.held_out, copies // scored

        def plan(share: int) -> Plan:
            scores = len(held_out.y_test) if held_out else scored_of(self.whole, most=most, share=share)
            once, looks = SCORED * scores / copies, min(self.steps, LOOKS) if self.passes else 1
            kept = 1 - scores / self.whole if labels.stay else 1.0
            return planned(self.steps, effort, least=least, shape=shape, scoring=(once, looks * once), whole=kept)

        self.plan, share = plan(SHARE), SHARE
        if labels.stay and (self.plan.last <= 1 - 1 / SPARED or (labels.noisy_scores and plan(SPARED).whole)):
            self.plan, share = plan(SPARED), SPARED  # short runs leave so many out, noisy labels have to be many
        self.part = held_out or held_out_of(data, most=most, share=share)
        self.parts = 1  # of the examples, held out in turns
        if self.plan.whole and held_out is None:
            self.parts = max(1, self.whole // len(self.part.y_test))
        self.part_of = cache(lambda k: held_out_of(data, most=most, share=share, part=k))
        self.full_runs = 0.0
        self._announced = self._told = self.cost_of(self.plan.usual_runs)

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
        size = max(self.batch_size, round(fraction * self.whole)) if self.labels.stay else len(self.part.y_train)
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
            alphas=(self.labels.alpha,),
            learning_rates=tuple(rates),
            seeds=tuple(seeds),
        )
        cost = unit.cells * self._cost(fraction)
        if self.full_runs + cost > TOLD * self._told:
            self._told = self.full_runs + cost
            self.hooks.on_more(self._told)
        networks = {seed: self.network(seed) for seed in seeds}

        def make() -> Trained:
            try:
                return train_unit(
                    unit,
                    data,
                    device=self.device,
                    networks=networks,
                    matrices=self.labels.matrices,
                    on_progress=lambda share: self.hooks.on_progress(share * cost / self._announced),
                )
            except EffbatchError:
                raise
            except (Exception, SystemExit) as error:  # the user's code may raise anything; --debug shows where
                raise RunError(
                    f"a probe needs a network that trains, and in runs of {steps} steps it raised {first_line(error)}: "
                    "mend it and ask again, with a folder (--out) that keeps the runs before"
                ) from error

        trained = self.hooks.keep(self._key(unit, data, networks), make)
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
        if self.labels.matrices is not None:
            digest.update(np.ascontiguousarray(self.labels.matrices).data)
        for network in networks.values():
            for name, weight in network.state_dict().items():
                digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


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
