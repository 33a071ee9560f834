"""A network, data and questions at several batch sizes -> short real runs, announced and kept, and what they tell."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effbatch.advice.answers import Answer, Cost
from effbatch.core.announced import announce, to_stderr
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.formats import duration, value_text
from effbatch.core.kept import Kept
from effbatch.data.dataset import fingerprint
from effbatch.laws.base import SMALLEST, in_range, whole_number
from effbatch.noise import MatrixNoise
from effbatch.plan.recipe import steps_bought
from effbatch.probe.effort import WHOLE
from effbatch.probe.rule import NORMAL_90, Probe
from effbatch.probe.stages import Stage

if TYPE_CHECKING:
    from torch import nn

    from effbatch.advice.question import Question
    from effbatch.data.dataset import DataSet
    from effbatch.probe.runs import Hooks, KnownLabels, Price

EFFORT = (0.5, 30.0)  # full runs
TELL_EVERY = 10.0  # seconds
MOST_DONE = 0.95  # that is told with the time left: then a stage may go on
PATIENCE = 5.0  # seconds, after which it is told what is waited for
UNLIKE = 100  # times the least deviation of a column, or 1, from which the largest calls for scaling
COPIES = 3  # of the training data: the part that is not held out, that of a run, and on the device
LEVEL = 0.9  # of an interval over seeds
MANY_PASSES = 8  # over labels that stay, from which on half of the intervals of short runs may miss:
MOSTLY_WRONG = 1  # with so many noisy labels per clean one, or layers that normalise (docs/notes/probe.md)
SOON = 60.0  # seconds on one core, as `core_seconds` has them: less, and runs are whole there without being asked


@dataclass(frozen=True, kw_only=True)
class Probing:
    """What the short real runs behind an advice may cost, where they run, and what else they are to tell.

    training  False: nothing is trained, and theory and laws answer
    effort    what they cost at each batch size on average, in full runs, 0.5 to 30; None: about 1.6, or 2.2 where noisy
              labels score them. From 10 on no run is short: what they cost at most, unless the best rate lies far off;
              that is what None is where `other_hump` and all of them take less than a minute
    rate      a learning rate of your own: what it would cost
    seed      of data order, initialisation and simulated noise
    device    "auto", "cpu" or "cuda"
    out       a folder that keeps finished runs: asked again, also after Ctrl-C, only the missing ones are trained
    tell      is told what the runs will cost before they start, and how far they are
    """

    training: bool = True
    effort: float | None = None
    rate: float | None = None
    seed: int = 0
    device: str = "auto"
    out: str | Path | None = None
    tell: Callable[[str], None] = to_stderr

    def __post_init__(self) -> None:
        in_range("the effort", self.effort, "full runs per batch size", least=EFFORT[0], most=EFFORT[1])
        in_range("the learning rate", self.rate, "step size", least=SMALLEST)
        in_range("the seed", whole_number("the seed", self.seed), "a whole number", least=0, most=2**32 - 1)
        if not self.training and (said := [name for name in ("rate", "out") if getattr(self, name) is not None]):
            raise InputError(f"{' and '.join(said)} needs real runs, got no training: leave one of them out")


@dataclass(frozen=True)
class Subject:
    """What is trained: the network at an initialisation by seed, what to call it, and its data.

    given     one module whose weights are given: seeds then change the order of the data alone
    held_out  the same data with the examples that score the runs in place of its test set; None: a part of them
    """

    make: Callable[[int], nn.Module]
    name: str
    data: DataSet
    given: bool = False
    held_out: DataSet | None = None


def subject(network: Any, data: DataSet) -> Subject:
    """A network by name, as a function without arguments, or as a module, which is copied and never touched."""
    from torch import nn

    from effbatch.networks.classifier import as_classifier
    from effbatch.networks.loading import load_network
    from effbatch.networks.zoo import drawn

    shape, classes = data.image_shape, data.num_classes
    if isinstance(network, str):
        return Subject(lambda seed: load_network(network, shape, classes, seed=seed), network, data)
    given = isinstance(network, nn.Module)
    if not callable(network):
        raise InputError(
            f"a network needs to be a name, an nn.Module or a function that returns one, got "
            f"{type(network).__name__}: build it first"
        )

    def made() -> nn.Module:
        one = deepcopy(network) if given else network()
        if not isinstance(one, nn.Module):
            raise InputError(f"the function needs to return an nn.Module, got {type(one).__name__}: return the network")
        return as_classifier(one, classes, data.x_train[:8])

    name = type(network).__name__ if given else getattr(network, "__name__", "network")
    return Subject(lambda seed: drawn(made, seed=seed), name, data, given=given)


def other_hump(of: Subject, question: Question) -> bool:
    """Whether memorising labels that are wrong for good may leave rates that short runs do not see the best of."""
    from effbatch.networks.kind import normalises

    B = question.setting.batch_size
    passes = B * steps_bought(question.recipe.budget, B) / len(of.data.y_train)
    wrong = question.alpha.value or 0
    return passes >= MANY_PASSES and (wrong >= MOSTLY_WRONG or normalises(of.make(0)))


def _soon_whole(of: Subject, questions: Sequence[Question]) -> bool:
    """Whether whole runs are made unasked: short ones may miss, and whole ones are soon done, however busy the machine.

    That is counted and not timed, so that what is asked twice is answered alike.
    """
    if not any(other_hump(of, question) for question in questions):
        return False
    from effbatch.networks.work import core_seconds

    sizes = [q.setting.batch_size for q in questions]
    runs = [(steps_bought(q.recipe.budget, B), B) for q, B in zip(questions, sizes, strict=True)]
    return WHOLE * core_seconds(of.make(0), of.data, runs) < SOON


def probed(of: Subject, questions: Sequence[Question], how: Probing, *, simulated: bool) -> tuple[list[Probe], Cost]:
    """A probe at the batch size of every question, and what all of them cost.

    simulated  the noise of the questions comes on top of the labels, which are clean; else labels are taken as they are
    """
    from effbatch.networks.fits import check_fits
    from effbatch.probe.runs import probe

    check_fits(of.make(how.seed), of.data)
    started = time.perf_counter()
    labels = [_labels(of, question, simulated=simulated) for question in questions]
    unasked = how.effort is None and not simulated and _soon_whole(of, questions)
    how = replace(how, effort=WHOLE) if unasked else how
    _announce_memory(of, how)
    prices = _prices(of, questions, labels, how)
    how.tell(_announced(prices, unasked=unasked))
    teller = _Teller(how.tell, sum(one.seconds for one in prices))
    found = []
    try:
        for question, known, one in zip(questions, labels, prices, strict=True):
            same: dict[str, Any] = {"effort": how.effort, "seed": how.seed, "device": how.device}
            hooks = _hooks(of, question, known, how, teller, one)
            found.append(probe(of.make, of.data, question.recipe, known, hooks=hooks, **same))
    except KeyboardInterrupt:
        kept_in = f"finished runs are kept in {how.out}, and the same command goes on from there"
        how.tell(f"stopped; {'nothing was kept, as no --out was given' if how.out is None else kept_in}")
        raise
    found = [with_scales(one, of.data) for one in found]
    return found, Cost(sum(one.full_runs for one in found), time.perf_counter() - started)


def _labels(of: Subject, question: Question, *, simulated: bool) -> KnownLabels:
    """α, and N where it is not uniform, as training takes them; or what is known of labels as they are."""
    from effbatch.probe.runs import KnownLabels

    if not simulated:
        known = question.here.alpha if question.noise.sources else None
        return KnownLabels(noisy=True, known_alpha=known, held_out=of.held_out)
    labels = question.labels
    matrices = labels.noise_matrix()[None] if isinstance(labels, MatrixNoise) else None
    return KnownLabels(alpha=float(labels.alpha), matrices=matrices, held_out=of.held_out)


def _prices(of: Subject, questions: Sequence[Question], labels: Sequence[KnownLabels], how: Probing) -> list[Price]:
    """What each probe will cost, by a few timed steps; if that takes a while, it is said what is waited for."""
    from effbatch.probe.runs import price

    waiting = Timer(PATIENCE, how.tell, ["a few steps are timed, to say what the short real runs will cost"])
    waiting.daemon = True
    waiting.start()
    same: dict[str, Any] = {"effort": how.effort, "device": how.device}
    try:
        return [price(of.make, of.data, q.recipe, one, **same) for q, one in zip(questions, labels, strict=True)]
    finally:
        waiting.cancel()


def _announced(prices: Sequence[Price], *, unasked: bool) -> str:
    """What all runs will cost, before they begin, and why they are whole where nobody asked for that."""
    runs, seconds = sum(one.full_runs for one in prices), duration(sum(one.seconds for one in prices))
    least, most = sum(one.least for one in prices), sum(one.most for one in prices)
    at_an_end = "if the best rate is the lowest or highest tried"
    if prices[0].whole:
        more = f", up to {most:.2g} {at_an_end}" if most > runs else ""
        why = "wrong labels come back many times (--effort 2 asks for short runs): " if unasked else ""
        return (
            f"{why}whole runs will cost {runs:.2g} full runs, about {seconds}; {least:.2g} if one rate is clearly the "
            f"best{more}"
        )
    return (
        f"the short runs will cost {runs:.2g} full runs on average, about {seconds}: {least:.2g}, or up to {most:.2g} "
        f"{at_an_end}, more if they learn nothing"
    )


def with_scales(found: Probe, data: DataSet) -> Probe:
    """A probe whose runs learned nothing, or the same with what helps more than steps: columns of like scales."""
    silent, x = found.learning_rate, data.x_train
    if silent.value is not None or silent.reason is None or x.ndim != 2 or x.dtype.kind != "f":
        return found
    scales = x.std(0)
    least, most = float(scales[scales > 0].min(initial=np.inf)), float(scales.max())
    if most < UNLIKE * min(least, 1):
        return found
    advised = (
        f"scale the columns to mean 0 and deviation 1, their deviations go from {value_text(least)} to "
        f"{value_text(most)}"
    )
    said = replace(silent, reason=silent.reason.replace("give more steps", advised))
    return replace(found, learning_rate=said, accuracy=replace(found.accuracy, reason=said.reason))


def _announce_memory(of: Subject, how: Probing) -> None:
    """Say what memory the runs take, if that is much: copies of the data, and networks that train side by side."""
    from effbatch.engine.device import pick_device
    from effbatch.engine.parts import bytes_of_training

    training = bytes_of_training(of.make(how.seed)) if pick_device(how.device).type == "cpu" else 0
    announce(
        "short real runs",
        memory=training + COPIES * of.data.x_train.nbytes,
        instead="fewer examples or a smaller network take less",
        tell=how.tell,
    )


class _Teller:
    """Tells every few seconds how much of all runs is done, and how long the rest will take at this pace.

    All runs are those of all prices, and what comes to them when a stage goes on.
    """

    def __init__(self, tell: Callable[[str], None], seconds: float) -> None:
        self.tell, self.seconds, self.done = tell, max(seconds, 1e-9), 0.0
        self.to_do: dict[float, float] = {}  # beyond the price, by batch size
        self.began = self.told = time.monotonic()

    def more(self, price: Price, batch_size: float, full_runs: float) -> None:
        """One probe will cost so many full runs, not those of its price."""
        self.to_do[batch_size] = price.seconds / self.seconds * (full_runs / price.full_runs - 1)
        self.tell(
            "the best rate was the lowest or highest tried, or the shortest runs learned nothing: "
            f"more runs follow, {full_runs:.2g} full runs in all at batch size {batch_size:g}"
        )

    def __call__(self, price: Price, share: float) -> None:
        """So large a share of the probe of that price was done since the last call."""
        self.done += price.seconds / self.seconds * share
        now = time.monotonic()
        if now - self.told >= TELL_EVERY and self.done > 0:
            self.told, done = now, self.done / (1 + sum(self.to_do.values()))
            left = duration((now - self.began) * (1 / done - 1))
            if done <= MOST_DONE:
                self.tell(f"{done:.0%} of the announced runs are done, {left} left unless more follow")
            elif self.to_do:
                self.tell("nearly all runs are done")
            else:
                self.tell("the announced runs are done; more follow if the best rate is the lowest or highest tried")


def _hooks(of: Subject, question: Question, labels: KnownLabels, how: Probing, teller: _Teller, price: Price) -> Hooks:
    """What a probe tells, and the folder that keeps its runs, where one is given."""
    from effbatch.probe.runs import Hooks

    told = Hooks(on_progress=partial(teller, price), on_more=partial(teller.more, price, question.setting.batch_size))
    return told if how.out is None else replace(told, keep=Kept(how.out, _depends(of, question, labels, how), how.tell))


def _depends(of: Subject, question: Question, labels: KnownLabels, how: Probing) -> dict[str, Any]:
    """All that the arrays of a run depend on but its own length, rate and seed."""
    from effbatch import __version__

    weights = hashlib.sha256()
    for name, tensor in of.make(how.seed).state_dict().items():
        weights.update(name.encode() + tensor.cpu().numpy().tobytes())
    drawn = [] if labels.noisy else [one for one in (labels.alpha, labels.matrices) if one is not None]
    return {
        "version": __version__,
        "recipe": asdict(question.recipe),
        "data": fingerprint(of.data.x_train, of.data.y_train),
        "weights": weights.hexdigest(),
        "noise": fingerprint(*map(np.asarray, drawn)),
        "seed": how.seed,
    }


def costs_at(rate: float, answer: Answer) -> Estimate:
    """Accuracy that `rate` lost in the runs of `Answer.stage_with`, beside the best rate or the nearest they tried.

    Interpolated in log η between the rates of that stage, seed by seed; the interval is that of the paired differences
    (Student), n seeds, or with one seed the binomial one of two accuracies on as many held-out examples: wider, as both
    are scored on the same ones. What the rate costs at the end of the full run is not known from that.
    """
    from effbatch.fitting.student import student_quantile

    stage, best = answer.stage_with(rate), answer.learning_rate.value
    if stage is None or best is None or answer.probe is None:
        tried = [rate for stage in (answer.probe.stages if answer.probe else ()) for rate in stage.learning_rates]
        span = f"the runs tried {min(tried):.3g} to {max(tried):.3g}" if tried else "nothing was trained"
        return Estimate(None, reason=f"{span}: what {rate:.3g} costs cannot be told")
    scores = _at(stage, stage.nearest(best)), _at(stage, rate)
    lost = scores[0] - scores[1]
    n, value, held_out = len(lost), float(lost.mean()), answer.probe.accuracy.n
    if n > 1:
        half = float(student_quantile(n - 1, LEVEL) * lost.std(ddof=1) / n**0.5)
    elif held_out:
        half = NORMAL_90 * float(sum(one.mean() * (1 - one.mean()) for one in scores) / held_out) ** 0.5
    else:
        return Estimate(value, n=n, reason="no interval: one seed")
    return Estimate(value, value - half, value + half, n=n, level=LEVEL)


def _at(stage: Stage, rate: float) -> NDArray[np.float64]:
    """Accuracy by seed at one rate."""
    order = np.argsort(stage.learning_rates)
    known = np.log(np.asarray(stage.learning_rates)[order])
    scores = np.asarray(stage.accuracy, float)[order]
    return np.array([np.interp(np.log(rate), known, of_seed) for of_seed in scores.T])
