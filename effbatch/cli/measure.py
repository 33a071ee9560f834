"""`effbatch measure`: the five gradient numbers of a network, and its noise scale at any α, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from effbatch.cli.options import (
    DATA_ARGUMENT,
    DATA_DIR,
    DEVICE,
    JSON,
    NETWORK_ARGUMENT,
    READING,
    Share,
    echo_json,
    was_given,
)

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike
    from torch import nn

    from effbatch.data.dataset import DataSet
    from effbatch.measure.gradients import NetworkMoments


NUMBERS_A_SECOND = 1e9  # of gradients of single images, about
WHILE_MADE = 3  # times the gradients are held while they are made


@click.command()
@NETWORK_ARGUMENT
@DATA_ARGUMENT
@click.option(
    "--alpha",
    type=float,
    multiple=True,
    default=(0, 1, 10),
    show_default=True,
    help="Noisy labels per clean label; repeatable.",
)
@click.option(
    "--noise-rate",
    type=Share(),
    multiple=True,
    help="Share of wrong labels (0.4 or 40%), instead of --alpha; repeatable.",
)
@click.option("--batch", type=int, default=128, show_default=True, help="Labelled copies per step.")
@click.option("--checkpoint", type=click.Path(), help="Measure at this state dict.  [default: at initialisation]")
@click.option(
    "--matrix",
    type=click.Path(),
    help="CSV or .npy with the law of noisy labels: rows are true classes.  [default: uniform]",
)
@click.option("--examples", type=int, help="Number of training examples to measure, drawn by --seed.  [default: all]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the initialisation and of --examples.")
@click.option(
    "--evaluation", is_flag=True, help="Measure in evaluation mode: no dropout, BatchNorm with its running statistics."
)
@click.option("--per-layer", is_flag=True, help="Show also the five numbers of every layer.")
@READING
@DATA_DIR
@DEVICE
@JSON
def command(
    network: str,
    data: str,
    alpha: Sequence[float],
    noise_rate: Sequence[float],
    per_layer: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure the gradients of NETWORK on the training examples of DATA, whose labels are taken to be clean.

    Noise of every --alpha is added to them. If your labels are noisy already, read --alpha 0: the noise scale that your
    runs have. How many clean labels a batch counts as, NoiseScaleTracker measures while you train.

    NETWORK is a built-in name, or package.module:function, a function without arguments that returns an nn.Module;
    this runs its code. DATA is a built-in name, an .npz file, a table, a folder of images by class, or hub:NAME.

    \b
    effbatch measure mlp1 digits --alpha 0 --alpha 50
    effbatch measure mypackage.models:make my.npz \\
        --checkpoint weights.pt --per-layer --json
    """
    from effbatch.advice.noise import Noise
    from effbatch.core.jsonable import jsonable
    from effbatch.data import datasets
    from effbatch.engine.device import pick_device
    from effbatch.noise.matrixfile import read_matrix
    from effbatch.show import terminal
    from effbatch.show.views.measure import moments_page

    if noise_rate and not was_given("alpha"):
        alpha = ()
    batch, checkpoint, matrix = given["batch"], given["checkpoint"], given["matrix"]
    _check(alpha, batch, given["seed"])
    dataset = datasets.as_dataset(data, **{name: given[name] for name in ("label", "channels", "tokens")})
    noise = Noise(matrix=None if matrix is None else read_matrix(matrix))
    alpha = [*alpha, *(replace(noise, noise_rate=rate).known(dataset.num_classes).value for rate in noise_rate)]
    where = pick_device(given["device"])
    measured = _measured(network, dataset, noise.matrix, where, given)
    if as_json:
        facts = {
            "network": network,
            "data": data,
            "read_as": dataset.in_words,
            "checkpoint": checkpoint,
            "seed": given["seed"],
            "device": where.type,
            "num_classes": dataset.num_classes,
            "noise": {"kind": "uniform"} if matrix is None else {"kind": "matrix", "file": matrix},
        }
        layers = {"layers": {name: layer.numbers() for name, layer in measured.layers.items()}} if per_layer else {}
        echo_json(jsonable(facts | _answer(measured, alpha, batch) | layers))
        return
    at = "at initialisation" if checkpoint is None else f"at {checkpoint}"
    page = moments_page(
        measured,
        of=f"{network} on {data}, {at}",
        read=f"{dataset.name}: {dataset.in_words}.",
        alphas=alpha,
        batch_size=batch,
        layers=measured.layers if per_layer else None,
    )
    terminal.echo(page)


def _check(alpha: Sequence[float], batch: int, seed: int) -> None:
    """InputError for numbers out of range, before the measurement, which may take minutes."""
    from effbatch.laws.base import in_range

    for a in alpha:
        in_range("alpha", a, "noisy labels per clean label", least=0)
    in_range("the batch size", batch, "labelled copies per step", least=1)
    in_range("the seed", seed, "a whole number", least=0)


def _measured(
    network: str, dataset: DataSet, matrix: ArrayLike | None, device: torch.device, given: Mapping[str, Any]
) -> NetworkMoments:
    """The moments of the network as initialised or at its checkpoint; what takes long is said before."""
    from effbatch.measure.gradients import measure_moments
    from effbatch.networks.checkpoint import load_checkpoint
    from effbatch.networks.fits import check_fits
    from effbatch.networks.loading import load_network

    model = load_network(network, dataset.image_shape, dataset.num_classes, seed=given["seed"])
    if given["checkpoint"] is not None:
        load_checkpoint(model, given["checkpoint"])
    check_fits(model, dataset)
    n, examples = len(dataset.y_train), given["examples"]
    announce_gradients(model, dataset.x_train, min(n, examples or n), dataset.num_classes)
    return measure_moments(
        model.to(device),
        dataset.x_train,
        dataset.y_train,
        num_classes=dataset.num_classes,
        noise_matrix=matrix,
        max_examples=examples,
        mode="evaluation" if given["evaluation"] else "training",
        batch_size=max(given["batch"], 2),
        seed=given["seed"],
    )


def announce_gradients(model: nn.Module, x: np.ndarray, n: int, num_classes: int) -> None:
    """Say before how long it takes, and how much memory, where that is much: those of one image are held at once."""
    from effbatch.core.announced import announce
    from effbatch.measure.gradients import DRAWN, MANY_LABELS
    from effbatch.networks.per_image import seconds_alone

    each = 2 + (num_classes if num_classes <= MANY_LABELS else DRAWN)
    numbers = each * sum(w.numel() for w in model.parameters() if w.requires_grad)
    alone = seconds_alone(model, x[:1], num_classes)
    announce(
        f"{each:,} gradients of each of {n:,} examples",
        seconds=n * (numbers / NUMBERS_A_SECOND + each * alone),
        memory=WHILE_MADE * 4 * numbers + x.nbytes * n / len(x),
        instead="--examples N measures fewer, a smaller network takes less memory",
    )


def _answer(measured: NetworkMoments, alphas: Sequence[float], batch: int) -> dict[str, Any]:
    from effbatch.measure.measured import CONFIDENCE

    return {
        "n": measured.n,
        "confidence": CONFIDENCE,
        "moments": measured.numbers(),
        "at_alpha": [
            {
                "alpha": alpha,
                "batch_size": batch,
                "mean_norm_squared": measured.mean_norm_squared(alpha),
                "noise_scale": measured.noise_scale(alpha),
                "effective_batch_size": measured.effective_batch_size(alpha, batch),
            }
            for alpha in alphas
        ],
        "overhead": {"seconds": measured.seconds, "epochs": measured.epochs},
        "remarks": measured.remarks,
    }
