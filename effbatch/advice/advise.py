"""One call: a network, data, what is known of their labels and a recipe -> an `Advice`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from effbatch.advice.answers import Advice, Cost, Curve, Data, ProbeRecord, steps_of
from effbatch.advice.evidence import recorded
from effbatch.advice.labels_pay import labels_worth
from effbatch.advice.law_answers import PROBE, LawPrediction, probe_answer, silent
from effbatch.advice.noise import Noise, audits
from effbatch.advice.prediction import Prediction
from effbatch.advice.question import Anchor, asked, gathered
from effbatch.advice.untrained import INITIALISATIONS, Linearised, predicted
from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset, names
from effbatch.laws.base import SGD, one_of
from effbatch.plan.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from effbatch.data.dataset import DataSet

BATCH_SIZES = (8, 16, 32, 64, 128)  # where the errors of the theory are on record, or within a factor of two
AS_GOOD = 0.01  # accuracies closer than this are told as equally good
FEW_PASSES = 3  # beyond that memorising of fixed labels may begin
LABELS = ("clean", "noisy")


def advise(
    network: str | nn.Module | Callable[[], nn.Module],
    data: Any,
    *,
    labels: Literal["clean", "noisy"] | None = None,
    noise: str | Noise = "uniform",
    recipe: Recipe | None = None,
    batch_sizes: Sequence[int] = (),
    anchor: Anchor | None = None,
    probe: bool = False,
    **given: Any,
) -> Advice:
    """The batch size of highest predicted accuracy, its learning rate, and what would raise the accuracy further.

    Each batch size is asked at its own best rate by the linearised theory of the untrained network; where that says
    nothing, as for Adam, the first batch size is answered with the laws of its optimizer.

    network      a built-in name, `package.module:function`, a function without arguments that returns an nn.Module,
                 or an untrained nn.Module (then there is one initialisation, and no interval over them)
    data         a name (see `data.datasets`), a DataSet, or arrays (x_train, y_train, x_test, y_test): images floating
                 (n, C, H, W), labels from 0
    labels       of the data: "clean", and the noise comes on top, or "noisy", and it is in them. Those of built-in data
                 are clean; checked labels and counts say that they are noisy; beside anything else it has to be said
    noise        a kind of noise, or all that is known of it (`Noise`); where nothing says how many labels are wrong,
                 α is assumed to lie from 0 to 9
    recipe       optimiser, schedule and budget; it needs a budget, the same for all batch sizes
    batch_sizes  to choose among; 8 to 128 without
    anchor       a rate that was tuned: laws then carry it over
    probe        also train short real runs at the advised batch size, about two full runs of work
    given        fields of `Noise` and `Recipe` one by one: alpha, alpha_interval, noise_rate, checked, wrong, ...,
                 optimizer, schedule, steps, examples, ...
    Raises InputError for values out of range, and where network and data do not fit together.

    >>> advice = effbatch.advise("mlp1", "digits", alpha=4, steps=100, batch_sizes=(16, 64))
    >>> advice.batch_size
    64
    """
    noise, recipe = gathered(noise, recipe, given, moved={})
    if not recipe.budget:
        raise InputError("advice needs a budget, got none: give steps or examples, one of them")
    dataset = as_dataset(data)
    labels_are = _labels_are(labels, dataset, noise)
    noise = noise.on(dataset)
    if recipe.epochs is not None:
        recipe = replace(recipe, epochs=None, examples=max(1, math.ceil(recipe.epochs * len(dataset.y_train))))
    own = (recipe.batch_size,) if recipe.batch_size is not None else ()
    default = BATCH_SIZES if recipe.optimizer in SGD else (BATCH_SIZES[-1],)
    questions = [
        asked(noise, replace(recipe, batch_size=size), num_classes=dataset.num_classes, anchor=anchor)
        for size in dict.fromkeys((*own, *batch_sizes)) or default
    ]
    if probe and not (questions[0].plain and recipe.optimizer == "sgd"):
        raise InputError(
            "a probe trains with plain sgd at a constant rate on uniform noise, got more: leave the probe out, or what "
            "asks for other training"
        )
    networks, name = _networks(network, dataset)
    spectra, remarks = _spectra(networks, dataset)
    theory = Linearised(spectra, recipe)
    not_probed = silent("needs short real runs, about two full runs of work: ask for a probe", PROBE)
    predictions = [predicted(question, theory, not_probed) for question in questions]
    chosen, as_good, why = _choice(predictions, by_examples=recipe.examples is not None)
    place, cost = predictions.index(chosen), Cost(0.0, 0.0)
    if probe:
        found, cost = _probed(networks[0], dataset, chosen)
        chosen = predictions[place] = predicted(questions[place], theory, found)
    size = questions[place].setting.batch_size
    accuracy = chosen.accuracy
    assert accuracy is not None  # `predicted` asked for it
    passes = size * steps_of(chosen) / len(dataset.y_train)
    records = recorded()
    return Advice(
        network=name,
        data=Data(
            dataset.name, len(dataset.y_train), dataset.image_shape, dataset.num_classes, read_as=dataset.in_words
        ),
        labels_are=labels_are,
        majority=float(np.bincount(dataset.y_train).max() / len(dataset.y_train)),
        predictions=tuple(predictions),
        chosen=chosen,
        as_good=as_good,
        why=why,
        labels=labels_worth(theory, chosen.labels, size, reason=accuracy.reason if accuracy.value is None else None),
        audits=audits(chosen.question.alpha, dataset.num_classes) if noise.name == "uniform" else (),
        probe=ProbeRecord(records["linearised"], records["probe"], chosen.recommended.law == "probe"),
        cost=cost,
        curve=_curve(theory, chosen),
        passes=passes,
        limits=(*_limits(chosen, labels_are, passes), *remarks),
    )


def _labels_are(said: str | None, data: DataSet, noise: Noise) -> Literal["clean", "noisy"]:
    """Whether the labels of the data are clean or noisy; InputError where nobody knows."""
    if said is not None:
        one_of("labels", said, LABELS)
    if data.name in names():
        if said == "noisy":
            raise InputError(f"the labels of {data.name} are clean, got labels = 'noisy': leave it out")
        return "clean"
    if said is None and noise.sources and not {"checked labels", "counts"} & set(noise.sources):
        raise InputError(
            f"advice needs to know whether the labels of {data.name} are clean, and this noise is simulated on top, or "
            f"noisy, and this much is in them; got {noise.sources[0]} alone: give --labels clean or --labels noisy, in "
            'Python labels="clean" or labels="noisy"'
        )
    return "clean" if said == "clean" else "noisy"


def _networks(network: Any, data: DataSet) -> tuple[list[nn.Module], str]:
    """The untrained network at one or several initialisations, and what to call it."""
    from torch import nn

    from effbatch.networks.loading import drawn, load_network

    if isinstance(network, nn.Module):
        return [network], type(network).__name__
    seeds = range(INITIALISATIONS)
    if isinstance(network, str):
        return [load_network(network, data.image_shape, data.num_classes, seed=seed) for seed in seeds], network
    if not callable(network):
        raise InputError(
            f"a network needs to be a name, an nn.Module or a function that returns one, got {type(network).__name__}"
        )
    made = [drawn(network, seed=seed) for seed in seeds]
    if not all(isinstance(net, nn.Module) for net in made):
        raise InputError(f"the function needs to return an nn.Module, got {type(made[0]).__name__}")
    return made, getattr(network, "__name__", "network")


def _spectra(networks: Sequence[nn.Module], data: DataSet) -> tuple[list[Any], tuple[str, ...]]:
    """Kernels of the untrained networks, and what evaluation mode changed about them."""
    from effbatch.data.held_out import with_held_out
    from effbatch.measure.kernel import measure_spectrum
    from effbatch.networks.evaluation_mode import evaluation_remarks

    images = with_held_out(data)
    spectra = [measure_spectrum(net, *images, num_classes=data.num_classes) for net in networks]
    return spectra, evaluation_remarks(networks[0])


def _probed(network: nn.Module, data: DataSet, at: Prediction) -> tuple[LawPrediction, Cost]:
    """The rate that short real runs find at the batch size of a prediction, and what they cost."""
    from effbatch.data.held_out import with_held_out
    from effbatch.probe.plain_runs import probe_learning_rate

    started = time.perf_counter()
    found = probe_learning_rate(
        network,
        *with_held_out(data),
        num_classes=data.num_classes,
        alpha=at.setting.alpha,
        batch_size=at.setting.batch_size,
        steps=steps_of(at),
    )
    return probe_answer(found), Cost(found.cost, time.perf_counter() - started)


def _choice(predictions: Sequence[Prediction], *, by_examples: bool) -> tuple[Prediction, tuple[int, ...], str]:
    """The batch size of highest predicted accuracy, those about as good, and why."""
    known = [(p.accuracy.value, p) for p in predictions if p.accuracy is not None and p.accuracy.value is not None]
    if not known:
        accuracy = predictions[0].accuracy
        reason = "" if accuracy is None else f": {accuracy.reason}"
        return predictions[0], (), f"which batch size is best cannot be told{reason}; this is the first asked for"
    best, chosen = max(known, key=lambda pair: pair[0])
    as_good = tuple(p.setting.batch_size for value, p in known if value >= best - AS_GOOD)
    if len(predictions) == 1:
        return chosen, as_good, "the only batch size asked for"
    why = f"the highest predicted accuracy of n = {len(known)} batch sizes"
    if by_examples:
        why += "; at a fixed number of examples smaller batches make more steps"
    else:
        why += "; at a fixed number of steps larger batches see more labels, which have to be paid for"
    return chosen, as_good, why


def _curve(theory: Linearised, chosen: Prediction) -> Curve | None:
    rate, known, question = chosen.recommended.value, chosen.question.alpha, chosen.question
    if rate is None or chosen.accuracy is None or chosen.accuracy.value is None:
        return None
    alphas = sorted({known.value, *(a for a in known.interval or () if a is not None)})
    rates = rate * 2.0 ** np.arange(-4, 4.5, 0.5)
    labels_at = question.noise.labels_at(question.setting.num_classes)
    accuracy = theory.accuracies(chosen.setting.batch_size, [labels_at(alpha) for alpha in alphas], rates)
    return Curve(alphas, rates.tolist(), np.median(accuracy, axis=0).tolist())


def _limits(chosen: Prediction, labels_are: str, passes: float) -> list[str]:
    question, said = chosen.question, chosen.learning_rate["linearised"]
    limits = [f"the labels of the data are taken as right, and {question.noise.name} noise as coming on top"]
    if labels_are == "noisy":
        limits[0] += (
            ", but they are noisy: rate and accuracy come out too low (mlp1 on digits at alpha = 4: 15 % in place of "
            "87 %, at half the rate; one draw). Give images whose labels were checked, with labels clean"
        )
    if question.recipe.regularisation:
        limits.append(f"{', '.join(question.recipe.regularisation)}: the theory knows nothing of it")
    if not said.applies:
        limits.append(f"the linearised theory: {said.reason}; the rate is by the law {chosen.recommended.law}")
    else:
        limits.append(said.reason)
        if not question.on_record.get("linearised"):
            limits.append(
                "errors of the theory are recorded for plain sgd at a constant rate on uniform noise only: the "
                "interval of the rate does not hold them"
            )
        elif "linearised" not in question.scores:
            limits.append(
                "alpha or the batch size is beyond where errors of the theory were recorded: the interval of the rate "
                "does not hold them"
            )
    if passes > FEW_PASSES:
        limits.append(
            f"every image of these data would be used {passes:.3g} times, fewer if you train on more: the theory draws "
            "noisy labels afresh, and knows nothing of memorising labels that stay, so with fixed noisy labels stop "
            "early or expect less"
        )
    return limits
