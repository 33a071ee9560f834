"""One call: a network, data, what is known of α and a budget -> an `Advice`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from effbatch.advice.answers import Advice, Curve, Probe
from effbatch.advice.evidence import recorded
from effbatch.advice.first_principles import INITIALISATIONS, steps_of
from effbatch.advice.knowledge import KnownAlpha, audits, known_alpha
from effbatch.advice.labels_pay import labels_worth
from effbatch.advice.prediction import Prediction, predict
from effbatch.advice.snippet import snippet
from effbatch.core.errors import InputError
from effbatch.data.datasets import as_dataset
from effbatch.laws.base import OPTIMIZERS, SGD, in_range, one_of
from effbatch.theory.dynamics import Spectrum, learning_curve

if TYPE_CHECKING:
    from torch import nn

    from effbatch.data.dataset import DataSet

BATCH_SIZES = (8, 16, 32, 64, 128)  # where the errors of the theory are on record, or within a factor of two
MOMENTUM = 0.9
AS_GOOD = 0.01  # accuracies closer than this are told as equally good
FEW_PASSES = 3  # beyond that memorising of fixed labels may begin


def advise(
    network: str | nn.Module | Callable[[], nn.Module],
    data: Any,
    *,
    alpha: float | None = None,
    alpha_interval: tuple[float, float] | None = None,
    checked: int | None = None,
    wrong: int | None = None,
    steps: int | None = None,
    examples: int | None = None,
    batch_sizes: Sequence[int] = (),
    optimizer: str = "sgd",
    probe: bool = False,
) -> Advice:
    """The batch size of highest predicted accuracy, its learning rate, and what would raise the accuracy further.

    Each batch size is asked at its own best rate by the linearised theory of the untrained network (`predict`); where
    that says nothing, as for Adam, the first batch size is answered with the laws of its optimizer.

    network      a built-in name, `package.module:function`, a function without arguments that returns an nn.Module,
                 or an untrained nn.Module (then there is one initialisation, and no interval over them)
    data         a name (see `data.datasets`), a DataSet, or arrays (x_train, y_train, x_test, y_test): images
                 floating (n, C, H, W), labels from 0. Labels stand for the right ones; noise of alpha comes on top
    alpha        noisy labels per clean one, uniform; or `alpha_interval`, or `checked` and `wrong` labels of a random
                 sample; with none of them α is assumed to lie from 0 to 9
    steps        T, or `examples`, labelled copies processed: one of them, the same for all batch sizes
    batch_sizes  to choose among; 8 to 128 without
    probe        also train short real runs at the advised batch size, about two full runs of work
    Raises InputError for values out of range, and where network and data do not fit together.
    """
    if (steps is None) == (examples is None):
        raise InputError("advice needs a budget: give either steps or examples, one of them")
    one_of("the optimizer", optimizer, OPTIMIZERS)
    if probe and optimizer != "sgd":
        raise InputError(f"a probe is made for plain sgd; {optimizer} came: leave the probe out")
    sizes = tuple(dict.fromkeys(batch_sizes)) or (BATCH_SIZES if optimizer in SGD else (BATCH_SIZES[-1],))
    for size in sizes:
        in_range("the batch size", size, "labelled copies per step", least=1)
    dataset = as_dataset(data)
    known = known_alpha(alpha, alpha_interval, checked, wrong, dataset.num_classes)
    networks, name = _networks(network, dataset)
    spectra, remarks = _spectra(networks, dataset)

    def ask(size: int, **more: Any) -> Prediction:
        return predict(
            known.value,
            size,
            alpha_interval=known.interval,
            optimizer=optimizer,
            momentum=MOMENTUM,
            steps=steps,
            examples=examples,
            spectra=spectra,
            **more,
        )

    predictions = [ask(size) for size in sizes]
    chosen, as_good, why = _choice(predictions, steps is None)
    place = predictions.index(chosen)
    if probe:
        chosen = ask(sizes[place], short_runs=_short_runs(networks[0], dataset, chosen))
        predictions[place] = chosen
    momentum = MOMENTUM if optimizer == "momentum" else 0.0
    size, T = int(chosen.setting.batch_size), steps_of(chosen.setting)
    reason = None if chosen.accuracy is None else chosen.accuracy.reason if chosen.accuracy.value is None else None
    passes = size * T / len(dataset.y_train)
    records = recorded()
    return Advice(
        name,
        dataset.name,
        known,
        tuple(predictions),
        chosen,
        as_good,
        why,
        labels_worth(spectra, known.value, size, T, momentum=momentum, reason=reason),
        audits(known, dataset.num_classes),
        Probe(records["linearised"], records["short_runs"], chosen.recommended.law == "short_runs"),
        _curve(spectra, known, chosen, momentum),
        passes,
        _limits(chosen, passes, remarks),
        snippet(chosen, momentum=MOMENTUM),
    )


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
            f"a network needs to be a name, an nn.Module or a function that returns one; {type(network).__name__} came"
        )
    made = [drawn(network, seed=seed) for seed in seeds]
    if not all(isinstance(net, nn.Module) for net in made):
        raise InputError(f"the function needs to return an nn.Module; {type(made[0]).__name__} came")
    return made, getattr(network, "__name__", "network")


def _spectra(networks: Sequence[nn.Module], data: DataSet) -> tuple[list[Spectrum], tuple[str, ...]]:
    """Kernels of the untrained networks, and what evaluation mode changed about them."""
    from effbatch.data.held_out import with_held_out
    from effbatch.measure.kernel import measure_spectrum
    from effbatch.networks.per_image import evaluation_remarks

    images = with_held_out(data)
    spectra = [measure_spectrum(net, *images, num_classes=data.num_classes) for net in networks]
    return spectra, evaluation_remarks(networks[0])


def _short_runs(network: nn.Module, data: DataSet, at: Prediction) -> Any:
    from effbatch.data.held_out import with_held_out
    from effbatch.probe.runs import refine_learning_rate

    return refine_learning_rate(
        network,
        *with_held_out(data),
        num_classes=data.num_classes,
        alpha=at.setting.alpha,
        batch_size=at.setting.batch_size,
        steps=steps_of(at.setting),
    )


def _choice(predictions: Sequence[Prediction], by_examples: bool) -> tuple[Prediction, tuple[int, ...], str]:
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


def _curve(spectra: Sequence[Spectrum], known: KnownAlpha, chosen: Prediction, momentum: float) -> Curve | None:
    rate = chosen.recommended.value
    if rate is None or chosen.accuracy is None or chosen.accuracy.value is None:
        return None
    alphas = (
        [known.value]
        if known.interval is None
        else sorted({known.value, *(a for a in known.interval if a is not None)})
    )
    rates = rate * 2.0 ** np.arange(-4, 4.5, 0.5)
    size, T = chosen.setting.batch_size, steps_of(chosen.setting)
    accuracy = np.median(
        [learning_curve(s, np.array(alphas)[:, None], size, rates, T, momentum=momentum).accuracy for s in spectra],
        axis=0,
    )
    return Curve(alphas, rates.tolist(), accuracy.tolist())


def _limits(chosen: Prediction, passes: float, remarks: Sequence[str]) -> tuple[str, ...]:
    setting, said = chosen.setting, chosen.learning_rate["linearised"]
    limits = [
        "the labels of the data are taken as right, and uniform noise of alpha as coming on top: where yours are "
        "noisy, give images whose labels were checked",
        "a constant rate, no weight decay, uniform noise: the theory knows no other, see `effbatch predict`",
    ]
    if said.applies:
        limits.append(said.reason)
        if not recorded()["linearised"].covers(setting.alpha, setting.batch_size):
            limits.append(
                "alpha or the batch size is beyond where errors of the theory were recorded: the interval of the rate "
                "does not hold them"
            )
    else:
        limits.append(f"first principles: {said.reason}; the rate is by the law {chosen.recommended.law}")
    if setting.optimizer == "momentum":
        limits.append(f"momentum is {MOMENTUM:g}; no recorded error is for it")
    if passes > FEW_PASSES:
        limits.append(
            f"every image of these data would be used {passes:.3g} times, fewer if you train on more: the theory draws "
            "noisy labels afresh, and knows nothing of memorising labels that stay, so with fixed noisy labels stop "
            "early or expect less"
        )
    return (*limits, *remarks)
