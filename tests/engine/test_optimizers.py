"""Stacked optimisers and their schedules against `torch.optim`: step by step, and through the engine."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch_reference
from slow_twin import train_cell
from synthetic import unit
from torch import nn

from effbatch.core.errors import InputError
from effbatch.engine.optimizers import OPTIMIZERS, clipped, optimizer_of
from effbatch.engine.stacking import StackedNetwork
from effbatch.engine.train import train_unit
from effbatch.networks import zoo
from effbatch.plan import spec
from effbatch.plan.spec import Train
from effbatch.theory.schedules import multipliers

STEPS = 100
RATES = torch.tensor([[1e-3, 1e-2, 0.1], [0.02, 0.05, 0.3]], dtype=torch.float64)  # 2 seeds x 3 members
ADAPTIVE = {"adam": 0.03, "adamw": 0.03, "rmsprop": 0.03, "adadelta": 3.0}  # what suits them, relative to SGD
WAYS = [
    {"weight_decay": 0.02},
    {"weight_decay": 0.02, "schedule": "cosine", "warmup": 0.15},
    {"schedule": "one_cycle"},
    {"clip": 0.7, "weight_decay": 0.02},
]
OPTIONS = [
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    *[{"optimizer": name} for name in ADAPTIVE],
]


def named(options: dict) -> str:
    return "-".join(f"{key}={value}" for key, value in options.items())


def test_every_optimizer_has_its_reference():
    assert tuple(OPTIMIZERS) == spec.OPTIMIZERS
    assert set(torch_reference.OPTIMIZERS) == set(OPTIMIZERS) == {options["optimizer"] for options in OPTIONS}


@pytest.mark.parametrize("way", WAYS, ids=named)
@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_every_member_of_a_network_steps_like_torch_optim(options, way, little_images):
    """One hidden layer on real gradients in double precision; all weights compared after each of 100 steps."""
    train = Train(**options, **way)
    rates = RATES * ADAPTIVE.get(train.optimizer, 1)
    x, y = torch.as_tensor(little_images.x_train).double(), torch.as_tensor(little_images.y_train)
    batches = torch.arange(STEPS * 8).remainder(len(x)).view(STEPS, 8)
    built = [zoo.build("mlp1", little_images.image_shape, 3, seed=s).double() for s in range(2)]
    histories = [[plain_training(train, s, float(rates[s, m]), x, y, batches) for m in range(3)] for s in range(2)]

    network = StackedNetwork(built, 3, torch.device("cpu"))
    optimizer = OPTIMIZERS[train.optimizer](network.parameters, train)
    factors = multipliers(train.schedule, STEPS, warmup=train.warmup)
    for t, batch in enumerate(batches):
        logits = network(x[batch].unsqueeze(1))  # (S, M, K, B)
        loss = nn.functional.cross_entropy(logits.movedim(2, -1).flatten(0, 2), y[batch].repeat(6), reduction="sum")
        gradients = torch.autograd.grad(loss / 8, network.parameters)
        with torch.no_grad():
            if train.clip is not None:
                gradients = clipped(gradients, train.clip)
            optimizer.step(gradients, rates * factors[t])
        for i, stacked in enumerate(network.parameters):
            reference = torch.stack([torch.stack([history[t][i] for history in seed]) for seed in histories])
            torch.testing.assert_close(stacked.detach(), reference, rtol=1e-9, atol=1e-10)


def plain_training(train: Train, seed: int, rate: float, x, y, batches) -> list[list[torch.Tensor]]:
    """The weights after each step of one network under `torch.optim`."""
    net = zoo.build("mlp1", x.shape[1:], 3, seed=seed).double()
    optimizer = torch_reference.optimizer_of(train, net.parameters(), rate)
    schedule = torch_reference.schedule_of(train, optimizer, len(batches))
    history = []
    for batch in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        if train.clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), train.clip)
        optimizer.step()
        history.append([w.detach().clone() for w in net.parameters()])
        if len(history) < len(batches):
            schedule.step()
    return history


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "step", "warmup": 0.25},
        {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "one_cycle"},
        {"optimizer": "rmsprop", "weight_decay": 0.1, "schedule": "cosine", "warmup": 0.1},
        {"optimizer": "adadelta"},
    ],
    ids=named,
)
def test_a_unit_trains_by_its_options(options, little_images):
    """Single precision, through the spec's options, noisy labels and the engine; steps that come from examples."""
    small = unit(**options, budget={"examples": 84}, alphas=(2.5,), learning_rates=(0.01, 0.1))
    trained = train_unit(small, little_images, device=torch.device("cpu"))
    for r, rate in enumerate(small.learning_rates):
        for s, seed in enumerate(small.seeds):
            _, loss = train_cell(small, little_images, 2.5, rate, seed)
            assert trained["test_loss"][0, r, s] == pytest.approx(loss, rel=2e-4)


def nadam_in_two_groups(parameters, rate):
    """Biases at half the rate."""
    weights, biases = ([w for w in parameters if (w.ndim > 1) == large] for large in (True, False))
    return torch.optim.NAdam([{"params": weights}, {"params": biases, "lr": rate / 2}], rate)


def no_optimizer(parameters, rate):
    return "sgd"


def test_an_optimizer_of_ones_own_steps_every_member_with_its_rate(little_images):
    train = Train(optimizer="test_optimizers:nadam_in_two_groups", schedule="cosine")
    x, y = torch.as_tensor(little_images.x_train), torch.as_tensor(little_images.y_train)
    built = [zoo.build("mlp1", little_images.image_shape, 3, seed=s) for s in range(2)]
    network = StackedNetwork(built, 2, torch.device("cpu"))
    optimizer, rates = optimizer_of(network.parameters, train), torch.tensor([[0.01, 0.1], [0.02, 0.3]])
    plain = [[deepcopy(net) for _ in range(2)] for net in built]
    theirs = [
        [nadam_in_two_groups(list(net.parameters()), float(rate)) for net, rate in zip(*pair, strict=True)]
        for pair in zip(plain, rates, strict=True)
    ]
    for factor in multipliers("cosine", 5):
        logits = network(x[:8].unsqueeze(1))
        loss = nn.functional.cross_entropy(logits.movedim(2, -1).flatten(0, 2), y[:8].repeat(4), reduction="sum")
        gradients = torch.autograd.grad(loss / 8, network.parameters)
        with torch.no_grad():
            optimizer.step(gradients, rates * factor)
        for s in range(2):
            for m in range(2):
                for group, share in zip(theirs[s][m].param_groups, (1, 0.5), strict=True):
                    group["lr"] = share * float(rates[s, m]) * factor
                theirs[s][m].zero_grad()
                nn.functional.cross_entropy(plain[s][m](x[:8]), y[:8]).backward()
                theirs[s][m].step()
                for stacked, w in zip(network.parameters, plain[s][m].parameters(), strict=True):
                    torch.testing.assert_close(stacked[s, m], w, rtol=1e-4, atol=1e-6)


def test_a_function_that_makes_no_optimizer_is_named(little_images):
    asked = unit(optimizer="test_optimizers:no_optimizer")
    with pytest.raises(InputError, match="test_optimizers:no_optimizer needs to return a torch optimizer, got str"):
        train_unit(asked, little_images, device=torch.device("cpu"))
    with pytest.raises(InputError, match=r"an optimizer 'nowhere:make' needs to be package\.module"):
        optimizer_of([], Train(optimizer="nowhere:make"))


def test_a_gradient_is_clipped_over_all_parameters_of_its_member_alone():
    """Norms 5 and 0.5; the first is 3-4-5 over two parameters."""
    gradients = [torch.tensor([[[3.0], [0.3]]]), torch.tensor([[[[4.0]], [[0.4]]]])]
    first, second = clipped(gradients, 1.0)
    torch.testing.assert_close(first, torch.tensor([[[0.6], [0.3]]]), rtol=1e-5, atol=0)
    torch.testing.assert_close(second, torch.tensor([[[[0.8]], [[0.4]]]]), rtol=1e-5, atol=0)


def test_decay_shrinks_the_weights_at_the_rate_of_each_member():
    """Where the gradient is zero: w ← (1 − η λ) w by SGD and AdamW; Adam's first step is η, whatever λ."""
    rates = torch.tensor([[0.1, 0.0, 0.5]], dtype=torch.float64)
    for name, expected in (("sgd", 1 - 0.2 * rates), ("adamw", 1 - 0.2 * rates), ("adam", 1 - rates)):
        w = torch.ones(1, 3, dtype=torch.float64)
        OPTIMIZERS[name]([w], Train(optimizer=name, weight_decay=0.2)).step([torch.zeros_like(w)], rates)
        torch.testing.assert_close(w, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_gradient_moves_the_weights_by_its_rate_over_one_minus_momentum(nesterov):
    """One gradient, then none: why the linearised theory takes either momentum as a larger rate."""
    w = torch.zeros(1, 1, 1, dtype=torch.float64)
    optimizer = OPTIMIZERS["sgd"]([w], Train(momentum=0.75, nesterov=nesterov))
    for step in range(200):
        optimizer.step([torch.full_like(w, float(step == 0))], torch.tensor([[0.1]], dtype=torch.float64))
    assert w.item() == pytest.approx(-0.1 / (1 - 0.75), rel=1e-12)
